use alloy_primitives::U256;
use openledger_types::abi::{IStaking, StakeRole};
use openledger_types::addresses::STAKING;

use super::{StakeRole as Role, add_reward, bonded};
use crate::Storage;
use crate::tests::{World, account, open, typed};

fn stake(world: &mut World, n: u8, role: Role, amount: U256) {
    world.pay(n, STAKING, amount, IStaking::stakeCall { role });
}

fn reward(world: &mut World, amount: U256) {
    world.storage.transfer(account(99), STAKING, amount).unwrap();
    add_reward(&mut world.storage, amount).unwrap();
}

fn owed(world: &mut World, n: u8) -> U256 {
    world.view(STAKING, IStaking::rewardCall { account: account(n) })
}

#[test]
fn a_stake_makes_a_role_active_and_unbonding_ends_it() {
    let mut world = World::new();
    stake(&mut world, 1, Role::Operator, open(1_000));
    let active = IStaking::isActiveCall { account: account(1), role: StakeRole::Operator };
    assert!(world.view(STAKING, active.clone()));
    assert!(!world.view(STAKING, IStaking::isActiveCall { account: account(1), role: StakeRole::Verifier }));
    stake(&mut world, 1, Role::Operator, U256::ONE);
    let staker = world.view(STAKING, IStaking::stakerCall { account: account(1) });
    assert_eq!((staker.stake, staker.registeredAt, staker.unbondingAt), (open(1_000) + U256::ONE, 100, 0));
    let error: IStaking::StillBonded = world.refused(1, STAKING, IStaking::unstakeCall {});
    assert_eq!(error.availableAt, 0);

    world.send(1, STAKING, IStaking::startUnbondingCall {});
    assert!(!world.view(STAKING, active));
    assert_eq!(bonded(&mut world.storage, Role::Operator), Ok(0));
    let _: IStaking::AlreadyUnbonding = world.refused(1, STAKING, IStaking::startUnbondingCall {});
    world.later(59);
    let error: IStaking::StillBonded = world.refused(1, STAKING, IStaking::unstakeCall {});
    assert_eq!(error.availableAt, 1_000_060);
    world.later(1);
    world.send(1, STAKING, IStaking::unstakeCall {});
    assert_eq!(world.balance(account(1)), open(1_000_000));
    let _: IStaking::NotStaked = world.refused(1, STAKING, IStaking::unstakeCall {});
    // A new role registers anew.
    stake(&mut world, 1, Role::Verifier, open(1_000));
    assert_eq!(world.view(STAKING, IStaking::stakerCall { account: account(1) }).registeredAt, 102);
}

#[test]
fn a_role_needs_its_least_stake_and_an_account_has_one() {
    let mut world = World::new();
    let mut refuse =
        |role, amount| world.try_pay(1, STAKING, amount, IStaking::stakeCall { role }).unwrap_err();
    let error: IStaking::StakeTooSmall = typed(&refuse(Role::Validator, open(9_999)));
    assert_eq!((error.stake, error.least), (open(9_999), open(10_000)));
    let _: IStaking::InvalidRole = typed(&refuse(Role::None, open(9_999)));
    stake(&mut world, 1, Role::Validator, open(10_000));
    let error = world.try_pay(1, STAKING, open(10_000), IStaking::stakeCall { role: Role::Operator });
    let error: IStaking::RoleTaken = typed(&error.unwrap_err());
    assert_eq!(error.role, Role::Validator);
}

#[test]
fn rewards_go_to_validators_by_stake_to_the_wei() {
    let mut world = World::new();
    stake(&mut world, 1, Role::Validator, open(10_000));
    stake(&mut world, 2, Role::Validator, open(20_000));
    stake(&mut world, 3, Role::Operator, open(30_000));
    assert_eq!(world.view(STAKING, IStaking::totalStakeCall {}), open(30_000));
    reward(&mut world, U256::from(100_000));
    assert_eq!([1, 2, 3].map(|n| owed(&mut world, n)), [30_000, 60_000, 0].map(U256::from));
    // What could not be divided was kept for the next reward.
    reward(&mut world, U256::from(200_000));
    assert_eq!([1, 2].map(|n| owed(&mut world, n)), [100_000, 200_000].map(U256::from));
    assert_eq!(world.send(1, STAKING, IStaking::claimRewardCall {}), U256::from(100_000));
    assert_eq!(world.send(1, STAKING, IStaking::claimRewardCall {}), U256::ZERO);
    // More stake counts from now on only.
    stake(&mut world, 1, Role::Validator, open(10_000));
    reward(&mut world, U256::from(400_000));
    assert_eq!([1, 2].map(|n| owed(&mut world, n)), [200_000, 400_000].map(U256::from));
}

#[test]
fn a_reward_without_validators_waits_for_the_next() {
    let mut world = World::new();
    reward(&mut world, U256::from(100_000));
    stake(&mut world, 1, Role::Validator, open(10_000));
    assert_eq!(owed(&mut world, 1), U256::ZERO);
    reward(&mut world, U256::from(10_000));
    assert_eq!(owed(&mut world, 1), U256::from(110_000));
}

#[test]
fn a_reward_stays_claimable_after_the_stake_is_out() {
    let mut world = World::new();
    stake(&mut world, 1, Role::Validator, open(10_000));
    reward(&mut world, open(5));
    world.send(1, STAKING, IStaking::startUnbondingCall {});
    reward(&mut world, open(7));
    world.later(60);
    world.send(1, STAKING, IStaking::unstakeCall {});
    assert_eq!(world.send(1, STAKING, IStaking::claimRewardCall {}), open(5));
    assert_eq!(world.balance(account(1)), open(1_000_005));
}
