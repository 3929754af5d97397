//! Calls that are no transactions: `eth_call` and `eth_estimateGas`, with geth's rules.

use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, HaltReason};
use revm::context_interface::transaction::AccessList;

use crate::env::{BlockEnv, MAX_TRANSACTION_GAS};
use crate::error::{ExecutionError, Failure, TxError};
use crate::evm::BlockEvm;
use crate::overlay::Overlay;
use crate::state::StateReader;

/// The most gas of a call, and what one without a gas limit gets: geth's default of `--rpc.gascap`.
pub const CALL_GAS_CAP: u64 = 50_000_000;

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;

/// Gas that a call with value hands to the callee beyond what the caller gives.
const CALL_STIPEND: u64 = 2_300;

/// How far above the least an estimate may be, in thousandths: geth's 1.5 %.
const ESTIMATE_ERROR_PER_MILLE: u64 = 15;

/// A call to simulate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Who calls; nobody has to sign.
    pub from: Address,
    /// Who is called; `None` creates a contract.
    pub to: Option<Address>,
    /// Wei sent along.
    pub value: U256,
    /// Call data, or init code.
    pub data: Bytes,
    /// Gas limit.
    pub gas: Option<u64>,
    /// Wei per gas, of a legacy call.
    pub gas_price: Option<u128>,
    /// Most wei per gas (EIP-1559).
    pub max_fee_per_gas: Option<u128>,
    /// Most wei per gas for the proposer (EIP-1559).
    pub max_priority_fee_per_gas: Option<u128>,
    /// Accounts and slots that are warm from the start.
    pub access_list: AccessList,
}

impl CallRequest {
    fn fee_cap(&self) -> u128 {
        self.max_fee_per_gas.or(self.gas_price).unwrap_or_default()
    }

    fn tx_env(&self, chain_id: u64, gas_limit: u64) -> TxEnv {
        let tx_type = if self.max_fee_per_gas.is_some() || self.max_priority_fee_per_gas.is_some() {
            2
        } else {
            u8::from(!self.access_list.0.is_empty())
        };
        TxEnv {
            tx_type,
            caller: self.from,
            gas_limit,
            gas_price: self.fee_cap(),
            gas_priority_fee: (tx_type == 2).then(|| self.max_priority_fee_per_gas.unwrap_or_default()),
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            data: self.data.clone(),
            chain_id: Some(chain_id),
            access_list: self.access_list.clone(),
            ..TxEnv::default()
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallStatus {
    /// It returned.
    Success,
    /// It reverted; the output is the revert data.
    Revert,
    /// The EVM stopped it, for this reason.
    Halt(String),
}

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallOutcome {
    /// How it ended.
    pub status: CallStatus,
    /// Return or revert data.
    pub output: Bytes,
    /// Gas that it used.
    pub gas_used: u64,
    /// Logs that it would leave.
    pub logs: Vec<Log>,
}

/// Why there is no estimate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EstimateError {
    /// The call reverts however much gas it has; holds the revert data.
    #[error("execution reverted")]
    Revert(Bytes),
    /// The call fails however much gas it has.
    #[error("execution failed: {0}")]
    Halt(String),
    /// More gas than the call may have would be needed.
    #[error("gas required exceeds allowance ({limit})")]
    OutOfGas {
        /// The most that it may have.
        limit: u64,
    },
    /// The call could not run.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
}

/// Runs a call on the state after a block and forgets what it changed.
///
/// # Errors
/// [`ExecutionError::InvalidCall`] if it cannot start, for example for lack of funds; a revert is no error.
pub fn call(
    env: &BlockEnv,
    request: &CallRequest,
    state: &dyn StateReader,
) -> Result<CallOutcome, ExecutionError> {
    let gas = request.gas.unwrap_or(CALL_GAS_CAP).min(CALL_GAS_CAP);
    Ok(match run(env, request, gas, state)? {
        ExecutionResult::Success { gas, logs, output, .. } => CallOutcome {
            status: CallStatus::Success,
            output: output.into_data(),
            gas_used: gas.tx_gas_used(),
            logs,
        },
        ExecutionResult::Revert { gas, output, .. } => {
            CallOutcome { status: CallStatus::Revert, output, gas_used: gas.tx_gas_used(), logs: Vec::new() }
        }
        ExecutionResult::Halt { reason, gas, .. } => CallOutcome {
            status: CallStatus::Halt(halt_text(&reason)),
            output: Bytes::new(),
            gas_used: gas.tx_gas_used(),
            logs: Vec::new(),
        },
    })
}

/// The least gas limit with which a call succeeds, at most 1.5 % above it: a binary search as in geth.
///
/// # Errors
/// [`EstimateError::Revert`] with the revert data if it reverts with all the gas it may have.
pub fn estimate_gas(
    env: &BlockEnv,
    request: &CallRequest,
    state: &dyn StateReader,
) -> Result<u64, EstimateError> {
    let mut high = request.gas.filter(|gas| *gas >= TRANSFER_GAS).unwrap_or(env.gas_limit);
    high = high.min(CALL_GAS_CAP).min(MAX_TRANSACTION_GAS).min(affordable(env, request, state)?);
    let limit = high;
    if is_plain_transfer(request, state)?
        && let Ok(ExecutionResult::Success { .. }) = run(env, request, TRANSFER_GAS, state)
    {
        return Ok(TRANSFER_GAS);
    }
    let (used, refunded) = match attempt(env, request, high, state)? {
        Attempt::Success { used, refunded } => (used, refunded),
        Attempt::OutOfGas => return Err(EstimateError::OutOfGas { limit }),
        Attempt::Failed(error) => return Err(error),
    };
    // It takes at least what it used. What it can need above that is what calls hold back (a 64th at every level),
    // the stipend and what is refunded only at the end; try that first.
    let mut low = used.saturating_sub(1);
    let hint = used.saturating_add(refunded).saturating_add(CALL_STIPEND);
    let hint = hint.saturating_add(hint.div_ceil(63));
    if hint < high {
        match attempt(env, request, hint, state)? {
            Attempt::Success { .. } => high = hint,
            _ => low = hint,
        }
    }
    while low.saturating_add(1) < high {
        let gap = high.saturating_sub(low);
        if gap.saturating_mul(1000) < high.saturating_mul(ESTIMATE_ERROR_PER_MILLE) {
            break;
        }
        // The least is mostly near the low end, so never more than double it.
        let middle = low.midpoint(high).min(low.saturating_mul(2));
        match attempt(env, request, middle, state)? {
            Attempt::Success { .. } => high = middle,
            _ => low = middle,
        }
    }
    Ok(high)
}

enum Attempt {
    Success { used: u64, refunded: u64 },
    OutOfGas,
    Failed(EstimateError),
}

fn attempt(
    env: &BlockEnv,
    request: &CallRequest,
    gas: u64,
    state: &dyn StateReader,
) -> Result<Attempt, ExecutionError> {
    Ok(match run(env, request, gas, state) {
        Ok(ExecutionResult::Success { gas, .. }) => {
            Attempt::Success { used: gas.tx_gas_used(), refunded: gas.inner_refunded() }
        }
        Ok(ExecutionResult::Revert { output, .. }) => Attempt::Failed(EstimateError::Revert(output)),
        Ok(ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. }) => Attempt::OutOfGas,
        Ok(ExecutionResult::Halt { reason, .. }) => Attempt::Failed(EstimateError::Halt(halt_text(&reason))),
        Err(ExecutionError::InvalidCall(TxError::GasLimitTooLow { .. })) => Attempt::OutOfGas,
        Err(error) => return Err(error),
    })
}

fn run(
    env: &BlockEnv,
    request: &CallRequest,
    gas: u64,
    state: &dyn StateReader,
) -> Result<ExecutionResult, ExecutionError> {
    let mut evm_env = env.evm_env();
    let cfg = &mut evm_env.cfg_env;
    cfg.disable_nonce_check = true;
    cfg.disable_eip3607 = true;
    cfg.disable_block_gas_limit = true;
    // A call without a price pays nothing; one with a price is held to it.
    cfg.disable_base_fee = request.fee_cap() == 0;
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    let mut evm = BlockEvm::new(evm_env, Overlay::new(env, state));
    match evm.run(request.tx_env(env.chain_id, gas)) {
        Ok(outcome) => Ok(outcome.result),
        Err(Failure::Transaction(reason)) => Err(ExecutionError::InvalidCall(reason)),
        Err(Failure::System(error)) => Err(error),
    }
}

/// The most gas that the caller can pay for.
fn affordable(env: &BlockEnv, request: &CallRequest, state: &dyn StateReader) -> Result<u64, EstimateError> {
    let fee_cap = request.fee_cap();
    if fee_cap == 0 {
        return Ok(u64::MAX);
    }
    let account = Overlay::new(env, state).account(request.from).map_err(ExecutionError::State)?;
    let balance = account.unwrap_or_default().balance;
    let Some(left) = balance.checked_sub(request.value) else {
        let (balance, needed) = (Box::new(balance), Box::new(request.value));
        return Err(ExecutionError::InvalidCall(TxError::InsufficientFunds { balance, needed }).into());
    };
    let gas = left.checked_div(U256::from(fee_cap)).unwrap_or(U256::MAX);
    Ok(gas.saturating_to())
}

fn is_plain_transfer(request: &CallRequest, state: &dyn StateReader) -> Result<bool, EstimateError> {
    let Some(to) = request.to.filter(|_| request.data.is_empty() && request.access_list.0.is_empty()) else {
        return Ok(false);
    };
    let account = state.account(to).map_err(ExecutionError::State)?.unwrap_or_default();
    Ok(account.code_hash.is_zero() || account.code_hash == alloy_consensus::constants::KECCAK_EMPTY)
}

/// Halts in geth's words where it has them.
fn halt_text(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        HaltReason::InvalidFEOpcode | HaltReason::OpcodeNotFound => "invalid opcode".to_owned(),
        HaltReason::InvalidJump => "invalid jump destination".to_owned(),
        HaltReason::StackUnderflow => "stack underflow".to_owned(),
        HaltReason::StackOverflow => "stack limit reached 1024".to_owned(),
        HaltReason::CallNotAllowedInsideStatic | HaltReason::StateChangeDuringStaticCall => {
            "write protection".to_owned()
        }
        HaltReason::CreateCollision => "contract address collision".to_owned(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".to_owned(),
        other => format!("{other:?}"),
    }
}
