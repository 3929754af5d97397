//! Views that their leaders missed, and what that costs.
//!
//! A block is proposed in a view of its epoch on the block of an earlier view. A quorum has given up every view between these two,
//! so their leaders were passed over. The leader of view `v` of epoch `e` with `n` seats is the owner of key number
//! `(e + v) mod n` of its set, in the order of the keys.
//!
//! At the end of the last block of an epoch, in view `V`, a seat has had `a = |{v ≤ V : it leads v}|` views and missed `m` of them:
//!
//! ```text
//! absent = seats with a ≥ downtime_views and m / a > downtime_part
//! ```
//!
//! Who is absent loses `downtime_slash` of everything that stands behind it, which is burnt, and is jailed; it returns as soon as it
//! asks to. But absence is not always the fault of who is absent:
//!
//! - Where more than `⌊(n − 1) / 3⌋` are, something is wrong with the network rather than with each of them: nobody is punished.
//! - Nobody is jailed whose absence would leave fewer candidates than a set has at least.
//! - Who is jailed or leaves keeps its seat until the next set but one, and is not punished again.
//!
//! In an epoch without passed-over views nothing is written.

use alloy_primitives::{Address, B256};
use openledger_types::abi::{IStaking, StakeRole};
use openledger_types::addresses::{BURN, STAKING};
use openledger_types::amount::PPM;

use super::slashing::{jail, slash};
use super::{is_active, seats};
use crate::error::{Result, overflow};
use crate::layout::{Mapping, Slot};
use crate::params;
use crate::storage::{Storage, emit};

/// Views that a seat missed, with the epoch: by the place of the epoch's set, then the number of the key.
const MISSED: Mapping<u64, Mapping<u32, Slot<(u64, u64)>>> = Mapping::new(STAKING, 28);

/// Where a block stands in consensus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Epoch in which it was proposed.
    pub epoch: u64,
    /// View in which it was.
    pub view: u64,
    /// View of its parent; 0 if that is of an earlier epoch.
    pub parent: u64,
}

/// Counts the views between a block and its parent.
///
/// # Errors
/// Those of the storage.
pub fn pass_over(storage: &mut dyn Storage, turn: Turn) -> Result<()> {
    let first = turn.parent.saturating_add(1);
    let passed = turn.view.saturating_sub(first);
    if passed == 0 {
        return Ok(());
    }
    let seats = u64::from(seats::count(storage, turn.epoch)?);
    for offset in 0..passed.min(seats) {
        let number = number_of(turn.epoch, first.saturating_add(offset), seats)?;
        let rounds = passed.saturating_sub(1).saturating_sub(offset).checked_div(seats).unwrap_or_default();
        let slot = missed_slot(turn.epoch, number);
        let before = missed_by(storage, turn.epoch, number)?;
        slot.set(storage, (turn.epoch, before.saturating_add(rounds).saturating_add(1)))?;
    }
    Ok(())
}

/// Views of an epoch that the seat of an account missed so far; 0 if it has none, or the epoch is no longer kept.
///
/// # Errors
/// Those of the storage.
pub fn missed(storage: &mut dyn Storage, epoch: u64, account: Address) -> Result<u64> {
    let order = in_order(storage, epoch)?;
    match (0..).zip(order).find(|(_, (_, owner))| *owner == account) {
        Some((number, _)) => missed_by(storage, epoch, number),
        None => Ok(0),
    }
}

/// Punishes who was absent in an epoch that ends with the block of this turn.
///
/// # Errors
/// Those of the storage.
pub(super) fn end_epoch(storage: &mut dyn Storage, turn: Turn) -> Result<()> {
    let order = in_order(storage, turn.epoch)?;
    let seats = u64::try_from(order.len()).map_err(|_too_many| overflow())?;
    let least_views = params::get_u64(storage, "downtime_views")?;
    let part = u128::from(params::get_ppm(storage, "downtime_part")?);
    let mut absent = Vec::new();
    for (number, (_, account)) in (0..).zip(order) {
        let missed = missed_by(storage, turn.epoch, number)?;
        let led = led_by(turn, number, seats);
        let too_many =
            u128::from(missed).saturating_mul(u128::from(PPM)) > u128::from(led).saturating_mul(part);
        if led >= least_views && too_many {
            absent.push((account, missed, led));
        }
    }
    let faults =
        usize::try_from(seats.saturating_sub(1).checked_div(3).unwrap_or_default()).unwrap_or(usize::MAX);
    if absent.len() > faults {
        return Ok(());
    }
    let ppm = params::get_ppm(storage, "downtime_slash")?;
    for (account, missed, led) in absent {
        if !is_active(storage, account, StakeRole::Validator)? || !seats::can_spare_one(storage)? {
            continue;
        }
        let burnt = slash(storage, account, ppm)?;
        storage.transfer(STAKING, BURN, burnt)?;
        let now = storage.block().timestamp;
        jail(storage, account, now)?;
        emit(storage, STAKING, &IStaking::Absent { account, epoch: turn.epoch, missed, led, burnt })?;
    }
    Ok(())
}

/// The keys of a set with their owners, in the order in which they lead.
fn in_order(storage: &mut dyn Storage, epoch: u64) -> Result<Vec<(B256, Address)>> {
    let mut order: Vec<_> =
        seats::of(storage, epoch)?.into_iter().map(|seat| (seat.key, seat.account)).collect();
    order.sort_unstable();
    Ok(order)
}

/// The number of the key that leads a view.
fn number_of(epoch: u64, view: u64, seats: u64) -> Result<u32> {
    let turn = epoch.wrapping_add(view).checked_rem(seats).ok_or_else(overflow)?;
    u32::try_from(turn).map_err(|_too_many| overflow())
}

/// How many views up to that of a turn the key of this number has led.
fn led_by(turn: Turn, number: u32, seats: u64) -> u64 {
    let offset = turn.epoch.checked_rem(seats).unwrap_or_default();
    // Its first view, from 1 to `seats`.
    let first = match u64::from(number).saturating_add(seats).saturating_sub(offset).checked_rem(seats) {
        Some(0) | None => seats,
        Some(first) => first,
    };
    match turn.view.checked_sub(first) {
        Some(rest) => rest.checked_div(seats).unwrap_or_default().saturating_add(1),
        None => 0,
    }
}

fn missed_slot(epoch: u64, number: u32) -> Slot<(u64, u64)> {
    MISSED.at(seats::kept_at(epoch)).at(number)
}

fn missed_by(storage: &mut dyn Storage, epoch: u64, number: u32) -> Result<u64> {
    match missed_slot(epoch, number).get(storage)? {
        (of, count) if of == epoch => Ok(count),
        _ => Ok(0),
    }
}

#[cfg(test)]
mod tests;
