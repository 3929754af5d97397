use std::sync::Arc;

use crate::Error;

const MAX_THREADS: usize = 1024;

/// A fixed number of worker threads that computations are handed. Cloning shares the threads.
///
/// No result depends on the number of threads.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<rayon::ThreadPool>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish()
    }
}

impl Pool {
    /// Starts `threads` worker threads.
    ///
    /// # Errors
    /// [`Error::Shape`] for zero or more than 1024 threads, [`Error::Threads`] when the system refuses them.
    pub fn new(threads: usize) -> Result<Self, Error> {
        if threads == 0 || threads > MAX_THREADS {
            return Err(Error::Shape { what: "threads", got: threads, limit: MAX_THREADS });
        }
        let inner = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("model-{i}"))
            .build()
            .map_err(|e| Error::Threads { threads, problem: e.to_string() })?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Number of worker threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.inner.current_num_threads()
    }

    pub(crate) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.inner.install(work)
    }
}
