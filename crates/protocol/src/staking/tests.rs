use alloy_primitives::aliases::U48;
use alloy_primitives::{Address, B256, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolStruct;
use openledger_types::abi::{IStaking, StakeRole};
use openledger_types::addresses::{BURN, STAKING};
use openledger_types::authorization::{Delegation, votes_domain};

use super::slashing::jail;
use super::{StakeRole as Role, add_reward, bonded, forfeit, give_back, lock, scaled_debts, slash, unlock};
use crate::Storage;
use crate::tests::{UNBONDING, World, account, open, typed};

fn stake(world: &mut World, n: u8, role: Role, amount: U256) {
    world.pay(n, STAKING, amount, IStaking::stakeCall { role });
}

fn reward(world: &mut World, amount: U256) {
    world.storage.transfer(account(99), STAKING, amount).unwrap();
    add_reward(&mut world.storage, amount).unwrap();
    // The second over which the rewards of these tests are paid.
    world.storage.block.timestamp += 1;
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
    world.later(UNBONDING - 1);
    let error: IStaking::StillBonded = world.refused(1, STAKING, IStaking::unstakeCall {});
    assert_eq!(error.availableAt, 1_000_000 + UNBONDING);
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
    world.later(UNBONDING);
    world.send(1, STAKING, IStaking::unstakeCall {});
    assert_eq!(world.send(1, STAKING, IStaking::claimRewardCall {}), open(5));
    assert_eq!(world.balance(account(1)), open(1_000_005));
}

fn delegate(world: &mut World, from: u8, validator: u8, amount: U256) {
    world.pay(from, STAKING, amount, IStaking::delegateStakeCall { validator: account(validator) });
}

fn delegation(world: &mut World, from: u8, validator: u8) -> openledger_types::abi::Delegation {
    let call = IStaking::delegationCall { delegator: account(from), validator: account(validator) };
    world.view(STAKING, call)
}

fn undelegate(validator: u8, amount: U256) -> IStaking::undelegateStakeCall {
    IStaking::undelegateStakeCall { validator: account(validator), amount }
}

fn votes(world: &mut World, n: u8) -> U256 {
    world.view(STAKING, IStaking::getVotesCall { account: account(n) })
}

/// Slashes and burns.
fn burn(world: &mut World, n: u8, ppm: u32) -> U256 {
    let amount = slash(&mut world.storage, account(n), ppm).unwrap();
    world.storage.transfer(STAKING, BURN, amount).unwrap();
    amount
}

/// The module's balance is what it owes, to the last scaled wei.
fn check_books(world: &mut World) {
    let accounts: Vec<_> = (1..=9).map(account).collect();
    let pairs: Vec<_> = accounts.iter().flat_map(|a| accounts.iter().map(|b| (*a, *b))).collect();
    let debts = scaled_debts(&mut world.storage.clone(), &accounts, pairs).unwrap();
    assert_eq!(world.balance(STAKING) * open(1), debts);
}

/// A validator with 10,000 OPEN and two delegators with 30,000 and 10,000.
fn pool() -> World {
    let mut world = World::new();
    stake(&mut world, 1, Role::Validator, open(10_000));
    world.send(1, STAKING, IStaking::setCommissionCall { ppm: 100_000 });
    delegate(&mut world, 2, 1, open(30_000));
    delegate(&mut world, 3, 1, open(10_000));
    world
}

#[test]
fn a_reward_is_shared_with_delegators_after_the_commission() {
    let mut world = pool();
    assert_eq!(world.view(STAKING, IStaking::totalStakeCall {}), open(50_000));
    reward(&mut world, open(500));
    // 100 for the own stake, a tenth of 400 as commission, 360 by shares.
    assert_eq!(owed(&mut world, 1), open(140));
    assert_eq!([2, 3].map(|n| delegation(&mut world, n, 1).reward), [open(270), open(90)]);
    let claim = IStaking::claimDelegationRewardCall { validator: account(1) };
    assert_eq!(world.send(2, STAKING, claim.clone()), open(270));
    assert_eq!(world.send(2, STAKING, claim), U256::ZERO);
    assert_eq!(world.send(1, STAKING, IStaking::claimRewardCall {}), open(140));
    // What cannot be divided is kept for the next reward.
    for wei in [1_u64, 7, 1_000_003] {
        reward(&mut world, U256::from(wei));
        check_books(&mut world);
    }
    let none = IStaking::delegateStakeCall { validator: account(4) };
    let error = world.try_pay(2, STAKING, open(1), none).unwrap_err();
    assert_eq!(typed::<IStaking::NotValidator>(&error).account, account(4));
    let _: IStaking::ZeroAmount =
        world.refused(2, STAKING, IStaking::delegateStakeCall { validator: account(1) });
}

#[test]
fn a_commission_rises_slowly_once_somebody_delegates() {
    let mut world = pool();
    let set = |ppm| IStaking::setCommissionCall { ppm };
    let _: IStaking::NotValidator = world.refused(2, STAKING, set(1));
    let error: IStaking::InvalidCommission = world.refused(1, STAKING, set(110_001));
    assert_eq!((error.ppm, error.most), (110_001, 110_000));
    world.send(1, STAKING, set(110_000));
    let error: IStaking::TooSoon = world.refused(1, STAKING, set(110_001));
    assert_eq!(error.availableAt, 1_086_400);
    world.later(86_400);
    world.send(1, STAKING, set(120_000));
    world.send(1, STAKING, set(0));
    stake(&mut world, 4, Role::Validator, open(10_000));
    let error: IStaking::InvalidCommission = world.refused(4, STAKING, set(500_001));
    assert_eq!(error.most, 500_000);
    world.send(4, STAKING, set(500_000));
    assert_eq!(world.view(STAKING, IStaking::stakerCall { account: account(4) }).commissionPpm, 500_000);
}

#[test]
fn what_is_delegated_unbonds_and_is_slashed_until_it_is_out() {
    let mut world = pool();
    world.send(2, STAKING, undelegate(1, open(10_000)));
    let error: IStaking::InsufficientDelegation =
        world.refused(2, STAKING, undelegate(1, open(20_000) + U256::ONE));
    assert_eq!(error.stake, open(20_000));
    let withdraw = IStaking::withdrawDelegationCall { validator: account(1) };
    let error: IStaking::StillBonded = world.refused(2, STAKING, withdraw.clone());
    assert_eq!(error.availableAt, 1_000_000 + UNBONDING);
    let _: IStaking::NothingLeaving = world.refused(3, STAKING, withdraw.clone());
    let _: IStaking::ZeroAmount = world.refused(3, STAKING, undelegate(1, U256::ZERO));
    // 5 % of 10,000 own, 30,000 delegated and 10,000 that unbond.
    assert_eq!(burn(&mut world, 1, 50_000), open(2_500));
    let left = delegation(&mut world, 2, 1);
    assert_eq!((left.stake, left.leaving), (open(19_000), open(9_500)));
    check_books(&mut world);
    // A later delegator is not hit by the earlier slash.
    stake(&mut world, 1, Role::Validator, open(500));
    world.send(1, STAKING, IStaking::unjailCall {});
    delegate(&mut world, 4, 1, open(100));
    assert_eq!(delegation(&mut world, 4, 1).stake, open(100) - U256::ONE, "shares round down");
    world.later(UNBONDING);
    assert_eq!(world.send(2, STAKING, withdraw), open(9_500));
    check_books(&mut world);
    for n in [2, 3, 4] {
        let all = delegation(&mut world, n, 1).stake;
        world.send(n, STAKING, undelegate(1, all));
    }
    world.later(UNBONDING);
    for n in [2, 3, 4] {
        world.send(n, STAKING, IStaking::withdrawDelegationCall { validator: account(1) });
    }
    check_books(&mut world);
    assert_eq!(world.balance(STAKING), open(10_000), "only the own stake is left, to the wei");
    assert_eq!([2, 3, 4].map(|n| world.balance(account(n))).into_iter().sum::<U256>(), open(2_998_000));
}

#[test]
fn a_slash_hits_an_own_stake_that_unbonds_and_jails_who_has_too_little() {
    let mut world = pool();
    world.send(1, STAKING, IStaking::startUnbondingCall {});
    assert_eq!(burn(&mut world, 1, 100_000), open(5_000));
    world.later(UNBONDING);
    world.send(1, STAKING, IStaking::unstakeCall {});
    assert_eq!(world.balance(account(1)), open(999_000));
    check_books(&mut world);

    let mut world = pool();
    reward(&mut world, open(50));
    assert_eq!(burn(&mut world, 1, 1_000), open(50));
    let jailed = world.view(STAKING, IStaking::stakerCall { account: account(1) });
    assert_eq!((jailed.jailedUntil, jailed.stake), (1_000_001, open(9_990)));
    assert_eq!(bonded(&mut world.storage, Role::Validator), Ok(0));
    assert_eq!(world.view(STAKING, IStaking::totalStakeCall {}), U256::ZERO);
    reward(&mut world, open(50));
    assert_eq!(owed(&mut world, 1), open(14), "in jail nothing is earned");
    let error = world.try_pay(4, STAKING, open(1), IStaking::delegateStakeCall { validator: account(1) });
    let _: IStaking::NotValidator = typed(&error.unwrap_err());
    let error: IStaking::StakeTooSmall = world.refused(1, STAKING, IStaking::unjailCall {});
    assert_eq!((error.stake, error.least), (open(9_990), open(10_000)));
    stake(&mut world, 1, Role::Validator, open(10));
    world.send(1, STAKING, IStaking::unjailCall {});
    assert_eq!(world.view(STAKING, IStaking::totalStakeCall {}), open(49_960));
    let _: IStaking::NotJailed = world.refused(1, STAKING, IStaking::unjailCall {});
    check_books(&mut world);
}

#[test]
fn jail_ends_at_its_time_or_never() {
    let mut world = pool();
    jail(&mut world.storage, account(1), 1_000_100).unwrap();
    let error: IStaking::InJail = world.refused(1, STAKING, IStaking::unjailCall {});
    assert_eq!(error.until, 1_000_100);
    world.later(100);
    world.send(1, STAKING, IStaking::unjailCall {});
    jail(&mut world.storage, account(1), u64::MAX).unwrap();
    jail(&mut world.storage, account(1), 5).unwrap();
    world.later(1_000_000);
    let error: IStaking::InJail = world.refused(1, STAKING, IStaking::unjailCall {});
    assert_eq!(error.until, u64::MAX);
    world.send(1, STAKING, IStaking::startUnbondingCall {});
    world.later(UNBONDING);
    world.send(1, STAKING, IStaking::unstakeCall {});
    // Whoever takes a role again is still in jail.
    stake(&mut world, 1, Role::Operator, open(1_000));
    let active = IStaking::isActiveCall { account: account(1), role: Role::Operator };
    assert!(!world.view(STAKING, active));
    assert_eq!(bonded(&mut world.storage, Role::Operator), Ok(0));
    check_books(&mut world);
}

#[test]
fn the_stake_of_an_operator_stays_while_a_batch_is_undecided_and_pays_for_lateness() {
    let mut world = World::new();
    stake(&mut world, 1, Role::Operator, open(1_500));
    lock(&mut world.storage, account(1)).unwrap();
    forfeit(&mut world.storage, account(1), open(600)).unwrap();
    world.storage.transfer(STAKING, BURN, open(600)).unwrap();
    assert_eq!(world.view(STAKING, IStaking::stakerCall { account: account(1) }).jailedUntil, 1_000_000);
    let error: IStaking::StakeTooSmall =
        typed(&forfeit(&mut world.storage, account(1), open(901)).unwrap_err());
    assert_eq!((error.stake, error.least), (open(900), open(901)));
    world.send(1, STAKING, IStaking::startUnbondingCall {});
    world.later(UNBONDING);
    let error: IStaking::StakeLocked = world.refused(1, STAKING, IStaking::unstakeCall {});
    assert_eq!(error.batches, 1);
    world.storage.transfer(BURN, STAKING, open(600)).unwrap();
    give_back(&mut world.storage, account(1), open(600)).unwrap();
    unlock(&mut world.storage, account(1)).unwrap();
    world.send(1, STAKING, IStaking::unstakeCall {});
    assert_eq!(world.balance(account(1)), open(1_000_000));
    assert_eq!(votes(&mut world, 1), U256::ZERO);
}

#[test]
fn whoever_stakes_votes_until_it_unbonds_and_past_votes_stay() {
    let mut world = pool();
    let total = |world: &mut World, at: u64| {
        world.view(STAKING, IStaking::getPastTotalSupplyCall { timepoint: U256::from(at) })
    };
    let past = |world: &mut World, n: u8, at: u64| {
        world.view(STAKING, IStaking::getPastVotesCall { account: account(n), timepoint: U256::from(at) })
    };
    assert_eq!([1, 2, 3].map(|n| votes(&mut world, n)), [open(10_000), open(30_000), open(10_000)]);
    assert_eq!(world.view(STAKING, IStaking::clockCall {}), U48::from(100));
    assert_eq!(world.view(STAKING, IStaking::CLOCK_MODECall {}), "mode=blocknumber&from=default");
    let error: IStaking::ERC5805FutureLookup =
        world.refused(1, STAKING, IStaking::getPastTotalSupplyCall { timepoint: U256::from(100) });
    assert_eq!((error.timepoint, error.clock), (U256::from(100), U48::from(100)));
    let future = IStaking::getPastVotesCall { account: account(1), timepoint: U256::MAX };
    let _: IStaking::ERC5805FutureLookup = world.refused(1, STAKING, future);

    world.advance(10);
    world.send(2, STAKING, IStaking::delegateCall { delegatee: account(4) });
    assert_eq!(world.view(STAKING, IStaking::delegatesCall { account: account(2) }), account(4));
    assert_eq!(world.view(STAKING, IStaking::delegatesCall { account: account(3) }), account(3));
    assert_eq!([2, 4].map(|n| votes(&mut world, n)), [U256::ZERO, open(30_000)]);
    world.advance(10);
    world.send(2, STAKING, undelegate(1, open(10_000)));
    stake(&mut world, 5, Role::Verifier, open(1_000));
    world.advance(10);
    world.send(2, STAKING, IStaking::delegateCall { delegatee: Address::ZERO });
    world.send(1, STAKING, IStaking::startUnbondingCall {});
    world.advance(1);
    assert_eq!(
        [99, 100, 119, 120, 130].map(|at| total(&mut world, at)),
        [U256::ZERO, open(50_000), open(50_000), open(41_000), open(31_000)]
    );
    assert_eq!(
        [109, 110, 119, 129, 130].map(|at| past(&mut world, 4, at)),
        [U256::ZERO, open(30_000), open(30_000), open(20_000), U256::ZERO]
    );
    assert_eq!([100, 110, 130].map(|at| past(&mut world, 2, at)), [open(30_000), U256::ZERO, open(20_000)]);
}

#[test]
fn a_slash_lowers_the_votes_of_a_delegation_when_anyone_touches_it() {
    let mut world = pool();
    burn(&mut world, 1, 100_000);
    assert_eq!([1, 2].map(|n| votes(&mut world, n)), [open(9_000), open(30_000)]);
    world.send(9, STAKING, IStaking::refreshVotesCall { delegator: account(2), validator: account(1) });
    assert_eq!(votes(&mut world, 2), open(27_000));
}

#[test]
fn a_delegate_is_named_by_signature_once() {
    let mut world = World::new();
    let signer = PrivateKeySigner::random();
    let call = |nonce: u64, expiry: u64| {
        let (delegatee, nonce, expiry) = (account(4), U256::from(nonce), U256::from(expiry));
        let digest = Delegation { delegatee, nonce, expiry }.eip712_signing_hash(&votes_domain(7));
        let bytes = signer.sign_hash_sync(&digest).unwrap().as_bytes();
        let (r, s) = (B256::from_slice(&bytes[..32]), B256::from_slice(&bytes[32..64]));
        IStaking::delegateBySigCall { delegatee, nonce, expiry, v: bytes[64], r, s }
    };
    let _: IStaking::VotesExpiredSignature = world.refused(1, STAKING, call(0, 999_999));
    let error: IStaking::InvalidAccountNonce = world.refused(1, STAKING, call(1, 1_000_000));
    assert_eq!((error.account, error.currentNonce), (signer.address(), U256::ZERO));
    let forged = IStaking::delegateBySigCall { v: 1, ..call(0, 1_000_000) };
    let _: IStaking::InvalidSignature = world.refused(1, STAKING, forged);
    world.send(1, STAKING, call(0, 1_000_000));
    assert_eq!(world.view(STAKING, IStaking::delegatesCall { account: signer.address() }), account(4));
    let _: IStaking::InvalidAccountNonce = world.refused(1, STAKING, call(0, 1_000_000));
    assert_eq!(world.view(STAKING, IStaking::noncesCall { owner: signer.address() }), U256::ONE);
    let domain = world.view(STAKING, IStaking::eip712DomainCall {});
    assert_eq!((domain.name.as_str(), domain.verifyingContract), ("OpenLedger Staking", STAKING));
}
