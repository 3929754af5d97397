//! Execution and signature recovery alone, on one thread.

use std::time::Instant;

use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, U256};
use anyhow::{Context, Result};
use openledger_execution::{AccountState, BlockEnv, MapState, StateWrites, execute_block};

use super::load::{CHAIN_ID, Load, TRANSFER_GAS};
use super::{median, sorted};
use crate::report::Report;

/// Gas of a block, as in a local network's genesis.
const BLOCK_GAS: u64 = 60_000_000;
/// Wei of every account: a million OPEN.
const BALANCE: u128 = 1_000_000_000_000_000_000_000_000;

pub(super) fn measure(transfers: &Load, runs: usize, report: &mut Report) -> Result<()> {
    let decoded = transfers
        .rounds()
        .map(|raw| TxEnvelope::decode_2718(&mut raw.as_ref()))
        .collect::<Result<Vec<_>, _>>()
        .context("a signed transfer decodes")?;
    let start = Instant::now();
    let recovered = decoded
        .into_iter()
        .map(TxEnvelope::try_into_recovered)
        .collect::<Result<Vec<_>, _>>()
        .context("a signed transfer has a sender")?;
    report.figure("recovery_tps", recovered.len() as f64 / start.elapsed().as_secs_f64());
    let mut rates = Vec::new();
    for _ in 0..runs {
        rates.push(recovered.len() as f64 / execute(&recovered)?);
    }
    let rates = sorted(rates.into_iter());
    report.figure("executor_tps", median(&rates));
    report.figure("executor_tps_least", rates.first());
    report.figure("executor_tps_most", rates.last());
    Ok(())
}

/// Seconds for all transfers, block after block.
fn execute(recovered: &[Recovered<TxEnvelope>]) -> Result<f64> {
    let account = AccountState { balance: U256::from(BALANCE), ..AccountState::default() };
    let accounts = recovered.iter().map(|transfer| (transfer.signer(), Some(account))).collect();
    let mut state = MapState::new(StateWrites { accounts, ..StateWrites::default() });
    let per_block = usize::try_from(BLOCK_GAS / TRANSFER_GAS)?;
    let start = Instant::now();
    for (number, block) in (1..).zip(recovered.chunks(per_block)) {
        let env = BlockEnv {
            chain_id: CHAIN_ID,
            number,
            timestamp: number,
            beneficiary: Address::repeat_byte(7),
            gas_limit: BLOCK_GAS,
            base_fee: 1_000_000_000,
            prevrandao: B256::ZERO,
            parent_hash: B256::ZERO,
        };
        let outcome = execute_block(&env, block, &state).context("executing transfers")?;
        state.apply(outcome.writes);
    }
    Ok(start.elapsed().as_secs_f64())
}
