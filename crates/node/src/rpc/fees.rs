//! What gas costs.

use super::{
    blocks,
    error::{self, Answer},
};
use alloy_consensus::Transaction as _;
use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::FeeHistory;
use openledger_chain::ChainHandle;

/// Blocks that a suggestion looks at, and the percentile it takes: geth's defaults.
const SUGGEST_BLOCKS: u64 = 20;
const SUGGEST_PERCENTILE: usize = 60;
/// The tip that is suggested where nobody pays one: enough to be before those who pay nothing.
const LEAST_TIP: u128 = 1_000_000;
/// geth's limits.
const MAX_HISTORY: u64 = 1024;
const MAX_PERCENTILES: usize = 100;

/// A tip that recent blocks accepted.
pub(super) fn suggested_tip(chain: &ChainHandle) -> Answer<u128> {
    let head = chain.head().header.number;
    let mut tips = Vec::new();
    for number in (head.saturating_sub(SUGGEST_BLOCKS) + 1)..=head {
        let Some(block) = chain.block(number).map_err(error::chain)? else { continue };
        let base_fee = block.header.header.base_fee_per_gas.unwrap_or_default();
        tips.extend(block.transactions.iter().filter_map(|tx| tx.effective_tip_per_gas(base_fee)));
    }
    tips.sort_unstable();
    let position = tips.len().saturating_sub(1) * SUGGEST_PERCENTILE / 100;
    Ok(tips.get(position).copied().unwrap_or_default().max(LEAST_TIP))
}

/// A price with which a legacy transaction is included soon.
pub(super) fn gas_price(chain: &ChainHandle) -> Answer<u128> {
    Ok(suggested_tip(chain)? + u128::from(chain.next_base_fee()))
}

pub(super) fn history(
    chain: &ChainHandle,
    count: u64,
    newest: BlockNumberOrTag,
    percentiles: Option<Vec<f64>>,
) -> Answer<FeeHistory> {
    let percentiles = percentiles.unwrap_or_default();
    if percentiles.len() > MAX_PERCENTILES {
        return Err(error::server(format!("over the query limit of {MAX_PERCENTILES} percentiles")));
    }
    for (position, percentile) in percentiles.iter().enumerate() {
        if !(0.0..=100.0).contains(percentile) {
            return Err(error::server(format!("invalid reward percentile: {percentile:.6}")));
        }
        let before = position.checked_sub(1).map_or(-1.0, |before| percentiles[before]);
        if *percentile <= before {
            return Err(error::server(format!(
                "invalid reward percentile: #{}:{before:.6} >= #{position}:{percentile:.6}",
                position - 1
            )));
        }
    }
    let newest = blocks::height(chain, newest);
    let head = chain.head().header.number;
    if newest > head {
        return Err(error::server(format!("request beyond head block: requested {newest}, head {head}")));
    }
    let count = count.min(MAX_HISTORY).min(newest + 1);
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    let oldest = newest + 1 - count;

    let mut history = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
    let mut rewards = Vec::new();
    let mut next = 0;
    for number in oldest..=newest {
        let Some(indexed) = chain.header(number).map_err(error::chain)? else { continue };
        let header = &indexed.header;
        history.base_fee_per_gas.push(header.base_fee_per_gas.unwrap_or_default().into());
        history.gas_used_ratio.push(header.gas_used as f64 / header.gas_limit as f64);
        next = chain.base_fee_after(header);
        if !percentiles.is_empty() {
            rewards.push(rewards_of(chain, number, header.gas_used, &percentiles)?);
        }
    }
    history.base_fee_per_gas.push(next.into());
    if !percentiles.is_empty() {
        history.reward = Some(rewards);
    }
    Ok(history)
}

/// The tips at these percentiles of a block's gas.
fn rewards_of(chain: &ChainHandle, number: u64, gas_used: u64, percentiles: &[f64]) -> Answer<Vec<u128>> {
    let block = chain.block(number).map_err(error::chain)?;
    let receipts = chain.receipts(number).map_err(error::chain)?;
    let Some((block, receipts)) = block.zip(receipts) else { return Ok(vec![0; percentiles.len()]) };
    let base_fee = block.header.header.base_fee_per_gas.unwrap_or_default();
    let mut paid: Vec<(u128, u64)> = block
        .transactions
        .iter()
        .zip(&receipts)
        .map(|(tx, receipt)| {
            (tx.effective_tip_per_gas(base_fee).unwrap_or_default(), receipt.outcome.gas_used)
        })
        .collect();
    paid.sort_unstable();
    let at = |percentile: &f64| {
        let threshold = gas_used as f64 * percentile / 100.0;
        let mut sum = 0;
        for (tip, gas) in &paid {
            sum += gas;
            if sum as f64 >= threshold {
                return *tip;
            }
        }
        paid.last().map_or(0, |(tip, _)| *tip)
    };
    Ok(percentiles.iter().map(at).collect())
}
