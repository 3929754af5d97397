use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Error;

/// What a refused request is told to wait before any turn has been measured, ms.
const FIRST_GUESS_MS: u64 = 5_000;
/// Longest wait that a refused request is told, s.
const MAX_RETRY_AFTER_S: u64 = 120;

/// Whose turn it is: one request at a time runs on the whole machine, the others wait in the order in which they came.
#[derive(Clone, Debug)]
pub struct Queue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    gate: Arc<Semaphore>,
    /// Requests that wait or run.
    present: AtomicUsize,
    /// Most requests that wait.
    limit: usize,
    /// How long the latest turn took.
    turn_ms: AtomicU64,
}

impl Queue {
    /// A queue in which at most `limit` requests wait.
    pub fn new(limit: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                gate: Arc::new(Semaphore::new(1)),
                present: AtomicUsize::new(0),
                limit,
                turn_ms: AtomicU64::new(FIRST_GUESS_MS),
            }),
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full.
    pub fn join(&self) -> Result<Place, Error> {
        let most = self.shared.limit + 1;
        let joined = self.shared.present.fetch_update(Ordering::AcqRel, Ordering::Acquire, |present| {
            (present < most).then_some(present + 1)
        });
        match joined {
            Ok(_before) => Ok(Place { shared: self.shared.clone() }),
            Err(present) => {
                Err(Error::Busy { waiting: present - 1, retry_after_s: self.shared.retry_after_s(present) })
            }
        }
    }

    /// Requests that wait or run.
    pub fn present(&self) -> usize {
        self.shared.present.load(Ordering::Acquire)
    }
}

impl Shared {
    fn retry_after_s(&self, present: usize) -> u64 {
        let ahead = u64::try_from(present).unwrap_or(u64::MAX);
        let wait_ms = self.turn_ms.load(Ordering::Relaxed).saturating_mul(ahead);
        wait_ms.div_ceil(1000).clamp(1, MAX_RETRY_AFTER_S)
    }
}

/// A place in the queue, given up when dropped.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
}

impl Place {
    /// Waits until everybody who waited before is done.
    pub async fn turn(self) -> Turn {
        let permit = self
            .shared
            .gate
            .clone()
            .acquire_owned()
            .await
            .expect("the gate is never closed while a place exists");
        Turn { place: self, began: Instant::now(), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.present.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right to use the machine, passed on when dropped.
#[derive(Debug)]
pub struct Turn {
    place: Place,
    began: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let took = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.place.shared.turn_ms.store(took, Ordering::Relaxed);
    }
}
