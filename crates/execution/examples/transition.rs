//! Executes blocks that come as JSON, one a line, and answers each with a line: for comparing with another
//! implementation of the EVM. `conformance/oracle.py` says what the lines hold.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use alloy_consensus::TxEnvelope;
use alloy_consensus::transaction::{Recovered, SignerRecoverable, TxHashRef};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use openledger_execution::{AccountState, BlockEnv, MapState, StateWrites, build_block};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    chain_id: u64,
    number: u64,
    timestamp: u64,
    beneficiary: Address,
    gas_limit: u64,
    base_fee: u64,
    prevrandao: B256,
    parent_hash: B256,
    accounts: BTreeMap<Address, Account>,
    transactions: Vec<Bytes>,
}

#[derive(Deserialize)]
struct Account {
    nonce: u64,
    balance: U256,
    code: Bytes,
    storage: BTreeMap<U256, U256>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        writeln!(output, "{}", run(serde_json::from_str(&line?)?)?)?;
        output.flush()?;
    }
    Ok(())
}

fn run(case: Case) -> Result<Value, Box<dyn std::error::Error>> {
    let env = BlockEnv {
        chain_id: case.chain_id,
        number: case.number,
        timestamp: case.timestamp,
        beneficiary: case.beneficiary,
        gas_limit: case.gas_limit,
        base_fee: case.base_fee,
        prevrandao: case.prevrandao,
        parent_hash: case.parent_hash,
    };
    let state = MapState::new(writes(case.accounts));
    let transactions: Vec<Recovered<TxEnvelope>> = case
        .transactions
        .iter()
        .map(|raw| Ok(TxEnvelope::decode_2718(&mut raw.as_ref())?.try_into_recovered()?))
        .collect::<Result<_, Box<dyn std::error::Error>>>()?;
    let built = build_block(&env, transactions.into_iter(), &state)?;
    let included: Vec<_> = built.included.iter().map(|transaction| *transaction.tx_hash()).collect();
    let receipts: Vec<_> = built
        .outcome
        .receipts
        .iter()
        .map(|receipt| {
            json!({ "status": receipt.status(), "gas": receipt.cumulative_gas_used(), "logs": receipt.logs() })
        })
        .collect();
    let writes = built.outcome.writes;
    let accounts: BTreeMap<_, _> = writes
        .accounts
        .iter()
        .map(|(address, account)| {
            let fields = |account: &AccountState| json!([account.nonce, account.balance, account.code_hash]);
            (*address, account.as_ref().map(fields))
        })
        .collect();
    let storage: Vec<_> =
        writes.storage.iter().map(|((address, slot), value)| json!([address, slot, value])).collect();
    Ok(json!({ "included": included, "receipts": receipts, "accounts": accounts, "storage": storage }))
}

fn writes(accounts: BTreeMap<Address, Account>) -> StateWrites {
    let mut writes = StateWrites::default();
    for (address, Account { nonce, balance, code, storage }) in accounts {
        let code_hash = keccak256(&code);
        writes.accounts.insert(address, Some(AccountState { nonce, balance, code_hash }));
        writes.storage.extend(storage.into_iter().map(|(slot, value)| ((address, slot), value)));
        writes.codes.insert(code_hash, code);
    }
    writes
}
