//! Error codes and texts that clients know from geth.

use alloy_primitives::{Bytes, hex};
use alloy_sol_types::decode_revert_reason;
use jsonrpsee::types::ErrorObjectOwned;
use openledger_chain::{ChainError, PoolError};
use openledger_execution::{CallOutcome, CallStatus, EstimateError, ExecutionError, StateError, TxError};

/// What a method answers.
pub(super) type Answer<T> = Result<T, ErrorObjectOwned>;

/// geth's code for whatever has no other.
const SERVER: i32 = -32000;
/// A parameter is wrong.
const INVALID_PARAMS: i32 = -32602;
/// Too much was asked for (EIP-1474).
const LIMIT_EXCEEDED: i32 = -32005;
/// The node itself failed.
const INTERNAL: i32 = -32603;
/// geth's code for a revert; the data is what the contract returned.
const REVERT: i32 = 3;

pub(super) fn server(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(SERVER, message, None::<()>)
}

pub(super) fn invalid(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_PARAMS, message, None::<()>)
}

pub(super) fn chain(error: ChainError) -> ErrorObjectOwned {
    match &error {
        ChainError::StateNotAvailable { .. } => server(error.to_string()),
        ChainError::TooMuch { .. } => ErrorObjectOwned::owned(LIMIT_EXCEEDED, error.to_string(), None::<()>),
        _ => {
            tracing::error!(%error, "a request failed");
            ErrorObjectOwned::owned(INTERNAL, error.to_string(), None::<()>)
        }
    }
}

pub(super) fn pool(error: PoolError) -> ErrorObjectOwned {
    server(error.to_string())
}

pub(super) fn state(error: StateError) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INTERNAL, error.to_string(), None::<()>)
}

pub(super) fn revert(data: &Bytes) -> ErrorObjectOwned {
    let message = match decode_revert_reason(data) {
        // Custom errors have no text; clients decode the data.
        Some(reason) if data.starts_with(&[0x08, 0xc3, 0x79, 0xa0]) => {
            format!("execution reverted: {}", reason.trim_start_matches("revert: "))
        }
        Some(reason) if data.starts_with(&[0x4e, 0x48, 0x7b, 0x71]) => {
            format!("execution reverted: {reason}")
        }
        _ => "execution reverted".to_owned(),
    };
    ErrorObjectOwned::owned(REVERT, message, Some(hex::encode_prefixed(data)))
}

pub(super) fn execution(error: ExecutionError) -> ErrorObjectOwned {
    match error {
        ExecutionError::InvalidCall(reason) => transaction(reason),
        ExecutionError::State(error) => state(error),
        other => ErrorObjectOwned::owned(INTERNAL, other.to_string(), None::<()>),
    }
}

fn transaction(reason: TxError) -> ErrorObjectOwned {
    match reason {
        TxError::InsufficientFunds { balance, needed } => {
            server(format!("insufficient funds for gas * price + value: have {balance} want {needed}"))
        }
        TxError::GasLimitTooLow { got, needed } => {
            server(format!("intrinsic gas too low: have {got}, want {needed}"))
        }
        TxError::FeeTooLow { base_fee } => {
            server(format!("max fee per gas less than block base fee: baseFee: {base_fee}"))
        }
        other => server(other.to_string()),
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

pub(super) fn estimate(error: EstimateError) -> ErrorObjectOwned {
    match error {
        EstimateError::Revert(data) => revert(&data),
        EstimateError::Halt(reason) => server(reason),
        EstimateError::OutOfGas { .. } | EstimateError::InsufficientFundsForTransfer => {
            server(error.to_string())
        }
        EstimateError::Execution(error) => execution(error),
    }
}
