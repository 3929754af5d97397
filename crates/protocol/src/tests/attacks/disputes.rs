//! Challenges that grief, flood or come late.

use alloy_primitives::U256;
use openledger_types::abi::ISettlement;
use openledger_types::addresses::{BURN, SETTLEMENT};

use super::super::batch;
use super::*;
use crate::settlement::step_commitment;

const CHALLENGER: u8 = 8;

fn challenge(world: &mut World, batch: U256) -> U256 {
    world.pay(CHALLENGER, SETTLEMENT, open(100), ISettlement::challengeCall { batch })
}

/// Plays a challenge of a batch of one receipt to its end; verifier and validator say who is right.
fn judged(world: &mut World, challenge: U256, upheld: bool) {
    world.send(OPERATOR, SETTLEMENT, ISettlement::bisectCall { challenge, state: hash(1) });
    world.send(CHALLENGER, SETTLEMENT, ISettlement::chooseCall { challenge, agrees: true });
    for n in [VERIFIER, VALIDATOR] {
        let registered = staker(world, n).registeredAt;
        let commitment = step_commitment(account(n), registered, challenge, upheld, hash(1), hash(n));
        world.send(n, SETTLEMENT, ISettlement::commitStepCall { challenge, commitment });
    }
    world.advance(5);
    for n in [VERIFIER, VALIDATOR] {
        let reveal = ISettlement::revealStepCall { challenge, upheld, trace: hash(1), salt: hash(n) };
        world.send(n, SETTLEMENT, reveal);
    }
    world.advance(4);
    world.send(9, SETTLEMENT, ISettlement::resolveCall { challenge });
}

#[test]
fn d26_a_griefer_pays_the_operator_and_an_honest_challenger_gains() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, open(100));
    let [operator, griefer] = [OPERATOR, CHALLENGER].map(|n| world.balance(account(n)));
    let dispute = challenge(&mut world, id);
    // No second one at the same time, and no cheaper one.
    let _: ISettlement::ChallengeOpen = typed(
        &world.try_pay(9, SETTLEMENT, open(100), ISettlement::challengeCall { batch: id }).unwrap_err(),
    );
    judged(&mut world, dispute, true);
    assert_eq!(world.balance(account(OPERATOR)) - operator, open(100));
    assert_eq!(griefer - world.balance(account(CHALLENGER)), open(100));
    assert_eq!(staker(&mut world, OPERATOR).stake, open(10_000), "who defends itself is never worse off");

    let (id, _) = world.post(2, open(100));
    let before = world.balance(account(CHALLENGER));
    let dispute = challenge(&mut world, id);
    judged(&mut world, dispute, false);
    assert_eq!(world.balance(account(CHALLENGER)) - before, open(100), "bond and prize less the bond");
    assert_eq!(status(&mut world, id), BatchStatus::Refused);
    assert_eq!((staker(&mut world, OPERATOR).stake, world.balance(BURN)), (open(9_000), open(900)));
}

#[test]
fn d26_a_lying_operator_gains_nothing_by_challenging_itself() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, open(100));
    let both = |world: &mut World| {
        world.balance(account(OPERATOR)) + world.balance(account(CHALLENGER)) + staker(world, OPERATOR).stake
    };
    let before = both(&mut world);
    let dispute = challenge(&mut world, id);
    judged(&mut world, dispute, false);
    assert_eq!(before - both(&mut world), open(900), "the slash less the prize");
}

#[test]
fn d27_a_challenge_in_the_last_block_extends_the_time_and_leaves_other_batches_alone() {
    let mut world = World::with_market();
    set(&mut world, "challenge_window", 5);
    let (disputed, _) = world.post(1, open(100));
    let (other, _) = world.post(2, open(50));
    for id in [disputed, other] {
        world.give_verdict(VERIFIER, id, true);
    }
    world.advance(3);
    let dispute = challenge(&mut world, disputed);
    let _: ISettlement::ChallengeOpen =
        world.refused(9, SETTLEMENT, ISettlement::finaliseCall { batch: disputed });
    judged(&mut world, dispute, true);
    // Whoever saw something in that dispute has the whole window again.
    let _: ISettlement::WindowOpen =
        world.refused(9, SETTLEMENT, ISettlement::finaliseCall { batch: disputed });
    finalise(&mut world, other);
    assert_eq!(status(&mut world, other), BatchStatus::Finalised);
    world.advance(5);
    finalise(&mut world, disputed);
    assert_eq!(status(&mut world, disputed), BatchStatus::Finalised);
}

#[test]
fn d27_whoever_floods_pays_for_every_dispute_and_the_operator_goes_on() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, open(100));
    let before = world.balance(account(OPERATOR));
    for _ in 0..5 {
        let dispute = challenge(&mut world, id);
        judged(&mut world, dispute, true);
    }
    assert_eq!(world.balance(account(OPERATOR)) - before, open(500));
    let (next, payouts) = (post(&mut world, batch(2, open(10)).0), batch(2, open(10)).1);
    world.give_verdict(VERIFIER, next, true);
    finalise(&mut world, next);
    claim_all(&mut world, next, &payouts);
}
