//! Runs execution, which is synchronous, over the store, which is not.
//!
//! The task that owns the batch first reads, at once, the entries that the job is known to need. The job then runs on a
//! thread of its own and asks for others over a bounded channel; the task reads them and answers. Nobody blocks inside
//! the runtime, a run of dependent reads costs one exchange each, and dropping the task ends the job at its next read.

use crate::{
    runtime::Runtime,
    state::{self, Batch, Databases, Key, Value},
};
use alloy_consensus::{Transaction, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, B256, Bytes, U256};
use openledger_execution::{AccountState, StateError, StateReader};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};
use tokio::sync::{mpsc, oneshot};

/// Reads that may wait for their answer. The job waits for each answer, so one is in use.
const QUEUE: usize = 4;
/// Contracts whose code is kept in memory: at most 12 MiB.
const CODES_CACHED: usize = 512;

/// Keys that are wanted, and where the values go.
pub(crate) struct ReadRequest {
    pub(crate) keys: Vec<Key>,
    pub(crate) reply: oneshot::Sender<Result<Vec<Option<Value>>, String>>,
}

/// Code by its hash, shared by everything that executes.
#[derive(Clone, Debug, Default)]
pub(crate) struct CodeCache {
    codes: Arc<Mutex<BTreeMap<B256, Bytes>>>,
}

impl CodeCache {
    fn get(&self, hash: B256) -> Option<Bytes> {
        self.codes.lock().expect("no code panics with this lock").get(&hash).cloned()
    }

    fn put(&self, hash: B256, code: Bytes) {
        let mut codes = self.codes.lock().expect("no code panics with this lock");
        if codes.len() >= CODES_CACHED {
            codes.pop_first();
        }
        codes.insert(hash, code);
    }
}

/// Answers for entries by their keys; the rest of [`StateReader`] follows from it.
pub(crate) trait Entry: Send {
    fn read(&self, keys: Vec<Key>) -> Result<Vec<Option<Value>>, StateError>;
    fn block_hash(&self, number: u64) -> Result<B256, StateError>;
}

/// A state to execute on, made of entries.
pub(crate) struct Reader<S> {
    pub(crate) entries: S,
    pub(crate) codes: CodeCache,
}

impl<S: Entry> Reader<S> {
    fn one(&self, key: Key) -> Result<Option<Value>, StateError> {
        let mut values = self.entries.read(vec![key])?;
        values.pop().ok_or_else(|| StateError::Backend("a read had no answer".into()))
    }
}

impl<S: Entry> StateReader for Reader<S> {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        Ok(self.one(state::account_key(address))?.as_ref().map(state::decode_account))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let value = self.one(state::slot_key(address, slot))?;
        Ok(value.as_ref().map(state::decode_slot).unwrap_or_default())
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        if let Some(code) = self.codes.get(hash) {
            return Ok(code);
        }
        let missing = || StateError::Backend(format!("there is no code {hash}"));
        let first = self.one(state::code_key(hash, 0))?.ok_or_else(missing)?;
        let rest = state::code_rest(hash, &first).map_err(StateError::Backend)?;
        let mut values = vec![first];
        for value in self.entries.read(rest)? {
            values.push(value.ok_or_else(missing)?);
        }
        let code = state::join_code(hash, &values).map_err(StateError::Backend)?;
        self.codes.put(hash, code.clone());
        Ok(code)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.entries.block_hash(number)
    }
}

/// Hashes of the blocks that lie below the one being executed.
pub(crate) type BlockHashes = Arc<dyn Fn(u64) -> Option<B256> + Send + Sync>;

/// Entries that the task with the batch has read or reads for us.
pub(crate) struct Remote {
    known: HashMap<Key, Option<Value>>,
    reads: mpsc::Sender<ReadRequest>,
    hashes: BlockHashes,
}

impl Entry for Remote {
    fn read(&self, keys: Vec<Key>) -> Result<Vec<Option<Value>>, StateError> {
        if let Some(values) = keys.iter().map(|key| self.known.get(key).cloned()).collect() {
            return Ok(values);
        }
        let (reply, answer) = oneshot::channel();
        let gone = || StateError::Backend("the execution was cancelled".into());
        self.reads.blocking_send(ReadRequest { keys, reply }).map_err(|_closed| gone())?;
        answer.blocking_recv().map_err(|_closed| gone())?.map_err(StateError::Backend)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        (self.hashes)(number)
            .ok_or_else(|| StateError::Backend(format!("the hash of block {number} is not known")))
    }
}

/// The entries that transactions need whatever they do: their senders and recipients.
pub(crate) fn needed<'t>(transactions: impl Iterator<Item = &'t Recovered<TxEnvelope>>) -> BTreeSet<Key> {
    let accounts: BTreeSet<Address> = transactions
        .flat_map(|transaction| [Some(transaction.signer()), transaction.to()])
        .flatten()
        .collect();
    accounts.into_iter().map(state::account_key).collect()
}

/// Runs `job` over the newest state of the store, which may advance meanwhile.
pub(crate) async fn query<E: Runtime, T: Send + 'static>(
    databases: &Databases<E>,
    codes: CodeCache,
    job: impl FnOnce(&Reader<Remote>) -> T + Send + 'static,
) -> T {
    let (reads, mut requests) = mpsc::channel(QUEUE);
    let reader =
        Reader { entries: Remote { known: HashMap::new(), reads, hashes: Arc::new(|_| None) }, codes };
    let job = E::start(move || job(&reader));
    while let Some(ReadRequest { keys, reply }) = E::next(&mut requests).await {
        let keys: Vec<&Key> = keys.iter().collect();
        let values = databases.read().await.get_many(&keys).await;
        drop(reply.send(values.map_err(|error| error.to_string())));
    }
    job.await
}

/// Runs `job` over the state of `batch`, of which it is known to need `needed`.
///
/// # Panics
/// If the store fails or the job panics: neither says anything about the block, and the engine treats a failing
/// store as fatal everywhere.
pub(crate) async fn run<E: Runtime, T: Send + 'static>(
    batch: &Batch<E>,
    codes: CodeCache,
    hashes: BlockHashes,
    needed: BTreeSet<Key>,
    job: impl FnOnce(&Reader<Remote>) -> T + Send + 'static,
) -> T {
    let keys: Vec<&Key> = needed.iter().collect();
    let values = batch.get_many(&keys).await.expect("the state store can be read");
    let known = needed.into_iter().zip(values).collect();
    let (reads, mut requests) = mpsc::channel(QUEUE);
    let reader = Reader { entries: Remote { known, reads, hashes }, codes };
    let job = E::start(move || job(&reader));
    while let Some(ReadRequest { keys, reply }) = E::next(&mut requests).await {
        let keys: Vec<&Key> = keys.iter().collect();
        let values = batch.get_many(&keys).await.expect("the state store can be read");
        // The job is gone only if it panicked, which the join below reports.
        drop(reply.send(Ok(values)));
    }
    job.await
}
