//! Challenges: a dispute over a batch, bisected to one step that one re-execution decides.
//!
//! A batch is a computation of `n = receipts + steps` steps (see [`challenge_start`]), of which the posted `steps` settle the answers: the state
//! before it is agreed, and the state after it is the posted digest, which the challenger denies. Let `[low, high]` be steps after which both sides agree
//! and differ.
//!
//! ```text
//! challenge ──> Bisecting ──bisect──> Choosing ──choose──> Bisecting … ──> Judging ──resolve──> OperatorWon
//!                   └ operator is late: ChallengerWon  └ challenger is late: OperatorWon      ├─> ChallengerWon
//!                                                                                             └─> Undecided
//! ```
//!
//! The operator states the state halfway; the challenger says whether it is right, which leaves one half. Every move takes
//! at most `move_window` blocks, and there are at most `2 · log2(n)` of them. When one step is left, verifiers and
//! validators who were bonded before the challenge re-execute it, commit to a verdict for `verify_window` blocks and reveal
//! it for `reveal_window` more; the stake behind the verdicts decides. The loser pays the winner: the bond goes to an
//! operator who won; a challenger who won has the bond back and as much again out of what the operator's slash took (of
//! whose rest the verdicts that were right have their pay), and the batch is refused. Without a verdict the bond goes back and nothing is decided.
//!
//! What judges earn and risk stands in `judges.rs`.
//!
//! There is one open challenge of a batch at a time. When it ends and the batch stands, `challenge_window` starts anew, so
//! that a challenge meant to be lost keeps nobody else from making a better one.

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::{BatchStatus, Challenge, ChallengeStatus as Status, ISettlement};
use openledger_types::addresses::SETTLEMENT;
use openledger_types::amount::ppm_of;
use openledger_types::batch::{challenge_start, verdict_digest};

use super::decide::{Prize, refuse};
use super::panel::{Decision, Stage};
use super::{BATCHES, judges, known, need_status};
use crate::error::{Result, overflow, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::{add, half, sub};
use crate::params;
use crate::storage::{Storage, emit};

place! {
    pub(super) struct ChallengeSlots {
        0: batch: Slot<U256>,
        /// Challenger, block of the challenge.
        1: challenger: Slot<(Address, u64)>,
        /// Status, low, high, last block of the move that is due.
        2: position: Slot<(Status, u32, u32, u64)>,
        3: low_state: Slot<B256>,
        4: high_state: Slot<B256>,
        5: middle_state: Slot<B256>,
        6: bond: Slot<U256>,
        /// Stake behind the verdicts for the operator and against it, wei.
        7: stakes: Slot<(u128, u128)>,
        /// What verdicts have still to be paid, wei, and the stake behind those, wei.
        8: pot: Slot<(u128, u128)>,
        /// For the operator: the most stake behind one trace, and the stake behind all traces with that much, wei.
        9: leading_upheld: Slot<(u128, u128)>,
        /// Against it.
        10: leading_refuted: Slot<(u128, u128)>,
    }
}

const COUNT: Slot<u64> = Slot::new(SETTLEMENT, 5);
pub(super) const CHALLENGES: Mapping<u64, ChallengeSlots> = Mapping::new(SETTLEMENT, 6);

/// Disputes a batch with a bond, which the module has received.
///
/// # Errors
/// `UnknownBatch`, `WrongStatus` unless posted, `ChallengeOpen`, `WrongBond`.
pub fn challenge(storage: &mut dyn Storage, challenger: Address, batch: U256, bond: U256) -> Result<U256> {
    let progress = known(storage, batch)?;
    need_status(batch, &progress, BatchStatus::Posted)?;
    let posted = BATCHES.at(batch);
    let mut dispute = posted.dispute.get(storage)?;
    if dispute.open != 0 {
        return Err(revert(ISettlement::ChallengeOpen { challenge: U256::from(dispute.open) }));
    }
    let needed = params::get(storage, params::param_name("challenge_bond"))?;
    if bond != needed {
        return Err(revert(ISettlement::WrongBond { bond, needed }));
    }
    let id = COUNT.get(storage)?.checked_add(1).ok_or_else(overflow)?;
    COUNT.set(storage, id)?;
    dispute.open = id;
    posted.dispute.set(storage, dispute)?;
    let (_, _, receipts) = posted.operator.get(storage)?;
    let (_, _, steps) = posted.burn.get(storage)?;
    let file_hash = posted.file_hash.get(storage)?;
    let claimed =
        verdict_digest(posted.receipts_root.get(storage)?, posted.payouts_root.get(storage)?, file_hash);
    let now = storage.block().number;
    let deadline = move_until(storage, &progress)?;
    let slots = CHALLENGES.at(id);
    slots.batch.set(storage, batch)?;
    slots.challenger.set(storage, (challenger, now))?;
    slots.position.set(storage, (Status::Bisecting, 0, receipts.saturating_add(steps), deadline))?;
    slots.low_state.set(storage, challenge_start(file_hash))?;
    slots.high_state.set(storage, claimed)?;
    slots.bond.set(storage, bond)?;
    let challenge = U256::from(id);
    emit(storage, SETTLEMENT, &ISettlement::Challenged { challenge, batch, challenger, bond })?;
    Ok(challenge)
}

/// States the state halfway, as the operator.
///
/// # Errors
/// `UnknownChallenge`, `WrongChallengeStatus` unless bisecting, `NotYourMove`, `WindowClosed`.
pub fn bisect(storage: &mut dyn Storage, caller: Address, challenge: U256, state: B256) -> Result<()> {
    let id = number(storage, challenge)?;
    let slots = CHALLENGES.at(id);
    let (_, low, high, deadline) = need(storage, id, Status::Bisecting)?;
    let batch = slots.batch.get(storage)?;
    let (operator, _, _) = BATCHES.at(batch).operator.get(storage)?;
    in_time(storage, caller, operator, deadline)?;
    let stage = known(storage, batch)?;
    let until = move_until(storage, &stage)?;
    slots.middle_state.set(storage, state)?;
    slots.position.set(storage, (Status::Choosing, low, high, until))?;
    emit(storage, SETTLEMENT, &ISettlement::Bisected { challenge, middle: low.midpoint(high), state })
}

/// Says whether the state halfway is right, as the challenger.
///
/// # Errors
/// `UnknownChallenge`, `WrongChallengeStatus` unless choosing, `NotYourMove`, `WindowClosed`.
pub fn choose(storage: &mut dyn Storage, caller: Address, challenge: U256, agrees: bool) -> Result<()> {
    let id = number(storage, challenge)?;
    let slots = CHALLENGES.at(id);
    let (_, mut low, mut high, deadline) = need(storage, id, Status::Choosing)?;
    let (challenger, _) = slots.challenger.get(storage)?;
    in_time(storage, caller, challenger, deadline)?;
    let middle = slots.middle_state.get(storage)?;
    if agrees {
        low = low.midpoint(high);
        slots.low_state.set(storage, middle)?;
    } else {
        high = low.midpoint(high);
        slots.high_state.set(storage, middle)?;
    }
    slots.middle_state.set(storage, B256::ZERO)?;
    let batch = slots.batch.get(storage)?;
    let stage = known(storage, batch)?;
    let (status, until) = if high.saturating_sub(low) == 1 {
        let window = params::get_u64_at(storage, "verify_window", stage.settled_at)?;
        (Status::Judging, storage.block().number.saturating_add(window))
    } else {
        (Status::Bisecting, move_until(storage, &stage)?)
    };
    slots.position.set(storage, (status, low, high, until))?;
    emit(storage, SETTLEMENT, &ISettlement::Chosen { challenge, agrees, low, high })
}

/// Ends a challenge by who missed a move, or by the stake behind the verdicts.
///
/// # Errors
/// `UnknownChallenge`, `WrongChallengeStatus` if it is over, `WindowOpen` while there is time to move, commit or reveal.
pub fn resolve(storage: &mut dyn Storage, challenge: U256) -> Result<()> {
    let id = number(storage, challenge)?;
    let slots = CHALLENGES.at(id);
    let (status, low, high, deadline) = slots.position.get(storage)?;
    let until = if status == Status::Judging { judged_until(storage, id, deadline)? } else { deadline };
    let end = match status {
        Status::Bisecting => Status::ChallengerWon,
        Status::Choosing => Status::OperatorWon,
        Status::Judging => match slots.stakes.get(storage)? {
            (upheld, refuted) if upheld > refuted => Status::OperatorWon,
            (upheld, refuted) if upheld < refuted => Status::ChallengerWon,
            _ => Status::Undecided,
        },
        _ => return Err(revert(ISettlement::WrongChallengeStatus { challenge, status })),
    };
    if storage.block().number <= until {
        return Err(revert(ISettlement::WindowOpen { until }));
    }
    slots.position.set(storage, (end, low, high, deadline))?;
    let judged = if status == Status::Judging { low.saturating_add(1) } else { 0 };
    close(storage, id, end, judged)
}

/// Pays the winner and leaves the batch to its verdicts, or refuses it. The number of the step, from 1 on, is that which judges decided.
fn close(storage: &mut dyn Storage, id: u64, end: Status, step: u32) -> Result<()> {
    let slots = CHALLENGES.at(id);
    let batch = slots.batch.get(storage)?;
    let (challenger, _) = slots.challenger.get(storage)?;
    let bond = slots.bond.get(storage)?;
    let posted = BATCHES.at(batch);
    let (operator, _, _) = posted.operator.get(storage)?;
    let mut dispute = posted.dispute.get(storage)?;
    dispute.open = 0;
    dispute.quiet_since = storage.block().number;
    dispute.refuted = end == Status::ChallengerWon;
    dispute.false_step = if dispute.refuted { step } else { 0 };
    posted.dispute.set(storage, dispute)?;
    let right = judges::right_stake(storage, id, end)?;
    let stage = known(storage, batch)?;
    let share = params::get_ppm_at(storage, "verifier_share", stage.settled_at)?;
    let wanted = if right == 0 { U256::ZERO } else { ppm_of(bond, share) };
    let (paid, pot) = match end {
        Status::OperatorWon => {
            let paid = sub(bond, wanted)?;
            storage.transfer(SETTLEMENT, operator, paid)?;
            (paid, wanted)
        }
        Status::ChallengerWon => {
            storage.transfer(SETTLEMENT, challenger, bond)?;
            let prize = Prize { winner: challenger, most: bond, judges: wanted };
            let (won, judges) = refuse(storage, batch, &stage, Decision::Refuted, Some(prize))?;
            (add(bond, won)?, judges)
        }
        _ => {
            storage.transfer(SETTLEMENT, challenger, bond)?;
            (bond, U256::ZERO)
        }
    };
    slots.pot.set(storage, (half(pot)?, right))?;
    let challenge = U256::from(id);
    emit(storage, SETTLEMENT, &ISettlement::Resolved { challenge, batch, status: end, paid })
}

/// Challenges so far.
///
/// # Errors
/// Those of the storage.
pub fn challenge_count(storage: &mut dyn Storage) -> Result<U256> {
    Ok(U256::from(COUNT.get(storage)?))
}

/// A challenge.
///
/// # Errors
/// `UnknownChallenge`.
pub fn challenge_of(storage: &mut dyn Storage, challenge: U256) -> Result<Challenge> {
    let slots = CHALLENGES.at(number(storage, challenge)?);
    let (status, low, high, deadline) = slots.position.get(storage)?;
    let (upheld, refuted) = slots.stakes.get(storage)?;
    Ok(Challenge {
        batch: slots.batch.get(storage)?,
        challenger: slots.challenger.get(storage)?.0,
        bond: slots.bond.get(storage)?,
        status,
        low,
        high,
        lowState: slots.low_state.get(storage)?,
        highState: slots.high_state.get(storage)?,
        middleState: slots.middle_state.get(storage)?,
        deadline,
        upheldStake: U256::from(upheld),
        refutedStake: U256::from(refuted),
        pot: U256::from(slots.pot.get(storage)?.0),
    })
}

pub(super) fn number(storage: &mut dyn Storage, challenge: U256) -> Result<u64> {
    let unknown = || revert(ISettlement::UnknownChallenge { challenge });
    let id = u64::try_from(challenge).map_err(|_too_large| unknown())?;
    if CHALLENGES.at(id).position.get(storage)?.0 == Status::None { Err(unknown()) } else { Ok(id) }
}

pub(super) fn need(storage: &mut dyn Storage, id: u64, status: Status) -> Result<(Status, u32, u32, u64)> {
    let position = CHALLENGES.at(id).position.get(storage)?;
    if position.0 == status {
        return Ok(position);
    }
    let challenge = U256::from(id);
    Err(revert(ISettlement::WrongChallengeStatus { challenge, status: position.0 }))
}

fn in_time(storage: &mut dyn Storage, caller: Address, mover: Address, deadline: u64) -> Result<()> {
    if caller != mover {
        return Err(revert(ISettlement::NotYourMove { caller, mover }));
    }
    if storage.block().number > deadline {
        return Err(revert(ISettlement::WindowClosed { since: deadline }));
    }
    Ok(())
}

fn move_until(storage: &mut dyn Storage, stage: &Stage) -> Result<u64> {
    let window = params::get_u64_at(storage, "move_window", stage.settled_at)?;
    Ok(storage.block().number.saturating_add(window))
}

/// The last block in which judges of a challenge can reveal.
pub(super) fn judged_until(storage: &mut dyn Storage, id: u64, commit_until: u64) -> Result<u64> {
    let batch = CHALLENGES.at(id).batch.get(storage)?;
    let stage = known(storage, batch)?;
    Ok(commit_until.saturating_add(params::get_u64_at(storage, "reveal_window", stage.settled_at)?))
}

/// The bond that an open challenge of a batch holds.
#[cfg(test)]
pub(crate) fn bond_held(storage: &mut dyn Storage, batch: U256) -> Result<U256> {
    match BATCHES.at(batch).dispute.get(storage)?.open {
        0 => Ok(U256::ZERO),
        id => CHALLENGES.at(id).bond.get(storage),
    }
}
