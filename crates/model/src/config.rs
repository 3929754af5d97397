use serde::{Deserialize, Serialize};

use crate::Error;

/// Largest vocabulary that a checkpoint may declare.
pub(crate) const MAX_VOCAB: usize = 1 << 20;
/// Longest context that a checkpoint may declare; the rope table holds `context * head_dim` floats.
pub(crate) const MAX_CONTEXT: usize = 1 << 17;
const MAX_LAYERS: usize = 256;
const MAX_WIDTH: usize = 1 << 16;
const MAX_HEADS: usize = 512;

/// The shape of a Llama-family decoder, as its checkpoint states it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Number of decoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of the feed-forward layer.
    pub d_ff: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Number of tokens in the vocabulary.
    pub vocab: usize,
    /// Longest sequence in tokens.
    pub context: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// Added to the mean square before the root of a norm.
    pub norm_eps: f32,
}

impl Config {
    /// Width of all query heads together.
    #[must_use]
    pub fn q_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    #[must_use]
    pub fn kv_dim(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Checks every size against its limit and the relations between them.
    ///
    /// # Errors
    /// [`Error::Shape`] naming the first size that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        let within = |what: &'static str, got: usize, limit: usize| {
            if got == 0 || got > limit { Err(Error::Shape { what, got, limit }) } else { Ok(()) }
        };
        within("layers", self.layers, MAX_LAYERS)?;
        within("model width", self.d_model, MAX_WIDTH)?;
        within("feed-forward width", self.d_ff, MAX_WIDTH)?;
        within("heads", self.heads, MAX_HEADS)?;
        within("key/value heads", self.kv_heads, self.heads)?;
        within("head width", self.head_dim, 1024)?;
        within("vocabulary", self.vocab, MAX_VOCAB)?;
        within("context", self.context, MAX_CONTEXT)?;
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(Error::Shape {
                what: "heads that are no multiple of key/value heads",
                got: self.heads,
                limit: self.kv_heads,
            });
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(Error::Shape { what: "odd head width", got: self.head_dim, limit: 1024 });
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 1.0) {
            return Err(Error::Metadata {
                key: "llama.rope.freq_base",
                problem: format!("{} is not above 1", self.rope_theta),
            });
        }
        if !(self.norm_eps.is_finite() && self.norm_eps > 0.0) {
            return Err(Error::Metadata {
                key: "llama.attention.layer_norm_rms_epsilon",
                problem: format!("{} is not above 0", self.norm_eps),
            });
        }
        Ok(())
    }
}
