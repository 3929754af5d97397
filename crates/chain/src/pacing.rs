//! When a block is proposed, and when a block from the future is looked at.
//!
//! The wait stands before the state machine, not inside its `propose`: there, building holds up the finalisation of the
//! parent.

use crate::{Block, application::App, block::Context, ledger::Ledger};
use commonware_consensus::{Application, marshal::ancestry::Ancestry, simplex::scheme::ed25519::Scheme};
use commonware_cryptography::Digested;
use commonware_glue::stateful::Mailbox;
use commonware_runtime::{Clock, tokio};
use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
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
#[derive(Clone)]
pub(crate) struct Paced {
    pub(crate) inner: Mailbox<tokio::Context, App>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) pace: Pace,
}

impl Application<tokio::Context> for Paced {
    type SigningScheme = Scheme;
    type Context = Context;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        (clock, context): (tokio::Context, Context),
        ancestry: impl Ancestry<Block>,
        input: (),
    ) -> Option<Digested<Block>> {
        clock.sleep(self.pace.interval).await;
        let rest = self.pace.heartbeat.saturating_sub(self.pace.interval);
        ::tokio::select! {
            () = self.ledger.pool.wait_ready() => {}
            () = clock.sleep(rest) => {}
        }
        self.inner.propose((clock, context), ancestry, input).await
    }

    async fn verify(
        &mut self,
        (clock, context): (tokio::Context, Context),
        ancestry: impl Ancestry<Block>,
    ) -> bool {
        if let Some(block) = ancestry.peek() {
            let due = UNIX_EPOCH + Duration::from_secs(block.inner().header().timestamp);
            let early = due.duration_since(clock.current()).unwrap_or_default();
            clock.sleep(early.saturating_sub(CLOCK_DRIFT)).await;
        }
        self.inner.verify((clock, context), ancestry).await
    }
}
