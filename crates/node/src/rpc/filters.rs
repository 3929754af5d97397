//! Filters that the server remembers: `eth_newFilter` and those like it.
//!
//! A block is final when clients first see it, so a filter is no more than the number of the block it goes on from;
//! what it finds is read when it is asked. A filter that nobody asks for five minutes is forgotten.

use super::{
    convert,
    error::{self, Answer},
    logs::{self, LogQuery},
};
use alloy_consensus::{TxEnvelope, transaction::Recovered, transaction::TxHashRef};
use alloy_primitives::B256;
use alloy_rpc_types_eth::Log;
use openledger_chain::{ChainHandle, LogLimits};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

/// geth's.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Filters at once, of all clients.
const MAX_FILTERS: usize = 1024;
/// What one poll gives; the next goes on from there.
const MAX_BLOCKS: u64 = 10_000;
const MAX_LOGS: usize = 10_000;

/// What a poll gives.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Changes {
    Hashes(Vec<B256>),
    Logs(Vec<Log>),
}

enum Kind {
    Logs { query: LogQuery, next: u64 },
    Blocks { next: u64 },
    Transactions(Receiver<Recovered<TxEnvelope>>),
}

struct Filter {
    kind: Kind,
    used: Instant,
}

/// The filters of all clients, by identifier.
#[derive(Default)]
pub(super) struct Filters {
    open: Mutex<BTreeMap<String, Filter>>,
}

impl Filters {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Filter>> {
        self.open.lock().expect("no code panics with this lock")
    }

    fn open(&self, kind: Kind) -> Answer<String> {
        let now = Instant::now();
        let mut open = self.lock();
        open.retain(|_, filter| now.duration_since(filter.used) < TIMEOUT);
        if open.len() >= MAX_FILTERS {
            return Err(error::limit(format!(
                "too many filters: the limit is {MAX_FILTERS}; one goes when it is uninstalled or was not asked for {} s",
                TIMEOUT.as_secs()
            )));
        }
        let id = random_id();
        open.insert(id.clone(), Filter { kind, used: now });
        Ok(id)
    }

    /// # Errors
    /// If the query is none for new blocks, or there are too many filters.
    pub(super) fn new_logs(&self, chain: &ChainHandle, query: LogQuery) -> Answer<String> {
        query.bounds()?;
        query.filter()?;
        self.open(Kind::Logs { query, next: chain.head().header.number + 1 })
    }

    /// # Errors
    /// If there are too many filters.
    pub(super) fn new_blocks(&self, chain: &ChainHandle) -> Answer<String> {
        self.open(Kind::Blocks { next: chain.head().header.number + 1 })
    }

    /// # Errors
    /// If there are too many filters.
    pub(super) fn new_transactions(&self, chain: &ChainHandle) -> Answer<String> {
        self.open(Kind::Transactions(chain.subscribe_waiting()))
    }

    /// True if there was such a filter.
    pub(super) fn uninstall(&self, id: &str) -> bool {
        self.lock().remove(id).is_some()
    }

    /// What is new since the filter was last asked.
    ///
    /// # Errors
    /// If there is no such filter.
    pub(super) fn changes(&self, chain: &ChainHandle, id: &str) -> Answer<Changes> {
        let (query, next) = {
            let mut open = self.lock();
            match &mut find(&mut open, id)?.kind {
                Kind::Transactions(arrivals) => return Ok(Changes::Hashes(received(arrivals))),
                Kind::Blocks { next } => (None, *next),
                Kind::Logs { query, next } => (Some(query.clone()), *next),
            }
        };
        // Read without the lock; whoever polls the same filter at the same time is told the same.
        let (changes, reached) = match query {
            None => blocks_from(chain, next)?,
            Some(query) => logs_from(chain, &query, next)?,
        };
        if let Ok(filter) = find(&mut self.lock(), id)
            && let Kind::Blocks { next } | Kind::Logs { next, .. } = &mut filter.kind
        {
            *next = (*next).max(reached);
        }
        Ok(changes)
    }

    /// Everything that a log filter matches, old and new.
    ///
    /// # Errors
    /// If there is no such log filter, or too many logs.
    pub(super) fn logs(&self, chain: &ChainHandle, id: &str) -> Answer<Vec<Log>> {
        let query = match &find(&mut self.lock(), id)?.kind {
            Kind::Logs { query, .. } => query.clone(),
            _ => return Err(not_found()),
        };
        logs::logs(chain, &query)
    }
}

fn not_found() -> jsonrpsee::types::ErrorObjectOwned {
    error::server("filter not found")
}

fn find<'a>(open: &'a mut BTreeMap<String, Filter>, id: &str) -> Answer<&'a mut Filter> {
    let now = Instant::now();
    let filter =
        open.get_mut(id).filter(|filter| now.duration_since(filter.used) < TIMEOUT).ok_or_else(not_found)?;
    filter.used = now;
    Ok(filter)
}

/// 128 bits that others cannot guess, so that nobody takes what another's filter found; a quantity, as geth has it, so without
/// zeros in front.
fn random_id() -> String {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    format!("{:#x}", half() << 64 | half())
}

fn received(arrivals: &mut Receiver<Recovered<TxEnvelope>>) -> Vec<B256> {
    let mut hashes = Vec::new();
    loop {
        match arrivals.try_recv() {
            Ok(transaction) => hashes.push(*transaction.tx_hash()),
            // The oldest are gone; what is left follows.
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return hashes,
        }
    }
}

fn blocks_from(chain: &ChainHandle, next: u64) -> Answer<(Changes, u64)> {
    let end = chain.head().header.number.min(next.saturating_add(MAX_BLOCKS - 1));
    let mut hashes = Vec::new();
    for number in next..=end {
        hashes.extend(chain.header(number).map_err(error::chain)?.map(|header| header.hash));
    }
    Ok((Changes::Hashes(hashes), end + 1))
}

fn logs_from(chain: &ChainHandle, query: &LogQuery, next: u64) -> Answer<(Changes, u64)> {
    let (filter, (from, to)) = (query.filter()?, query.bounds()?);
    let head = chain.head().header.number;
    let end = head.min(next.saturating_add(MAX_BLOCKS - 1));
    let mut found = Vec::new();
    let mut reached = next.max(from);
    while reached <= end.min(to) && found.len() < MAX_LOGS {
        // A block is given whole or not at all.
        let limits = LogLimits { blocks: 1, logs: usize::MAX };
        let logs = chain.logs(reached, reached, &filter, limits).map_err(error::chain)?;
        found.extend(logs.into_iter().map(convert::log));
        reached += 1;
    }
    Ok((Changes::Logs(found), reached))
}
