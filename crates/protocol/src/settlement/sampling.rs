//! The draw: who verifies a batch, and which receipts.
//!
//! The seed is `keccak256(abi.encode(hash of the block that holds the post, batch))`, which whoever sends the post does not
//! know. Block hashes reach 256 blocks back: a batch that nobody drew in time takes the hash of the last block before now
//! that lies a multiple of 256 blocks after the post, so that a caller cannot choose among seeds. (Who proposes the block
//! can choose among orders of its transactions; a stake of many verifiers is what that has to be weighed against.)
//!
//! With `n` verifiers and validators bonded at the post and `k = verifiers_per_batch`, all are assigned if `n <= k`. Else
//! `v` is assigned if `keccak256(abi.encode(seed, v))` is below `2²⁵⁶ · k / n`, so `k` are on average.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue;
use openledger_types::abi::{BatchStatus, ISettlement};
use openledger_types::addresses::SETTLEMENT;

use super::verdict::Progress;
use super::{BATCHES, known, need_status};
use crate::error::{Result, revert};
use crate::math::{div_rem, mul};
use crate::params;
use crate::storage::{Storage, emit};

/// How far back block hashes reach.
const HASHES: u64 = 256;

/// Fixes the seed of a batch, if it is not yet.
///
/// # Errors
/// `UnknownBatch`, `WrongStatus` unless posted, `WindowOpen` in the block of the post.
pub fn draw(storage: &mut dyn Storage, batch: U256) -> Result<B256> {
    let progress = known(storage, batch)?;
    need_status(batch, &progress, BatchStatus::Posted)?;
    drawn(storage, batch, &progress)
}

pub(super) fn drawn(storage: &mut dyn Storage, batch: U256, progress: &Progress) -> Result<B256> {
    let slots = BATCHES.at(batch);
    let seed = slots.seed.get(storage)?;
    if !seed.is_zero() {
        return Ok(seed);
    }
    let (now, posted_at) = (storage.block().number, progress.posted_at);
    if now <= posted_at {
        return Err(revert(ISettlement::WindowOpen { until: posted_at }));
    }
    let age = now.saturating_sub(1).saturating_sub(posted_at);
    let anchor = posted_at.saturating_add(age.saturating_sub(age.checked_rem(HASHES).unwrap_or_default()));
    let hash = storage.block_hash(anchor)?;
    let seed = keccak256((hash, batch).abi_encode());
    slots.seed.set(storage, seed)?;
    emit(storage, SETTLEMENT, &ISettlement::Drawn { batch, seed })?;
    Ok(seed)
}

/// The seed of the draw; zero before it.
///
/// # Errors
/// Those of the storage.
pub fn seed(storage: &mut dyn Storage, batch: U256) -> Result<B256> {
    BATCHES.at(batch).seed.get(storage)
}

/// True if everybody who was bonded at the post is assigned, without a draw.
pub(super) fn all_assigned(storage: &mut dyn Storage, batch: U256) -> Result<bool> {
    let (_, all) = BATCHES.at(batch).forfeited.get(storage)?;
    Ok(u64::from(all) <= params::get_u64(storage, "verifiers_per_batch")?)
}

/// True if the draw has assigned the batch to this account, or all are assigned. Before the draw false.
///
/// # Errors
/// `UnknownBatch`.
pub fn is_assigned(storage: &mut dyn Storage, batch: U256, verifier: Address) -> Result<bool> {
    known(storage, batch)?;
    if all_assigned(storage, batch)? {
        return Ok(true);
    }
    let seed = seed(storage, batch)?;
    if seed.is_zero() {
        return Ok(false);
    }
    let (_, all) = BATCHES.at(batch).forfeited.get(storage)?;
    let wanted = params::get_u64(storage, "verifiers_per_batch")?;
    let (step, _) = div_rem(U256::MAX, U256::from(all))?;
    let ticket = U256::from_be_bytes(keccak256((seed, verifier).abi_encode()).0);
    Ok(ticket < mul(step, U256::from(wanted))?)
}
