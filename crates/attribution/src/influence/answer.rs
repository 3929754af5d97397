use openledger_model::{Lora, Model, Pool, Record, Sample};

use super::error::{Error, Result};

/// What the parameters did for one answer, and how it would change with them.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerGradient {
    /// `∇_θ log p(answer | prompt)`.
    pub gradient: Vec<f32>,
    /// `log p(answer | prompt)` with the adapter, in nats.
    pub log_p: f64,
    /// Without.
    pub log_p_base: f64,
}

impl AnswerGradient {
    /// Nats of the answer that the adapter explains; negative where it made the answer less likely.
    #[must_use]
    pub fn explained(&self) -> f64 {
        self.log_p - self.log_p_base
    }

    /// [`Self::explained`] in micronats, rounded to the nearest.
    #[must_use]
    pub fn explained_micronats(&self) -> i64 {
        (self.explained() * 1e6).round() as i64
    }
}

/// Gradient and explained nats of an answer, prompt and answer as tokens of the base model.
///
/// # Errors
/// [`Error::Length`] for an empty prompt or answer, [`Error::Model`].
pub fn answer_gradient(
    model: &Model,
    pool: &Pool,
    lora: Lora<'_>,
    prompt: &[u32],
    answer: &[u32],
) -> Result<AnswerGradient> {
    for (what, tokens) in
        [("tokens of the prompt, at least", prompt), ("tokens of the answer, at least", answer)]
    {
        if tokens.is_empty() {
            return Err(Error::Length { what, got: 0, expected: 1 });
        }
    }
    let tokens = [prompt, answer].concat();
    let prefix = model.prefix(pool, lora.config.first_layer, &tokens)?;
    let sample = Sample { targets: prompt.len()..tokens.len(), tokens };
    let record = Record::new(&prefix, &sample);
    let with = model.nll_grad(pool, lora, record)?;
    let without = model.nll(pool, None, record)?;
    Ok(AnswerGradient {
        gradient: with.grad.iter().map(|x| -x).collect(),
        log_p: -with.loss,
        log_p_base: -without,
    })
}
