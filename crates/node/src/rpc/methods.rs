//! Which method answers with what, and the limits of the server.

use super::{
    blocks, calls,
    error::{self, Answer},
    fees, logs,
    subscribe::{self, HexIds},
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_rpc_types_eth::{Filter, TransactionRequest};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    server::{BatchRequestConfig, Server, ServerConfig, ServerHandle},
    types::{Params, params::ParamsSequence},
};
use openledger_chain::ChainHandle;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{io, net::TcpListener};
use tower::ServiceBuilder;
use tower_http::cors::{Any, CorsLayer};

/// geth's limit on a request, and what a batch or a thousand receipts may take.
const MAX_REQUEST_BYTES: u32 = 5 * 1024 * 1024;
const MAX_RESPONSE_BYTES: u32 = 25 * 1024 * 1024;
/// geth's limit on a batch.
const MAX_BATCH: u32 = 1000;
const MAX_CONNECTIONS: u32 = 500;
const MAX_SUBSCRIPTIONS: u32 = 64;
/// Messages that wait for a slow subscriber before it loses its subscription.
const SUBSCRIBER_BUFFER: u32 = 1024;

/// Starts answering on `listener`. Must be called inside a tokio runtime.
///
/// # Errors
/// If the listener cannot be used.
pub(crate) fn serve(listener: TcpListener, chain: ChainHandle) -> io::Result<ServerHandle> {
    listener.set_nonblocking(true)?;
    let config = ServerConfig::builder()
        .max_request_body_size(MAX_REQUEST_BYTES)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        .max_connections(MAX_CONNECTIONS)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
        .set_message_buffer_capacity(SUBSCRIBER_BUFFER)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .set_id_provider(HexIds::default())
        .set_tcp_no_delay(true)
        .build();
    // The node holds no keys and what it tells is public, so any page may read it; a page in a wallet's browser must.
    let cors = CorsLayer::new().allow_methods(Any).allow_origin(Any).allow_headers(Any);
    let server = Server::builder()
        .set_config(config)
        .set_http_middleware(ServiceBuilder::new().layer(cors))
        .build_from_tcp(listener)?;
    let module = module(chain).map_err(io::Error::other)?;
    Ok(server.start(module))
}

/// Registers a method that may wait for the disk, on a thread where it may.
fn add<T: Serialize + Clone + 'static>(
    module: &mut RpcModule<ChainHandle>,
    name: &'static str,
    answer: impl Fn(&ChainHandle, &mut ParamsSequence<'_>) -> Answer<T> + Clone + Send + Sync + 'static,
) -> Result<(), RegisterMethodError> {
    module.register_blocking_method(name, move |params: Params<'_>, chain, _| {
        answer(&chain, &mut params.sequence()).and_then(|answer| {
            serde_json::to_value(answer).map_err(|reason| error::server(reason.to_string()))
        })
    })?;
    Ok(())
}

fn quantity(number: impl TryInto<U256>) -> U256 {
    number.try_into().unwrap_or(U256::MAX)
}

/// A slot or count: hex, or as some clients write it, 32 bytes of hex or a plain number.
fn number(params: &mut ParamsSequence<'_>) -> Answer<U256> {
    params.next()
}

fn next<T: DeserializeOwned>(params: &mut ParamsSequence<'_>) -> Answer<T> {
    params.next()
}

fn block_id(params: &mut ParamsSequence<'_>) -> Answer<Option<BlockId>> {
    params.optional_next()
}

fn small(params: &mut ParamsSequence<'_>) -> Answer<u64> {
    number(params)?.try_into().map_err(|_too_large| error::invalid("number is larger than 64 bits"))
}

/// Refuses what would silently be left out of a simulation.
fn no_overrides(params: &mut ParamsSequence<'_>) -> Answer<()> {
    let overrides: Option<Value> = params.optional_next()?;
    match overrides {
        Some(Value::Object(entries)) if !entries.is_empty() => {
            Err(error::invalid("state overrides are not supported"))
        }
        _ => Ok(()),
    }
}

fn module(chain: ChainHandle) -> Result<RpcModule<ChainHandle>, RegisterMethodError> {
    let mut module = RpcModule::new(chain);
    add_node(&mut module)?;
    add_blocks(&mut module)?;
    add_state(&mut module)?;
    add_fees(&mut module)?;
    module.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        |params, pending, chain, _| subscribe::run(params, pending, chain),
    )?;
    Ok(module)
}

fn add_node(module: &mut RpcModule<ChainHandle>) -> Result<(), RegisterMethodError> {
    let version = concat!("OpenLedger/v", env!("CARGO_PKG_VERSION"), "/rust");
    add(module, "web3_clientVersion", move |_, _| Ok(version))?;
    add(module, "web3_sha3", |_, params| Ok(keccak256(next::<Bytes>(params)?)))?;
    add(module, "net_version", |chain, _| Ok(chain.genesis().chain_id.to_string()))?;
    add(module, "net_listening", |_, _| Ok(true))?;
    add(module, "net_peerCount", |chain, _| Ok(quantity(chain.genesis().validators.len() - 1)))?;
    add(module, "eth_chainId", |chain, _| Ok(U64::from(chain.genesis().chain_id)))?;
    add(module, "eth_syncing", |_, _| Ok(false))?;
    add(module, "eth_accounts", |_, _| Ok(Vec::<Address>::new()))?;
    add(module, "eth_blockNumber", |chain, _| Ok(U64::from(chain.head().header.number)))
}

fn add_blocks(module: &mut RpcModule<ChainHandle>) -> Result<(), RegisterMethodError> {
    add(module, "eth_getBlockByNumber", |chain, params| {
        let tag: BlockNumberOrTag = next(params)?;
        let full: Option<bool> = params.optional_next()?;
        blocks::block(chain, tag.into(), full.unwrap_or(false))
    })?;
    add(module, "eth_getBlockByHash", |chain, params| {
        let hash: B256 = next(params)?;
        let full: Option<bool> = params.optional_next()?;
        blocks::block(chain, hash.into(), full.unwrap_or(false))
    })?;
    add(module, "eth_getHeaderByNumber", |chain, params| {
        blocks::header(chain, next::<BlockNumberOrTag>(params)?.into())
    })?;
    add(module, "eth_getHeaderByHash", |chain, params| blocks::header(chain, next::<B256>(params)?.into()))?;
    add(module, "eth_getBlockTransactionCountByNumber", |chain, params| {
        let count = blocks::transaction_count(chain, next::<BlockNumberOrTag>(params)?.into())?;
        Ok(count.map(U64::from))
    })?;
    add(module, "eth_getBlockTransactionCountByHash", |chain, params| {
        Ok(blocks::transaction_count(chain, next::<B256>(params)?.into())?.map(U64::from))
    })?;
    add(module, "eth_getUncleCountByBlockNumber", |chain, params| {
        Ok(blocks::find(chain, next::<BlockNumberOrTag>(params)?.into())?.map(|_| U64::ZERO))
    })?;
    add(module, "eth_getUncleCountByBlockHash", |chain, params| {
        Ok(blocks::find(chain, next::<B256>(params)?.into())?.map(|_| U64::ZERO))
    })?;
    add(module, "eth_getBlockReceipts", |chain, params| blocks::receipts(chain, next(params)?))?;
    add(module, "eth_getTransactionByHash", |chain, params| blocks::transaction(chain, next(params)?))?;
    add(module, "eth_getTransactionByBlockNumberAndIndex", |chain, params| {
        let tag: BlockNumberOrTag = next(params)?;
        blocks::transaction_at(chain, tag.into(), small(params)?)
    })?;
    add(module, "eth_getTransactionByBlockHashAndIndex", |chain, params| {
        let hash: B256 = next(params)?;
        blocks::transaction_at(chain, hash.into(), small(params)?)
    })?;
    add(module, "eth_getTransactionReceipt", |chain, params| blocks::receipt(chain, next(params)?))?;
    add(module, "eth_getLogs", |chain, params| logs::logs(chain, &next::<Filter>(params)?))
}

fn add_state(module: &mut RpcModule<ChainHandle>) -> Result<(), RegisterMethodError> {
    add(module, "eth_getBalance", |chain, params| {
        let address: Address = next(params)?;
        calls::balance(chain, address, block_id(params)?)
    })?;
    add(module, "eth_getTransactionCount", |chain, params| {
        let address: Address = next(params)?;
        calls::nonce(chain, address, block_id(params)?).map(U64::from)
    })?;
    add(module, "eth_getCode", |chain, params| {
        let address: Address = next(params)?;
        calls::code(chain, address, block_id(params)?)
    })?;
    add(module, "eth_getStorageAt", |chain, params| {
        let address: Address = next(params)?;
        let slot = number(params)?;
        calls::storage(chain, address, slot, block_id(params)?)
    })?;
    add(module, "eth_call", |chain, params| {
        let request: TransactionRequest = next(params)?;
        let id = block_id(params)?;
        no_overrides(params)?;
        calls::call(chain, request, id)
    })?;
    add(module, "eth_estimateGas", |chain, params| {
        let request: TransactionRequest = next(params)?;
        let id = block_id(params)?;
        no_overrides(params)?;
        calls::estimate_gas(chain, request, id).map(U64::from)
    })?;
    add(module, "eth_sendRawTransaction", |chain, params| calls::send(chain, &next::<Bytes>(params)?))
}

fn add_fees(module: &mut RpcModule<ChainHandle>) -> Result<(), RegisterMethodError> {
    add(module, "eth_gasPrice", |chain, _| fees::gas_price(chain).map(quantity))?;
    add(module, "eth_maxPriorityFeePerGas", |chain, _| fees::suggested_tip(chain).map(quantity))?;
    add(module, "eth_feeHistory", |chain, params| {
        let count = small(params)?;
        let newest: BlockNumberOrTag = next(params)?;
        fees::history(chain, count, newest, params.optional_next()?)
    })
}
