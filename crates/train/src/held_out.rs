use std::sync::Arc;

use openledger_model::{Lora, Model, Pool, Prefix, Record, Sample};
use serde::{Deserialize, Serialize};

use crate::Result;

/// Samples that were not trained on, with their prefixes, to compare parameters on.
pub struct HeldOut {
    model: Arc<Model>,
    pool: Pool,
    samples: Vec<Sample>,
    prefixes: Vec<Prefix>,
}

/// An adapter beside its base on records that it was not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// How many records.
    pub records: usize,
    /// Tokens that were predicted.
    pub tokens: usize,
    /// Loss of the base, nats per token.
    pub base_loss: f64,
    /// Loss of base and adapter, nats per token.
    pub loss: f64,
}

impl HeldOut {
    /// Computes the samples' hidden states entering `first_layer`, the first that any adapter compared here adapts.
    ///
    /// # Errors
    /// [`crate::Error::Model`].
    pub fn new(model: Arc<Model>, pool: Pool, first_layer: usize, samples: Vec<Sample>) -> Result<Self> {
        let tokens: Vec<&[u32]> = samples.iter().map(|s| s.tokens.as_slice()).collect();
        let prefixes = model.prefixes(&pool, first_layer, &tokens)?;
        Ok(Self { model, pool, samples, prefixes })
    }

    /// The samples with their prefixes.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.prefixes.iter().zip(&self.samples).map(|(prefix, sample)| Record::new(prefix, sample))
    }

    /// Loss of each sample: the sum over its targets, in nats.
    ///
    /// # Errors
    /// [`crate::Error::Model`].
    pub fn losses(&self, lora: Option<Lora<'_>>) -> Result<Vec<f64>> {
        let records: Vec<Record<'_>> = self.records().collect();
        let tokens = self.model.nll_batch(&self.pool, lora, &records)?;
        Ok(tokens.iter().map(|t| t.iter().sum()).collect())
    }

    /// An adapter beside the base.
    ///
    /// # Errors
    /// [`crate::Error::Model`].
    pub fn compare(&self, lora: Lora<'_>) -> Result<Metrics> {
        Ok(Metrics {
            records: self.samples.len(),
            tokens: self.samples.iter().map(|s| s.targets.len()).sum(),
            base_loss: self.mean_loss(None)?,
            loss: self.mean_loss(Some(lora))?,
        })
    }

    /// Loss of all samples together, in nats per target token.
    ///
    /// # Errors
    /// [`crate::Error::Model`].
    pub fn mean_loss(&self, lora: Option<Lora<'_>>) -> Result<f64> {
        let targets: usize = self.samples.iter().map(|s| s.targets.len()).sum();
        Ok(self.losses(lora)?.iter().sum::<f64>() / targets as f64)
    }
}
