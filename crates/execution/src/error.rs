//! Why a block, a transaction or a call cannot be executed.

use alloy_primitives::{B256, U256};
use revm::context::result::{EVMError, InvalidTransaction};

use crate::overlay::Overlay;
use crate::overrides::OverrideError;
use crate::state::StateError;

/// Why a transaction may not be in a block. Nothing was changed or paid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// Its nonce was used already.
    #[error("nonce {got} was used already; the account's next is {expected}")]
    NonceTooLow {
        /// Nonce of the transaction.
        got: u64,
        /// The next nonce of the account.
        expected: u64,
    },
    /// An earlier transaction of the sender is missing.
    #[error("nonce {got} leaves a gap; the account's next is {expected}")]
    NonceTooHigh {
        /// Nonce of the transaction.
        got: u64,
        /// The next nonce of the account.
        expected: u64,
    },
    /// The sender cannot pay for gas and value.
    #[error("the sender has {balance} wei and needs {needed} wei for gas and value")]
    InsufficientFunds {
        /// Wei of the sender.
        balance: Box<U256>,
        /// Most that the transaction may cost.
        needed: Box<U256>,
    },
    /// It does not fit into what the block has left.
    #[error("the transaction asks for {got} gas and the block has {limit} left")]
    BlockGasExceeded {
        /// Gas limit of the transaction.
        got: u64,
        /// Gas that the block has left.
        limit: u64,
    },
    /// It asks for more gas than any transaction may.
    #[error("the transaction asks for {got} gas; the most is {limit}")]
    GasLimitTooHigh {
        /// Gas limit of the transaction.
        got: u64,
        /// The most that it may be.
        limit: u64,
    },
    /// It asks for less gas than its own bytes cost.
    #[error("the transaction asks for {got} gas; its bytes alone cost {needed}")]
    GasLimitTooLow {
        /// Gas limit of the transaction.
        got: u64,
        /// Intrinsic gas.
        needed: u64,
    },
    /// It offers less per gas than the base fee.
    #[error("the transaction offers less per gas than the base fee of {base_fee} wei")]
    FeeTooLow {
        /// Base fee of the block, wei per gas.
        base_fee: u64,
    },
    /// It offers more to the proposer than in all.
    #[error("the transaction offers the proposer more per gas than in all")]
    TipAboveMax,
    /// EIP-4844: this chain has no blobs.
    #[error("blob transactions (type 3) are not supported")]
    BlobsNotSupported,
    /// Another rule of the EVM.
    #[error("{0}")]
    Invalid(InvalidTransaction),
}

impl TxError {
    pub(crate) fn from_evm(error: InvalidTransaction, base_fee: u64, gas_limit: u64) -> Self {
        match error {
            InvalidTransaction::NonceTooLow { tx, state } => Self::NonceTooLow { got: tx, expected: state },
            InvalidTransaction::NonceTooHigh { tx, state } => Self::NonceTooHigh { got: tx, expected: state },
            InvalidTransaction::LackOfFundForMaxFee { fee, balance } => {
                Self::InsufficientFunds { balance, needed: fee }
            }
            InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit, cap } => {
                Self::GasLimitTooHigh { got: gas_limit, limit: cap }
            }
            InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
                Self::GasLimitTooLow { got: gas_limit, needed: initial_gas }
            }
            InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
                Self::GasLimitTooLow { got: gas_limit, needed: gas_floor }
            }
            InvalidTransaction::GasPriceLessThanBasefee => Self::FeeTooLow { base_fee },
            InvalidTransaction::PriorityFeeGreaterThanMaxFee => Self::TipAboveMax,
            InvalidTransaction::CallerGasLimitMoreThanBlock => {
                Self::BlockGasExceeded { got: gas_limit, limit: 0 }
            }
            other => Self::Invalid(other),
        }
    }
}

/// Why execution gave no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionError {
    /// The block carries a double vote that may not be punished, so the block is invalid.
    #[error("the double vote {index} of the key {key} proves nothing or was punished before")]
    InvalidEvidence {
        /// Position in the block.
        index: usize,
        /// The key that it accuses.
        key: B256,
    },
    /// The block holds a transaction that it may not hold, so the block is invalid.
    #[error("transaction {index} ({hash}) is invalid: {reason}")]
    InvalidTransaction {
        /// Position in the block.
        index: usize,
        /// Hash of the transaction.
        hash: B256,
        /// What is wrong with it.
        reason: TxError,
    },
    /// A call that is no transaction cannot start.
    #[error("the call cannot run: {0}")]
    InvalidCall(TxError),
    /// The overrides of a call contradict each other.
    #[error(transparent)]
    InvalidOverride(#[from] OverrideError),
    /// The state could not be read. Says nothing about the block.
    #[error(transparent)]
    State(#[from] StateError),
    /// Governance has changed the rules from this height on, and this software does not know how.
    #[error(
        "from block {height} on the rules are those of the upgrade '{name}', which this software does not know; a newer \
         version does"
    )]
    UnknownUpgrade {
        /// Name of the upgrade.
        name: String,
        /// The first block to which it applies.
        height: u64,
    },
    /// The EVM broke one of its own rules. Says nothing about the block.
    #[error("execution failed: {0}")]
    Internal(String),
}

/// A transaction's own fault, or else a failure of what executes it.
pub(crate) enum Failure {
    Transaction(TxError),
    System(ExecutionError),
}

impl Failure {
    pub(crate) fn new(
        error: EVMError<StateError>,
        overlay: &mut Overlay<'_>,
        base_fee: u64,
        gas_limit: u64,
    ) -> Self {
        match (error, overlay.take_failure()) {
            (EVMError::Transaction(error), _) => {
                Self::Transaction(TxError::from_evm(error, base_fee, gas_limit))
            }
            (EVMError::Database(error), _) | (_, Some(error)) => Self::System(ExecutionError::State(error)),
            (other, None) => Self::System(ExecutionError::Internal(other.to_string())),
        }
    }
}
