use std::path::Path;
use std::sync::Arc;

use alloy_primitives::B256;
use openledger_model::{Model, Pool, Tokenizer};

use crate::Result;

/// A base model in memory with the threads that compute on it; cheap to clone.
#[derive(Clone)]
pub struct Machine {
    /// SHA-256 of the checkpoint, as [`openledger_model::checkpoint_sha256`] says.
    pub base_hash: B256,
    /// The base model.
    pub model: Arc<Model>,
    /// Its tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// The threads.
    pub pool: Pool,
}

impl Machine {
    /// Loads a checkpoint: a GGUF file or a folder of safetensors. `base_hash` is what the caller has compared it with.
    ///
    /// # Errors
    /// [`crate::WorkerError::Model`].
    pub fn load(path: &Path, base_hash: B256, threads: usize) -> Result<Self> {
        let (model, tokenizer) = Model::load(path)?;
        Ok(Self {
            base_hash,
            model: Arc::new(model),
            tokenizer: Arc::new(tokenizer),
            pool: Pool::new(threads)?,
        })
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("base", &self.base_hash)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}
