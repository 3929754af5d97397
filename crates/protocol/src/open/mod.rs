//! OPEN: the ERC-20 face of the native coin. One balance, two interfaces: what `balanceOf` says is the account's
//! balance, and `transfer` moves it with a `Transfer` log. A plain value transfer leaves no log.
//!
//! Nobody can send to a module through this face: what modules hold is owed to somebody, by their own books.
//!
//! Holders also move it by signature (ERC-2612, ERC-3009), and what the genesis allocates with a vesting schedule is
//! released here.

mod dispatch;
mod signed;
#[cfg(test)]
mod tests;
mod vesting;

use alloy_primitives::{Address, U256};
use openledger_types::abi::{IOpen, Supply};
use openledger_types::addresses::{
    BURN, CHANNELS, DATANETS, ESCROW, MODULES, OPEN, SETTLEMENT, STAKING, TREASURY,
};
use openledger_types::amount::SUPPLY;

pub(crate) use dispatch::dispatch;
pub(crate) use signed::collect;
pub use signed::{Authorization, authorization_state, nonces};
pub use vesting::{VestingError, add_vesting, locked, releasable, release, vesting, vesting_count};

use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot};
use crate::math::{add, sub, sum};
use crate::storage::{Storage, emit};

/// What a spender may still take: owner, then spender.
const ALLOWANCES: Mapping<Address, Mapping<Address, Slot<U256>>> = Mapping::new(OPEN, 0);

/// Genesis supply less what has been burnt.
///
/// # Errors
/// Those of the storage.
pub fn total_supply(storage: &mut dyn Storage) -> Result<U256> {
    sub(SUPPLY, storage.balance(BURN)?)
}

/// Where all OPEN is: the parts add up to the genesis supply, because what none of them names circulates.
///
/// # Errors
/// Those of the storage.
pub fn supply(storage: &mut dyn Storage) -> Result<Supply> {
    let burnt = storage.balance(BURN)?;
    let total = sub(SUPPLY, burnt)?;
    let vesting = locked(storage)?;
    let treasury = storage.balance(TREASURY)?;
    let datanets = storage.balance(DATANETS)?;
    let escrow = add(storage.balance(ESCROW)?, storage.balance(CHANNELS)?)?;
    let settlement = storage.balance(SETTLEMENT)?;
    let staking = storage.balance(STAKING)?;
    let held = sum([vesting, treasury, datanets, escrow, settlement, staking])?;
    Ok(Supply {
        genesis: SUPPLY,
        burnt,
        total,
        vesting,
        treasury,
        datanets,
        escrow,
        settlement,
        staking,
        circulating: sub(total, held)?,
    })
}

/// What `spender` may still take from `owner`. The largest number stands for no limit.
///
/// # Errors
/// Those of the storage.
pub fn allowance(storage: &mut dyn Storage, owner: Address, spender: Address) -> Result<U256> {
    ALLOWANCES.at(owner).at(spender).get(storage)
}

/// Moves OPEN.
///
/// # Errors
/// `ERC20InvalidReceiver` for the zero address and modules, `ERC20InsufficientBalance`.
pub fn transfer(storage: &mut dyn Storage, from: Address, to: Address, value: U256) -> Result<()> {
    if to.is_zero() || MODULES.contains(&to) {
        return Err(revert(IOpen::ERC20InvalidReceiver { receiver: to }));
    }
    need_balance(storage, from, value)?;
    storage.transfer(from, to, value)?;
    emit(storage, OPEN, &IOpen::Transfer { from, to, value })
}

/// Moves OPEN into a module, by an operation of that module: nothing else sends it there.
///
/// # Errors
/// `ERC20InsufficientBalance`.
pub(crate) fn move_to_module(
    storage: &mut dyn Storage,
    from: Address,
    module: Address,
    value: U256,
) -> Result<()> {
    need_balance(storage, from, value)?;
    storage.transfer(from, module, value)?;
    emit(storage, OPEN, &IOpen::Transfer { from, to: module, value })
}

/// Sets what `spender` may take from `owner`.
///
/// # Errors
/// `ERC20InvalidSpender` for the zero address.
pub fn approve(storage: &mut dyn Storage, owner: Address, spender: Address, value: U256) -> Result<()> {
    if spender.is_zero() {
        return Err(revert(IOpen::ERC20InvalidSpender { spender }));
    }
    ALLOWANCES.at(owner).at(spender).set(storage, value)?;
    emit(storage, OPEN, &IOpen::Approval { owner, spender, value })
}

/// Moves OPEN of an owner who approved it.
///
/// # Errors
/// `ERC20InsufficientAllowance`, and those of [`transfer`].
pub fn transfer_from(
    storage: &mut dyn Storage,
    spender: Address,
    from: Address,
    to: Address,
    value: U256,
) -> Result<()> {
    let slot = ALLOWANCES.at(from).at(spender);
    let allowance = slot.get(storage)?;
    if allowance != U256::MAX {
        let left = allowance
            .checked_sub(value)
            .ok_or_else(|| revert(IOpen::ERC20InsufficientAllowance { spender, allowance, needed: value }))?;
        slot.set(storage, left)?;
    }
    transfer(storage, from, to, value)
}

/// Burns OPEN: it goes to [`BURN`] and out of the supply.
///
/// # Errors
/// `ERC20InsufficientBalance`.
pub fn burn(storage: &mut dyn Storage, from: Address, value: U256) -> Result<()> {
    need_balance(storage, from, value)?;
    storage.transfer(from, BURN, value)?;
    emit(storage, OPEN, &IOpen::Transfer { from, to: Address::ZERO, value })
}

fn need_balance(storage: &mut dyn Storage, sender: Address, needed: U256) -> Result<()> {
    let balance = storage.balance(sender)?;
    if balance < needed {
        return Err(revert(IOpen::ERC20InsufficientBalance { sender, balance, needed }));
    }
    Ok(())
}
