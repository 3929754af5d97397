//! Judges of the one step that a challenge has come down to.
//!
//! Verifiers and validators who were bonded before the challenge commit to whether the step is right and to the trace of its
//! execution, and reveal both when nobody can commit any more. The stake behind the verdicts decides.
//!
//! - **Pay.** Judges who said how it ended, with the trace that most stake on their side met, share `verifier_share` of the bond,
//!   by stake: out of the bond that a challenger lost, or of what the operator's slash leaves after the challenger's prize. Each
//!   takes `⌊pot · stake / stake left⌋` of what is left, so nothing remains.
//! - **Slash.** Who committed and stayed silent, and who said how it ended with a trace that less stake stands behind than behind
//!   another, loses `verifier_slash`, which is burnt: a verdict is one bit, so it is the trace that a guess or a copy lacks. Whoever
//!   was not shown the step says so: that it is false, with the trace zero. That is paid only if most say the same, and not slashed.

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::{ChallengeStatus as Status, ISettlement, StakeRole};
use openledger_types::addresses::{BURN, SETTLEMENT, STAKING};
use openledger_types::batch::step_commitment;

use super::BATCHES;
use super::challenge::{CHALLENGES, judged_until, need, number};
use super::verdict::{State, lead};
use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::{add, div_rem, half, mul, sub};
use crate::storage::{Storage, emit};
use crate::{params, staking};

place! {
    struct StepVerdictSlots {
        0: commitment: Slot<B256>,
        /// It agrees if it says that the step is right.
        1: state: Slot<State>,
        /// What the verifier had at stake when it committed, wei.
        2: stake: Slot<U256>,
        3: trace: Slot<B256>,
    }
}

/// By challenge, then verifier.
const STEP_VERDICTS: Mapping<u64, Mapping<Address, StepVerdictSlots>> = Mapping::new(SETTLEMENT, 7);
/// Stake behind the verdicts, wei: by challenge, whether they say that the step is right, trace.
const STEP_TRACES: Mapping<u64, Mapping<u32, Mapping<B256, Slot<U256>>>> = Mapping::new(SETTLEMENT, 10);

/// Commits a verdict on the step that is left.
///
/// # Errors
/// `UnknownChallenge`, `WrongChallengeStatus` unless judging, `NotVerifier` unless an active verifier or validator since
/// before the challenge and no party to it, `VerdictExists`, `WindowClosed`.
pub fn commit_step(
    storage: &mut dyn Storage,
    verifier: Address,
    challenge: U256,
    commitment: B256,
) -> Result<()> {
    let id = number(storage, challenge)?;
    let slots = CHALLENGES.at(id);
    let (_, _, _, deadline) = need(storage, id, Status::Judging)?;
    let active = staking::is_active(storage, verifier, StakeRole::Verifier)?
        || staking::is_active(storage, verifier, StakeRole::Validator)?;
    let registered_at = staking::registered_at(storage, verifier)?;
    let (challenger, opened_at) = slots.challenger.get(storage)?;
    let batch = slots.batch.get(storage)?;
    let (operator, _, _) = BATCHES.at(batch).operator.get(storage)?;
    if !active || registered_at >= opened_at || verifier == challenger || verifier == operator {
        return Err(revert(ISettlement::NotVerifier { caller: verifier }));
    }
    let own = STEP_VERDICTS.at(id).at(verifier);
    if own.state.get(storage)?.committed_at != 0 {
        return Err(revert(ISettlement::VerdictExists { verifier }));
    }
    let now = storage.block().number;
    if now > deadline {
        return Err(revert(ISettlement::WindowClosed { since: deadline }));
    }
    let stake = staking::stake_of(storage, verifier)?;
    own.commitment.set(storage, commitment)?;
    own.state.set(storage, State { committed_at: now, registered_at, ..State::default() })?;
    own.stake.set(storage, stake)?;
    emit(storage, SETTLEMENT, &ISettlement::StepCommitted { challenge, verifier, commitment })
}

/// Reveals a verdict on the step that is left. The stake behind each trace of a side is counted: whoever executed the step has the
/// same one as all others who did.
///
/// # Errors
/// `UnknownChallenge`, `WrongChallengeStatus` unless judging, `NoVerdict`, `VerdictExists` if it is revealed already,
/// `WindowOpen` while others can commit, `WindowClosed`, `WrongReveal`.
pub fn reveal_step(
    storage: &mut dyn Storage,
    verifier: Address,
    challenge: U256,
    upheld: bool,
    trace: B256,
    salt: B256,
) -> Result<()> {
    let id = number(storage, challenge)?;
    let slots = CHALLENGES.at(id);
    let (_, _, _, deadline) = need(storage, id, Status::Judging)?;
    let own = STEP_VERDICTS.at(id).at(verifier);
    let state = own.state.get(storage)?;
    if state.committed_at == 0 {
        return Err(revert(ISettlement::NoVerdict { verifier }));
    }
    if state.revealed {
        return Err(revert(ISettlement::VerdictExists { verifier }));
    }
    let now = storage.block().number;
    let until = judged_until(storage, id, deadline)?;
    if now <= deadline {
        return Err(revert(ISettlement::WindowOpen { until: deadline }));
    }
    if now > until {
        return Err(revert(ISettlement::WindowClosed { since: until }));
    }
    let commitment = own.commitment.get(storage)?;
    let got = step_commitment(verifier, state.registered_at, challenge, upheld, trace, salt);
    if got != commitment {
        return Err(revert(ISettlement::WrongReveal { commitment, got }));
    }
    own.state.set(storage, State { revealed: true, agrees: upheld, ..state })?;
    own.trace.set(storage, trace)?;
    let stake = own.stake.get(storage)?;
    let (mut for_operator, mut against) = slots.stakes.get(storage)?;
    let side = if upheld { &mut for_operator } else { &mut against };
    *side = half(add(U256::from(*side), stake)?)?;
    slots.stakes.set(storage, (for_operator, against))?;
    lead(storage, behind(id, upheld, trace), leading(id, upheld), stake)?;
    emit(storage, SETTLEMENT, &ISettlement::StepRevealed { challenge, verifier, upheld })
}

/// Stake behind the verdicts that say how a challenge ended, with the trace that most of it met, wei.
pub(super) fn right_stake(storage: &mut dyn Storage, id: u64, end: Status) -> Result<u128> {
    match upheld_by(end) {
        Some(upheld) => Ok(leading(id, upheld).get(storage)?.1),
        None => Ok(0),
    }
}

/// Pays a verifier for its verdict on the step of a challenge that has ended, whoever calls; returns the wei.
///
/// # Errors
/// `UnknownChallenge`, `WrongChallengeStatus` unless it was decided, `NoStepEarned`.
pub fn claim_step(storage: &mut dyn Storage, challenge: U256, verifier: Address) -> Result<U256> {
    let id = number(storage, challenge)?;
    let slots = CHALLENGES.at(id);
    let status = slots.position.get(storage)?.0;
    let Some(upheld) = upheld_by(status) else {
        return Err(revert(ISettlement::WrongChallengeStatus { challenge, status }));
    };
    let own = STEP_VERDICTS.at(id).at(verifier);
    let state = own.state.get(storage)?;
    let is_right = state.revealed && state.agrees == upheld && !is_led_astray(storage, id, upheld, verifier)?;
    if !is_right || state.paid {
        return Err(revert(ISettlement::NoStepEarned { challenge, verifier }));
    }
    own.state.set(storage, State { paid: true, ..state })?;
    let stake = own.stake.get(storage)?;
    let (pot, left) = slots.pot.get(storage)?;
    let (pot, left) = (U256::from(pot), U256::from(left));
    let amount = div_rem(mul(pot, stake)?, left)?.0;
    slots.pot.set(storage, (half(sub(pot, amount)?)?, half(sub(left, stake)?)?))?;
    storage.transfer(SETTLEMENT, verifier, amount)?;
    emit(storage, SETTLEMENT, &ISettlement::StepPaid { challenge, verifier, amount })?;
    Ok(amount)
}

/// Slashes a judge of a challenge that has ended: one who committed and stayed silent, or who said how it ended without the trace
/// of who executed the step. What is taken is burnt.
///
/// # Errors
/// `UnknownChallenge`, `NoStepFault`.
pub fn punish_step(storage: &mut dyn Storage, challenge: U256, verifier: Address) -> Result<()> {
    let id = number(storage, challenge)?;
    let own = STEP_VERDICTS.at(id).at(verifier);
    let state = own.state.get(storage)?;
    let status = CHALLENGES.at(id).position.get(storage)?.0;
    let at_fault = match (status, state.revealed) {
        (Status::OperatorWon | Status::ChallengerWon | Status::Undecided, false) => state.committed_at != 0,
        (_, revealed) => match upheld_by(status) {
            Some(upheld) if revealed && state.agrees == upheld => {
                let was_shown = upheld || !own.trace.get(storage)?.is_zero();
                was_shown && is_led_astray(storage, id, upheld, verifier)?
            }
            _ => false,
        },
    };
    if !at_fault || state.punished {
        return Err(revert(ISettlement::NoStepFault { challenge, verifier }));
    }
    own.state.set(storage, State { punished: true, ..state })?;
    let part = params::get_ppm(storage, "verifier_slash")?;
    let amount = staking::slash(storage, verifier, part)?;
    storage.transfer(STAKING, BURN, amount)?;
    emit(storage, SETTLEMENT, &ISettlement::StepPunished { challenge, verifier, amount })
}

/// What verdicts had to say to be right; nothing while or if it is not decided.
fn upheld_by(status: Status) -> Option<bool> {
    match status {
        Status::OperatorWon => Some(true),
        Status::ChallengerWon => Some(false),
        _ => None,
    }
}

/// True if a verifier met something else on the way than those with more stake who say the same.
fn is_led_astray(storage: &mut dyn Storage, id: u64, upheld: bool, verifier: Address) -> Result<bool> {
    let trace = STEP_VERDICTS.at(id).at(verifier).trace.get(storage)?;
    let stake = behind(id, upheld, trace).get(storage)?;
    Ok(stake < U256::from(leading(id, upheld).get(storage)?.0))
}

fn behind(id: u64, upheld: bool, trace: B256) -> Slot<U256> {
    STEP_TRACES.at(id).at(u32::from(upheld)).at(trace)
}

fn leading(id: u64, upheld: bool) -> Slot<(u128, u128)> {
    let slots = CHALLENGES.at(id);
    if upheld { slots.leading_upheld } else { slots.leading_refuted }
}
