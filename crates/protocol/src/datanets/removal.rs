//! The end of a contribution: withdrawn by who holds its right, or taken down.
//!
//! ```text
//! Accepted ──withdraw──> Withdrawn
//!    └─takedown (bond)─┬─ 14 days without a counter-notice ──resolve──> TakenDown: the bond goes back
//!                      └─ counterNotice (bond) ─┬─ governor upholds in 14 days ──> TakenDown: both bonds to the claimant
//!                                               └─ resolve ──> Accepted: both bonds to the defender
//! ```
//!
//! Both ends leave a tombstone: the hashes and the block of the commitment stay, so whoever contributes the same again stands
//! behind everybody who has it by then. From the end on nothing accrues; what was settled before stays claimable. While a
//! takedown is open the contribution goes on earning onto its royalty account, where it is held: for the holders if the
//! contribution stays, for the treasury if it goes, so that a false claim takes nothing from anybody and gives nothing.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{ContributionStatus, IDatanets, Takedown};
use openledger_types::addresses::{DATANETS, TREASURY};
use openledger_types::amount::ONE_OPEN;

use super::policy::{check_reason, close, return_bond};
use super::{CONTRIBUTIONS, known, rights};
use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::add;
use crate::params;
use crate::storage::{Storage, emit};

/// Bond of a claim and of a counter-notice, wei: 10 OPEN.
pub const TAKEDOWN_BOND: U256 = ONE_OPEN.wrapping_mul(U256::from_limbs([10, 0, 0, 0]));
/// How long a claim can be countered, and then upheld, seconds: 14 days.
pub const NOTICE_SECONDS: u64 = 14 * 86_400;

place! {
    struct TakedownSlots {
        /// Claimant, unix seconds when the present stage ends.
        0: claimant: Slot<(Address, u64)>,
        1: defender: Slot<Address>,
    }
}

/// By contribution.
const TAKEDOWNS: Mapping<U256, TakedownSlots> = Mapping::new(DATANETS, 8);

/// Takes a contribution out: one that waits by its contributor, an accepted one by who holds the whole right.
///
/// # Errors
/// `UnknownContribution`, `NotContributor`, `NotSoleHolder`, `NotAccepted`, `TakedownOpen`.
pub fn withdraw(storage: &mut dyn Storage, caller: Address, contribution: U256) -> Result<()> {
    let (contributor, _, status) = known(storage, contribution)?;
    match status {
        ContributionStatus::Pending if caller == contributor => {
            return_bond(storage, contribution, contributor)?;
        }
        ContributionStatus::Pending => {
            return Err(revert(IDatanets::NotContributor { caller, contributor }));
        }
        ContributionStatus::Accepted => {
            need_no_takedown(storage, contribution)?;
            if rights::units(storage, contribution, caller)? != rights::UNITS {
                return Err(revert(IDatanets::NotSoleHolder { caller, contribution }));
            }
        }
        _ => return Err(revert(IDatanets::NotAccepted { contribution, status })),
    }
    close(storage, contribution, ContributionStatus::Withdrawn)?;
    rights::update_payee(storage, contribution)?;
    let datanet = CONTRIBUTIONS.at(contribution).datanet.get(storage)?;
    emit(storage, DATANETS, &IDatanets::Withdrawn { datanet, contribution })
}

/// Claims that a contribution should not be there.
///
/// # Errors
/// `InvalidReason`, `UnknownContribution`, `NotAccepted`, `TakedownOpen`, `WrongBond`.
pub fn takedown(
    storage: &mut dyn Storage,
    claimant: Address,
    contribution: U256,
    bond: U256,
    reason: &str,
) -> Result<()> {
    check_reason(reason)?;
    let (_, _, status) = known(storage, contribution)?;
    if status != ContributionStatus::Accepted {
        return Err(revert(IDatanets::NotAccepted { contribution, status }));
    }
    need_no_takedown(storage, contribution)?;
    need_bond(bond)?;
    let until = storage.block().timestamp.saturating_add(NOTICE_SECONDS);
    TAKEDOWNS.at(contribution).claimant.set(storage, (claimant, until))?;
    rights::update_payee(storage, contribution)?;
    let reason = reason.to_owned();
    emit(storage, DATANETS, &IDatanets::TakedownFiled { contribution, claimant, bond, reason })
}

/// Answers a claim, as a holder of the right.
///
/// # Errors
/// `InvalidReason`, `NoTakedown`, `Countered`, `PeriodOver`, `WrongBond`, `ERC1155InsufficientBalance` without a part of the
/// right.
pub fn counter_notice(
    storage: &mut dyn Storage,
    defender: Address,
    contribution: U256,
    bond: U256,
    statement: &str,
) -> Result<()> {
    check_reason(statement)?;
    let open = open(storage, contribution)?;
    if !open.defender.is_zero() {
        return Err(revert(IDatanets::Countered { defender: open.defender }));
    }
    let now = storage.block().timestamp;
    if now > open.until {
        return Err(revert(IDatanets::PeriodOver { since: open.until }));
    }
    need_bond(bond)?;
    rights::need_units(storage, contribution, defender, U256::ONE)?;
    let slots = TAKEDOWNS.at(contribution);
    slots.claimant.set(storage, (open.claimant, now.saturating_add(NOTICE_SECONDS)))?;
    slots.defender.set(storage, defender)?;
    let statement = statement.to_owned();
    emit(storage, DATANETS, &IDatanets::TakedownCountered { contribution, defender, statement })
}

/// Decides a countered claim for the claimant.
///
/// # Errors
/// `NotGovernor`, `NoTakedown` that was countered, `PeriodOver`.
pub fn uphold_takedown(storage: &mut dyn Storage, caller: Address, contribution: U256) -> Result<()> {
    let governor = params::governor(storage)?;
    if governor.is_zero() || caller != governor {
        return Err(revert(IDatanets::NotGovernor { caller, governor }));
    }
    let Takedown { claimant, defender, until, .. } = open(storage, contribution)?;
    if defender.is_zero() {
        return Err(revert(IDatanets::NoTakedown { contribution }));
    }
    if storage.block().timestamp > until {
        return Err(revert(IDatanets::PeriodOver { since: until }));
    }
    end(storage, contribution, true, claimant, add(TAKEDOWN_BOND, TAKEDOWN_BOND)?)
}

/// Ends a claim when its time is over.
///
/// # Errors
/// `NoTakedown`, `PeriodOpen`.
pub fn resolve_takedown(storage: &mut dyn Storage, contribution: U256) -> Result<()> {
    let Takedown { claimant, defender, until, .. } = open(storage, contribution)?;
    if storage.block().timestamp <= until {
        return Err(revert(IDatanets::PeriodOpen { until }));
    }
    if defender.is_zero() {
        end(storage, contribution, true, claimant, TAKEDOWN_BOND)
    } else {
        end(storage, contribution, false, defender, add(TAKEDOWN_BOND, TAKEDOWN_BOND)?)
    }
}

fn end(
    storage: &mut dyn Storage,
    contribution: U256,
    upheld: bool,
    winner: Address,
    bonds: U256,
) -> Result<()> {
    let slots = TAKEDOWNS.at(contribution);
    slots.claimant.set(storage, (Address::ZERO, 0))?;
    slots.defender.set(storage, Address::ZERO)?;
    storage.transfer(DATANETS, winner, bonds)?;
    if upheld {
        close(storage, contribution, ContributionStatus::TakenDown)?;
        let account = rights::royalty_account(contribution);
        let held = storage.balance(account)?;
        storage.transfer(account, TREASURY, held)?;
    }
    rights::update_payee(storage, contribution)?;
    let datanet = CONTRIBUTIONS.at(contribution).datanet.get(storage)?;
    emit(storage, DATANETS, &IDatanets::TakedownResolved { datanet, contribution, upheld })
}

/// The open claim on a contribution; zeros if there is none.
///
/// # Errors
/// `UnknownContribution`.
pub fn takedown_of(storage: &mut dyn Storage, contribution: U256) -> Result<Takedown> {
    known(storage, contribution)?;
    let slots = TAKEDOWNS.at(contribution);
    let (claimant, until) = slots.claimant.get(storage)?;
    let bond = if claimant.is_zero() { U256::ZERO } else { TAKEDOWN_BOND };
    Ok(Takedown { claimant, defender: slots.defender.get(storage)?, bond, until })
}

fn open(storage: &mut dyn Storage, contribution: U256) -> Result<Takedown> {
    let takedown = takedown_of(storage, contribution)?;
    if takedown.claimant.is_zero() {
        return Err(revert(IDatanets::NoTakedown { contribution }));
    }
    Ok(takedown)
}

pub(super) fn need_no_takedown(storage: &mut dyn Storage, contribution: U256) -> Result<()> {
    if takedown_of(storage, contribution)?.claimant.is_zero() {
        Ok(())
    } else {
        Err(revert(IDatanets::TakedownOpen { contribution }))
    }
}

fn need_bond(bond: U256) -> Result<()> {
    if bond == TAKEDOWN_BOND {
        Ok(())
    } else {
        Err(revert(IDatanets::WrongBond { bond, needed: TAKEDOWN_BOND }))
    }
}
