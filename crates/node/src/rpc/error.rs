//! Error codes and texts that clients know from geth.

use super::deadline;
use alloy_primitives::{Bytes, hex};
use alloy_sol_types::{Revert, SolError};
use jsonrpsee::types::ErrorObjectOwned;
use openledger_chain::{ChainError, PoolError};
use openledger_execution::{
    CallOutcome, CallRequest, CallStatus, EstimateError, ExecutionError, StateError, TraceError, TxError,
};

/// What a method answers.
pub(super) type Answer<T> = Result<T, ErrorObjectOwned>;

/// geth's code for whatever has no other.
const SERVER: i32 = -32000;
/// geth's code for blocks that the node does not keep.
const PRUNED: i32 = 4444;
/// geth's code for what took too long.
const TIMEOUT: i32 = -32002;
/// A parameter is wrong.
const INVALID_PARAMS: i32 = -32602;
/// There is no such method, or not over this transport.
const NO_METHOD: i32 = -32601;
/// Too much was asked for (EIP-1474).
const LIMIT_EXCEEDED: i32 = -32005;
/// What the method would answer does not exist here (EIP-1474).
const NOT_SUPPORTED: i32 = -32004;
/// The node itself failed.
pub(super) const INTERNAL: i32 = -32603;
/// geth's code for a revert; the data is what the contract returned.
const REVERT: i32 = 3;

fn with(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}

pub(super) fn server(message: impl Into<String>) -> ErrorObjectOwned {
    with(SERVER, message)
}

pub(super) fn invalid(message: impl Into<String>) -> ErrorObjectOwned {
    with(INVALID_PARAMS, message)
}

pub(super) fn no_method(message: impl Into<String>) -> ErrorObjectOwned {
    with(NO_METHOD, message)
}

/// Why there is no proof of EIP-1186.
pub(super) fn no_trie() -> ErrorObjectOwned {
    with(
        NOT_SUPPORTED,
        "method not supported: the state root of this chain is not that of a Merkle Patricia trie; \
         openledger_getProof takes the same parameters and answers with header, certificate and proofs",
    )
}

pub(super) fn limit(message: impl Into<String>) -> ErrorObjectOwned {
    with(LIMIT_EXCEEDED, message)
}

pub(super) fn timeout(message: impl Into<String>) -> ErrorObjectOwned {
    with(TIMEOUT, message)
}

pub(super) fn chain(error: ChainError) -> ErrorObjectOwned {
    match &error {
        ChainError::StateNotAvailable { .. } | ChainError::ProofNotAvailable { .. } => {
            server(error.to_string())
        }
        ChainError::TooMuch { .. } => limit(error.to_string()),
        ChainError::Pruned { .. } => with(PRUNED, format!("pruned history unavailable: {error}")),
        _ => {
            tracing::error!(%error, "a request failed");
            with(INTERNAL, error.to_string())
        }
    }
}

pub(super) fn pool(error: PoolError) -> ErrorObjectOwned {
    server(error.to_string())
}

pub(super) fn state(error: StateError) -> ErrorObjectOwned {
    with(INTERNAL, error.to_string())
}

pub(super) fn revert(data: &Bytes) -> ErrorObjectOwned {
    // Custom errors have no text; clients decode the data.
    let message = match reason(data) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    };
    ErrorObjectOwned::owned(REVERT, message, Some(hex::encode_prefixed(data)))
}

/// The text of `Error(string)`, or geth's for a `Panic(uint256)`.
fn reason(data: &Bytes) -> Option<String> {
    if let Ok(revert) = Revert::abi_decode(data) {
        return Some(revert.reason);
    }
    let panic = alloy_sol_types::Panic::abi_decode(data).ok()?;
    let text = match u8::try_from(panic.code).unwrap_or(u8::MAX) {
        0x00 => "generic panic",
        0x01 => "assert(false)",
        0x11 => "arithmetic underflow or overflow",
        0x12 => "division or modulo by zero",
        0x21 => "enum overflow",
        0x22 => "invalid encoded storage byte array accessed",
        0x31 => "out-of-bounds array access; popping on an empty array",
        0x32 => "out-of-bounds access of an array or bytesN",
        0x41 => "out of memory",
        0x51 => "uninitialized function",
        _ => return Some(format!("unknown panic code: {:#x}", panic.code)),
    };
    Some(text.to_owned())
}

/// Why a call did not run; `wrap` puts the reason of a refused call into the words of the method.
pub(super) fn execution(
    error: ExecutionError,
    request: &CallRequest,
    wrap: impl FnOnce(String) -> String,
) -> ErrorObjectOwned {
    match error {
        ExecutionError::InvalidCall(reason) => server(wrap(refusal(reason, request))),
        ExecutionError::InvalidOverride(reason) => server(reason.to_string()),
        ExecutionError::State(error) => deadline::failed(error),
        other => with(INTERNAL, other.to_string()),
    }
}

/// geth's words for why a call cannot start.
fn refusal(reason: TxError, request: &CallRequest) -> String {
    let from = request.from;
    match reason {
        TxError::InsufficientFunds { balance, needed } => {
            format!("insufficient funds for gas * price + value: address {from} have {balance} want {needed}")
        }
        TxError::GasLimitTooLow { got, needed } => {
            format!("intrinsic gas too low: have {got}, want {needed}")
        }
        TxError::FeeTooLow { base_fee } => format!(
            "max fee per gas less than block base fee: address {from}, maxFeePerGas: {}, baseFee: {base_fee}",
            request.fee_cap()
        ),
        TxError::TipAboveMax => format!(
            "max priority fee per gas higher than max fee per gas: address {from}, maxPriorityFeePerGas: {}, \
             maxFeePerGas: {}",
            request.max_priority_fee_per_gas.unwrap_or_default(),
            request.fee_cap()
        ),
        other => other.to_string(),
    }
}

/// The output of a call that succeeded.
pub(super) fn output(outcome: CallOutcome) -> Answer<Bytes> {
    match outcome.status {
        CallStatus::Success => Ok(outcome.output),
        CallStatus::Revert => Err(revert(&outcome.output)),
        CallStatus::Halt(reason) => Err(server(reason)),
    }
}

pub(super) fn estimate(
    error: EstimateError,
    request: &CallRequest,
    block_gas_limit: u64,
) -> ErrorObjectOwned {
    match error {
        EstimateError::Revert(data) => revert(&data),
        EstimateError::Halt(reason) => server(reason),
        EstimateError::OutOfGas { .. } | EstimateError::InsufficientFundsForTransfer => {
            server(error.to_string())
        }
        EstimateError::Execution(error) => execution(error, request, |text| {
            format!("failed with {} gas: {text}", request.gas.unwrap_or(block_gas_limit))
        }),
    }
}

pub(super) fn trace(error: TraceError, request: &CallRequest) -> ErrorObjectOwned {
    match error {
        TraceError::UnknownTracer(_) | TraceError::InvalidConfig(_) => server(error.to_string()),
        TraceError::TooLarge { .. } => limit(error.to_string()),
        TraceError::Execution(error) => execution(error, request, |text| format!("tracing failed: {text}")),
    }
}
