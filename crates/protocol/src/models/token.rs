//! Adapters as ERC-721 tokens: who owns one has the developer's income, sets the price and retires it.

use alloy_primitives::{Address, U256};
use openledger_types::abi::IModels;
use openledger_types::addresses::{MODELS, MODULES};

use super::{ADAPTERS, developer_of};
use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot};
use crate::math::{add, sub};
use crate::storage::{Storage, emit};

/// ERC-165, ERC-721 and its metadata extension.
const INTERFACES: [[u8; 4]; 3] =
    [[0x01, 0xff, 0xc9, 0xa7], [0x80, 0xac, 0x58, 0xcd], [0x5b, 0x5e, 0x13, 0x9f]];

/// How many adapters an account owns.
const BALANCES: Mapping<Address, Slot<U256>> = Mapping::new(MODELS, 7);
/// By owner, then operator.
const OPERATORS: Mapping<Address, Mapping<Address, Slot<bool>>> = Mapping::new(MODELS, 8);

/// Gives an adapter just published to its developer.
pub(super) fn mint(storage: &mut dyn Storage, owner: Address, adapter: U256) -> Result<()> {
    let balance = add(BALANCES.at(owner).get(storage)?, U256::ONE)?;
    BALANCES.at(owner).set(storage, balance)?;
    emit(storage, MODELS, &IModels::Transfer { from: Address::ZERO, to: owner, tokenId: adapter })
}

/// Who owns an adapter.
///
/// # Errors
/// `ERC721NonexistentToken`.
pub fn owner_of(storage: &mut dyn Storage, adapter: U256) -> Result<Address> {
    need_token(storage, adapter)?;
    owner(storage, adapter)
}

/// Owner of an adapter that there is.
pub(super) fn owner(storage: &mut dyn Storage, adapter: U256) -> Result<Address> {
    match ADAPTERS.at(adapter).owners.latest(storage)? {
        Some(owner) => Ok(owner),
        None => Ok(developer_of(storage, adapter)?.0),
    }
}

/// Owner of an adapter that there is, at a time, unix seconds.
pub(super) fn owner_at(storage: &mut dyn Storage, adapter: U256, time: u64) -> Result<Address> {
    match ADAPTERS.at(adapter).owners.at_time(storage, time)? {
        Some(owner) => Ok(owner),
        None => Ok(developer_of(storage, adapter)?.0),
    }
}

fn need_token(storage: &mut dyn Storage, adapter: U256) -> Result<()> {
    if ADAPTERS.at(adapter).base.get(storage)?.is_zero() {
        return Err(revert(IModels::ERC721NonexistentToken { tokenId: adapter }));
    }
    Ok(())
}

/// How many adapters an account owns.
///
/// # Errors
/// `ERC721InvalidOwner` for the zero address.
pub fn balance_of(storage: &mut dyn Storage, owner: Address) -> Result<U256> {
    if owner.is_zero() {
        return Err(revert(IModels::ERC721InvalidOwner { owner }));
    }
    BALANCES.at(owner).get(storage)
}

/// Lets an account move one adapter; the zero address takes that back.
///
/// # Errors
/// `ERC721NonexistentToken`, `ERC721InvalidApprover` unless by the owner or an operator of it.
pub fn approve(storage: &mut dyn Storage, caller: Address, to: Address, adapter: U256) -> Result<()> {
    let owner = owner_of(storage, adapter)?;
    if caller != owner && !is_approved_for_all(storage, owner, caller)? {
        return Err(revert(IModels::ERC721InvalidApprover { approver: caller }));
    }
    ADAPTERS.at(adapter).approved.set(storage, to)?;
    emit(storage, MODELS, &IModels::Approval { owner, approved: to, tokenId: adapter })
}

/// Who may move an adapter beside its owner and the owner's operators.
///
/// # Errors
/// `ERC721NonexistentToken`.
pub fn approved(storage: &mut dyn Storage, adapter: U256) -> Result<Address> {
    need_token(storage, adapter)?;
    ADAPTERS.at(adapter).approved.get(storage)
}

/// Lets an operator move all one's adapters, or no longer.
///
/// # Errors
/// `ERC721InvalidOperator` for the zero address.
pub fn set_approval_for_all(
    storage: &mut dyn Storage,
    owner: Address,
    operator: Address,
    approved: bool,
) -> Result<()> {
    if operator.is_zero() {
        return Err(revert(IModels::ERC721InvalidOperator { operator }));
    }
    OPERATORS.at(owner).at(operator).set(storage, approved)?;
    emit(storage, MODELS, &IModels::ApprovalForAll { owner, operator, approved })
}

/// True if an operator may move all adapters of an owner.
///
/// # Errors
/// Those of the storage.
pub fn is_approved_for_all(storage: &mut dyn Storage, owner: Address, operator: Address) -> Result<bool> {
    OPERATORS.at(owner).at(operator).get(storage)
}

/// Moves an adapter, and with it the developer's income of answers from now on.
///
/// # Errors
/// `ERC721NonexistentToken`, `ERC721InvalidReceiver` for the zero address and modules, `ERC721IncorrectOwner`,
/// `ERC721InsufficientApproval`.
pub fn transfer(
    storage: &mut dyn Storage,
    caller: Address,
    from: Address,
    to: Address,
    adapter: U256,
) -> Result<()> {
    let owner = owner_of(storage, adapter)?;
    if to.is_zero() || MODULES.contains(&to) {
        return Err(revert(IModels::ERC721InvalidReceiver { receiver: to }));
    }
    let slots = ADAPTERS.at(adapter);
    let may = caller == owner
        || slots.approved.get(storage)? == caller
        || is_approved_for_all(storage, owner, caller)?;
    if !may {
        return Err(revert(IModels::ERC721InsufficientApproval { operator: caller, tokenId: adapter }));
    }
    if from != owner {
        return Err(revert(IModels::ERC721IncorrectOwner { sender: from, tokenId: adapter, owner }));
    }
    slots.approved.set(storage, Address::ZERO)?;
    if from != to {
        let left = sub(BALANCES.at(from).get(storage)?, U256::ONE)?;
        BALANCES.at(from).set(storage, left)?;
        let grown = add(BALANCES.at(to).get(storage)?, U256::ONE)?;
        BALANCES.at(to).set(storage, grown)?;
        slots.owners.push(storage, to)?;
    }
    emit(storage, MODELS, &IModels::Transfer { from, to, tokenId: adapter })
}

/// What the token is, as a data URI.
///
/// # Errors
/// `ERC721NonexistentToken`.
pub fn token_uri(storage: &mut dyn Storage, adapter: U256) -> Result<String> {
    need_token(storage, adapter)?;
    let slots = ADAPTERS.at(adapter);
    let (hash, manifest) = (slots.adapter_hash.get(storage)?, slots.manifest_hash.get(storage)?);
    Ok(format!(
        "data:application/json,%7B%22name%22:%22OpenLedger adapter {adapter}%22,%22properties%22:%7B\
         %22adapter_hash%22:%22{hash}%22,%22manifest_hash%22:%22{manifest}%22%7D%7D"
    )
    .replace(' ', "%20"))
}

/// True for ERC-165, ERC-721 and its metadata extension.
pub fn supports_interface(id: [u8; 4]) -> bool {
    INTERFACES.contains(&id)
}
