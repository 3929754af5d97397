//! What the rest of the node can ask of a running chain.
//!
//! Every method may wait for the disk or for the engine, briefly: call them from a thread that may block, not from an
//! asynchronous task.

use crate::{
    ChainError, Checkpoint, IndexedBlock, IndexedHeader, IndexedReceipt, PoolError,
    admission::Admission,
    application,
    engine::Request,
    executor::{Entry, ReadRequest, Reader},
    handover::Handover,
    journal::Journal,
    ledger::Ledger,
    pool::Origin,
    proof::{Finality, Proven, SlotProof, StateProof},
    refused::RefusedBlock,
    state::{self, Key, Value},
    status::Status,
};
use alloy_consensus::{Header, TxEnvelope, transaction::Recovered, transaction::TxHashRef};
use alloy_primitives::{Address, B256, Bloom, BloomInput, Bytes, Log, U256};
use openledger_execution::{AccountState, BlockEnv, Genesis, StateError, StateReader};
use std::{
    ops::Range,
    sync::{Arc, Mutex, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::{broadcast, mpsc, oneshot};

/// From when a block's state is written until the block is the head, at most.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// Blocks below the head among which one has a certificate of its own: nearly all have.
const CERTIFIED_WITHIN: u64 = 32;

/// A running validator. Clones share it; it stops when [`shutdown`](Self::shutdown) is called or the last is dropped.
#[derive(Clone)]
pub struct ChainHandle {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) requests: mpsc::Sender<Request>,
    /// What clients sent, on disk.
    pub(crate) journal: Journal,
    /// Where it is told to the other validators; `None` if there are none.
    pub(crate) news: Option<mpsc::Sender<Arc<Recovered<TxEnvelope>>>>,
    pub(crate) shutdown: Mutex<Option<oneshot::Sender<()>>>,
    pub(crate) thread: Mutex<Option<JoinHandle<Result<(), ChainError>>>>,
}

impl Inner {
    fn stop(&self) -> Result<(), ChainError> {
        if let Some(shutdown) = self.shutdown.lock().expect("no code panics with this lock").take() {
            // An engine that stopped by itself no longer listens; joining its thread tells why.
            if shutdown.send(()).is_err() {
                tracing::debug!("the engine had stopped already");
            }
        }
        let thread = self.thread.lock().expect("no code panics with this lock").take();
        match thread {
            Some(thread) => thread.join().unwrap_or(Err(ChainError::Stopped)),
            None => Ok(()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "the chain ended with an error");
        }
    }
}

/// A transaction in a block.
#[derive(Clone, Debug)]
pub struct FoundTransaction {
    /// The transaction with its sender.
    pub transaction: Recovered<TxEnvelope>,
    /// The block that holds it.
    pub header: IndexedHeader,
    /// Its position there.
    pub position: u32,
}

/// Which logs are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Any of these emitters; none means all.
    pub addresses: Vec<Address>,
    /// For each position, any of these topics; none means all, but a log must have a topic at every position.
    pub topics: Vec<Vec<B256>>,
}

impl LogFilter {
    fn may_match(&self, bloom: &Bloom) -> bool {
        let any = |wanted: &mut dyn Iterator<Item = &[u8]>| {
            let mut empty = true;
            for raw in wanted {
                empty = false;
                if bloom.contains_input(BloomInput::Raw(raw)) {
                    return true;
                }
            }
            empty
        };
        any(&mut self.addresses.iter().map(|address| address.as_slice()))
            && self.topics.iter().all(|topics| any(&mut topics.iter().map(|topic| topic.as_slice())))
    }

    fn matches(&self, log: &Log) -> bool {
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self.topics.iter().enumerate().all(|(position, wanted)| {
                log.topics().get(position).is_some_and(|topic| wanted.is_empty() || wanted.contains(topic))
            })
    }
}

/// How much one log query may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Blocks.
    pub blocks: u64,
    /// Logs.
    pub logs: usize,
}

impl Default for LogLimits {
    /// What common providers allow.
    fn default() -> Self {
        Self { blocks: 10_000, logs: 10_000 }
    }
}

/// A log with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLog {
    /// The log.
    pub log: Log,
    /// Number, hash and timestamp of its block.
    pub block: (u64, B256, u64),
    /// Hash and position of its transaction.
    pub transaction: (B256, u64),
    /// Its position among the logs of the block.
    pub position: u64,
}

impl ChainHandle {
    /// The genesis the chain started from.
    pub fn genesis(&self) -> &Genesis {
        &self.inner.ledger.genesis
    }

    /// The finalised head. Nothing else is ever shown: a block is final when clients first see it.
    pub fn head(&self) -> Arc<IndexedHeader> {
        self.inner.ledger.head()
    }

    /// New finalised heads from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<IndexedHeader>> {
        self.inner.ledger.subscribe()
    }

    /// What shows that a block is final: its header and its certificate, or the headers up to the first later block with
    /// one. `None` if the block is not final.
    ///
    /// # Errors
    /// [`ChainError::Stopped`].
    pub fn finality(&self, number: u64) -> Result<Option<Finality>, ChainError> {
        self.ask(|reply| Request::Finality { number, reply })
    }

    /// What a new node can start from: the newest final block with a certificate of its own, not above `at` if that is given.
    /// `None` at the genesis, or if the validators of that block are no longer known here.
    ///
    /// # Errors
    /// [`ChainError::Stopped`], or if the index cannot be read.
    pub fn checkpoint(&self, at: Option<u64>) -> Result<Option<Checkpoint>, ChainError> {
        let head = self.head().header.number;
        let newest = at.map_or(head, |at| at.min(head));
        for number in (newest.saturating_sub(CERTIFIED_WITHIN).max(1)..=newest).rev() {
            let Some(certificate) = self.ask(|reply| Request::Certificate { number, reply })? else {
                continue;
            };
            let epoch = number / self.genesis().election.epoch_blocks;
            let (header, validators) = (self.header(number)?, self.inner.ledger.index.validators(epoch)?);
            let (Some(header), Some(validators)) = (header, validators) else { return Ok(None) };
            return Ok(Some(Checkpoint { number, hash: header.hash, certificate, validators }));
        }
        Ok(None)
    }

    /// The first block that this node has: 0, unless it started from a checkpoint.
    pub fn first_block(&self) -> u64 {
        self.inner.ledger.index.base().map_or(0, |base| base.number + 1)
    }

    /// Proves an account and slots of it at the head, or at the block `wanted` as long as that is the head.
    ///
    /// # Errors
    /// [`ChainError::ProofNotAvailable`] if the head is another block or has no state of its own yet,
    /// [`ChainError::Stopped`].
    pub fn prove(
        &self,
        address: Address,
        slots: &[U256],
        wanted: Option<u64>,
    ) -> Result<StateProof, ChainError> {
        let newest = self.head().header.number;
        let not_available =
            |newest| ChainError::ProofNotAvailable { wanted: wanted.unwrap_or(newest), newest };
        // Block one writes what genesis allots.
        if newest == 0 || wanted.is_some_and(|wanted| wanted != newest) {
            return Err(not_available(newest));
        }
        let keys: Vec<Key> = std::iter::once(state::account_key(address))
            .chain(slots.iter().map(|slot| state::slot_key(address, *slot)))
            .collect();
        let proven: Proven = self
            .ask(|reply| Request::Prove { keys, reply })?
            .map_err(|reason| ChainError::NotProven { reason })?;
        let block = self.block_with(proven.root, newest)?;
        if wanted.is_some_and(|wanted| wanted != block.header.number) {
            return Err(not_available(block.header.number));
        }
        let lost = || ChainError::NotProven { reason: format!("block {} has no certificate", block.hash) };
        let finality = self.finality(block.header.number)?.ok_or_else(lost)?;
        let mut entries = proven.entries.into_iter();
        let (account, account_proof) = entries.next().ok_or_else(lost)?;
        let slots = slots.iter().zip(entries).map(|(slot, (value, proof))| {
            let value = value.as_ref().map(state::decode_slot).unwrap_or_default();
            SlotProof { slot: *slot, value, proof }
        });
        let account = account.as_ref().map(state::decode_account);
        Ok(StateProof { block, finality, account, account_proof, slots: slots.collect() })
    }

    /// What shows the validators of these epochs, from the first on, as far as this node has it: from the checkpoint that it
    /// started from, at the earliest.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn handovers(&self, epochs: Range<u64>) -> Result<Vec<Handover>, ChainError> {
        let index = &self.inner.ledger.index;
        let mut found = Vec::new();
        for epoch in epochs {
            let Some(stored) = index.handover(epoch)? else { break };
            let block = stored.number().map(|number| index.header(number)).transpose()?.flatten();
            let validators = index.validators(epoch)?.unwrap_or_default();
            let Some(handover) = block.and_then(|block| stored.handover(epoch, validators, block)) else {
                break;
            };
            found.push(handover);
        }
        Ok(found)
    }

    /// The block at `from` or above that left the state with this root, once it is shown as the head.
    fn block_with(&self, root: B256, from: u64) -> Result<IndexedHeader, ChainError> {
        let start = Instant::now();
        // The index has a block before the state does.
        let unknown = || ChainError::NotProven { reason: format!("no block has the state root {root}") };
        let block = self.inner.ledger.index.with_root(root, from)?.ok_or_else(unknown)?;
        while self.head().header.number < block.header.number {
            if self.has_stopped() || start.elapsed() > SHOWN_WITHIN {
                return Err(ChainError::Stopped);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(block)
    }

    /// Asks the engine and waits for the answer.
    fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, ChainError> {
        let (reply, answer) = oneshot::channel();
        self.inner.requests.blocking_send(request(reply)).map_err(|_closed| ChainError::Stopped)?;
        answer.blocking_recv().map_err(|_closed| ChainError::Stopped)
    }

    /// How many others are connected. To count them the engine writes all of its metrics, so it is not asked for in passing.
    ///
    /// # Errors
    /// [`ChainError::Stopped`].
    pub fn peers(&self) -> Result<usize, ChainError> {
        self.ask(|reply| Request::Peers { reply })
    }

    /// How far this node is.
    ///
    /// # Errors
    /// [`ChainError::Stopped`].
    pub fn status(&self) -> Result<Status, ChainError> {
        let highest = self.ask(|reply| Request::Highest { reply })?;
        // Blocks come in between.
        let head = self.head().header.number;
        Ok(Status { head, highest: highest.max(head) })
    }

    /// Takes a transaction into the pool, tells the other validators, and returns its hash. It survives the end of this
    /// process.
    ///
    /// # Errors
    /// [`PoolError`] says why not.
    pub fn submit(&self, transaction: TxEnvelope) -> Result<B256, PoolError> {
        let transaction = self.admit(transaction)?;
        if self.inner.journal.append(&transaction) {
            self.rewrite_journal();
        }
        Ok(*transaction.tx_hash())
    }

    fn admit(&self, transaction: TxEnvelope) -> Result<Arc<Recovered<TxEnvelope>>, PoolError> {
        let Inner { ledger, requests, news, .. } = self.inner.as_ref();
        let admission = Admission { ledger: ledger.clone(), requests: requests.clone() };
        let transaction = admission.admit(transaction, Origin::Client)?;
        if let Some(news) = news {
            // If too many wait, it is told later with what still waits.
            drop(news.try_send(transaction.clone()));
        }
        Ok(transaction)
    }

    /// Takes in what waited when an earlier process ended.
    pub(crate) fn resume(&self, waiting: Vec<TxEnvelope>) {
        let count = waiting.len();
        let taken = waiting.into_iter().filter_map(|transaction| self.admit(transaction).ok()).count();
        if count > 0 {
            tracing::info!(found = count, waiting = taken, "transactions of an earlier process");
        }
        self.rewrite_journal();
    }

    fn rewrite_journal(&self) {
        self.inner.journal.rewrite(|| self.inner.ledger.pool.own());
    }

    /// How many times this validator has seen another sign votes that contradict each other since it started.
    pub fn faults(&self) -> u64 {
        self.inner.ledger.faults.load(Ordering::Relaxed)
    }

    /// How many blocks this validator has voted against since it started, and the newest of them with the reasons.
    pub fn refused(&self) -> (u64, Vec<RefusedBlock>) {
        (self.inner.ledger.refused.count(), self.inner.ledger.refused.last())
    }

    /// Recovers the senders of transactions that are about to be submitted, on all cores.
    pub fn recognise(&self, transactions: Vec<TxEnvelope>) {
        // Whose does not recover is refused when it is submitted.
        drop(application::recover(&self.inner.ledger.senders, transactions));
    }

    /// A transaction that waits for a block.
    pub fn waiting(&self, hash: B256) -> Option<Recovered<TxEnvelope>> {
        self.inner.ledger.pool.get(hash)
    }

    /// How many transactions wait.
    pub fn waiting_count(&self) -> usize {
        self.inner.ledger.pool.len()
    }

    /// Everything that waits, by account and nonce: what can be included one after another, and what waits for a
    /// missing nonce.
    pub fn waiting_all(&self) -> (Vec<Recovered<TxEnvelope>>, Vec<Recovered<TxEnvelope>>) {
        self.inner.ledger.pool.content()
    }

    /// Transactions that the pool takes in from now on.
    pub fn subscribe_waiting(&self) -> broadcast::Receiver<Recovered<TxEnvelope>> {
        self.inner.ledger.pool.subscribe()
    }

    /// The nonce an account would use next, counting what waits.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn pending_nonce(&self, address: Address) -> Result<u64, ChainError> {
        let state = self.state(self.head().header.number)?;
        let nonce = state.account(address).map_err(|error| self.unreadable(error))?.unwrap_or_default().nonce;
        Ok(self.inner.ledger.pool.pending_nonce(address).unwrap_or(0).max(nonce))
    }

    fn unreadable(&self, error: StateError) -> ChainError {
        let head = self.head().header.number;
        match error {
            StateError::Backend(_) if self.inner.requests.is_closed() => ChainError::Stopped,
            _ => ChainError::StateNotAvailable {
                number: head,
                oldest: self.inner.ledger.recent.oldest(head),
                newest: head,
            },
        }
    }

    /// The state after a block, which stays that of the block while the head moves on.
    ///
    /// # Errors
    /// [`ChainError::StateNotAvailable`] above the head, and more than 128 blocks below it or before the last start.
    pub fn state(&self, number: u64) -> Result<StateView, ChainError> {
        let ledger = &self.inner.ledger;
        let newest = ledger.head().header.number;
        let oldest = ledger.recent.oldest(newest);
        if number > newest || number < oldest {
            return Err(ChainError::StateNotAvailable { number, oldest, newest });
        }
        Ok(StateView {
            reader: Reader {
                entries: Snapshot { number, ledger: ledger.clone(), requests: self.inner.requests.clone() },
                codes: ledger.codes.clone(),
            },
        })
    }

    /// The environment a call at a block runs in: that of the block itself, as in geth.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn env(&self, number: u64) -> Result<Option<BlockEnv>, ChainError> {
        Ok(self.header(number)?.map(|header| self.inner.ledger.env_of(&header.header)))
    }

    /// The base fee of the block after the head.
    pub fn next_base_fee(&self) -> u64 {
        crate::ledger::base_fee_after(&self.head().header)
    }

    /// The base fee of the block after one with this header.
    pub fn base_fee_after(&self, header: &Header) -> u64 {
        crate::ledger::base_fee_after(header)
    }

    /// A finalised header by number.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn header(&self, number: u64) -> Result<Option<IndexedHeader>, ChainError> {
        if number > self.head().header.number { Ok(None) } else { self.inner.ledger.index.header(number) }
    }

    /// The number of a finalised block by hash.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn number(&self, hash: B256) -> Result<Option<u64>, ChainError> {
        let head = self.head().header.number;
        Ok(self.inner.ledger.index.number(hash)?.filter(|number| *number <= head))
    }

    /// A finalised block by number.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn block(&self, number: u64) -> Result<Option<IndexedBlock>, ChainError> {
        if number > self.head().header.number { Ok(None) } else { self.inner.ledger.index.block(number) }
    }

    /// The receipts of a finalised block.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn receipts(&self, number: u64) -> Result<Option<Vec<IndexedReceipt>>, ChainError> {
        if number > self.head().header.number { Ok(None) } else { self.inner.ledger.index.receipts(number) }
    }

    /// Block and position of a finalised transaction.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn place(&self, hash: B256) -> Result<Option<(u64, u32)>, ChainError> {
        let head = self.head().header.number;
        Ok(self.inner.ledger.index.transaction(hash)?.filter(|(number, _)| *number <= head))
    }

    /// A finalised transaction.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn transaction(&self, hash: B256) -> Result<Option<FoundTransaction>, ChainError> {
        let Some((number, position)) = self.place(hash)? else { return Ok(None) };
        let Some(block) = self.inner.ledger.index.block(number)? else { return Ok(None) };
        let transaction = block.transactions.into_iter().nth(position as usize);
        Ok(transaction.map(|transaction| FoundTransaction { transaction, header: block.header, position }))
    }

    /// Logs of the blocks `from` to `to`, both included.
    ///
    /// # Errors
    /// [`ChainError::TooMuch`] if there are more blocks or logs than the limits allow, [`ChainError::Pruned`] below the first
    /// block of this node.
    pub fn logs(
        &self,
        from: u64,
        to: u64,
        filter: &LogFilter,
        limits: LogLimits,
    ) -> Result<Vec<FoundLog>, ChainError> {
        let to = to.min(self.head().header.number);
        let span = (to + 1).saturating_sub(from);
        if span > limits.blocks {
            return Err(ChainError::TooMuch { what: "block range", got: span, limit: limits.blocks });
        }
        let first = self.first_block();
        if from < first {
            return Err(ChainError::Pruned { wanted: from, first });
        }
        let mut found = Vec::new();
        for number in from..=to {
            let Some(header) = self.header(number)? else { continue };
            if !filter.may_match(&header.header.logs_bloom) {
                continue;
            }
            self.logs_of(number, &header, filter, &mut found)?;
            if found.len() > limits.logs {
                let (got, limit) = (found.len() as u64, limits.logs as u64);
                return Err(ChainError::TooMuch { what: "query results", got, limit });
            }
        }
        Ok(found)
    }

    fn logs_of(
        &self,
        number: u64,
        header: &IndexedHeader,
        filter: &LogFilter,
        found: &mut Vec<FoundLog>,
    ) -> Result<(), ChainError> {
        let (Some(block), Some(receipts)) = (self.block(number)?, self.receipts(number)?) else {
            return Ok(());
        };
        let mut position = 0;
        for (index, (transaction, receipt)) in (0..).zip(block.transactions.iter().zip(&receipts)) {
            for log in receipt.receipt.logs() {
                if filter.matches(log) {
                    found.push(FoundLog {
                        log: log.clone(),
                        block: (number, header.hash, header.header.timestamp),
                        transaction: (*transaction.tx_hash(), index),
                        position,
                    });
                }
                position += 1;
            }
        }
        Ok(())
    }

    /// Stops the validator and waits until it has: what is final is on disk.
    ///
    /// # Errors
    /// [`ChainError::Engine`] if it had failed before.
    pub fn shutdown(&self) -> Result<(), ChainError> {
        self.inner.stop()
    }

    /// Returns once the engine no longer runs.
    pub async fn stopped(&self) {
        self.inner.requests.closed().await;
    }

    /// True once the engine no longer runs.
    pub fn has_stopped(&self) -> bool {
        self.inner.requests.is_closed()
    }
}

impl std::fmt::Debug for ChainHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainHandle").field("head", &self.head().header.number).finish_non_exhaustive()
    }
}

/// The state after one block.
pub struct StateView {
    reader: Reader<Snapshot>,
}

impl StateReader for StateView {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        self.reader.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.reader.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        self.reader.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.reader.block_hash(number)
    }
}

pub(crate) struct Snapshot {
    pub(crate) number: u64,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) requests: mpsc::Sender<Request>,
}

impl Snapshot {
    /// An account, empty if there is none.
    pub(crate) fn account(&self, address: Address) -> Result<AccountState, StateError> {
        let values = self.read(vec![state::account_key(address)])?;
        Ok(account_of(values.into_iter().next().flatten()))
    }

    /// Several accounts, without blocking.
    pub(crate) async fn accounts(&self, addresses: &[Address]) -> Result<Vec<AccountState>, StateError> {
        let keys: Vec<Key> = addresses.iter().map(|address| state::account_key(*address)).collect();
        let values = if self.number == 0 {
            self.ledger.genesis_values(&keys)
        } else {
            let (request, answer) = ask(keys.clone());
            self.requests.send(request).await.map_err(|_closed| stopped())?;
            self.then(&keys, answer.await.map_err(|_closed| stopped())?)?
        };
        Ok(values.into_iter().map(account_of).collect())
    }

    /// Values of the store as they were at this height.
    fn then(&self, keys: &[Key], newest: Answer) -> Answer<StateError> {
        let values = newest.map_err(StateError::Backend)?;
        self.ledger
            .recent
            .at(self.number, keys, values)
            .ok_or_else(|| StateError::Backend(format!("the state at block {} is gone", self.number)))
    }
}

type Answer<E = String> = Result<Vec<Option<Value>>, E>;

fn ask(keys: Vec<Key>) -> (Request, oneshot::Receiver<Answer>) {
    let (reply, answer) = oneshot::channel();
    (Request::Read(ReadRequest { keys, reply }), answer)
}

fn stopped() -> StateError {
    StateError::Backend("the chain has stopped".into())
}

fn account_of(value: Option<Value>) -> AccountState {
    value.as_ref().map(state::decode_account).unwrap_or_default()
}

impl Entry for Snapshot {
    fn read(&self, keys: Vec<Key>) -> Result<Vec<Option<Value>>, StateError> {
        if self.number == 0 {
            return Ok(self.ledger.genesis_values(&keys));
        }
        let (request, answer) = ask(keys.clone());
        self.requests.blocking_send(request).map_err(|_closed| stopped())?;
        self.then(&keys, answer.blocking_recv().map_err(|_closed| stopped())?)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        let header =
            self.ledger.index.header(number).map_err(|error| StateError::Backend(error.to_string()))?;
        header
            .map(|header| header.hash)
            .ok_or_else(|| StateError::Backend(format!("the hash of block {number} is not known")))
    }
}
