//! Transactions that wait for a block.
//!
//! Per account they are kept by nonce; those that follow on without a gap can be proposed, the others wait for the
//! missing one. A transaction replaces another with its nonce if it pays a tenth more in both fees. What is in a block
//! that is not final yet is not offered again, and comes back if another block is finalised instead. When the pool is
//! full, better paying transactions push out cheaper ones (`eviction`). The pool is in memory; what clients of this
//! node sent is in the [`journal`](crate::journal) too.

mod eviction;

use crate::{Block, PoolError};
use alloy_consensus::{Transaction, TxEnvelope, transaction::Recovered, transaction::TxHashRef};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, U256};
use eviction::Newcomer;
use openledger_execution::{AccountState, TxError};
use std::{
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::{Notify, broadcast};

/// A replacement pays this much more, in per cent: geth's default.
const PRICE_BUMP_PERCENT: u128 = 10;

/// New transactions that a slow subscriber may be behind before it misses some.
const ARRIVALS_QUEUED: usize = 4096;

/// Proposals in which a transaction may have a used nonce before it is dropped: several blocks are not final yet at most.
const OUTDATED_LIMIT: u8 = 8;

/// How much the pool holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Transactions of one account.
    pub per_account: usize,
    /// Transactions in total.
    pub total: usize,
    /// Bytes of encoded transactions in total.
    pub bytes: usize,
    /// How far a nonce may be ahead of the account's next.
    pub nonce_ahead: u64,
}

impl Default for PoolLimits {
    /// 256 per account are a wallet's batch; 65,536 in total are some 10 MiB of transfers, several seconds of full
    /// blocks.
    fn default() -> Self {
        Self { per_account: 256, total: 65_536, bytes: 128 * 1024 * 1024, nonce_ahead: 256 }
    }
}

/// Who sent a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client of this node, which therefore keeps it until it is included.
    Client,
    /// Another validator, which does.
    Peer,
}

#[derive(Debug)]
struct Waiting {
    transaction: Arc<Recovered<TxEnvelope>>,
    origin: Origin,
    hash: B256,
    size: usize,
    cost: U256,
    /// Orders equal tips: first come, first served.
    arrival: u64,
    /// The block that holds it, not final yet.
    included: Option<u64>,
    /// How often a proposer found its nonce used.
    outdated: u8,
}

#[derive(Debug, Default)]
struct Account {
    /// The nonce that the finalised state expects.
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
}

impl Account {
    /// Transactions that follow on the account's nonce without a gap.
    fn consecutive(&self) -> impl Iterator<Item = &Waiting> {
        let next = self.next;
        (next..)
            .zip(self.waiting.range(next..))
            .take_while(|(want, (have, _))| want == *have)
            .map(|(_, (_, w))| w)
    }
}

#[derive(Debug, Default)]
struct Inner {
    accounts: BTreeMap<Address, Account>,
    places: HashMap<B256, (Address, u64)>,
    /// What blocks hold that are not final yet, by their height.
    included: BTreeMap<u64, Vec<B256>>,
    /// Bytes of everything that waits.
    bytes: usize,
    arrivals: u64,
    /// Base fee of the next block, for telling what can be proposed.
    base_fee: u64,
    /// While the pool is full: nobody in it pays less than this tip.
    floor: Option<u128>,
}

/// The pool.
#[derive(Debug)]
pub(crate) struct Pool {
    limits: PoolLimits,
    inner: Mutex<Inner>,
    ready: Notify,
    arrivals: broadcast::Sender<Recovered<TxEnvelope>>,
}

impl Pool {
    pub(crate) fn new(limits: PoolLimits, base_fee: u64) -> Self {
        Self {
            limits,
            inner: Mutex::new(Inner { base_fee, ..Inner::default() }),
            ready: Notify::new(),
            arrivals: broadcast::channel(ARRIVALS_QUEUED).0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no code panics with this lock")
    }

    /// Takes a checked transaction; `account` is the sender's finalised state.
    ///
    /// # Errors
    /// Those of [`PoolError`] that depend on the account and on what waits.
    pub(crate) fn insert(
        &self,
        transaction: Recovered<TxEnvelope>,
        account: AccountState,
        origin: Origin,
    ) -> Result<Arc<Recovered<TxEnvelope>>, PoolError> {
        let hash = *transaction.tx_hash();
        let sender = transaction.signer();
        let nonce = transaction.nonce();
        let mut inner = self.lock();
        if inner.places.contains_key(&hash) {
            return Err(PoolError::AlreadyKnown);
        }
        let next = account.nonce.max(inner.accounts.get(&sender).map_or(0, |known| known.next));
        if nonce < next {
            return Err(PoolError::NonceTooLow { expected: next, got: nonce });
        }
        if nonce - next > self.limits.nonce_ahead {
            return Err(PoolError::NonceTooHigh {
                expected: next,
                got: nonce,
                limit: self.limits.nonce_ahead,
            });
        }
        let cost = most_it_costs(&transaction);
        let replaces =
            inner.check_account(&self.limits, sender, nonce, cost, &transaction, account.balance)?;
        let size = transaction.encode_2718_len();
        let newcomer = Newcomer {
            sender,
            tip: tip_of(&transaction, inner.base_fee),
            ready: inner.is_ready(&transaction, sender, next),
            slots: usize::from(replaces.is_none()),
            bytes: size,
        };
        if !inner.make_room(&self.limits, &newcomer) {
            return Err(PoolError::Full { limit: self.limits.total });
        }

        if let Some(old) = replaces {
            inner.remove(old);
        }
        inner.places.insert(hash, (sender, nonce));
        inner.bytes += size;
        inner.arrivals += 1;
        let arrival = inner.arrivals;
        if self.arrivals.receiver_count() > 0 {
            // The last receiver may have gone meanwhile.
            drop(self.arrivals.send(transaction.clone()));
        }
        let known = inner.accounts.entry(sender).or_default();
        known.next = next;
        let transaction = Arc::new(transaction);
        let waiting = Waiting {
            transaction: transaction.clone(),
            origin,
            hash,
            size,
            cost,
            arrival,
            included: None,
            outdated: 0,
        };
        known.waiting.insert(nonce, waiting);
        drop(inner);
        self.ready.notify_waiters();
        Ok(transaction)
    }

    /// Waits until there is something to propose.
    pub(crate) async fn wait_ready(&self) {
        loop {
            let notified = self.ready.notified();
            tokio::pin!(notified);
            // Register before looking, so that nothing arrives between the look and the wait.
            notified.as_mut().enable();
            if self.lock().has_ready() {
                return;
            }
            notified.await;
        }
    }

    /// The best paying transactions that can be in the next block, each account's in the order of its nonces, up to
    /// `max_bytes` in all.
    pub(crate) fn candidates(&self, base_fee: u64, max_bytes: usize) -> Vec<Arc<Recovered<TxEnvelope>>> {
        let inner = self.lock();
        let mut queues: BTreeMap<Address, Vec<&Waiting>> = BTreeMap::new();
        let mut heads = BinaryHeap::new();
        for (address, account) in &inner.accounts {
            let mut queue: Vec<_> = account
                .consecutive()
                .filter(|waiting| waiting.included.is_none())
                .take_while(|waiting| waiting.transaction.max_fee_per_gas() >= u128::from(base_fee))
                .collect();
            queue.reverse();
            if let Some(first) = queue.last() {
                heads.push((tip(first, base_fee), u64::MAX - first.arrival, *address));
                queues.insert(*address, queue);
            }
        }
        let mut bytes = 0;
        let mut chosen = Vec::new();
        while let Some((_, _, address)) = heads.pop() {
            let Some(queue) = queues.get_mut(&address) else { continue };
            let Some(waiting) = queue.pop() else { continue };
            if bytes + waiting.size > max_bytes {
                continue;
            }
            bytes += waiting.size;
            chosen.push(waiting.transaction.clone());
            if let Some(next) = queue.last() {
                heads.push((tip(next, base_fee), u64::MAX - next.arrival, address));
            }
        }
        chosen
    }

    /// Notes that a block holds these, so that they are not proposed again meanwhile.
    pub(crate) fn included(&self, number: u64, hashes: impl Iterator<Item = B256>) {
        let mut inner = self.lock();
        let mut held = Vec::new();
        for hash in hashes {
            if let Some(waiting) = inner.waiting_mut(hash) {
                waiting.included = Some(number);
                held.push(hash);
            }
        }
        inner.included.entry(number).or_default().extend(held);
    }

    /// Drops what a proposer found that no block can take, such as a sender who can no longer pay.
    pub(crate) fn rejected(&self, rejected: &[(B256, TxError)]) {
        let mut inner = self.lock();
        for (hash, reason) in rejected {
            let drop = match reason {
                // What came before it was left out; it waits again.
                TxError::NonceTooHigh { .. } => false,
                // Usually in a block that is not final yet, and gone with it. But another's transaction can use up a
                // nonce too (EIP-7702), and nothing else would tell the pool.
                TxError::NonceTooLow { .. } => inner.waiting_mut(*hash).is_some_and(|waiting| {
                    waiting.outdated = waiting.outdated.saturating_add(1);
                    waiting.outdated >= OUTDATED_LIMIT
                }),
                _ => true,
            };
            if drop {
                inner.remove(*hash);
            }
        }
    }

    /// Drops what the account's finalised nonce has passed.
    pub(crate) fn advance(&self, sender: Address, next: u64) {
        self.lock().advance(sender, next);
    }

    /// Follows a finalised block; `base_fee` is that of the next one.
    pub(crate) fn finalised(&self, block: &Block, senders: &[Address], base_fee: u64) {
        let mut inner = self.lock();
        inner.base_fee = base_fee;
        // Tips depend on the base fee.
        inner.floor = None;
        // Nonces of one sender ascend in a block.
        let next: BTreeMap<Address, u64> =
            senders.iter().zip(block.transactions()).map(|(sender, tx)| (*sender, tx.nonce() + 1)).collect();
        for (sender, next) in next {
            inner.advance(sender, next);
        }
        let later = inner.included.split_off(&(block.number() + 1));
        for hash in std::mem::replace(&mut inner.included, later).into_values().flatten() {
            if let Some(waiting) = inner.waiting_mut(hash)
                && waiting.included.is_some_and(|number| number <= block.number())
            {
                waiting.included = None;
            }
        }
        let ready = inner.has_ready();
        drop(inner);
        if ready {
            self.ready.notify_waiters();
        }
    }

    /// The nonce an account would use next, counting what waits; `None` if nothing of it does.
    pub(crate) fn pending_nonce(&self, address: Address) -> Option<u64> {
        let inner = self.lock();
        let account = inner.accounts.get(&address)?;
        Some(account.next + account.consecutive().count() as u64)
    }

    /// A waiting transaction.
    pub(crate) fn get(&self, hash: B256) -> Option<Recovered<TxEnvelope>> {
        let inner = self.lock();
        let (sender, nonce) = inner.places.get(&hash)?;
        Some(Recovered::clone(&inner.accounts.get(sender)?.waiting.get(nonce)?.transaction))
    }

    /// Whether a transaction waits.
    pub(crate) fn knows(&self, hash: B256) -> bool {
        self.lock().places.contains_key(&hash)
    }

    /// The transactions of this node's clients, by account and nonce.
    pub(crate) fn own(&self) -> Vec<Arc<Recovered<TxEnvelope>>> {
        self.select(|waiting| waiting.origin == Origin::Client)
    }

    /// Those of them that arrived up to `arrival` and that no block holds yet.
    pub(crate) fn own_left_out(&self, arrival: u64) -> Vec<Arc<Recovered<TxEnvelope>>> {
        self.select(|waiting| {
            waiting.origin == Origin::Client && waiting.included.is_none() && waiting.arrival <= arrival
        })
    }

    fn select(&self, wanted: impl Fn(&Waiting) -> bool) -> Vec<Arc<Recovered<TxEnvelope>>> {
        let inner = self.lock();
        let waiting = inner.accounts.values().flat_map(|account| account.waiting.values());
        waiting.filter(|waiting| wanted(waiting)).map(|waiting| waiting.transaction.clone()).collect()
    }

    /// The number of the newest arrival.
    pub(crate) fn arrivals(&self) -> u64 {
        self.lock().arrivals
    }

    /// Transactions that are taken in from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Recovered<TxEnvelope>> {
        self.arrivals.subscribe()
    }

    /// What waits, by account and nonce: first what follows on the account's nonce without a gap, then the rest.
    pub(crate) fn content(&self) -> (Vec<Recovered<TxEnvelope>>, Vec<Recovered<TxEnvelope>>) {
        let inner = self.lock();
        let mut pending = Vec::new();
        let mut queued = Vec::new();
        for account in inner.accounts.values() {
            let consecutive = account.consecutive().count();
            for (position, waiting) in account.waiting.values().enumerate() {
                let list = if position < consecutive { &mut pending } else { &mut queued };
                list.push(Recovered::clone(&waiting.transaction));
            }
        }
        (pending, queued)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().places.len()
    }
}

impl Inner {
    /// Checks what the account can afford and what it may keep; returns what the transaction would replace.
    fn check_account(
        &self,
        limits: &PoolLimits,
        sender: Address,
        nonce: u64,
        cost: U256,
        transaction: &TxEnvelope,
        balance: U256,
    ) -> Result<Option<B256>, PoolError> {
        let known = self.accounts.get(&sender);
        let old = known.and_then(|known| known.waiting.get(&nonce));
        if old.is_some_and(|old| !pays_more(transaction, &old.transaction)) {
            return Err(PoolError::ReplacementUnderpriced);
        }
        let others = known.map_or(U256::ZERO, |known| {
            known
                .waiting
                .iter()
                .filter(|(other, _)| **other != nonce)
                .fold(U256::ZERO, |sum, (_, waiting)| sum.saturating_add(waiting.cost))
        });
        let want = cost.saturating_add(others);
        if want > balance {
            return Err(PoolError::InsufficientFunds { sender, have: balance, want });
        }
        if old.is_none() && known.is_some_and(|known| known.waiting.len() >= limits.per_account) {
            return Err(PoolError::AccountLimit { sender, limit: limits.per_account });
        }
        Ok(old.map(|old| old.hash))
    }

    /// Whether a block could take a transaction of an account whose finalised nonce is `next`.
    fn is_ready(&self, transaction: &TxEnvelope, sender: Address, next: u64) -> bool {
        let before = self.accounts.get(&sender).map_or(0, |known| known.consecutive().count() as u64);
        transaction.nonce() - next <= before && transaction.max_fee_per_gas() >= u128::from(self.base_fee)
    }

    fn has_ready(&self) -> bool {
        let base_fee = u128::from(self.base_fee);
        self.accounts.values().any(|account| {
            account
                .consecutive()
                .find(|waiting| waiting.included.is_none())
                .is_some_and(|waiting| waiting.transaction.max_fee_per_gas() >= base_fee)
        })
    }

    fn waiting_mut(&mut self, hash: B256) -> Option<&mut Waiting> {
        let (sender, nonce) = self.places.get(&hash)?;
        self.accounts.get_mut(sender)?.waiting.get_mut(nonce)
    }

    fn remove(&mut self, hash: B256) {
        let Some((sender, nonce)) = self.places.remove(&hash) else { return };
        self.floor = None;
        if let Some(account) = self.accounts.get_mut(&sender) {
            if let Some(waiting) = account.waiting.remove(&nonce) {
                self.bytes -= waiting.size;
            }
            if account.waiting.is_empty() {
                self.accounts.remove(&sender);
            }
        }
    }

    /// The account's next nonce is now `next`: what is below it can never be included.
    fn advance(&mut self, sender: Address, next: u64) {
        let Some(account) = self.accounts.get_mut(&sender) else { return };
        account.next = account.next.max(next);
        let kept = account.waiting.split_off(&account.next);
        let stale = std::mem::replace(&mut account.waiting, kept);
        if account.waiting.is_empty() {
            self.accounts.remove(&sender);
        }
        for waiting in stale.into_values() {
            self.bytes -= waiting.size;
            self.places.remove(&waiting.hash);
            self.floor = None;
        }
    }
}

fn tip(waiting: &Waiting, base_fee: u64) -> u128 {
    tip_of(&waiting.transaction, base_fee)
}

fn tip_of(transaction: &TxEnvelope, base_fee: u64) -> u128 {
    transaction.effective_tip_per_gas(base_fee).unwrap_or_default()
}

fn most_it_costs(transaction: &TxEnvelope) -> U256 {
    U256::from(transaction.max_fee_per_gas())
        .saturating_mul(U256::from(transaction.gas_limit()))
        .saturating_add(transaction.value())
}

fn pays_more(new: &TxEnvelope, old: &TxEnvelope) -> bool {
    let bumped = |fee: u128| fee.saturating_add(fee.saturating_mul(PRICE_BUMP_PERCENT).div_ceil(100));
    let tip = |tx: &TxEnvelope| tx.max_priority_fee_per_gas().unwrap_or_else(|| tx.max_fee_per_gas());
    new.max_fee_per_gas() >= bumped(old.max_fee_per_gas()) && tip(new) >= bumped(tip(old))
}

#[cfg(test)]
mod tests;
