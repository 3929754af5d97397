//! Vesting schedules of the genesis, which anyone can read. What is not yet released lies on OPEN's own account.
//!
//! Of an amount `A` the part `floor(A · (t − start) / (end − start))` has vested at time `t` from `start` to `end`, all of it
//! afterwards, and nothing before `cliff`.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{IOpen, Vesting};
use openledger_types::addresses::{MODULES, OPEN};

use crate::dispatch::next_id;
use crate::error::{ModuleError, Result, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::{add, div_rem, half, mul, sub};
use crate::storage::{Storage, emit};

place! {
    struct VestingSlots {
        /// Beneficiary, start.
        0: beneficiary: Slot<(Address, u64)>,
        /// Cliff, end.
        1: times: Slot<(u64, u64)>,
        /// Amount and what of it is released, wei.
        2: amounts: Slot<(u128, u128)>,
    }
}

const COUNT: Slot<U256> = Slot::new(OPEN, 3);
const SCHEDULES: Mapping<U256, VestingSlots> = Mapping::new(OPEN, 4);
/// Sum of what no schedule has released, wei.
const LOCKED: Slot<U256> = Slot::new(OPEN, 5);

/// Why a genesis cannot have a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VestingError {
    /// Nobody who could be paid.
    #[error("{0} cannot be the beneficiary of a vesting schedule")]
    Beneficiary(Address),
    /// Nothing to vest.
    #[error("a vesting schedule of {0} vests nothing")]
    Empty(Address),
    /// The times are in no order.
    #[error(
        "a vesting schedule has start {start}, cliff {cliff}, end {end}; start <= cliff <= end and start < end is needed"
    )]
    Times {
        /// Unix seconds.
        start: u64,
        /// Unix seconds.
        cliff: u64,
        /// Unix seconds.
        end: u64,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] ModuleError),
}

/// Adds a schedule at genesis; the module's account must be given its amount. Returns its number.
///
/// # Errors
/// [`VestingError`] says what cannot be so.
pub fn add_vesting(storage: &mut dyn Storage, vesting: &Vesting) -> Result<U256, VestingError> {
    let Vesting { beneficiary, amount, start, cliff, end, .. } = *vesting;
    if beneficiary.is_zero() || MODULES.contains(&beneficiary) {
        return Err(VestingError::Beneficiary(beneficiary));
    }
    if amount.is_zero() {
        return Err(VestingError::Empty(beneficiary));
    }
    if start > cliff || cliff > end || start == end {
        return Err(VestingError::Times { start, cliff, end });
    }
    let id = next_id(COUNT.get(storage)?)?;
    COUNT.set(storage, id)?;
    let slots = SCHEDULES.at(id);
    slots.beneficiary.set(storage, (beneficiary, start))?;
    slots.times.set(storage, (cliff, end))?;
    slots.amounts.set(storage, (half(amount)?, 0))?;
    let locked = add(LOCKED.get(storage)?, amount)?;
    LOCKED.set(storage, locked)?;
    Ok(id)
}

/// Schedules so far.
///
/// # Errors
/// Those of the storage.
pub fn vesting_count(storage: &mut dyn Storage) -> Result<U256> {
    COUNT.get(storage)
}

/// What no schedule has released, wei.
///
/// # Errors
/// Those of the storage.
pub fn locked(storage: &mut dyn Storage) -> Result<U256> {
    LOCKED.get(storage)
}

/// A schedule.
///
/// # Errors
/// `UnknownVesting`.
pub fn vesting(storage: &mut dyn Storage, id: U256) -> Result<Vesting> {
    let slots = SCHEDULES.at(id);
    let (amount, released) = slots.amounts.get(storage)?;
    if amount == 0 {
        return Err(revert(IOpen::UnknownVesting { vesting: id }));
    }
    let (beneficiary, start) = slots.beneficiary.get(storage)?;
    let (cliff, end) = slots.times.get(storage)?;
    let (amount, released) = (U256::from(amount), U256::from(released));
    Ok(Vesting { beneficiary, amount, released, start, cliff, end })
}

/// What has vested of a schedule and is not released, wei.
///
/// # Errors
/// `UnknownVesting`.
pub fn releasable(storage: &mut dyn Storage, id: U256) -> Result<U256> {
    let schedule = vesting(storage, id)?;
    sub(vested(&schedule, storage.block().timestamp)?, schedule.released)
}

/// Pays what has vested to the beneficiary; returns it.
///
/// # Errors
/// `UnknownVesting`, `NothingToRelease`.
pub fn release(storage: &mut dyn Storage, id: U256) -> Result<U256> {
    let Vesting { beneficiary, amount, released, .. } = vesting(storage, id)?;
    let due = releasable(storage, id)?;
    if due.is_zero() {
        return Err(revert(IOpen::NothingToRelease { vesting: id }));
    }
    SCHEDULES.at(id).amounts.set(storage, (half(amount)?, half(add(released, due)?)?))?;
    let locked = sub(LOCKED.get(storage)?, due)?;
    LOCKED.set(storage, locked)?;
    storage.transfer(OPEN, beneficiary, due)?;
    emit(storage, OPEN, &IOpen::VestingReleased { vesting: id, beneficiary, amount: due })?;
    emit(storage, OPEN, &IOpen::Transfer { from: OPEN, to: beneficiary, value: due })?;
    Ok(due)
}

fn vested(schedule: &Vesting, now: u64) -> Result<U256> {
    let Vesting { amount, start, cliff, end, .. } = *schedule;
    if now < cliff {
        return Ok(U256::ZERO);
    }
    if now >= end {
        return Ok(amount);
    }
    let (passed, whole) = (now.saturating_sub(start), end.saturating_sub(start));
    Ok(div_rem(mul(amount, U256::from(passed))?, U256::from(whole))?.0)
}
