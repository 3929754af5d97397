//! Rings that pay themselves.

use alloy_primitives::{Address, U256};
use openledger_types::abi::StakeRole;

use super::market::{Cluster, DAY, Market, account, gain, in_open, open};
use super::nature::{Asked, Nature, split};
use super::plan::{Outcome, Play, largest};

/// Clusters of the Datanet.
const CLUSTERS: usize = 8;

/// A ring with the roles that it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ring {
    /// OPEN that it spends on answers.
    pub(crate) budget: u64,
    /// How many payers share that.
    pub(crate) payers: usize,
    /// Clusters of the Datanet that it owns.
    pub(crate) clusters: usize,
    pub(crate) developer: bool,
    pub(crate) operator: bool,
    /// Its part of the validators' stake, percent.
    pub(crate) stake_percent: u64,
    /// OPEN that honest payers spend in the same epoch.
    pub(crate) honest: u64,
}

impl Ring {
    /// A ring that holds every role there is.
    pub(crate) const WHOLE: Self = Self {
        budget: 1_000,
        payers: 4,
        clusters: CLUSTERS,
        developer: true,
        operator: true,
        stake_percent: 99,
        honest: 0,
    };
}

/// Gives what a payer cannot get back of a fee to the contributors, whatever the bounds of governance say.
pub(crate) fn without_leak(market: &mut Market) {
    let lost = ["validators_ppm", "treasury_ppm", "burn_ppm"].map(|name| {
        let part = market.param(name);
        market.force(name, U256::ZERO);
        part
    });
    let part = market.param("contributors_ppm");
    market.force("contributors_ppm", lost.into_iter().fold(part, |sum, lost| sum + lost));
}

/// P4: over the whole grid of budgets, sizes and roles a ring gets back less than it pays.
pub(crate) fn wash(play: &Play) -> Outcome {
    let roi: Vec<(Ring, f64)> = grid(play.small)
        .into_iter()
        .map(|ring| {
            let mut market = Market::new(play.seed, &[]);
            if play.unprotected {
                without_leak(&mut market);
            }
            (ring, return_on(&mut market, play, &ring))
        })
        .collect();
    let most = largest(roi.iter().map(|(_, roi)| *roi));
    let of =
        |wanted: fn(&Ring) -> bool| largest(roi.iter().filter(|(ring, _)| wanted(ring)).map(|(_, roi)| *roi));
    Outcome::new(
        most < 0.0,
        [
            ("wash_rings", roi.len() as f64),
            ("wash_roi_max", most),
            ("wash_roi_max_contributor", of(|r| !r.developer && !r.operator)),
            ("wash_roi_max_developer", of(|r| r.developer && !r.operator)),
            ("wash_roi_max_operator", of(|r| !r.developer && r.operator)),
            ("wash_roi_max_developer_operator", of(|r| r.developer && r.operator)),
        ],
    )
}

fn grid(small: bool) -> Vec<Ring> {
    let budgets: &[u64] = if small { &[100] } else { &[1, 100, 100_000] };
    let sizes: &[usize] = if small { &[4] } else { &[1, 16] };
    let owned: &[usize] = if small { &[CLUSTERS] } else { &[CLUSTERS / 2, CLUSTERS] };
    let stakes: &[u64] = if small { &[0, 99] } else { &[0, 33, 99] };
    let mut rings = Vec::new();
    for (developer, operator) in [(false, false), (true, false), (false, true), (true, true)] {
        for (budget, payers) in budgets.iter().flat_map(|b| sizes.iter().map(move |s| (*b, *s))) {
            for (clusters, stake_percent) in owned.iter().flat_map(|o| stakes.iter().map(move |s| (*o, *s))) {
                for honest in [0, 1_000] {
                    rings.push(Ring { budget, payers, clusters, developer, operator, stake_percent, honest });
                }
            }
        }
    }
    rings
}

/// What a ring has after an epoch for every OPEN that it paid itself, less what it would have had without paying, per OPEN
/// paid.
pub(crate) fn return_on(market: &mut Market, play: &Play, ring: &Ring) -> f64 {
    let mut rng = play.rng("wash");
    let member = |role: &str, number: usize| account(&format!("ring {role}"), number);
    let operator = if ring.operator { member("operator", 0) } else { account("operator", 0) };
    if ring.developer {
        market.developer = member("developer", 0);
    }
    let own_validator = member("validator", 0);
    // Validators give the verdicts, so that a ring has its part of their pay, too.
    let mut validators = Vec::new();
    for (who, percent) in
        [(own_validator, ring.stake_percent), (account("validator", 0), 100 - ring.stake_percent)]
    {
        if percent != 0 {
            market.stake(who, StakeRole::Validator, open(100_000 * percent));
            validators.push(who);
        }
    }
    market.stake(operator, StakeRole::Operator, open(100_000));
    market.pass(2);

    let nature = Nature::new(&mut rng, CLUSTERS, 1);
    let clusters: Vec<Cluster> = (0..CLUSTERS)
        .map(|number| {
            let role = if number < ring.clusters { "ring owner" } else { "owner" };
            Cluster { owner: account(role, number), length: 1_000 }
        })
        .collect();
    let own: Vec<usize> = (0..ring.clusters).collect();
    let mut honest = Vec::new();
    if ring.honest > 0 {
        let key = market.payer(account("payer", 0), operator, open(ring.honest));
        honest.push(nature.ask(&mut rng, key, open(ring.honest)));
    }
    let mut asked = honest.clone();
    let share = open(ring.budget) / U256::from(ring.payers);
    for payer in 0..ring.payers {
        let key = market.payer(member("payer", payer), operator, share);
        asked.push(nature.ask_for(&own, key, share));
    }
    let mut people: Vec<Address> = (0..CLUSTERS).map(|number| member("owner", number)).collect();
    people.extend((0..ring.payers).map(|number| member("payer", number)));
    people.extend(["operator", "developer", "validator"].map(|role| member(role, 0)));

    let play_epoch = |market: &mut Market, asked: &[Asked]| {
        if !asked.is_empty() {
            let (answers, influence) = split(asked);
            let settled = market.settle(operator, &answers, &clusters, &influence);
            market.epoch(operator, 1, &settled, &validators);
            // What the epoch brings to stake is paid over a day.
            market.pass(DAY);
        }
        people.iter().map(|person| market.wealth(*person)).sum::<U256>()
    };
    let idle = play_epoch(&mut market.clone(), &honest);
    let washed = play_epoch(market, &asked);
    gain(idle, washed) / in_open(share * U256::from(ring.payers))
}
