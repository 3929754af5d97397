//! Many answers at once.
//!
//! One thread owns the running requests, the *rows*. It goes round: take in what came, drop what was cancelled, admit what fits, run one *step*, hand out.
//! A step runs the model once over all rows: one token of every row that is decoding, and of prompts that are not
//! computed yet as many tokens as the step's budget has left, so that a long prompt delays the others by a bounded chunk and not by its length.
//! Rows come and go between steps; every row has its own adapter, sampling and length.
//!
//! # What always holds
//! - The tokens of a row are those of [`crate::Engine::generate`] alone, whatever shares its steps.
//! - A request waits at most until a row is free and the tenants that were given less than its own have been served by virtual token counters.
//! - A request whose reader left is gone before the next step. A reader that is behind by [`Settings::buffer`] pieces pauses its
//!   own row, which then takes no part in steps, leaves its place to another and holds its pages alone; after [`Settings::patience`] it is ended.
//! - Nothing here waits for a reader, a disk or another's adapter: what is not ready is passed over.

mod aside;
mod fair;
mod places;
mod prefix;
mod row;
mod run;
mod tokens;

#[cfg(test)]
mod tests;

pub use aside::{Aside, Turn};
pub use places::Place;
pub use tokens::Tokens;

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use alloy_primitives::B256;
use openledger_model::Pool;
use openledger_types::receipt::Sampling;
use prometheus_client::registry::Registry;

use crate::metrics::RequestMetrics;
use crate::{Engine, Error, Lease};
use places::Places;
use row::Request;

/// Who asks: requests of one tenant share its part of the machine and its prefixes.
pub type Tenant = B256;

/// How much is done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Requests that run at once, those not counted whose readers are behind.
    pub rows: usize,
    /// Requests that wait beside them.
    pub waiting: usize,
    /// Requests of one tenant, running and waiting.
    pub of_tenant: usize,
    /// Tokens of a step; at least one more than the rows, so that prompts always go on.
    pub step_tokens: usize,
    /// Memory for the keys and values of the rows, bytes. A row is admitted when its prompt and longest answer fit.
    pub row_bytes: usize,
    /// Memory for those of prompts that came before, bytes.
    pub prefix_bytes: usize,
    /// Pieces of an answer that its reader may be behind.
    pub buffer: usize,
    /// How long a reader that is behind is waited for.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rows: 32,
            waiting: 96,
            of_tenant: 64,
            step_tokens: 96,
            row_bytes: 2 << 30,
            prefix_bytes: 256 << 20,
            buffer: 64,
            patience: Duration::from_secs(15),
        }
    }
}

/// A question to the model.
#[derive(Debug)]
pub struct Job {
    /// What it runs with; `None` is the base alone.
    pub adapter: Option<Lease>,
    /// The prompt.
    pub prompt: Vec<u32>,
    /// How to answer.
    pub sampling: Sampling,
    /// How many of the likeliest tokens are named beside each drawn one; `None` leaves out all logprobs.
    pub logprobs: Option<u8>,
}

/// Answers many requests at once. Cloning shares it; the last clone ends it, and with it what is under way.
#[derive(Clone)]
pub struct Scheduler {
    owner: Arc<Owner>,
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler")
            .field("engine", &self.owner.engine)
            .field("settings", &self.owner.settings)
            .finish_non_exhaustive()
    }
}

struct Owner {
    engine: Engine,
    settings: Settings,
    row_pages: usize,
    places: Places,
    aside: Aside,
    mailbox: Arc<Mailbox>,
    metrics: RequestMetrics,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl Scheduler {
    /// Starts the thread that runs the steps on the engine's threads. `aside` are the threads of what must not hold up steps.
    ///
    /// # Errors
    /// [`Error::Thread`]; [`Error::Model`] when the memory for keys and values holds not even one page.
    pub fn start(engine: Engine, aside: Pool, settings: Settings) -> Result<Self, Error> {
        let metrics = RequestMetrics::default();
        let mailbox = Arc::new(Mailbox::default());
        let run = run::Run::new(engine.clone(), settings, mailbox.clone(), metrics.clone())?;
        let row_pages = run.row_pages();
        thread::Builder::new().name("scheduler".into()).spawn(move || run.run()).map_err(Error::Thread)?;
        let places = Places::new(&settings, metrics.clone());
        let aside = Aside::new(aside);
        Ok(Self { owner: Arc::new(Owner { engine, settings, row_pages, places, aside, mailbox, metrics }) })
    }

    /// What computes the steps.
    pub fn engine(&self) -> &Engine {
        &self.owner.engine
    }

    /// How long a reader that is behind is waited for.
    pub fn patience(&self) -> Duration {
        self.owner.settings.patience
    }

    /// Where other work runs.
    pub fn aside(&self) -> &Aside {
        &self.owner.aside
    }

    /// Takes a place for a request of a tenant.
    ///
    /// # Errors
    /// [`Error::Busy`] when there is none, or the tenant has its share already.
    pub fn join(&self, tenant: Tenant) -> Result<Place, Error> {
        self.owner.places.join(tenant)
    }

    /// Requests that have a place.
    pub fn present(&self) -> usize {
        self.owner.places.present()
    }

    /// Begins to answer. The answer lives as long as what is returned, and whoever holds the place keeps it.
    ///
    /// # Errors
    /// As [`Engine::check`]; [`Error::ResponseFormat`] for a schema that cannot be kept; [`Error::Memory`]; [`Error::Stopped`].
    pub fn submit(&self, tenant: Tenant, job: Job) -> Result<Tokens, Error> {
        self.owner.engine.check(job.prompt.len(), &job.sampling)?;
        let format = self.owner.engine.format(&job.sampling)?;
        let (request, tokens) =
            Request::new(tenant, job, format, &self.owner.settings, self.owner.mailbox.clone());
        let (needed, limit) = (request.pages(), self.owner.row_pages);
        if needed > limit {
            return Err(Error::Memory { needed, limit });
        }
        self.owner.mailbox.put(request)?;
        Ok(tokens)
    }

    /// Has the rows looked at again when an adapter was loaded.
    pub fn watch(&self, adapters: &crate::Adapters) {
        let mailbox = Arc::downgrade(&self.owner.mailbox);
        adapters.on_ready(move || {
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.wake();
            }
        });
    }

    /// Shows its figures.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.owner.metrics.register(registry);
    }
}

/// What the thread is told.
#[derive(Default)]
struct Mailbox {
    inner: Mutex<Inbox>,
    news: Condvar,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

#[derive(Default)]
struct Inbox {
    requests: Vec<Request>,
    /// Something changed that no request says: an adapter is loaded, a reader left.
    changed: bool,
    closed: bool,
}

/// What was in the mailbox.
enum Mail {
    News(Vec<Request>),
    Closed,
}

impl Mailbox {
    fn put(&self, request: Request) -> Result<(), Error> {
        let mut inbox = self.inbox();
        if inbox.closed {
            return Err(Error::Stopped);
        }
        inbox.requests.push(request);
        drop(inbox);
        self.news.notify_one();
        Ok(())
    }

    fn wake(&self) {
        self.inbox().changed = true;
        self.news.notify_one();
    }

    fn close(&self) {
        self.inbox().closed = true;
        self.news.notify_one();
    }

    /// What came since; waits for something, at most for `patience`, `None` without end.
    fn take(&self, patience: Option<Duration>) -> Mail {
        let mut inbox = self.inbox();
        if !inbox.closed && !inbox.changed && inbox.requests.is_empty() {
            inbox = match patience {
                None => self.news.wait(inbox).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => inbox,
                Some(patience) => {
                    self.news.wait_timeout(inbox, patience).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        if inbox.closed {
            return Mail::Closed;
        }
        inbox.changed = false;
        Mail::News(std::mem::take(&mut inbox.requests))
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
