//! Params: every governed number with its hard range. Set at genesis; there is no operation that changes one.

mod dispatch;
#[cfg(test)]
mod tests;

use alloy_primitives::{B256, U256};
use openledger_types::abi::IParams;
use openledger_types::addresses::PARAMS as MODULE;
use openledger_types::amount::PPM;
use openledger_types::split::FeeSplit;

pub(crate) use dispatch::dispatch;

use crate::error::{ModuleError, Result, revert};
use crate::layout::{Mapping, Slot};
use crate::storage::Storage;

/// Values by name.
const VALUES: Mapping<B256, Slot<U256>> = Mapping::new(MODULE, 0);

/// A governed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamSpec {
    /// ASCII, at most 32 bytes.
    pub name: &'static str,
    /// At genesis, unless the genesis says otherwise.
    pub default: u128,
    /// The least it may ever be.
    pub least: u128,
    /// The most it may ever be.
    pub most: u128,
    /// What it is, and in which unit.
    pub meaning: &'static str,
}

/// Wei in one OPEN.
const OPEN: u128 = 1_000_000_000_000_000_000;

/// A day, in seconds.
const DAY: u128 = 86_400;

const fn param(
    name: &'static str,
    default: u128,
    least: u128,
    most: u128,
    meaning: &'static str,
) -> ParamSpec {
    ParamSpec { name, default, least, most, meaning }
}

/// Every governed number, in the order in which `all` lists them.
pub const PARAMS: &[ParamSpec] = &[
    param("contributors_ppm", 400_000, 300_000, 800_000, "part of a fee to contributors and the base pool"),
    param("operator_ppm", 300_000, 50_000, 500_000, "part of a fee to who served the answer"),
    param("developer_ppm", 150_000, 0, 300_000, "part of a fee to who trained the adapter"),
    param("validators_ppm", 60_000, 0, 200_000, "part of a fee to validators, by stake"),
    param("treasury_ppm", 40_000, 0, 100_000, "part of a fee to the treasury, beside what rounding leaves"),
    param("burn_ppm", 50_000, 0, 200_000, "part of a fee that is burnt"),
    param("verify_window", 50, 1, 100_000, "blocks after a batch in which verdicts are committed"),
    param("reveal_window", 50, 1, 100_000, "blocks after the verify window in which verdicts are revealed"),
    param("withdrawal_delay", 3_600, 60, 30 * DAY, "seconds from asking for a deposit back to getting it"),
    param("settle_grace", 3_600, 60, 30 * DAY, "seconds after a key ended in which earlier answers settle"),
    param("validator_stake", 10_000 * OPEN, OPEN, 10_000_000 * OPEN, "least stake of a validator, wei"),
    param("operator_stake", 1_000 * OPEN, OPEN, 10_000_000 * OPEN, "least stake of an operator, wei"),
    param("verifier_stake", 1_000 * OPEN, OPEN, 10_000_000 * OPEN, "least stake of a verifier, wei"),
    param("unbonding_seconds", 7 * DAY, 60, 60 * DAY, "seconds from leaving to getting the stake back"),
    param(
        "influence_floor_micronats",
        100_000,
        1_000,
        10_000_000,
        "least nats, in millionths, by which the contributors' part of an answer is divided",
    ),
];

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
    Ok(())
}

/// The value of a number.
///
/// # Errors
/// `UnknownParam` if no number has this name.
pub fn get(storage: &mut dyn Storage, name: B256) -> Result<U256> {
    if !PARAMS.iter().any(|spec| param_name(spec.name) == name) {
        return Err(revert(IParams::UnknownParam { name }));
    }
    VALUES.at(name).get(storage)
}

/// The value of a number that fits 64 bits by its range, for example a count of blocks or seconds.
pub(crate) fn get_u64(storage: &mut dyn Storage, name: &'static str) -> Result<u64> {
    let value = get(storage, param_name(name))?;
    u64::try_from(value)
        .map_err(|_too_large| ModuleError::System(format!("param '{name}' is outside its range")))
}

/// How a fee is split.
///
/// # Errors
/// Those of the storage.
pub fn fee_split(storage: &mut dyn Storage) -> Result<FeeSplit> {
    let mut ppm = |name: &'static str| -> Result<u32> {
        let value = get_u64(storage, name)?;
        u32::try_from(value)
            .map_err(|_too_large| ModuleError::System(format!("param '{name}' is outside its range")))
    };
    Ok(FeeSplit {
        contributors_ppm: ppm("contributors_ppm")?,
        operator_ppm: ppm("operator_ppm")?,
        developer_ppm: ppm("developer_ppm")?,
        validators_ppm: ppm("validators_ppm")?,
        treasury_ppm: ppm("treasury_ppm")?,
        burn_ppm: ppm("burn_ppm")?,
    })
}
