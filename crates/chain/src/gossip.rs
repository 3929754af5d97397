//! How transactions reach the other validators, so that whoever leads can include them.
//!
//! The validator that a client sent a transaction to tells all others; they check it as if it had been sent to them, and
//! tell nobody, since every validator is connected to every other. What still waits is told again from time to time,
//! because a message to a peer that is away is lost.
//!
//! ```text
//! message = count x (u32 length ‖ EIP-2718 bytes), at most MAX_MESSAGE_BYTES
//! ```
//!
//! Bounds: a peer may send [`MESSAGES_A_SECOND`] messages of at most [`MAX_MESSAGE_BYTES`]; the network delays what is
//! more. One message is checked at a time, so that a flood takes one core at most and never delays votes.

use crate::{MAX_TRANSACTION_BYTES, admission::Admission, block, pool::Origin, runtime::Runtime};
use alloy_consensus::{TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::Encodable2718;
use commonware_codec::{Copying, Error as CodecError};
use commonware_cryptography::ed25519;
use commonware_p2p::{CheckedSender as _, LimitedSender, Receiver, Recipients};
use commonware_runtime::{Clock, Quota};
use commonware_utils::NZU32;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Messages that one peer may send in a second.
pub(crate) const MESSAGES_A_SECOND: Quota = Quota::per_second(NZU32!(64));
/// Largest message: a transaction of the largest size fits, and over a thousand transfers do.
pub(crate) const MAX_MESSAGE_BYTES: usize = MAX_TRANSACTION_BYTES + 64;
/// How long to wait for more before telling: as often as the quota allows.
const GATHER: Duration = Duration::from_millis(16);
/// How often what still waits is told again.
const AGAIN: Duration = Duration::from_secs(3);
/// How much of it is told at a time.
const AGAIN_TRANSACTIONS: usize = 4_096;
/// Transactions that may wait to be told. What is beyond is told with the next repetition.
pub(crate) const QUEUED: usize = 16_384;

/// Tells all other validators what arrives in `news`, and again what still waits.
pub(crate) async fn tell(
    clock: impl Clock,
    admission: Admission,
    mut news: mpsc::Receiver<Arc<Recovered<TxEnvelope>>>,
    mut peers: impl LimitedSender<PublicKey = ed25519::PublicKey>,
) {
    let mut told_before = 0;
    let mut again = clock.current() + AGAIN;
    loop {
        let first = tokio::select! {
            biased;
            first = news.recv() => first,
            () = clock.sleep_until(again) => {
                let pool = &admission.ledger.pool;
                let mut waiting = pool.own_left_out(told_before);
                waiting.truncate(AGAIN_TRANSACTIONS);
                told_before = pool.arrivals();
                again = clock.current() + AGAIN;
                send(&clock, &mut peers, waiting.iter()).await;
                continue;
            }
        };
        let Some(first) = first else { return };
        clock.sleep(GATHER).await;
        let mut gathered = vec![first];
        while let Ok(next) = news.try_recv() {
            gathered.push(next);
        }
        send(&clock, &mut peers, gathered.iter()).await;
    }
}

/// Sends transactions in as few messages as their bound allows, no faster than the quota does.
async fn send<'t>(
    clock: &impl Clock,
    peers: &mut impl LimitedSender<PublicKey = ed25519::PublicKey>,
    transactions: impl Iterator<Item = &'t Arc<Recovered<TxEnvelope>>>,
) {
    for message in messages(transactions.map(|transaction| transaction.inner())) {
        loop {
            match peers.check(Recipients::All) {
                Ok(checked) => {
                    // Who is away hears of it with the next repetition.
                    let _accepted = checked.send(message, false);
                    break;
                }
                Err(free) => clock.sleep_until(free).await,
            }
        }
    }
}

/// Checks what the other validators tell and takes it into the pool.
pub(crate) async fn hear<E: Runtime>(
    admission: Admission,
    mut peers: impl Receiver<PublicKey = ed25519::PublicKey>,
) {
    while let Ok((peer, message)) = peers.recv().await {
        let checking = admission.clone();
        let checked = E::compute(move || {
            let transactions = decode(message.as_ref())?;
            // Usual for those that are left out: they were told before.
            let checked = transactions.into_iter().filter_map(|transaction| checking.check(transaction).ok());
            Ok::<Vec<_>, CodecError>(checked.collect())
        });
        let transactions = match checked.await {
            Ok(transactions) => transactions,
            Err(error) => {
                tracing::warn!(%peer, %error, "another validator sent transactions that cannot be read");
                continue;
            }
        };
        if let Err(error) = admission.prepare(&transactions).await {
            tracing::warn!(%error, "the senders of another validator's transactions cannot be read");
            continue;
        }
        let entering = admission.clone();
        E::compute(move || {
            for transaction in transactions {
                if let Err(reason) = entering.enter(transaction, Origin::Peer) {
                    // Usual: it is in a block already.
                    tracing::trace!(%reason, "a transaction of another validator is not taken");
                }
            }
        })
        .await;
    }
}

/// Messages that hold all transactions in their order, none of them longer than the bound.
fn messages<'t>(transactions: impl Iterator<Item = &'t TxEnvelope>) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut message = Vec::new();
    for transaction in transactions {
        if message.len() + 4 + transaction.encode_2718_len() > MAX_MESSAGE_BYTES {
            messages.push(std::mem::take(&mut message));
        }
        block::write_transaction(&mut message, transaction);
    }
    if !message.is_empty() {
        messages.push(message);
    }
    messages
}

/// The transactions of a message, whose size the network has bounded.
fn decode(message: &[u8]) -> Result<Vec<TxEnvelope>, CodecError> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(CodecError::InvalidLength(message.len()));
    }
    let mut rest = Copying(message);
    let mut transactions = Vec::new();
    while !rest.0.is_empty() {
        transactions.push(block::read_transaction(&mut rest)?);
    }
    Ok(transactions)
}

#[cfg(test)]
mod tests;
