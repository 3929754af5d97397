//! Whole networks in one thread: the real validator on simulated time, storage and links, by seed.
//!
//! Every member runs what a validator process runs: pool, gossip, execution, state store, index, consensus. Simulated are
//! the clock, the disk (which outlives a crash), the links (delay, jitter, loss, cuts) and the handshake between peers.
//! The journal of a client's transactions is left out: clients here ask again.
//!
//! ```text
//! Scenario ─► Network (one Member each) ─► commonware's simulation of links and crashes ─► View of every honest member
//! ```
//!
//! The same scenario gives the same run, event for event; [`Ended::trace`] is the hash of them all. What must hold of
//! the views is for the caller to check, except that no two honest members may finalise different blocks at one height,
//! which ends a run at once.

mod byzantine;
mod exit;
mod member;
mod replay;
mod scenario;
mod traffic;
mod view;

pub use byzantine::{Alteration, Byzantine};
pub use replay::{Replayed, replay};
pub use scenario::{Event, Link, Scenario};
pub use view::{StateAt, View};

use crate::start::{STACK_BYTES, panic_text};
use commonware_glue::simulate::plan::PlanBuilder;
use exit::Recovered;
use member::Network;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    thread,
};
use view::Collect;

/// A run that ended as it should: every honest member went on after the last disturbance.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What each honest member holds.
    pub views: Vec<View>,
    /// Hash of all events in their order.
    pub trace: String,
    /// Crashes that happened.
    pub crashes: u64,
    /// Transactions that clients sent.
    pub sent: usize,
}

/// Runs a scenario to its end.
///
/// # Errors
/// Why it did not end: [`Failure`].
pub fn run(scenario: &Scenario) -> Result<Ended, Failure> {
    // All members' tasks are polled on one stack.
    thread::scope(|scope| {
        let player = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || play(scenario));
        let player = player.map_err(|error| Failure::Other(error.to_string()))?;
        player.join().unwrap_or_else(|panic| Err(Failure::Panic(panic_text(panic.as_ref()))))
    })
}

fn play(scenario: &Scenario) -> Result<Ended, Failure> {
    let views = Arc::new(Mutex::new(Vec::new()));
    let network = Network::new(scenario.clone()).map_err(Failure::Scenario)?;
    let sent = network.sent();
    let builder = PlanBuilder::new(network.clone())
        .seed(scenario.seed)
        .link(scenario.link.into())
        .exit_condition(Recovered::new(scenario))
        .timeout(scenario.healed + scenario.patience * 2)
        .property(Collect { views: views.clone() });
    let builder = match network.schedule() {
        Some(schedule) => builder.crash(schedule),
        None => builder,
    };
    let plan = builder.build();
    let ran = catch_unwind(AssertUnwindSafe(|| plan.run()));
    let result = ran.map_err(|panic| Failure::Panic(panic_text(panic.as_ref())))?.map_err(Failure::from)?;
    let mut views = std::mem::take(&mut *views.lock().expect("no code panics with this lock"));
    views.sort_by_key(|view: &View| view.member);
    Ok(Ended { views, trace: result.state, crashes: result.crashes, sent })
}

/// Why a run did not end as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The scenario cannot be run.
    #[error("the scenario cannot be run: {0}")]
    Scenario(String),
    /// Two honest members finalised different blocks.
    #[error("agreement: {0}")]
    Fork(String),
    /// The honest members did not go on after the last disturbance.
    #[error("liveness: {0}")]
    Stuck(String),
    /// A member could not go on.
    #[error("a member stopped: {0}")]
    Panic(String),
    /// The simulation itself failed.
    #[error("{0}")]
    Other(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        if reason.contains("fork detected") {
            Self::Fork(reason)
        } else if reason.contains(exit::NAME) {
            Self::Stuck(reason)
        } else {
            Self::Other(reason)
        }
    }
}
