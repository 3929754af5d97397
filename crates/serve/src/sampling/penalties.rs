use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use openledger_types::receipt::Sampling;

use super::WHOLE_MILLI;

/// The tokens that penalties count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    prompt: BTreeSet<u32>,
    answer: BTreeMap<u32, i64>,
}

impl Seen {
    /// Nothing where nothing is penalised.
    pub(crate) fn new(sampling: &Sampling, prompt: &[u32]) -> Option<Self> {
        let repetition = sampling.repetition_penalty_milli != WHOLE_MILLI;
        let counted = sampling.presence_penalty_milli != 0 || sampling.frequency_penalty_milli != 0;
        (repetition || counted).then(|| Self {
            prompt: if repetition { prompt.iter().copied().collect() } else { BTreeSet::new() },
            answer: BTreeMap::new(),
        })
    }

    pub(crate) fn push(&mut self, token: u32) {
        *self.answer.entry(token).or_default() += 1;
    }

    pub(crate) fn penalise<'a>(&self, sampling: &Sampling, logits: &'a [f32]) -> Cow<'a, [f32]> {
        let mut logits = Cow::Borrowed(logits);
        let r = f64::from(sampling.repetition_penalty_milli);
        let (p, f) =
            (i64::from(sampling.presence_penalty_milli), i64::from(sampling.frequency_penalty_milli));
        let mut change = |token: u32, count: i64| {
            let Some(place) = usize::try_from(token).ok().filter(|at| *at < logits.len()) else { return };
            let logit = &mut logits.to_mut()[place];
            let mut changed = f64::from(*logit);
            if sampling.repetition_penalty_milli != WHOLE_MILLI {
                changed = if changed > 0.0 { changed * 1000.0 / r } else { changed * r / 1000.0 };
            }
            if count > 0 {
                changed -= (p + f * count) as f64 / 1000.0;
            }
            *logit = changed as f32;
        };
        for token in &self.prompt {
            if !self.answer.contains_key(token) {
                change(*token, 0);
            }
        }
        for (token, count) in &self.answer {
            change(*token, *count);
        }
        logits
    }
}
