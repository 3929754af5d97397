//! What verdicts earn: a part of the validators' part of the fees, and the bonds of appeals in vain.
//!
//! It lies in one pot per decided batch. A verdict of any panel has a part of it by the stake behind it if it says what became
//! of the batch: of a paid one that it is right, with the trace that most stake of its panel met (who agrees without looking
//! has none); of a refuted one that it is not. Of a refuted batch the operator's slash fills the pot with as much as its fees
//! would have, or with less if it is less: who withholds a file or lies pays those who looked. Each verdict takes
//! `⌊pot · stake / stake left⌋` of what is left, so the last one takes the rest and nothing remains.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{BatchStatus, ISettlement};
use openledger_types::addresses::SETTLEMENT;

use super::panel::{Decision, Stage, panel};
use super::{BATCHES, VERDICTS, decide, known, verdict};
use crate::error::{Result, revert};
use crate::math::{add, div_rem, half, mul, sub};
use crate::storage::{Storage, emit};

/// Stake behind the verdicts that say what became of the batch, wei.
pub(super) fn right_stake(
    storage: &mut dyn Storage,
    batch: U256,
    stage: &Stage,
    end: Decision,
) -> Result<U256> {
    let mut stake = U256::ZERO;
    for round in 0..=stage.round {
        let slots = panel(batch, round);
        let right = match end {
            Decision::Pays => slots.leading.get(storage)?.1,
            Decision::Refuted => slots.stakes.get(storage)?.1,
            Decision::Unheard => 0,
        };
        stake = add(stake, U256::from(right))?;
    }
    Ok(stake)
}

/// Leaves `amount`, which the module holds, to the verdicts behind this stake.
pub(super) fn fill(storage: &mut dyn Storage, batch: U256, amount: U256, stake: U256) -> Result<()> {
    BATCHES.at(batch).pot.set(storage, (half(amount)?, half(stake)?))
}

/// What a verifier's verdicts on a batch have still to be paid: the stake behind them.
fn unpaid_stake(
    storage: &mut dyn Storage,
    batch: U256,
    stage: &Stage,
    end: Decision,
    verifier: Address,
) -> Result<U256> {
    let mut stake = U256::ZERO;
    for round in 0..=stage.round {
        let own = VERDICTS.at(batch).at(round).at(verifier);
        let state = own.state.get(storage)?;
        let is_right = match end {
            Decision::Pays => state.agrees && !verdict::is_led_astray(storage, batch, round, verifier)?,
            Decision::Refuted => !state.agrees,
            Decision::Unheard => false,
        };
        if state.revealed && !state.paid && is_right {
            stake = add(stake, own.stake.get(storage)?)?;
            own.state.set(storage, verdict::State { paid: true, ..state })?;
        }
    }
    Ok(stake)
}

/// Pays a verifier for its verdicts on a decided batch, whoever calls; returns the wei.
///
/// # Errors
/// `UnknownBatch`, `WrongStatus` while it is posted, `NothingEarned`.
pub fn claim_verdict(storage: &mut dyn Storage, batch: U256, verifier: Address) -> Result<U256> {
    let stage = known(storage, batch)?;
    if stage.status == BatchStatus::Posted {
        return Err(revert(ISettlement::WrongStatus { batch, status: stage.status }));
    }
    let end = decide::end_of(storage, batch, &stage)?;
    let stake = unpaid_stake(storage, batch, &stage, end, verifier)?;
    if stake.is_zero() {
        return Err(revert(ISettlement::NothingEarned { batch, verifier }));
    }
    let (pot, left) = BATCHES.at(batch).pot.get(storage)?;
    let (pot, left) = (U256::from(pot), U256::from(left));
    let amount = div_rem(mul(pot, stake)?, left)?.0;
    fill(storage, batch, sub(pot, amount)?, sub(left, stake)?)?;
    storage.transfer(SETTLEMENT, verifier, amount)?;
    emit(storage, SETTLEMENT, &ISettlement::VerdictPaid { batch, verifier, amount })?;
    Ok(amount)
}
