//! Royalty rights: who has the income of a contribution, as ERC-1155.
//!
//! An accepted contribution has [`UNITS`] units of its right, all its contributor's at first. While one account holds them all,
//! curators have no part and nobody claims that the contribution should go, its credit is paid to that account. Otherwise it is paid to the
//! contribution's *royalty account*, which nobody has a key of; `collect` divides what lies there among curators and units, and
//! every holder claims its part. A transfer takes along what is collected later, not what was before.
//!
//! Operators and verifiers settle an epoch by the payees at the time of its last answer ([`payee_at`]), which no later block
//! changes.

use alloy_primitives::{Address, U256, keccak256};
use alloy_sol_types::SolValue;
use openledger_types::abi::{ContributionStatus, IDatanets};
use openledger_types::addresses::{DATANETS, MODULES};

use super::{CONTRIBUTIONS, curation, known, removal};
use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::{add, div_rem, mul, sub};
use crate::since::Since;
use crate::storage::{Storage, emit};

/// Units of a right: a unit is one part per million.
pub const UNITS: U256 = U256::from_limbs([1_000_000, 0, 0, 0]);

/// ERC-165, ERC-1155 and its metadata extension.
const INTERFACES: [[u8; 4]; 3] =
    [[0x01, 0xff, 0xc9, 0xa7], [0xd9, 0xb6, 0x7a, 0x26], [0x0e, 0x89, 0x34, 0x1c]];

place! {
    struct RightSlots {
        /// Who holds all units, nobody if they are divided; whether there are any.
        0: sole: Slot<(Address, bool)>,
        /// Collected for all units since the beginning, wei.
        1: collected: Slot<U256>,
        2: payee: Since,
    }
}

place! {
    struct HolderSlots {
        0: units: Slot<U256>,
        /// `collected` when `owed` was last settled.
        1: settled_at: Slot<U256>,
        /// Not yet claimed, millionths of a wei.
        2: owed: Slot<U256>,
    }
}

/// By contribution.
const RIGHTS: Mapping<U256, RightSlots> = Mapping::new(DATANETS, 11);
/// By contribution, then holder.
const HOLDERS: Mapping<U256, Mapping<Address, HolderSlots>> = Mapping::new(DATANETS, 12);
/// By holder, then operator.
const OPERATORS: Mapping<Address, Mapping<Address, Slot<bool>>> = Mapping::new(DATANETS, 13);

/// Gives the right of a contribution just accepted to its contributor.
pub(super) fn mint(storage: &mut dyn Storage, contribution: U256, contributor: Address) -> Result<()> {
    RIGHTS.at(contribution).sole.set(storage, (contributor, true))?;
    HOLDERS.at(contribution).at(contributor).units.set(storage, UNITS)?;
    emit(
        storage,
        DATANETS,
        &IDatanets::TransferSingle {
            operator: contributor,
            from: Address::ZERO,
            to: contributor,
            id: contribution,
            value: UNITS,
        },
    )
}

/// The account onto which a contribution earns while its income has to be divided or held.
pub fn royalty_account(contribution: U256) -> Address {
    Address::from_word(keccak256(("openledger royalty account", contribution).abi_encode()))
}

/// Whom the credit of a contribution is paid to now; zero for nobody.
///
/// # Errors
/// `UnknownContribution`.
pub fn payee(storage: &mut dyn Storage, contribution: U256) -> Result<Address> {
    let (contributor, _, _) = known(storage, contribution)?;
    let own = RIGHTS.at(contribution).payee.latest(storage)?.unwrap_or(contributor);
    divided(storage, contribution, own, None)
}

/// Whom the credit of a contribution was paid to at a time, unix seconds; zero for nobody.
///
/// # Errors
/// `UnknownContribution`.
pub fn payee_at(storage: &mut dyn Storage, contribution: U256, time: u64) -> Result<Address> {
    let (contributor, _, _) = known(storage, contribution)?;
    let own = RIGHTS.at(contribution).payee.at_time(storage, time)?.unwrap_or(contributor);
    divided(storage, contribution, own, Some(time))
}

fn divided(
    storage: &mut dyn Storage,
    contribution: U256,
    own: Address,
    time: Option<u64>,
) -> Result<Address> {
    let datanet = CONTRIBUTIONS.at(contribution).datanet.get(storage)?;
    if !own.is_zero() && curation::is_curated(storage, datanet, time)? {
        return Ok(royalty_account(contribution));
    }
    Ok(own)
}

/// Writes down whom a contribution pays, after anything that this depends on but curation changed.
pub(super) fn update_payee(storage: &mut dyn Storage, contribution: U256) -> Result<()> {
    let (contributor, _, status) = known(storage, contribution)?;
    let slots = RIGHTS.at(contribution);
    let (sole, _) = slots.sole.get(storage)?;
    let claimed = !removal::takedown_of(storage, contribution)?.claimant.is_zero();
    let payee = match status {
        ContributionStatus::Accepted if claimed || sole.is_zero() => royalty_account(contribution),
        ContributionStatus::Accepted => sole,
        _ => Address::ZERO,
    };
    if slots.payee.latest(storage)?.unwrap_or(contributor) == payee {
        return Ok(());
    }
    slots.payee.push(storage, payee)?;
    emit(storage, DATANETS, &IDatanets::PayeeChanged { contribution, payee })
}

/// Divides what lies on a royalty account among curators and holders. Returns how much it was.
///
/// # Errors
/// `UnknownContribution`, `NotAccepted` if it never was, `TakedownOpen`.
pub fn collect(storage: &mut dyn Storage, contribution: U256) -> Result<U256> {
    need_right(storage, contribution)?;
    removal::need_no_takedown(storage, contribution)?;
    let account = royalty_account(contribution);
    let income = storage.balance(account)?;
    if income.is_zero() {
        return Ok(income);
    }
    storage.transfer(account, DATANETS, income)?;
    let datanet = CONTRIBUTIONS.at(contribution).datanet.get(storage)?;
    let to_curators = curation::add_income(storage, datanet, income)?;
    let slots = RIGHTS.at(contribution);
    let collected = add(slots.collected.get(storage)?, sub(income, to_curators)?)?;
    slots.collected.set(storage, collected)?;
    let event = IDatanets::RoyaltyCollected { datanet, contribution, income, toCurators: to_curators };
    emit(storage, DATANETS, &event)?;
    Ok(income)
}

/// Pays an account its part of what was collected, in whole wei.
///
/// # Errors
/// `UnknownContribution`, `NotAccepted` if it never was.
pub fn claim_royalty(storage: &mut dyn Storage, contribution: U256, account: Address) -> Result<U256> {
    need_right(storage, contribution)?;
    settle(storage, contribution, account)?;
    let slots = HOLDERS.at(contribution).at(account);
    let (amount, rest) = div_rem(slots.owed.get(storage)?, UNITS)?;
    slots.owed.set(storage, rest)?;
    storage.transfer(DATANETS, account, amount)?;
    emit(storage, DATANETS, &IDatanets::RoyaltyClaimed { contribution, account, amount })?;
    Ok(amount)
}

/// What an account could claim of what was collected, wei.
///
/// # Errors
/// `UnknownContribution`.
pub fn royalty(storage: &mut dyn Storage, contribution: U256, account: Address) -> Result<U256> {
    known(storage, contribution)?;
    Ok(div_rem(owed(storage, contribution, account)?, UNITS)?.0)
}

fn owed(storage: &mut dyn Storage, contribution: U256, account: Address) -> Result<U256> {
    let slots = HOLDERS.at(contribution).at(account);
    let grown = sub(RIGHTS.at(contribution).collected.get(storage)?, slots.settled_at.get(storage)?)?;
    add(slots.owed.get(storage)?, mul(slots.units.get(storage)?, grown)?)
}

/// Writes down what a holder is owed by now, before its units change.
fn settle(storage: &mut dyn Storage, contribution: U256, account: Address) -> Result<()> {
    let owed = owed(storage, contribution, account)?;
    let slots = HOLDERS.at(contribution).at(account);
    slots.owed.set(storage, owed)?;
    let collected = RIGHTS.at(contribution).collected.get(storage)?;
    slots.settled_at.set(storage, collected)
}

fn need_right(storage: &mut dyn Storage, contribution: U256) -> Result<()> {
    let (_, _, status) = known(storage, contribution)?;
    let (_, minted) = RIGHTS.at(contribution).sole.get(storage)?;
    if minted { Ok(()) } else { Err(revert(IDatanets::NotAccepted { contribution, status })) }
}

/// Units of an account; of the zero address none.
///
/// # Errors
/// Those of the storage.
pub fn units(storage: &mut dyn Storage, contribution: U256, account: Address) -> Result<U256> {
    HOLDERS.at(contribution).at(account).units.get(storage)
}

/// Refuses an account with fewer units.
pub(super) fn need_units(
    storage: &mut dyn Storage,
    contribution: U256,
    account: Address,
    needed: U256,
) -> Result<()> {
    let balance = units(storage, contribution, account)?;
    if balance >= needed {
        return Ok(());
    }
    Err(revert(IDatanets::ERC1155InsufficientBalance {
        sender: account,
        balance,
        needed,
        tokenId: contribution,
    }))
}

/// Lets an operator move all one's units, or no longer.
///
/// # Errors
/// `ERC1155InvalidOperator` for the zero address.
pub fn set_approval_for_all(
    storage: &mut dyn Storage,
    account: Address,
    operator: Address,
    approved: bool,
) -> Result<()> {
    if operator.is_zero() {
        return Err(revert(IDatanets::ERC1155InvalidOperator { operator }));
    }
    OPERATORS.at(account).at(operator).set(storage, approved)?;
    emit(storage, DATANETS, &IDatanets::ApprovalForAll { account, operator, approved })
}

/// True if an operator may move all of an account's units.
///
/// # Errors
/// Those of the storage.
pub fn is_approved_for_all(storage: &mut dyn Storage, account: Address, operator: Address) -> Result<bool> {
    OPERATORS.at(account).at(operator).get(storage)
}

/// Moves units of one right.
///
/// # Errors
/// `ERC1155MissingApprovalForAll`, `ERC1155InvalidReceiver` for the zero address and modules,
/// `ERC1155InsufficientBalance`.
pub fn transfer(
    storage: &mut dyn Storage,
    operator: Address,
    from: Address,
    to: Address,
    id: U256,
    value: U256,
) -> Result<()> {
    need_approval(storage, operator, from, to)?;
    shift(storage, from, to, id, value)?;
    emit(storage, DATANETS, &IDatanets::TransferSingle { operator, from, to, id, value })
}

/// Moves units of several rights.
///
/// # Errors
/// `ERC1155InvalidArrayLength`, and those of [`transfer`].
pub fn transfer_batch(
    storage: &mut dyn Storage,
    operator: Address,
    from: Address,
    to: Address,
    ids: Vec<U256>,
    values: Vec<U256>,
) -> Result<()> {
    same_length(ids.len(), values.len())?;
    need_approval(storage, operator, from, to)?;
    for (id, value) in ids.iter().zip(&values) {
        shift(storage, from, to, *id, *value)?;
    }
    emit(storage, DATANETS, &IDatanets::TransferBatch { operator, from, to, ids, values })
}

/// Refuses lists that do not go together.
pub(super) fn same_length(ids: usize, values: usize) -> Result<()> {
    if ids == values {
        return Ok(());
    }
    let (ids, values) = (U256::from(ids), U256::from(values));
    Err(revert(IDatanets::ERC1155InvalidArrayLength { idsLength: ids, valuesLength: values }))
}

fn need_approval(storage: &mut dyn Storage, operator: Address, from: Address, to: Address) -> Result<()> {
    if operator != from && !is_approved_for_all(storage, from, operator)? {
        return Err(revert(IDatanets::ERC1155MissingApprovalForAll { operator, owner: from }));
    }
    if to.is_zero() || MODULES.contains(&to) {
        return Err(revert(IDatanets::ERC1155InvalidReceiver { receiver: to }));
    }
    Ok(())
}

fn shift(storage: &mut dyn Storage, from: Address, to: Address, id: U256, value: U256) -> Result<()> {
    need_units(storage, id, from, value)?;
    if value.is_zero() || from == to {
        return Ok(());
    }
    settle(storage, id, from)?;
    settle(storage, id, to)?;
    let (giver, taker) = (HOLDERS.at(id).at(from), HOLDERS.at(id).at(to));
    let left = sub(giver.units.get(storage)?, value)?;
    giver.units.set(storage, left)?;
    let grown = add(taker.units.get(storage)?, value)?;
    taker.units.set(storage, grown)?;
    let sole = if grown == UNITS { to } else { Address::ZERO };
    RIGHTS.at(id).sole.set(storage, (sole, true))?;
    update_payee(storage, id)
}

/// What the right is to, as a data URI.
///
/// # Errors
/// `UnknownContribution`.
pub fn uri(storage: &mut dyn Storage, contribution: U256) -> Result<String> {
    known(storage, contribution)?;
    let slots = CONTRIBUTIONS.at(contribution);
    let (datanet, root) = (slots.datanet.get(storage)?, slots.records_root.get(storage)?);
    Ok(format!(
        "data:application/json,%7B%22name%22:%22Royalty right to contribution {contribution}%22,%22decimals%22:6,\
         %22properties%22:%7B%22datanet%22:%22{datanet}%22,%22records_root%22:%22{root}%22%7D%7D"
    )
    .replace(' ', "%20"))
}

/// True for ERC-165, ERC-1155 and its metadata extension.
pub fn supports_interface(id: [u8; 4]) -> bool {
    INTERFACES.contains(&id)
}

/// What lies with the module for these holders of a right, millionths of a wei.
#[cfg(any(test, feature = "test-util"))]
pub(super) fn millionths_owed(
    storage: &mut dyn Storage,
    contribution: U256,
    accounts: &[Address],
) -> Result<U256> {
    accounts.iter().try_fold(U256::ZERO, |sum, account| add(sum, owed(storage, contribution, *account)?))
}
