//! Operators who lie, and verifiers who copy, stay silent or collude.

use alloy_primitives::U256;
use openledger_types::abi::{ISettlement, StakeRole};
use openledger_types::addresses::SETTLEMENT;
use openledger_types::batch::{WITHHELD, verdict_commitment, verdict_digest};

use super::*;
use crate::tests::TRACE;

/// A verifier's digest, committed and revealed.
fn say(world: &mut World, n: u8, batch: U256, digest: B256) {
    let registered = staker(world, n).registeredAt;
    let commitment = verdict_commitment(account(n), registered, batch, digest, TRACE, hash(n));
    world.send(n, SETTLEMENT, ISettlement::commitVerdictCall { batch, commitment });
    world.advance(1);
    world.send(n, SETTLEMENT, ISettlement::revealVerdictCall { batch, digest, trace: TRACE, salt: hash(n) });
}

#[test]
fn d13_d15_d16_whatever_a_re_execution_finds_different_refunds_the_payers_and_slashes_the_operator() {
    // Another answer or count changes the receipts, another attribution the payouts; a file that is withheld is neither.
    for part in ["receipts", "payouts", "file", "withheld"] {
        let mut world = World::with_market();
        let (id, payouts) = world.post(1, open(100));
        let read = world.view(SETTLEMENT, ISettlement::batchCall { id });
        let (receipts, paid, file) = (read.receiptsRoot, read.payoutsRoot, read.fileHash);
        let digest = match part {
            "receipts" => verdict_digest(!receipts, paid, file),
            "payouts" => verdict_digest(receipts, !paid, file),
            "file" => verdict_digest(receipts, paid, !file),
            _ => WITHHELD,
        };
        say(&mut world, VERIFIER, id, digest);
        finalise(&mut world, id);
        assert_eq!(status(&mut world, id), BatchStatus::Refused, "{part}");
        assert_eq!(deposit(&mut world, PAYER), open(1_000));
        assert_eq!(staker(&mut world, OPERATOR).stake, open(9_000));
        let _: ISettlement::WrongStatus = world.refused(9, SETTLEMENT, claim_call(id, &payouts, 0));
    }
}

#[test]
fn d13_a_draw_that_nobody_knew_at_the_post_reaches_a_lie_with_the_stated_probability() {
    // One false answer of 64, 32 samples with repetition: 1 − (63/64)³² = 0.396 of batches are caught, within four sigma.
    let caught = (0..2_000_u64)
        .filter(|n| {
            let seed = alloy_primitives::keccak256(n.to_be_bytes());
            openledger_types::batch::sampled_receipts(seed, 64, 32).contains(&17)
        })
        .count();
    assert!((704..880).contains(&caught), "{caught} of 2000");
}

#[test]
fn d20_a_copied_commitment_cannot_be_revealed_and_silence_costs() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, open(100));
    world.commit_verdict(VERIFIER, id, true);
    let copied = world.view(SETTLEMENT, ISettlement::verdictCall { batch: id, verifier: account(VERIFIER) });
    let call = ISettlement::commitVerdictCall { batch: id, commitment: copied.commitment };
    // All verifiers have committed: a validator who waited to copy comes too late.
    let _: ISettlement::WindowClosed = world.refused(VALIDATOR, SETTLEMENT, call.clone());
    // With somebody to wait for, it copies a commitment, and then even the revealed digest opens it for nobody.
    let mut world = World::with_market();
    world.pay(8, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Verifier });
    world.advance(1);
    let (id, _) = world.post(1, open(100));
    world.commit_verdict(VERIFIER, id, true);
    world.send(VALIDATOR, SETTLEMENT, ISettlement::commitVerdictCall { batch: id, ..call });
    world.advance(5);
    world.reveal_verdict(VERIFIER, id, true);
    let digest = world.digest(id, true);
    let reveal = ISettlement::revealVerdictCall { batch: id, digest, trace: TRACE, salt: hash(VERIFIER) };
    let _: ISettlement::WrongReveal = world.refused(VALIDATOR, SETTLEMENT, reveal);
    world.advance(4);
    world.send(9, SETTLEMENT, ISettlement::punishCall { batch: id, verifier: account(VALIDATOR) });
    assert_eq!(staker(&mut world, VALIDATOR).stake, open(9_900));
}

#[test]
fn d21_a_verdict_is_bound_to_the_registration_and_a_newcomer_inherits_nothing() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, open(100));
    let registered = staker(&mut world, VERIFIER).registeredAt;
    // A verdict under another registration does not open.
    let digest = world.digest(id, true);
    let commitment = verdict_commitment(account(VERIFIER), registered + 1, id, digest, TRACE, hash(1));
    world.send(VERIFIER, SETTLEMENT, ISettlement::commitVerdictCall { batch: id, commitment });
    world.advance(1);
    let reveal = ISettlement::revealVerdictCall { batch: id, digest, trace: TRACE, salt: hash(1) };
    let _: ISettlement::WrongReveal = world.refused(VERIFIER, SETTLEMENT, reveal);
    // Who took the role after the post has no word in it, also under an account that had one before.
    let mut world = World::with_market();
    world.send(VERIFIER, STAKING, IStaking::startUnbondingCall {});
    let (id, _) = world.post(1, open(100));
    world.later(UNBONDING);
    world.send(VERIFIER, STAKING, IStaking::unstakeCall {});
    world.pay(VERIFIER, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Verifier });
    let call = world.verdict_call(VERIFIER, id, true);
    let _: ISettlement::NotVerifier = world.refused(VERIFIER, SETTLEMENT, call);
}

#[test]
fn d22_silence_is_slashed_and_nobody_speaks_twice() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, open(100));
    world.commit_verdict(VERIFIER, id, true);
    let call = world.verdict_call(VERIFIER, id, false);
    let _: ISettlement::VerdictExists = world.refused(VERIFIER, SETTLEMENT, call);
    world.advance(9);
    let punish = ISettlement::punishCall { batch: id, verifier: account(VERIFIER) };
    world.send(9, SETTLEMENT, punish.clone());
    assert_eq!(staker(&mut world, VERIFIER).stake, open(9_900));
    let _: ISettlement::NothingToPunish = world.refused(9, SETTLEMENT, punish);
    // One reveal, of what was committed.
    let (id, _) = world.post(2, open(100));
    world.commit_verdict(VERIFIER, id, true);
    world.advance(1);
    let digest = world.digest(id, false);
    let other = ISettlement::revealVerdictCall { batch: id, digest, trace: TRACE, salt: hash(VERIFIER) };
    let _: ISettlement::WrongReveal = world.refused(VERIFIER, SETTLEMENT, other.clone());
    world.reveal_verdict(VERIFIER, id, true);
    let _: ISettlement::VerdictExists = world.refused(VERIFIER, SETTLEMENT, other);
}

#[test]
fn d23_a_cabal_below_half_of_the_stake_decides_nothing_however_it_is_split() {
    for (cabal, parts) in [(19_000, 1), (19_000, 2), (19_998, 3)] {
        for lie in [true, false] {
            let mut world = World::with_market();
            // Honest: 20,000 OPEN of a verifier and a validator. The cabal agrees with a false batch or denies a right one.
            let members: Vec<u8> = (7..7 + parts).collect();
            for member in &members {
                let stake = open(cabal / u64::from(parts));
                world.pay(*member, STAKING, stake, IStaking::stakeCall { role: StakeRole::Verifier });
            }
            world.advance(1);
            let (id, _) = world.post(1, open(100));
            for n in [VERIFIER, VALIDATOR] {
                world.commit_verdict(n, id, !lie);
            }
            for member in &members {
                world.commit_verdict(*member, id, lie);
            }
            world.advance(5);
            for n in [VERIFIER, VALIDATOR] {
                world.reveal_verdict(n, id, !lie);
            }
            for member in &members {
                world.reveal_verdict(*member, id, lie);
            }
            finalise(&mut world, id);
            let right = if lie { BatchStatus::Refused } else { BatchStatus::Finalised };
            assert_eq!(status(&mut world, id), right, "{cabal} in {parts}");
        }
    }
}

/// Agrees with a batch that the account has not looked at: it knows the digest, which follows from what is posted, and no trace.
fn agree_blindly(world: &mut World, n: u8, id: U256) {
    let registered = staker(world, n).registeredAt;
    let digest = world.digest(id, true);
    let commitment = verdict_commitment(account(n), registered, id, digest, hash(0xb1), hash(n));
    world.send(n, SETTLEMENT, ISettlement::commitVerdictCall { batch: id, commitment });
}

fn reveal_blindly(world: &mut World, n: u8, id: U256) {
    let digest = world.digest(id, true);
    let reveal = ISettlement::revealVerdictCall { batch: id, digest, trace: hash(0xb1), salt: hash(n) };
    world.send(n, SETTLEMENT, reveal);
}

#[test]
fn d20_who_agrees_without_looking_is_slashed_and_who_looked_is_not() {
    let mut world = World::with_market();
    world.pay(8, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Verifier });
    world.pay(9, STAKING, open(9_000), IStaking::stakeCall { role: StakeRole::Verifier });
    world.advance(1);
    let (id, _) = world.post(1, open(100));
    world.advance(1);
    for looked in [VERIFIER, 8] {
        world.commit_verdict(looked, id, true);
    }
    agree_blindly(&mut world, 9, id);
    world.advance(1);
    world.reveal_verdict(VERIFIER, id, true);
    reveal_blindly(&mut world, 9, id);
    world.reveal_verdict(8, id, true);
    let punish = |n: u8| ISettlement::punishCall { batch: id, verifier: account(n) };
    let _: ISettlement::NothingToPunish = world.refused(PAYER, SETTLEMENT, punish(9));
    world.advance(200);
    world.send(PAYER, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    assert_eq!(status(&mut world, id), BatchStatus::Finalised);
    let before = staker(&mut world, 9).stake;
    world.send(PAYER, SETTLEMENT, punish(9));
    assert!(staker(&mut world, 9).stake < before);
    let _: ISettlement::NothingToPunish = world.refused(PAYER, SETTLEMENT, punish(9));
    for looked in [VERIFIER, 8] {
        let _: ISettlement::NothingToPunish = world.refused(PAYER, SETTLEMENT, punish(looked));
    }
}

#[test]
fn d20_where_as_much_stake_says_one_as_the_other_nobody_is_slashed_for_it() {
    let mut world = World::with_market();
    world.pay(9, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Verifier });
    world.advance(1);
    let (id, _) = world.post(1, open(100));
    world.advance(1);
    world.commit_verdict(VERIFIER, id, true);
    agree_blindly(&mut world, 9, id);
    world.advance(1);
    world.reveal_verdict(VERIFIER, id, true);
    reveal_blindly(&mut world, 9, id);
    world.advance(200);
    world.send(PAYER, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    assert_eq!(staker(&mut world, 9).stake, staker(&mut world, VERIFIER).stake);
    for n in [VERIFIER, 9] {
        let call = ISettlement::punishCall { batch: id, verifier: account(n) };
        let _: ISettlement::NothingToPunish = world.refused(PAYER, SETTLEMENT, call);
    }
}
