//! Executing and building blocks.

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{Eip658Value, Receipt, ReceiptEnvelope, Transaction, TxEnvelope, TxReceipt, TxType};
use alloy_evm::FromRecoveredTx;
use alloy_primitives::{Address, B256, Bloom};
use openledger_types::abi::DoubleSign;
use openledger_types::addresses::BURN;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;

use crate::env::BlockEnv;
use crate::error::{ExecutionError, Failure, TxError};
use crate::evm::BlockEvm;
use crate::overlay::Overlay;
use crate::state::{StateReader, StateWrites};
use crate::upgrades;
use crate::validators::{self, Turn};

/// Least gas of any transaction: a block with less left takes no more.
const LEAST_TRANSACTION_GAS: u64 = 21_000;

/// What one transaction did beside its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxOutcome {
    /// Gas of this transaction alone.
    pub gas_used: u64,
    /// Wei per gas that it paid.
    pub effective_gas_price: u128,
    /// The contract it created.
    pub contract_address: Option<Address>,
}

/// What a block did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockOutcome {
    /// Changes to the state of the parent.
    pub writes: StateWrites,
    /// One receipt per transaction.
    pub receipts: Vec<ReceiptEnvelope>,
    /// One outcome per transaction.
    pub transactions: Vec<TxOutcome>,
    /// Gas of all transactions.
    pub gas_used: u64,
    /// Bloom of all logs.
    pub logs_bloom: Bloom,
}

/// What a proposer could make of its candidates.
#[derive(Debug, Clone, Default)]
pub struct BuiltBlock {
    /// Double votes that the block punishes.
    pub evidence: Vec<DoubleSign>,
    /// Transactions of the block.
    pub included: Vec<Recovered<TxEnvelope>>,
    /// What they do.
    pub outcome: BlockOutcome,
    /// Candidates that may not be in this block, by hash. Those that only found no room are in neither list.
    pub rejected: Vec<(B256, TxError)>,
}

/// Executes the transactions of a block over the state of its parent; see [`execute_block_with`].
///
/// # Errors
/// Those of [`execute_block_with`].
pub fn execute_block(
    env: &BlockEnv,
    txs: &[Recovered<TxEnvelope>],
    state: &dyn StateReader,
) -> Result<BlockOutcome, ExecutionError> {
    execute_block_with(env, Turn::default(), &[], txs, state)
}

/// Executes a block over the state of its parent: counts the views that were passed over before its turn of consensus, punishes
/// those whose double votes it carries, then runs the transactions.
///
/// The base fee, and whatever else the EVM takes out of existence, is credited to [`BURN`] after the last transaction,
/// so the sum of all balances stays what it was. Then the last block of an epoch punishes who was absent, and elects validators.
///
/// # Errors
/// [`ExecutionError::InvalidTransaction`] and [`ExecutionError::InvalidEvidence`] if the block is invalid;
/// [`ExecutionError::State`], [`ExecutionError::UnknownUpgrade`] and [`ExecutionError::Internal`] say nothing about the block.
pub fn execute_block_with(
    env: &BlockEnv,
    turn: Turn,
    evidence: &[DoubleSign],
    txs: &[Recovered<TxEnvelope>],
    state: &dyn StateReader,
) -> Result<BlockOutcome, ExecutionError> {
    upgrades::check(env, state)?;
    let mut overlay = Overlay::new(env, state);
    validators::pass_over(env, &mut overlay, turn)?;
    for (index, double) in evidence.iter().enumerate() {
        if !validators::punish(env, &mut overlay, double)? {
            return Err(ExecutionError::InvalidEvidence { index, key: double.key });
        }
    }
    let mut block = OpenBlock::new(env, turn, overlay);
    for (index, tx) in txs.iter().enumerate() {
        block.push(tx).map_err(|failure| match failure {
            Failure::Transaction(reason) => {
                ExecutionError::InvalidTransaction { index, hash: *tx.tx_hash(), reason }
            }
            Failure::System(error) => error,
        })?;
    }
    block.close()
}

/// Builds a block out of candidates in their order; see [`build_block_with`].
///
/// # Errors
/// Those of [`build_block_with`].
pub fn build_block(
    env: &BlockEnv,
    candidates: impl Iterator<Item = Recovered<TxEnvelope>>,
    state: &dyn StateReader,
) -> Result<BuiltBlock, ExecutionError> {
    build_block_with(env, Turn::default(), Vec::new(), candidates, state)
}

/// Builds a block out of double votes and candidates in their order, leaving out those that may not be in it.
///
/// # Errors
/// [`ExecutionError::State`], [`ExecutionError::UnknownUpgrade`] and [`ExecutionError::Internal`]; never because of a
/// candidate.
pub fn build_block_with(
    env: &BlockEnv,
    turn: Turn,
    evidence: Vec<DoubleSign>,
    candidates: impl Iterator<Item = Recovered<TxEnvelope>>,
    state: &dyn StateReader,
) -> Result<BuiltBlock, ExecutionError> {
    upgrades::check(env, state)?;
    let mut overlay = Overlay::new(env, state);
    validators::pass_over(env, &mut overlay, turn)?;
    let mut built = BuiltBlock::default();
    for double in evidence {
        if validators::punish(env, &mut overlay, &double)? {
            built.evidence.push(double);
        }
    }
    let mut block = OpenBlock::new(env, turn, overlay);
    for tx in candidates {
        if block.gas_left() < LEAST_TRANSACTION_GAS {
            break;
        }
        match block.push(&tx) {
            Ok(()) => built.included.push(tx),
            // It fits an empty block, so a later one can take it.
            Err(Failure::Transaction(TxError::BlockGasExceeded { got, .. })) if got <= env.gas_limit => {}
            Err(Failure::Transaction(reason)) => built.rejected.push((*tx.tx_hash(), reason)),
            Err(Failure::System(error)) => return Err(error),
        }
    }
    built.outcome = block.close()?;
    Ok(built)
}

/// A block that still takes transactions.
struct OpenBlock<'s> {
    env: BlockEnv,
    turn: Turn,
    evm: BlockEvm<'s>,
    outcome: BlockOutcome,
}

impl<'s> OpenBlock<'s> {
    fn new(env: &BlockEnv, turn: Turn, overlay: Overlay<'s>) -> Self {
        let evm = BlockEvm::new(env.evm_env(), overlay);
        Self { env: *env, turn, evm, outcome: BlockOutcome::default() }
    }

    const fn gas_left(&self) -> u64 {
        self.env.gas_limit.saturating_sub(self.outcome.gas_used)
    }

    fn push(&mut self, tx: &Recovered<TxEnvelope>) -> Result<(), Failure> {
        let refuse = |reason| Err(Failure::Transaction(reason));
        if tx.tx_type() == TxType::Eip4844 {
            return refuse(TxError::BlobsNotSupported);
        }
        if tx.gas_limit() > self.gas_left() {
            return refuse(TxError::BlockGasExceeded { got: tx.gas_limit(), limit: self.gas_left() });
        }
        let result = self.evm.run_and_commit(TxEnv::from_recovered_tx(tx.inner(), tx.signer()))?;
        self.record(tx, result);
        Ok(())
    }

    fn record(&mut self, tx: &Recovered<TxEnvelope>, result: ExecutionResult) {
        let gas_used = result.tx_gas_used();
        self.outcome.gas_used = self.outcome.gas_used.saturating_add(gas_used);
        self.outcome.transactions.push(TxOutcome {
            gas_used,
            effective_gas_price: tx.effective_gas_price(Some(self.env.base_fee)),
            contract_address: result.created_address(),
        });
        let receipt = Receipt {
            status: Eip658Value::Eip658(result.is_success()),
            cumulative_gas_used: self.outcome.gas_used,
            logs: if result.is_success() { result.into_logs() } else { Vec::new() },
        }
        .into_with_bloom();
        self.outcome.logs_bloom |= receipt.bloom();
        self.outcome.receipts.push(match tx.tx_type() {
            TxType::Legacy => ReceiptEnvelope::Legacy(receipt),
            TxType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
            TxType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
            TxType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
            TxType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
        });
    }

    fn close(mut self) -> Result<BlockOutcome, ExecutionError> {
        let mut overlay = self.evm.into_overlay();
        overlay.credit(BURN, overlay.destroyed())?;
        validators::end_block(&self.env, &mut overlay, self.turn)?;
        self.outcome.writes = overlay.into_writes();
        Ok(self.outcome)
    }
}
