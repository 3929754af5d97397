//! `debug_…`: traces, and blocks as they are encoded.

use super::{
    blocks,
    deadline::TimedState,
    error::{self, Answer},
    methods::Rpc,
    simulate::Simulation,
};
use alloy_consensus::TxEnvelope;
use alloy_eips::{BlockId, eip2718::Encodable2718};
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_trace::geth::{GethDebugTracingOptions, GethTrace, TraceResult};
use openledger_chain::{ChainHandle, IndexedBlock};
use openledger_execution::{CallRequest, trace_call as trace_call_on, trace_transactions};
use tokio::sync::SemaphorePermit;

/// Traces at once: each may take a thread for seconds and tens of megabytes.
pub(super) const MAX_TRACES: usize = 4;

fn permit(rpc: &Rpc) -> Answer<SemaphorePermit<'_>> {
    rpc.traces.try_acquire().map_err(|_busy| {
        error::limit(format!("too many traces at once: the limit is {MAX_TRACES}; try again"))
    })
}

pub(super) fn trace_transaction(
    rpc: &Rpc,
    hash: B256,
    options: &GethDebugTracingOptions,
) -> Answer<GethTrace> {
    let place = rpc.chain.place(hash).map_err(error::chain)?;
    let (number, position) = place.ok_or_else(|| error::server("transaction not found"))?;
    let block = rpc.chain.block(number).map_err(error::chain)?;
    let mut block = block.ok_or_else(|| error::server("transaction not found"))?;
    let position = position as usize;
    block.transactions.truncate(position + 1);
    let mut traces = trace(rpc, &block, position, options)?;
    traces.pop().ok_or_else(|| error::server("transaction not found"))
}

pub(super) fn trace_block(
    rpc: &Rpc,
    id: BlockId,
    options: &GethDebugTracingOptions,
) -> Answer<Vec<TraceResult>> {
    let block = match blocks::find(&rpc.chain, id)? {
        Some(number) => rpc.chain.block(number).map_err(error::chain)?,
        None => None,
    };
    let block = block.ok_or_else(|| match id {
        BlockId::Number(tag) => {
            error::server(format!("block #{} not found", blocks::height(&rpc.chain, tag)))
        }
        BlockId::Hash(hash) => error::server(format!("block {} not found", hash.block_hash)),
    })?;
    let traces = trace(rpc, &block, 0, options)?;
    let hashes = block.transactions.iter().map(|transaction| *transaction.tx_hash());
    let results = hashes.zip(traces);
    Ok(results.map(|(hash, result)| TraceResult::Success { result, tx_hash: Some(hash) }).collect())
}

/// Traces of a block's transactions from position `first` on.
fn trace(
    rpc: &Rpc,
    block: &IndexedBlock,
    first: usize,
    options: &GethDebugTracingOptions,
) -> Answer<Vec<GethTrace>> {
    let number = block.header.header.number;
    let parent = number.checked_sub(1).ok_or_else(|| error::server("genesis is not traceable"))?;
    let _permit = permit(rpc)?;
    let env = rpc.chain.env(number).map_err(error::chain)?;
    let env = env.ok_or_else(|| error::server("header not found"))?;
    let state = TimedState::new(&rpc.chain, parent)?;
    trace_transactions(&env, &block.transactions, first, block.header.hash, options, &state)
        .map_err(|reason| error::trace(reason, &CallRequest::default()))
}

pub(super) fn trace_call(
    rpc: &Rpc,
    simulation: &Simulation,
    options: &GethDebugTracingOptions,
) -> Answer<GethTrace> {
    let _permit = permit(rpc)?;
    let Simulation { env, request, state } = simulation;
    trace_call_on(env, request, options, state).map_err(|reason| error::trace(reason, request))
}

fn block(chain: &ChainHandle, id: BlockId) -> Answer<IndexedBlock> {
    let number = blocks::existing(chain, id)?;
    chain.block(number).map_err(error::chain)?.ok_or_else(|| error::server("block not found"))
}

pub(super) fn raw_header(chain: &ChainHandle, id: BlockId) -> Answer<Bytes> {
    Ok(alloy_rlp::encode(block(chain, id)?.header.header).into())
}

pub(super) fn raw_block(chain: &ChainHandle, id: BlockId) -> Answer<Bytes> {
    let IndexedBlock { header, transactions, .. } = block(chain, id)?;
    let transactions: Vec<TxEnvelope> =
        transactions.into_iter().map(|transaction| transaction.into_inner()).collect();
    let body = alloy_consensus::BlockBody { transactions, ommers: Vec::new(), withdrawals: None };
    Ok(alloy_rlp::encode(alloy_consensus::Block { header: header.header, body }).into())
}

pub(super) fn raw_receipts(chain: &ChainHandle, id: BlockId) -> Answer<Vec<Bytes>> {
    let number = blocks::existing(chain, id)?;
    let receipts = chain.receipts(number).map_err(error::chain)?.unwrap_or_default();
    Ok(receipts.into_iter().map(|receipt| receipt.receipt.encoded_2718().into()).collect())
}
