//! Brings the index level with the state by executing stored blocks again, in memory, from genesis.

use crate::{Block, ChainError, ledger::Ledger, runtime::Runtime};
use alloy_consensus::{proofs, transaction::SignerRecoverable};
use commonware_consensus::{
    marshal::{Identifier, core::Mailbox, standard::Standard},
    simplex::scheme::ed25519::Scheme,
    types::Height,
};
use openledger_execution::{MapState, execute_block_with};
use std::sync::Arc;

/// Adds to the index what it misses up to `height`.
///
/// # Errors
/// [`ChainError::Index`] if it cannot be written, or if a stored block does not give what its header says.
pub(crate) async fn index<E: Runtime>(
    ledger: &Arc<Ledger>,
    marshal: &Mailbox<Scheme, Standard<Block>>,
    height: u64,
) -> Result<(), ChainError> {
    let last = ledger.index.last()?;
    if last.is_none() {
        ledger.index.put(&ledger.genesis_block, &[], &Default::default())?;
    }
    let last = last.unwrap_or(0);
    if last >= height {
        return Ok(());
    }
    tracing::info!(from = last + 1, to = height, "rebuilding the index from the stored blocks");
    let failed = |reason: String| ledger.index.failed(reason);
    let writes = ledger.genesis.state_writes().map_err(|error| failed(error.to_string()))?;
    let mut state = MapState::new(writes);
    state.set_block_hash(0, ledger.genesis_block.hash());
    for number in 1..=height {
        let block = marshal
            .get_block(Identifier::Height(Height::new(number)))
            .await
            .ok_or_else(|| {
                failed(format!(
                    "block {number} is not stored; a folder that started from a checkpoint has to start anew without its index"
                ))
            })?;
        let ledger = ledger.clone();
        state = E::compute(move || replay(&ledger, block.inner(), state, number > last)).await?;
    }
    Ok(())
}

fn replay(ledger: &Ledger, block: &Block, mut state: MapState, wanted: bool) -> Result<MapState, ChainError> {
    let failed = |reason: String| ledger.index.failed(format!("block {}: {reason}", block.number()));
    let transactions = block
        .transactions()
        .iter()
        .map(|transaction| transaction.clone().try_into_recovered())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(error.to_string()))?;
    let (env, seal) = (ledger.env_of(block.header()), block.seal());
    let outcome = execute_block_with(&env, seal.turn(), &seal.evidence, &transactions, &state)
        .map_err(|error| failed(error.to_string()))?;
    if proofs::calculate_receipt_root(&outcome.receipts) != block.header().receipts_root {
        return Err(failed("executing it again gives other receipts".into()));
    }
    if wanted {
        let senders: Vec<_> = transactions.iter().map(|transaction| transaction.signer()).collect();
        ledger.index.put(block, &senders, &outcome)?;
    }
    state.apply(outcome.writes);
    state.set_block_hash(block.number(), block.hash());
    Ok(state)
}
