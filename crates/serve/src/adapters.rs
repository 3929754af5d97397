use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use alloy_primitives::B256;
use openledger_model::{Adapter, Config, load_peft};

use crate::Error;

/// Most adapters in memory. An adapter of the default recipe is under 2 MB, so this many fit beside the base.
const MAX_ADAPTERS: usize = 1024;

/// Adapters in memory by their content hash. They come and go while others answer; whoever holds one keeps it alive.
#[derive(Debug, Default)]
pub struct Adapters {
    loaded: RwLock<BTreeMap<B256, Arc<Adapter>>>,
}

impl Adapters {
    /// The adapter with this hash, if it is loaded.
    pub fn get(&self, hash: B256) -> Option<Arc<Adapter>> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned()
    }

    /// Reads a PEFT folder and keeps it under `expected`, if `hash` of what it holds is that. Loading one that is loaded
    /// already reads nothing.
    ///
    /// # Errors
    /// [`Error::Model`] when the folder cannot be used, [`Error::AdapterHash`] when it holds another adapter,
    /// [`Error::TooManyAdapters`].
    pub fn load(
        &self,
        folder: &Path,
        model: &Config,
        expected: B256,
        hash: impl FnOnce(&Adapter) -> B256,
    ) -> Result<Arc<Adapter>, Error> {
        if let Some(adapter) = self.get(expected) {
            return Ok(adapter);
        }
        let adapter = load_peft(folder, model)?;
        let got = hash(&adapter);
        if got != expected {
            return Err(Error::AdapterHash { got, expected });
        }
        self.insert(expected, adapter)
    }

    /// Keeps an adapter under its hash; the one that is there already stays.
    ///
    /// # Errors
    /// [`Error::TooManyAdapters`].
    pub fn insert(&self, hash: B256, adapter: Adapter) -> Result<Arc<Adapter>, Error> {
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        if !loaded.contains_key(&hash) && loaded.len() >= MAX_ADAPTERS {
            return Err(Error::TooManyAdapters { limit: MAX_ADAPTERS });
        }
        Ok(loaded.entry(hash).or_insert_with(|| Arc::new(adapter)).clone())
    }

    /// Forgets an adapter; answers that run with it go on. Says whether it was there.
    pub fn unload(&self, hash: B256) -> bool {
        self.loaded.write().unwrap_or_else(PoisonError::into_inner).remove(&hash).is_some()
    }
}
