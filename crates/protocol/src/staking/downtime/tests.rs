use alloy_primitives::U256;
use openledger_types::abi::{IStaking, Seat};
use openledger_types::addresses::{BURN, PARAMS, STAKING};

use super::super::keys::tests::{join, public};
use super::super::seats::{end_block, init};
use super::{Turn, in_order, led_by, number_of, pass_over};
use crate::layout::{Mapping, Slot};
use crate::params::param_name;
use crate::tests::{World, account, open};

const LENGTH: u64 = 200;
const EPOCH: u64 = 1;

fn set(world: &mut World, name: &str, value: u64) {
    let values: Mapping<_, Slot<U256>> = Mapping::new(PARAMS, 0);
    values.at(param_name(name)).set(&mut world.storage, U256::from(value)).unwrap();
}

/// Epoch one of so many validators, of whom a set has at least `least`.
fn world(seats: u8, least: u32) -> World {
    let mut world = World::new();
    let first: Vec<Seat> = (1..=seats).map(|n| Seat { account: account(n), key: public(n) }).collect();
    for n in 1..=seats {
        join(&mut world, n, n, 10_000);
    }
    init(&mut world.storage, LENGTH, least, &first).unwrap();
    world.storage.block.number = LENGTH;
    world
}

/// Runs the epoch: the next view follows a block whenever who leads it is there. Returns the last view.
fn run(world: &mut World, is_there: impl Fn(u8, u64) -> bool) -> u64 {
    let order = in_order(&mut world.storage, EPOCH).unwrap();
    let seats = order.len() as u64;
    let (mut view, mut parent) = (0, 0);
    for _ in 0..LENGTH {
        loop {
            view += 1;
            let leader = order[number_of(EPOCH, view, seats).unwrap() as usize].1;
            let leader = (1..=9).find(|n| account(*n) == leader).unwrap();
            if is_there(leader, view) {
                break;
            }
        }
        let turn = Turn { epoch: EPOCH, view, parent };
        pass_over(&mut world.storage, turn).unwrap();
        end_block(&mut world.storage, turn).unwrap();
        parent = view;
        world.advance(1);
    }
    view
}

fn jailed(world: &mut World) -> Vec<u8> {
    (1..=9)
        .filter(|n| world.view(STAKING, IStaking::stakerCall { account: account(*n) }).jailedUntil != 0)
        .collect()
}

fn missed(world: &mut World, n: u8) -> u64 {
    world.view(STAKING, IStaking::missedViewsCall { epoch: EPOCH, account: account(n) })
}

#[test]
fn a_network_without_faults_writes_nothing_and_jails_nobody() {
    let mut world = world(7, 4);
    let before = world.storage.slots.len();
    pass_over(&mut world.storage, Turn { epoch: EPOCH, view: 1, parent: 0 }).unwrap();
    assert_eq!(world.storage.slots.len(), before);
    assert_eq!(run(&mut world, |_, _| true), LENGTH);
    assert!(jailed(&mut world).is_empty());
}

#[test]
fn who_is_away_for_most_of_its_views_is_jailed_slashed_and_elected_no_more_and_returns() {
    let mut world = world(7, 4);
    let last = run(&mut world, |n, _| n != 3);
    assert_eq!(jailed(&mut world), [3]);
    assert!(missed(&mut world, 3) >= last / 7 && missed(&mut world, 2) == 0);
    // A thousandth, which is burnt.
    let burnt = open(10_000) / U256::from(1_000);
    assert_eq!(world.balance(BURN), burnt);
    let left = world.view(STAKING, IStaking::stakerCall { account: account(3) }).stake;
    assert_eq!(left, open(10_000) - burnt);
    let elected = world.view(STAKING, IStaking::validatorSetCall { epoch: EPOCH + 2 });
    assert!(elected.len() == 6 && elected.iter().all(|seat| seat.account != account(3)));
    // It is there again once its stake is enough and it says so.
    world.pay(3, STAKING, burnt, IStaking::stakeCall { role: openledger_types::abi::StakeRole::Validator });
    world.send(3, STAKING, IStaking::unjailCall {});
    assert!(jailed(&mut world).is_empty());
}

#[test]
fn the_part_and_the_number_of_views_are_bounds_that_are_kept() {
    // Away in every other view of its own: not more than half.
    let mut half = world(5, 4);
    run(&mut half, |n, view| n != 2 || ((view - 1) / 5).is_multiple_of(2));
    assert!(jailed(&mut half).is_empty(), "{} of its views", missed(&mut half, 2));
    // A number of views that nobody leads in an epoch of this length.
    let mut few = world(5, 4);
    set(&mut few, "downtime_views", 1_000);
    run(&mut few, |n, _| n != 2);
    assert!(missed(&mut few, 2) > 20 && jailed(&mut few).is_empty());
    let mut strict = world(5, 4);
    set(&mut strict, "downtime_part", 100_000);
    run(&mut strict, |n, view| n != 2 || ((view - 1) / 5).is_multiple_of(2));
    assert_eq!(jailed(&mut strict), [2]);
}

#[test]
fn a_common_outage_and_a_set_that_cannot_spare_anybody_punish_nobody() {
    for (seats, least, away, expected) in [
        (7, 4, vec![1, 2], vec![1, 2]),
        // Three of seven are more than a third.
        (7, 4, vec![1, 2, 3], vec![]),
        (3, 1, vec![1], vec![]),
        (4, 4, vec![1], vec![]),
        (5, 4, vec![1], vec![1]),
        (7, 6, vec![1, 2], vec![1]),
    ] {
        let mut world = world(seats, least);
        run(&mut world, |n, _| !away.contains(&n));
        let jailed = jailed(&mut world);
        assert_eq!(jailed.len(), expected.len(), "{seats} seats, {away:?} away: {jailed:?}");
        assert!(jailed.iter().all(|n| away.contains(n)));
        let left = usize::from(seats) - jailed.len();
        assert!(left >= least as usize);
    }
}

#[test]
fn the_views_that_are_counted_are_those_that_each_leads() {
    for seats in 1..=9_u64 {
        for epoch in [0, 1, 7, 100] {
            let mut led = vec![0_u64; usize::try_from(seats).unwrap()];
            for view in 1..=40 {
                led[number_of(epoch, view, seats).unwrap() as usize] += 1;
                let turn = Turn { epoch, view, parent: view - 1 };
                for (number, count) in (0..).zip(&led) {
                    assert_eq!(led_by(turn, number, seats), *count, "{number} of {seats} by view {view}");
                }
            }
        }
    }
    // A long gap at once is the same as counting view by view.
    let mut at_once = world(7, 4);
    let mut one_by_one = world(7, 4);
    pass_over(&mut at_once.storage, Turn { epoch: EPOCH, view: 1_000, parent: 3 }).unwrap();
    for view in 4..1_000 {
        pass_over(&mut one_by_one.storage, Turn { epoch: EPOCH, view: view + 1, parent: view - 1 }).unwrap();
    }
    let of = |world: &mut World| (1..=7).map(|n| missed(world, n)).collect::<Vec<_>>();
    assert_eq!(of(&mut at_once), of(&mut one_by_one));
    assert_eq!(of(&mut at_once).iter().sum::<u64>(), 996);
}
