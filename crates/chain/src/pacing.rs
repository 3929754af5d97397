//! When a block is proposed, and when a block from the future is looked at.
//!
//! The wait stands before the state machine, not inside its `propose`: there, building holds up the finalisation of the
//! parent.

use crate::{
    Block,
    application::{App, MAX_STEP},
    block::Context,
    ledger::Ledger,
    runtime::Runtime,
};
use commonware_consensus::{Application, marshal::ancestry::Ancestry, simplex::scheme::ed25519::Scheme};
use commonware_cryptography::Digested;
use commonware_glue::stateful::Mailbox;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How far another validator's clock may be ahead before its block has to wait.
const CLOCK_DRIFT: Duration = Duration::from_secs(2);

/// How often blocks come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Least time between a block and the next, when transactions wait.
    pub(crate) interval: Duration,
    /// Time after which an empty block is proposed.
    pub(crate) heartbeat: Duration,
}

/// The state machine, paced.
pub(crate) struct Paced<E: Runtime> {
    inner: Mailbox<E, App>,
    ledger: Arc<Ledger>,
    pace: Pace,
    /// When the newest block was seen first, by building it or by looking at it.
    seen: Arc<Mutex<SystemTime>>,
}

impl<E: Runtime> Clone for Paced<E> {
    fn clone(&self) -> Self {
        let Self { inner, ledger, pace, seen } = self;
        Self { inner: inner.clone(), ledger: ledger.clone(), pace: *pace, seen: seen.clone() }
    }
}

impl<E: Runtime> Paced<E> {
    pub(crate) fn new(inner: Mailbox<E, App>, ledger: Arc<Ledger>, pace: Pace) -> Self {
        Self { inner, ledger, pace, seen: Arc::new(Mutex::new(UNIX_EPOCH)) }
    }

    fn see(&self, now: SystemTime) {
        *self.seen.lock().expect("no code panics with this lock") = now;
    }

    /// What is left of the interval since the newest block: what that took to build or check counts.
    fn rest_of_interval(&self, now: SystemTime) -> Duration {
        let seen = *self.seen.lock().expect("no code panics with this lock");
        self.pace.interval.saturating_sub(now.duration_since(seen).unwrap_or_default())
    }
}

impl<E: Runtime> Application<E> for Paced<E> {
    type SigningScheme = Scheme;
    type Context = Context;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        (clock, context): (E, Context),
        ancestry: impl Ancestry<Block>,
        input: (),
    ) -> Option<Digested<Block>> {
        clock.sleep(self.rest_of_interval(clock.current())).await;
        let rest = self.pace.heartbeat.saturating_sub(self.pace.interval);
        tokio::select! {
            biased;
            () = self.ledger.pool.wait_ready() => {}
            () = clock.sleep(rest) => {}
        }
        self.see(clock.current());
        self.inner.propose((clock, context), ancestry, input).await
    }

    async fn verify(&mut self, (clock, context): (E, Context), ancestry: impl Ancestry<Block>) -> bool {
        if let Some(block) = ancestry.peek() {
            let due = UNIX_EPOCH + Duration::from_secs(block.inner().header().timestamp);
            let early = due.duration_since(clock.current()).unwrap_or_default();
            // Nobody needs to wait for a time that no block may have. That of block one has no bound.
            if early <= MAX_STEP || block.inner().number() <= 1 {
                clock.sleep(early.saturating_sub(CLOCK_DRIFT)).await;
            }
        }
        self.see(clock.current());
        self.inner.verify((clock, context), ancestry).await
    }
}
