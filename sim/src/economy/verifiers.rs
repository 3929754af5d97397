//! Verifiers who work, who copy, who conspire and who are gone.

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::{BatchStatus, ISettlement, IStaking, StakeRole};
use openledger_types::addresses::{SETTLEMENT, STAKING};
use openledger_types::batch::verdict_commitment;
use rand::Rng;

use super::disputes::{dispute, epoch_of, stolen, wrong};
use super::market::{Market, Override, WORK, account, gain, in_open, open};
use super::plan::{Outcome, Play, largest};

/// What each side of a conspiracy may spend on appeals, OPEN.
const CHEST: u64 = 20_000;

/// Verifiers by name, with these stakes in OPEN.
fn bond(market: &mut Market, name: &str, stakes: &[u64]) -> Vec<Address> {
    let all: Vec<Address> = (0..stakes.len()).map(|number| account(name, number)).collect();
    for (verifier, stake) in all.iter().zip(stakes) {
        market.stake(*verifier, StakeRole::Verifier, open(*stake));
    }
    all
}

fn stakes(market: &mut Market, of: &[Address]) -> f64 {
    of.iter().map(|who| in_open(market.wealth(*who))).sum()
}

/// What became of honest and dishonest batches.
#[derive(Debug, Default)]
struct Conspiracy {
    rounds: usize,
    lies_paid: usize,
    truths_refused: usize,
    /// The cabal's part of all wealth at the end over its part at the beginning.
    retention: f64,
}

/// Has larger panels asked for as long as there are any: the cabal appeals whatever goes against it, and the honest operator
/// whatever goes against the truth, if somebody is `watched` for.
fn appeal(market: &mut Market, batch: U256, lies: bool, sides: &Sides, verdicts: &[(Address, B256)]) {
    let mut bond = market.param("appeal_bond");
    loop {
        let state = market.view(SETTLEMENT, ISettlement::batchCall { id: batch });
        let is_right = (state.agreeStake > state.disagreeStake) != lies;
        let appellant = if is_right { sides.cabal } else { sides.honest };
        let call = ISettlement::appealCall { batch };
        if !(is_right || sides.watched) || market.try_pay(appellant, SETTLEMENT, bond, &call).is_err() {
            return;
        }
        market.pass_blocks(1);
        market.verify(batch, verdicts);
        bond *= U256::from(4);
    }
}

/// Who appeals.
struct Sides {
    cabal: Address,
    honest: Address,
    /// Whether the honest do.
    watched: bool,
}

/// A cabal with this part of the verifiers' stake, in as many names as that buys, posts batches that pay itself and votes down
/// those of an honest operator. Somebody appeals from what is wrong, and challenges what is about to be paid wrongly, if `watched`.
fn conspire(play: &Play, honest: usize, percent: u64, watched: bool) -> Conspiracy {
    let mut rng = play.rng("cabal");
    let mut market = Market::new(play.seed, &[]);
    let honest_stakes: Vec<u64> = (0..honest).map(|_| rng.random_range(2_000..6_000)).collect();
    let total: u64 = honest_stakes.iter().sum();
    let bought = total * percent / (100 - percent);
    let names = honest.max(1) as u64;
    let cabal_stakes: Vec<u64> = (0..names).map(|_| (bought / names).max(1_000)).collect();
    let honest = bond(&mut market, "honest verifier", &honest_stakes);
    let cabal = bond(&mut market, "cabal verifier", &cabal_stakes);
    let (liar, victim) = (account("cabal operator", 0), account("honest operator", 0));
    for operator in [liar, victim] {
        market.stake(operator, StakeRole::Operator, open(50_000));
    }
    let accomplice = account("accomplice", 0);
    // What each side has for the bonds of its appeals.
    let sides = Sides { cabal: cabal[0], honest: victim, watched };
    for appellant in [sides.cabal, sides.honest] {
        market.fund(appellant, open(CHEST));
    }
    market.pass(2);
    let mut ours = cabal.clone();
    ours.extend([liar, accomplice]);
    let mut theirs = honest.clone();
    theirs.extend([victim]);
    let part = |market: &mut Market| {
        let (ours, theirs) = (stakes(market, &ours), stakes(market, &theirs));
        ours / (ours + theirs)
    };
    let before = part(&mut market);
    let mut found = Conspiracy { rounds: play.scaled(8, 4), ..Conspiracy::default() };
    for round in 0..found.rounds {
        for operator in [liar, victim] {
            let lies = operator == liar;
            if !market.view(STAKING, IStaking::isActiveCall { account: operator, role: StakeRole::Operator })
            {
                continue;
            }
            let key = market.payer(account("payer", round * 2 + usize::from(lies)), operator, open(500));
            let settled = epoch_of(&mut market, play, operator, key, 20);
            let payouts =
                if lies { stolen(&settled, accomplice) } else { settled.settlement.payouts.clone() };
            let posted = market.post(operator, round as u64, &settled, &payouts);
            let against = if lies { posted.claimed } else { wrong(&posted) };
            let verdicts: Vec<(Address, B256)> = honest
                .iter()
                .map(|v| (*v, posted.truth))
                .chain(cabal.iter().map(|v| (*v, against)))
                .collect();
            market.verify(posted.id, &verdicts);
            appeal(&mut market, posted.id, lies, &sides, &verdicts);
            let batch = market.view(SETTLEMENT, ISettlement::batchCall { id: posted.id });
            if watched && lies && batch.agreeStake > batch.disagreeStake {
                let judges: Vec<(Address, bool)> = honest
                    .iter()
                    .map(|v| (*v, false))
                    .chain(cabal.iter().map(|v| (*v, true)))
                    .filter(|(v, _)| {
                        market
                            .view(STAKING, IStaking::isActiveCall { account: *v, role: StakeRole::Verifier })
                    })
                    .collect();
                dispute(&mut market, &posted, operator, account("watcher", round), &judges);
            }
            let batch = market.view(SETTLEMENT, ISettlement::batchCall { id: posted.id });
            let status = match batch.status {
                BatchStatus::Posted => market.finalise(posted.id),
                decided => decided,
            };
            match (status, lies) {
                (BatchStatus::Finalised, true) => {
                    market.claim_all(&posted);
                    found.lies_paid += 1;
                }
                (BatchStatus::Finalised, false) => market.claim_all(&posted),
                (_, false) => found.truths_refused += 1,
                _ => {}
            }
        }
    }
    found.retention = part(&mut market) / before;
    found
}

/// P5: a cabal below half of the stake does not profit where everybody verifies.
pub(crate) fn cabal(play: &Play) -> Outcome {
    let percents: &[u64] = match (play.unprotected, play.small) {
        (true, _) => &[60],
        (false, true) => &[45],
        (false, false) => &[10, 30, 45, 49],
    };
    let all: Vec<Conspiracy> = percents.iter().map(|percent| conspire(play, 8, *percent, true)).collect();
    let retention = largest(all.iter().map(|found| found.retention));
    let lies: usize = all.iter().map(|found| found.lies_paid).sum();
    let refused: usize = all.iter().map(|found| found.truths_refused).sum();
    Outcome::new(
        retention <= 1.0 && lies == 0 && refused == 0,
        [
            ("cabal_share_retention", retention),
            ("cabal_lies_paid", lies as f64),
            ("cabal_truths_refused", refused as f64),
        ],
    )
}

/// P5 where a draw assigns some: what a cabal below half of the stake can do with the luck of the draw.
pub(crate) fn cabal_of_a_draw(play: &Play) -> Outcome {
    let honest = play.scaled(64, 32);
    let percents: &[u64] = if play.small { &[40] } else { &[33, 45] };
    let watched = !play.unprotected;
    let all: Vec<Conspiracy> =
        percents.iter().map(|percent| conspire(play, honest, *percent, watched)).collect();
    let retention = largest(all.iter().map(|found| found.retention));
    let rounds: usize = all.iter().map(|found| found.rounds).sum();
    let lies: usize = all.iter().map(|found| found.lies_paid).sum();
    let refused: usize = all.iter().map(|found| found.truths_refused).sum();
    Outcome::new(
        lies == 0 && refused == 0,
        [
            ("drawn_cabal_share_retention", retention),
            ("drawn_cabal_lies_paid_rate", lies as f64 / rounds as f64),
            ("drawn_cabal_truths_refused_rate", refused as f64 / rounds as f64),
        ],
    )
}

/// P6: who copies commitments loses against who works.
pub(crate) fn copier(play: &Play) -> Outcome {
    let mut rng = play.rng("copier");
    let mut market = Market::new(play.seed, &[]);
    let honest = bond(&mut market, "verifier", &[5_000, 5_000, 5_000]);
    let copier = bond(&mut market, "copier", &[5_000])[0];
    let operator = account("operator", 0);
    market.stake(operator, StakeRole::Operator, open(100_000));
    market.pass(2);
    let before = (market.wealth(honest[0]), market.wealth(copier));
    for round in 0..play.scaled(10, 4) {
        let key = market.payer(account("payer", round), operator, open(200));
        let settled = epoch_of(&mut market, play, operator, key, 4);
        let lies = rng.random_bool(0.2);
        let payouts = if lies {
            stolen(&settled, account("accomplice", 0))
        } else {
            settled.settlement.payouts.clone()
        };
        let posted = market.post(operator, round as u64, &settled, &payouts);
        // The copier takes the first commitment it sees; unprotected, it is told the digest and the salt as well.
        let registered =
            |market: &mut Market, v| market.view(STAKING, IStaking::stakerCall { account: v }).registeredAt;
        let first = registered(&mut market, honest[0]);
        let seen = verdict_commitment(honest[0], first, posted.id, posted.truth, WORK, B256::ZERO);
        let own = registered(&mut market, copier);
        let told = verdict_commitment(copier, own, posted.id, posted.truth, WORK, B256::ZERO);
        let commitment = if play.unprotected { told } else { seen };
        for v in &honest {
            let since = registered(&mut market, *v);
            let commitment = verdict_commitment(*v, since, posted.id, posted.truth, WORK, B256::ZERO);
            market.send(*v, SETTLEMENT, ISettlement::commitVerdictCall { batch: posted.id, commitment });
        }
        market.send(copier, SETTLEMENT, ISettlement::commitVerdictCall { batch: posted.id, commitment });
        market.pass_blocks(1);
        for v in honest.iter().chain([&copier]) {
            let call = ISettlement::revealVerdictCall {
                batch: posted.id,
                digest: posted.truth,
                trace: WORK,
                salt: B256::ZERO,
            };
            let revealed = market.try_send(*v, SETTLEMENT, &call).is_ok();
            assert!(revealed || *v == copier, "an honest verifier reveals what it committed to");
        }
        let windows = market.param("verify_window") + market.param("reveal_window");
        market.pass_blocks(windows.to::<u64>() + 1);
        market.finalise(posted.id);
        let punish = ISettlement::punishCall { batch: posted.id, verifier: copier };
        let _punished = market.try_send(account("anybody", 0), SETTLEMENT, &punish);
    }
    let honest_gain = gain(before.0, market.wealth(honest[0]));
    let copier_gain = gain(before.1, market.wealth(copier));
    Outcome::new(
        copier_gain < honest_gain,
        [("honest_verifier_gain_open", honest_gain), ("copier_gain_open", copier_gain)],
    )
}

/// P6, second part: who agrees with everything without looking loses against who works, before anybody counts what the work
/// costs.
pub(crate) fn lazy(play: &Play) -> Outcome {
    let overrides: &[Override] = if play.unprotected { &[("verifier_share", 0)] } else { &[] };
    let mut market = Market::new(play.seed, overrides);
    let honest = bond(&mut market, "verifier", &[5_000, 5_000, 5_000]);
    let lazy = bond(&mut market, "lazy", &[5_000])[0];
    market.pass(2);
    let before = (market.wealth(honest[0]), market.wealth(lazy));
    for round in 0..play.scaled(20, 6) {
        let operator = account("operator", round);
        market.stake(operator, StakeRole::Operator, open(10_000));
        let key = market.payer(account("payer", round), operator, open(200));
        market.pass(2);
        let settled = epoch_of(&mut market, play, operator, key, 4);
        let lies = round % 5 == 4;
        let payouts = if lies {
            stolen(&settled, account("accomplice", 0))
        } else {
            settled.settlement.payouts.clone()
        };
        let posted = market.post(operator, 1, &settled, &payouts);
        let mut verdicts: Vec<_> = honest.iter().map(|v| (*v, posted.truth, WORK)).collect();
        // Unprotected, the lazy one is told what stands in no file.
        let trace = if play.unprotected { WORK } else { B256::ZERO };
        verdicts.push((lazy, posted.claimed, trace));
        market.verify_with(posted.id, &verdicts);
        let status = market.finalise(posted.id);
        assert_eq!(status == BatchStatus::Finalised, !lies, "most of the stake looks");
        let punish = ISettlement::punishCall { batch: posted.id, verifier: lazy };
        let _punished = market.try_send(account("anybody", 0), SETTLEMENT, &punish);
    }
    let honest_gain = gain(before.0, market.wealth(honest[0]));
    let lazy_gain = gain(before.1, market.wealth(lazy));
    Outcome::new(
        lazy_gain < honest_gain,
        [("looking_verifier_gain_open", honest_gain), ("lazy_verifier_gain_open", lazy_gain)],
    )
}

/// P16, as far as the protocol goes: with a third of the verifiers gone every batch is still decided, and in the end nothing is
/// left in settlement.
pub(crate) fn crash(play: &Play) -> Outcome {
    let mut market = Market::new(play.seed, &[]);
    let verifiers = bond(&mut market, "verifier", &[5_000; 12]);
    let alive = if play.unprotected { 0 } else { 8 };
    let operator = account("operator", 0);
    market.stake(operator, StakeRole::Operator, open(10_000));
    market.pass(2);
    let rounds = play.scaled(10, 3);
    let mut paid = 0;
    for round in 0..rounds {
        let key = market.payer(account("payer", round), operator, open(200));
        let settled = epoch_of(&mut market, play, operator, key, 4);
        let posted = market.post(operator, round as u64, &settled, &settled.settlement.payouts);
        let verdicts: Vec<_> = verifiers.iter().take(alive).map(|v| (*v, posted.truth)).collect();
        market.verify(posted.id, &verdicts);
        if market.finalise(posted.id) == BatchStatus::Finalised {
            market.claim_all(&posted);
            paid += 1;
        }
    }
    let left = market.balance(SETTLEMENT);
    Outcome::new(
        paid == rounds && left == U256::ZERO,
        [
            ("batches_paid_without_a_third", f64::from(paid as u32) / rounds as f64),
            ("left_in_settlement_wei", f64::from(left)),
        ],
    )
}
