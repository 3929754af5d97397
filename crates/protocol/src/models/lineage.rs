//! Lineage: adapters on top of adapters, and who shares the developer's income.
//!
//! An owner says what adapters on top of its own share at least (`royaltyPpm`, zero at first); who publishes one declares a
//! part of at least that and at most half, which then never changes. Of an income `D` an adapter's owner keeps
//! `D − floor(D · share / 10⁶)`; the rest is the income of its parent, of which the parent's owner keeps its part in the same way.
//! At most [`MAX_DEPTH`] adapters stand above one.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{IModels, Lineage};
use openledger_types::addresses::MODELS;
use openledger_types::amount::PPM;

use super::{ADAPTERS, developer_of, need_owner, token};
use crate::error::{Result, overflow, revert};
use crate::math::{div_rem, mul};
use crate::storage::{Storage, emit};

/// The most that an adapter shares with its parent, parts per million.
pub const MAX_SHARE: u32 = 500_000;
/// Most adapters above one.
pub const MAX_DEPTH: u32 = 8;

/// Says what adapters on top of this one share at least, from now on.
///
/// # Errors
/// `UnknownAdapter`, `NotOwner`, `InvalidShare`.
pub fn set_royalty(storage: &mut dyn Storage, caller: Address, adapter: U256, ppm: u32) -> Result<()> {
    need_owner(storage, caller, adapter)?;
    check_share(ppm, 0)?;
    let slots = ADAPTERS.at(adapter);
    let (share, _, depth) = slots.shares.get(storage)?;
    slots.shares.set(storage, (share, ppm, depth))?;
    emit(storage, MODELS, &IModels::RoyaltySet { adapter, ppm })
}

/// Checks that an adapter may stand on top of `parent`; returns its depth.
pub(super) fn check_parent(storage: &mut dyn Storage, parent: U256, share_ppm: u32) -> Result<u32> {
    let (_, retired_at) = developer_of(storage, parent)?;
    if retired_at != 0 {
        return Err(revert(IModels::ParentRetired { parent }));
    }
    let (_, royalty, depth) = ADAPTERS.at(parent).shares.get(storage)?;
    check_share(share_ppm, royalty)?;
    let depth = depth.checked_add(1).ok_or_else(overflow)?;
    if depth > MAX_DEPTH {
        return Err(revert(IModels::TooDeep { depth, limit: MAX_DEPTH }));
    }
    Ok(depth)
}

fn check_share(ppm: u32, least: u32) -> Result<()> {
    if (least..=MAX_SHARE).contains(&ppm) {
        return Ok(());
    }
    Err(revert(IModels::InvalidShare { ppm, least, most: MAX_SHARE }))
}

/// Where an adapter comes from.
///
/// # Errors
/// `UnknownAdapter`.
pub fn lineage(storage: &mut dyn Storage, adapter: U256) -> Result<Lineage> {
    developer_of(storage, adapter)?;
    let slots = ADAPTERS.at(adapter);
    let (share, royalty, depth) = slots.shares.get(storage)?;
    Ok(Lineage { parent: slots.parent.get(storage)?, sharePpm: share, royaltyPpm: royalty, depth })
}

/// Who shares the developer's income at a time, unix seconds, with parts per million that add up to a whole.
///
/// # Errors
/// `UnknownAdapter`.
pub fn income_at(storage: &mut dyn Storage, adapter: U256, time: u64) -> Result<Vec<(Address, u32)>> {
    let mut income = Vec::new();
    let (mut adapter, mut left) = (adapter, PPM);
    loop {
        let Lineage { parent, sharePpm, .. } = lineage(storage, adapter)?;
        let owner = token::owner_at(storage, adapter, time)?;
        if parent.is_zero() {
            income.push((owner, left));
            return Ok(income);
        }
        let shared = mul(U256::from(left), U256::from(sharePpm))?;
        let shared = u32::try_from(div_rem(shared, U256::from(PPM))?.0).map_err(|_too_large| overflow())?;
        income.push((owner, left.checked_sub(shared).ok_or_else(overflow)?));
        (adapter, left) = (parent, shared);
    }
}
