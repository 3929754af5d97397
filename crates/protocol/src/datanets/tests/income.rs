use alloy_primitives::{Address, U256};
use openledger_types::abi::{Acceptance, IDatanets};
use openledger_types::addresses::{BURN, DATANETS};

use super::CONTRIBUTOR;
use super::policies::{contribute, world};
use crate::datanets::curation::PERIOD;
use crate::datanets::rights::{UNITS, royalty_account};
use crate::datanets::scaled_debts;
use crate::tests::{OWNER, World, account, open};
use crate::{MapStorage, Storage};

/// A contribution that is accepted.
pub(super) fn accepted() -> World {
    let mut world = world(Acceptance::Owner, U256::ZERO);
    contribute(&mut world, U256::ZERO);
    world.send(OWNER, DATANETS, IDatanets::acceptCall { contribution: U256::ONE });
    world
}

pub(super) fn give(world: &mut World, from: u8, to: u8, value: U256) {
    let (from_account, to) = (account(from), account(to));
    let call = IDatanets::safeTransferFromCall {
        from: from_account,
        to,
        id: U256::ONE,
        value,
        data: Default::default(),
    };
    world.send(from, DATANETS, call);
}

pub(super) fn payee(world: &mut World) -> Address {
    world.view(DATANETS, IDatanets::payeeCall { contribution: U256::ONE })
}

/// Income as a claim of a payout would bring it, and collected.
fn earn(world: &mut World, amount: U256) {
    world.storage.transfer(account(99), royalty_account(U256::ONE), amount).unwrap();
    assert_eq!(world.send(9, DATANETS, IDatanets::collectCall { contribution: U256::ONE }), amount);
}

fn claim(world: &mut World, n: u8) -> U256 {
    world.send(9, DATANETS, IDatanets::claimRoyaltyCall { contribution: U256::ONE, account: account(n) })
}

fn books(storage: &mut MapStorage) {
    let accounts: Vec<Address> = (1..=9).map(account).collect();
    let debts = scaled_debts(storage, &accounts).unwrap();
    assert_eq!(storage.balance(DATANETS).unwrap() * open(1), debts, "the module holds what it owes");
}

#[test]
fn the_right_is_the_contributors_and_income_follows_it() {
    let mut world = accepted();
    let balance = |world: &mut World, n| {
        world.view(DATANETS, IDatanets::balanceOfCall { account: account(n), id: U256::ONE })
    };
    assert_eq!(balance(&mut world, CONTRIBUTOR), UNITS);
    assert_eq!(payee(&mut world), account(CONTRIBUTOR));
    // Sold whole: the buyer is paid directly.
    let sold_at = world.storage.block.timestamp;
    give(&mut world, CONTRIBUTOR, 4, UNITS);
    assert_eq!(payee(&mut world), account(4));
    // Divided: what comes in is divided by units, to the wei.
    world.later(10);
    give(&mut world, 4, 5, U256::from(333_333));
    assert_eq!(payee(&mut world), royalty_account(U256::ONE));
    earn(&mut world, U256::from(1_000_001));
    books(&mut world.storage);
    assert_eq!((claim(&mut world, 4), claim(&mut world, 5)), (U256::from(666_667), U256::from(333_333)));
    // A fraction of a wei each waits for the next income; a transfer takes along what comes later alone.
    assert_eq!(world.balance(DATANETS), U256::ONE);
    earn(&mut world, U256::from(1_000_000));
    give(&mut world, 5, 6, U256::from(333_333));
    earn(&mut world, U256::from(1_000_000));
    books(&mut world.storage);
    assert_eq!(claim(&mut world, 5), U256::from(333_333));
    assert_eq!(claim(&mut world, 6), U256::from(333_333));
    assert_eq!(claim(&mut world, 4), U256::from(1_333_334));
    books(&mut world.storage);
    // Who settles an epoch of the past finds who was paid then.
    let at = |world: &mut World, time| {
        world.view(DATANETS, IDatanets::payeeAtCall { contribution: U256::ONE, time })
    };
    assert_eq!(at(&mut world, sold_at), account(CONTRIBUTOR));
    assert_eq!(at(&mut world, sold_at + 1), account(4));
    assert_eq!(at(&mut world, sold_at + 10), account(4));
    assert_eq!(at(&mut world, sold_at + 11), royalty_account(U256::ONE));
}

#[test]
fn a_right_moves_as_erc_1155_says() {
    let mut world = accepted();
    let transfer = |from, to: Address, value| IDatanets::safeTransferFromCall {
        from: account(from),
        to,
        id: U256::ONE,
        value: U256::from(value),
        data: Default::default(),
    };
    let error: IDatanets::ERC1155MissingApprovalForAll =
        world.refused(4, DATANETS, transfer(CONTRIBUTOR, account(4), 1));
    assert_eq!((error.operator, error.owner), (account(4), account(CONTRIBUTOR)));
    for nowhere in [Address::ZERO, DATANETS] {
        let _: IDatanets::ERC1155InvalidReceiver =
            world.refused(CONTRIBUTOR, DATANETS, transfer(CONTRIBUTOR, nowhere, 1));
    }
    let error: IDatanets::ERC1155InsufficientBalance =
        world.refused(CONTRIBUTOR, DATANETS, transfer(CONTRIBUTOR, account(4), 1_000_001));
    assert_eq!(error.balance, UNITS);
    let approve = |operator| IDatanets::setApprovalForAllCall { operator, approved: true };
    let _: IDatanets::ERC1155InvalidOperator = world.refused(CONTRIBUTOR, DATANETS, approve(Address::ZERO));
    world.send(CONTRIBUTOR, DATANETS, approve(account(4)));
    world.send(4, DATANETS, transfer(CONTRIBUTOR, account(4), 7));
    let batch = |values| IDatanets::safeBatchTransferFromCall {
        from: account(4),
        to: account(5),
        ids: vec![U256::ONE, U256::ONE],
        values,
        data: Default::default(),
    };
    let _: IDatanets::ERC1155InvalidArrayLength = world.refused(4, DATANETS, batch(vec![U256::ONE]));
    world.send(4, DATANETS, batch(vec![U256::from(2), U256::from(3)]));
    let balances = IDatanets::balanceOfBatchCall {
        accounts: vec![account(4), account(5)],
        ids: vec![U256::ONE, U256::ONE],
    };
    assert_eq!(world.view(DATANETS, balances), [U256::from(2), U256::from(5)]);
    for (id, known) in [([1, 255, 201, 167], true), ([0xd9, 0xb6, 0x7a, 0x26], true), ([255; 4], false)] {
        let call = IDatanets::supportsInterfaceCall { interfaceId: id.into() };
        assert_eq!(world.view(DATANETS, call), known);
    }
    let uri = world.view(DATANETS, IDatanets::uriCall { id: U256::ONE });
    assert!(uri.starts_with("data:application/json,%7B%22name%22"), "{uri}");
}

#[test]
fn curators_pay_a_tax_and_get_a_tenth_of_the_income_over_a_week_by_stake_and_time() {
    let mut world = accepted();
    let burnt = world.balance(BURN);
    let curate = |world: &mut World, n| {
        world.pay(n, DATANETS, open(100), IDatanets::curateCall { datanet: U256::ONE });
    };
    curate(&mut world, 4);
    assert_eq!(world.balance(BURN) - burnt, open(1));
    assert_eq!(payee(&mut world), royalty_account(U256::ONE));
    earn(&mut world, open(70));
    assert_eq!(claim(&mut world, CONTRIBUTOR), open(63));
    // Half of the week alone, the other half with an equal: three quarters and one quarter of seven OPEN.
    world.later(PERIOD / 2);
    curate(&mut world, 5);
    world.later(PERIOD / 2);
    books(&mut world.storage);
    let mut claim = |n| world.send(n, DATANETS, IDatanets::claimCurationCall { datanet: U256::ONE });
    let (first, second) = (claim(4), claim(5));
    let quarter = open(7) / U256::from(4);
    assert!(first.abs_diff(quarter * U256::from(3)) <= U256::from(200), "{first}");
    assert!(second.abs_diff(quarter) <= U256::from(200), "{second}");
    let read = world.view(DATANETS, IDatanets::curationCall { datanet: U256::ONE });
    assert_eq!((read.stake, read.revenue, read.yielded), (open(198), open(70), open(7)));
    books(&mut world.storage);
    // They leave with what they staked; then the contributor is paid directly again.
    let leave = |amount| IDatanets::uncurateCall { datanet: U256::ONE, amount };
    let error: IDatanets::InsufficientCuration = world.refused(4, DATANETS, leave(open(100)));
    assert_eq!(error.stake, open(99));
    for n in [4, 5] {
        world.send(n, DATANETS, leave(open(99)));
    }
    assert_eq!(payee(&mut world), account(CONTRIBUTOR));
    books(&mut world.storage);
}

#[test]
fn adding_a_wei_of_income_puts_no_yield_off() {
    let mut world = accepted();
    world.pay(4, DATANETS, open(100), IDatanets::curateCall { datanet: U256::ONE });
    earn(&mut world, open(70));
    for _ in 0..7 {
        world.later(PERIOD / 8);
        earn(&mut world, U256::from(10));
    }
    world.later(PERIOD / 8 + 60);
    let (_, _, reward) = {
        let read = world.view(DATANETS, IDatanets::curatorCall { datanet: U256::ONE, account: account(4) });
        (read.stake, read.since, read.reward)
    };
    assert!(reward >= open(7) - U256::from(10_u64.pow(12)), "{reward}");
    books(&mut world.storage);
}

#[test]
fn who_stakes_just_before_an_income_gets_the_yield_of_the_time_it_stays() {
    let mut world = accepted();
    world.pay(4, DATANETS, open(100), IDatanets::curateCall { datanet: U256::ONE });
    world.later(PERIOD);
    world.pay(5, DATANETS, open(100), IDatanets::curateCall { datanet: U256::ONE });
    earn(&mut world, open(70));
    world.later(60);
    let before = world.balance(account(5));
    world.send(5, DATANETS, IDatanets::claimCurationCall { datanet: U256::ONE });
    let quick = world.balance(account(5)) - before;
    // A minute of a week, halved; the tax alone was one OPEN.
    assert!(quick <= open(7) * U256::from(60) / U256::from(2 * PERIOD), "{quick}");
}
