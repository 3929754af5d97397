//! Stakers who come late, and validators who leave when it does not pay.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{BatchStatus, IStaking, StakeRole};
use openledger_types::addresses::STAKING;
use rand::Rng;

use super::disputes::epoch_of;
use super::market::{DAY, Market, Override, account, in_open, open};
use super::plan::{Outcome, Play};

/// P7: who bonds only just before a reward earns less for the time that the stake is bound than who stays.
pub(crate) fn late(play: &Play) -> Outcome {
    // Stake leaves as soon as it may, which is after the longest dispute.
    let overrides: &[Override] = if play.unprotected {
        &[
            ("unbonding_seconds", 700),
            ("verify_window", 4),
            ("reveal_window", 4),
            ("appeal_window", 0),
            ("challenge_window", 0),
            ("move_window", 2),
            ("reward_seconds", 1),
        ]
    } else {
        &[]
    };
    let mut market = Market::new(play.seed, overrides);
    let (steady, late) = (account("steady", 0), account("late", 0));
    let stake = open(50_000);
    market.stake(steady, StakeRole::Validator, stake);
    let verifier = account("verifier", 0);
    market.stake(verifier, StakeRole::Verifier, open(5_000));
    let operator = account("operator", 0);
    market.stake(operator, StakeRole::Operator, open(10_000));
    market.fund(late, stake);
    market.pass(2);
    // OPEN · seconds that the late stake was bound.
    let (mut bound, mut since, start) = (0, None, market.storage.block.timestamp);
    for epoch in 0..play.scaled(28, 15) {
        let next_day = start + (epoch as u64 + 1) * DAY;
        let key = market.payer(account("payer", epoch), operator, open(1_000));
        let settled = epoch_of(&mut market, play, operator, key, 20);
        let posted = market.post(operator, epoch as u64, &settled, &settled.settlement.payouts);
        market.verify(posted.id, &[(verifier, posted.truth)]);
        if since.is_none() {
            market.pay(late, STAKING, stake, IStaking::stakeCall { role: StakeRole::Validator });
            since = Some(market.storage.block.timestamp);
        }
        assert_eq!(market.finalise(posted.id), BatchStatus::Finalised);
        market.pass_blocks(1);
        let state = market.view(STAKING, IStaking::stakerCall { account: late });
        if state.unbondingAt == 0 {
            market.send(late, STAKING, IStaking::startUnbondingCall {});
        }
        let now = market.storage.block.timestamp;
        market.pass(next_day.saturating_sub(now));
        if market.try_send(late, STAKING, &IStaking::unstakeCall {}).is_ok() {
            let free_at = market.param("unbonding_seconds").to::<u64>() + now;
            bound += free_at - since.take().unwrap_or(free_at);
        }
    }
    let now = market.storage.block.timestamp;
    bound += since.map_or(0, |since| now - since);
    let reward = |market: &mut Market, of: Address| {
        in_open(market.view(STAKING, IStaking::rewardCall { account: of }))
    };
    let full = reward(&mut market, steady) / (now - start) as f64;
    let partial = reward(&mut market, late) / bound as f64;
    Outcome::new(partial <= full, [("late_staker_yield_over_steady", partial / full)])
}

/// P14: after the price of OPEN falls to a tenth, validators who no longer earn their costs leave, and those who stay earn them
/// again: answers go on being verified and paid.
pub(crate) fn shock(play: &Play) -> Outcome {
    let mut rng = play.rng("shock");
    let mut market = Market::new(play.seed, &[]);
    let count = play.scaled(20, 8);
    // What a day costs each, at the old price, in OPEN. At that price all of them earn more.
    let validators: Vec<(Address, f64)> =
        (0..count).map(|number| (account("validator", number), rng.random_range(0.1..1.0))).collect();
    for (validator, _) in &validators {
        market.stake(*validator, StakeRole::Validator, open(20_000));
    }
    let operator = account("operator", 0);
    market.stake(operator, StakeRole::Operator, open(10_000));
    market.pass(2);
    let fees = |answers| f64::from(answers) * 2.0;
    let mut staying = validators.clone();
    let (mut budget_before, mut budget_after, mut decided) = (0.0, 0.0, true);
    let days = 6;
    for day in 0..days {
        let price = if day < 2 { 1.0 } else { 0.1 };
        // Payers think in money: unprotected, half of them go with the price and nobody takes their place.
        let answers = match (play.unprotected, day < 2) {
            (true, false) => 0,
            _ => 400,
        };
        let share = fees(answers) * 0.06 / staying.len().max(1) as f64;
        if answers == 0 {
            staying.retain(|(_, cost)| share * price >= *cost);
            decided &= !staying.is_empty();
            continue;
        }
        let key = market.payer(account("payer", day), operator, open(1_000));
        let settled = epoch_of(&mut market, play, operator, key, 400);
        let posted = market.post(operator, day as u64, &settled, &settled.settlement.payouts);
        let verdicts: Vec<_> = staying.iter().map(|(v, _)| (*v, posted.truth)).collect();
        market.verify(posted.id, &verdicts);
        decided &= market.finalise(posted.id) == BatchStatus::Finalised;
        // What a day's fees bring is paid over the day.
        market.pass(DAY);
        let mut leaving = Vec::new();
        for (validator, cost) in &staying {
            let earned = in_open(market.send(*validator, STAKING, IStaking::claimRewardCall {}));
            budget_after = earned * staying.len() as f64 * price;
            if day == 0 {
                budget_before = budget_after;
            }
            if earned * price < *cost {
                leaving.push((*validator, cost * 1.0));
            }
        }
        // The dearest leaves first: what it leaves is more for the rest.
        leaving.sort_by(|a, b| b.1.total_cmp(&a.1));
        let most = staying.len() / 3;
        for (validator, _) in leaving.into_iter().take(most.max(1)) {
            market.send(validator, STAKING, IStaking::startUnbondingCall {});
            staying.retain(|(v, _)| *v != validator);
        }
    }
    let total = market.view(STAKING, IStaking::totalStakeCall {});
    Outcome::new(
        decided && total > U256::ZERO,
        [
            ("validators_before_shock", validators.len() as f64),
            ("validators_after_shock", staying.len() as f64),
            ("security_budget_before_shock", budget_before),
            ("security_budget_after_shock", budget_after),
        ],
    )
}
