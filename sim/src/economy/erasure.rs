//! Contributors who take their records out again.

use alloy_primitives::{Address, B256, U256, keccak256};
use openledger_protocol::datanets::Reveal;
use openledger_types::abi::{IDatanets, StakeRole};
use openledger_types::addresses::DATANETS;

use super::market::{Cluster, Market, account, gain, open};
use super::nature::{Nature, split};
use super::plan::{Outcome, Play};

const CLUSTERS: usize = 6;

/// Contributes a cluster to the first Datanet, whose owner accepts it.
fn contribute(market: &mut Market, contributor: Address, number: usize) -> U256 {
    let name = |what: &str| keccak256(format!("{what} {number}"));
    let reveal = Reveal {
        datanet: U256::ONE,
        records_root: name("records"),
        file_hash: name("file"),
        records: 1,
        salt: B256::ZERO,
    };
    let commitment = reveal.commitment(contributor);
    market.send(contributor, DATANETS, IDatanets::commitCall { datanet: U256::ONE, commitment });
    market.pass_blocks(1);
    let call = IDatanets::revealCall {
        datanet: U256::ONE,
        recordsRoot: reveal.records_root,
        fileHash: reveal.file_hash,
        records: 1,
        salt: B256::ZERO,
    };
    let contribution = market.send(contributor, DATANETS, call);
    market.send(account("owner", 0), DATANETS, IDatanets::acceptCall { contribution });
    contribution
}

/// P17: what is withdrawn earns nothing from then on, what it earned before is paid, and nobody else gets less.
pub(crate) fn erasure(play: &Play) -> Outcome {
    let mut rng = play.rng("erasure");
    let mut market = Market::new(play.seed, &[]);
    let operator = account("operator", 0);
    market.stake(operator, StakeRole::Operator, open(10_000));
    let verifiers = [account("verifier", 0)];
    market.stake(verifiers[0], StakeRole::Verifier, open(5_000));
    let contributors: Vec<Address> = (0..CLUSTERS).map(|number| account("contributor", number)).collect();
    let contributions: Vec<U256> =
        (0..CLUSTERS).map(|number| contribute(&mut market, contributors[number], number)).collect();
    let key = market.payer(account("payer", 0), operator, open(10_000));
    let nature = Nature::new(&mut rng, CLUSTERS, 2);
    let asked: Vec<_> = (0..30).map(|_| nature.ask(&mut rng, key, open(5))).collect();
    let (answers, influence) = split(&asked);
    market.pass_blocks(2);

    let settle = |market: &mut Market| {
        let time = market.storage.block.timestamp;
        let clusters: Vec<Cluster> = contributions
            .iter()
            .map(|contribution| {
                let call = IDatanets::payeeAtCall { contribution: *contribution, time };
                Cluster { owner: market.view(DATANETS, call), length: 1_000 }
            })
            .collect();
        market.settle(operator, &answers, &clusters, &influence)
    };
    let wealth = |market: &mut Market| -> Vec<U256> {
        contributors.iter().map(|contributor| market.wealth(*contributor)).collect()
    };
    // An epoch is posted, then the first contributor leaves, then it is paid.
    let start = wealth(&mut market);
    let settled = settle(&mut market);
    let posted = market.post(operator, 1, &settled, &settled.settlement.payouts);
    if !play.unprotected {
        let call = IDatanets::withdrawCall { contribution: contributions[0] };
        market.send(contributors[0], DATANETS, call);
    }
    market.verify(posted.id, &[(verifiers[0], posted.truth)]);
    market.finalise(posted.id);
    market.claim_all(&posted);
    let paid = wealth(&mut market);
    let settled = settle(&mut market);
    market.epoch(operator, 2, &settled, &verifiers);
    let end = wealth(&mut market);
    let past = gain(start[0], paid[0]);
    let future = gain(paid[0], end[0]);
    let others: f64 =
        (1..CLUSTERS).map(|n| gain(paid[n], end[n]) / gain(start[n], paid[n])).fold(f64::INFINITY, f64::min);
    Outcome::new(
        past > 0.0 && future == 0.0 && others >= 1.0 - 1e-12,
        [
            ("withdrawn_past_income_open", past),
            ("withdrawn_future_income_open", future),
            ("income_of_others_after_over_before_min", others),
        ],
    )
}
