//! Stake that comes for a reward, leaves before a slash, or votes twice.

use alloy_primitives::U256;
use openledger_types::abi::{IParams, IStaking, StakeRole};
use openledger_types::addresses::{BURN, PARAMS, STAKING};

use super::*;
use crate::Storage;
use crate::params::PARAMS as TABLE;
use crate::staking::slash;

#[test]
fn d24_stake_that_comes_for_one_reward_is_bound_and_at_risk_longer_than_a_dispute_lasts() {
    let mut world = World::with_market();
    set(&mut world, "unbonding_seconds", 604_800);
    let (id, _) = world.post(1, open(100));
    world.give_verdict(VERIFIER, id, true);
    // In the block before the reward, with as much as the one who was always there.
    world.pay(8, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Validator });
    finalise(&mut world, id);
    world.send(8, STAKING, IStaking::startUnbondingCall {});
    let reward = |world: &mut World, n| world.view(STAKING, IStaking::rewardCall { account: account(n) });
    let first = reward(&mut world, 8);
    // What follows is no longer its own, while the stake cannot leave and is slashed as any.
    for epoch in 2..5 {
        let (id, _) = world.post(epoch, open(100));
        world.give_verdict(VERIFIER, id, true);
        finalise(&mut world, id);
    }
    assert_eq!(reward(&mut world, 8), first);
    assert_eq!(reward(&mut world, VALIDATOR), first + open(6) * U256::from(3));
    let _: IStaking::StillBonded = world.refused(8, STAKING, IStaking::unstakeCall {});
    let number = |name| TABLE.iter().find(|spec| spec.name == name).unwrap().default;
    let dispute = ["verify_window", "reveal_window", "challenge_window"].map(number).iter().sum::<u128>();
    assert!(number("unbonding_seconds") > 4 * dispute, "at a block a second, with time for challenges");
}

#[test]
fn d24_a_reward_is_of_those_who_hold_the_stake_while_it_is_paid() {
    let mut world = World::with_market();
    set(&mut world, "reward_seconds", 86_400);
    set(&mut world, "unbonding_seconds", 604_800);
    let (id, _) = world.post(1, open(100));
    world.give_verdict(VERIFIER, id, true);
    world.pay(8, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Validator });
    finalise(&mut world, id);
    // A twelfth of the day with as much as the one who stays.
    world.later(7_200);
    world.send(8, STAKING, IStaking::startUnbondingCall {});
    world.later(86_400);
    let reward = |world: &mut World, n| world.view(STAKING, IStaking::rewardCall { account: account(n) });
    let (late, steady) = (reward(&mut world, 8), reward(&mut world, VALIDATOR));
    // Six OPEN are validators': a twenty-fourth of them, and all the rest, to what a division by stake carries.
    assert_eq!(late, open(6) / U256::from(24));
    assert!(open(6) - late - steady <= U256::ONE, "{steady}");
}

#[test]
fn d25_evidence_takes_the_same_part_of_stake_that_has_begun_to_leave() {
    let mut world = World::with_market();
    let delegate = IStaking::delegateStakeCall { validator: account(VALIDATOR) };
    world.pay(1, STAKING, open(1_000), delegate.clone());
    world.pay(2, STAKING, open(1_000), delegate);
    let leave = IStaking::undelegateStakeCall { validator: account(VALIDATOR), amount: open(1_000) };
    world.send(1, STAKING, leave);
    world.send(VALIDATOR, STAKING, IStaking::startUnbondingCall {});
    let taken = slash(&mut world.storage, account(VALIDATOR), 100_000).unwrap();
    world.storage.transfer(STAKING, BURN, taken).unwrap();
    assert_eq!(taken, open(1_200));
    assert_eq!(staker(&mut world, VALIDATOR).stake, open(9_000));
    let of = |world: &mut World, n| {
        let call = IStaking::delegationCall { delegator: account(n), validator: account(VALIDATOR) };
        world.view(STAKING, call)
    };
    assert_eq!((of(&mut world, 1).leaving, of(&mut world, 2).stake), (open(900), open(900)));
}

#[test]
fn d39_stake_that_moves_on_does_not_vote_twice() {
    let mut world = World::with_market();
    let snapshot = U256::from(world.storage.block.number);
    world.advance(1);
    // After the snapshot the stake changes hands: what counts is who had it then.
    world.send(VERIFIER, STAKING, IStaking::startUnbondingCall {});
    world.later(UNBONDING);
    world.send(VERIFIER, STAKING, IStaking::unstakeCall {});
    let to = account(8);
    let value = open(10_000);
    world.send(
        VERIFIER,
        openledger_types::addresses::OPEN,
        openledger_types::abi::IOpen::transferCall { to, value },
    );
    world.pay(8, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Verifier });
    let past = |world: &mut World, n| {
        world.view(STAKING, IStaking::getPastVotesCall { account: account(n), timepoint: snapshot })
    };
    assert_eq!((past(&mut world, VERIFIER), past(&mut world, 8)), (open(10_000), U256::ZERO));
    let total = world.view(STAKING, IStaking::getPastTotalSupplyCall { timepoint: snapshot });
    assert_eq!(total, open(30_000));
}

#[test]
fn d40_a_hundred_epochs_of_extreme_changes_stay_in_range() {
    let mut world = World::new();
    crate::params::init_governor(&mut world.storage, account(8)).unwrap();
    for epoch in 0..100 {
        for spec in TABLE {
            let name = param_name(spec.name);
            let value = world.view(PARAMS, IParams::getCall { name });
            let step = U256::from(spec.step);
            let wanted = if epoch % 7 < 5 { value + step } else { value.saturating_sub(step) };
            let call = IParams::scheduleCall { names: vec![name], values: vec![wanted] };
            let _result = world.try_pay(8, PARAMS, U256::ZERO, call);
        }
        world.later(86_400);
        for spec in TABLE {
            let value = world.view(PARAMS, IParams::getCall { name: param_name(spec.name) });
            assert!(value >= U256::from(spec.least) && value <= U256::from(spec.most), "{}", spec.name);
        }
        assert_eq!(crate::params::fee_split(&mut world.storage).unwrap().check(), Ok(()));
    }
}
