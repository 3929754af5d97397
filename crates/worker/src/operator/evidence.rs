//! The evidence of many adapters, as much of it in memory as a limit allows.
//!
//! An adapter is registered with a way to open its evidence. What an answer needs is opened then and stays until others need the room: what was
//! used longest ago goes first. An answer under way keeps what it has. Span indexes are mapped from their files and not counted: the system takes
//! their pages back by itself.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::B256;

use super::{Evidence, ServeError};

/// Where the evidence of an adapter is; cheap to clone.
#[derive(Clone)]
pub struct EvidenceSource(Arc<Source>);

enum Source {
    Held(Arc<Evidence>),
    Opened { bytes: u64, open: Box<Open> },
}

type Open = dyn Fn() -> Result<Evidence, ServeError> + Send + Sync;

impl EvidenceSource {
    /// In memory, for good.
    pub fn held(evidence: Evidence) -> Self {
        Self(Arc::new(Source::Held(Arc::new(evidence))))
    }

    /// Opened when an answer needs it; it then takes about so many bytes of memory.
    pub fn opened(
        bytes: u64,
        open: impl Fn() -> Result<Evidence, ServeError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Source::Opened { bytes, open: Box::new(open) }))
    }
}

impl fmt::Debug for EvidenceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Source::Held(_) => f.write_str("EvidenceSource::Held"),
            Source::Opened { bytes, .. } => write!(f, "EvidenceSource::Opened({bytes} bytes)"),
        }
    }
}

/// What is open.
#[derive(Debug)]
pub(super) struct EvidenceCache {
    limit: u64,
    open: Mutex<OpenEvidence>,
}

#[derive(Debug, Default)]
struct OpenEvidence {
    /// Counts uses.
    clock: u64,
    bytes: u64,
    by_adapter: BTreeMap<B256, Entry>,
}

#[derive(Debug)]
struct Entry {
    evidence: Arc<Evidence>,
    bytes: u64,
    used: u64,
}

impl EvidenceCache {
    /// Holds at most so many bytes, and always what was asked for last.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, open: Mutex::default() }
    }

    /// The evidence of the adapter with this hash.
    pub(super) fn get(&self, adapter: B256, source: &EvidenceSource) -> Result<Arc<Evidence>, ServeError> {
        let (bytes, open) = match &*source.0 {
            Source::Held(evidence) => return Ok(evidence.clone()),
            Source::Opened { bytes, open } => (*bytes, open),
        };
        if let Some(evidence) = self.lock().take_up(adapter) {
            return Ok(evidence);
        }
        // Opened without the lock: whoever asks for what is open does not wait for it.
        let evidence = Arc::new(open()?);
        self.lock().put(adapter, evidence.clone(), bytes, self.limit);
        Ok(evidence)
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, OpenEvidence> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenEvidence {
    fn take_up(&mut self, adapter: B256) -> Option<Arc<Evidence>> {
        self.clock += 1;
        let entry = self.by_adapter.get_mut(&adapter)?;
        entry.used = self.clock;
        Some(entry.evidence.clone())
    }

    fn put(&mut self, adapter: B256, evidence: Arc<Evidence>, bytes: u64, limit: u64) {
        let entry = Entry { evidence, bytes, used: self.clock };
        self.bytes += bytes;
        if let Some(twice) = self.by_adapter.insert(adapter, entry) {
            self.bytes -= twice.bytes;
        }
        while self.bytes > limit && self.by_adapter.len() > 1 {
            let oldest = self.by_adapter.iter().filter(|(other, _)| **other != adapter);
            let Some((oldest, bytes)) =
                oldest.min_by_key(|(_, entry)| entry.used).map(|(other, entry)| (*other, entry.bytes))
            else {
                break;
            };
            self.by_adapter.remove(&oldest);
            self.bytes -= bytes;
        }
    }
}
