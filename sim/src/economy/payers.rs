//! The books: what payers signed, what lies in escrow and settlement, and whether all OPEN is where it must be.

use alloy_primitives::{Address, B256, U256};
use openledger_protocol::Storage;
use openledger_protocol::params::{PARAMS, init_governor, param_name};
use openledger_types::abi::{BatchStatus, IEscrow, IOpen, IParams, StakeRole};
use openledger_types::addresses::{ESCROW, OPEN, PARAMS as MODULE, SETTLEMENT};
use openledger_types::amount::SUPPLY;
use rand::Rng;
use rand::rngs::StdRng;

use super::market::{Cluster, DAY, Market, account, faucet, open};
use super::nature::{Nature, split};
use super::plan::{Outcome, Play};
use super::wash::{Ring, return_on, without_leak};

/// A payer as it remembers itself.
struct Payer {
    account: Address,
    /// Keys with what the payer signed for each.
    keys: Vec<(B256, U256)>,
}

/// A town with payers who deposit, withdraw, sign and revoke at random, and an operator who charges what it can.
struct Town {
    market: Market,
    operator: Address,
    verifiers: Vec<Address>,
    payers: Vec<Payer>,
    clusters: Vec<Cluster>,
    nature: Nature,
    batches: Vec<U256>,
    /// Charges above a cap that were tried, and refused.
    overcharges: (u32, u32),
}

impl Town {
    fn new(play: &Play, overcaps: u64) -> Self {
        let mut rng = play.rng("payers");
        let mut market = Market::new(play.seed, &[]);
        let operator = account("operator", 0);
        market.stake(operator, StakeRole::Operator, open(50_000));
        market.stake(account("validator", 0), StakeRole::Validator, open(20_000));
        let verifiers: Vec<Address> = (0..3).map(|number| account("verifier", number)).collect();
        for verifier in &verifiers {
            market.stake(*verifier, StakeRole::Verifier, open(5_000));
        }
        market.pass(2);
        let payers = (0..play.scaled(8, 4))
            .map(|number| {
                let payer = account("payer", number);
                let signed = open(rng.random_range(20..200));
                market.fund(payer, open(10_000));
                market.pay(payer, ESCROW, open(1_000), IEscrow::depositCall {});
                let key = market.key(payer, operator, signed * U256::from(overcaps));
                Payer { account: payer, keys: vec![(key, signed)] }
            })
            .collect();
        let nature = Nature::new(&mut rng, 12, 3);
        let clusters =
            (0..12).map(|number| Cluster { owner: account("contributor", number), length: 1_000 }).collect();
        Self {
            market,
            operator,
            verifiers,
            payers,
            clusters,
            nature,
            batches: Vec::new(),
            overcharges: (0, 0),
        }
    }

    /// A day of it.
    fn day(&mut self, rng: &mut StdRng, number: u64) {
        let mut asked = Vec::new();
        for payer in &mut self.payers {
            let (account, operator) = (payer.account, self.operator);
            match rng.random_range(0..5) {
                0 => {
                    let amount = open(rng.random_range(1..300));
                    let call = IEscrow::requestWithdrawalCall { amount };
                    let _refused = self.market.try_send(account, ESCROW, &call);
                }
                1 => {
                    let _refused = self.market.try_send(account, ESCROW, &IEscrow::withdrawCall {});
                }
                2 => {
                    let amount = open(rng.random_range(1..50));
                    let _refused = self.market.try_pay(account, ESCROW, amount, &IEscrow::depositCall {});
                }
                3 => {
                    let signed = open(rng.random_range(5..60));
                    let key = self.market.key(account, operator, signed);
                    payer.keys.push((key, signed));
                }
                _ => {}
            }
            let (key, _) = payer.keys[rng.random_range(0..payer.keys.len())];
            let fee = open(1) * U256::from(rng.random_range(1_u64..40_000)) / U256::from(1_000);
            asked.push(self.nature.ask(rng, key, fee));
        }
        // What a key or a deposit does not hold any more is refused whole: the operator leaves it out and posts the rest.
        let mut kept = Vec::new();
        for asked in asked {
            let key = self.market.view(ESCROW, IEscrow::authorisationCall { key: asked.answer.key });
            let deposit = self.market.view(ESCROW, IEscrow::balanceOfCall { payer: key.payer });
            if key.spent + asked.answer.fee > key.cap {
                self.overcharges.0 += 1;
                self.overcharges.1 += u32::from(self.refused(number, &asked));
            } else if deposit >= asked.answer.fee {
                kept.push(asked);
            }
        }
        if kept.is_empty() {
            return;
        }
        let (answers, influence) = split(&kept);
        let settled = self.market.settle(self.operator, &answers, &self.clusters, &influence);
        let posted = self.market.post(self.operator, number, &settled, &settled.settlement.payouts);
        self.batches.push(posted.id);
        let lazy = rng.random_bool(0.2);
        let verdicts: Vec<_> = self.verifiers.iter().map(|v| (*v, posted.truth)).filter(|_| !lazy).collect();
        self.market.verify(posted.id, &verdicts);
        if self.market.finalise(posted.id) == BatchStatus::Finalised && rng.random_bool(0.8) {
            self.market.claim_all(&posted);
        }
        self.market.pass(DAY / 4);
    }

    /// Tries to charge a key above its cap.
    fn refused(&mut self, number: u64, asked: &super::nature::Asked) -> bool {
        let (answers, influence) = split(std::slice::from_ref(asked));
        let settled = self.market.settle(self.operator, &answers, &self.clusters, &influence);
        let mut copy = self.market.clone();
        let post = copy.post_call(self.operator, number, &settled, &settled.settlement.payouts);
        copy.try_send(self.operator, SETTLEMENT, &post).is_err()
    }

    /// Wei that escrow lacks of what it owes its payers, and settlement of what batches owe.
    fn missing(&mut self) -> f64 {
        let mut owed = U256::ZERO;
        for payer in &self.payers {
            owed += self.market.view(ESCROW, IEscrow::balanceOfCall { payer: payer.account });
            owed += self.market.view(ESCROW, IEscrow::withdrawalCall { payer: payer.account }).amount;
        }
        let escrow = self.market.balance(ESCROW);
        let mut held = U256::ZERO;
        for batch in &self.batches {
            held += openledger_protocol::settlement::held(&mut self.market.storage, *batch)
                .expect("it was posted");
        }
        let settlement = self.market.balance(SETTLEMENT);
        f64::from(owed.saturating_sub(escrow)) + f64::from(held.saturating_sub(settlement))
    }

    /// Wei by which all balances, or what `supply` says of them, differ from the genesis supply.
    fn unaccounted(&mut self) -> f64 {
        let supply = self.market.view(OPEN, IOpen::supplyCall {});
        let parts = supply.vesting
            + supply.treasury
            + supply.datanets
            + supply.escrow
            + supply.settlement
            + supply.staking
            + supply.circulating;
        let difference = |a: U256, b: U256| f64::from(a.abs_diff(b));
        difference(self.market.storage.total_balance(), SUPPLY)
            + difference(supply.total + supply.burnt, SUPPLY)
            + difference(parts, supply.total)
    }

    /// Keys that were charged more than the payer signed.
    fn overcharged(&mut self) -> usize {
        let keys: Vec<_> = self.payers.iter().flat_map(|payer| payer.keys.clone()).collect();
        keys.into_iter()
            .filter(|(key, signed)| {
                self.market.view(ESCROW, IEscrow::authorisationCall { key: *key }).spent > *signed
            })
            .count()
    }
}

/// Plays a town and asks something of it after every day.
fn days(play: &Play, overcaps: u64, mut ask: impl FnMut(&mut Town) -> f64) -> (Town, f64) {
    let mut rng = play.rng("days");
    let mut town = Town::new(play, overcaps);
    let mut most: f64 = 0.0;
    for number in 0..play.scaled(30, 8) {
        town.day(&mut rng, number as u64);
        most = most.max(ask(&mut town));
    }
    (town, most)
}

/// P1: all OPEN is somewhere, to the wei, after every epoch.
pub(crate) fn conservation(play: &Play) -> Outcome {
    let (town, most) = days(play, 1, |town| {
        if play.unprotected {
            town.market.storage.balances.insert(account("minter", 0), U256::ONE);
        }
        town.unaccounted()
    });
    Outcome::new(most == 0.0, [("unaccounted_wei_max", most), ("batches_posted", town.batches.len() as f64)])
}

/// P11: no payer is charged more than they signed, by whatever keys.
pub(crate) fn caps(play: &Play) -> Outcome {
    let overcaps = if play.unprotected { 100 } else { 1 };
    let (town, most) = days(play, overcaps, |town| town.overcharged() as f64);
    let (tried, refused) = town.overcharges;
    Outcome::new(
        most == 0.0 && tried == refused,
        [
            ("keys_overcharged", most),
            ("overcharges_tried", f64::from(tried)),
            ("overcharges_refused", f64::from(refused)),
        ],
    )
}

/// P12: escrow and settlement hold what they owe, always.
pub(crate) fn solvency(play: &Play) -> Outcome {
    let (_, most) = days(play, 1, |town| {
        if play.unprotected {
            town.market.storage.transfer(ESCROW, faucet(), U256::ONE).expect("deposits lie there");
        }
        town.missing()
    });
    Outcome::new(most == 0.0, [("missing_wei_max", most)])
}

/// P13: wherever governance goes within its bounds, the books balance and a ring that holds every role loses.
pub(crate) fn governance(play: &Play) -> Outcome {
    let mut rng = play.rng("governance");
    let governor = account("governor", 0);
    let mut most: f64 = f64::NEG_INFINITY;
    let mut scheduled = 0;
    for hostile in [false, true] {
        let mut market = Market::new(play.seed, &[]);
        init_governor(&mut market.storage, governor).expect("a storage in memory does not fail");
        for _ in 0..play.scaled(40, 12) {
            scheduled += usize::from(step(&mut market, governor, &mut rng, hostile));
            market.pass(DAY);
        }
        if play.unprotected {
            without_leak(&mut market);
        }
        most = most.max(return_on(&mut market, play, &Ring::WHOLE));
        assert_eq!(market.storage.total_balance(), SUPPLY, "value is conserved under every rule");
    }
    Outcome::new(most < 0.0, [("wash_roi_max_governed", most), ("changes_scheduled", scheduled as f64)])
}

/// Schedules a change of two parts of a fee; hostile governance takes away from what a payer cannot get back.
fn step(market: &mut Market, governor: Address, rng: &mut StdRng, hostile: bool) -> bool {
    let parts: Vec<_> = PARAMS.iter().filter(|spec| spec.name.ends_with("_ppm")).collect();
    let lost = ["validators_ppm", "treasury_ppm", "burn_ppm"];
    let from = match hostile {
        true => lost[rng.random_range(0..lost.len())],
        false => parts[rng.random_range(0..parts.len())].name,
    };
    let to = if hostile { "contributors_ppm" } else { parts[rng.random_range(0..parts.len())].name };
    if from == to {
        return false;
    }
    let spec = |name: &str| parts.iter().find(|spec| spec.name == name).expect("a part of a fee");
    let (low, high) = (market.param(from), market.param(to));
    let step = spec(from).step.min(spec(to).step);
    let step = U256::from(step)
        .min(low.saturating_sub(U256::from(spec(from).least)))
        .min(U256::from(spec(to).most).saturating_sub(high));
    let call = IParams::scheduleCall {
        names: vec![param_name(from), param_name(to)],
        values: vec![low - step, high + step],
    };
    market.try_send(governor, MODULE, &call).is_ok()
}
