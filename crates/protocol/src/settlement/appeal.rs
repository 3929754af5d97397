//! Appeals: what a drawn panel decided is asked of a larger one.
//!
//! A draw of few among many can go to a minority. Once the verdicts of a panel are in, anybody who is bonded can appeal for
//! `appeal_window` blocks, with a bond of `appeal_bond · 4ʳ` for round `r`, as long as there are more to ask and at most
//! [`MAX_APPEALS`] times. The next panel then commits and reveals as the first did; nothing else waits for an appeal, and where
//! nobody of it speaks the decision before stands.
//!
//! When the batch is decided, every appeal is: who contested what was decided in the end loses the bond to the verdicts that
//! were right; who contested anything else has it back, and gets what the verdicts of the panel it overturned are slashed, up
//! to as much again; an appeal that nobody answered costs nothing.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{Appeal, BatchStatus, ISettlement};
use openledger_types::addresses::SETTLEMENT;
use openledger_types::batch::MAX_APPEALS;

use super::panel::{Decision, GROWTH, Stage, Tally, all_assigned, decision, panel, reveal_until};
use super::{BATCHES, known, need_status};
use crate::error::{Result, revert};
use crate::math::{add, half, mul};
use crate::params;
use crate::staking;
use crate::storage::{Storage, emit};

/// Asks a larger panel, with a bond, which the module has received. Returns the round.
///
/// # Errors
/// `UnknownBatch`, `WrongStatus` unless posted, `NotBonded`, `ChallengeOpen`, `NoLargerPanel`, `WindowOpen` while verdicts
/// can still come, `WindowClosed`, `WrongBond`.
pub fn appeal(storage: &mut dyn Storage, appellant: Address, batch: U256, bond: U256) -> Result<u32> {
    let mut stage = known(storage, batch)?;
    need_status(batch, &stage, BatchStatus::Posted)?;
    if !staking::is_bonded(storage, appellant)? {
        return Err(revert(ISettlement::NotBonded { caller: appellant }));
    }
    let open = BATCHES.at(batch).dispute.get(storage)?.open;
    if open != 0 {
        return Err(revert(ISettlement::ChallengeOpen { challenge: U256::from(open) }));
    }
    let Some(until) = appeal_until(storage, batch, &stage)? else {
        return Err(revert(ISettlement::NoLargerPanel { batch }));
    };
    let now = storage.block().number;
    let tally = panel(batch, stage.round).tally.get(storage)?;
    let revealed = reveal_until(storage, &stage, &tally)?;
    if now <= revealed {
        return Err(revert(ISettlement::WindowOpen { until: revealed }));
    }
    if now >= until {
        return Err(revert(ISettlement::WindowClosed { since: until }));
    }
    let needed = bond_of(storage, stage.round)?;
    if bond != needed {
        return Err(revert(ISettlement::WrongBond { bond, needed }));
    }
    let (contested, _) = decision(storage, batch, stage.round)?;
    let contests_payment = contested == Decision::Pays;
    stage.round = stage.round.saturating_add(1);
    let round = stage.round;
    BATCHES.at(batch).stage.set(storage, stage)?;
    let slots = panel(batch, round);
    slots.tally.set(storage, Tally { opened_at: now, ..Tally::default() })?;
    slots.appeal.set(storage, (appellant, contests_payment))?;
    slots.bond.set(storage, (half(bond)?, 0))?;
    let event = ISettlement::Appealed { batch, round, appellant, bond, contestsPayment: contests_payment };
    emit(storage, SETTLEMENT, &event)?;
    Ok(round)
}

/// The bond of an appeal against a panel.
fn bond_of(storage: &mut dyn Storage, round: u32) -> Result<U256> {
    let first = params::get(storage, params::param_name("appeal_bond"))?;
    mul(first, U256::from(GROWTH.saturating_pow(round)))
}

/// The first block in which the panel that was asked last can no longer be appealed from; nothing if it never could.
pub(super) fn appeal_until(storage: &mut dyn Storage, batch: U256, stage: &Stage) -> Result<Option<u64>> {
    if stage.round >= MAX_APPEALS || all_assigned(storage, stage)? {
        return Ok(None);
    }
    let tally = panel(batch, stage.round).tally.get(storage)?;
    let revealed = reveal_until(storage, stage, &tally)?;
    let since = revealed.saturating_add(1).max(BATCHES.at(batch).dispute.get(storage)?.quiet_since);
    Ok(Some(since.saturating_add(params::get_u64_at(storage, "appeal_window", stage.settled_at)?)))
}

/// Gives back the bonds of appeals that were not in vain; returns the sum of the others, which stays with the module.
pub(super) fn settle(storage: &mut dyn Storage, batch: U256, stage: &Stage, end: Decision) -> Result<U256> {
    let mut lost = U256::ZERO;
    for round in 1..=stage.round {
        let slots = panel(batch, round);
        let (appellant, contests_payment) = slots.appeal.get(storage)?;
        let (bond, _) = slots.bond.get(storage)?;
        let (agree, disagree) = slots.stakes.get(storage)?;
        let answered = agree != disagree;
        let was_right = contests_payment != (end == Decision::Pays);
        let prize = if answered && was_right { bond } else { 0 };
        slots.bond.set(storage, (bond, prize))?;
        let returned = if answered && !was_right { U256::ZERO } else { U256::from(bond) };
        if returned.is_zero() {
            lost = add(lost, U256::from(bond))?;
        } else {
            storage.transfer(SETTLEMENT, appellant, returned)?;
        }
        emit(storage, SETTLEMENT, &ISettlement::AppealSettled { batch, round, appellant, returned })?;
    }
    Ok(lost)
}

/// What of a slash in a panel goes to who appealed from it.
pub(super) fn take_prize(
    storage: &mut dyn Storage,
    batch: U256,
    round: u32,
    slashed: U256,
) -> Result<(Address, U256)> {
    let slots = panel(batch, round.saturating_add(1));
    let (appellant, _) = slots.appeal.get(storage)?;
    let (bond, prize) = slots.bond.get(storage)?;
    let taken = half(slashed)?.min(prize);
    slots.bond.set(storage, (bond, prize.saturating_sub(taken)))?;
    Ok((appellant, U256::from(taken)))
}

/// The appeal that asked the panel of a round, from 1 on; zeros if there was none.
///
/// # Errors
/// `UnknownBatch`.
pub fn appeal_of(storage: &mut dyn Storage, batch: U256, round: u32) -> Result<Appeal> {
    known(storage, batch)?;
    let slots = panel(batch, round);
    let (appellant, contests_payment) = slots.appeal.get(storage)?;
    let (bond, prize) = slots.bond.get(storage)?;
    let (agree, disagree) = slots.stakes.get(storage)?;
    let opened_at = if round == 0 { 0 } else { slots.tally.get(storage)?.opened_at };
    Ok(Appeal {
        appellant,
        bond: U256::from(bond),
        openedAt: opened_at,
        contestsPayment: contests_payment,
        prize: U256::from(prize),
        agreeStake: U256::from(agree),
        disagreeStake: U256::from(disagree),
    })
}

/// The bonds that undecided appeals of a batch hold.
pub(super) fn bonds_held(storage: &mut dyn Storage, batch: U256, stage: &Stage) -> Result<U256> {
    let mut held = U256::ZERO;
    for round in 1..=stage.round {
        held = add(held, U256::from(panel(batch, round).bond.get(storage)?.0))?;
    }
    Ok(held)
}
