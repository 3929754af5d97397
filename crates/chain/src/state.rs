//! The state: accounts, storage and code as entries of one QMDB, whose root is the header's `stateRoot`.
//!
//! ```text
//! keccak256(address)               -> nonce (8, big-endian) ‖ balance (32) ‖ code hash (32)
//! keccak256(address ‖ slot)        -> value (32) ‖ zeros (40)
//! keccak256("code" ‖ hash ‖ n)     -> the n-th 72 bytes of u32 length ‖ code
//! ```
//!
//! The preimages are 20, 52 and 40 bytes long, so no two kinds of entry share a key. Code is in the same store as
//! accounts, so that one root and one commit cover all of it and state sync needs nothing else. An account that is
//! empty and a slot that is zero have no entry, and that they have none can be proven: each entry names the next key,
//! so one entry shows that nothing lies between two keys ([`crate::proof`]).
//!
//! The store is a log of operations. Its *root* (`stateRoot`) covers the log and which of its operations are current;
//! the *root of the log* alone, which state sync fetches against, stands in the block's seal.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use commonware_codec::FixedSize;
use commonware_cryptography::{
    Hasher as _,
    keccak256::{Digest, Keccak256},
};
use commonware_glue::stateful::db::{DatabaseSet, Shared};
use commonware_parallel::Sequential;
use commonware_runtime::{Spawner, buffer::paged::CacheRef};
use commonware_storage::{
    Context,
    journal::contiguous::fixed::Config as LogConfig,
    mmr::{self, full::Config as MmrConfig},
    qmdb::{
        any::ordered::fixed as log,
        current::{FixedConfig, ordered::fixed, proof::OpsRootWitness},
    },
    translator::EightCap,
};
use commonware_utils::{NZU64, NZUsize, sequence::FixedBytes};
use openledger_execution::{AccountState, StateWrites};
use std::num::NonZeroUsize;

/// Bytes of one entry's value: those of an account, the widest kind.
const VALUE_BYTES: usize = 72;
/// EIP-170; the execution layer refuses larger code.
const MAX_CODE_BYTES: usize = 24_576;

/// A key of the store.
pub(crate) type Key = Digest;
/// A value of the store.
pub(crate) type Value = FixedBytes<VALUE_BYTES>;
/// Bytes of the bitmap that one leaf of the tree above it covers: whether each of 256 operations is current.
pub(crate) const CHUNK_BYTES: usize = 32;
/// The store.
pub(crate) type Store<E> =
    fixed::Db<mmr::Family, E, Key, Value, Keccak256, EightCap, CHUNK_BYTES, Sequential>;
/// An operation of its log.
pub(crate) type Operation = log::Operation<mmr::Family, Key, Value>;
/// Bytes of an operation as it is stored and sent.
pub(crate) const OPERATION_BYTES: usize = <Operation as FixedSize>::SIZE;
/// The store as the engine shares it between tasks.
pub(crate) type Databases<E> = Shared<Store<E>>;
/// Changes that are not yet hashed.
pub(crate) type Batch<E> = <Databases<E> as DatabaseSet<E>>::Unmerkleized;
/// Changes with their root.
pub(crate) type Sealed<E> = <Databases<E> as DatabaseSet<E>>::Merkleized;
/// What to write: `None` deletes.
pub(crate) type Entries = Vec<(Key, Option<Value>)>;

/// Where and how the store lives on disk.
pub(crate) fn store_config(
    prefix: &str,
    page_cache: CacheRef,
    buffer: NonZeroUsize,
) -> FixedConfig<EightCap, Sequential> {
    FixedConfig {
        merkle_config: MmrConfig {
            journal_partition: format!("{prefix}state-tree-journal"),
            metadata_partition: format!("{prefix}state-tree-metadata"),
            items_per_blob: NZU64!(1 << 18),
            write_buffer: buffer,
            replay_buffer: buffer,
            strategy: Sequential,
            page_cache: page_cache.clone(),
        },
        journal_config: LogConfig {
            partition: format!("{prefix}state-log"),
            items_per_blob: NZU64!(1 << 18),
            page_cache,
            write_buffer: buffer,
            replay_buffer: buffer,
        },
        grafted_metadata_partition: format!("{prefix}state-bitmap"),
        translator: EightCap,
        init_cache: Some(NZUsize!(1 << 16)),
        init_buffer: NZUsize!(1 << 21),
        init_concurrency: (),
    }
}

/// The root of a store whose log holds its first commit and nothing else, by the root of that log.
pub(crate) fn empty_root(log_root: &Digest) -> Digest {
    let mut first = [0; CHUNK_BYTES];
    first[0] = 1;
    // One leaf is below the height at which the bitmap is grafted, so the tree is that of the log.
    let witness = OpsRootWitness::<mmr::Family, Digest> {
        grafted_root: *log_root,
        pending_chunk_digest: Default::default(),
        partial_chunk: Some((1, Keccak256::hash(&[first.as_slice()]))),
    };
    witness.root::<Keccak256>(log_root)
}

pub(crate) fn account_key(address: Address) -> Key {
    Digest(keccak256(address).0)
}

pub(crate) fn slot_key(address: Address, slot: U256) -> Key {
    let mut preimage = [0; 52];
    preimage[..20].copy_from_slice(address.as_slice());
    preimage[20..].copy_from_slice(&slot.to_be_bytes::<32>());
    Digest(keccak256(preimage).0)
}

pub(crate) fn code_key(hash: B256, part: u32) -> Key {
    let mut preimage = [0; 40];
    preimage[..4].copy_from_slice(b"code");
    preimage[4..36].copy_from_slice(hash.as_slice());
    preimage[36..].copy_from_slice(&part.to_be_bytes());
    Digest(keccak256(preimage).0)
}

/// The keys after the first that hold the code whose first part is `first`.
///
/// # Errors
/// If `first` does not state a length that code can have.
pub(crate) fn code_rest(hash: B256, first: &Value) -> Result<Vec<Key>, String> {
    let length = code_length(first)?;
    Ok((1..parts(length)).map(|part| code_key(hash, part)).collect())
}

fn code_length(first: &Value) -> Result<usize, String> {
    let length = u32::from_be_bytes(first[..4].try_into().expect("four bytes")) as usize;
    if length > MAX_CODE_BYTES {
        return Err(format!("code of {length} bytes is stored, the limit is {MAX_CODE_BYTES}"));
    }
    Ok(length)
}

fn parts(code_length: usize) -> u32 {
    u32::try_from((4 + code_length).div_ceil(VALUE_BYTES)).expect("code is at most 24,576 bytes")
}

/// Puts the stored parts of a code together.
///
/// # Errors
/// If they are not the code with that hash.
pub(crate) fn join_code(hash: B256, values: &[Value]) -> Result<Bytes, String> {
    let first = values.first().ok_or("code has no parts")?;
    let length = code_length(first)?;
    let stored: Vec<u8> = values.iter().flat_map(|value| value.iter().copied()).collect();
    let code = stored.get(4..4 + length).ok_or("code misses parts")?;
    if keccak256(code) != hash {
        return Err(format!("the stored code {hash} has another hash"));
    }
    Ok(Bytes::copy_from_slice(code))
}

fn split_code(hash: B256, code: &Bytes) -> impl Iterator<Item = (Key, Option<Value>)> {
    let length = u32::try_from(code.len()).expect("code is at most 24,576 bytes");
    let stored: Vec<u8> = length.to_be_bytes().into_iter().chain(code.iter().copied()).collect();
    let values: Vec<Value> = stored.chunks(VALUE_BYTES).map(pad).collect();
    (0..).zip(values).map(move |(part, value)| (code_key(hash, part), Some(value)))
}

fn pad(bytes: &[u8]) -> Value {
    let mut value = [0; VALUE_BYTES];
    value[..bytes.len()].copy_from_slice(bytes);
    Value::new(value)
}

/// The value with these bytes, if they are as many as one has.
pub(crate) fn value(bytes: &[u8]) -> Option<Value> {
    Some(Value::new(bytes.try_into().ok()?))
}

pub(crate) fn encode_account(account: &AccountState) -> Value {
    let mut value = [0; VALUE_BYTES];
    value[..8].copy_from_slice(&account.nonce.to_be_bytes());
    value[8..40].copy_from_slice(&account.balance.to_be_bytes::<32>());
    value[40..].copy_from_slice(account.code_hash.as_slice());
    Value::new(value)
}

pub(crate) fn decode_account(value: &Value) -> AccountState {
    AccountState {
        nonce: u64::from_be_bytes(value[..8].try_into().expect("eight bytes")),
        balance: U256::from_be_slice(&value[8..40]),
        code_hash: B256::from_slice(&value[40..]),
    }
}

pub(crate) fn decode_slot(value: &Value) -> U256 {
    U256::from_be_slice(&value[..32])
}

/// The entries that these writes are, in their order. Code that is stored already has the same parts again, so the
/// result does not depend on what a node happens to have cached.
pub(crate) fn entries(writes: &StateWrites) -> Entries {
    let accounts = writes.accounts.iter().map(|(address, account)| {
        let kept = account.as_ref().filter(|account| !account.is_empty());
        (account_key(*address), kept.map(encode_account))
    });
    let storage = writes.storage.iter().map(|((address, slot), value)| {
        let kept = (!value.is_zero()).then(|| pad(&value.to_be_bytes::<32>()));
        (slot_key(*address, *slot), kept)
    });
    let codes = writes.codes.iter().flat_map(|(hash, code)| split_code(*hash, code));
    accounts.chain(storage).chain(codes).collect()
}

/// Adds entries to a batch.
pub(crate) fn write<E: Context + Spawner>(batch: Batch<E>, entries: &Entries) -> Batch<E> {
    entries.iter().fold(batch, |batch, (key, value)| batch.write(*key, value.clone()))
}

#[cfg(test)]
mod tests;
