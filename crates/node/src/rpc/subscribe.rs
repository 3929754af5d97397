//! `eth_subscribe`: new heads, their logs, and transactions that begin to wait, over WebSocket.

use super::{args::Args, convert, error, logs, methods::Rpc};
use alloy_consensus::transaction::TxHashRef;
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionMessage, SubscriptionSink,
    core::{SubscriptionError, traits::IdProvider},
    types::{Params, SubscriptionId},
};
use openledger_chain::{ChainHandle, LogFilter};
use serde::Serialize;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Identifiers as geth writes them.
#[derive(Debug, Default)]
pub(super) struct HexIds {
    last: AtomicU64,
}

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        SubscriptionId::Str(format!("{id:#x}").into())
    }
}

enum Wanted {
    Heads,
    Logs(LogFilter),
    /// Hashes, or whole transactions.
    Transactions {
        whole: bool,
    },
}

fn wanted(params: &Params<'_>) -> error::Answer<Wanted> {
    let mut args = Args::new(params, 2)?;
    let kind: String = args.required()?;
    match kind.as_str() {
        "newHeads" => Ok(Wanted::Heads),
        "logs" => {
            let query: logs::LogQuery = args.optional()?.unwrap_or_default();
            query.bounds()?;
            Ok(Wanted::Logs(query.filter()?))
        }
        "newPendingTransactions" => Ok(Wanted::Transactions { whole: args.optional()?.unwrap_or(false) }),
        other => Err(error::no_method(format!("no {other:?} subscription in eth namespace"))),
    }
}

/// Serves one subscription until the client goes, or is further behind than the queue is long.
pub(super) async fn run(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    rpc: Arc<Rpc>,
) -> Result<(), SubscriptionError> {
    let wanted = match wanted(&params) {
        Ok(wanted) => wanted,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    match wanted {
        Wanted::Heads => {
            let mut heads = rpc.chain.subscribe();
            let sink = pending.accept().await?;
            while let Some(head) = next(&sink, &mut heads).await? {
                send(&sink, &convert::header((*head).clone())).await?;
            }
        }
        Wanted::Logs(filter) => {
            let mut heads = rpc.chain.subscribe();
            let sink = pending.accept().await?;
            while let Some(head) = next(&sink, &mut heads).await? {
                for log in logs_of(&rpc.chain, head.header.number, &filter).await? {
                    send(&sink, &log).await?;
                }
            }
        }
        Wanted::Transactions { whole } => {
            let mut arrivals = rpc.chain.subscribe_waiting();
            let sink = pending.accept().await?;
            while let Some(transaction) = next(&sink, &mut arrivals).await? {
                if whole {
                    send(&sink, &convert::waiting(transaction)).await?;
                } else {
                    send(&sink, transaction.tx_hash()).await?;
                }
            }
        }
    }
    Ok(())
}

/// The next item, `None` once the client or the chain has gone.
async fn next<T: Clone>(
    sink: &SubscriptionSink,
    items: &mut Receiver<T>,
) -> Result<Option<T>, SubscriptionError> {
    let item = tokio::select! {
        () = sink.closed() => return Ok(None),
        item = items.recv() => item,
    };
    match item {
        Ok(item) => Ok(Some(item)),
        Err(RecvError::Lagged(missed)) => {
            Err(format!("the client was too slow: {missed} notifications are lost").into())
        }
        Err(RecvError::Closed) => Ok(None),
    }
}

async fn logs_of(
    chain: &ChainHandle,
    number: u64,
    filter: &LogFilter,
) -> Result<Vec<alloy_rpc_types_eth::Log>, SubscriptionError> {
    let (chain, filter) = (chain.clone(), filter.clone());
    let found = tokio::task::spawn_blocking(move || logs::within(&chain, number, number, &filter));
    Ok(found.await??)
}

async fn send<T: Serialize + Sync>(sink: &SubscriptionSink, item: &T) -> Result<(), SubscriptionError> {
    let message = SubscriptionMessage::new(sink.method_name(), sink.subscription_id(), item)?;
    sink.send(message).await?;
    Ok(())
}
