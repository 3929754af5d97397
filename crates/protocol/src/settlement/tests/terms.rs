//! Governed numbers that change while a batch is settled, posted, verified and disputed.

use alloy_primitives::U256;
use openledger_types::abi::{BatchPost, BatchStatus, ChallengeStatus, IEscrow, IParams, ISettlement};
use openledger_types::addresses::{ESCROW, PARAMS, SETTLEMENT};

use super::{bisect, bond, choose, fee, judge, param_name, read, resolve, reveal_step, staker, status};
use crate::tests::{OPERATOR, PAYER, START, VALIDATOR, VERIFIER, World, account, batch, hash, open, typed};

const GOVERNOR: u8 = 8;
/// When what is scheduled at the start holds: the next day of UTC.
const CHANGE: u64 = 1_036_800;

/// A market in which half a day after [`START`] the split and everything that a verdict depends on changes.
fn changing() -> World {
    let mut world = World::with_market();
    sign(&mut world, CHANGE + 86_400);
    crate::params::init_governor(&mut world.storage, account(GOVERNOR)).unwrap();
    let changes = [
        ("burn_ppm", 40_000),
        ("treasury_ppm", 50_000),
        ("verify_window", 1),
        ("reveal_window", 1),
        ("move_window", 2),
        ("verifiers_per_batch", 1),
        ("sampled_receipts", 1),
        ("verifier_share", 100_000),
    ];
    let names = changes.map(|(name, _)| param_name(name)).to_vec();
    let values = changes.map(|(_, value)| U256::from(value)).to_vec();
    world.send(GOVERNOR, PARAMS, IParams::scheduleCall { names, values });
    world
}

/// Lets the change happen, in one block.
fn pass_change(world: &mut World) {
    world.later(CHANGE - world.storage.block.timestamp);
    let name = param_name("verify_window");
    assert_eq!(world.view(PARAMS, IParams::getCall { name }), U256::ONE);
}

/// A key of the payer for the operator.
const KEY: u8 = 8;

fn sign(world: &mut World, expires: u64) {
    let (operator, cap) = (account(OPERATOR), open(500));
    let call = IEscrow::authoriseCall { key: hash(KEY), operator, cap, expiresAt: expires };
    world.send(PAYER, ESCROW, call);
}

fn settled(settled_at: u64) -> BatchPost {
    let (mut post, _) = batch(1, fee());
    post.charges[0].key = hash(KEY);
    BatchPost { settledAt: settled_at, receipts: 6, ..post }
}

fn nobody_is_punished(world: &mut World, id: U256) {
    for n in [VERIFIER, VALIDATOR] {
        let punish = ISettlement::punishCall { batch: id, verifier: account(n) };
        let _: ISettlement::NothingToPunish = world.refused(9, SETTLEMENT, punish);
    }
    for n in [OPERATOR, VERIFIER, VALIDATOR] {
        assert_eq!(staker(world, n).stake, open(10_000));
    }
}

#[test]
fn a_change_between_settlement_post_and_verdict_leaves_the_honest_unpunished() {
    for posted_after in [true, false] {
        let mut world = changing();
        let settled_at = world.storage.block.timestamp;
        let post = ISettlement::postCall { batch: settled(settled_at) };
        if posted_after {
            pass_change(&mut world);
            // With the numbers of now the split would be another.
            let now = ISettlement::postCall { batch: settled(CHANGE) };
            let _: ISettlement::SplitOutOfBounds = world.refused(OPERATOR, SETTLEMENT, now);
        }
        let id = world.send(OPERATOR, SETTLEMENT, post);
        assert_eq!(world.view(SETTLEMENT, ISettlement::batchCall { id }).settledAt, settled_at);
        if !posted_after {
            pass_change(&mut world);
        }
        // Both are asked, though a draw of one would be due by now, and within the windows that the batch began with.
        world.advance(2);
        world.commit_verdict(VALIDATOR, id, true);
        world.advance(1);
        world.commit_verdict(VERIFIER, id, true);
        world.advance(4);
        for n in [VALIDATOR, VERIFIER] {
            world.reveal_verdict(n, id, true);
        }
        world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
        assert_eq!(status(&mut world, id), BatchStatus::Finalised);
        nobody_is_punished(&mut world, id);
        let pot = world.view(SETTLEMENT, ISettlement::batchCall { id }).pot;
        assert_eq!(pot, U256::ZERO, "verdicts had no share when it was settled");
    }
}

#[test]
fn a_dispute_keeps_the_windows_that_its_batch_began_with() {
    let mut world = changing();
    let settled_at = world.storage.block.timestamp;
    let id = world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: settled(settled_at) });
    world.advance(1);
    world.give_verdict(VERIFIER, id, true);
    world.pay(9, SETTLEMENT, bond(), ISettlement::challengeCall { batch: id });
    pass_change(&mut world);
    // Every move in its last block, as before the change.
    world.advance(3);
    for (state, agrees) in [(1, true), (2, false), (3, false)] {
        world.send(OPERATOR, SETTLEMENT, bisect(state));
        world.advance(4);
        world.send(9, SETTLEMENT, choose(agrees));
        world.advance(4);
    }
    judge(&mut world, VALIDATOR, true);
    world.advance(4);
    world.send(VALIDATOR, SETTLEMENT, reveal_step(VALIDATOR, true));
    let early = world.try_pay(9, SETTLEMENT, U256::ZERO, resolve()).unwrap_err();
    let _: ISettlement::WindowOpen = typed(&early);
    world.advance(1);
    world.send(9, SETTLEMENT, resolve());
    assert_eq!(read(&mut world).status, ChallengeStatus::OperatorWon);
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    nobody_is_punished(&mut world, id);
}

#[test]
fn a_batch_is_settled_with_the_numbers_of_the_epoch_before_its_post() {
    let mut world = World::with_market();
    world.later(200_000);
    let now = world.storage.block.timestamp;
    assert!(now - START > 86_400);
    for wrong in [0, START, now - 86_401, now + 1, u64::MAX] {
        let post = ISettlement::postCall { batch: settled(wrong) };
        let error: ISettlement::SettledAtOutOfRange = world.refused(OPERATOR, SETTLEMENT, post);
        assert_eq!((error.settledAt, error.least, error.most), (wrong, now - 86_400, now));
    }
    sign(&mut world, now + 1_000);
    for (epoch, right) in [(1, now - 86_400), (2, now)] {
        let post = BatchPost { epoch, ..settled(right) };
        world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
    }
}
