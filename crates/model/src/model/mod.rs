//! The base model: its weights in memory, where they come from and where they go.

mod checkpoint;
mod fingerprint;
mod linear;
mod rope;
mod tiny;
mod weights;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use fingerprint::checkpoint_sha256;
pub(crate) use rope::Rope;
pub(crate) use weights::{Source, Weights};

use crate::{Config, Error, Lora, Pool, Tokenizer, hub};

/// Largest checkpoint that is loaded, bytes.
pub(crate) const MAX_FILE: u64 = 4 << 30;

/// A base model in memory: blocks of integers that sessions compute with, and the exact `f32` of losses and gradients once somebody asks for those. Shared between
/// threads behind an `Arc`.
pub struct Model {
    pub(crate) config: Config,
    pub(crate) weights: Weights,
    pub(crate) rope: Rope,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Model {
    /// Loads a checkpoint: a folder as Hugging Face's `save_pretrained` writes it, or a GGUF file.
    ///
    /// # Errors
    /// As [`Self::load_safetensors`] or [`Self::load_gguf`].
    pub fn load(path: &Path) -> Result<(Self, Tokenizer), Error> {
        if path.is_dir() { Self::load_safetensors(path) } else { Self::load_gguf(path) }
    }

    /// Loads a folder as Hugging Face's `save_pretrained` writes it: `config.json`, `model.safetensors` or its shards (F32, F16, BF16), `tokenizer.json` with
    /// byte-level BPE, `tokenizer_config.json`. Pickles are refused.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::FileTooLarge`], and [`Error::Checkpoint`], [`Error::Tensor`], [`Error::Tokenizer`], [`Error::Shape`] naming what cannot be used.
    pub fn load_safetensors(dir: &Path) -> Result<(Self, Tokenizer), Error> {
        hub::load(dir)
    }

    /// Writes the model in F32 as such a folder, with an adapter merged into its weights if one is given: each is `W + s B A` in double precision, rounded once.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Checkpoint`]; [`Error::Length`] or [`Error::Shape`] for an adapter of another model.
    pub fn save_safetensors(
        &self,
        tokenizer: &Tokenizer,
        lora: Option<Lora<'_>>,
        dir: &Path,
    ) -> Result<(), Error> {
        hub::save(dir, self, tokenizer, lora)
    }

    /// Loads a GGUF checkpoint of the llama family (F32, F16, BF16, Q4_0, Q4_1, Q4_K, Q8_0 tensors; byte-level BPE tokenizer).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::FileTooLarge`], and [`Error::Gguf`], [`Error::Metadata`], [`Error::Tensor`] naming what cannot be used. Never panics on hostile bytes.
    pub fn load_gguf(path: &Path) -> Result<(Self, Tokenizer), Error> {
        let size = std::fs::metadata(path).map_err(Error::io(path))?.len();
        if size > MAX_FILE {
            return Err(Error::FileTooLarge { path: path.into(), got: size, limit: MAX_FILE });
        }
        Self::parse_gguf(&std::fs::read(path).map_err(Error::io(path))?)
    }

    /// As [`Self::load_gguf`] from bytes in memory.
    ///
    /// # Errors
    /// [`Error::Gguf`], [`Error::Metadata`] or [`Error::Tensor`].
    pub fn parse_gguf(bytes: &[u8]) -> Result<(Self, Tokenizer), Error> {
        checkpoint::parse(bytes)
    }

    /// Writes the model and its tokenizer as GGUF with F32 tensors; loading it gives the same model.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_gguf(&self, tokenizer: &Tokenizer, path: &Path) -> Result<(), Error> {
        std::fs::write(path, checkpoint::build(self, tokenizer)).map_err(Error::io(path))
    }

    /// A small model for tests with weights drawn from `seed`: 4 layers, width 64, feed-forward 128, 4 heads over 2, context 1024, 256 byte tokens
    /// and the four ChatML control tokens. It behaves as a real one (chat template, end of turn), only without having learnt anything.
    #[must_use]
    pub fn tiny(seed: u64) -> (Self, Tokenizer) {
        tiny::build(seed)
    }

    /// Its shape.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of weights that decoding one token reads.
    #[must_use]
    pub fn serving_bytes(&self) -> usize {
        self.weights.serving_bytes()
    }

    /// Keeps the weights as the checkpoint has them: losses, gradients and tangents unpack a matrix when they need it and let it go. They are the same bits, for a
    /// fraction of the memory and somewhat more time; training an adapter so is what QLoRA does. What was unpacked before stays.
    pub fn keep_quantised(&self) {
        self.weights.keep_quantised();
    }

    /// Packs what the backward pass through the layers from `first_layer` on needs. The first gradient does it otherwise.
    pub fn prepare_backward(&self, pool: &Pool, first_layer: usize) {
        self.weights.prepare_backward(pool, first_layer);
    }
}
