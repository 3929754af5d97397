//! What the engine runs on: threads and the disk, or, under `simulate`, one thread with simulated time.

use crate::executor::ReadRequest;
use ::tokio::{sync::mpsc, task::spawn_blocking};
use commonware_runtime::{Clock, Metrics, Spawner, Storage, tokio};
use futures::future::pending;
use rand_core::CryptoRng;
use std::panic::resume_unwind;

/// A runtime of the engine, and how synchronous work is done beside its tasks.
pub(crate) trait Runtime: Clock + CryptoRng + Metrics + Spawner + Storage + Sync {
    /// Does what computes for long or waits for the disk, without holding up other tasks.
    fn compute<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static)
    -> impl Future<Output = T> + Send;

    /// Starts a job on a thread of its own, which asks for entries by [`ReadRequest`]. The future is its result.
    fn start<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> + Send;

    /// The next request of a job; `None` once it has ended.
    fn next(requests: &mut mpsc::Receiver<ReadRequest>) -> impl Future<Output = Option<ReadRequest>> + Send;
}

impl Runtime for tokio::Context {
    async fn compute<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
        Self::start(job).await
    }

    fn start<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> + Send {
        let job = spawn_blocking(job);
        async {
            match job.await {
                Ok(result) => result,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    // Cancelled: the runtime is stopping, and this task with it.
                    Err(_cancelled) => pending().await,
                },
            }
        }
    }

    async fn next(requests: &mut mpsc::Receiver<ReadRequest>) -> Option<ReadRequest> {
        requests.recv().await
    }
}

#[cfg(feature = "simulate")]
mod simulated {
    use super::*;
    use commonware_runtime::deterministic::Context;
    use std::thread;

    /// Nothing goes on beside the one thread: it waits for every job, so that the order of events depends on the seed
    /// alone.
    impl Runtime for Context {
        async fn compute<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
            job()
        }

        fn start<T: Send + 'static>(
            job: impl FnOnce() -> T + Send + 'static,
        ) -> impl Future<Output = T> + Send {
            let job = thread::spawn(job);
            async { job.join().unwrap_or_else(|panic| resume_unwind(panic)) }
        }

        /// It blocks, which holds the simulated time.
        async fn next(requests: &mut mpsc::Receiver<ReadRequest>) -> Option<ReadRequest> {
            requests.blocking_recv()
        }
    }
}
