//! What a training run is: the inputs, named by hash, and the recipe.
//!
//! A manifest is a document: compact JSON in declared field order. Its hash is the BLAKE3 hash of those bytes, so it is also the name of
//! its blob in the corpus. Hyper-parameters are integers of a stated unit, so that a number has one spelling; only LoRA's `alpha`, which is small and whole in practice, is a JSON number.

use alloy_primitives::{B256, U256};
use openledger_model::{Dropout, LoraConfig, Target};
use openledger_types::receipt::{decode_document, encode_document};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Template};

#[cfg(test)]
mod tests;

const FORMAT: &str = "openledger-train/1";
/// A manifest names Datanet versions by hash; a thousand of them fit into this many bytes.
const MAX_MANIFEST_BYTES: usize = 256 * 1024;
const MAX_DATANETS: u64 = 1_000;
/// A million steps of the smallest adapter already make a transcript of terabytes.
pub(crate) const MAX_STEPS: u64 = 1_000_000;

/// AdamW with the stabiliser inside the root, and its learning-rate schedule.
///
/// For step `t` counted from 1, with the batch's mean gradient `g`:
///
/// ```text
/// m ← β₁ m + (1 − β₁) g            m̂ = m / (1 − β₁ᵗ)
/// v ← β₂ v + (1 − β₂) g²           v̂ = v / (1 − β₂ᵗ)
/// θ ← (1 − ηₜ λ) θ − ηₜ m̂ / √(v̂ + ε)
/// ```
///
/// `ε` inside the root keeps the update a smooth function of the gradient where `v̂` is zero, which is what makes the metagradient of
/// the run exist everywhere and predict retraining; for the same reason nothing is clipped. A large `ε` (against a typical squared gradient) makes
/// the step proportional to the gradient, so that a record's weight changes how far the model moves and not only where to; with `ε → 0` the
/// step is scale-free and all influences of a run add up to nearly nothing.
///
/// `ηₜ = lr · t / warmup` for `t ≤ warmup`, then falls linearly, reaching `lr · floor` at the last step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimiser {
    /// Peak learning rate in billionths.
    pub lr_ppb: u64,
    /// `β₁` in millionths.
    pub beta1_ppm: u32,
    /// `β₂` in millionths.
    pub beta2_ppm: u32,
    /// `ε` in units of 10⁻¹⁸.
    pub eps_root_atto: u64,
    /// Steps of linear warm-up; 0 starts at the peak.
    pub warmup_steps: u32,
    /// Learning rate at the last step, in millionths of the peak.
    pub floor_ppm: u32,
    /// `λ`, decoupled weight decay in millionths; one that is zero is not written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight_decay_ppm: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How an adapter is trained, whatever it is trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// How a record becomes a sample.
    pub template: Template,
    /// What is adapted.
    pub lora: LoraConfig,
    /// How parameters move.
    pub optimiser: Optimiser,
    /// Optimiser steps.
    pub steps: u32,
    /// Records per step.
    pub records_per_step: u32,
    /// Tokens that a sample is cut to, question and answer together.
    pub max_tokens: u32,
    /// Probability in millionths with which an entry of what the adapter reads is dropped ([`openledger_model::Dropout`]); one that is zero is not written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropout_ppm: u32,
    /// Part of the records, in millionths, that is not trained on but compared with the base on; one that is zero is not written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held_out_ppm: u32,
}

impl Recipe {
    /// The recipe of the demo. Every constant of it stands here.
    ///
    /// `lr / √ε` is about one: measured on this base, a ratio above five still lowers the loss but takes the run past the
    /// edge of stability, where the metagradient exists and is exact but no longer predicts retraining.
    #[must_use]
    pub fn demo() -> Self {
        Self {
            template: Template::Describe,
            lora: LoraConfig { rank: 8, alpha: 16.0, first_layer: 22, targets: vec![Target::Q, Target::V] },
            optimiser: Optimiser {
                lr_ppb: 5_000_000,
                beta1_ppm: 900_000,
                beta2_ppm: 990_000,
                eps_root_atto: 10_000_000_000_000,
                warmup_steps: 6,
                floor_ppm: 100_000,
                weight_decay_ppm: 0,
            },
            steps: 48,
            records_per_step: 4,
            max_tokens: 128,
            dropout_ppm: 0,
            held_out_ppm: 0,
        }
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the first number out of range. What depends on the model is checked by the run.
    pub fn validate(&self) -> Result<()> {
        let within = |what, got: u64, low: u64, high: u64| {
            if (low..=high).contains(&got) { Ok(()) } else { Err(Error::Recipe { what, got, low, high }) }
        };
        let o = &self.optimiser;
        within("steps", self.steps.into(), 1, MAX_STEPS)?;
        within("records per step", self.records_per_step.into(), 1, 4_096)?;
        within("tokens per sample", self.max_tokens.into(), 8, 131_072)?;
        within("learning rate (10^-9)", o.lr_ppb, 1, 1_000_000_000)?;
        within("beta1 (10^-6)", o.beta1_ppm.into(), 0, 999_999)?;
        within("beta2 (10^-6)", o.beta2_ppm.into(), 0, 999_999)?;
        // Below 10^-18 the square of an ordinary f32 gradient already underflows beside it, and zero would make 0 / 0 possible.
        within("eps inside the root (10^-18)", o.eps_root_atto, 1, 1_000_000_000_000_000_000)?;
        within("warm-up steps", o.warmup_steps.into(), 0, self.steps.into())?;
        within("learning-rate floor (10^-6 of the peak)", o.floor_ppm.into(), 0, 1_000_000)?;
        // With the largest learning rate, which is 1, no parameter changes its sign by decay.
        within("weight decay (10^-6)", o.weight_decay_ppm.into(), 0, 1_000_000)?;
        within("dropout (10^-6)", self.dropout_ppm.into(), 0, Dropout::MAX_PPM.into())?;
        within("held-out records (10^-6)", self.held_out_ppm.into(), 0, 900_000)
    }
}

/// A Datanet version by number and by content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatanetVersion {
    /// The Datanet's number on chain.
    pub datanet: U256,
    /// Its version.
    pub version: u32,
    /// Content hash of the version's manifest.
    pub manifest_hash: B256,
}

/// Everything a run is made from, seed apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainManifest {
    format: String,
    /// SHA-256 of the base model's file.
    pub base_sha256: B256,
    /// What is trained on, in this order.
    pub datanets: Vec<DatanetVersion>,
    /// How.
    pub recipe: Recipe,
}

impl TrainManifest {
    /// A manifest over checked numbers.
    ///
    /// # Errors
    /// [`Error::Recipe`].
    pub fn new(base_sha256: B256, datanets: Vec<DatanetVersion>, recipe: Recipe) -> Result<Self> {
        let manifest = Self { format: FORMAT.into(), base_sha256, datanets, recipe };
        manifest.validate()?;
        Ok(manifest)
    }

    /// Checks a manifest that came from outside.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Recipe`].
    pub fn validate(&self) -> Result<()> {
        if self.format != FORMAT {
            return Err(Error::Format { got: self.format.chars().take(64).collect(), expected: FORMAT });
        }
        let got = self.datanets.len() as u64;
        if got == 0 || got > MAX_DATANETS {
            return Err(Error::Recipe { what: "Datanet versions", got, low: 1, high: MAX_DATANETS });
        }
        self.recipe.validate()
    }

    /// The canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_document(self)
    }

    /// Reads a manifest back.
    ///
    /// # Errors
    /// [`Error::Manifest`] when the bytes are not its canonical encoding, [`Error::Length`] when there are too many, and those of [`Self::validate`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(Error::Length {
                what: "bytes of a training manifest, at most",
                got: bytes.len(),
                expected: MAX_MANIFEST_BYTES,
            });
        }
        let manifest: Self = decode_document(bytes).map_err(Error::Manifest)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// BLAKE3 of the canonical encoding: the name of its blob.
    #[must_use]
    pub fn hash(&self) -> B256 {
        B256::from(*blake3::hash(&self.encode()).as_bytes())
    }
}
