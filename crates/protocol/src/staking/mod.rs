//! Staking: validators, operators and verifiers with their stake, and the validators' part of fees by stake.
//!
//! An account has one role at a time. It is *bonded* from its first stake until it starts to unbond, and *active* while
//! it is bonded with at least the least stake of its role. What validators are paid is divided over the bonded stake
//! of validators by an accumulator `A` of reward per wei of stake, scaled by 10¹⁸: a reward `r` over a stake `S` adds
//! `floor((r·10¹⁸ + carry) / S)`, and the remainder of that division is the new `carry`, which the next reward
//! divides. With no validator bonded, a reward waits in `carry` whole. An account is owed
//! `stake · (A − A at its last settlement)`, kept scaled, so that nothing is lost: owed and carried amounts, scaled,
//! add up to what was paid in.

mod dispatch;
#[cfg(test)]
mod tests;

use alloy_primitives::{Address, U256};
use openledger_types::abi::{IStaking, StakeRole, Staker};
use openledger_types::addresses::STAKING;

pub(crate) use dispatch::dispatch;

use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::{add, div_rem, mul, sub};
use crate::params;
use crate::storage::{Storage, emit};

/// Scale of rewards per wei of stake.
const SCALE: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

place! {
    struct StakerSlots {
        /// Role, block of the first stake, unix seconds when the stake is free (0 while bonded).
        0: state: Slot<(StakeRole, u64, u64)>,
        1: stake: Slot<U256>,
        /// The accumulator when `owed` was last settled.
        2: settled_at: Slot<U256>,
        /// Reward not yet claimed, scaled.
        3: owed: Slot<U256>,
    }
}

const STAKERS: Mapping<Address, StakerSlots> = Mapping::new(STAKING, 0);
/// Bonded stake of validators, wei.
const TOTAL_STAKE: Slot<U256> = Slot::new(STAKING, 1);
/// Reward per wei of validators' stake since genesis, scaled.
const ACCUMULATOR: Slot<U256> = Slot::new(STAKING, 2);
/// What the last division left, scaled.
const CARRY: Slot<U256> = Slot::new(STAKING, 3);
/// How many accounts are bonded, by role.
const BONDED: Mapping<StakeRole, Slot<u32>> = Mapping::new(STAKING, 4);

/// A staker; all zeros if the account never staked or took its stake out.
///
/// # Errors
/// Those of the storage.
pub fn staker(storage: &mut dyn Storage, account: Address) -> Result<Staker> {
    let slots = STAKERS.at(account);
    let (role, registered_at, unbonding_at) = slots.state.get(storage)?;
    Ok(Staker {
        role,
        stake: slots.stake.get(storage)?,
        registeredAt: registered_at,
        unbondingAt: unbonding_at,
    })
}

/// True if the account is bonded in this role with at least the least stake.
///
/// # Errors
/// Those of the storage.
pub fn is_active(storage: &mut dyn Storage, account: Address, role: StakeRole) -> Result<bool> {
    let staker = staker(storage, account)?;
    if role == StakeRole::None || staker.role != role || staker.unbondingAt != 0 {
        return Ok(false);
    }
    Ok(staker.stake >= least_stake(storage, role)?)
}

/// How many accounts are bonded in this role.
///
/// # Errors
/// Those of the storage.
pub fn bonded(storage: &mut dyn Storage, role: StakeRole) -> Result<u32> {
    BONDED.at(role).get(storage)
}

/// Bonded stake of validators: what their part of fees is divided over.
///
/// # Errors
/// Those of the storage.
pub fn total_stake(storage: &mut dyn Storage) -> Result<U256> {
    TOTAL_STAKE.get(storage)
}

/// Bonds `amount`, which the module has received, in a role.
///
/// # Errors
/// `InvalidRole` for no role, `RoleTaken` in another one, `AlreadyUnbonding`, `StakeTooSmall`.
pub fn stake(storage: &mut dyn Storage, account: Address, role: StakeRole, amount: U256) -> Result<()> {
    if role == StakeRole::None {
        return Err(revert(IStaking::InvalidRole { role }));
    }
    let before = staker(storage, account)?;
    if before.role != StakeRole::None && before.role != role {
        return Err(revert(IStaking::RoleTaken { account, role: before.role }));
    }
    if before.unbondingAt != 0 {
        return Err(revert(IStaking::AlreadyUnbonding { account }));
    }
    let stake = add(before.stake, amount)?;
    let least = least_stake(storage, role)?;
    if stake < least {
        return Err(revert(IStaking::StakeTooSmall { stake, least }));
    }
    settle(storage, account, &before)?;
    let slots = STAKERS.at(account);
    if before.role == StakeRole::None {
        let now = storage.block().number;
        slots.state.set(storage, (role, now, 0))?;
        let count = BONDED.at(role).get(storage)?;
        BONDED.at(role).set(storage, count.checked_add(1).ok_or_else(crate::error::overflow)?)?;
    }
    slots.stake.set(storage, stake)?;
    if role == StakeRole::Validator {
        let total = add(TOTAL_STAKE.get(storage)?, amount)?;
        TOTAL_STAKE.set(storage, total)?;
    }
    emit(storage, STAKING, &IStaking::Staked { account, role, amount, stake })
}

/// Gives up the role; the stake is free after the unbonding time.
///
/// # Errors
/// `NotStaked`, `AlreadyUnbonding`.
pub fn start_unbonding(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let before = staker(storage, account)?;
    if before.role == StakeRole::None {
        return Err(revert(IStaking::NotStaked { account }));
    }
    if before.unbondingAt != 0 {
        return Err(revert(IStaking::AlreadyUnbonding { account }));
    }
    settle(storage, account, &before)?;
    let available_at =
        storage.block().timestamp.saturating_add(params::get_u64(storage, "unbonding_seconds")?);
    STAKERS.at(account).state.set(storage, (before.role, before.registeredAt, available_at))?;
    let count = BONDED.at(before.role).get(storage)?;
    BONDED.at(before.role).set(storage, count.checked_sub(1).ok_or_else(crate::error::overflow)?)?;
    if before.role == StakeRole::Validator {
        let total = sub(TOTAL_STAKE.get(storage)?, before.stake)?;
        TOTAL_STAKE.set(storage, total)?;
    }
    emit(storage, STAKING, &IStaking::UnbondingStarted { account, availableAt: available_at })
}

/// Pays the stake out. Rewards stay claimable.
///
/// # Errors
/// `NotStaked`; `StillBonded` before its time, with 0 if unbonding was never started.
pub fn unstake(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let before = staker(storage, account)?;
    if before.role == StakeRole::None {
        return Err(revert(IStaking::NotStaked { account }));
    }
    if before.unbondingAt == 0 || before.unbondingAt > storage.block().timestamp {
        return Err(revert(IStaking::StillBonded { availableAt: before.unbondingAt }));
    }
    let slots = STAKERS.at(account);
    slots.state.set(storage, (StakeRole::None, 0, 0))?;
    slots.stake.set(storage, U256::ZERO)?;
    storage.transfer(STAKING, account, before.stake)?;
    emit(storage, STAKING, &IStaking::Unstaked { account, amount: before.stake })
}

/// Pays out what an account is owed in whole wei, which may be nothing.
///
/// # Errors
/// Those of the storage.
pub fn claim_reward(storage: &mut dyn Storage, account: Address) -> Result<U256> {
    let before = staker(storage, account)?;
    let owed = settle(storage, account, &before)?;
    let (amount, rest) = div_rem(owed, SCALE)?;
    STAKERS.at(account).owed.set(storage, rest)?;
    storage.transfer(STAKING, account, amount)?;
    emit(storage, STAKING, &IStaking::RewardClaimed { account, amount })?;
    Ok(amount)
}

/// What an account could claim, whole wei.
///
/// # Errors
/// Those of the storage.
pub fn reward(storage: &mut dyn Storage, account: Address) -> Result<U256> {
    let staker = staker(storage, account)?;
    let owed = owed(storage, account, &staker)?;
    Ok(div_rem(owed, SCALE)?.0)
}

/// Divides `amount`, which the module has received, over the validators' stake.
pub(crate) fn add_reward(storage: &mut dyn Storage, amount: U256) -> Result<()> {
    let total = TOTAL_STAKE.get(storage)?;
    let scaled = add(mul(amount, SCALE)?, CARRY.get(storage)?)?;
    if total.is_zero() {
        CARRY.set(storage, scaled)?;
    } else {
        let (per_wei, carry) = div_rem(scaled, total)?;
        let accumulator = add(ACCUMULATOR.get(storage)?, per_wei)?;
        ACCUMULATOR.set(storage, accumulator)?;
        CARRY.set(storage, carry)?;
    }
    emit(storage, STAKING, &IStaking::Rewarded { amount, totalStake: total })
}

/// What the account is owed by now, scaled.
fn owed(storage: &mut dyn Storage, account: Address, staker: &Staker) -> Result<U256> {
    let slots = STAKERS.at(account);
    let owed = slots.owed.get(storage)?;
    if staker.role != StakeRole::Validator || staker.unbondingAt != 0 {
        return Ok(owed);
    }
    let grown = sub(ACCUMULATOR.get(storage)?, slots.settled_at.get(storage)?)?;
    add(owed, mul(staker.stake, grown)?)
}

/// Writes down what the account is owed by now, before its stake changes; returns it.
fn settle(storage: &mut dyn Storage, account: Address, staker: &Staker) -> Result<U256> {
    let owed = owed(storage, account, staker)?;
    let slots = STAKERS.at(account);
    slots.owed.set(storage, owed)?;
    let accumulator = ACCUMULATOR.get(storage)?;
    slots.settled_at.set(storage, accumulator)?;
    Ok(owed)
}

fn least_stake(storage: &mut dyn Storage, role: StakeRole) -> Result<U256> {
    let name = match role {
        StakeRole::Validator => "validator_stake",
        StakeRole::Operator => "operator_stake",
        StakeRole::Verifier => "verifier_stake",
        StakeRole::None | StakeRole::__Invalid => return Err(revert(IStaking::InvalidRole { role })),
    };
    params::get(storage, params::param_name(name))
}

/// Everything that the module owes to these accounts and carries, scaled: its books, which tests hold its balance
/// against.
#[cfg(test)]
pub(crate) fn scaled_debts(storage: &mut dyn Storage, accounts: &[Address]) -> Result<U256> {
    let mut debts = CARRY.get(storage)?;
    for account in accounts {
        let staker = staker(storage, *account)?;
        let owed = owed(storage, *account, &staker)?;
        debts = add(debts, add(owed, mul(staker.stake, SCALE)?)?)?;
    }
    Ok(debts)
}
