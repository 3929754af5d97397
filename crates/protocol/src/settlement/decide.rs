//! The end of a batch: finalised or refused, and who is slashed for it.

use super::panel::{Decision, Stage, decision, is_complete, panel, reveal_until};
use super::{BATCHES, VERDICTS, appeal, known, need_status, pay, verdict};
use crate::error::{Result, revert};
use crate::layout::Word;
use crate::math::{add, sub};
use crate::storage::{Storage, emit};
use crate::{escrow, params, staking};
use alloy_primitives::{Address, U256};
use openledger_types::abi::{BatchStatus, ISettlement};
use openledger_types::addresses::{BURN, ESCROW, SETTLEMENT, STAKING, TREASURY};
use openledger_types::amount::ppm_of;
use openledger_types::batch::sampled_receipts;

/// Gas of one draw of a receipt: keccak256 of two words.
const DRAW_GAS: u64 = 42;

/// What challenges have to do with a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dispute {
    /// Block since which nothing happened: of the last reveal if all verdicts are in, of the end of the last challenge.
    pub(super) quiet_since: u64,
    /// Number of the open challenge, 0 if there is none.
    pub(super) open: u64,
    /// True if a challenge has refuted the batch.
    pub(super) refuted: bool,
    /// Number, from 1 on, of the step that judges found false; 0 if none did.
    pub(super) false_step: u32,
}

type Packed = (u64, u64, bool, u32);

impl Word for Dispute {
    const BITS: usize = Packed::BITS;

    fn pack(self) -> U256 {
        (self.quiet_since, self.open, self.refuted, self.false_step).pack()
    }

    fn unpack(word: U256) -> Self {
        let (quiet_since, open, refuted, false_step) = Packed::unpack(word);
        Self { quiet_since, open, refuted, false_step }
    }
}

/// Decides a batch.
///
/// # Errors
/// `UnknownBatch`, `WrongStatus` unless posted, `ChallengeOpen`, `WindowOpen` while verdicts, appeals or, for a batch that
/// would be paid, challenges can still come.
pub fn finalise(storage: &mut dyn Storage, id: U256) -> Result<()> {
    let stage = known(storage, id)?;
    need_status(id, &stage, BatchStatus::Posted)?;
    let dispute = BATCHES.at(id).dispute.get(storage)?;
    if dispute.open != 0 {
        return Err(revert(ISettlement::ChallengeOpen { challenge: U256::from(dispute.open) }));
    }
    let tally = panel(id, stage.round).tally.get(storage)?;
    let until = reveal_until(storage, &stage, &tally)?;
    let complete = is_complete(storage, &stage, &tally)?;
    let now = storage.block().number;
    if now <= until && !complete {
        return Err(revert(ISettlement::WindowOpen { until }));
    }
    if let Some(until) = appeal::appeal_until(storage, id, &stage)?
        && now < until
    {
        return Err(revert(ISettlement::WindowOpen { until: until.saturating_sub(1) }));
    }
    let (end, _) = decision(storage, id, stage.round)?;
    if end != Decision::Pays {
        return refuse(storage, id, &stage, end, None).map(drop);
    }
    let since = if complete { dispute.quiet_since } else { until.max(dispute.quiet_since) };
    let window = params::get_u64_at(storage, "challenge_window", stage.settled_at)?;
    let until = since.saturating_add(window);
    if now < until {
        return Err(revert(ISettlement::WindowOpen { until: until.saturating_sub(1) }));
    }
    pay(storage, id, stage)
}

fn pay(storage: &mut dyn Storage, id: U256, mut stage: Stage) -> Result<()> {
    let slots = BATCHES.at(id);
    stage.status = BatchStatus::Finalised;
    slots.stage.set(storage, stage)?;
    let (operator, _, _) = slots.operator.get(storage)?;
    staking::unlock(storage, operator)?;
    let (validators, treasury) = slots.validators_treasury.get(storage)?;
    let burnt = U256::from(slots.burn.get(storage)?.0);
    let to_verdicts = verdicts_part(storage, id, &stage)?;
    let to_stake = sub(U256::from(validators), to_verdicts)?;
    let lost = appeal::settle(storage, id, &stage, Decision::Pays)?;
    let stake = pay::right_stake(storage, id, &stage, Decision::Pays)?;
    pay::fill(storage, id, add(to_verdicts, lost)?, stake)?;
    storage.transfer(SETTLEMENT, STAKING, to_stake)?;
    staking::add_reward(storage, to_stake)?;
    storage.transfer(SETTLEMENT, TREASURY, U256::from(treasury))?;
    storage.transfer(SETTLEMENT, BURN, burnt)?;
    let fees = U256::from(slots.fees.get(storage)?.0);
    emit(storage, SETTLEMENT, &ISettlement::Finalised { batch: id, fees, burnt })
}

/// What of the validators' part of the fees is for the verdicts that are right, rounded down.
fn verdicts_part(storage: &mut dyn Storage, id: U256, stage: &Stage) -> Result<U256> {
    let (validators, _) = BATCHES.at(id).validators_treasury.get(storage)?;
    let share = params::get_ppm_at(storage, "verifier_share", stage.settled_at)?;
    Ok(ppm_of(U256::from(validators), share))
}

/// Who gets what of a slash before the verdicts do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prize {
    pub(super) winner: Address,
    /// The most, wei.
    pub(super) most: U256,
    /// What the judges of the challenge have next, at most, wei.
    pub(super) judges: U256,
}

/// Gives the fees back to whom they came from, and slashes the operator if it was refuted. Of the slash the winner of a
/// challenge has the first part, its judges the second and the verdicts that are right the next; the rest is burnt. Returns what the
/// winner got, and what of the module's balance is for the judges.
pub(super) fn refuse(
    storage: &mut dyn Storage,
    id: U256,
    stage: &Stage,
    end: Decision,
    prize: Option<Prize>,
) -> Result<(U256, U256)> {
    let slots = BATCHES.at(id);
    slots.stage.set(storage, Stage { status: BatchStatus::Refused, ..*stage })?;
    let (operator, _, _) = slots.operator.get(storage)?;
    let (fees, _) = slots.fees.get(storage)?;
    let forfeited = slots.forfeited.get(storage)?;
    let keys = slots.keys.get(storage)?;
    let amounts = slots.amounts.get(storage)?;
    for (key, amount) in keys.into_iter().zip(amounts).filter(|(_, amount)| *amount != 0) {
        escrow::refund(storage, key, U256::from(amount), id)?;
    }
    storage.transfer(SETTLEMENT, ESCROW, sub(U256::from(fees), U256::from(forfeited))?)?;
    if forfeited != 0 {
        storage.transfer(SETTLEMENT, STAKING, U256::from(forfeited))?;
        staking::give_back(storage, operator, U256::from(forfeited))?;
    }
    staking::unlock(storage, operator)?;
    let tally = panel(id, stage.round).tally.get(storage)?;
    let event = ISettlement::Refused { batch: id, agree: tally.agree, disagree: tally.disagree };
    emit(storage, SETTLEMENT, &event)?;
    let lost = appeal::settle(storage, id, stage, end)?;
    let mut slashed = U256::ZERO;
    if end == Decision::Refuted {
        let part = params::get_ppm(storage, "operator_slash")?;
        slashed = staking::slash(storage, operator, part)?;
        storage.transfer(STAKING, SETTLEMENT, slashed)?;
    }
    let won = prize.map_or(U256::ZERO, |prize| slashed.min(prize.most));
    if let Some(Prize { winner, .. }) = prize {
        storage.transfer(SETTLEMENT, winner, won)?;
    }
    let judges = prize.map_or(U256::ZERO, |prize| prize.judges.min(slashed.saturating_sub(won)));
    let rest = sub(sub(slashed, won)?, judges)?;
    let stake = pay::right_stake(storage, id, stage, end)?;
    let pot = if stake.is_zero() {
        U256::ZERO
    } else {
        let part = verdicts_part(storage, id, stage)?;
        add(rest.min(part), lost)?
    };
    pay::fill(storage, id, pot, stake)?;
    storage.transfer(SETTLEMENT, BURN, sub(add(rest, lost)?, pot)?)?;
    Ok((won, judges))
}

/// What became of a decided batch.
pub(super) fn end_of(storage: &mut dyn Storage, id: U256, stage: &Stage) -> Result<Decision> {
    if stage.status == BatchStatus::Finalised {
        return Ok(Decision::Pays);
    }
    if BATCHES.at(id).dispute.get(storage)?.refuted {
        return Ok(Decision::Refuted);
    }
    Ok(decision(storage, id, stage.round)?.0)
}

/// Slashes a verifier who committed and stayed silent, who agreed with a batch of which judges found a step false that it had to
/// execute, who agreed with a final one with a trace that less stake stands behind than behind another, or whose verdict a later
/// panel overturned. A batch that is refuted because its operator left a challenge contradicts nobody's work. What is taken is burnt, so that nobody gains from another's fault; but of what an overturned panel loses, who appealed from it has
/// its prize first. One fault a call.
///
/// # Errors
/// `UnknownBatch`, `NothingToPunish`.
pub fn punish(storage: &mut dyn Storage, id: U256, verifier: Address) -> Result<()> {
    let stage = known(storage, id)?;
    for round in 0..=stage.round {
        let slots = VERDICTS.at(id).at(round).at(verifier);
        let state = slots.state.get(storage)?;
        if state.punished {
            continue;
        }
        let Some(fault) = fault(storage, id, &stage, round, verifier)? else { continue };
        slots.state.set(storage, verdict::State { punished: true, ..state })?;
        let part = params::get_ppm(storage, "verifier_slash")?;
        let amount = staking::slash(storage, verifier, part)?;
        let mut burnt = amount;
        if fault == Fault::Overturned {
            let (appellant, prize) = appeal::take_prize(storage, id, round, amount)?;
            storage.transfer(STAKING, appellant, prize)?;
            burnt = sub(amount, prize)?;
        }
        storage.transfer(STAKING, BURN, burnt)?;
        return emit(storage, SETTLEMENT, &ISettlement::Punished { batch: id, verifier, amount });
    }
    Err(revert(ISettlement::NothingToPunish { batch: id, verifier }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Silent,
    Astray,
    Refuted,
    Overturned,
}

/// What a verifier did wrong in a panel, as far as that is known by now.
fn fault(
    storage: &mut dyn Storage,
    id: U256,
    stage: &Stage,
    round: u32,
    verifier: Address,
) -> Result<Option<Fault>> {
    let state = VERDICTS.at(id).at(round).at(verifier).state.get(storage)?;
    let dispute = BATCHES.at(id).dispute.get(storage)?;
    if !state.revealed {
        let tally = panel(id, round).tally.get(storage)?;
        let over = storage.block().number > reveal_until(storage, stage, &tally)?;
        // A challenge that refuted the batch before the window was over took the chance to reveal.
        let had_a_chance = !dispute.refuted || round < stage.round;
        return Ok((state.committed_at != 0 && over && had_a_chance).then_some(Fault::Silent));
    }
    if stage.status == BatchStatus::Posted {
        return Ok(None);
    }
    if dispute.refuted {
        let contradicted = state.agrees && executes(storage, id, stage, round, dispute.false_step)?;
        return Ok(contradicted.then_some(Fault::Refuted));
    }
    let (end, last) = decision(storage, id, stage.round)?;
    let wrong = match end {
        Decision::Pays => !state.agrees,
        Decision::Refuted => state.agrees,
        Decision::Unheard => false,
    };
    if wrong && round < last {
        return Ok(Some(Fault::Overturned));
    }
    let astray =
        end == Decision::Pays && state.agrees && verdict::is_led_astray(storage, id, round, verifier)?;
    Ok(astray.then_some(Fault::Astray))
}

/// True if who verifies for a panel executes the step with this number, from 1 on: those of the settlement, and the answers that are
/// sampled.
fn executes(storage: &mut dyn Storage, id: U256, stage: &Stage, round: u32, step: u32) -> Result<bool> {
    let Some(step) = step.checked_sub(1) else { return Ok(false) };
    let (_, _, receipts) = BATCHES.at(id).operator.get(storage)?;
    let count = params::get_u64_at(storage, "sampled_receipts", stage.settled_at)?;
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if step >= receipts || receipts <= count {
        return Ok(true);
    }
    let seed = panel(id, round).seed.get(storage)?;
    storage.charge(DRAW_GAS.saturating_mul(u64::from(count)))?;
    Ok(!seed.is_zero() && sampled_receipts(seed, receipts, count).contains(&step))
}
