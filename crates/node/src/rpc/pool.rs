//! `txpool_…`: what waits for a block.

use super::convert;
use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, U64};
use openledger_chain::ChainHandle;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Account with the checksum of EIP-55, nonce in decimal, transaction.
type ByAccount = BTreeMap<String, Map<String, Value>>;

fn by_account(
    transactions: Vec<Recovered<TxEnvelope>>,
    describe: impl Fn(Recovered<TxEnvelope>) -> Value,
) -> ByAccount {
    let mut accounts = ByAccount::new();
    for transaction in transactions {
        let nonces = accounts.entry(transaction.signer().to_string()).or_default();
        nonces.insert(transaction.nonce().to_string(), describe(transaction));
    }
    accounts
}

fn whole(transaction: Recovered<TxEnvelope>) -> Value {
    json!(convert::waiting(transaction))
}

/// One line, as geth's.
fn line(transaction: Recovered<TxEnvelope>) -> Value {
    let to = transaction.to().map_or_else(|| "contract creation".to_owned(), |to| to.to_string());
    let (value, gas, price) = (transaction.value(), transaction.gas_limit(), transaction.max_fee_per_gas());
    Value::String(format!("{to}: {value} wei + {gas} gas × {price} wei"))
}

pub(super) fn content(chain: &ChainHandle) -> Value {
    let (pending, queued) = chain.waiting_all();
    json!({ "pending": by_account(pending, whole), "queued": by_account(queued, whole) })
}

pub(super) fn content_from(chain: &ChainHandle, account: Address) -> Value {
    let (mut pending, mut queued) = chain.waiting_all();
    let of = |transactions: &mut Vec<Recovered<TxEnvelope>>| {
        transactions.retain(|transaction| transaction.signer() == account);
        by_account(std::mem::take(transactions), whole).remove(&account.to_string()).unwrap_or_default()
    };
    json!({ "pending": of(&mut pending), "queued": of(&mut queued) })
}

pub(super) fn inspect(chain: &ChainHandle) -> Value {
    let (pending, queued) = chain.waiting_all();
    json!({ "pending": by_account(pending, line), "queued": by_account(queued, line) })
}

pub(super) fn status(chain: &ChainHandle) -> Value {
    let (pending, queued) = chain.waiting_all();
    json!({ "pending": U64::from(pending.len()), "queued": U64::from(queued.len()) })
}
