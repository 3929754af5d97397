//! What verdicts on the one step of a dispute are paid.

use alloy_primitives::{B256, U256};
use openledger_types::abi::{ChallengeStatus, ISettlement, IStaking, StakeRole};
use openledger_types::addresses::{BURN, SETTLEMENT, STAKING};

use super::{
    bisect, bond, challenged, choose, judge, judging, read, resolve, reveal_step, set, staker,
    step_commitment,
};
use crate::settlement::{bond_held, held};
use crate::tests::{OPERATOR, TRACE, VALIDATOR, VERIFIER, World, account, batch, hash, open, typed};

fn claim(world: &mut World, verifier: u8) -> Result<U256, crate::error::ModuleError> {
    let call = ISettlement::claimStepCall { challenge: U256::ONE, verifier: account(verifier) };
    world.try_pay(1, SETTLEMENT, U256::ZERO, call)
}

/// A dispute at one step before judges with odd stakes, of whom the validator errs.
fn judged(upheld: bool, share: u64) -> (World, U256) {
    let (mut world, id) = judging();
    set(&mut world, "verifier_share", share);
    let odd = U256::from(999);
    world.pay(VERIFIER, STAKING, odd, IStaking::stakeCall { role: StakeRole::Verifier });
    judge(&mut world, VERIFIER, upheld);
    judge(&mut world, VALIDATOR, !upheld);
    world.advance(5);
    world.send(VERIFIER, SETTLEMENT, reveal_step(VERIFIER, upheld));
    world.send(VALIDATOR, SETTLEMENT, reveal_step(VALIDATOR, !upheld));
    let early = claim(&mut world, VERIFIER).unwrap_err();
    let error: ISettlement::WrongChallengeStatus = typed(&early);
    assert_eq!(error.status, ChallengeStatus::Judging);
    world.advance(5);
    (world, id)
}

fn check_books(world: &mut World, id: U256, pot: U256) {
    assert_eq!(read(world).pot, pot);
    let owed = held(&mut world.storage, id).unwrap() + bond_held(&mut world.storage, id).unwrap() + pot;
    assert_eq!(world.balance(SETTLEMENT), owed);
}

#[test]
fn judges_who_were_right_have_a_part_of_the_bond_that_a_challenger_lost() {
    let (mut world, id) = judged(true, 333_333);
    let [operator, verifier] = [OPERATOR, VERIFIER].map(|n| world.balance(account(n)));
    world.send(9, SETTLEMENT, resolve());
    let pot = bond() * U256::from(333_333) / U256::from(1_000_000);
    assert_eq!(world.balance(account(OPERATOR)) - operator, bond() - pot);
    check_books(&mut world, id, pot);
    let wrong = claim(&mut world, VALIDATOR).unwrap_err();
    let error: ISettlement::NoStepEarned = typed(&wrong);
    assert_eq!((error.challenge, error.verifier), (U256::ONE, account(VALIDATOR)));
    assert_eq!(claim(&mut world, VERIFIER), Ok(pot));
    assert_eq!(world.balance(account(VERIFIER)) - verifier, pot);
    check_books(&mut world, id, U256::ZERO);
    let _: ISettlement::NoStepEarned = typed(&claim(&mut world, VERIFIER).unwrap_err());
}

#[test]
fn judges_who_were_right_have_their_part_of_the_slash_after_the_challenger() {
    let (mut world, id) = judged(false, 500_000);
    let challenger = world.balance(account(9));
    world.send(8, SETTLEMENT, resolve());
    // The whole prize, and the bond; of a slash of 1,000 OPEN the rest is the judges' and burnt.
    assert_eq!(world.balance(account(9)) - challenger, bond() * U256::from(2));
    let pot = bond() / U256::from(2);
    assert_eq!(world.balance(BURN), open(900) - pot);
    check_books(&mut world, id, pot);
    assert_eq!(claim(&mut world, VERIFIER), Ok(pot));
    check_books(&mut world, id, U256::ZERO);
}

#[test]
fn odd_stakes_share_what_judges_have_to_the_wei() {
    let mut world = World::with_market();
    set(&mut world, "verifier_share", 1_000_000);
    for (n, odd) in [(7, 1_u64), (8, 7)] {
        let stake = open(5_000) + U256::from(odd);
        world.pay(n, STAKING, stake, IStaking::stakeCall { role: StakeRole::Verifier });
    }
    world.advance(1);
    let (post, _) = batch(1, open(10));
    let id = world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
    world.pay(9, SETTLEMENT, bond(), ISettlement::challengeCall { batch: id });
    world.send(OPERATOR, SETTLEMENT, bisect(1));
    world.send(9, SETTLEMENT, choose(true));
    for n in [VERIFIER, 7, 8] {
        judge(&mut world, n, true);
    }
    world.advance(5);
    for n in [VERIFIER, 7, 8] {
        world.send(n, SETTLEMENT, reveal_step(n, true));
    }
    world.advance(5);
    world.send(8, SETTLEMENT, resolve());
    assert_eq!(staker(&mut world, OPERATOR).stake, open(10_000));
    let paid = [8, VERIFIER, 7].map(|n| claim(&mut world, n).unwrap());
    assert_eq!(paid.iter().fold(U256::ZERO, |sum, amount| sum + amount), bond());
    assert!(paid[1] > paid[2], "by stake");
    check_books(&mut world, id, U256::ZERO);
}

#[test]
fn who_wins_because_the_other_was_silent_pays_no_judges() {
    let (mut world, id) = challenged();
    set(&mut world, "verifier_share", 500_000);
    let operator = world.balance(account(OPERATOR));
    world.send(OPERATOR, SETTLEMENT, bisect(1));
    world.advance(5);
    world.send(8, SETTLEMENT, resolve());
    assert_eq!(world.balance(account(OPERATOR)) - operator, bond());
    check_books(&mut world, id, U256::ZERO);
}

#[test]
fn a_dispute_is_about_as_many_steps_as_receipts_and_settlement_have() {
    let mut world = World::with_market();
    let (mut post, _) = batch(1, open(10));
    (post.receipts, post.steps) = (2, 121);
    let id = world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
    assert_eq!(world.view(SETTLEMENT, ISettlement::batchCall { id }).steps, 121);
    world.pay(9, SETTLEMENT, bond(), ISettlement::challengeCall { batch: id });
    assert_eq!(read(&mut world).high, 123);
    let mut moves = 0;
    while read(&mut world).status == ChallengeStatus::Bisecting {
        world.send(OPERATOR, SETTLEMENT, bisect(1));
        world.send(9, SETTLEMENT, choose(true));
        moves += 2;
    }
    assert_eq!(moves, 14, "two for each halving of 123 steps");
}

/// A dispute that ends as `upheld`, which all judges say: verifier and validator with the trace of the work, 7 and 8, with 5,000 OPEN each,
/// with these, or without a word after their commitments.
fn traced(upheld: bool, traces: [Option<B256>; 2]) -> World {
    let mut world = World::with_market();
    set(&mut world, "verifier_share", 500_000);
    for n in [7, 8] {
        world.pay(n, STAKING, open(5_000), IStaking::stakeCall { role: StakeRole::Verifier });
    }
    world.advance(1);
    let (post, _) = batch(1, open(10));
    let batch = world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
    world.pay(9, SETTLEMENT, bond(), ISettlement::challengeCall { batch });
    world.send(OPERATOR, SETTLEMENT, bisect(1));
    world.send(9, SETTLEMENT, choose(true));
    let judges = [(VERIFIER, Some(TRACE)), (VALIDATOR, Some(TRACE)), (7, traces[0]), (8, traces[1])];
    let challenge = U256::ONE;
    for (n, trace) in judges {
        let registered = staker(&mut world, n).registeredAt;
        let trace = trace.unwrap_or_default();
        let commitment = step_commitment(account(n), registered, challenge, upheld, trace, hash(n));
        world.send(n, SETTLEMENT, ISettlement::commitStepCall { challenge, commitment });
    }
    world.advance(5);
    for (n, trace) in judges {
        let Some(trace) = trace else { continue };
        let reveal = ISettlement::revealStepCall { challenge, upheld, trace, salt: hash(n) };
        world.send(n, SETTLEMENT, reveal);
    }
    let early = world.try_pay(1, SETTLEMENT, U256::ZERO, punish(7)).unwrap_err();
    let _: ISettlement::NoStepFault = typed(&early);
    world.advance(5);
    world.send(1, SETTLEMENT, resolve());
    world
}

fn punish(verifier: u8) -> ISettlement::punishStepCall {
    ISettlement::punishStepCall { challenge: U256::ONE, verifier: account(verifier) }
}

/// What is burnt for the fault of a judge; nothing if there is none.
fn burnt_for(world: &mut World, verifier: u8) -> U256 {
    let before = (world.balance(BURN), staker(world, verifier).stake);
    if world.try_pay(1, SETTLEMENT, U256::ZERO, punish(verifier)).is_err() {
        return U256::ZERO;
    }
    let burnt = world.balance(BURN) - before.0;
    assert_eq!(before.1 - staker(world, verifier).stake, burnt);
    let again = world.try_pay(1, SETTLEMENT, U256::ZERO, punish(verifier)).unwrap_err();
    let error: ISettlement::NoStepFault = typed(&again);
    assert_eq!((error.challenge, error.verifier), (U256::ONE, account(verifier)));
    burnt
}

#[test]
fn a_judge_who_guesses_or_stays_silent_has_less_than_one_who_executes_the_step() {
    for upheld in [true, false] {
        // One says how it ends without what stands nowhere, one commits and stays silent.
        let mut world = traced(upheld, [Some(hash(9)), None]);
        let slash = open(5_000) / U256::from(100);
        for lazy in [7, 8] {
            let _: ISettlement::NoStepEarned = typed(&claim(&mut world, lazy).unwrap_err());
            assert_eq!(burnt_for(&mut world, lazy), slash);
        }
        let paid = [VERIFIER, VALIDATOR].map(|n| claim(&mut world, n).unwrap());
        assert_eq!(paid[0] + paid[1], bond() / U256::from(2), "to the wei, to those who worked");
        assert!(paid.iter().all(|wei| !wei.is_zero()));
        for judge in [VERIFIER, VALIDATOR] {
            assert_eq!(burnt_for(&mut world, judge), U256::ZERO);
        }
        check_books(&mut world, U256::ONE, U256::ZERO);
    }
}

#[test]
fn a_judge_who_was_not_shown_a_false_step_is_neither_paid_nor_slashed() {
    let mut world = traced(false, [Some(B256::ZERO), Some(TRACE)]);
    let _: ISettlement::NoStepEarned = typed(&claim(&mut world, 7).unwrap_err());
    assert_eq!(burnt_for(&mut world, 7), U256::ZERO);
    // Of a step that is right nobody can say so.
    let mut world = traced(true, [Some(B256::ZERO), Some(TRACE)]);
    assert_eq!(burnt_for(&mut world, 7), open(50));
}
