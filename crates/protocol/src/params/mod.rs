//! Params: every governed number, within its hard range.
//!
//! The [table](PARAMS) says what each is counted in, its range and the most that it may change from one epoch to the next. The
//! governor *schedules* changes: they hold from the start of the next epoch, a day of UTC unless the genesis says otherwise, all
//! of them or none. A second schedule for the same epoch replaces the first. Steps are counted from the value that holds when a
//! change is scheduled, so a number moves by at most its step an epoch. What a number was at any time that has passed stays
//! readable (`getAt`), so that what began under some numbers ends under them.
//!
//! The governor also schedules `upgrades` of the protocol itself. The genesis names the governor.

mod dispatch;
mod table;
#[cfg(test)]
mod tests;
mod upgrades;

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::IParams;
use openledger_types::addresses::PARAMS as MODULE;
use openledger_types::amount::PPM;
use openledger_types::split::FeeSplit;

pub(crate) use dispatch::dispatch;
pub use table::{EPOCH_SECONDS, PARAMS, ParamSpec, markdown};
pub use upgrades::{
    UPGRADE_HEIGHT, UPGRADE_NAME, UPGRADE_NOTICE, cancel_upgrade, schedule_upgrade, upgrade, upgrade_height,
};

use crate::checkpoints::Trace;
use crate::error::{ModuleError, Result, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::{add, half, mul};
use crate::storage::{Storage, emit};
use table::{AT_LEAST, BLOCK_SECONDS, DISPUTE, UNBONDING};

place! {
    struct ScheduledSlots {
        0: value: Slot<U256>,
        /// Unix seconds from which it holds; 0 if nothing is scheduled.
        1: from: Slot<u64>,
    }
}

/// Values by name.
const VALUES: Mapping<B256, Slot<U256>> = Mapping::new(MODULE, 0);
/// What is scheduled, by name.
const SCHEDULED: Mapping<B256, ScheduledSlots> = Mapping::new(MODULE, 1);
const GOVERNOR: Slot<Address> = Slot::new(MODULE, 2);
/// Seconds of an epoch; 0 stands for [`EPOCH_SECONDS`].
const EPOCH: Slot<u64> = Slot::new(MODULE, 3);
/// By name, what held from which unix seconds on; nothing of a number that was never changed.
const HISTORY: Mapping<B256, Trace> = Mapping::new(MODULE, 7);

/// A name as the ABI has it: ASCII at the left of a word.
pub fn param_name(name: &str) -> B256 {
    B256::right_padding_from(name.as_bytes())
}

/// Why a genesis cannot set the governed numbers so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// No number has this name.
    #[error("there is no param '{0}'")]
    Unknown(String),
    /// Outside the hard range.
    #[error("param '{name}' is {got}; it may be from {least} to {most}")]
    OutOfRange {
        /// Name of the number.
        name: String,
        /// The value that was given.
        got: U256,
        /// The least it may be.
        least: u128,
        /// The most it may be.
        most: u128,
    },
    /// The parts of a fee do not make a whole.
    #[error("the parts of a fee add up to {got} ppm, not 1000000")]
    Split {
        /// What they add up to.
        got: U256,
    },
    /// A number is below one that it may not be below.
    #[error("param '{name}' may not be below '{other}'")]
    Below {
        /// Name of the number.
        name: &'static str,
        /// Name of the other.
        other: &'static str,
    },
    /// Stake could be out before the longest dispute is over.
    #[error(
        "param 'unbonding_seconds' is {got}; the longest dispute takes {dispute} seconds with these windows"
    )]
    UnbondingTooShort {
        /// The value that was given.
        got: U256,
        /// Seconds of the longest dispute.
        dispute: U256,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] ModuleError),
}

/// Sets every number to its default, or to what `overrides` says.
///
/// # Errors
/// [`ParamError`] says which rule the overrides break.
pub fn init<'a>(
    storage: &mut dyn Storage,
    overrides: impl IntoIterator<Item = (&'a str, U256)>,
) -> Result<(), ParamError> {
    for spec in PARAMS {
        VALUES.at(param_name(spec.name)).set(storage, U256::from(spec.default))?;
    }
    for (name, got) in overrides {
        let spec = PARAMS.iter().find(|spec| spec.name == name);
        let ParamSpec { least, most, .. } = *spec.ok_or_else(|| ParamError::Unknown(name.to_owned()))?;
        if got < U256::from(least) || got > U256::from(most) {
            return Err(ParamError::OutOfRange { name: name.to_owned(), got, least, most });
        }
        VALUES.at(param_name(name)).set(storage, got)?;
    }
    let mut whole = U256::ZERO;
    for spec in PARAMS.iter().filter(|spec| spec.name.ends_with("_ppm")) {
        whole = whole.saturating_add(VALUES.at(param_name(spec.name)).get(storage)?);
    }
    if whole != U256::from(PPM) {
        return Err(ParamError::Split { got: whole });
    }
    for (name, other) in AT_LEAST {
        let value = VALUES.at(param_name(name)).get(storage)?;
        if value < VALUES.at(param_name(other)).get(storage)? {
            return Err(ParamError::Below { name, other });
        }
    }
    let value = |storage: &mut dyn Storage, name: &str| VALUES.at(param_name(name)).get(storage);
    let (got, dispute) = (value(storage, UNBONDING)?, longest_dispute(storage, value)?);
    if got <= dispute {
        return Err(ParamError::UnbondingTooShort { got, dispute });
    }
    Ok(())
}

/// Seconds of the longest dispute with windows as they are read.
fn longest_dispute(
    storage: &mut dyn Storage,
    window: impl Fn(&mut dyn Storage, &str) -> Result<U256>,
) -> Result<U256> {
    let mut blocks = U256::ZERO;
    for (name, times) in DISPUTE {
        blocks = add(blocks, mul(window(storage, name)?, U256::from(*times))?)?;
    }
    mul(blocks, U256::from(BLOCK_SECONDS))
}

/// Names the governor, at genesis.
///
/// # Errors
/// Those of the storage.
pub fn init_governor(storage: &mut dyn Storage, governor: Address) -> Result<()> {
    GOVERNOR.set(storage, governor)
}

/// Who may schedule changes; zero if nobody may.
///
/// # Errors
/// Those of the storage.
pub fn governor(storage: &mut dyn Storage) -> Result<Address> {
    GOVERNOR.get(storage)
}

/// Sets the length of an epoch, at genesis.
///
/// # Errors
/// Those of the storage.
pub fn init_epoch(storage: &mut dyn Storage, seconds: u64) -> Result<()> {
    EPOCH.set(storage, seconds)
}

/// Seconds of an epoch.
///
/// # Errors
/// Those of the storage.
pub fn epoch_seconds(storage: &mut dyn Storage) -> Result<u64> {
    let seconds = EPOCH.get(storage)?;
    Ok(if seconds == 0 { EPOCH_SECONDS } else { seconds })
}

/// Refuses whoever is not the governor.
fn need_governor(storage: &mut dyn Storage, caller: Address) -> Result<()> {
    let governor = governor(storage)?;
    if governor.is_zero() || caller != governor {
        return Err(revert(IParams::NotGovernor { caller, governor }));
    }
    Ok(())
}

/// Changes numbers at the start of the next epoch.
///
/// # Errors
/// `NotGovernor`, `InvalidCount`, `UnknownParam`, `OutOfRange`, `StepTooLarge`; `SplitNotWhole`, `BelowOther` and
/// `UnbondingTooShort` for what the next epoch would have.
pub fn schedule(storage: &mut dyn Storage, caller: Address, names: &[B256], values: &[U256]) -> Result<()> {
    need_governor(storage, caller)?;
    if names.is_empty() || names.len() != values.len() || names.len() > PARAMS.len() {
        let [names, values, limit] = [names.len(), values.len(), PARAMS.len()].map(U256::from);
        return Err(revert(IParams::InvalidCount { names, values, limit }));
    }
    let now = storage.block().timestamp;
    let epoch = epoch_seconds(storage)?;
    let rest = now.checked_rem(epoch).unwrap_or_default();
    let from = now.saturating_sub(rest).saturating_add(epoch);
    for (name, value) in names.iter().zip(values) {
        let (name, value) = (*name, *value);
        let spec = spec(name)?;
        let (least, most) = (U256::from(spec.least), U256::from(spec.most));
        if value < least || value > most {
            return Err(revert(IParams::OutOfRange { name, value, least, most }));
        }
        let (current, step) = (get(storage, name)?, U256::from(spec.step));
        if value.abs_diff(current) > step {
            return Err(revert(IParams::StepTooLarge { name, value, current, step }));
        }
        VALUES.at(name).set(storage, current)?;
        let history = HISTORY.at(name);
        if history.is_empty(storage)? {
            history.push_from(storage, 0, half(current)?)?;
        }
        history.push_from(storage, from, half(value)?)?;
        let slots = SCHEDULED.at(name);
        slots.value.set(storage, value)?;
        slots.from.set(storage, from)?;
        emit(storage, MODULE, &IParams::Scheduled { name, value, from })?;
    }
    check_next(storage)
}

/// Checks that the numbers fit together once everything that is scheduled holds.
fn check_next(storage: &mut dyn Storage) -> Result<()> {
    let mut sum = U256::ZERO;
    for spec in PARAMS.iter().filter(|spec| spec.name.ends_with("_ppm")) {
        sum = sum.saturating_add(next(storage, param_name(spec.name))?);
    }
    if sum != U256::from(PPM) {
        return Err(revert(IParams::SplitNotWhole { sum }));
    }
    for (name, other) in AT_LEAST {
        let (name, other) = (param_name(name), param_name(other));
        let (value, least) = (next(storage, name)?, next(storage, other)?);
        if value < least {
            return Err(revert(IParams::BelowOther { name, value, other, least }));
        }
    }
    let value = next(storage, param_name(UNBONDING))?;
    let dispute = longest_dispute(storage, |storage, name| next(storage, param_name(name)))?;
    if value <= dispute {
        return Err(revert(IParams::UnbondingTooShort { value, dispute }));
    }
    Ok(())
}

fn next(storage: &mut dyn Storage, name: B256) -> Result<U256> {
    match scheduled(storage, name)? {
        (_, 0) => VALUES.at(name).get(storage),
        (value, _) => Ok(value),
    }
}

/// What is scheduled for a number and from which time, or holds since then; zeros if nothing ever was.
///
/// # Errors
/// `UnknownParam`.
pub fn scheduled(storage: &mut dyn Storage, name: B256) -> Result<(U256, u64)> {
    spec(name)?;
    let slots = SCHEDULED.at(name);
    Ok((slots.value.get(storage)?, slots.from.get(storage)?))
}

fn spec(name: B256) -> Result<&'static ParamSpec> {
    let found = PARAMS.iter().find(|spec| param_name(spec.name) == name);
    found.ok_or_else(|| revert(IParams::UnknownParam { name }))
}

/// The value of a number.
///
/// # Errors
/// `UnknownParam` if no number has this name.
pub fn get(storage: &mut dyn Storage, name: B256) -> Result<U256> {
    spec(name)?;
    let slots = SCHEDULED.at(name);
    match slots.from.get(storage)? {
        0 => VALUES.at(name).get(storage),
        from if storage.block().timestamp < from => VALUES.at(name).get(storage),
        _ => slots.value.get(storage),
    }
}

/// The value of a number at a time, unix seconds.
///
/// # Errors
/// `UnknownParam` if no number has this name, `FutureLookup` of a time that is still to come.
pub fn get_at(storage: &mut dyn Storage, name: B256, time: u64) -> Result<U256> {
    spec(name)?;
    let now = storage.block().timestamp;
    if time > now {
        return Err(revert(IParams::FutureLookup { time, now }));
    }
    let history = HISTORY.at(name);
    if history.is_empty(storage)? {
        return VALUES.at(name).get(storage);
    }
    Ok(U256::from(history.value_at(storage, time)?))
}

/// The value of a number that fits 64 bits by its range, for example a count of blocks or seconds.
pub(crate) fn get_u64(storage: &mut dyn Storage, name: &'static str) -> Result<u64> {
    narrow(name, get(storage, param_name(name))?)
}

/// The value at a time of a number that fits 64 bits by its range.
pub(crate) fn get_u64_at(storage: &mut dyn Storage, name: &'static str, time: u64) -> Result<u64> {
    narrow(name, get_at(storage, param_name(name), time)?)
}

fn narrow<T: TryFrom<U256>>(name: &'static str, value: U256) -> Result<T> {
    T::try_from(value)
        .map_err(|_too_large| ModuleError::System(format!("param '{name}' is outside its range")))
}

/// The value of a number of parts per million.
pub(crate) fn get_ppm(storage: &mut dyn Storage, name: &'static str) -> Result<u32> {
    narrow(name, get(storage, param_name(name))?)
}

/// The value of a number of parts per million at a time.
pub(crate) fn get_ppm_at(storage: &mut dyn Storage, name: &'static str, time: u64) -> Result<u32> {
    narrow(name, get_at(storage, param_name(name), time)?)
}

/// How a fee is split.
///
/// # Errors
/// Those of the storage.
pub fn fee_split(storage: &mut dyn Storage) -> Result<FeeSplit> {
    let now = storage.block().timestamp;
    fee_split_at(storage, now)
}

/// How a fee was split at a time, unix seconds.
///
/// # Errors
/// `FutureLookup`.
pub fn fee_split_at(storage: &mut dyn Storage, time: u64) -> Result<FeeSplit> {
    let mut ppm = |name| get_ppm_at(storage, name, time);
    Ok(FeeSplit {
        contributors_ppm: ppm("contributors_ppm")?,
        operator_ppm: ppm("operator_ppm")?,
        developer_ppm: ppm("developer_ppm")?,
        validators_ppm: ppm("validators_ppm")?,
        treasury_ppm: ppm("treasury_ppm")?,
        burn_ppm: ppm("burn_ppm")?,
    })
}
