//! Votes of one validator that contradict each other, which no honest one ever signs, also after a crash.

use crate::ledger::Ledger;
use alloy_primitives::B256;
use commonware_actor::Feedback;
use commonware_codec::{Copying, Encode, ReadExt};
use commonware_consensus::{
    Epochable, Reporter, Viewable,
    simplex::{
        scheme::ed25519::Scheme,
        types::{Activity, Attributable, Finalize, Notarize, Nullify, Proposal},
    },
};
use commonware_cryptography::{
    certificate::{Attestation, Scheme as _},
    keccak256::Digest,
};
use openledger_types::abi::{DoubleSign, Vote, VoteKind};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
};

/// Double votes that may wait. Each is of another key or epoch.
const MAX_WAITING: usize = 256;

/// Double votes that wait for a block to punish them, by key and epoch.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    waiting: Mutex<BTreeMap<(B256, u64), DoubleSign>>,
}

impl Evidence {
    fn add(&self, double: DoubleSign) {
        let mut waiting = self.waiting.lock().expect("no code panics with this lock");
        if waiting.len() < MAX_WAITING {
            waiting.entry((double.key, double.epoch)).or_insert(double);
        }
    }

    /// At most so many of them.
    pub(crate) fn some(&self, count: usize) -> Vec<DoubleSign> {
        let waiting = self.waiting.lock().expect("no code panics with this lock");
        waiting.values().take(count).cloned().collect()
    }

    /// Drops those of the same keys and epochs.
    pub(crate) fn forget<'d>(&self, doubles: impl IntoIterator<Item = &'d DoubleSign>) {
        let mut waiting = self.waiting.lock().expect("no code panics with this lock");
        for double in doubles {
            waiting.remove(&(double.key, double.epoch));
        }
    }
}

/// Counts and logs the evidence that the consensus of an epoch finds, and keeps it for the next block of this node.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) ledger: Arc<Ledger>,
    /// Who votes in the epoch.
    pub(crate) scheme: Arc<Scheme>,
}

impl Reporter for Watch {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        let (what, double) = match &activity {
            Activity::ConflictingNotarize(pair) => {
                ("notarised two blocks of one view", self.double(pair, [notarize, notarize]))
            }
            Activity::ConflictingFinalize(pair) => {
                ("finalised two blocks of one view", self.double(pair, [finalize, finalize]))
            }
            Activity::NullifyFinalize(pair) => {
                ("finalised a view that it had given up", self.double(pair, [nullify, finalize]))
            }
            _ => return Feedback::Ok,
        };
        self.ledger.faults.fetch_add(1, Ordering::Relaxed);
        tracing::error!(evidence = ?activity, "a validator {what}");
        if let Some(double) = double {
            self.ledger.evidence.add(double);
        }
        Feedback::Ok
    }
}

/// Reads one vote off the front of an encoded pair.
type ReadVote = fn(&mut Copying<'_>) -> Option<Vote>;

impl Watch {
    /// The evidence as the staking module takes it. Its parts have no other way out than their encoding.
    fn double(
        &self,
        pair: &(impl Attributable + Epochable + Viewable + Encode),
        votes: [ReadVote; 2],
    ) -> Option<DoubleSign> {
        let key = self.scheme.participants().get(pair.signer().into())?;
        let encoded = pair.encode();
        let mut rest = Copying(&encoded);
        let [first, second] = votes;
        Some(DoubleSign {
            key: B256::from_slice(key.as_ref()),
            epoch: pair.epoch().get(),
            viewNumber: pair.view().get(),
            first: first(&mut rest)?,
            second: second(&mut rest)?,
        })
    }
}

fn vote(kind: VoteKind, proposal: Option<&Proposal<Digest>>, by: &Attestation<Scheme>) -> Option<Vote> {
    let (parent, payload) =
        proposal.map_or((0, B256::ZERO), |of| (of.parent.get(), crate::block::hash(&of.payload)));
    let signature = by.signature.get()?.encode().to_vec().into();
    Some(Vote { kind, parent, payload, signature })
}

fn notarize(pair: &mut Copying<'_>) -> Option<Vote> {
    let read = Notarize::<Scheme, Digest>::read(pair).ok()?;
    vote(VoteKind::Notarize, Some(&read.proposal), &read.attestation)
}

fn finalize(pair: &mut Copying<'_>) -> Option<Vote> {
    let read = Finalize::<Scheme, Digest>::read(pair).ok()?;
    vote(VoteKind::Finalize, Some(&read.proposal), &read.attestation)
}

fn nullify(pair: &mut Copying<'_>) -> Option<Vote> {
    let read = Nullify::<Scheme>::read(pair).ok()?;
    vote(VoteKind::Nullify, None, &read.attestation)
}

#[cfg(test)]
mod tests;
