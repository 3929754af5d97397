//! Upgrades of the protocol: a name and the height of the first block to which its rules apply.
//!
//! The governor schedules one upgrade at a time, with a notice of [`UPGRADE_NOTICE`] blocks, and can take it back before its
//! height. Software gates its rules on [`upgrade_height`] of the names that it knows. It must stop before the height of one
//! that it does not know: what it would compute from there on is not what the others compute.

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::IParams;
use openledger_types::addresses::PARAMS as MODULE;

use super::need_governor;
use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot};
use crate::storage::{Storage, emit};

/// Fewest blocks between the call that schedules an upgrade and its height.
pub const UPGRADE_NOTICE: u64 = 100;
/// Slot of the name of the upgrade that was scheduled last.
pub const UPGRADE_NAME: U256 = U256::from_limbs([4, 0, 0, 0]);
/// Slot of its height.
pub const UPGRADE_HEIGHT: U256 = U256::from_limbs([5, 0, 0, 0]);

const NAME: Slot<B256> = Slot::new(MODULE, 4);
const HEIGHT: Slot<u64> = Slot::new(MODULE, 5);
/// Heights by name.
const HEIGHTS: Mapping<B256, Slot<u64>> = Mapping::new(MODULE, 6);

/// Schedules an upgrade.
///
/// # Errors
/// `NotGovernor`; `InvalidUpgrade` without a name or with one that was used; `UpgradePending` while another waits;
/// `UpgradeTooSoon`.
pub fn schedule_upgrade(storage: &mut dyn Storage, caller: Address, name: B256, height: u64) -> Result<()> {
    need_governor(storage, caller)?;
    if name.is_zero() || upgrade_height(storage, name)? != 0 {
        return Err(revert(IParams::InvalidUpgrade { name }));
    }
    let now = storage.block().number;
    let (waiting, at) = upgrade(storage)?;
    if at > now {
        return Err(revert(IParams::UpgradePending { name: waiting, height: at }));
    }
    let least = now.saturating_add(UPGRADE_NOTICE);
    if height < least {
        return Err(revert(IParams::UpgradeTooSoon { height, least }));
    }
    NAME.set(storage, name)?;
    HEIGHT.set(storage, height)?;
    HEIGHTS.at(name).set(storage, height)?;
    emit(storage, MODULE, &IParams::UpgradeScheduled { name, height })
}

/// Takes back the upgrade that waits.
///
/// # Errors
/// `NotGovernor`, `NoUpgrade` that waits.
pub fn cancel_upgrade(storage: &mut dyn Storage, caller: Address) -> Result<()> {
    need_governor(storage, caller)?;
    let (name, height) = upgrade(storage)?;
    if height <= storage.block().number {
        return Err(revert(IParams::NoUpgrade {}));
    }
    NAME.set(storage, B256::ZERO)?;
    HEIGHT.set(storage, 0)?;
    HEIGHTS.at(name).set(storage, 0)?;
    emit(storage, MODULE, &IParams::UpgradeCancelled { name })
}

/// The upgrade that was scheduled last, with its height; zeros if there is none.
///
/// # Errors
/// Those of the storage.
pub fn upgrade(storage: &mut dyn Storage) -> Result<(B256, u64)> {
    Ok((NAME.get(storage)?, HEIGHT.get(storage)?))
}

/// From which height an upgrade holds; 0 if it was never scheduled.
///
/// # Errors
/// Those of the storage.
pub fn upgrade_height(storage: &mut dyn Storage, name: B256) -> Result<u64> {
    HEIGHTS.at(name).get(storage)
}
