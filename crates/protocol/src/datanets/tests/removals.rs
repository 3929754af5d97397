use alloy_primitives::{Address, U256};
use openledger_types::abi::{ContributionStatus, IDatanets};
use openledger_types::addresses::{DATANETS, TREASURY};

use super::CONTRIBUTOR;
use super::income::{accepted, give, payee};
use crate::datanets::removal::{NOTICE_SECONDS, TAKEDOWN_BOND};
use crate::datanets::rights::{UNITS, royalty_account};
use crate::tests::{World, account, open, typed};
use crate::{Storage, params};

const CLAIMANT: u8 = 5;
const GOVERNOR: u8 = 7;

fn status(world: &mut World) -> ContributionStatus {
    world.view(DATANETS, IDatanets::contributionCall { id: U256::ONE }).status
}

fn withdraw() -> IDatanets::withdrawCall {
    IDatanets::withdrawCall { contribution: U256::ONE }
}

#[test]
fn d45_who_withdraws_keeps_a_tombstone_earns_no_more_and_stands_last_when_coming_back() {
    let mut world = accepted();
    give(&mut world, CONTRIBUTOR, 4, U256::ONE);
    let _: IDatanets::NotSoleHolder = world.refused(CONTRIBUTOR, DATANETS, withdraw());
    give(&mut world, 4, CONTRIBUTOR, U256::ONE);
    world.later(5);
    let before = world.storage.block.timestamp;
    world.send(CONTRIBUTOR, DATANETS, withdraw());
    assert_eq!(payee(&mut world), Address::ZERO);
    let at = |time| IDatanets::payeeAtCall { contribution: U256::ONE, time };
    assert_eq!(world.view(DATANETS, at(before)), account(CONTRIBUTOR));
    assert_eq!(world.view(DATANETS, at(before + 1)), Address::ZERO);
    let tombstone = world.view(DATANETS, IDatanets::contributionCall { id: U256::ONE });
    assert_eq!(tombstone.status, ContributionStatus::Withdrawn);
    assert!(!tombstone.recordsRoot.is_zero() && !tombstone.fileHash.is_zero());
    let _: IDatanets::NotAccepted = world.refused(CONTRIBUTOR, DATANETS, withdraw());
    // The same again is a new contribution with a later commitment.
    world.advance(50);
    let again = super::policies::contribute(&mut world, U256::ZERO);
    let again = world.view(DATANETS, IDatanets::contributionCall { id: again });
    assert!(again.committedAt > tombstone.committedAt);
}

/// A contribution that somebody claims should not be there, with a governor.
fn claimed() -> World {
    let mut world = accepted();
    params::init_governor(&mut world.storage, account(GOVERNOR)).unwrap();
    let call = IDatanets::takedownCall { contribution: U256::ONE, reason: "it is mine".into() };
    let _: IDatanets::WrongBond = world.refused(CLAIMANT, DATANETS, call.clone());
    world.pay(CLAIMANT, DATANETS, TAKEDOWN_BOND, call);
    world
}

/// What settlement pays while the claim is open.
fn accrue(world: &mut World) {
    assert_eq!(payee(world), royalty_account(U256::ONE));
    world.storage.transfer(account(99), royalty_account(U256::ONE), open(3)).unwrap();
    let collect = IDatanets::collectCall { contribution: U256::ONE };
    let _: IDatanets::TakedownOpen = world.refused(9, DATANETS, collect);
}

fn counter(world: &mut World, from: u8) {
    let call = IDatanets::counterNoticeCall { contribution: U256::ONE, statement: "it is not".into() };
    world.pay(from, DATANETS, TAKEDOWN_BOND, call);
}

const RESOLVE: IDatanets::resolveTakedownCall = IDatanets::resolveTakedownCall { contribution: U256::ONE };
const UPHOLD: IDatanets::upholdTakedownCall = IDatanets::upholdTakedownCall { contribution: U256::ONE };

#[test]
fn an_uncountered_claim_takes_the_contribution_down() {
    let mut world = claimed();
    accrue(&mut world);
    let _: IDatanets::TakedownOpen = world.refused(CONTRIBUTOR, DATANETS, withdraw());
    let _: IDatanets::PeriodOpen = world.refused(9, DATANETS, RESOLVE);
    let _: IDatanets::NotGovernor = world.refused(9, DATANETS, UPHOLD);
    let _: IDatanets::NoTakedown = world.refused(GOVERNOR, DATANETS, UPHOLD);
    world.later(NOTICE_SECONDS + 1);
    let (claimant, treasury) = (world.balance(account(CLAIMANT)), world.balance(TREASURY));
    world.send(9, DATANETS, RESOLVE);
    assert_eq!(world.balance(account(CLAIMANT)) - claimant, TAKEDOWN_BOND);
    assert_eq!(world.balance(TREASURY) - treasury, open(3));
    assert_eq!((status(&mut world), payee(&mut world)), (ContributionStatus::TakenDown, Address::ZERO));
    let _: IDatanets::NoTakedown = world.refused(9, DATANETS, RESOLVE);
}

#[test]
fn d46_a_false_takedown_costs_the_claimant_and_keeps_the_accrual_for_the_holders() {
    let mut world = claimed();
    accrue(&mut world);
    let call = IDatanets::counterNoticeCall { contribution: U256::ONE, statement: "it is not".into() };
    let error = world.try_pay(9, DATANETS, TAKEDOWN_BOND, call).map(drop).unwrap_err();
    let _ = typed::<IDatanets::ERC1155InsufficientBalance>(&error);
    let before = world.balance(account(CONTRIBUTOR));
    counter(&mut world, CONTRIBUTOR);
    world.later(NOTICE_SECONDS + 1);
    let _: IDatanets::PeriodOver = world.refused(GOVERNOR, DATANETS, UPHOLD);
    world.send(9, DATANETS, RESOLVE);
    assert_eq!(world.balance(account(CONTRIBUTOR)) - before, TAKEDOWN_BOND);
    assert_eq!((status(&mut world), payee(&mut world)), (ContributionStatus::Accepted, account(CONTRIBUTOR)));
    world.send(9, DATANETS, IDatanets::collectCall { contribution: U256::ONE });
    let claim = IDatanets::claimRoyaltyCall { contribution: U256::ONE, account: account(CONTRIBUTOR) };
    assert_eq!(world.send(9, DATANETS, claim), open(3));
    assert_eq!(world.balance(DATANETS), U256::ZERO);
}

#[test]
fn the_governor_can_uphold_a_countered_claim_and_a_right_sold_meanwhile_goes_with_it() {
    let mut world = claimed();
    counter(&mut world, CONTRIBUTOR);
    give(&mut world, CONTRIBUTOR, 4, UNITS);
    accrue(&mut world);
    let before = world.balance(account(CLAIMANT));
    world.send(GOVERNOR, DATANETS, UPHOLD);
    assert_eq!(world.balance(account(CLAIMANT)) - before, TAKEDOWN_BOND + TAKEDOWN_BOND);
    assert_eq!((status(&mut world), payee(&mut world)), (ContributionStatus::TakenDown, Address::ZERO));
    assert_eq!(world.balance(DATANETS), U256::ZERO);
}
