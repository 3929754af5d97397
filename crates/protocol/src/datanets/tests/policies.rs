use alloy_primitives::U256;
use openledger_types::abi::{Acceptance, Ballot, ContributionStatus, IDatanets, Policy, Terms, Use};
use openledger_types::addresses::{BURN, DATANETS};

use super::{CONTRIBUTOR, call, reveal};
use crate::datanets::curation::LEAVING_SECONDS;
use crate::datanets::policy::{MAX_BOND, MAX_PERIOD};
use crate::datanets::removal::{NOTICE_SECONDS, TAKEDOWN_BOND};
use crate::tests::{OWNER, World, account, open};

/// A Datanet with this policy.
pub(super) fn world(acceptance: Acceptance, bond: U256) -> World {
    let mut world = World::new();
    world.create_datanet(Use::Allow);
    let policy = Policy { acceptance, bond, period: 1_000 };
    world.send(OWNER, DATANETS, IDatanets::setPolicyCall { datanet: U256::ONE, policy });
    world
}

/// Contributes records under a bond.
pub(super) fn contribute(world: &mut World, bond: U256) -> U256 {
    let commitment = reveal().commitment(account(CONTRIBUTOR));
    world.send(CONTRIBUTOR, DATANETS, IDatanets::commitCall { datanet: U256::ONE, commitment });
    world.advance(1);
    world.pay(CONTRIBUTOR, DATANETS, bond, call(&reveal()))
}

fn status(world: &mut World) -> ContributionStatus {
    world.view(DATANETS, IDatanets::contributionCall { id: U256::ONE }).status
}

const ACCEPT: IDatanets::acceptCall = IDatanets::acceptCall { contribution: U256::ONE };
const DECIDE: IDatanets::decideCall = IDatanets::decideCall { contribution: U256::ONE };

fn reject() -> IDatanets::rejectCall {
    IDatanets::rejectCall { contribution: U256::ONE, reason: "off topic".into() }
}

#[test]
fn a_policy_is_the_owners_and_within_limits() {
    let mut world = World::new();
    world.create_datanet(Use::Allow);
    let read = world.view(DATANETS, IDatanets::policyCall { datanet: U256::ONE });
    assert_eq!(read, Policy { acceptance: Acceptance::Owner, bond: U256::ZERO, period: 259_200 });
    let set = |bond, period| IDatanets::setPolicyCall {
        datanet: U256::ONE,
        policy: Policy { acceptance: Acceptance::Open, bond, period },
    };
    let _: IDatanets::NotOwner = world.refused(9, DATANETS, set(U256::ONE, 60));
    for (bond, period) in [(MAX_BOND + U256::ONE, 60), (U256::ZERO, 59), (U256::ZERO, MAX_PERIOD + 1)] {
        let _: IDatanets::InvalidPolicy = world.refused(OWNER, DATANETS, set(bond, period));
    }
    world.send(OWNER, DATANETS, set(MAX_BOND, MAX_PERIOD));
}

#[test]
fn a_bond_is_paid_with_the_reveal_and_comes_back_unless_the_contribution_is_spam() {
    let bond = open(5);
    for (decision, back) in [("accept", true), ("reject", true), ("withdraw", true), ("spam", false)] {
        let mut world = world(Acceptance::Owner, bond);
        let (purse, burnt) = (world.balance(account(CONTRIBUTOR)), world.balance(BURN));
        let commitment = reveal().commitment(account(CONTRIBUTOR));
        world.send(CONTRIBUTOR, DATANETS, IDatanets::commitCall { datanet: U256::ONE, commitment });
        world.advance(1);
        let error: IDatanets::WrongBond = world.refused(CONTRIBUTOR, DATANETS, call(&reveal()));
        assert_eq!((error.bond, error.needed), (U256::ZERO, bond));
        world.pay(CONTRIBUTOR, DATANETS, bond, call(&reveal()));
        assert_eq!(world.balance(DATANETS), bond);
        match decision {
            "accept" => {
                world.send(OWNER, DATANETS, ACCEPT);
            }
            "reject" => {
                world.send(OWNER, DATANETS, reject());
            }
            "withdraw" => {
                let call = IDatanets::withdrawCall { contribution: U256::ONE };
                let _: IDatanets::NotContributor = world.refused(OWNER, DATANETS, call.clone());
                world.send(CONTRIBUTOR, DATANETS, call);
            }
            _ => {
                let call = IDatanets::rejectSpamCall { contribution: U256::ONE, reason: "spam".into() };
                let _: IDatanets::NotOwner = world.refused(9, DATANETS, call.clone());
                world.send(OWNER, DATANETS, call);
            }
        }
        assert_eq!(world.balance(DATANETS), U256::ZERO, "{decision}");
        let (lost, gone) = if back { (U256::ZERO, U256::ZERO) } else { (bond, bond) };
        assert_eq!(purse - world.balance(account(CONTRIBUTOR)), lost, "{decision}");
        assert_eq!(world.balance(BURN) - burnt, gone, "{decision}");
    }
}

#[test]
fn an_open_datanet_takes_in_what_nobody_rejects_in_time() {
    let mut world = world(Acceptance::Open, open(1));
    contribute(&mut world, open(1));
    let error: IDatanets::PeriodOpen = world.refused(9, DATANETS, DECIDE);
    assert_eq!(error.until, world.storage.block.timestamp + 1_000);
    world.later(1_001);
    let _: IDatanets::PeriodOver = world.refused(OWNER, DATANETS, reject());
    world.send(9, DATANETS, DECIDE);
    assert_eq!(status(&mut world), ContributionStatus::Accepted);
    let _: IDatanets::NotPending = world.refused(9, DATANETS, DECIDE);

    let mut world = self::world(Acceptance::Open, open(1));
    contribute(&mut world, open(1));
    world.send(OWNER, DATANETS, reject());
    assert_eq!(status(&mut world), ContributionStatus::Rejected);
}

/// A Datanet that curators 4 (3 OPEN), 5 (2 OPEN) and 6 (2 OPEN) decide over, and a contribution that waits.
fn voting() -> World {
    let mut world = world(Acceptance::Curators, open(1));
    for (curator, stake) in [(4, 3), (5, 2), (6, 2)] {
        let staked = open(stake) * U256::from(100) / U256::from(99) + U256::ONE;
        world.pay(curator, DATANETS, staked, IDatanets::curateCall { datanet: U256::ONE });
    }
    world.later(10);
    contribute(&mut world, open(1));
    world
}

fn vote(ballot: Ballot) -> IDatanets::voteCall {
    IDatanets::voteCall { contribution: U256::ONE, ballot }
}

#[test]
fn curators_decide_by_the_stake_that_they_had_before_the_reveal() {
    let mut world = voting();
    let _: IDatanets::NotYours = world.refused(OWNER, DATANETS, ACCEPT);
    let _: IDatanets::NotCurator = world.refused(9, DATANETS, vote(Ballot::Accept));
    // Who stakes now, or more, does not vote.
    world.pay(9, DATANETS, open(100), IDatanets::curateCall { datanet: U256::ONE });
    let _: IDatanets::NotCurator = world.refused(9, DATANETS, vote(Ballot::Accept));
    world.send(4, DATANETS, vote(Ballot::Accept));
    let _: IDatanets::AlreadyVoted = world.refused(4, DATANETS, vote(Ballot::Reject));
    world.send(5, DATANETS, vote(Ballot::Reject));
    let _: IDatanets::PeriodOpen = world.refused(9, DATANETS, DECIDE);
    world.later(1_001);
    let _: IDatanets::PeriodOver = world.refused(6, DATANETS, vote(Ballot::Reject));
    world.send(9, DATANETS, DECIDE);
    assert_eq!(status(&mut world), ContributionStatus::Accepted);
}

#[test]
fn more_than_half_of_the_stake_decides_at_once_and_a_majority_for_spam_burns_the_bond() {
    let mut world = voting();
    let burnt = world.balance(BURN);
    world.send(4, DATANETS, vote(Ballot::Spam));
    let _: IDatanets::PeriodOpen = world.refused(9, DATANETS, DECIDE);
    world.send(5, DATANETS, vote(Ballot::Reject));
    world.send(9, DATANETS, DECIDE);
    assert_eq!(status(&mut world), ContributionStatus::Rejected);
    assert_eq!(world.balance(BURN) - burnt, open(1));
}

#[test]
fn curators_lose_by_what_they_voted_in_and_is_taken_down_even_on_their_way_out() {
    let mut world = voting();
    world.send(4, DATANETS, vote(Ballot::Accept));
    world.send(5, DATANETS, vote(Ballot::Reject));
    world.later(1_001);
    world.send(9, DATANETS, DECIDE);
    let slash = |n: u8| IDatanets::slashCuratorCall { contribution: U256::ONE, curator: account(n) };
    let _: IDatanets::NothingToSlash = world.refused(9, DATANETS, slash(4));
    let leave = |amount| IDatanets::uncurateCall { datanet: U256::ONE, amount };
    let withdraw = IDatanets::withdrawCurationCall { datanet: U256::ONE };
    let of = |world: &mut World, n| {
        world.view(DATANETS, IDatanets::curatorCall { datanet: U256::ONE, account: account(n) }).stake
    };
    let leaving = |world: &mut World, n| {
        world.view(DATANETS, IDatanets::leavingCall { datanet: U256::ONE, account: account(n) })
    };
    // A year later somebody claims it; whoever voted for it leaves with all but a third at the sight of that.
    world.later(365 * 86_400);
    let claim = IDatanets::takedownCall { contribution: U256::ONE, reason: "it is mine".into() };
    world.pay(9, DATANETS, TAKEDOWN_BOND, claim);
    let _: IDatanets::ZeroAmount = world.refused(4, DATANETS, withdraw.clone());
    let whole = of(&mut world, 4);
    let third = whole / U256::from(3);
    world.send(4, DATANETS, leave(whole - third));
    let out = leaving(&mut world, 4);
    assert_eq!((out.amount, out.until), (whole - third, world.storage.block.timestamp + LEAVING_SECONDS));
    assert_eq!(of(&mut world, 4), third, "what leaves votes no more");
    // The claim takes as long as it can.
    world.later(NOTICE_SECONDS);
    let holder = world.view(DATANETS, IDatanets::contributionCall { id: U256::ONE }).contributor;
    let holder = (1..=9).find(|n| account(*n) == holder).unwrap();
    let call = IDatanets::counterNoticeCall { contribution: U256::ONE, statement: "it is not".into() };
    world.pay(holder, DATANETS, TAKEDOWN_BOND, call);
    world.later(NOTICE_SECONDS);
    let error: IDatanets::StillLeaving = world.refused(4, DATANETS, withdraw.clone());
    assert_eq!(error.until, out.until);
    crate::params::init_governor(&mut world.storage, account(9)).unwrap();
    world.send(9, DATANETS, IDatanets::upholdTakedownCall { contribution: U256::ONE });
    let burnt = world.balance(BURN);
    let taken = world.send(9, DATANETS, slash(4));
    let part = |wei: U256| wei / U256::from(20);
    assert_eq!(taken, part(third) + part(whole - third));
    assert_eq!(world.balance(BURN) - burnt, taken);
    assert_eq!(of(&mut world, 4) + leaving(&mut world, 4).amount, whole - taken);
    // Once, and nobody who said otherwise or nothing.
    for n in [4, 5, 6, 9] {
        let _: IDatanets::NothingToSlash = world.refused(9, DATANETS, slash(n));
    }
    for n in [4, 5, 6] {
        let stake = of(&mut world, n);
        world.send(n, DATANETS, leave(stake));
    }
    let error: IDatanets::StillLeaving = world.refused(4, DATANETS, withdraw.clone());
    assert_eq!(error.until, world.storage.block.timestamp + LEAVING_SECONDS, "all waits as long again");
    world.later(LEAVING_SECONDS);
    let left = leaving(&mut world, 4).amount;
    assert_eq!(world.send(4, DATANETS, withdraw.clone()), left);
    let _: IDatanets::ZeroAmount = world.refused(4, DATANETS, withdraw.clone());
    for n in [5, 6] {
        world.send(n, DATANETS, withdraw.clone());
    }
    assert_eq!(world.balance(DATANETS), U256::ZERO);
}

#[test]
fn without_a_vote_the_owner_decides_after_the_period() {
    let mut world = voting();
    world.later(1_001);
    let _: IDatanets::OwnerDecides = world.refused(9, DATANETS, DECIDE);
    world.send(OWNER, DATANETS, ACCEPT);
    assert_eq!(status(&mut world), ContributionStatus::Accepted);
}

#[test]
fn of_the_terms_of_datanet_contribution_and_record_the_narrowest_hold() {
    let mut world = world(Acceptance::Owner, U256::ZERO);
    contribute(&mut world, U256::ZERO);
    let terms = |train, infer, crawl| Terms { train, infer, crawl };
    let of = |world: &mut World, record| {
        world.view(DATANETS, IDatanets::termsOfCall { contribution: U256::ONE, record })
    };
    assert_eq!(of(&mut world, 3), terms(Use::Allow, Use::Allow, Use::Deny));
    let set =
        IDatanets::setTermsCall { contribution: U256::ONE, terms: terms(Use::Limit, Use::Allow, Use::Allow) };
    let _: IDatanets::NotContributor = world.refused(OWNER, DATANETS, set.clone());
    world.send(CONTRIBUTOR, DATANETS, set);
    let record = |record| IDatanets::setRecordTermsCall {
        contribution: U256::ONE,
        record,
        terms: terms(Use::Deny, Use::Limit, Use::Allow),
    };
    let _: IDatanets::UnknownRecord = world.refused(CONTRIBUTOR, DATANETS, record(12));
    world.send(CONTRIBUTOR, DATANETS, record(3));
    world.send(CONTRIBUTOR, DATANETS, record(3));
    assert_eq!(of(&mut world, 3), terms(Use::Deny, Use::Limit, Use::Deny));
    assert_eq!(of(&mut world, 4), terms(Use::Limit, Use::Allow, Use::Deny));
    let count = IDatanets::recordTermsCountCall { contribution: U256::ONE };
    assert_eq!(world.view(DATANETS, count), 1);
}
