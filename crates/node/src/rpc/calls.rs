//! Reading the state, and sending.

use super::{
    blocks,
    error::{self, Answer},
};
use alloy_consensus::TxEnvelope;
use alloy_eips::{BlockId, eip2718::Decodable2718};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use openledger_chain::ChainHandle;
use openledger_execution::{AccountState, StateReader};

fn account(chain: &ChainHandle, address: Address, id: BlockId) -> Answer<AccountState> {
    let state = chain.state(blocks::existing(chain, id)?).map_err(error::chain)?;
    Ok(state.account(address).map_err(error::state)?.unwrap_or_default())
}

pub(super) fn balance(chain: &ChainHandle, address: Address, id: BlockId) -> Answer<U256> {
    Ok(account(chain, address, id)?.balance)
}

pub(super) fn nonce(chain: &ChainHandle, address: Address, id: BlockId) -> Answer<u64> {
    if id.is_pending() {
        return chain.pending_nonce(address).map_err(error::chain);
    }
    Ok(account(chain, address, id)?.nonce)
}

pub(super) fn code(chain: &ChainHandle, address: Address, id: BlockId) -> Answer<Bytes> {
    let state = chain.state(blocks::existing(chain, id)?).map_err(error::chain)?;
    match state.account(address).map_err(error::state)? {
        Some(account) if account.code_hash != AccountState::default().code_hash => {
            state.code(account.code_hash).map_err(error::state)
        }
        _ => Ok(Bytes::new()),
    }
}

pub(super) fn storage(chain: &ChainHandle, address: Address, slot: &str, id: BlockId) -> Answer<B256> {
    let slot = storage_key(slot)?;
    let state = chain.state(blocks::existing(chain, id)?).map_err(error::chain)?;
    Ok(state.storage(address, slot).map_err(error::state)?.into())
}

/// A slot as geth takes it: at most 32 bytes of hex, with or without `0x`, leading zeros or not.
pub(super) fn storage_key(text: &str) -> Answer<U256> {
    let refused = |reason| Err(error::invalid(format!("unable to decode storage key: {reason}")));
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.len() > 64 {
        return refused("hex string too long, want at most 32 bytes");
    }
    match hex::decode(format!("{digits:0>64}")) {
        Ok(bytes) => Ok(U256::from_be_slice(&bytes)),
        Err(_) => refused("hex string invalid"),
    }
}

pub(super) fn send(chain: &ChainHandle, raw: &Bytes) -> Answer<B256> {
    chain.submit(decode(raw)?).map_err(error::pool)
}

/// Recovers the senders of what a batch is about to send; `params` are those of [`send`].
pub(super) fn recognise(chain: &ChainHandle, params: &[String]) {
    let transactions = params.iter().filter_map(|params| {
        let (raw,): (Bytes,) = serde_json::from_str(params).ok()?;
        decode(&raw).ok()
    });
    chain.recognise(transactions.collect());
}

fn decode(raw: &Bytes) -> Answer<TxEnvelope> {
    let mut rest = raw.as_ref();
    match rest.first() {
        None => return Err(error::server("typed transaction too short")),
        // EIP-2718: a list is a legacy transaction, anything below 0x80 a type.
        Some(kind) if *kind < 0x80 && !(1..=4).contains(kind) => {
            return Err(error::server("transaction type not supported"));
        }
        Some(_) => {}
    }
    let transaction = TxEnvelope::decode_2718(&mut rest)
        .map_err(|reason| error::server(format!("rlp: the transaction cannot be decoded: {reason}")))?;
    if !rest.is_empty() {
        return Err(error::server("rlp: input contains more than one value"));
    }
    Ok(transaction)
}
