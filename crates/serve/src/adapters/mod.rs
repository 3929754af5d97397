//! Adapters by their content hash: any number registered, as many in memory as fit a budget of bytes, loaded on a thread of their own.
//!
//! Who wants to use one takes a [`Lease`]. If the adapter is in memory the lease has it at once; else the loader reads it, checks that it is the one
//! that the hash names, and every lease that waits for it gets it. What no lease holds and nobody pinned is dropped, the longest unused first, when room is needed.
//!
//! # What always holds
//! - A hash is never answered with other bytes than it names, whatever happens to a folder: a new version of an adapter is another hash.
//! - Memory is at most the budget and two adapters: one that was let in when everything else was in use, so that nobody waits
//!   behind adapters that are always in use, and one being loaded.
//! - Whoever holds an adapter keeps it, also after it was unregistered.

mod lease;
mod loader;

#[cfg(test)]
mod tests;

pub use lease::Lease;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::B256;
use openledger_model::{Adapter, Config};
use prometheus_client::registry::Registry;

use crate::Error;
use crate::metrics::AdapterMetrics;
use lease::Cell;

/// What may be registered and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdapterLimits {
    /// Most adapters that can be asked for.
    pub registered: usize,
    /// Bytes of adapters in memory.
    pub bytes: u64,
}

impl Default for AdapterLimits {
    fn default() -> Self {
        Self { registered: 100_000, bytes: 2 << 30 }
    }
}

/// The hash that names an adapter.
pub type AdapterHash = dyn Fn(&Adapter) -> B256 + Send + Sync;

/// Adapters by their hash. Cloning shares them; the last clone ends the loader.
#[derive(Clone)]
pub struct Adapters {
    owner: Arc<Owner>,
}

impl fmt::Debug for Adapters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapters").field("limits", &self.owner.shared.limits).finish_non_exhaustive()
    }
}

struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
    }
}

struct Shared {
    limits: AdapterLimits,
    shape: Config,
    hash: Box<AdapterHash>,
    metrics: AdapterMetrics,
    state: Mutex<State>,
    /// Something for the loader: work, room, or the end.
    changed: Condvar,
    /// Called when a lease that waited has its adapter.
    ready: Mutex<Option<Box<dyn Fn() + Send + Sync>>>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<B256, Entry>,
    resident: BTreeSet<B256>,
    resident_bytes: u64,
    to_load: VecDeque<B256>,
    /// Counts uses.
    clock: u64,
    closed: bool,
}

struct Entry {
    folder: PathBuf,
    pinned: bool,
    leases: usize,
    used: u64,
    slot: Slot,
}

enum Slot {
    Absent,
    Wanted(Vec<Arc<Cell>>),
    Resident { adapter: Arc<Adapter>, bytes: u64 },
}

impl Adapters {
    /// An empty registry of adapters for a model of this shape, and its loader.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn start(
        shape: Config,
        limits: AdapterLimits,
        hash: impl Fn(&Adapter) -> B256 + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            limits,
            shape,
            hash: Box::new(hash),
            metrics: AdapterMetrics::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
            ready: Mutex::default(),
        });
        loader::start(shared.clone()).map_err(Error::Thread)?;
        Ok(Self { owner: Arc::new(Owner { shared }) })
    }

    /// Makes an adapter known: a folder as PEFT writes it. Nothing is read before somebody asks for it. Registering again changes the folder.
    ///
    /// # Errors
    /// [`Error::TooManyAdapters`].
    pub fn register(&self, hash: B256, folder: impl Into<PathBuf>) -> Result<(), Error> {
        let shared = &self.owner.shared;
        let mut state = shared.state();
        let folder = folder.into();
        if let Some(entry) = state.entries.get_mut(&hash) {
            entry.folder = folder;
            return Ok(());
        }
        let limit = shared.limits.registered;
        if state.entries.len() >= limit {
            return Err(Error::TooManyAdapters { limit });
        }
        let entry = Entry { folder, pinned: false, leases: 0, used: 0, slot: Slot::Absent };
        state.entries.insert(hash, entry);
        shared.metrics.registered.set(state.entries.len() as u64);
        Ok(())
    }

    /// Forgets an adapter; answers that run with it go on, those that wait for it fail. Says whether it was there.
    pub fn unregister(&self, hash: B256) -> bool {
        let shared = &self.owner.shared;
        let mut state = shared.state();
        let Some(entry) = state.entries.remove(&hash) else { return false };
        match entry.slot {
            Slot::Absent => {}
            Slot::Wanted(cells) => {
                for cell in cells {
                    cell.fail("it was unregistered");
                }
            }
            Slot::Resident { bytes, .. } => state.forget(hash, bytes),
        }
        shared.report(&state);
        shared.metrics.registered.set(state.entries.len() as u64);
        drop(state);
        shared.wake();
        true
    }

    /// Keeps an adapter in memory once it is there, or no longer.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`].
    pub fn pin(&self, hash: B256, pinned: bool) -> Result<(), Error> {
        let mut state = self.owner.shared.state();
        let entry = state.entries.get_mut(&hash).ok_or(Error::UnknownAdapter { hash })?;
        entry.pinned = pinned;
        Ok(())
    }

    /// The right to use an adapter, which begins to load if it is not in memory.
    ///
    /// # Errors
    /// [`Error::UnknownAdapter`].
    pub fn lease(&self, hash: B256) -> Result<Lease, Error> {
        let shared = &self.owner.shared;
        let mut state = shared.state();
        state.clock += 1;
        let now = state.clock;
        let State { entries, to_load, .. } = &mut *state;
        let entry = entries.get_mut(&hash).ok_or(Error::UnknownAdapter { hash })?;
        entry.leases += 1;
        entry.used = now;
        let cell = Arc::new(Cell::default());
        match &mut entry.slot {
            Slot::Resident { adapter, .. } => cell.give(adapter.clone()),
            Slot::Wanted(cells) => cells.push(cell.clone()),
            slot @ Slot::Absent => {
                *slot = Slot::Wanted(vec![cell.clone()]);
                to_load.push_back(hash);
                shared.changed.notify_all();
            }
        }
        Ok(Lease::new(hash, cell, shared.clone()))
    }

    /// Whether an adapter is in memory.
    pub fn is_resident(&self, hash: B256) -> bool {
        self.owner.shared.state().resident.contains(&hash)
    }

    /// How many adapters are in memory, and their bytes.
    pub fn resident(&self) -> (usize, u64) {
        let state = self.owner.shared.state();
        (state.resident.len(), state.resident_bytes)
    }

    /// Shows its figures.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.owner.shared.metrics.register(registry);
    }

    /// What is called, from the loader's thread, when a lease that waited has its adapter.
    pub(crate) fn on_ready(&self, wake: impl Fn() + Send + Sync + 'static) {
        *self.owner.shared.ready.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(wake));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if let Some(wake) = &*self.ready.lock().unwrap_or_else(PoisonError::into_inner) {
            wake();
        }
    }

    /// Drops what was unused for longest until `more` bytes fit beside the rest, or nothing is left to drop.
    fn make_room(&self, state: &mut State, more: u64) {
        while state.resident_bytes + more > self.limits.bytes {
            let free = state
                .resident
                .iter()
                .filter_map(|hash| Some((state.entries.get(hash)?, *hash)))
                .filter(|(entry, _)| entry.leases == 0 && !entry.pinned)
                .min_by_key(|(entry, _)| entry.used)
                .map(|(_, hash)| hash);
            let Some(hash) = free else { break };
            let entry = state.entries.get_mut(&hash).expect("what is resident is registered");
            if let Slot::Resident { bytes, .. } = std::mem::replace(&mut entry.slot, Slot::Absent) {
                state.forget(hash, bytes);
                self.metrics.evictions.inc();
            }
        }
        self.report(state);
    }

    fn report(&self, state: &State) {
        self.metrics.resident.set(state.resident.len() as u64);
        self.metrics.resident_bytes.set(state.resident_bytes);
    }

    /// A lease ended.
    fn release(&self, hash: B256) {
        let mut state = self.state();
        if let Some(entry) = state.entries.get_mut(&hash) {
            entry.leases = entry.leases.saturating_sub(1);
        }
        self.make_room(&mut state, 0);
        self.changed.notify_all();
    }
}

impl State {
    fn forget(&mut self, hash: B256, bytes: u64) {
        self.resident.remove(&hash);
        self.resident_bytes -= bytes;
    }
}
