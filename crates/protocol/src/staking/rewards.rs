//! What validators and their delegators are paid, by stake and time.
//!
//! A reward is paid evenly over `reward_seconds`, each second by the stake of that second: a stream, whose rules stand in
//! `stream.rs`. Over the total stake `S` what is due adds to an accumulator `A` of reward per wei of stake, scaled by 10¹⁸,
//! and the remainder of that division is carried to the next. With no validator bonded, a reward waits whole. Stake that joins
//! just before a reward has a second's part of it for a second. A validator with the own stake `s` and `d` delegated to it is owed
//! `(s + d) · (A − A at its last settlement)`. Of the part of `d` it keeps its commission, rounded down; the rest is
//! divided over the shares of the pool in the same way, by an accumulator and a carry of the pool's own. Everything is
//! kept scaled, so that nothing is lost: owed and carried amounts, scaled, add up to what was paid in.

use alloy_primitives::{Address, U256};
use openledger_types::abi::IStaking;
use openledger_types::addresses::STAKING;
use openledger_types::amount::PPM;

use super::delegation::POOLS;
use super::{STAKERS, Standing, TOTAL_STAKE, standing};
use crate::error::Result;
use crate::layout::Place as _;
#[cfg(any(test, feature = "test-util"))]
use crate::math::sum;
use crate::math::{add, div_rem, mul, sub};
use crate::params;
use crate::storage::{Storage, emit};
use crate::stream::Stream;

/// Scale of rewards per wei of stake.
const SCALE: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// Where the stream of rewards lies: four slots.
const STREAM: U256 = U256::from_limbs([12, 0, 0, 0]);

/// The validators' income, scaled.
fn stream() -> Stream {
    Stream::at(STAKING, STREAM)
}

/// Pays out what an account is owed in whole wei, which may be nothing.
///
/// # Errors
/// Those of the storage.
pub fn claim_reward(storage: &mut dyn Storage, account: Address) -> Result<U256> {
    let before = standing(storage, account)?;
    settle(storage, account, &before)?;
    let (amount, rest) = whole(STAKERS.at(account).owed.get(storage)?)?;
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
    let before = standing(storage, account)?;
    let growth = growth(storage, account, &before)?;
    Ok(whole(add(STAKERS.at(account).owed.get(storage)?, growth.own)?)?.0)
}

/// Starts to pay what came in while no validator was there.
pub(super) fn restart(storage: &mut dyn Storage) -> Result<()> {
    let seconds = params::get_u64(storage, "reward_seconds")?;
    stream().restart(storage, seconds)
}

/// Pays `amount`, which the module has received, to the validators' stake over time.
pub(crate) fn add_reward(storage: &mut dyn Storage, amount: U256) -> Result<()> {
    let total = TOTAL_STAKE.get(storage)?;
    let seconds = params::get_u64(storage, "reward_seconds")?;
    stream().add(storage, total, mul(amount, SCALE)?, seconds)?;
    emit(storage, STAKING, &IStaking::Rewarded { amount, totalStake: total })
}

/// A scaled amount in whole wei, and what is left of it, scaled.
pub(super) fn whole(scaled: U256) -> Result<(U256, U256)> {
    div_rem(scaled, SCALE)
}

/// What an account and its pool have earned since its last settlement, scaled.
pub(super) struct Growth {
    /// The account's own, commission included.
    own: U256,
    /// By which the pool's accumulator per share grows.
    pub(super) per_share: U256,
    /// What that division leaves.
    carry: U256,
}

pub(super) fn growth(storage: &mut dyn Storage, account: Address, standing: &Standing) -> Result<Growth> {
    let pool = POOLS.at(account);
    let carry = pool.carry.get(storage)?;
    if !standing.earns() {
        return Ok(Growth { own: U256::ZERO, per_share: U256::ZERO, carry });
    }
    let total = TOTAL_STAKE.get(storage)?;
    let accumulator = stream().flow(storage, total)?.per_stake;
    let grown = sub(accumulator, STAKERS.at(account).settled_at.get(storage)?)?;
    let own = mul(standing.stake, grown)?;
    let (tokens, shares) = pool.bonded.get(storage)?;
    if shares == 0 {
        // Nobody is left whose carry it was.
        return Ok(Growth { own: add(own, carry)?, per_share: U256::ZERO, carry: U256::ZERO });
    }
    let earned = mul(U256::from(tokens), grown)?;
    let (ppm, _) = pool.commission.get(storage)?;
    let commission = div_rem(mul(earned, U256::from(ppm))?, U256::from(PPM))?.0;
    let (per_share, carry) = div_rem(add(sub(earned, commission)?, carry)?, U256::from(shares))?;
    Ok(Growth { own: add(own, commission)?, per_share, carry })
}

/// Writes down what the account and its pool are owed by now, before anything that it depends on changes.
pub(super) fn settle(storage: &mut dyn Storage, account: Address, before: &Standing) -> Result<()> {
    let Growth { own, per_share, carry } = growth(storage, account, before)?;
    let slots = STAKERS.at(account);
    let owed = add(slots.owed.get(storage)?, own)?;
    slots.owed.set(storage, owed)?;
    let total = TOTAL_STAKE.get(storage)?;
    let accumulator = stream().release(storage, total)?;
    slots.settled_at.set(storage, accumulator)?;
    let pool = POOLS.at(account);
    let pool_accumulator = add(pool.per_share.get(storage)?, per_share)?;
    pool.per_share.set(storage, pool_accumulator)?;
    pool.carry.set(storage, carry)
}

/// Everything that the module owes to these accounts and to these delegators of validators, and what it carries, scaled: its
/// books, which tests hold its balance against. Everybody is settled in `storage`.
#[cfg(any(test, feature = "test-util"))]
pub(crate) fn scaled_debts(
    storage: &mut dyn Storage,
    accounts: &[Address],
    delegations: impl IntoIterator<Item = (Address, Address)>,
) -> Result<U256> {
    let mut debts = U256::ZERO;
    for account in accounts {
        let before = standing(storage, *account)?;
        settle(storage, *account, &before)?;
        let pool = POOLS.at(*account);
        let (bonded, leaving) = (pool.bonded.get(storage)?.0, pool.leaving.get(storage)?.0);
        let held = sum([before.stake, U256::from(bonded), U256::from(leaving)])?;
        let owed = STAKERS.at(*account).owed.get(storage)?;
        debts = sum([debts, mul(held, SCALE)?, owed, pool.carry.get(storage)?])?;
    }
    for (delegator, validator) in delegations {
        debts = add(debts, super::delegation::settled(storage, delegator, validator)?)?;
    }
    add(debts, stream().held(storage)?)
}
