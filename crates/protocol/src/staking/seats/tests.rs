use alloy_primitives::U256;
use openledger_types::abi::{IStaking, Seat, StakeRole};
use openledger_types::addresses::STAKING;

use super::super::keys::tests::{join, public, rotate};
use super::super::slashing::jail;
use super::{KEPT, Turn, end_block, init, of};
use crate::layout::Mapping;
use crate::tests::{UNBONDING, World, account, open};
use crate::{Slot, params};

const LENGTH: u64 = 10;

fn seat(n: u8, key: u8) -> Seat {
    Seat { account: account(n), key: public(key) }
}

/// A world in the first block of epoch ten, whose set is that of account 9.
fn world(least: u32) -> World {
    let mut world = World::new();
    init(&mut world.storage, LENGTH, least, &[seat(9, 9)]).unwrap();
    assert_eq!(world.storage.block.number, 100);
    super::write(&mut world.storage, 10, &[seat(9, 9)]).unwrap();
    super::write(&mut world.storage, 11, &[seat(9, 9)]).unwrap();
    world
}

/// Ends the epoch and says who is elected.
fn elected(world: &mut World) -> Vec<Seat> {
    let epoch = world.storage.block.number / LENGTH;
    loop {
        let last = (world.storage.block.number + 1).is_multiple_of(LENGTH);
        end_block(&mut world.storage, Turn::default()).unwrap();
        if last {
            let set = world.view(STAKING, IStaking::validatorSetCall { epoch: epoch + 2 });
            world.advance(1);
            return set;
        }
        assert!(of(&mut world.storage, epoch + 2).unwrap().is_empty(), "it is too early");
        world.advance(1);
    }
}

#[test]
fn the_set_after_the_next_is_elected_by_stake_at_the_end_of_an_epoch() {
    let mut world = world(2);
    join(&mut world, 1, 1, 10_000);
    join(&mut world, 2, 2, 30_000);
    join(&mut world, 3, 3, 20_000);
    let validator = account(1);
    world.pay(4, STAKING, open(15_000), IStaking::delegateStakeCall { validator });
    assert_eq!(elected(&mut world), [seat(2, 2), seat(1, 1), seat(3, 3)]);
    // The next one stays what it was.
    assert_eq!(of(&mut world.storage, 11).unwrap(), [seat(9, 9)]);
    assert_eq!(world.view(STAKING, IStaking::epochBlocksCall {}), LENGTH);
}

#[test]
fn there_are_so_many_seats_and_no_more() {
    let mut world = world(2);
    for n in 1..=6 {
        join(&mut world, n, n, 10_000 + u64::from(n));
    }
    let values: Mapping<_, Slot<U256>> = Mapping::new(openledger_types::addresses::PARAMS, 0);
    values.at(params::param_name("validator_seats")).set(&mut world.storage, U256::from(4)).unwrap();
    assert_eq!(elected(&mut world), [6, 5, 4, 3].map(|n| seat(n, n)));
}

#[test]
fn equal_stakes_are_ordered_by_account() {
    let mut world = world(2);
    for n in [3, 1, 2] {
        join(&mut world, n, n, 10_000);
    }
    assert_eq!(elected(&mut world), [1, 2, 3].map(|n| seat(n, n)));
}

#[test]
fn who_leaves_is_jailed_or_has_too_little_is_not_elected_and_can_come_back() {
    let mut world = world(2);
    for n in 1..=5 {
        join(&mut world, n, n, 10_000);
    }
    world.send(1, STAKING, IStaking::startUnbondingCall {});
    let now = world.storage.block.timestamp;
    jail(&mut world.storage, account(2), now + 5).unwrap();
    world.send(3, STAKING, IStaking::deregisterKeyCall {});
    world.send(4, STAKING, rotate(4, 14));
    assert_eq!(elected(&mut world), [seat(4, 14), seat(5, 5)]);
    world.later(5);
    world.send(2, STAKING, IStaking::unjailCall {});
    assert_eq!(elected(&mut world), [seat(2, 2), seat(4, 14), seat(5, 5)]);

    // Who has taken the stake out is a candidate no longer, and comes back with another key.
    world.later(UNBONDING);
    world.send(1, STAKING, IStaking::unstakeCall {});
    elected(&mut world);
    assert_eq!(super::super::keys::of(&mut world.storage, account(1)).unwrap(), None);
    join(&mut world, 1, 11, 10_000);
    assert_eq!(elected(&mut world), [seat(1, 11), seat(2, 2), seat(4, 14), seat(5, 5)]);
}

#[test]
fn with_too_few_candidates_the_old_set_stays() {
    let mut world = world(3);
    join(&mut world, 1, 1, 10_000);
    join(&mut world, 2, 2, 10_000);
    world.pay(3, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Validator });
    assert_eq!(elected(&mut world), [seat(9, 9)], "a stake without a key is no candidate");
    join(&mut world, 4, 4, 10_000);
    let set = [1, 2, 4].map(|n| seat(n, n));
    assert_eq!(elected(&mut world), set);
    world.send(1, STAKING, IStaking::startUnbondingCall {});
    for _ in 0..5 {
        assert_eq!(elected(&mut world), set, "whatever became of its members");
    }
}

#[test]
fn sets_are_kept_for_four_epochs() {
    let mut world = world(1);
    join(&mut world, 1, 1, 10_000);
    let first = world.storage.block.number / LENGTH;
    for _ in 0..6 {
        elected(&mut world);
    }
    let newest = first + 7;
    for epoch in newest + 1 - KEPT..=newest {
        assert_eq!(of(&mut world.storage, epoch).unwrap(), [seat(1, 1)], "epoch {epoch}");
    }
    for epoch in [newest - KEPT, newest + 1] {
        assert!(of(&mut world.storage, epoch).unwrap().is_empty(), "epoch {epoch}");
    }
}
