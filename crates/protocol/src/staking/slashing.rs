//! Slashes, jail, and what an operator owes for settling late.
//!
//! A slash takes a part of everything that stands behind an account: its own stake, bonded or unbonding, and of a
//! validator what is delegated to it, bonded or unbonding. What is taken stays with the module until the caller of
//! [`slash`] moves it. An account whose own stake a slash leaves below the least of its role is jailed: it can add to the
//! stake and return.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{IStaking, StakeRole};
use openledger_types::addresses::STAKING;
use openledger_types::amount::PPM;

use super::rewards::settle;
use super::{STAKERS, Standing, TOTAL_STAKE, delegation, enter, least_stake, leave, standing, votes};
use crate::error::{Result, overflow, revert};
use crate::math::{add, div_rem, mul, sub, sum};
use crate::storage::{Storage, emit};

/// Takes a part of what stands behind an account, parts per million, rounded down; returns the wei, which the caller must
/// move out of the module.
pub(crate) fn slash(storage: &mut dyn Storage, account: Address, ppm: u32) -> Result<U256> {
    let before = standing(storage, account)?;
    let part = |amount| Ok(div_rem(mul(amount, U256::from(ppm))?, U256::from(PPM))?.0);
    settle(storage, account, &before)?;
    let own = part(before.stake)?;
    let (delegated, leaving) = delegation::cut(storage, account, part)?;
    if before.earns() {
        let total = sub(TOTAL_STAKE.get(storage)?, add(own, delegated)?)?;
        TOTAL_STAKE.set(storage, total)?;
    }
    take(storage, account, &before, own)?;
    emit(storage, STAKING, &IStaking::Slashed { account, own, delegated, leaving })?;
    sum([own, delegated, leaving])
}

/// Takes an amount out of an operator's own stake, which the caller must move out of the module.
///
/// # Errors
/// `StakeTooSmall` if there is less.
pub(crate) fn forfeit(storage: &mut dyn Storage, account: Address, amount: U256) -> Result<()> {
    let before = standing(storage, account)?;
    if before.stake < amount {
        return Err(revert(IStaking::StakeTooSmall { stake: before.stake, least: amount }));
    }
    take(storage, account, &before, amount)?;
    emit(storage, STAKING, &IStaking::Forfeited { account, amount })
}

/// Returns what was forfeited and the module has received again. The operator is still there: its batch was undecided.
pub(crate) fn give_back(storage: &mut dyn Storage, account: Address, amount: U256) -> Result<()> {
    let before = standing(storage, account)?;
    STAKERS.at(account).stake.set(storage, add(before.stake, amount)?)?;
    if before.unbonding_at == 0 {
        votes::add_units(storage, account, amount)?;
    }
    emit(storage, STAKING, &IStaking::Returned { account, amount })
}

/// Lowers the own stake, and jails who is left with too little of it.
fn take(storage: &mut dyn Storage, account: Address, before: &Standing, amount: U256) -> Result<()> {
    let left = sub(before.stake, amount)?;
    STAKERS.at(account).stake.set(storage, left)?;
    if before.role == StakeRole::None {
        return Ok(());
    }
    if before.unbonding_at == 0 {
        votes::remove_units(storage, account, amount)?;
    }
    if before.is_bonded() && left < least_stake(storage, before.role)? {
        let now = storage.block().timestamp;
        jail(storage, account, now)?;
    }
    Ok(())
}

/// Ends an account's part in its role until it returns, from `until` on; `u64::MAX` is for ever.
pub(crate) fn jail(storage: &mut dyn Storage, account: Address, until: u64) -> Result<()> {
    let before = standing(storage, account)?;
    if before.role == StakeRole::None || until <= before.jailed_until {
        return Ok(());
    }
    settle(storage, account, &before)?;
    if before.is_bonded() {
        leave(storage, account)?;
    }
    let slots = STAKERS.at(account);
    let (_, locks) = slots.status.get(storage)?;
    // Zero stands for nobody's jail.
    slots.status.set(storage, (until.max(1), locks))?;
    emit(storage, STAKING, &IStaking::Jailed { account, until })
}

/// Returns from jail.
///
/// # Errors
/// `NotJailed`, `InJail` before its time, `AlreadyUnbonding`, `StakeTooSmall`.
pub fn unjail(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let before = standing(storage, account)?;
    let until = before.jailed_until;
    if before.role == StakeRole::None || until == 0 {
        return Err(revert(IStaking::NotJailed { account }));
    }
    if until == u64::MAX || storage.block().timestamp < until {
        return Err(revert(IStaking::InJail { account, until }));
    }
    if before.unbonding_at != 0 {
        return Err(revert(IStaking::AlreadyUnbonding { account }));
    }
    let least = least_stake(storage, before.role)?;
    if before.stake < least {
        return Err(revert(IStaking::StakeTooSmall { stake: before.stake, least }));
    }
    settle(storage, account, &before)?;
    let slots = STAKERS.at(account);
    let (_, locks) = slots.status.get(storage)?;
    slots.status.set(storage, (0, locks))?;
    enter(storage, account)?;
    emit(storage, STAKING, &IStaking::Unjailed { account })
}

/// Keeps an operator's stake until [`unlock`].
pub(crate) fn lock(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let slots = STAKERS.at(account);
    let (jailed_until, locks) = slots.status.get(storage)?;
    slots.status.set(storage, (jailed_until, locks.checked_add(1).ok_or_else(overflow)?))
}

/// Undoes one [`lock`].
pub(crate) fn unlock(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let slots = STAKERS.at(account);
    let (jailed_until, locks) = slots.status.get(storage)?;
    slots.status.set(storage, (jailed_until, locks.checked_sub(1).ok_or_else(overflow)?))
}
