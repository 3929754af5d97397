//! Delegation: what others bond with a validator, in shares of a pool.
//!
//! A pool holds tokens and shares; a share is worth `tokens / shares`, one wei at first and less after a slash, which only
//! takes tokens. Shares that an amount buys are rounded down and shares that an amount costs are rounded up, so that
//! rounding is the pool's: of those who stay. What unbonds lies in a second pool with shares of its own and is slashed like
//! the first. As long as a pool has shares it has tokens: nothing takes all of them.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{Delegation, IStaking, StakeRole};
use openledger_types::addresses::STAKING;

use super::rewards::{growth, settle, whole};
use super::{Standing, TOTAL_STAKE, free_at, standing, votes};
use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::{add, div_rem, half, mul, sub};
use crate::storage::{Storage, emit};

/// The most of its delegators' rewards that a validator may keep, parts per million.
const MAX_COMMISSION: u32 = 500_000;
/// How much a commission may rise at once, parts per million, and after how many seconds it may again.
const COMMISSION_STEP: u32 = 10_000;
const COMMISSION_PAUSE: u64 = 86_400;

place! {
    pub(super) struct PoolSlots {
        /// Tokens and shares that are bonded.
        0: bonded: Slot<(u128, u128)>,
        /// Tokens and shares that unbond.
        1: leaving: Slot<(u128, u128)>,
        /// Reward per bonded share, scaled.
        2: per_share: Slot<U256>,
        /// What the last division by the shares left, scaled.
        3: carry: Slot<U256>,
        /// Commission in parts per million, unix seconds of its last rise.
        4: commission: Slot<(u32, u64)>,
    }
}

place! {
    struct DelegationSlots {
        /// Shares that are bonded, shares that unbond.
        0: shares: Slot<(u128, u128)>,
        /// The pool's accumulator when `owed` was last settled.
        1: settled_at: Slot<U256>,
        /// Reward not yet claimed, scaled.
        2: owed: Slot<U256>,
        /// Votes that the delegation gives, unix seconds when what unbonds is free.
        3: units: Slot<(u128, u64)>,
    }
}

/// By validator.
pub(super) const POOLS: Mapping<Address, PoolSlots> = Mapping::new(STAKING, 5);
/// By delegator, then validator.
const DELEGATIONS: Mapping<Address, Mapping<Address, DelegationSlots>> = Mapping::new(STAKING, 6);

/// What is bonded with a validator beside its own stake, wei.
pub(super) fn bonded_with(storage: &mut dyn Storage, validator: Address) -> Result<U256> {
    Ok(U256::from(POOLS.at(validator).bonded.get(storage)?.0))
}

/// Sets the part of its delegators' rewards that a validator keeps. Once somebody delegates it rises by small steps, so
/// that who does not agree can leave.
///
/// # Errors
/// `NotValidator`, `InvalidCommission`, `TooSoon`.
pub fn set_commission(storage: &mut dyn Storage, validator: Address, ppm: u32) -> Result<()> {
    let before = standing(storage, validator)?;
    if before.role != StakeRole::Validator {
        return Err(revert(IStaking::NotValidator { account: validator }));
    }
    settle(storage, validator, &before)?;
    let pool = POOLS.at(validator);
    let (old, raised_at) = pool.commission.get(storage)?;
    let now = storage.block().timestamp;
    let mut most = MAX_COMMISSION;
    let mut stamp = raised_at;
    if ppm > old && pool.bonded.get(storage)?.1 != 0 {
        let available_at = raised_at.saturating_add(COMMISSION_PAUSE);
        if raised_at != 0 && now < available_at {
            return Err(revert(IStaking::TooSoon { availableAt: available_at }));
        }
        most = old.saturating_add(COMMISSION_STEP).min(MAX_COMMISSION);
        stamp = now;
    }
    if ppm > most {
        return Err(revert(IStaking::InvalidCommission { ppm, most }));
    }
    pool.commission.set(storage, (ppm, stamp))?;
    emit(storage, STAKING, &IStaking::CommissionSet { validator, ppm })
}

/// Bonds `amount`, which the module has received, with a validator.
///
/// # Errors
/// `ZeroAmount`; `NotValidator` unless it is bonded as one.
pub fn delegate_stake(
    storage: &mut dyn Storage,
    delegator: Address,
    validator: Address,
    amount: U256,
) -> Result<()> {
    if amount.is_zero() {
        return Err(revert(IStaking::ZeroAmount {}));
    }
    let before = standing(storage, validator)?;
    if !before.earns() {
        return Err(revert(IStaking::NotValidator { account: validator }));
    }
    settle(storage, validator, &before)?;
    settle_delegation(storage, delegator, validator)?;
    let pool = POOLS.at(validator);
    let (tokens, shares) = pool.bonded.get(storage)?;
    let bought = shares_for(amount, tokens, shares)?;
    if bought.is_zero() {
        return Err(revert(IStaking::ZeroAmount {}));
    }
    pool.bonded.set(storage, grown((tokens, shares), amount, bought)?)?;
    let slots = DELEGATIONS.at(delegator).at(validator);
    let (own, leaving) = slots.shares.get(storage)?;
    slots.shares.set(storage, (half(add(U256::from(own), bought)?)?, leaving))?;
    let total = add(TOTAL_STAKE.get(storage)?, amount)?;
    TOTAL_STAKE.set(storage, total)?;
    update_units(storage, delegator, validator)?;
    emit(storage, STAKING, &IStaking::StakeDelegated { delegator, validator, amount })
}

/// Takes an amount back; it is free after the unbonding time, which a second call starts anew.
///
/// # Errors
/// `ZeroAmount`, `InsufficientDelegation`.
pub fn undelegate_stake(
    storage: &mut dyn Storage,
    delegator: Address,
    validator: Address,
    amount: U256,
) -> Result<()> {
    if amount.is_zero() {
        return Err(revert(IStaking::ZeroAmount {}));
    }
    let before = settle_both(storage, delegator, validator)?;
    let pool = POOLS.at(validator);
    let bonded = pool.bonded.get(storage)?;
    let slots = DELEGATIONS.at(delegator).at(validator);
    let (own, leaving) = slots.shares.get(storage)?;
    let stake = worth(own, bonded)?;
    if amount > stake {
        return Err(revert(IStaking::InsufficientDelegation { stake, needed: amount }));
    }
    let cost = shares_of(amount, bonded)?;
    // Whom the amount costs all shares takes what they are worth, so that no token is left without a share.
    let (amount, cost) =
        if amount == stake || cost >= U256::from(own) { (stake, U256::from(own)) } else { (amount, cost) };
    pool.bonded.set(storage, shrunk(bonded, amount, cost)?)?;
    let unbonding = pool.leaving.get(storage)?;
    let bought = shares_for(amount, unbonding.0, unbonding.1)?;
    pool.leaving.set(storage, grown(unbonding, amount, bought)?)?;
    let shares = (half(sub(U256::from(own), cost)?)?, half(add(U256::from(leaving), bought)?)?);
    slots.shares.set(storage, shares)?;
    if before.earns() {
        let total = sub(TOTAL_STAKE.get(storage)?, amount)?;
        TOTAL_STAKE.set(storage, total)?;
    }
    update_units(storage, delegator, validator)?;
    let available_at = free_at(storage)?;
    let (units, _) = slots.units.get(storage)?;
    slots.units.set(storage, (units, available_at))?;
    let event = IStaking::UndelegationStarted { delegator, validator, amount, availableAt: available_at };
    emit(storage, STAKING, &event)
}

/// Pays out what has unbonded, after slashes; returns it.
///
/// # Errors
/// `NothingLeaving`, `StillBonded` before its time.
pub fn withdraw_delegation(
    storage: &mut dyn Storage,
    delegator: Address,
    validator: Address,
) -> Result<U256> {
    let slots = DELEGATIONS.at(delegator).at(validator);
    let (own, leaving) = slots.shares.get(storage)?;
    if leaving == 0 {
        return Err(revert(IStaking::NothingLeaving { delegator, validator }));
    }
    let (units, available_at) = slots.units.get(storage)?;
    if storage.block().timestamp < available_at {
        return Err(revert(IStaking::StillBonded { availableAt: available_at }));
    }
    let pool = POOLS.at(validator);
    let unbonding = pool.leaving.get(storage)?;
    let amount = worth(leaving, unbonding)?;
    pool.leaving.set(storage, shrunk(unbonding, amount, U256::from(leaving))?)?;
    slots.shares.set(storage, (own, 0))?;
    slots.units.set(storage, (units, 0))?;
    storage.transfer(STAKING, delegator, amount)?;
    emit(storage, STAKING, &IStaking::DelegationWithdrawn { delegator, validator, amount })?;
    Ok(amount)
}

/// Pays out what a delegation has earned in whole wei, which may be nothing.
///
/// # Errors
/// Those of the storage.
pub fn claim_delegation_reward(
    storage: &mut dyn Storage,
    delegator: Address,
    validator: Address,
) -> Result<U256> {
    settle_both(storage, delegator, validator)?;
    let slots = DELEGATIONS.at(delegator).at(validator);
    let (amount, rest) = whole(slots.owed.get(storage)?)?;
    slots.owed.set(storage, rest)?;
    storage.transfer(STAKING, delegator, amount)?;
    emit(storage, STAKING, &IStaking::DelegationRewardClaimed { delegator, validator, amount })?;
    Ok(amount)
}

/// A delegation; all zeros if there is none.
///
/// # Errors
/// Those of the storage.
pub fn delegation(storage: &mut dyn Storage, delegator: Address, validator: Address) -> Result<Delegation> {
    let before = standing(storage, validator)?;
    let growth = growth(storage, validator, &before)?;
    let pool = POOLS.at(validator);
    let slots = DELEGATIONS.at(delegator).at(validator);
    let (own, leaving) = slots.shares.get(storage)?;
    let per_share = add(pool.per_share.get(storage)?, growth.per_share)?;
    let earned = mul(U256::from(own), sub(per_share, slots.settled_at.get(storage)?)?)?;
    let (reward, _) = whole(add(slots.owed.get(storage)?, earned)?)?;
    let bonded = pool.bonded.get(storage)?;
    let unbonding = pool.leaving.get(storage)?;
    let (_, available_at) = slots.units.get(storage)?;
    Ok(Delegation {
        stake: worth(own, bonded)?,
        reward,
        leaving: worth(leaving, unbonding)?,
        availableAt: available_at,
    })
}

/// Brings the votes of a delegation to what it is worth: a slash does not visit those whom it hits.
pub(super) fn update_units(storage: &mut dyn Storage, delegator: Address, validator: Address) -> Result<()> {
    let slots = DELEGATIONS.at(delegator).at(validator);
    let (own, _) = slots.shares.get(storage)?;
    let bonded = POOLS.at(validator).bonded.get(storage)?;
    let worth = worth(own, bonded)?;
    let (units, available_at) = slots.units.get(storage)?;
    let units = U256::from(units);
    if worth > units {
        votes::add_units(storage, delegator, sub(worth, units)?)?;
    } else if worth < units {
        votes::remove_units(storage, delegator, sub(units, worth)?)?;
    }
    slots.units.set(storage, (half(worth)?, available_at))
}

/// Writes down what a validator and a delegation with it are owed by now; returns the validator's standing.
fn settle_both(storage: &mut dyn Storage, delegator: Address, validator: Address) -> Result<Standing> {
    let standing = standing(storage, validator)?;
    settle(storage, validator, &standing)?;
    settle_delegation(storage, delegator, validator)?;
    Ok(standing)
}

/// Writes down what a delegation is owed by now. The validator must be settled.
fn settle_delegation(storage: &mut dyn Storage, delegator: Address, validator: Address) -> Result<()> {
    let per_share = POOLS.at(validator).per_share.get(storage)?;
    let slots = DELEGATIONS.at(delegator).at(validator);
    let (own, _) = slots.shares.get(storage)?;
    let earned = mul(U256::from(own), sub(per_share, slots.settled_at.get(storage)?)?)?;
    let owed = add(slots.owed.get(storage)?, earned)?;
    slots.owed.set(storage, owed)?;
    slots.settled_at.set(storage, per_share)
}

/// Takes a part of the tokens of both pools, of which something must be left; returns what that is.
pub(super) fn cut(
    storage: &mut dyn Storage,
    validator: Address,
    part: impl Fn(U256) -> Result<U256>,
) -> Result<(U256, U256)> {
    let pool = POOLS.at(validator);
    let mut taken = [U256::ZERO; 2];
    for (slot, taken) in [&pool.bonded, &pool.leaving].into_iter().zip(&mut taken) {
        let (tokens, shares) = slot.get(storage)?;
        *taken = part(U256::from(tokens))?;
        slot.set(storage, (half(sub(U256::from(tokens), *taken)?)?, shares))?;
    }
    let [bonded, leaving] = taken;
    Ok((bonded, leaving))
}

/// What `shares` are worth, rounded down.
fn worth(shares: u128, (tokens, all): (u128, u128)) -> Result<U256> {
    if all == 0 {
        return Ok(U256::ZERO);
    }
    Ok(div_rem(mul(U256::from(shares), U256::from(tokens))?, U256::from(all))?.0)
}

/// The shares that an amount buys, rounded down.
fn shares_for(amount: U256, tokens: u128, shares: u128) -> Result<U256> {
    if shares == 0 {
        return Ok(amount);
    }
    Ok(div_rem(mul(amount, U256::from(shares))?, U256::from(tokens))?.0)
}

/// The shares that an amount costs, rounded up.
fn shares_of(amount: U256, (tokens, shares): (u128, u128)) -> Result<U256> {
    let (cost, rest) = div_rem(mul(amount, U256::from(shares))?, U256::from(tokens))?;
    if rest.is_zero() { Ok(cost) } else { add(cost, U256::ONE) }
}

fn grown((tokens, shares): (u128, u128), amount: U256, bought: U256) -> Result<(u128, u128)> {
    Ok((half(add(U256::from(tokens), amount)?)?, half(add(U256::from(shares), bought)?)?))
}

fn shrunk((tokens, shares): (u128, u128), amount: U256, cost: U256) -> Result<(u128, u128)> {
    Ok((half(sub(U256::from(tokens), amount)?)?, half(sub(U256::from(shares), cost)?)?))
}

/// What a delegation is owed, scaled, once its validator is settled.
#[cfg(any(test, feature = "test-util"))]
pub(super) fn settled(storage: &mut dyn Storage, delegator: Address, validator: Address) -> Result<U256> {
    settle_delegation(storage, delegator, validator)?;
    DELEGATIONS.at(delegator).at(validator).owed.get(storage)
}
