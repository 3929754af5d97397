//! How long work tells how far it is.

use std::sync::Arc;

/// How far one piece of work is.
#[derive(Debug, Clone)]
pub struct Step {
    /// The work, always the same words for the same work.
    pub what: &'static str,
    /// Units done.
    pub done: u64,
    /// Units in all.
    pub total: u64,
    /// Something to show beside it, such as the loss.
    pub note: String,
}

/// Somebody who wants to know; cheap to clone.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(Step) + Send + Sync>);

impl Progress {
    /// Calls `listener` for every step.
    pub fn new(listener: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// Tells nobody.
    pub fn silent() -> Self {
        Self::new(|_step| ())
    }

    /// Reports that `done` of `total` units of `what` are done.
    pub fn report(&self, what: &'static str, done: u64, total: u64, note: impl Into<String>) {
        (self.0)(Step { what, done, total, note: note.into() });
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}
