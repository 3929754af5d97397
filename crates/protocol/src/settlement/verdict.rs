//! Verdicts: who may give one, until when, and what they add up to.

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::{BatchStatus, ISettlement, StakeRole};
use openledger_types::addresses::SETTLEMENT;
use openledger_types::batch::{verdict_commitment, verdict_digest};

use super::decide::Dispute;
use super::{BATCHES, TRACES, VERDICTS, known, need_status, sampling};
use crate::error::{Result, overflow, revert};
use crate::layout::{Slot, Word, place};
use crate::math::{add, half};
use crate::params;
use crate::staking;
use crate::storage::{Storage, emit};

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) status: BatchStatus,
    /// Block of the post.
    pub(super) posted_at: u64,
    /// Verdicts revealed that agree.
    pub(super) agree: u32,
    /// Verdicts revealed that do not.
    pub(super) disagree: u32,
    /// Verifiers who were bonded at the post.
    pub(super) verifiers: u32,
    /// How many of them have committed.
    pub(super) verifiers_committed: u32,
    /// Commitments, of verifiers and validators.
    pub(super) committed: u32,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            status: BatchStatus::None,
            posted_at: 0,
            agree: 0,
            disagree: 0,
            verifiers: 0,
            verifiers_committed: 0,
            committed: 0,
        }
    }
}

type Packed = (BatchStatus, u64, u32, u32, u32, u32, u32);

impl Word for Progress {
    const BITS: usize = Packed::BITS;

    fn pack(self) -> U256 {
        let Self { status, posted_at, agree, disagree, verifiers, verifiers_committed, committed } = self;
        (status, posted_at, agree, disagree, verifiers, verifiers_committed, committed).pack()
    }

    fn unpack(word: U256) -> Self {
        let (status, posted_at, agree, disagree, verifiers, verifiers_committed, committed) =
            Packed::unpack(word);
        Self { status, posted_at, agree, disagree, verifiers, verifiers_committed, committed }
    }
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Block of the commitment, 0 if there is none.
    pub(super) committed_at: u64,
    /// Block of the verifier's registration.
    pub(super) registered_at: u64,
    pub(super) revealed: bool,
    /// True if it was slashed for it.
    pub(super) punished: bool,
}

type PackedState = (u64, u64, bool, bool);

impl Word for State {
    const BITS: usize = PackedState::BITS;

    fn pack(self) -> U256 {
        (self.committed_at, self.registered_at, self.revealed, self.punished).pack()
    }

    fn unpack(word: U256) -> Self {
        let (committed_at, registered_at, revealed, punished) = PackedState::unpack(word);
        Self { committed_at, registered_at, revealed, punished }
    }
}

/// True if every verifier bonded at the post has committed, so that nobody else needs to be waited for.
fn commits_closed_early(storage: &mut dyn Storage, batch: U256, progress: &Progress) -> Result<bool> {
    let everybody = progress.verifiers > 0 && progress.verifiers_committed >= progress.verifiers;
    Ok(everybody && sampling::all_assigned(storage, batch)?)
}

/// True if moreover every commitment is revealed.
pub(super) fn is_complete(storage: &mut dyn Storage, batch: U256, progress: &Progress) -> Result<bool> {
    let revealed = progress.agree.saturating_add(progress.disagree) >= progress.committed;
    Ok(revealed && commits_closed_early(storage, batch, progress)?)
}

/// The last block in which verdicts can be committed.
fn commit_until(storage: &mut dyn Storage, progress: &Progress) -> Result<u64> {
    Ok(progress.posted_at.saturating_add(params::get_u64(storage, "verify_window")?))
}

/// The last block in which verdicts can be revealed.
pub(super) fn reveal_until(storage: &mut dyn Storage, progress: &Progress) -> Result<u64> {
    let commit_until = commit_until(storage, progress)?;
    Ok(commit_until.saturating_add(params::get_u64(storage, "reveal_window")?))
}

/// Commits a verdict.
///
/// # Errors
/// `UnknownBatch`, `WrongStatus` unless posted, `NotVerifier` unless an active verifier or validator since before the
/// post, `NotAssigned` by the draw, `VerdictExists`, `WindowClosed`; `WindowOpen` in the block of the post if there is a
/// draw.
pub fn commit_verdict(
    storage: &mut dyn Storage,
    verifier: Address,
    batch: U256,
    commitment: B256,
) -> Result<()> {
    let mut progress = known(storage, batch)?;
    need_status(batch, &progress, BatchStatus::Posted)?;
    let is_verifier = staking::is_active(storage, verifier, StakeRole::Verifier)?;
    let registered_at = staking::registered_at(storage, verifier)?;
    let eligible = is_verifier || staking::is_active(storage, verifier, StakeRole::Validator)?;
    // An operator is no verifier at the same time, but may have become one since the post.
    let operator = BATCHES.at(batch).operator.get(storage)?.0;
    if !eligible || registered_at > progress.posted_at || verifier == operator {
        return Err(revert(ISettlement::NotVerifier { caller: verifier }));
    }
    if !sampling::all_assigned(storage, batch)? {
        sampling::drawn(storage, batch, &progress)?;
    }
    if !sampling::is_assigned(storage, batch, verifier)? {
        return Err(revert(ISettlement::NotAssigned { verifier, batch }));
    }
    let slots = VERDICTS.at(batch).at(verifier);
    if slots.state.get(storage)?.committed_at != 0 {
        return Err(revert(ISettlement::VerdictExists { verifier }));
    }
    let now = storage.block().number;
    let until = commit_until(storage, &progress)?;
    if now > until || commits_closed_early(storage, batch, &progress)? {
        return Err(revert(ISettlement::WindowClosed { since: until.min(now) }));
    }
    slots.commitment.set(storage, commitment)?;
    let state = State { committed_at: now, registered_at, revealed: false, punished: false };
    slots.state.set(storage, state)?;
    let stake = staking::stake_of(storage, verifier)?;
    slots.stake.set(storage, stake)?;
    progress.committed = progress.committed.checked_add(1).ok_or_else(overflow)?;
    if is_verifier {
        progress.verifiers_committed = progress.verifiers_committed.checked_add(1).ok_or_else(overflow)?;
    }
    BATCHES.at(batch).progress.set(storage, progress)?;
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
    let mut progress = known(storage, batch)?;
    need_status(batch, &progress, BatchStatus::Posted)?;
    let slots = VERDICTS.at(batch).at(verifier);
    let state = slots.state.get(storage)?;
    let State { committed_at, registered_at, .. } = state;
    if committed_at == 0 {
        return Err(revert(ISettlement::NoVerdict { verifier }));
    }
    if state.revealed {
        return Err(revert(ISettlement::VerdictExists { verifier }));
    }
    let now = storage.block().number;
    let commit_until = commit_until(storage, &progress)?;
    if now <= commit_until && !commits_closed_early(storage, batch, &progress)? {
        return Err(revert(ISettlement::WindowOpen { until: commit_until }));
    }
    if now <= committed_at {
        return Err(revert(ISettlement::WindowOpen { until: committed_at }));
    }
    let until = reveal_until(storage, &progress)?;
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
    slots.state.set(storage, State { revealed: true, ..state })?;
    let posted = BATCHES.at(batch);
    let agrees = digest
        == verdict_digest(
            posted.receipts_root.get(storage)?,
            posted.payouts_root.get(storage)?,
            posted.file_hash.get(storage)?,
        );
    let count = if agrees { &mut progress.agree } else { &mut progress.disagree };
    *count = count.checked_add(1).ok_or_else(overflow)?;
    posted.progress.set(storage, progress)?;
    let stake = slots.stake.get(storage)?;
    let (mut agree, mut disagree) = posted.stakes.get(storage)?;
    let side = if agrees { &mut agree } else { &mut disagree };
    *side = half(add(U256::from(*side), stake)?)?;
    posted.stakes.set(storage, (agree, disagree))?;
    if agrees {
        let behind = TRACES.at(batch).at(trace);
        let stake = add(behind.get(storage)?, stake)?;
        behind.set(storage, stake)?;
        let most = posted.leading_trace.get(storage)?;
        posted.leading_trace.set(storage, most.max(stake))?;
    }
    if is_complete(storage, batch, &progress)? {
        let dispute = posted.dispute.get(storage)?;
        posted.dispute.set(storage, Dispute { quiet_since: dispute.quiet_since.max(now), ..dispute })?;
    }
    emit(storage, SETTLEMENT, &ISettlement::VerdictRevealed { batch, verifier, digest, agrees })
}

/// True if a verifier who agreed met something else on the way than those with more stake who agreed, too.
///
/// # Errors
/// Those of the storage.
pub(super) fn is_led_astray(storage: &mut dyn Storage, batch: U256, verifier: Address) -> Result<bool> {
    let trace = VERDICTS.at(batch).at(verifier).trace.get(storage)?;
    let behind = TRACES.at(batch).at(trace).get(storage)?;
    Ok(behind < BATCHES.at(batch).leading_trace.get(storage)?)
}

/// A verdict: its commitment, and its digest once revealed; zeros if there is none.
///
/// # Errors
/// Those of the storage.
pub fn verdict(storage: &mut dyn Storage, batch: U256, verifier: Address) -> Result<(B256, B256)> {
    let slots = VERDICTS.at(batch).at(verifier);
    Ok((slots.commitment.get(storage)?, slots.digest.get(storage)?))
}
