use std::path::Path;

use crate::{Config, Error, Tokenizer};

/// A base model in memory: weights dequantised exactly to `f32`. Shared between threads behind an `Arc`.
pub struct Model {
    config: Config,
}

impl Model {
    /// Loads a GGUF checkpoint of the llama family (F32, F16, BF16, Q4_0, Q4_1, Q8_0 tensors; byte-level BPE tokenizer).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::FileTooLarge`], and [`Error::Gguf`], [`Error::Metadata`], [`Error::Tensor`] naming what cannot be used. Never panics on hostile bytes.
    pub fn load_gguf(path: &Path) -> Result<(Self, Tokenizer), Error> {
        unimplemented!("{path:?}")
    }

    /// As [`Self::load_gguf`] from bytes in memory.
    ///
    /// # Errors
    /// [`Error::Gguf`], [`Error::Metadata`] or [`Error::Tensor`].
    pub fn parse_gguf(bytes: &[u8]) -> Result<(Self, Tokenizer), Error> {
        unimplemented!("{}", bytes.len())
    }

    /// Writes the model and its tokenizer as GGUF with F32 tensors; loading it gives the same model.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_gguf(&self, tokenizer: &Tokenizer, path: &Path) -> Result<(), Error> {
        let _ = tokenizer;
        unimplemented!("{path:?}")
    }

    /// A small model for tests with weights drawn from `seed`: 4 layers, width 64, feed-forward 128, 4 heads over 2, context 1024, 256 byte tokens
    /// and the four ChatML control tokens. It behaves as a real one (chat template, end of turn), only without having learnt anything.
    #[must_use]
    pub fn tiny(seed: u64) -> (Self, Tokenizer) {
        unimplemented!("{seed}")
    }

    /// Its shape.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}
