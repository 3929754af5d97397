//! Executes a chain again from its genesis, on a state and in a store of its own, beside everything that ran.

use crate::{
    IndexedBlock, block,
    ledger::base_fee_after,
    state::{self, Databases},
};
use alloy_consensus::{Header, TxEnvelope, proofs, transaction::TxHashRef};
use alloy_primitives::{B256, U256};
use commonware_glue::stateful::db::{DatabaseSet, Merkleized as _, Unmerkleized as _};
use commonware_runtime::{Runner as _, buffer::paged::CacheRef, deterministic};
use commonware_utils::{NZU16, NZUsize};
use openledger_execution::{BlockEnv, BlockOutcome, Genesis, MapState, execute_block_with, validator_set};
use std::collections::BTreeSet;

/// A chain that was executed again.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The state after the last block.
    pub state: MapState,
    /// The sum of all balances after each block.
    pub totals: Vec<U256>,
    /// Epochs with other keys than the one before.
    pub changed: u64,
}

/// Executes `blocks`, from genesis on, and compares every header with what its block gives.
///
/// # Errors
/// Which block differs, and in what.
pub fn replay(genesis: &Genesis, blocks: &[IndexedBlock]) -> Result<Replayed, String> {
    let runner = deterministic::Runner::new(deterministic::Config::new());
    runner.start(|context| async move { execute(context, genesis, blocks).await })
}

async fn execute(
    context: deterministic::Context,
    genesis: &Genesis,
    blocks: &[IndexedBlock],
) -> Result<Replayed, String> {
    let cache = CacheRef::new(NZU16!(1024), NZUsize!(256));
    let config = state::store_config("", cache, NZUsize!(1 << 12));
    let store = <Databases<deterministic::Context> as DatabaseSet<deterministic::Context>>::init(
        context, config, None,
    )
    .await;
    let allotted = genesis.state_writes().map_err(|error| error.to_string())?;
    let mut first = Some(state::entries(&allotted));
    let mut replayed = Replayed { state: MapState::new(allotted), totals: Vec::new(), changed: 0 };
    let mut voters = Vec::new();
    replayed.totals.push(replayed.state.total_balance());
    let mut included = BTreeSet::new();
    let (start, rest) = blocks.split_first().ok_or("there is no block")?;
    if start.header.header.mix_hash != genesis.hash() {
        return Err("block 0 is not that of the genesis".into());
    }
    let mut parent = &start.header;
    replayed.state.set_block_hash(0, parent.hash);
    for block in rest {
        let header = &block.header.header;
        let failed = |reason: String| format!("block {}: {reason}", header.number);
        for transaction in &block.transactions {
            if !included.insert(*transaction.tx_hash()) {
                return Err(failed(format!("{} is in a block before", transaction.tx_hash())));
            }
        }
        let epoch = header.number / genesis.election.epoch_blocks;
        let seats = validator_set(&replayed.state, epoch).map_err(|error| failed(error.to_string()))?;
        if !seats.iter().any(|seat| seat.account == header.beneficiary) {
            return Err(failed(format!(
                "it pays {}, which has no seat in epoch {epoch}",
                header.beneficiary
            )));
        }
        let mut now: Vec<_> = seats.iter().map(|seat| seat.key).collect();
        now.sort_unstable();
        replayed.changed += u64::from(!voters.is_empty() && voters != now);
        voters = now;
        let env = env(genesis, &parent.header, parent.hash, header);
        let outcome =
            execute_block_with(&env, block.turn, &block.evidence, &block.transactions, &replayed.state)
                .map_err(|error| failed(error.to_string()))?;
        let batch = store.new_batches().await;
        let batch = first.take().iter().fold(batch, state::write);
        let sealed = state::write(batch, &state::entries(&outcome.writes));
        let sealed = sealed.merkleize().await.map_err(|error| failed(error.to_string()))?;
        let transactions: Vec<TxEnvelope> =
            block.transactions.iter().map(|transaction| transaction.inner().clone()).collect();
        let expected = expected(&env, header, block::hash(&sealed.root()), &transactions, &outcome);
        if expected != *header || expected.hash_slow() != block.header.hash {
            return Err(failed(format!("its header is {header:?}, execution gives {expected:?}")));
        }
        if header.timestamp < parent.header.timestamp {
            return Err(failed("its time is before its parent's".into()));
        }
        store.apply(sealed).await;
        replayed.state.apply(outcome.writes);
        replayed.state.set_block_hash(header.number, block.header.hash);
        replayed.totals.push(replayed.state.total_balance());
        parent = &block.header;
    }
    Ok(replayed)
}

/// The environment of a block: what its proposer chose (time, who is paid, randomness) as it says, the rest by the rules.
fn env(genesis: &Genesis, above: &Header, parent_hash: B256, header: &Header) -> BlockEnv {
    BlockEnv {
        chain_id: genesis.chain_id,
        number: above.number + 1,
        timestamp: header.timestamp,
        beneficiary: header.beneficiary,
        gas_limit: genesis.gas_limit,
        base_fee: base_fee_after(above),
        prevrandao: header.mix_hash,
        parent_hash,
    }
}

fn expected(
    env: &BlockEnv,
    header: &Header,
    state_root: B256,
    transactions: &[TxEnvelope],
    outcome: &BlockOutcome,
) -> Header {
    Header {
        parent_hash: env.parent_hash,
        number: env.number,
        gas_limit: env.gas_limit,
        base_fee_per_gas: Some(env.base_fee),
        state_root,
        transactions_root: proofs::calculate_transaction_root(transactions),
        receipts_root: proofs::calculate_receipt_root(&outcome.receipts),
        logs_bloom: outcome.logs_bloom,
        gas_used: outcome.gas_used,
        ..header.clone()
    }
}
