//! Clients, who send their transactions to a member until it has them.

use crate::{PoolError, admission::Admission, ledger::Ledger, pool::Origin};
use alloy_consensus::{Transaction, TxEnvelope, transaction::Recovered};
use commonware_runtime::{Clock, deterministic};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Sends every transaction again until it is final.
pub(super) async fn send(
    clock: deterministic::Context,
    admission: Admission,
    news: mpsc::Sender<Arc<Recovered<TxEnvelope>>>,
    transactions: Vec<TxEnvelope>,
    pace: Duration,
) {
    let mut left = transactions;
    while !left.is_empty() {
        left.retain(|transaction| !is_final(&admission.ledger, transaction));
        for transaction in &left {
            clock.sleep(pace).await;
            match submit(&admission, transaction.clone()).await {
                // Whoever hears too much at once hears it again later.
                Ok(transaction) => drop(news.try_send(transaction)),
                Err(PoolError::AlreadyKnown | PoolError::NonceTooLow { .. }) => {}
                Err(error) => tracing::debug!(%error, nonce = transaction.nonce(), "a client is refused"),
            }
        }
    }
}

async fn submit(
    admission: &Admission,
    transaction: TxEnvelope,
) -> Result<Arc<Recovered<TxEnvelope>>, PoolError> {
    let checked = admission.check(transaction)?;
    admission.prepare(std::slice::from_ref(&checked)).await?;
    admission.enter(checked, Origin::Client)
}

/// Whether a finalised block holds a transaction.
pub(super) fn is_final(ledger: &Ledger, transaction: &TxEnvelope) -> bool {
    let place = ledger.index.transaction(*transaction.tx_hash()).expect("an index in memory answers");
    place.is_some_and(|(number, _)| number <= ledger.head().header.number)
}
