//! Reading the state, and calls that are no transactions.

use super::{
    blocks,
    error::{self, Answer},
};
use alloy_consensus::TxEnvelope;
use alloy_eips::{BlockId, eip2718::Decodable2718};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_rpc_types_eth::TransactionRequest;
use openledger_chain::ChainHandle;
use openledger_execution::{
    AccountState, BlockEnv, CallRequest, StateReader, call as execute, estimate_gas as estimate_on,
};

fn account(chain: &ChainHandle, address: Address, id: Option<BlockId>) -> Answer<AccountState> {
    let state = chain.state(blocks::existing(chain, id)?).map_err(error::chain)?;
    Ok(state.account(address).map_err(error::state)?.unwrap_or_default())
}

pub(super) fn balance(chain: &ChainHandle, address: Address, id: Option<BlockId>) -> Answer<U256> {
    Ok(account(chain, address, id)?.balance)
}

pub(super) fn nonce(chain: &ChainHandle, address: Address, id: Option<BlockId>) -> Answer<u64> {
    if id.is_some_and(|id| id.is_pending()) {
        return chain.pending_nonce(address).map_err(error::chain);
    }
    Ok(account(chain, address, id)?.nonce)
}

pub(super) fn code(chain: &ChainHandle, address: Address, id: Option<BlockId>) -> Answer<Bytes> {
    let state = chain.state(blocks::existing(chain, id)?).map_err(error::chain)?;
    match state.account(address).map_err(error::state)? {
        Some(account) if account.code_hash != AccountState::default().code_hash => {
            state.code(account.code_hash).map_err(error::state)
        }
        _ => Ok(Bytes::new()),
    }
}

pub(super) fn storage(
    chain: &ChainHandle,
    address: Address,
    slot: U256,
    id: Option<BlockId>,
) -> Answer<B256> {
    let state = chain.state(blocks::existing(chain, id)?).map_err(error::chain)?;
    Ok(state.storage(address, slot).map_err(error::state)?.into())
}

/// The call that a request describes, with the block it runs on.
fn prepare(
    chain: &ChainHandle,
    request: TransactionRequest,
    id: Option<BlockId>,
) -> Answer<(BlockEnv, CallRequest, u64)> {
    let number = blocks::existing(chain, id)?;
    let env = chain.env(number).map_err(error::chain)?.ok_or_else(|| error::server("header not found"))?;
    if request.blob_versioned_hashes.is_some() || request.max_fee_per_blob_gas.is_some() {
        return Err(error::invalid("blob transactions are not supported"));
    }
    if request.gas_price.is_some()
        && (request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some())
    {
        return Err(error::invalid("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"));
    }
    let gas_price = price(&request, &env);
    let (input, data) = (request.input.input, request.input.data);
    if input.is_some() && data.is_some() && input != data {
        return Err(error::invalid(r#"both "data" and "input" are set and not equal. Please use "input""#));
    }
    let call = CallRequest {
        from: request.from.unwrap_or_default(),
        to: match request.to {
            Some(TxKind::Call(to)) => Some(to),
            Some(TxKind::Create) | None => None,
        },
        value: request.value.unwrap_or_default(),
        data: input.or(data).unwrap_or_default(),
        gas: request.gas,
        gas_price,
        access_list: request.access_list.unwrap_or_default(),
        ..CallRequest::default()
    };
    Ok((env, call, number))
}

/// What a transaction with these fees would pay per gas in this block; below the base fee it is the maximum, so that
/// execution refuses it for that.
fn price(request: &TransactionRequest, env: &BlockEnv) -> Option<u128> {
    let Some(most) = request.max_fee_per_gas else {
        return request.gas_price;
    };
    let tip = request.max_priority_fee_per_gas.unwrap_or_default();
    Some(most.min(u128::from(env.base_fee).saturating_add(tip)))
}

pub(super) fn call(chain: &ChainHandle, request: TransactionRequest, id: Option<BlockId>) -> Answer<Bytes> {
    let (env, call, number) = prepare(chain, request, id)?;
    let state = chain.state(number).map_err(error::chain)?;
    error::output(execute(&env, &call, &state).map_err(error::execution)?)
}

pub(super) fn estimate_gas(
    chain: &ChainHandle,
    request: TransactionRequest,
    id: Option<BlockId>,
) -> Answer<u64> {
    let (env, call, number) = prepare(chain, request, id)?;
    let state = chain.state(number).map_err(error::chain)?;
    estimate_on(&env, &call, &state).map_err(error::estimate)
}

pub(super) fn send(chain: &ChainHandle, raw: &Bytes) -> Answer<B256> {
    let mut rest = raw.as_ref();
    let transaction = TxEnvelope::decode_2718(&mut rest)
        .map_err(|reason| error::server(format!("the transaction cannot be decoded: {reason}")))?;
    if !rest.is_empty() {
        return Err(error::server("the transaction cannot be decoded: bytes follow it"));
    }
    chain.submit(transaction).map_err(error::pool)
}
