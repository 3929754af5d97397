use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use alloy_primitives::B256;
use openledger_model::Adapter;

use super::Shared;
use crate::Error;

/// Where a lease gets its adapter, or why there is none.
#[derive(Default)]
pub(super) struct Cell {
    adapter: OnceLock<Result<Arc<Adapter>, String>>,
}

impl Cell {
    pub(super) fn give(&self, adapter: Arc<Adapter>) {
        // The first word stands: who was told that it failed is not told otherwise.
        self.adapter.get_or_init(|| Ok(adapter));
    }

    pub(super) fn fail(&self, problem: &str) {
        self.adapter.get_or_init(|| Err(problem.to_owned()));
    }
}

/// The right to use an adapter: while it or a clone of it lives the adapter is not dropped.
#[derive(Clone)]
pub struct Lease {
    hash: B256,
    cell: Arc<Cell>,
    _counted: Option<Arc<Counted>>,
}

/// One lease as the registry counts it.
struct Counted {
    hash: B256,
    of: Arc<Shared>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Lease {
    pub(super) fn new(hash: B256, cell: Arc<Cell>, of: Arc<Shared>) -> Self {
        Self { hash, cell, _counted: Some(Arc::new(Counted { hash, of })) }
    }

    /// Of an adapter that the caller has in memory, under the hash that names it.
    pub fn held(hash: B256, adapter: Arc<Adapter>) -> Self {
        let cell = Arc::new(Cell::default());
        cell.give(adapter);
        Self { hash, cell, _counted: None }
    }

    /// The hash of the adapter.
    pub fn hash(&self) -> B256 {
        self.hash
    }

    /// The adapter; `None` while it loads.
    ///
    /// # Errors
    /// [`Error::Adapter`] when it cannot be loaded.
    pub fn adapter(&self) -> Result<Option<Arc<Adapter>>, Error> {
        match self.cell.adapter.get() {
            None => Ok(None),
            Some(Ok(adapter)) => Ok(Some(adapter.clone())),
            Some(Err(problem)) => Err(Error::Adapter { hash: self.hash, problem: problem.clone() }),
        }
    }

    /// Waits for the adapter; blocks the thread.
    ///
    /// # Errors
    /// As [`Self::adapter`].
    pub fn wait(&self) -> Result<Arc<Adapter>, Error> {
        match self.cell.adapter.wait() {
            Ok(adapter) => Ok(adapter.clone()),
            Err(problem) => Err(Error::Adapter { hash: self.hash, problem: problem.clone() }),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.of.release(self.hash);
    }
}
