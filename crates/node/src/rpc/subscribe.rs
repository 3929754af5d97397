//! `eth_subscribe`: new heads and their logs, over WebSocket.

use super::{convert, error, logs};
use alloy_rpc_types_eth::Filter;
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
use tokio::sync::broadcast::error::RecvError;

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
}

fn wanted(params: &Params<'_>) -> Result<Wanted, jsonrpsee::types::ErrorObjectOwned> {
    let mut params = params.sequence();
    let kind: String = params.next()?;
    match kind.as_str() {
        "newHeads" => Ok(Wanted::Heads),
        "logs" => {
            let filter: Option<Filter> = params.optional_next()?;
            Ok(Wanted::Logs(logs::wanted(&filter.unwrap_or_default())))
        }
        other => Err(error::invalid(format!("no {other:?} subscription in eth namespace"))),
    }
}

/// Serves one subscription until the client goes, or is further behind than the queue of heads is long.
pub(super) async fn run(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    chain: Arc<ChainHandle>,
) -> Result<(), SubscriptionError> {
    let wanted = match wanted(&params) {
        Ok(wanted) => wanted,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    let mut heads = chain.subscribe();
    let sink = pending.accept().await?;
    loop {
        let head = tokio::select! {
            () = sink.closed() => return Ok(()),
            head = heads.recv() => match head {
                Ok(head) => head,
                Err(RecvError::Lagged(missed)) => {
                    return Err(format!("the client was {missed} blocks too slow").into());
                }
                Err(RecvError::Closed) => return Ok(()),
            },
        };
        match &wanted {
            Wanted::Heads => send(&sink, &convert::header((*head).clone())).await?,
            Wanted::Logs(filter) => {
                let (chain, filter, number) = (chain.clone(), filter.clone(), head.header.number);
                let found =
                    tokio::task::spawn_blocking(move || logs::within(&chain, number, number, &filter));
                for log in found.await?? {
                    send(&sink, &log).await?;
                }
            }
        }
    }
}

async fn send<T: Serialize + Sync>(sink: &SubscriptionSink, item: &T) -> Result<(), SubscriptionError> {
    let message = SubscriptionMessage::new(sink.method_name(), sink.subscription_id(), item)?;
    sink.send(message).await?;
    Ok(())
}
