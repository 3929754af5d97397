//! Staking: validators, operators and verifiers with their stake, delegation to validators, their part of fees, votes.
//!
//! An account has one role at a time. It is *bonded* from its first stake until it starts to unbond or is jailed, and
//! *active* while it is bonded with at least the least stake of its role. Stake is at risk until it is taken out: a slash
//! takes the same part of what is bonded and of what unbonds. An operator's stake stays while a batch of it is undecided.
//!
//! - `rewards`: the validators' part of fees, by stake and time and to the wei.
//! - [`delegation`]: what others bond with a validator.
//! - `slashing`: slashes, jail and what an operator owes for late settlement.
//! - `votes`: ERC-5805 votes over what is bonded.
//! - [`keys`]: the keys that validators vote with, and where their nodes are.
//! - [`evidence`]: votes that contradict each other, and what they cost.
//! - [`downtime`]: views that their leaders missed, and what that costs.
//! - [`seats`]: who orders the blocks of which epoch, elected by stake.

mod delegation;
mod dispatch;
pub mod downtime;
pub mod evidence;
pub mod keys;
mod rewards;
pub mod seats;
mod slashing;
#[cfg(test)]
mod tests;
mod votes;

use alloy_primitives::{Address, U256};
use openledger_types::abi::{IStaking, StakeRole, Staker};
use openledger_types::addresses::STAKING;

pub use delegation::{
    claim_delegation_reward, delegate_stake, delegation, set_commission, undelegate_stake,
    withdraw_delegation,
};
pub(crate) use dispatch::dispatch;
pub(crate) use rewards::add_reward;
#[cfg(any(test, feature = "test-util"))]
pub(crate) use rewards::scaled_debts;
pub use rewards::{claim_reward, reward};
pub use slashing::unjail;
pub(crate) use slashing::{forfeit, give_back, lock, slash, unlock};
pub use votes::{
    delegate, delegates, nonces, past_total_supply, past_votes, refresh_votes, votes as votes_of,
};

use crate::error::{Result, overflow, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::{add, sub};
use crate::params;
use crate::storage::{Storage, emit};
use delegation::POOLS;
use rewards::settle;

place! {
    struct StakerSlots {
        /// Role, block of the first stake, unix seconds when the stake is free (0 while bonded).
        0: state: Slot<(StakeRole, u64, u64)>,
        1: stake: Slot<U256>,
        /// The accumulator when `owed` was last settled.
        2: settled_at: Slot<U256>,
        /// Reward not yet claimed, scaled.
        3: owed: Slot<U256>,
        /// Unix seconds from which it can leave jail (0 if it is not there), undecided batches.
        4: status: Slot<(u64, u32)>,
    }
}

const STAKERS: Mapping<Address, StakerSlots> = Mapping::new(STAKING, 0);
/// Bonded stake of validators with what is delegated to them, wei.
const TOTAL_STAKE: Slot<U256> = Slot::new(STAKING, 1);
/// How many accounts are bonded, by role.
const BONDED: Mapping<StakeRole, Slot<u32>> = Mapping::new(STAKING, 4);

/// What the rules are decided by.
#[derive(Debug, Clone, Copy)]
struct Standing {
    role: StakeRole,
    registered_at: u64,
    unbonding_at: u64,
    jailed_until: u64,
    stake: U256,
}

impl Standing {
    /// True while it counts in its role: neither unbonding nor in jail.
    fn is_bonded(&self) -> bool {
        self.role != StakeRole::None && self.unbonding_at == 0 && self.jailed_until == 0
    }

    /// True while it earns the validators' part.
    fn earns(&self) -> bool {
        self.role == StakeRole::Validator && self.is_bonded()
    }
}

fn standing(storage: &mut dyn Storage, account: Address) -> Result<Standing> {
    let slots = STAKERS.at(account);
    let (role, registered_at, unbonding_at) = slots.state.get(storage)?;
    let stake = slots.stake.get(storage)?;
    let (jailed_until, _) = slots.status.get(storage)?;
    Ok(Standing { role, registered_at, unbonding_at, jailed_until, stake })
}

/// A staker; all zeros if the account never staked or took its stake out.
///
/// # Errors
/// Those of the storage.
pub fn staker(storage: &mut dyn Storage, account: Address) -> Result<Staker> {
    let Standing { role, registered_at, unbonding_at, jailed_until, stake } = standing(storage, account)?;
    let (_, locks) = STAKERS.at(account).status.get(storage)?;
    let pool = POOLS.at(account);
    Ok(Staker {
        role,
        stake,
        registeredAt: registered_at,
        unbondingAt: unbonding_at,
        jailedUntil: jailed_until,
        locks,
        commissionPpm: pool.commission.get(storage)?.0,
        delegated: U256::from(pool.bonded.get(storage)?.0),
    })
}

/// True if the account is bonded in this role with at least the least stake.
///
/// # Errors
/// Those of the storage.
pub fn is_active(storage: &mut dyn Storage, account: Address, role: StakeRole) -> Result<bool> {
    let standing = standing(storage, account)?;
    if role == StakeRole::None || standing.role != role || !standing.is_bonded() {
        return Ok(false);
    }
    Ok(standing.stake >= least_stake(storage, role)?)
}

/// True if the account is bonded in any role, neither unbonding nor in jail.
pub(crate) fn is_bonded(storage: &mut dyn Storage, account: Address) -> Result<bool> {
    Ok(standing(storage, account)?.is_bonded())
}

/// Block in which the account took its role; 0 if it has none.
pub(crate) fn registered_at(storage: &mut dyn Storage, account: Address) -> Result<u64> {
    Ok(STAKERS.at(account).state.get(storage)?.1)
}

/// What an account has at stake itself, wei.
pub(crate) fn stake_of(storage: &mut dyn Storage, account: Address) -> Result<U256> {
    STAKERS.at(account).stake.get(storage)
}

/// How many accounts are bonded in this role.
///
/// # Errors
/// Those of the storage.
pub fn bonded(storage: &mut dyn Storage, role: StakeRole) -> Result<u32> {
    BONDED.at(role).get(storage)
}

/// Bonded stake of validators with what is delegated to them: what their part of fees is divided over.
///
/// # Errors
/// Those of the storage.
pub fn total_stake(storage: &mut dyn Storage) -> Result<U256> {
    TOTAL_STAKE.get(storage)
}

/// Bonds `amount`, which the module has received, in a role. A jailed account can add to its stake, too.
///
/// # Errors
/// `InvalidRole` for no role, `RoleTaken` in another one, `AlreadyUnbonding`, `StakeTooSmall`.
pub fn stake(storage: &mut dyn Storage, account: Address, role: StakeRole, amount: U256) -> Result<()> {
    if role == StakeRole::None {
        return Err(revert(IStaking::InvalidRole { role }));
    }
    let before = standing(storage, account)?;
    if before.role != StakeRole::None && before.role != role {
        return Err(revert(IStaking::RoleTaken { account, role: before.role }));
    }
    if before.unbonding_at != 0 {
        return Err(revert(IStaking::AlreadyUnbonding { account }));
    }
    let stake = add(before.stake, amount)?;
    let least = least_stake(storage, role)?;
    if stake < least {
        return Err(revert(IStaking::StakeTooSmall { stake, least }));
    }
    settle(storage, account, &before)?;
    let slots = STAKERS.at(account);
    slots.stake.set(storage, stake)?;
    votes::add_units(storage, account, amount)?;
    if before.role == StakeRole::None {
        let now = storage.block().number;
        slots.state.set(storage, (role, now, 0))?;
        if before.jailed_until == 0 {
            enter(storage, account)?;
        }
    } else if before.earns() {
        let total = add(TOTAL_STAKE.get(storage)?, amount)?;
        TOTAL_STAKE.set(storage, total)?;
    }
    emit(storage, STAKING, &IStaking::Staked { account, role, amount, stake })
}

/// Counts an account as bonded that was not.
fn enter(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let Standing { role, stake, .. } = standing(storage, account)?;
    let count = BONDED.at(role).get(storage)?;
    BONDED.at(role).set(storage, count.checked_add(1).ok_or_else(overflow)?)?;
    if role == StakeRole::Validator {
        let weight = add(stake, delegation::bonded_with(storage, account)?)?;
        let before = TOTAL_STAKE.get(storage)?;
        if before.is_zero() {
            rewards::restart(storage)?;
        }
        TOTAL_STAKE.set(storage, add(before, weight)?)?;
    }
    Ok(())
}

/// Counts an account no longer as bonded that was.
fn leave(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let Standing { role, stake, .. } = standing(storage, account)?;
    let count = BONDED.at(role).get(storage)?;
    BONDED.at(role).set(storage, count.checked_sub(1).ok_or_else(overflow)?)?;
    if role == StakeRole::Validator {
        let weight = add(stake, delegation::bonded_with(storage, account)?)?;
        let total = sub(TOTAL_STAKE.get(storage)?, weight)?;
        TOTAL_STAKE.set(storage, total)?;
    }
    Ok(())
}

/// Gives up the role; the stake is free after the unbonding time. What is delegated to a validator stays, without
/// earning, until its owners take it back.
///
/// # Errors
/// `NotStaked`, `AlreadyUnbonding`.
pub fn start_unbonding(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let before = standing(storage, account)?;
    if before.role == StakeRole::None {
        return Err(revert(IStaking::NotStaked { account }));
    }
    if before.unbonding_at != 0 {
        return Err(revert(IStaking::AlreadyUnbonding { account }));
    }
    settle(storage, account, &before)?;
    if before.is_bonded() {
        leave(storage, account)?;
    }
    votes::remove_units(storage, account, before.stake)?;
    let available_at = free_at(storage)?;
    STAKERS.at(account).state.set(storage, (before.role, before.registered_at, available_at))?;
    emit(storage, STAKING, &IStaking::UnbondingStarted { account, availableAt: available_at })
}

/// When what starts to unbond now is free, unix seconds.
fn free_at(storage: &mut dyn Storage) -> Result<u64> {
    Ok(storage.block().timestamp.saturating_add(params::get_u64(storage, "unbonding_seconds")?))
}

/// Pays the stake out. Rewards stay claimable.
///
/// # Errors
/// `NotStaked`; `StillBonded` before its time, with 0 if unbonding was never started; `StakeLocked` while a batch of the
/// operator is undecided.
pub fn unstake(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let before = standing(storage, account)?;
    if before.role == StakeRole::None {
        return Err(revert(IStaking::NotStaked { account }));
    }
    if before.unbonding_at == 0 || before.unbonding_at > storage.block().timestamp {
        return Err(revert(IStaking::StillBonded { availableAt: before.unbonding_at }));
    }
    let slots = STAKERS.at(account);
    let (jailed_until, batches) = slots.status.get(storage)?;
    if batches != 0 {
        return Err(revert(IStaking::StakeLocked { batches }));
    }
    slots.state.set(storage, (StakeRole::None, 0, 0))?;
    slots.stake.set(storage, U256::ZERO)?;
    // Whoever is jailed for ever does not come back by leaving.
    let jailed_until = if jailed_until == u64::MAX { jailed_until } else { 0 };
    slots.status.set(storage, (jailed_until, 0))?;
    storage.transfer(STAKING, account, before.stake)?;
    emit(storage, STAKING, &IStaking::Unstaked { account, amount: before.stake })
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
