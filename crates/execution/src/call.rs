//! Calls that are no transactions: `eth_call`, `eth_estimateGas` and `eth_createAccessList`, with geth's rules.

use alloy_eips::eip7702::SignedAuthorization;
use alloy_evm::EvmEnv;
use alloy_evm::eth::EthEvmContext;
use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use revm::Inspector;
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, HaltReason};
use revm::context_interface::either::Either;
use revm::context_interface::transaction::AccessList;
use revm::inspector::NoOpInspector;
use revm_inspectors::access_list::AccessListInspector;

use crate::env::{BlockEnv, MAX_TRANSACTION_GAS};
use crate::error::{ExecutionError, Failure, TxError};
use crate::evm::{BlockEvm, precompiles};
use crate::overlay::Overlay;
use crate::overrides::{Overrides, apply_to_precompiles};
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
    /// Delegations (EIP-7702).
    pub authorization_list: Vec<SignedAuthorization>,
    /// What the call sees instead of the state and block it runs on.
    pub overrides: Overrides,
}

impl CallRequest {
    /// The most wei per gas that it pays.
    pub fn fee_cap(&self) -> u128 {
        self.max_fee_per_gas.or(self.gas_price).unwrap_or_default()
    }

    /// Its gas limit, within [`CALL_GAS_CAP`].
    pub fn gas_limit(&self) -> u64 {
        self.gas.unwrap_or(CALL_GAS_CAP).min(CALL_GAS_CAP)
    }

    pub(crate) fn tx_env(&self, chain_id: u64, gas_limit: u64) -> TxEnv {
        let tx_type = if !self.authorization_list.is_empty() {
            4
        } else if self.max_fee_per_gas.is_some() || self.max_priority_fee_per_gas.is_some() {
            2
        } else {
            u8::from(!self.access_list.0.is_empty())
        };
        TxEnv {
            tx_type,
            caller: self.from,
            gas_limit,
            gas_price: self.fee_cap(),
            gas_priority_fee: (tx_type >= 2).then(|| self.max_priority_fee_per_gas.unwrap_or_default()),
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            data: self.data.clone(),
            chain_id: Some(chain_id),
            access_list: self.access_list.clone(),
            authorization_list: self.authorization_list.iter().cloned().map(Either::Left).collect(),
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
    /// The caller has no more than the value that it sends, so that nothing is left for gas.
    #[error("insufficient funds for transfer")]
    InsufficientFundsForTransfer,
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
    Ok(outcome(run(env, request, request.gas_limit(), state)?))
}

fn outcome(result: ExecutionResult) -> CallOutcome {
    match result {
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
    }
}

/// Runs a call until the list of accounts and slots that it uses no longer grows; returns that list, and what the call
/// does with it. The caller, the callee and precompiles are warm anyway and are left out, and so are the slots of
/// modules, which are precompiles.
///
/// # Errors
/// Those of [`call`].
pub fn create_access_list(
    env: &BlockEnv,
    request: &CallRequest,
    state: &dyn StateReader,
) -> Result<(AccessList, CallOutcome), ExecutionError> {
    let mut request = request.clone();
    request.access_list.sort();
    loop {
        let inspector = AccessListInspector::new(request.access_list.clone());
        let (result, inspector) = run_inspected(env, &request, request.gas_limit(), state, inspector)?;
        // A list is the start of the next, so it only ever grows.
        let list = inspector.into_access_list();
        if list == request.access_list {
            return Ok((list, outcome(result)));
        }
        request.access_list = list;
    }
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
    let block_gas_limit = request.overrides.block.gas_limit.unwrap_or(env.gas_limit);
    let mut high = request.gas.filter(|gas| *gas >= TRANSFER_GAS).unwrap_or(block_gas_limit);
    high = high.min(CALL_GAS_CAP).min(MAX_TRANSACTION_GAS).min(affordable(env, request, state)?);
    let limit = high;
    if is_plain_transfer(env, request, state)?
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
    run_inspected(env, request, gas, state, NoOpInspector {}).map(|(result, _)| result)
}

fn run_inspected<'s, I: Inspector<EthEvmContext<Overlay<'s>>>>(
    env: &BlockEnv,
    request: &CallRequest,
    gas: u64,
    state: &'s dyn StateReader,
    inspector: I,
) -> Result<(ExecutionResult, I), ExecutionError> {
    let mut evm = call_evm(env, request, state, inspector)?;
    let outcome = evm.run(request.tx_env(env.chain_id, gas)).map_err(refused)?;
    Ok((outcome.result, evm.into_inspector()))
}

/// A failure of a call that is no transaction.
pub(crate) fn refused(failure: Failure) -> ExecutionError {
    match failure {
        Failure::Transaction(reason) => ExecutionError::InvalidCall(reason),
        Failure::System(error) => error,
    }
}

/// The environment of a call: that of its block, without the rules for who may send a transaction.
pub(crate) fn call_env(env: &BlockEnv, request: &CallRequest) -> EvmEnv {
    let mut evm_env = env.evm_env();
    let cfg = &mut evm_env.cfg_env;
    cfg.disable_nonce_check = true;
    cfg.disable_eip3607 = true;
    cfg.disable_block_gas_limit = true;
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    request.overrides.block.apply(&mut evm_env);
    // A call without a price pays nothing and sees no base fee; one with a price is held to it.
    if request.fee_cap() == 0 {
        evm_env.block_env.basefee = 0;
    }
    evm_env
}

pub(crate) fn call_evm<'s, I: Inspector<EthEvmContext<Overlay<'s>>>>(
    env: &BlockEnv,
    request: &CallRequest,
    state: &'s dyn StateReader,
    inspector: I,
) -> Result<BlockEvm<'s, I>, ExecutionError> {
    let overrides = &request.overrides;
    let mut precompiles = precompiles();
    apply_to_precompiles(&overrides.accounts, &mut precompiles)?;
    let overlay = Overlay::with_overrides(env, state, overrides)?;
    Ok(BlockEvm::inspected(call_env(env, request), overlay, precompiles, inspector))
}

/// The most gas that the caller can pay for.
fn affordable(env: &BlockEnv, request: &CallRequest, state: &dyn StateReader) -> Result<u64, EstimateError> {
    let fee_cap = request.fee_cap();
    if fee_cap == 0 {
        return Ok(u64::MAX);
    }
    let overlay = Overlay::with_overrides(env, state, &request.overrides).map_err(ExecutionError::State)?;
    let account = overlay.account(request.from).map_err(ExecutionError::State)?;
    let mut balance = account.unwrap_or_default().balance;
    if !request.value.is_zero() {
        balance = balance
            .checked_sub(request.value)
            .filter(|left| !left.is_zero())
            .ok_or(EstimateError::InsufficientFundsForTransfer)?;
    }
    Ok(balance.checked_div(U256::from(fee_cap)).unwrap_or(U256::MAX).saturating_to())
}

fn is_plain_transfer(
    env: &BlockEnv,
    request: &CallRequest,
    state: &dyn StateReader,
) -> Result<bool, EstimateError> {
    let lists = !request.access_list.0.is_empty() || !request.authorization_list.is_empty();
    let Some(to) = request.to.filter(|_| request.data.is_empty() && !lists) else {
        return Ok(false);
    };
    let overlay = Overlay::with_overrides(env, state, &request.overrides).map_err(ExecutionError::State)?;
    let account = overlay.account(to).map_err(ExecutionError::State)?.unwrap_or_default();
    Ok(account.code_hash.is_zero() || account.code_hash == alloy_consensus::constants::KECCAK_EMPTY)
}

/// Halts in geth's words where it has them.
fn halt_text(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID".to_owned(),
        HaltReason::OpcodeNotFound => "invalid opcode".to_owned(),
        HaltReason::OutOfOffset => "return data out of bounds".to_owned(),
        HaltReason::NonceOverflow => "nonce uint64 overflow".to_owned(),
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef".to_owned(),
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded".to_owned(),
        HaltReason::OutOfFunds => "insufficient balance for transfer".to_owned(),
        HaltReason::CallTooDeep => "max call depth exceeded".to_owned(),
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
