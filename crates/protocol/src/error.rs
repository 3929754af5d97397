//! How an operation fails.

use alloy_primitives::Bytes;
use alloy_sol_types::{Panic, PanicKind, Revert, SolError};

/// How an operation fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// The caller's fault: everything is undone and the bytes, an ABI-encoded Solidity error, go back to them.
    #[error("reverted with {0}")]
    Revert(Bytes),
    /// The caller gave too little gas.
    #[error("out of gas")]
    OutOfGas,
    /// The state behind the storage failed. Says nothing about the call.
    #[error("{0}")]
    System(String),
}

/// What an operation returns.
pub type Result<T, E = ModuleError> = std::result::Result<T, E>;

/// Reverts with a typed Solidity error.
pub fn revert(error: impl SolError) -> ModuleError {
    ModuleError::Revert(error.abi_encode().into())
}

/// Reverts with `Error(string)`, for faults that no module's ABI has a name for.
pub fn revert_text(reason: &str) -> ModuleError {
    revert(Revert::from(reason))
}

/// Reverts with Solidity's own panic for arithmetic that does not fit.
pub(crate) fn overflow() -> ModuleError {
    revert(Panic::from(PanicKind::UnderOverflow))
}
