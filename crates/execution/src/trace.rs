//! Tracing: what a transaction or a call does step by step, in the forms of geth's tracers.

use alloy_consensus::TxEnvelope;
use alloy_consensus::transaction::{Recovered, TxHashRef};
use alloy_evm::FromRecoveredTx;
use alloy_primitives::B256;
use alloy_rpc_types_trace::geth::{
    GethDebugBuiltInTracerType, GethDebugTracerType, GethDebugTracingOptions, GethTrace,
};
use revm::context::TxEnv;
use revm::context::result::ResultAndState;
use revm_inspectors::tracing::{
    DebugInspector, DebugInspectorError, TraceLimitBehavior, TraceLimits, TransactionContext,
};

use crate::call::{CallRequest, call_env, call_evm, refused};
use crate::env::BlockEnv;
use crate::error::{ExecutionError, Failure};
use crate::evm::{BlockEvm, precompiles};
use crate::meter::Meter;
use crate::overlay::Overlay;
use crate::state::StateReader;

/// The most that one trace may record, in bytes: well above what a response may hold.
pub const MAX_TRACE_BYTES: usize = 64 * 1024 * 1024;

/// The tracers there are, beside the default that lists every opcode.
const TRACERS: [GethDebugBuiltInTracerType; 5] = [
    GethDebugBuiltInTracerType::CallTracer,
    GethDebugBuiltInTracerType::FlatCallTracer,
    GethDebugBuiltInTracerType::FourByteTracer,
    GethDebugBuiltInTracerType::NoopTracer,
    GethDebugBuiltInTracerType::PreStateTracer,
];

/// Why there is no trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// There is no such tracer.
    #[error(
        "tracer not found: {0:?} is none of callTracer, flatCallTracer, 4byteTracer, noopTracer, prestateTracer"
    )]
    UnknownTracer(String),
    /// The tracer does not take this configuration.
    #[error("invalid tracerConfig: {0}")]
    InvalidConfig(String),
    /// The trace would be larger than anyone could be sent.
    #[error("the trace records more than the limit of {limit} bytes; choose a tracer that records less")]
    TooLarge {
        /// The most bytes that are recorded.
        limit: usize,
    },
    /// What should be traced cannot run.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

/// Traces the transactions of a block from position `first` on. `state` is that before the block.
///
/// # Errors
/// [`TraceError`]; a transaction that reverts or halts is no error but a trace that says so.
pub fn trace_transactions(
    env: &BlockEnv,
    transactions: &[Recovered<TxEnvelope>],
    first: usize,
    block_hash: B256,
    options: &GethDebugTracingOptions,
    state: &dyn StateReader,
) -> Result<Vec<GethTrace>, TraceError> {
    let inspector = recorder(options)?;
    let evm_env = env.evm_env();
    let block_env = evm_env.block_env.clone();
    let mut evm = BlockEvm::inspected(evm_env, Overlay::new(env, state), precompiles(), inspector);
    let mut traces = Vec::new();
    for (position, transaction) in transactions.iter().enumerate() {
        let tx = TxEnv::from_recovered_tx(transaction.inner(), transaction.signer());
        let hash = *transaction.tx_hash();
        let failed = |failure| match failure {
            Failure::Transaction(reason) => {
                ExecutionError::InvalidTransaction { index: position, hash, reason }
            }
            Failure::System(error) => error,
        };
        evm.inspect(position >= first);
        if position < first {
            evm.run_and_commit(tx).map_err(failed)?;
            continue;
        }
        let ran = evm.run(tx.clone());
        let (overlay, inspector) = evm.overlay_and_inspector();
        check(inspector)?;
        let outcome = ran.map_err(failed)?;
        let context = TransactionContext {
            block_hash: Some(block_hash),
            tx_index: Some(position),
            tx_hash: Some(hash),
        };
        traces.push(finish(inspector, Some(context), &tx, &block_env, &outcome, overlay)?);
        overlay.commit(outcome.state)?;
    }
    Ok(traces)
}

/// Traces a call on the state after a block.
///
/// # Errors
/// [`TraceError`]; a call that reverts or halts is no error but a trace that says so.
pub fn trace_call(
    env: &BlockEnv,
    request: &CallRequest,
    options: &GethDebugTracingOptions,
    state: &dyn StateReader,
) -> Result<GethTrace, TraceError> {
    let block_env = call_env(env, request).block_env;
    let mut evm = call_evm(env, request, state, recorder(options)?)?;
    let tx = request.tx_env(env.chain_id, request.gas_limit());
    let ran = evm.run(tx.clone());
    let (overlay, inspector) = evm.overlay_and_inspector();
    check(inspector)?;
    let outcome = ran.map_err(refused)?;
    finish(inspector, None, &tx, &block_env, &outcome, overlay)
}

/// A tracer, and what bounds it.
type Bounded = (DebugInspector, Meter);

/// The tracer that these options ask for.
fn recorder(options: &GethDebugTracingOptions) -> Result<Bounded, TraceError> {
    match &options.tracer {
        Some(GethDebugTracerType::BuiltInTracer(tracer)) if !TRACERS.contains(tracer) => {
            return Err(TraceError::UnknownTracer(format!("{tracer:?}")));
        }
        Some(GethDebugTracerType::JsTracer(name)) if !name.is_empty() => {
            return Err(TraceError::UnknownTracer(name.chars().take(64).collect()));
        }
        _ => {}
    }
    let limits = TraceLimits::default()
        .set_max_recorded_bytes(Some(MAX_TRACE_BYTES))
        .set_behavior(TraceLimitBehavior::Halt);
    let inspector = match DebugInspector::new(options.clone()).map_err(described)? {
        DebugInspector::CallTracer(inner, config) => {
            DebugInspector::CallTracer(inner.with_limits(limits), config)
        }
        DebugInspector::PreStateTracer(inner, config) => {
            DebugInspector::PreStateTracer(inner.with_limits(limits), config)
        }
        DebugInspector::FlatCallTracer(inner) => DebugInspector::FlatCallTracer(inner.with_limits(limits)),
        DebugInspector::Default(inner, config) => DebugInspector::Default(inner.with_limits(limits), config),
        other => other,
    };
    let steps = matches!(inspector, DebugInspector::Default(..));
    Ok((inspector, Meter::new(steps, MAX_TRACE_BYTES)))
}

/// # Errors
/// [`TraceError::TooLarge`] if a bound stopped the EVM.
fn check((inspector, meter): &Bounded) -> Result<(), TraceError> {
    let data_exceeded = match inspector {
        DebugInspector::CallTracer(inner, _)
        | DebugInspector::PreStateTracer(inner, _)
        | DebugInspector::FlatCallTracer(inner)
        | DebugInspector::Default(inner, _) => inner.limit_exceeded(),
        _ => false,
    };
    if data_exceeded || meter.exceeded() {
        return Err(TraceError::TooLarge { limit: MAX_TRACE_BYTES });
    }
    Ok(())
}

fn described(error: DebugInspectorError<impl std::fmt::Display>) -> TraceError {
    TraceError::InvalidConfig(error.to_string())
}

fn finish(
    (inspector, _): &mut Bounded,
    context: Option<TransactionContext>,
    tx: &TxEnv,
    block_env: &revm::context::BlockEnv,
    outcome: &ResultAndState,
    overlay: &mut Overlay<'_>,
) -> Result<GethTrace, TraceError> {
    let trace =
        inspector.get_result(context, tx, block_env, outcome, overlay).map_err(|error| match error {
            DebugInspectorError::Database(error) => TraceError::Execution(ExecutionError::State(error)),
            other => described(other),
        })?;
    inspector.fuse().map_err(described)?;
    Ok(trace)
}
