//! Sentences as unit vectors, by a BERT encoder (Devlin et al. 2019, arXiv 1810.04805) with the mean of its rows as the embedding (Reimers and Gurevych 2019,
//! arXiv 1908.10084).
//!
//! With `n` tokens and rows `X` (`n × d`): `X = LN(W[token] + P[position] + S[0])`; in every layer `X = LN(X + A(X) Wₒ + bₒ)`, `A` being attention of every token to
//! every token, and `X = LN(X + gelu(X W₁ + b₁) W₂ + b₂)` with the exact `gelu(x) = x Φ(x)`. The embedding is the mean of the rows over its Euclidean norm.
//! All products are the chains of [`kernel`](crate::kernel), begun at the bias.

mod forward;
mod load;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::{Error, kernel::Panels};

/// Most tokens of a text that are read; what follows is left out. all-MiniLM-L6-v2 was published with this limit.
const MAX_TOKENS: usize = 256;
/// Longest text that is taken.
const MAX_TEXT: usize = 1 << 20;

/// An encoder with its tokenizer.
pub struct Encoder {
    config: EncoderConfig,
    words: Vec<f32>,
    positions: Vec<f32>,
    segment: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    tokenizer: tokenizers::Tokenizer,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Sizes of an encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EncoderConfig {
    /// Layers.
    pub layers: usize,
    /// Width of a row and of an embedding.
    pub d_model: usize,
    /// Width inside a feed-forward block.
    pub d_ff: usize,
    /// Heads of attention, each `d_model / heads` wide.
    pub heads: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Positions that have an embedding.
    pub positions: usize,
    /// What is added to a variance before its root is divided by.
    pub norm_eps: f32,
}

/// `x ↦ x W + b`.
struct Affine {
    weight: Panels,
    bias: Vec<f32>,
}

/// Weight and bias of a layer norm.
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

struct Layer {
    /// Queries, keys and values beside each other.
    qkv: Affine,
    output: Affine,
    attention_norm: Norm,
    up: Affine,
    down: Affine,
    norm: Norm,
}

impl Encoder {
    /// Reads a folder of Hugging Face: `config.json`, `model.safetensors` and `tokenizer.json` of a BERT, all of them numbers and text. A pooler is left out.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::FileTooLarge`], [`Error::Checkpoint`] for another kind of model, [`Error::Tensor`] for weights that are missing, of another
    /// shape or kind, or not finite, [`Error::Tokenizer`].
    pub fn load(dir: &Path) -> Result<Self, Error> {
        load::load(dir)
    }

    /// Its sizes.
    #[must_use]
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }
}
