//! The end of a batch: finalised or refused, and who is slashed for it.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{BatchStatus, ISettlement};
use openledger_types::addresses::{BURN, ESCROW, SETTLEMENT, STAKING, TREASURY};
use openledger_types::batch::verdict_digest;

use super::verdict::{self, Progress};
use super::{BATCHES, VERDICTS, known, need_status};
use crate::error::{ModuleError, Result, revert};
use crate::layout::Word;
use crate::math::sub;
use crate::storage::{Storage, emit};
use crate::{escrow, params, staking};

/// What challenges have to do with a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dispute {
    /// Block since which nothing happened: of the last reveal if all verdicts are in, of the end of the last challenge.
    pub(super) quiet_since: u64,
    /// Number of the open challenge, 0 if there is none.
    pub(super) open: u64,
    /// True if a challenge has refuted the batch.
    pub(super) refuted: bool,
}

type Packed = (u64, u64, bool);

impl Word for Dispute {
    const BITS: usize = Packed::BITS;

    fn pack(self) -> U256 {
        (self.quiet_since, self.open, self.refuted).pack()
    }

    fn unpack(word: U256) -> Self {
        let (quiet_since, open, refuted) = Packed::unpack(word);
        Self { quiet_since, open, refuted }
    }
}

/// Decides a batch.
///
/// # Errors
/// `UnknownBatch`, `WrongStatus` unless posted, `ChallengeOpen`, `WindowOpen` while verdicts or, for a batch that would be
/// paid, challenges can still come.
pub fn finalise(storage: &mut dyn Storage, id: U256) -> Result<()> {
    let progress = known(storage, id)?;
    need_status(id, &progress, BatchStatus::Posted)?;
    let dispute = BATCHES.at(id).dispute.get(storage)?;
    if dispute.open != 0 {
        return Err(revert(ISettlement::ChallengeOpen { challenge: U256::from(dispute.open) }));
    }
    let until = verdict::reveal_until(storage, &progress)?;
    let complete = verdict::is_complete(storage, id, &progress)?;
    let now = storage.block().number;
    if now <= until && !complete {
        return Err(revert(ISettlement::WindowOpen { until }));
    }
    let (agree, disagree) = BATCHES.at(id).stakes.get(storage)?;
    if agree <= disagree {
        return refuse(storage, id, &progress, disagree > agree).map(drop);
    }
    let since = if complete { dispute.quiet_since } else { until.max(dispute.quiet_since) };
    let window = params::get_u64(storage, "challenge_window")?;
    let until = since.saturating_add(window);
    if now < until {
        return Err(revert(ISettlement::WindowOpen { until: until.saturating_sub(1) }));
    }
    pay(storage, id, progress)
}

fn pay(storage: &mut dyn Storage, id: U256, mut progress: Progress) -> Result<()> {
    let slots = BATCHES.at(id);
    progress.status = BatchStatus::Finalised;
    slots.progress.set(storage, progress)?;
    let (operator, _, _) = slots.operator.get(storage)?;
    staking::unlock(storage, operator)?;
    let (validators, treasury) = slots.validators_treasury.get(storage)?;
    let burnt = U256::from(slots.burn.get(storage)?.0);
    storage.transfer(SETTLEMENT, STAKING, U256::from(validators))?;
    staking::add_reward(storage, U256::from(validators))?;
    storage.transfer(SETTLEMENT, TREASURY, U256::from(treasury))?;
    storage.transfer(SETTLEMENT, BURN, burnt)?;
    let fees = U256::from(slots.fees.get(storage)?.0);
    emit(storage, SETTLEMENT, &ISettlement::Finalised { batch: id, fees, burnt })
}

/// Gives the fees back to whom they came from, and slashes the operator if it was refuted. Returns the wei slashed, which
/// lie on this module's account.
pub(super) fn refuse(
    storage: &mut dyn Storage,
    id: U256,
    progress: &Progress,
    refuted: bool,
) -> Result<U256> {
    let slots = BATCHES.at(id);
    slots.progress.set(storage, Progress { status: BatchStatus::Refused, ..*progress })?;
    let (operator, _, _) = slots.operator.get(storage)?;
    let (fees, _) = slots.fees.get(storage)?;
    let (forfeited, _) = slots.forfeited.get(storage)?;
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
    emit(
        storage,
        SETTLEMENT,
        &ISettlement::Refused { batch: id, agree: progress.agree, disagree: progress.disagree },
    )?;
    if !refuted {
        return Ok(U256::ZERO);
    }
    let part = ppm(storage, "operator_slash")?;
    let slashed = staking::slash(storage, operator, part)?;
    storage.transfer(STAKING, BURN, slashed)?;
    Ok(slashed)
}

/// Slashes a verifier who committed and stayed silent, who agreed with a batch that a challenge refuted, or who agreed with a final
/// one with a trace that less stake stands behind than behind another. What is taken is burnt: nobody gains from another's fault.
///
/// # Errors
/// `UnknownBatch`, `NothingToPunish`.
pub fn punish(storage: &mut dyn Storage, id: U256, verifier: Address) -> Result<()> {
    let progress = known(storage, id)?;
    let slots = VERDICTS.at(id).at(verifier);
    let mut state = slots.state.get(storage)?;
    let until = verdict::reveal_until(storage, &progress)?;
    let posted = BATCHES.at(id);
    let refuted = posted.dispute.get(storage)?.refuted;
    let at_fault = if state.revealed {
        let digest = slots.digest.get(storage)?;
        let agreed = verdict_digest(
            posted.receipts_root.get(storage)?,
            posted.payouts_root.get(storage)?,
            posted.file_hash.get(storage)?,
        );
        let astray =
            progress.status == BatchStatus::Finalised && verdict::is_led_astray(storage, id, verifier)?;
        digest == agreed && (refuted || astray)
    } else {
        // A challenge that refuted the batch before the window was over took the chance to reveal.
        state.committed_at != 0 && !refuted && storage.block().number > until
    };
    if !at_fault || state.punished {
        return Err(revert(ISettlement::NothingToPunish { batch: id, verifier }));
    }
    state.punished = true;
    slots.state.set(storage, state)?;
    let part = ppm(storage, "verifier_slash")?;
    let amount = staking::slash(storage, verifier, part)?;
    storage.transfer(STAKING, BURN, amount)?;
    emit(storage, SETTLEMENT, &ISettlement::Punished { batch: id, verifier, amount })
}

fn ppm(storage: &mut dyn Storage, name: &'static str) -> Result<u32> {
    u32::try_from(params::get_u64(storage, name)?)
        .map_err(|_too_large| ModuleError::System(format!("param '{name}' is outside its range")))
}
