//! Many accounts claim from one batch.

use std::time::Instant;

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall;
use anyhow::{Context, Result, ensure};
use openledger_execution::StateReader;
use openledger_types::abi::ISettlement;
use openledger_types::addresses::SETTLEMENT;
use openledger_types::batch::{Payout, PayoutKind, payout_leaf};
use openledger_types::merkle;

use super::chain::{Chain, OPERATOR, VERIFIER, account, batch, open_market};
use super::gas::verify;
use crate::report::{Report, note, progress};

/// Claims of a block: well within its gas.
const PER_BLOCK: usize = 400;

pub(super) fn measure(count: usize, report: &mut Report) -> Result<()> {
    note(format!("claims of {count} accounts ..."));
    let start = Instant::now();
    let mut chain = Chain::new(account(50))?;
    open_market(&mut chain)?;
    let owner = |index: usize| Address::left_padding_from(&(0x1_0000_0000_u64 + index as u64).to_be_bytes());
    let (post, payouts) = batch(chain.now(), 1, 1_000_000, |split, fees| {
        let parts = split.split(fees);
        let whole = parts.contributors + parts.developer + parts.operator;
        let part = whole / U256::from(count);
        let mut payouts: Vec<_> = (0..count)
            .map(|index| Payout { role: PayoutKind::Contributor, account: owner(index), amount: part })
            .collect();
        payouts[0].amount += whole - part * U256::from(count);
        payouts
    });
    let call = ISettlement::postCall { batch: post };
    let posted = chain.send(account(OPERATOR), SETTLEMENT, U256::ZERO, &call)?;
    verify(&mut chain, U256::ONE, VERIFIER, true)?;
    let finalised =
        chain.send(account(9), SETTLEMENT, U256::ZERO, &ISettlement::finaliseCall { batch: U256::ONE })?;
    let verdict = ISettlement::claimVerdictCall { batch: U256::ONE, verifier: account(VERIFIER) };
    chain.send(account(9), SETTLEMENT, U256::ZERO, &verdict)?;
    let proofs = proofs(&payouts);
    let (mut all, mut most) = (0_u64, 0_u64);
    let claiming = Instant::now();
    for (first, lines) in
        payouts.chunks(PER_BLOCK).enumerate().map(|(block, lines)| (block * PER_BLOCK, lines))
    {
        let txs: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(line, payout)| {
                let index = first + line;
                let call = ISettlement::claimCall {
                    batch: U256::ONE,
                    index: U256::from(index),
                    account: payout.account,
                    role: payout.role.into(),
                    amount: payout.amount,
                    proof: proofs(index),
                };
                chain.tx(account(9), SETTLEMENT, U256::ZERO, call.abi_encode().into())
            })
            .collect();
        for gas in chain.block(&txs)? {
            all += gas;
            most = most.max(gas);
        }
        progress("claims", first + lines.len(), count);
    }
    let seconds = claiming.elapsed().as_secs_f64();
    for payout in &payouts {
        let paid = chain.state.account(payout.account)?.context("who claimed has an account")?.balance;
        ensure!(paid == payout.amount, "{} was paid {paid}, not {}", payout.account, payout.amount);
    }
    let left = chain.state.account(SETTLEMENT)?.unwrap_or_default().balance;
    ensure!(left.is_zero(), "{left} wei of the batch are left");
    report.figure("claims_in_one_batch", count);
    report.figure("claim_gas_mean", all / count as u64);
    report.figure("claim_gas_most", most);
    report.figure("claims_per_second", count as f64 / seconds);
    report.figure("claims_post_gas", posted.gas);
    report.figure("claims_finalise_gas", finalised.gas);
    report.figure("seconds_claims", start.elapsed().as_secs_f64());
    Ok(())
}

/// Proofs by index: the tree of `payout_tree`, with its leaves' places looked up instead of searched.
fn proofs(payouts: &[Payout]) -> impl Fn(usize) -> Vec<alloy_primitives::B256> {
    let leaves: Vec<_> =
        payouts.iter().enumerate().map(|(index, payout)| payout_leaf(index, payout)).collect();
    let mut sorted = leaves.clone();
    sorted.sort_unstable();
    let count = sorted.len();
    let mut nodes = vec![alloy_primitives::B256::ZERO; 2 * count - 1];
    for (index, leaf) in sorted.iter().enumerate() {
        nodes[2 * count - 2 - index] = *leaf;
    }
    for index in (0..count - 1).rev() {
        nodes[index] = merkle::pair(nodes[2 * index + 1], nodes[2 * index + 2]);
    }
    move |index| {
        let place = sorted.binary_search(&leaves[index]).expect("every leaf is in the sorted list");
        let mut node = 2 * count - 2 - place;
        let mut proof = Vec::new();
        while node > 0 {
            proof.push(nodes[if node % 2 == 1 { node + 1 } else { node - 1 }]);
            node = (node - 1) / 2;
        }
        proof
    }
}
