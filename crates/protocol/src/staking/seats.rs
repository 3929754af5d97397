//! Who orders the blocks of which epoch, elected by stake.
//!
//! Epoch `e` of consensus is the `L` blocks from `e·L` on, `L` of the genesis. Seats are equal: one key, one vote. At the end
//! of the last block of epoch `e` the set of epoch `e + 2` is elected from the state, so that everybody knows the set of an
//! epoch while the one before it still runs:
//!
//! ```text
//! candidates = accounts with a key that are bonded validators, not jailed, with at least the least stake of their own
//! set        = the first `validator_seats` of them by own and delegated stake, then by account
//! ```
//!
//! With fewer candidates than the least of the genesis the set of epoch `e + 1` stays as it is, whatever became of its members:
//! a network has to go on before it can be mended. Epochs 0 and 1 have the set of the genesis. A set is kept for four epochs.

use std::cmp::Reverse;

use alloy_primitives::{Address, B256, U256, keccak256};
use openledger_types::abi::{Seat, StakeRole};
use openledger_types::addresses::STAKING;

use super::downtime::{self, Turn};
use super::{delegation, is_active, keys, standing};
use crate::error::{Result, overflow};
use crate::layout::{Mapping, Slot, place};
use crate::math::add;
use crate::params;
use crate::storage::Storage;

/// Epochs whose sets are kept: the one before, the current, the next and the one that is elected.
const KEPT: u64 = 4;

place! {
    struct SetSlots {
        /// Epoch, seats.
        0: head: Slot<(u64, u32)>,
        1: seats: Mapping<u32, SeatSlots>,
        /// keccak256 of the keys, one after another: a light client is shown this one word of the state.
        2: digest: Slot<B256>,
    }
}

place! {
    struct SeatSlots {
        0: account: Slot<Address>,
        1: key: Slot<B256>,
    }
}

/// Sets by their epoch modulo [`KEPT`].
const SETS: Mapping<u64, SetSlots> = Mapping::new(STAKING, 24);
/// Blocks of an epoch, fewest seats of an elected set.
const RULES: Slot<(u64, u32)> = Slot::new(STAKING, 25);

/// Sets the length of epochs, the fewest seats that are elected, and the first set, at genesis.
///
/// # Errors
/// Those of the storage.
pub fn init(storage: &mut dyn Storage, epoch_blocks: u64, least: u32, first: &[Seat]) -> Result<()> {
    RULES.set(storage, (epoch_blocks, least))?;
    write(storage, 0, first)?;
    write(storage, 1, first)
}

/// Blocks of an epoch of consensus.
///
/// # Errors
/// Those of the storage.
pub fn epoch_blocks(storage: &mut dyn Storage) -> Result<u64> {
    Ok(RULES.get(storage)?.0)
}

/// The seats of an epoch; none if its set is not elected yet or no longer kept.
///
/// # Errors
/// Those of the storage.
pub fn of(storage: &mut dyn Storage, epoch: u64) -> Result<Vec<Seat>> {
    let slots = place_of(epoch);
    let (kept, count) = slots.head.get(storage)?;
    if kept != epoch {
        return Ok(Vec::new());
    }
    let seat = |position| {
        let SeatSlots { account, key } = slots.seats.at(position);
        Ok(Seat { account: account.get(storage)?, key: key.get(storage)? })
    };
    (0..count).map(seat).collect()
}

/// How many seats an epoch has; none if its set is not elected yet or no longer kept.
pub(super) fn count(storage: &mut dyn Storage, epoch: u64) -> Result<u32> {
    let (kept, count) = place_of(epoch).head.get(storage)?;
    Ok(if kept == epoch { count } else { 0 })
}

/// Where what belongs to the set of an epoch is kept, which a later epoch takes over.
pub(super) fn kept_at(epoch: u64) -> u64 {
    epoch.wrapping_rem(KEPT)
}

/// Whether with a candidate fewer there are as many as a set has at least.
pub(super) fn can_spare_one(storage: &mut dyn Storage) -> Result<bool> {
    let (_, least) = RULES.get(storage)?;
    let mut left = 0_u32;
    for account in keys::candidates(storage)? {
        left = left.saturating_add(u32::from(is_active(storage, account, StakeRole::Validator)?));
    }
    Ok(left > least.max(1))
}

/// Numbers of the two slots of the staking module that show the set of an epoch as long as it is kept: the epoch and, from bit
/// 64 on, the number of seats; keccak256 of their keys, one after another.
pub fn shown_by(epoch: u64) -> [U256; 2] {
    let slots = place_of(epoch);
    [slots.head.number(), slots.digest.number()]
}

/// Punishes who was absent and elects a set if the block, which this turn of consensus is, is the last of its epoch.
///
/// # Errors
/// Those of the storage.
pub fn end_block(storage: &mut dyn Storage, turn: Turn) -> Result<()> {
    let (length, least) = RULES.get(storage)?;
    let next = storage.block().number.checked_add(1).ok_or_else(overflow)?;
    if next.checked_rem(length) != Some(0) {
        return Ok(());
    }
    // The epoch that the next block begins.
    let epoch = next.checked_div(length).ok_or_else(overflow)?;
    downtime::end_epoch(storage, turn)?;
    let elected = elect(storage)?;
    let enough = u32::try_from(elected.len()).is_ok_and(|count| count >= least.max(1));
    let set = if enough { elected } else { of(storage, epoch)? };
    write(storage, epoch.checked_add(1).ok_or_else(overflow)?, &set)
}

/// Who would have a seat now, by stake.
fn elect(storage: &mut dyn Storage) -> Result<Vec<Seat>> {
    let mut found: Vec<(Reverse<U256>, Address, B256)> = Vec::new();
    for account in keys::candidates(storage)? {
        let standing = standing(storage, account)?;
        if !is_active(storage, account, StakeRole::Validator)? {
            // Those who have taken their stake out make room; the others can come back.
            if standing.role != StakeRole::Validator && !sits(storage, account)? {
                keys::remove(storage, account)?;
            }
            continue;
        }
        let stake = add(standing.stake, delegation::bonded_with(storage, account)?)?;
        let (key, _) = keys::of(storage, account)?.unwrap_or_default();
        found.push((Reverse(stake), account, key));
    }
    found.sort_unstable();
    let seats = usize::try_from(params::get_u64(storage, "validator_seats")?).unwrap_or(usize::MAX);
    Ok(found.into_iter().take(seats).map(|(_, account, key)| Seat { account, key }).collect())
}

/// Whether an account has a seat in the epoch that the next block begins.
fn sits(storage: &mut dyn Storage, account: Address) -> Result<bool> {
    let (length, _) = RULES.get(storage)?;
    let next = storage.block().number.saturating_add(1);
    let epoch = next.checked_div(length).ok_or_else(overflow)?;
    Ok(of(storage, epoch)?.iter().any(|seat| seat.account == account))
}

fn place_of(epoch: u64) -> SetSlots {
    SETS.at(kept_at(epoch))
}

fn write(storage: &mut dyn Storage, epoch: u64, set: &[Seat]) -> Result<()> {
    let slots = place_of(epoch);
    let count = u32::try_from(set.len()).map_err(|_too_many| overflow())?;
    slots.head.set(storage, (epoch, count))?;
    let keys: Vec<B256> = set.iter().map(|seat| seat.key).collect();
    slots.digest.set(storage, keccak256(keys.concat()))?;
    for (position, seat) in (0..count).zip(set) {
        let SeatSlots { account, key } = slots.seats.at(position);
        account.set(storage, seat.account)?;
        key.set(storage, seat.key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
