//! The draw: who verifies a batch, and which receipts.
//!
//! The seed is `keccak256(abi.encode(hash of the block that holds the post, batch))`, which whoever sends the post does not
//! know; of a later panel it is that of the block that holds the appeal. Block hashes reach 256 blocks back: a batch that nobody drew in time takes the hash of the last block before now
//! that lies a multiple of 256 blocks after the post, so that a caller cannot choose among seeds. (Who proposes the block
//! can choose among orders of its transactions; a stake of many verifiers is what that has to be weighed against.)
//!
//! With `n` verifiers and validators bonded at the post and a panel of `k`, all are assigned if `n <= k`. Else
//! `v` is assigned if `keccak256(abi.encode(seed, v))` is below `2²⁵⁶ · k / n`, so `k` are on average.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue;
use openledger_types::abi::{BatchStatus, ISettlement};
use openledger_types::addresses::SETTLEMENT;

use super::panel::{Stage, panel, wanted};
use super::{BATCHES, known, need_status};
use crate::error::{Result, revert};
use crate::math::{div_rem, mul};
use crate::storage::{Storage, emit};

/// How far back block hashes reach.
const HASHES: u64 = 256;

/// Fixes the seed of the panel that is asked, if it is not yet.
///
/// # Errors
/// `UnknownBatch`, `WrongStatus` unless posted, `WindowOpen` in the block of the post.
pub fn draw(storage: &mut dyn Storage, batch: U256) -> Result<B256> {
    let stage = known(storage, batch)?;
    need_status(batch, &stage, BatchStatus::Posted)?;
    drawn(storage, batch, &stage)
}

pub(super) fn drawn(storage: &mut dyn Storage, batch: U256, stage: &Stage) -> Result<B256> {
    let slots = panel(batch, stage.round);
    let seed = slots.seed.get(storage)?;
    if !seed.is_zero() {
        return Ok(seed);
    }
    let (now, opened_at) = (storage.block().number, slots.tally.get(storage)?.opened_at);
    if now <= opened_at {
        return Err(revert(ISettlement::WindowOpen { until: opened_at }));
    }
    let age = now.saturating_sub(1).saturating_sub(opened_at);
    let anchor = opened_at.saturating_add(age.saturating_sub(age.checked_rem(HASHES).unwrap_or_default()));
    let hash = storage.block_hash(anchor)?;
    let seed = keccak256((hash, batch).abi_encode());
    slots.seed.set(storage, seed)?;
    emit(storage, SETTLEMENT, &ISettlement::Drawn { batch, seed })?;
    Ok(seed)
}

/// The seed of the last draw; zero before it.
///
/// # Errors
/// Those of the storage.
pub fn seed(storage: &mut dyn Storage, batch: U256) -> Result<B256> {
    let round = BATCHES.at(batch).stage.get(storage)?.round;
    panel(batch, round).seed.get(storage)
}

/// True if the draw has assigned the batch to this account, or all are assigned. Before the draw false.
///
/// # Errors
/// `UnknownBatch`.
pub fn is_assigned(storage: &mut dyn Storage, batch: U256, verifier: Address) -> Result<bool> {
    let stage = known(storage, batch)?;
    let Some(wanted) = wanted(storage, &stage)? else { return Ok(true) };
    let seed = seed(storage, batch)?;
    if seed.is_zero() {
        return Ok(false);
    }
    let (step, _) = div_rem(U256::MAX, U256::from(stage.eligible))?;
    let ticket = U256::from_be_bytes(keccak256((seed, verifier).abi_encode()).0);
    Ok(ticket < mul(step, U256::from(wanted))?)
}
