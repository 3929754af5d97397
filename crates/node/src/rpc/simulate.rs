//! Calls that are no transactions: what they ask for, and what they answer.

use super::{
    blocks,
    deadline::TimedState,
    error::{self, Answer},
};
use alloy_eips::BlockId;
use alloy_primitives::{Bytes, TxKind, U256};
use alloy_rpc_types_eth::{
    AccessListResult, BlockOverrides as RequestedBlock, TransactionRequest,
    state::{AccountOverride as RequestedAccount, StateOverride},
};
use openledger_chain::ChainHandle;
use openledger_execution::{
    AccountOverride, BlockEnv, BlockOverrides, CallRequest, CallStatus, Overrides, call as execute,
    create_access_list, estimate_gas as estimate_on,
};

/// A call with the state and the block it runs on.
pub(super) struct Simulation {
    pub(super) env: BlockEnv,
    pub(super) request: CallRequest,
    pub(super) state: TimedState,
}

/// What a request replaces for its own length.
#[derive(Default)]
pub(super) struct Replaced {
    pub(super) state: Option<StateOverride>,
    pub(super) block: Option<RequestedBlock>,
}

impl Simulation {
    /// # Errors
    /// If the request contradicts itself, or the block or its state is not there.
    pub(super) fn new(
        chain: &ChainHandle,
        request: TransactionRequest,
        id: Option<BlockId>,
        replaced: Replaced,
    ) -> Answer<Self> {
        let number = blocks::existing(chain, id.unwrap_or_default())?;
        let env =
            chain.env(number).map_err(error::chain)?.ok_or_else(|| error::server("header not found"))?;
        let mut request = call_request(env.chain_id, request)?;
        request.overrides = overrides(replaced)?;
        Ok(Self { env, request, state: TimedState::new(chain, number)? })
    }
}

fn call_request(chain_id: u64, request: TransactionRequest) -> Answer<CallRequest> {
    if request.blob_versioned_hashes.is_some() || request.max_fee_per_blob_gas.is_some() {
        return Err(error::server("blob transactions are not supported"));
    }
    if request.gas_price.is_some()
        && (request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some())
    {
        return Err(error::server("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"));
    }
    if let Some(have) = request.chain_id.filter(|have| *have != chain_id) {
        return Err(error::server(format!("chainId does not match node's (have={have}, want={chain_id})")));
    }
    let (input, data) = (request.input.input, request.input.data);
    if input.is_some() && data.is_some() && input != data {
        return Err(error::server(
            r#"both "data" and "input" are set and not equal. Please use "input" to pass transaction call data"#,
        ));
    }
    Ok(CallRequest {
        from: request.from.unwrap_or_default(),
        to: match request.to {
            Some(TxKind::Call(to)) => Some(to),
            Some(TxKind::Create) | None => None,
        },
        value: request.value.unwrap_or_default(),
        data: input.or(data).unwrap_or_default(),
        gas: request.gas,
        gas_price: request.gas_price,
        max_fee_per_gas: request.max_fee_per_gas,
        max_priority_fee_per_gas: request.max_priority_fee_per_gas,
        access_list: request.access_list.unwrap_or_default(),
        authorization_list: request.authorization_list.unwrap_or_default(),
        overrides: Overrides::default(),
    })
}

fn overrides(replaced: Replaced) -> Answer<Overrides> {
    let accounts = replaced.state.unwrap_or_default().into_iter().map(|(address, account)| {
        if account.state.is_some() && account.state_diff.is_some() {
            return Err(error::server(format!("account {address} has both 'state' and 'stateDiff'")));
        }
        Ok((address, account_override(account)))
    });
    Ok(Overrides {
        accounts: accounts.collect::<Answer<_>>()?,
        block: replaced.block.map_or_else(|| Ok(BlockOverrides::default()), block_overrides)?,
    })
}

fn account_override(account: RequestedAccount) -> AccountOverride {
    let only_these_slots = account.state.is_some();
    let slots = account.state.or(account.state_diff).unwrap_or_default();
    AccountOverride {
        balance: account.balance,
        nonce: account.nonce,
        code: account.code,
        storage: slots.into_iter().map(|(slot, value)| (slot.into(), value.into())).collect(),
        only_these_slots,
        move_precompile_to: account.move_precompile_to,
    }
}

fn block_overrides(block: RequestedBlock) -> Answer<BlockOverrides> {
    if block.beacon_root.is_some() {
        return Err(error::server(r#"block override "beaconRoot" is not supported for this RPC method"#));
    }
    let small = |name: &str, number: Option<U256>| {
        let narrow = |number: U256| {
            number.try_into().map_err(|_too_large| {
                error::server(format!("block override {name:?} is larger than 64 bits: {number}"))
            })
        };
        number.map(narrow).transpose()
    };
    Ok(BlockOverrides {
        number: small("number", block.number)?,
        timestamp: block.time,
        gas_limit: block.gas_limit,
        beneficiary: block.coinbase,
        prevrandao: block.random,
        base_fee: small("baseFeePerGas", block.base_fee)?,
        blob_base_fee: small("blobBaseFee", block.blob_base_fee)?.map(u128::from),
        block_hashes: block.block_hash.unwrap_or_default(),
    })
}

pub(super) fn call(simulation: &Simulation) -> Answer<Bytes> {
    let Simulation { env, request, state } = simulation;
    let outcome = execute(env, request, state).map_err(|reason| {
        error::execution(reason, request, |text| {
            format!("err: {text} (supplied gas {})", request.gas_limit())
        })
    })?;
    error::output(outcome)
}

pub(super) fn estimate_gas(simulation: &Simulation) -> Answer<u64> {
    let Simulation { env, request, state } = simulation;
    estimate_on(env, request, state).map_err(|reason| error::estimate(reason, request, env.gas_limit))
}

pub(super) fn access_list(simulation: &Simulation) -> Answer<AccessListResult> {
    let Simulation { env, request, state } = simulation;
    let (access_list, outcome) = create_access_list(env, request, state).map_err(|reason| {
        error::execution(reason, request, |text| format!("failed to apply transaction: {text}"))
    })?;
    let error = match outcome.status {
        CallStatus::Success => None,
        CallStatus::Revert => Some("execution reverted".to_owned()),
        CallStatus::Halt(reason) => Some(reason),
    };
    Ok(AccessListResult { access_list, gas_used: U256::from(outcome.gas_used), error })
}
