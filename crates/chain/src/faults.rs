//! Votes of one validator that contradict each other, which no honest one ever signs, also after a crash.

use crate::ledger::Ledger;
use commonware_actor::Feedback;
use commonware_consensus::{
    Reporter,
    simplex::{scheme::ed25519::Scheme, types::Activity},
};
use commonware_cryptography::keccak256::Digest;
use std::sync::{Arc, atomic::Ordering};

/// Counts and logs the evidence that consensus finds.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) ledger: Arc<Ledger>,
}

impl Reporter for Watch {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        let what = match activity {
            Activity::ConflictingNotarize(_) => "notarised two blocks of one view",
            Activity::ConflictingFinalize(_) => "finalised two blocks of one view",
            Activity::NullifyFinalize(_) => "finalised a view that it had given up",
            _ => return Feedback::Ok,
        };
        self.ledger.faults.fetch_add(1, Ordering::Relaxed);
        tracing::error!(evidence = ?activity, "a validator {what}");
        Feedback::Ok
    }
}
