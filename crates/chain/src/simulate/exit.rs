//! When a run is over: every honest member has gone on after the last disturbance, and nobody's transaction is left.

use super::{member::State, scenario::Scenario, traffic};
use alloy_consensus::TxEnvelope;
use commonware_cryptography::ed25519::PublicKey;
use commonware_glue::simulate::{exit::ExitCondition, tracker::ProgressTracker};
use commonware_runtime::Clock;
use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

pub(super) const NAME: &str = "recovered";

#[derive(Clone)]
pub(super) struct Recovered {
    honest: usize,
    healed: Duration,
    deadline: Duration,
    blocks_after: u64,
    transactions: Arc<Vec<TxEnvelope>>,
    /// The highest head when everything was healed.
    from: Arc<Mutex<Option<u64>>>,
}

impl Recovered {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let transactions = scenario.transactions.iter().map(|(_, transaction)| transaction.clone());
        Self {
            honest: scenario.keys.len() - scenario.byzantine.len(),
            healed: scenario.healed,
            deadline: scenario.healed + scenario.patience,
            blocks_after: scenario.blocks_after,
            transactions: Arc::new(transactions.collect()),
            from: Arc::default(),
        }
    }

    fn check(&self, states: &[&State]) -> Result<bool, String> {
        let honest: Vec<_> = states.iter().filter_map(|state| state.honest()).collect();
        let Some(first) = honest.first() else { return Ok(false) };
        let now = first.clock.current().duration_since(UNIX_EPOCH).unwrap_or_default();
        if now < self.healed {
            return Ok(false);
        }
        let heads: Vec<u64> = honest.iter().map(|member| member.ledger.head().header.number).collect();
        let from = *self
            .from
            .lock()
            .expect("no code panics with this lock")
            .get_or_insert_with(|| heads.iter().copied().max().unwrap_or_default());
        let target = from + self.blocks_after;
        let waiting = |ledger| self.transactions.iter().filter(|tx| !traffic::is_final(ledger, tx)).count();
        let lowest = heads.iter().copied().min().unwrap_or_default();
        let reached = honest.len() == self.honest && lowest >= target;
        if reached && honest.iter().all(|member| waiting(&member.ledger) == 0) {
            return Ok(true);
        }
        if now > self.deadline {
            let left: Vec<usize> = honest.iter().map(|member| waiting(&member.ledger)).collect();
            return Err(format!(
                "{now:?} after the start, healed at {:?}, the {} of {} honest members that run are at the heights \
                 {heads:?} and should be at {target}; {left:?} of {} transactions are not final",
                self.healed,
                honest.len(),
                self.honest,
                self.transactions.len()
            ));
        }
        Ok(false)
    }
}

impl ExitCondition<PublicKey, State> for Recovered {
    fn name(&self) -> &str {
        NAME
    }

    fn requires_polling(&self) -> bool {
        true
    }

    fn reached<'a>(
        &'a self,
        _tracker: &'a ProgressTracker<PublicKey>,
        states: &'a [&'a State],
        _target: usize,
    ) -> Pin<Box<dyn Future<Output = Result<bool, String>> + Send + 'a>> {
        Box::pin(async move { self.check(states) })
    }
}
