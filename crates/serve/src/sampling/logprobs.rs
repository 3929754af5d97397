/// Most likeliest tokens that are named beside a token: the range of the OpenAI API.
pub const MAX_TOP_LOGPROBS: u8 = 20;

/// How likely the model held a token and the likeliest ones in its place, in nats: of the logits as the model gives them, before penalties,
/// temperature and everything else that narrows the choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprobs {
    /// Of the token that was drawn.
    pub drawn: f64,
    /// The likeliest tokens, likeliest first, among equals the smallest id.
    pub top: Vec<(u32, f64)>,
}

impl Logprobs {
    /// Of finite logits.
    pub(crate) fn new(logits: &[f32], drawn: u32, top: u8) -> Self {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let distance = |logit: f32| f64::from(logit) - f64::from(largest);
        let sum: f64 = logits.iter().map(|logit| libm::exp(distance(*logit))).sum();
        let partition = libm::log(sum);
        let logprob = |token: u32| distance(logits[token as usize]) - partition;
        let count = usize::from(top.min(MAX_TOP_LOGPROBS)).min(logits.len());
        let mut ids: Vec<u32> = (0..).take(logits.len()).collect();
        let before = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        if count > 0 && count < ids.len() {
            ids.select_nth_unstable_by(count, before);
        }
        ids.truncate(count);
        ids.sort_unstable_by(before);
        Self { drawn: logprob(drawn), top: ids.into_iter().map(|id| (id, logprob(id))).collect() }
    }
}
