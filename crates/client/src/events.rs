//! Events: decoded, in pages the node accepts, and as they come.
//!
//! A block is final when the node shows it, so an event once seen stays; nothing here undoes one.

use alloy_primitives::{Address, B256};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEvent;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::ClientError;
use crate::send::TxReceipt;

/// Most blocks that one request for logs spans: the node's limit.
pub const MAX_BLOCKS: u64 = 10_000;

/// A decoded event and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<E> {
    /// Who emitted it.
    pub address: Address,
    /// Height of its block.
    pub block: u64,
    /// Its transaction.
    pub tx: B256,
    /// Its place among the logs of the block.
    pub index: u64,
    /// What it says.
    pub data: E,
}

impl<E: SolEvent> Event<E> {
    /// Reads a log, if it is this event of a block.
    pub fn from_log(log: &Log) -> Option<Self> {
        Some(Self {
            address: log.address(),
            block: log.block_number?,
            tx: log.transaction_hash?,
            index: log.log_index?,
            data: E::decode_log(&log.inner).ok()?.data,
        })
    }
}

/// The first event of this kind that a transaction made `address` emit.
pub fn event_in<E: SolEvent>(receipt: &TxReceipt, address: Address) -> Option<Event<E>> {
    receipt.logs().iter().filter(|log| log.address() == address).find_map(Event::from_log)
}

/// What happened in some blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// First block.
    pub from: u64,
    /// Last block.
    pub to: u64,
    /// The logs that the filter chose, in their order.
    pub logs: Vec<Log>,
}

impl Step {
    /// The events of one kind among the logs.
    pub fn events<'a, E: SolEvent + 'a>(&'a self) -> impl Iterator<Item = Event<E>> + 'a {
        self.logs.iter().filter_map(Event::from_log)
    }
}

impl Client {
    /// The events of one kind that a contract or module emitted in the blocks from `from` to `to`, both included.
    /// `filter` narrows them by indexed fields, as `Filter::new().topic1(id)`.
    ///
    /// # Errors
    /// [`ClientError::Range`] if `to` is before `from`; those of every read ([`Client::block_number`]).
    pub async fn events<E: SolEvent>(
        &self,
        address: Address,
        filter: Filter,
        from: u64,
        to: u64,
    ) -> Result<Vec<Event<E>>, ClientError> {
        let filter = filter.address(address).event_signature(E::SIGNATURE_HASH);
        let logs = self.logs(&filter, from, to).await?;
        logs.iter()
            .map(|log| {
                Event::from_log(log).ok_or_else(|| {
                    self.malformed("eth_getLogs", format!("a log of {address} is no {}", E::SIGNATURE))
                })
            })
            .collect()
    }

    /// The logs that a filter chooses in the blocks from `from` to `to`, both included, in pages of at most
    /// [`MAX_BLOCKS`]; a page with more logs than the node gives at once is halved.
    ///
    /// # Errors
    /// As [`Client::events`].
    pub async fn logs(&self, filter: &Filter, from: u64, to: u64) -> Result<Vec<Log>, ClientError> {
        if to < from {
            return Err(ClientError::Range { from, to });
        }
        let (mut logs, mut next, mut span) = (Vec::new(), from, MAX_BLOCKS);
        while next <= to {
            let last = to.min(next.saturating_add(span - 1));
            let page = filter.clone().from_block(next).to_block(last);
            match self.request::<_, Vec<Log>>("eth_getLogs", (page,)).await {
                Ok(page) => {
                    logs.extend(page);
                    let Some(after) = last.checked_add(1) else { break };
                    next = after;
                    span = MAX_BLOCKS.min(span.saturating_mul(2));
                }
                Err(error) if last > next && asks_too_much(&error) => span = (last - next).div_ceil(2),
                Err(error) => return Err(error),
            }
        }
        Ok(logs)
    }

    /// Waits until there is a block of this height, for [`ClientConfig::confirm_timeout`](crate::ClientConfig).
    ///
    /// # Errors
    /// [`ClientError::NoBlock`] if there is none in time; those of every read ([`Client::block_number`]).
    pub async fn wait_for_block(&self, height: u64) -> Result<(), ClientError> {
        let waited = self.config().confirm_timeout;
        let deadline = Instant::now() + waited;
        while self.block_number().await? < height {
            if Instant::now() >= deadline {
                return Err(ClientError::NoBlock { height, waited });
            }
            sleep(self.config().poll_interval).await;
        }
        Ok(())
    }

    /// Follows the chain from a height on. To resume, begin at [`Follow::position`].
    pub fn follow(&self, filter: Filter, from: u64) -> Follow {
        Follow { client: self.clone(), filter, next: from }
    }
}

/// Whether a node refused because the answer would be too large: EIP-1474 has a code for it, which not all use.
fn asks_too_much(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { code, message, .. } => {
            let phrases = ["more than", "too many", "too large", "limit"];
            *code == -32005 || phrases.iter().any(|phrase| message.contains(phrase))
        }
        _ => false,
    }
}

/// The logs that a filter chooses, block after block, as the chain grows.
#[derive(Debug, Clone)]
pub struct Follow {
    client: Client,
    filter: Filter,
    next: u64,
}

impl Follow {
    /// The first block that has not been returned yet.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Waits for the next blocks and returns them, at most [`MAX_BLOCKS`] at once, also when the filter chooses nothing
    /// in them. Blocks of a step that is cancelled or fails are returned by the next call.
    ///
    /// # Errors
    /// Those of every read ([`Client::block_number`]); call it again when the node is back.
    pub async fn next(&mut self) -> Result<Step, ClientError> {
        loop {
            let head = self.client.block_number().await?;
            if head >= self.next {
                let to = head.min(self.next.saturating_add(MAX_BLOCKS - 1));
                let logs = self.client.logs(&self.filter, self.next, to).await?;
                let from = std::mem::replace(&mut self.next, to.saturating_add(1));
                return Ok(Step { from, to, logs });
            }
            sleep(self.client.config().poll_interval).await;
        }
    }
}
