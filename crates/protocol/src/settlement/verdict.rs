//! Verdicts: who may give one, until when, and what they add up to.

use std::cmp::Ordering;

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::{BatchStatus, ISettlement, StakeRole};
use openledger_types::addresses::SETTLEMENT;
use openledger_types::batch::{verdict_commitment, verdict_digest};

use super::decide::Dispute;
use super::panel::{all_assigned, commit_until, commits_closed_early, is_complete, panel, reveal_until};
use super::{BATCHES, TRACES, VERDICTS, known, need_status, sampling};
use crate::error::{Result, overflow, revert};
use crate::layout::{Slot, Word, place};
use crate::math::{add, half};
use crate::staking;
use crate::storage::{Storage, emit};

place! {
    pub(super) struct VerdictSlots {
        0: commitment: Slot<B256>,
        1: digest: Slot<B256>,
        2: state: Slot<State>,
        /// What the verifier had at stake when it committed, wei.
        3: stake: Slot<U256>,
        4: trace: Slot<B256>,
    }
}

/// How far a verdict is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Block of the commitment, 0 if there is none.
    pub(super) committed_at: u64,
    /// Block of the verifier's registration.
    pub(super) registered_at: u64,
    pub(super) revealed: bool,
    /// True if the digest that it revealed is the posted one.
    pub(super) agrees: bool,
    /// True if it was slashed for it.
    pub(super) punished: bool,
    /// True if it was paid for it.
    pub(super) paid: bool,
}

type PackedState = (u64, u64, bool, bool, bool, bool);

impl Word for State {
    const BITS: usize = PackedState::BITS;

    fn pack(self) -> U256 {
        let Self { committed_at, registered_at, revealed, agrees, punished, paid } = self;
        (committed_at, registered_at, revealed, agrees, punished, paid).pack()
    }

    fn unpack(word: U256) -> Self {
        let (committed_at, registered_at, revealed, agrees, punished, paid) = PackedState::unpack(word);
        Self { committed_at, registered_at, revealed, agrees, punished, paid }
    }
}

/// Commits a verdict to the panel that is asked.
///
/// # Errors
/// `UnknownBatch`, `WrongStatus` unless posted, `NotVerifier` unless an active verifier or validator since before the
/// post who is neither the operator nor the appellant, `NotAssigned` by the draw, `VerdictExists`, `WindowClosed`; `WindowOpen` in the block of the post
/// or appeal if there is a draw.
pub fn commit_verdict(
    storage: &mut dyn Storage,
    verifier: Address,
    batch: U256,
    commitment: B256,
) -> Result<()> {
    let stage = known(storage, batch)?;
    need_status(batch, &stage, BatchStatus::Posted)?;
    let asked = panel(batch, stage.round);
    let is_verifier = staking::is_active(storage, verifier, StakeRole::Verifier)?;
    let registered_at = staking::registered_at(storage, verifier)?;
    let eligible = is_verifier || staking::is_active(storage, verifier, StakeRole::Validator)?;
    // An operator is no verifier at the same time, but may have become one since the post.
    let operator = BATCHES.at(batch).operator.get(storage)?.0;
    let (appellant, _) = asked.appeal.get(storage)?;
    let is_party = verifier == operator || verifier == appellant;
    if !eligible || registered_at > stage.posted_at || is_party {
        return Err(revert(ISettlement::NotVerifier { caller: verifier }));
    }
    if !all_assigned(storage, &stage)? {
        sampling::drawn(storage, batch, &stage)?;
    }
    if !sampling::is_assigned(storage, batch, verifier)? {
        return Err(revert(ISettlement::NotAssigned { verifier, batch }));
    }
    let slots = VERDICTS.at(batch).at(stage.round).at(verifier);
    if slots.state.get(storage)?.committed_at != 0 {
        return Err(revert(ISettlement::VerdictExists { verifier }));
    }
    let now = storage.block().number;
    let mut tally = asked.tally.get(storage)?;
    let until = commit_until(storage, &stage, &tally)?;
    if now > until || commits_closed_early(storage, &stage, &tally)? {
        return Err(revert(ISettlement::WindowClosed { since: until.min(now) }));
    }
    slots.commitment.set(storage, commitment)?;
    let state = State { committed_at: now, registered_at, ..State::default() };
    slots.state.set(storage, state)?;
    let stake = staking::stake_of(storage, verifier)?;
    slots.stake.set(storage, stake)?;
    tally.committed = tally.committed.checked_add(1).ok_or_else(overflow)?;
    if is_verifier {
        tally.verifiers_committed = tally.verifiers_committed.checked_add(1).ok_or_else(overflow)?;
    }
    asked.tally.set(storage, tally)?;
    emit(storage, SETTLEMENT, &ISettlement::VerdictCommitted { batch, verifier, commitment })
}

/// Reveals a verdict: it agrees if the digest is that of the posted roots. The stake behind each trace of those who agree is
/// counted: whoever re-executed has the same one as all others who did.
///
/// # Errors
/// `UnknownBatch`, `WrongStatus` unless posted, `NoVerdict` of this verifier, `VerdictExists` if it is revealed already,
/// `WindowOpen` while others can still commit or in the block of the commitment, `WindowClosed`, `WrongReveal`.
pub fn reveal_verdict(
    storage: &mut dyn Storage,
    verifier: Address,
    batch: U256,
    digest: B256,
    trace: B256,
    salt: B256,
) -> Result<()> {
    let stage = known(storage, batch)?;
    need_status(batch, &stage, BatchStatus::Posted)?;
    let asked = panel(batch, stage.round);
    let mut tally = asked.tally.get(storage)?;
    let slots = VERDICTS.at(batch).at(stage.round).at(verifier);
    let state = slots.state.get(storage)?;
    let State { committed_at, registered_at, .. } = state;
    if committed_at == 0 {
        return Err(revert(ISettlement::NoVerdict { verifier }));
    }
    if state.revealed {
        return Err(revert(ISettlement::VerdictExists { verifier }));
    }
    let now = storage.block().number;
    let commit_until = commit_until(storage, &stage, &tally)?;
    if now <= commit_until && !commits_closed_early(storage, &stage, &tally)? {
        return Err(revert(ISettlement::WindowOpen { until: commit_until }));
    }
    if now <= committed_at {
        return Err(revert(ISettlement::WindowOpen { until: committed_at }));
    }
    let until = reveal_until(storage, &stage, &tally)?;
    if now > until {
        return Err(revert(ISettlement::WindowClosed { since: until }));
    }
    let commitment = slots.commitment.get(storage)?;
    let got = verdict_commitment(verifier, registered_at, batch, digest, trace, salt);
    if got != commitment {
        return Err(revert(ISettlement::WrongReveal { commitment, got }));
    }
    slots.digest.set(storage, digest)?;
    slots.trace.set(storage, trace)?;
    let posted = BATCHES.at(batch);
    let agrees = digest
        == verdict_digest(
            posted.receipts_root.get(storage)?,
            posted.payouts_root.get(storage)?,
            posted.file_hash.get(storage)?,
        );
    slots.state.set(storage, State { revealed: true, agrees, ..state })?;
    let count = if agrees { &mut tally.agree } else { &mut tally.disagree };
    *count = count.checked_add(1).ok_or_else(overflow)?;
    asked.tally.set(storage, tally)?;
    let stake = slots.stake.get(storage)?;
    let (mut agree, mut disagree) = asked.stakes.get(storage)?;
    let side = if agrees { &mut agree } else { &mut disagree };
    *side = half(add(U256::from(*side), stake)?)?;
    asked.stakes.set(storage, (agree, disagree))?;
    if agrees {
        let behind = TRACES.at(batch).at(stage.round).at(trace);
        lead(storage, behind, asked.leading, stake)?;
    }
    if is_complete(storage, &stage, &tally)? {
        let dispute = posted.dispute.get(storage)?;
        posted.dispute.set(storage, Dispute { quiet_since: dispute.quiet_since.max(now), ..dispute })?;
    }
    emit(storage, SETTLEMENT, &ISettlement::VerdictRevealed { batch, verifier, digest, agrees })
}

/// Counts the stake behind a trace, `behind`, and which traces lead: the most stake behind one, and that behind all with so much.
pub(super) fn lead(
    storage: &mut dyn Storage,
    behind: Slot<U256>,
    leading: Slot<(u128, u128)>,
    stake: U256,
) -> Result<()> {
    let stake = add(behind.get(storage)?, stake)?;
    behind.set(storage, stake)?;
    let (most, together) = leading.get(storage)?;
    let stake = half(stake)?;
    match stake.cmp(&most) {
        Ordering::Less => Ok(()),
        Ordering::Equal => leading.set(storage, (most, together.saturating_add(stake))),
        Ordering::Greater => leading.set(storage, (stake, stake)),
    }
}

/// True if a verifier who agreed met something else on the way than those with more stake who agreed, too.
///
/// # Errors
/// Those of the storage.
pub(super) fn is_led_astray(
    storage: &mut dyn Storage,
    batch: U256,
    round: u32,
    verifier: Address,
) -> Result<bool> {
    let trace = VERDICTS.at(batch).at(round).at(verifier).trace.get(storage)?;
    let behind = TRACES.at(batch).at(round).at(trace).get(storage)?;
    Ok(behind < U256::from(panel(batch, round).leading.get(storage)?.0))
}

/// A verdict of the panel that was asked last: its commitment, and its digest once revealed; zeros if there is none.
///
/// # Errors
/// Those of the storage.
pub fn verdict(storage: &mut dyn Storage, batch: U256, verifier: Address) -> Result<(B256, B256)> {
    let round = BATCHES.at(batch).stage.get(storage)?.round;
    let slots = VERDICTS.at(batch).at(round).at(verifier);
    Ok((slots.commitment.get(storage)?, slots.digest.get(storage)?))
}
