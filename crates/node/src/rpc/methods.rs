//! Which method answers with what.

use super::{
    args::Args,
    blocks, calls, checkpoint, debug,
    error::{self, Answer},
    fees,
    filters::Filters,
    logs, pool, proof,
    simulate::{self, Replaced, Simulation},
    subscribe,
    telemetry::Telemetry,
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::geth::{GethDebugTracingCallOptions, GethDebugTracingOptions};
use jsonrpsee::{RpcModule, core::RegisterMethodError, types::Params};
use openledger_chain::ChainHandle;
use serde::Serialize;
use std::{sync::Arc, time::Instant};
use tokio::sync::Semaphore;

/// What the methods work with.
pub(super) struct Rpc {
    pub(super) chain: ChainHandle,
    pub(super) filters: Filters,
    pub(super) traces: Semaphore,
    pub(super) telemetry: Arc<Telemetry>,
}

impl Rpc {
    pub(super) fn new(chain: ChainHandle) -> Self {
        let telemetry = Arc::new(Telemetry::new(chain.clone()));
        Self { chain, filters: Filters::default(), traces: Semaphore::new(debug::MAX_TRACES), telemetry }
    }
}

/// The method that batches are made of.
pub(super) const SEND: &str = "eth_sendRawTransaction";

type Registered = Result<(), RegisterMethodError>;

/// Registers a method with at most `most` parameters, which may wait for the disk, on a thread where it may.
fn add<T: Serialize + Clone + 'static>(
    module: &mut RpcModule<Rpc>,
    name: &'static str,
    most: usize,
    answer: impl Fn(&Rpc, &mut Args) -> Answer<T> + Clone + Send + Sync + 'static,
) -> Registered {
    module.register_blocking_method(name, move |params: Params<'_>, rpc, _| {
        let start = Instant::now();
        let answer = Args::new(&params, most).and_then(|mut args| answer(&rpc, &mut args));
        let answer = answer.and_then(|answer| {
            serde_json::to_value(answer).map_err(|reason| error::server(reason.to_string()))
        });
        rpc.telemetry.record(name, answer.is_ok(), start.elapsed());
        answer
    })?;
    Ok(())
}

/// Registers a method that is quick and asked for often, which runs where it is received: of the calls of a batch, the
/// first takes this thread out of the asynchronous ones, and the others follow on it without handing anything over.
fn add_in_place<T: Serialize + Clone + 'static>(
    module: &mut RpcModule<Rpc>,
    name: &'static str,
    most: usize,
    answer: impl Fn(&Rpc, &mut Args) -> Answer<T> + Send + Sync + 'static,
) -> Registered {
    module.register_method(name, move |params: Params<'_>, rpc, _| {
        let start = Instant::now();
        let run = || Args::new(&params, most).and_then(|mut args| answer(rpc, &mut args));
        let answer = tokio::task::block_in_place(run);
        rpc.telemetry.record(name, answer.is_ok(), start.elapsed());
        answer
    })?;
    Ok(())
}

pub(super) fn module(rpc: Rpc) -> Result<RpcModule<Rpc>, RegisterMethodError> {
    let mut module = RpcModule::new(rpc);
    add_node(&mut module)?;
    add_blocks(&mut module)?;
    add_transactions(&mut module)?;
    add_state(&mut module)?;
    add_calls(&mut module)?;
    add_fees(&mut module)?;
    add_filters(&mut module)?;
    add_pool(&mut module)?;
    add_debug(&mut module)?;
    module.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        |params, pending, rpc, _| subscribe::run(params, pending, rpc),
    )?;
    Ok(module)
}

fn quantity(number: impl TryInto<U256>) -> U256 {
    number.try_into().unwrap_or(U256::MAX)
}

fn by_number(args: &mut Args) -> Answer<BlockId> {
    Ok(args.required::<BlockNumberOrTag>()?.into())
}

fn by_hash(args: &mut Args) -> Answer<BlockId> {
    Ok(args.required::<B256>()?.into())
}

fn small(args: &mut Args) -> Answer<u64> {
    args.required::<U256>()?.try_into().map_err(|_too_large| error::invalid("number is larger than 64 bits"))
}

fn add_node(module: &mut RpcModule<Rpc>) -> Registered {
    let version = concat!("OpenLedger/v", env!("CARGO_PKG_VERSION"), "/rust");
    add(module, "web3_clientVersion", 0, move |_, _| Ok(version))?;
    add(module, "web3_sha3", 1, |_, args| Ok(keccak256(args.required::<Bytes>()?)))?;
    add(module, "net_version", 0, |rpc, _| Ok(rpc.chain.genesis().chain_id.to_string()))?;
    add(module, "net_listening", 0, |_, _| Ok(true))?;
    add(module, "net_peerCount", 0, |rpc, _| Ok(U64::from(rpc.chain.peers().map_err(error::chain)?)))?;
    add(module, "eth_chainId", 0, |rpc, _| Ok(U64::from(rpc.chain.genesis().chain_id)))?;
    add(module, "eth_syncing", 0, |rpc, _| rpc.telemetry.syncing())?;
    add(module, "eth_accounts", 0, |_, _| Ok(Vec::<Address>::new()))?;
    add(module, "eth_blockNumber", 0, |rpc, _| Ok(U64::from(rpc.chain.head().header.number)))
}

fn add_blocks(module: &mut RpcModule<Rpc>) -> Registered {
    type Id = fn(&mut Args) -> Answer<BlockId>;
    let both: [(Id, [&'static str; 4]); 2] = [
        (
            by_number,
            [
                "eth_getBlockByNumber",
                "eth_getHeaderByNumber",
                "eth_getBlockTransactionCountByNumber",
                "eth_getUncleCountByBlockNumber",
            ],
        ),
        (
            by_hash,
            [
                "eth_getBlockByHash",
                "eth_getHeaderByHash",
                "eth_getBlockTransactionCountByHash",
                "eth_getUncleCountByBlockHash",
            ],
        ),
    ];
    for (id, [block, header, count, uncles]) in both {
        add(module, block, 2, move |rpc, args| blocks::block(&rpc.chain, id(args)?, args.required()?))?;
        add(module, header, 1, move |rpc, args| blocks::header(&rpc.chain, id(args)?))?;
        add(module, count, 1, move |rpc, args| {
            Ok(blocks::transaction_count(&rpc.chain, id(args)?)?.map(U64::from))
        })?;
        add(module, uncles, 1, move |rpc, args| Ok(blocks::find(&rpc.chain, id(args)?)?.map(|_| U64::ZERO)))?;
    }
    // There are no uncles, so none has any index.
    add(module, "eth_getUncleByBlockNumberAndIndex", 2, |_, args| {
        by_number(args)?;
        small(args).map(|_| None::<()>)
    })?;
    add(module, "eth_getUncleByBlockHashAndIndex", 2, |_, args| {
        by_hash(args)?;
        small(args).map(|_| None::<()>)
    })?;
    add(module, "eth_getBlockReceipts", 1, |rpc, args| blocks::receipts(&rpc.chain, args.required()?))?;
    add(module, "eth_getLogs", 1, |rpc, args| logs::logs(&rpc.chain, &args.required()?))
}

fn add_transactions(module: &mut RpcModule<Rpc>) -> Registered {
    add(module, "eth_getTransactionByHash", 1, |rpc, args| {
        blocks::transaction(&rpc.chain, args.required()?)
    })?;
    add(module, "eth_getTransactionReceipt", 1, |rpc, args| blocks::receipt(&rpc.chain, args.required()?))?;
    add(module, "eth_getTransactionByBlockNumberAndIndex", 2, |rpc, args| {
        blocks::transaction_at(&rpc.chain, by_number(args)?, small(args)?)
    })?;
    add(module, "eth_getTransactionByBlockHashAndIndex", 2, |rpc, args| {
        blocks::transaction_at(&rpc.chain, by_hash(args)?, small(args)?)
    })?;
    for name in ["eth_getRawTransactionByHash", "debug_getRawTransaction"] {
        add(module, name, 1, |rpc, args| blocks::raw_transaction(&rpc.chain, args.required()?))?;
    }
    add(module, "eth_getRawTransactionByBlockNumberAndIndex", 2, |rpc, args| {
        blocks::raw_transaction_at(&rpc.chain, by_number(args)?, small(args)?)
    })?;
    add(module, "eth_getRawTransactionByBlockHashAndIndex", 2, |rpc, args| {
        blocks::raw_transaction_at(&rpc.chain, by_hash(args)?, small(args)?)
    })?;
    add_in_place(module, SEND, 1, |rpc, args| calls::send(&rpc.chain, &args.required::<Bytes>()?))
}

fn add_state(module: &mut RpcModule<Rpc>) -> Registered {
    add(module, "eth_getBalance", 2, |rpc, args| {
        calls::balance(&rpc.chain, args.required()?, args.required()?)
    })?;
    add(module, "eth_getTransactionCount", 2, |rpc, args| {
        calls::nonce(&rpc.chain, args.required()?, args.required()?).map(U64::from)
    })?;
    add(module, "eth_getCode", 2, |rpc, args| calls::code(&rpc.chain, args.required()?, args.required()?))?;
    add(module, "eth_getStorageAt", 3, |rpc, args| {
        let (address, slot): (Address, String) = (args.required()?, args.required()?);
        calls::storage(&rpc.chain, address, &slot, args.required()?)
    })?;
    add(module, "openledger_getProof", 3, |rpc, args| {
        let (address, slots): (Address, Vec<String>) = (args.required()?, args.required()?);
        proof::proof(&rpc.chain, address, &slots, args.required()?)
    })?;
    add(module, "openledger_getHandovers", 2, |rpc, args| {
        let (first, count): (U64, U64) = (args.required()?, args.required()?);
        proof::handovers(&rpc.chain, first.to(), count.to())
    })?;
    add(module, "openledger_getCheckpoint", 1, |rpc, args| {
        checkpoint::checkpoint(&rpc.chain, args.optional()?)
    })?;
    // The state is no Merkle Patricia trie, so nothing that this method could answer would be a proof.
    add(module, "eth_getProof", 3, |_, _| Err::<(), _>(error::no_trie()))
}

/// A call with the block it runs on and, where the method takes them, its overrides.
fn simulation(rpc: &Rpc, args: &mut Args) -> Answer<Simulation> {
    let (request, id): (TransactionRequest, _) = (args.required()?, args.optional()?);
    let replaced = Replaced { state: args.optional()?, block: args.optional()? };
    Simulation::new(&rpc.chain, request, id, replaced)
}

fn add_calls(module: &mut RpcModule<Rpc>) -> Registered {
    add(module, "eth_call", 4, |rpc, args| simulate::call(&simulation(rpc, args)?))?;
    add(module, "eth_estimateGas", 4, |rpc, args| {
        simulate::estimate_gas(&simulation(rpc, args)?).map(U64::from)
    })?;
    add(module, "eth_createAccessList", 3, |rpc, args| simulate::access_list(&simulation(rpc, args)?))
}

fn add_fees(module: &mut RpcModule<Rpc>) -> Registered {
    add(module, "eth_gasPrice", 0, |rpc, _| fees::gas_price(&rpc.chain).map(quantity))?;
    add(module, "eth_maxPriorityFeePerGas", 0, |rpc, _| fees::suggested_tip(&rpc.chain).map(quantity))?;
    // There are no blobs; the opcode answers the least price.
    add(module, "eth_blobBaseFee", 0, |_, _| Ok(U64::from(1)))?;
    add(module, "eth_feeHistory", 3, |rpc, args| {
        let (count, newest) = (small(args)?, args.required()?);
        fees::history(&rpc.chain, count, newest, args.optional()?)
    })
}

fn add_filters(module: &mut RpcModule<Rpc>) -> Registered {
    add(module, "eth_newFilter", 1, |rpc, args| rpc.filters.new_logs(&rpc.chain, args.required()?))?;
    add(module, "eth_newBlockFilter", 0, |rpc, _| rpc.filters.new_blocks(&rpc.chain))?;
    add(module, "eth_newPendingTransactionFilter", 1, |rpc, args| {
        if args.optional::<bool>()? == Some(true) {
            return Err(error::server("a filter gives hashes; whole transactions come by eth_subscribe"));
        }
        rpc.filters.new_transactions(&rpc.chain)
    })?;
    add(module, "eth_getFilterChanges", 1, |rpc, args| {
        rpc.filters.changes(&rpc.chain, &args.required::<String>()?)
    })?;
    add(module, "eth_getFilterLogs", 1, |rpc, args| {
        rpc.filters.logs(&rpc.chain, &args.required::<String>()?)
    })?;
    add(module, "eth_uninstallFilter", 1, |rpc, args| Ok(rpc.filters.uninstall(&args.required::<String>()?)))
}

fn add_pool(module: &mut RpcModule<Rpc>) -> Registered {
    add(module, "txpool_content", 0, |rpc, _| Ok(pool::content(&rpc.chain)))?;
    add(module, "txpool_contentFrom", 1, |rpc, args| Ok(pool::content_from(&rpc.chain, args.required()?)))?;
    add(module, "txpool_inspect", 0, |rpc, _| Ok(pool::inspect(&rpc.chain)))?;
    add(module, "txpool_status", 0, |rpc, _| Ok(pool::status(&rpc.chain)))
}

fn add_debug(module: &mut RpcModule<Rpc>) -> Registered {
    fn options(args: &mut Args) -> Answer<GethDebugTracingOptions> {
        Ok(args.optional()?.unwrap_or_default())
    }
    add(module, "debug_traceTransaction", 2, |rpc, args| {
        debug::trace_transaction(rpc, args.required()?, &options(args)?)
    })?;
    add(module, "debug_traceBlockByNumber", 2, |rpc, args| {
        debug::trace_block(rpc, by_number(args)?, &options(args)?)
    })?;
    add(module, "debug_traceBlockByHash", 2, |rpc, args| {
        debug::trace_block(rpc, by_hash(args)?, &options(args)?)
    })?;
    add(module, "debug_traceCall", 3, |rpc, args| {
        let (request, id): (TransactionRequest, BlockId) = (args.required()?, args.required()?);
        let options: GethDebugTracingCallOptions = args.optional()?.unwrap_or_default();
        let replaced = Replaced { state: options.state_overrides, block: options.block_overrides };
        let simulation = Simulation::new(&rpc.chain, request, Some(id), replaced)?;
        debug::trace_call(rpc, &simulation, &options.tracing_options)
    })?;
    add(module, "debug_getRawHeader", 1, |rpc, args| debug::raw_header(&rpc.chain, args.required()?))?;
    add(module, "debug_getRawBlock", 1, |rpc, args| debug::raw_block(&rpc.chain, args.required()?))?;
    add(module, "debug_getRawReceipts", 1, |rpc, args| debug::raw_receipts(&rpc.chain, args.required()?))
}
