mod appeals;
mod judges;
mod terms;

use alloy_primitives::{B256, U256};
use openledger_types::abi::{
    BatchStatus, ChallengeStatus, Charge, IEscrow, IModels, ISettlement, IStaking, PayoutRole, RoleTotals,
    StakeRole, Staker,
};
use openledger_types::addresses::{BURN, ESCROW, MODELS, PARAMS, SETTLEMENT, STAKING, TREASURY};
use openledger_types::batch::{
    Payout, PayoutKind, WITHHELD, challenge_start, sampled_receipts, verdict_commitment, verdict_digest,
};

use super::{MAX_CHARGES, bond_held, held, step_commitment};
use crate::layout::{Mapping, Slot};
use crate::params::param_name;
use crate::tests::{
    DEVELOPER, OPERATOR, PAYER, TRACE, UNBONDING, VALIDATOR, VERIFIER, World, account, batch, claim_call,
    hash, open, post_of, typed,
};

/// Sets a governed number as if at genesis.
fn set(world: &mut World, name: &str, value: u64) {
    let values: Mapping<B256, Slot<U256>> = Mapping::new(PARAMS, 0);
    values.at(param_name(name)).set(&mut world.storage, U256::from(value)).unwrap();
}

fn staker(world: &mut World, n: u8) -> Staker {
    world.view(STAKING, IStaking::stakerCall { account: account(n) })
}

/// A fee that no part of the split divides evenly.
fn fee() -> U256 {
    open(10) + U256::from(7)
}

fn status(world: &mut World, id: U256) -> BatchStatus {
    world.view(SETTLEMENT, ISettlement::batchCall { id }).status
}

fn deposit(world: &mut World) -> U256 {
    world.view(ESCROW, IEscrow::balanceOfCall { payer: account(PAYER) })
}

#[test]
fn a_verified_batch_pays_every_role_to_the_wei() {
    let mut world = World::with_market();
    let (id, payouts) = world.post(1, fee());
    assert_eq!(deposit(&mut world), open(1_000) - fee());
    assert_eq!(world.balance(SETTLEMENT), fee());
    world.give_verdict(VERIFIER, id, true);
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    assert_eq!(status(&mut world, id), BatchStatus::Finalised);
    let mut paid = U256::ZERO;
    for (index, payout) in payouts.iter().enumerate() {
        let before = world.balance(payout.account);
        world.send(9, SETTLEMENT, claim_call(id, &payouts, index));
        let got = world.balance(payout.account) - before;
        assert_eq!(got, payout.amount);
        paid += got;
    }
    // The second over which the rewards of these tests are paid.
    world.advance(1);
    let reward = world.view(STAKING, IStaking::rewardCall { account: account(VALIDATOR) });
    // The treasury had the deployment fee.
    let rest = world.balance(TREASURY) - open(1) + world.balance(BURN) + reward;
    assert_eq!(paid + rest, fee());
    assert_eq!(world.balance(SETTLEMENT), U256::ZERO);
    assert_eq!(world.view(SETTLEMENT, ISettlement::batchCall { id }).claimed, paid);
}

#[test]
fn only_an_active_operator_posts_and_once_per_epoch_and_adapter() {
    let mut world = World::with_market();
    let (post, _) = batch(1, fee());
    let call = ISettlement::postCall { batch: post.clone() };
    let error: ISettlement::NotOperator = world.refused(VERIFIER, SETTLEMENT, call.clone());
    assert_eq!(error.caller, account(VERIFIER));
    let id = world.send(OPERATOR, SETTLEMENT, call.clone());
    let error: ISettlement::EpochAlreadyPosted = world.refused(OPERATOR, SETTLEMENT, call);
    assert_eq!((error.epoch, error.adapter), (1, U256::ONE));
    let of = ISettlement::batchOfCall { operator: account(OPERATOR), epoch: 1, adapter: U256::ONE };
    assert_eq!(world.view(SETTLEMENT, of), id);
    let posted = world.view(SETTLEMENT, ISettlement::batchCall { id });
    assert_eq!((posted.totals, posted.fees, posted.payouts), (post.totals, fee(), 5));
    assert_eq!((posted.receipts, posted.postedAt, posted.epoch), (1, 102, 1));
    world.send(OPERATOR, STAKING, IStaking::startUnbondingCall {});
    let (post, _) = batch(2, fee());
    let _: ISettlement::NotOperator =
        world.refused(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
}

#[test]
fn a_post_that_does_not_add_up_is_refused() {
    let mut world = World::with_market();
    let (good, _) = batch(1, fee());
    fn refused<E: alloy_sol_types::SolError + std::fmt::Debug>(
        world: &mut World,
        good: &openledger_types::abi::BatchPost,
        change: impl FnOnce(&mut openledger_types::abi::BatchPost),
    ) -> E {
        let mut batch = good.clone();
        change(&mut batch);
        world.refused(OPERATOR, SETTLEMENT, ISettlement::postCall { batch })
    }
    let _: ISettlement::EmptyBatch = refused(&mut world, &good, |b| b.receipts = 0);
    let _: ISettlement::EmptyBatch = refused(&mut world, &good, |b| b.steps = 0);
    let _: ISettlement::EmptyBatch = refused(&mut world, &good, |b| b.payouts = 0);
    let _: ISettlement::EmptyBatch = refused(&mut world, &good, |b| b.charges.clear());
    let error: ISettlement::TooMany = refused(&mut world, &good, |b| b.receipts = 1_000_001);
    assert_eq!((error.what.as_str(), error.limit), ("receipts", U256::from(1_000_000)));
    let error: ISettlement::TooMany = refused(&mut world, &good, |b| b.steps = 2_000_002);
    assert_eq!((error.what.as_str(), error.limit), ("steps", U256::from(2_000_001)));
    let _: ISettlement::TooMany = refused(&mut world, &good, |b| b.payouts = 100_001);
    let charge = good.charges[0].clone();
    let _: ISettlement::TooMany =
        refused(&mut world, &good, |b| b.charges = vec![charge.clone(); MAX_CHARGES + 1]);
    let error: ISettlement::DuplicateCharge =
        refused(&mut world, &good, |b| b.charges = vec![charge.clone(); 2]);
    assert_eq!(error.key, hash(7));
    let error: ISettlement::FeesMismatch = refused(&mut world, &good, |b| b.charges[0].amount += U256::ONE);
    assert_eq!((error.fees, error.charges), (fee(), fee() + U256::ONE));
    let _: ISettlement::TotalsMismatch = refused(&mut world, &good, |b| b.totals.treasury += U256::ONE);
    let _: IModels::UnknownAdapter = refused(&mut world, &good, |b| b.adapter = U256::from(9));
    // One receipt may round one wei down in each role, not two.
    let mut batch = good.clone();
    batch.totals.operator -= U256::from(2);
    batch.totals.treasury += U256::from(2);
    let error: ISettlement::SplitOutOfBounds = refused(&mut world, &good, |b| *b = batch.clone());
    assert_eq!((error.role.as_str(), error.got), ("operator", error.least - U256::ONE));
    batch.receipts = 2;
    let lucky = U256::from(1);
    batch.totals.contributors += lucky;
    batch.totals.treasury -= lucky;
    let error: ISettlement::SplitOutOfBounds = refused(&mut world, &good, |b| *b = batch.clone());
    assert_eq!((error.role.as_str(), error.got), ("contributors", error.most + U256::ONE));
    batch.totals.contributors -= lucky;
    batch.totals.treasury += lucky;
    world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch });
    let sums = RoleTotals { contributors: U256::MAX, base: U256::ONE, ..good.totals.clone() };
    let _: alloy_sol_types::Panic = refused(&mut world, &good, |b| (b.epoch, b.totals) = (3, sums));
}

#[test]
fn a_payer_is_never_charged_above_the_cap_or_by_another_operator() {
    let mut world = World::with_market();
    let (post, _) = batch(1, open(500) + U256::ONE);
    let error: IEscrow::CapExceeded =
        world.refused(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
    assert_eq!((error.cap, error.spent), (open(500), U256::ZERO));
    world.pay(9, STAKING, open(1_000), IStaking::stakeCall { role: StakeRole::Operator });
    let (post, _) = batch(1, fee());
    let _: IEscrow::WrongOperator = world.refused(9, SETTLEMENT, ISettlement::postCall { batch: post });
    assert_eq!(deposit(&mut world), open(1_000));
}

#[test]
fn a_retired_adapter_settles_within_the_grace_and_not_after() {
    let mut world = World::with_market();
    world.send(DEVELOPER, MODELS, IModels::retireCall { adapter: U256::ONE });
    world.later(60);
    world.post(1, fee());
    world.later(1);
    let (post, _) = batch(2, fee());
    let _: ISettlement::AdapterRetired =
        world.refused(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
}

#[test]
fn more_disagreement_than_agreement_refunds_the_payers() {
    let mut world = World::with_market();
    let (id, payouts) = world.post(1, fee());
    world.pay(VERIFIER, STAKING, U256::ONE, IStaking::stakeCall { role: StakeRole::Verifier });
    world.commit_verdict(VALIDATOR, id, true);
    world.commit_verdict(VERIFIER, id, false);
    world.advance(1);
    world.reveal_verdict(VALIDATOR, id, true);
    let finalise = ISettlement::finaliseCall { batch: id };
    let _: ISettlement::WindowOpen = world.refused(9, SETTLEMENT, finalise.clone());
    world.reveal_verdict(VERIFIER, id, false);
    world.send(9, SETTLEMENT, finalise.clone());
    assert_eq!(status(&mut world, id), BatchStatus::Refused);
    assert_eq!(deposit(&mut world), open(1_000));
    let key = world.view(ESCROW, IEscrow::authorisationCall { key: hash(7) });
    assert_eq!(key.spent, U256::ZERO);
    assert_eq!(world.balance(SETTLEMENT), U256::ZERO);
    let error: ISettlement::WrongStatus = world.refused(9, SETTLEMENT, claim_call(id, &payouts, 0));
    assert_eq!(error.status, BatchStatus::Refused);
    let _: ISettlement::WrongStatus = world.refused(9, SETTLEMENT, finalise);
    let read = world.view(SETTLEMENT, ISettlement::batchCall { id });
    assert_eq!((read.agreeStake, read.disagreeStake), (open(10_000), open(10_000) + U256::ONE));
    // The stake that was refuted loses a tenth, which is burnt.
    let operator = staker(&mut world, OPERATOR);
    assert_eq!((operator.stake, operator.locks, operator.jailedUntil), (open(9_000), 0, 0));
    assert_eq!(world.balance(BURN), open(1_000));
}

#[test]
fn a_verdict_weighs_its_stake_and_splitting_a_stake_gains_nothing() {
    let mut world = World::with_market();
    // One verifier with 10,000 OPEN against three who have as much together.
    for n in [7, 8, 9] {
        world.pay(n, STAKING, open(3_333), IStaking::stakeCall { role: StakeRole::Verifier });
    }
    let (id, _) = world.post(1, fee());
    for n in [VERIFIER, 7, 8, 9] {
        world.commit_verdict(n, id, n == VERIFIER);
    }
    world.advance(1);
    for n in [VERIFIER, 7, 8, 9] {
        world.reveal_verdict(n, id, n == VERIFIER);
    }
    let read = world.view(SETTLEMENT, ISettlement::batchCall { id });
    assert_eq!((read.agree, read.disagree), (1, 3));
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    assert_eq!(status(&mut world, id), BatchStatus::Finalised);
}

#[test]
fn a_file_that_verifiers_cannot_fetch_is_the_operators_failure() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, fee());
    let registered = staker(&mut world, VERIFIER).registeredAt;
    let commitment = verdict_commitment(account(VERIFIER), registered, id, WITHHELD, TRACE, hash(1));
    world.send(VERIFIER, SETTLEMENT, ISettlement::commitVerdictCall { batch: id, commitment });
    world.advance(1);
    let reveal = ISettlement::revealVerdictCall { batch: id, digest: WITHHELD, trace: TRACE, salt: hash(1) };
    world.send(VERIFIER, SETTLEMENT, reveal);
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    assert_eq!(status(&mut world, id), BatchStatus::Refused);
    assert_eq!((staker(&mut world, OPERATOR).stake, deposit(&mut world)), (open(9_000), open(1_000)));
}

#[test]
fn a_batch_that_nobody_verified_is_refused_after_its_windows() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, fee());
    let finalise = ISettlement::finaliseCall { batch: id };
    world.advance(8);
    let error: ISettlement::WindowOpen = world.refused(9, SETTLEMENT, finalise.clone());
    assert_eq!(error.until, 110);
    world.advance(1);
    world.send(9, SETTLEMENT, finalise);
    assert_eq!(status(&mut world, id), BatchStatus::Refused);
    assert_eq!(deposit(&mut world), open(1_000));
    assert_eq!(staker(&mut world, OPERATOR).stake, open(10_000), "nobody has refuted it");
}

#[test]
fn a_batch_of_free_answers_is_posted_and_finalised() {
    let mut world = World::with_market();
    let (mut post, payouts) = batch(1, U256::ZERO);
    post.payouts = 0;
    let id = world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
    world.give_verdict(VERIFIER, id, true);
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    assert_eq!(status(&mut world, id), BatchStatus::Finalised);
    let _: ISettlement::InvalidProof = world.refused(9, SETTLEMENT, claim_call(id, &payouts, 0));
    assert_eq!(deposit(&mut world), open(1_000));
}

/// A batch of two keys, of which one ended too long ago.
fn late() -> (World, U256) {
    let mut world = World::with_market();
    world.authorise(PAYER, hash(8), OPERATOR, open(100));
    world.send(PAYER, ESCROW, IEscrow::revokeCall { key: hash(8) });
    world.later(61);
    let (mut post, _) = batch(1, open(30));
    post.charges =
        [7, 8].map(|n| Charge { key: hash(n), amount: open(if n == 7 { 10 } else { 20 }) }).to_vec();
    let id = world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
    (world, id)
}

#[test]
fn an_operator_pays_for_a_key_that_ended_too_long_ago_and_the_others_settle() {
    let (mut world, id) = late();
    assert_eq!(deposit(&mut world), open(990));
    assert_eq!(world.balance(SETTLEMENT), open(30));
    assert_eq!(staker(&mut world, OPERATOR).stake, open(9_980));
    assert_eq!(world.view(SETTLEMENT, ISettlement::batchCall { id }).forfeited, open(20));
    let key = world.view(ESCROW, IEscrow::authorisationCall { key: hash(8) });
    assert_eq!(key.spent, U256::ZERO);
    world.give_verdict(VERIFIER, id, true);
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    assert_eq!(staker(&mut world, OPERATOR).stake, open(9_980));

    // A batch that nobody verified gives everybody back what they paid.
    let (mut world, id) = late();
    world.advance(9);
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    assert_eq!((deposit(&mut world), staker(&mut world, OPERATOR).stake), (open(1_000), open(10_000)));
    assert_eq!(world.balance(SETTLEMENT), U256::ZERO);
}

#[test]
fn an_operator_cannot_leave_while_a_batch_is_undecided() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, fee());
    world.send(OPERATOR, STAKING, IStaking::startUnbondingCall {});
    world.storage.block.timestamp += UNBONDING;
    let error: IStaking::StakeLocked = world.refused(OPERATOR, STAKING, IStaking::unstakeCall {});
    assert_eq!(error.batches, 1);
    world.give_verdict(VERIFIER, id, false);
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    world.send(OPERATOR, STAKING, IStaking::unstakeCall {});
    assert_eq!(world.balance(account(OPERATOR)), open(999_000), "slashed while it unbonds");
}

#[test]
fn a_validator_alone_can_carry_a_batch_once_the_windows_are_over() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, fee());
    world.commit_verdict(VALIDATOR, id, true);
    world.advance(5);
    world.reveal_verdict(VALIDATOR, id, true);
    let finalise = ISettlement::finaliseCall { batch: id };
    let _: ISettlement::WindowOpen = world.refused(9, SETTLEMENT, finalise.clone());
    world.advance(4);
    world.send(9, SETTLEMENT, finalise);
    assert_eq!(status(&mut world, id), BatchStatus::Finalised);
}

#[test]
fn no_digest_is_public_while_anybody_can_still_commit() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, fee());
    world.commit_verdict(VALIDATOR, id, true);
    world.advance(1);
    let digest = world.digest(id, true);
    let reveal = |n: u8| ISettlement::revealVerdictCall { batch: id, digest, trace: TRACE, salt: hash(n) };
    let error: ISettlement::WindowOpen = world.refused(VALIDATOR, SETTLEMENT, reveal(VALIDATOR));
    assert_eq!(error.until, 106);
    world.commit_verdict(VERIFIER, id, true);
    // Every verifier has committed, so the window is over; the reveal still takes a later block than the commitment.
    let error: ISettlement::WindowOpen = world.refused(VERIFIER, SETTLEMENT, reveal(VERIFIER));
    assert_eq!(error.until, 103);
    world.send(VALIDATOR, SETTLEMENT, reveal(VALIDATOR));
    let verdict =
        world.view(SETTLEMENT, ISettlement::verdictCall { batch: id, verifier: account(VALIDATOR) });
    assert_eq!(verdict.digest, digest);
    world.pay(8, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Validator });
    let late = world.verdict_call(8, id, true);
    let _: ISettlement::NotVerifier = world.refused(8, SETTLEMENT, late);
}

#[test]
fn verdicts_come_from_those_who_were_bonded_at_the_post_and_only_in_their_windows() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, fee());
    for stranger in [OPERATOR, PAYER] {
        let call = world.verdict_call(stranger, id, true);
        let _: ISettlement::NotVerifier = world.refused(stranger, SETTLEMENT, call);
    }
    let digest = world.digest(id, true);
    let reveal = ISettlement::revealVerdictCall { batch: id, digest, trace: TRACE, salt: hash(VALIDATOR) };
    let _: ISettlement::NoVerdict = world.refused(VALIDATOR, SETTLEMENT, reveal.clone());
    world.commit_verdict(VALIDATOR, id, true);
    let call = world.verdict_call(VALIDATOR, id, true);
    let _: ISettlement::VerdictExists = world.refused(VALIDATOR, SETTLEMENT, call);
    world.advance(5);
    let call = world.verdict_call(VERIFIER, id, true);
    let error: ISettlement::WindowClosed = world.refused(VERIFIER, SETTLEMENT, call);
    assert_eq!(error.since, 106);
    let wrong =
        ISettlement::revealVerdictCall { batch: id, digest: hash(1), trace: TRACE, salt: hash(VALIDATOR) };
    let error: ISettlement::WrongReveal = world.refused(VALIDATOR, SETTLEMENT, wrong);
    assert_ne!(error.commitment, error.got);
    world.advance(4);
    let error: ISettlement::WindowClosed = world.refused(VALIDATOR, SETTLEMENT, reveal);
    assert_eq!(error.since, 110);
    let unknown = ISettlement::finaliseCall { batch: U256::from(9) };
    let _: ISettlement::UnknownBatch = world.refused(9, SETTLEMENT, unknown);
}

/// A finalised batch with its payouts.
fn finalised() -> (World, U256, Vec<Payout>) {
    let mut world = World::with_market();
    let (id, payouts) = world.post(1, fee());
    world.give_verdict(VERIFIER, id, true);
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    (world, id, payouts)
}

#[test]
fn a_payout_is_claimed_once_and_as_the_tree_has_it() {
    let (mut world, id, payouts) = finalised();
    let claim = claim_call(id, &payouts, 1);
    for wrong in [
        ISettlement::claimCall { amount: claim.amount + U256::ONE, ..claim.clone() },
        ISettlement::claimCall { account: account(9), ..claim.clone() },
        ISettlement::claimCall { role: PayoutRole::Operator, ..claim.clone() },
        ISettlement::claimCall { index: U256::from(2), ..claim.clone() },
        ISettlement::claimCall { index: U256::from(1) + (U256::ONE << 32), ..claim.clone() },
        ISettlement::claimCall { proof: Vec::new(), ..claim },
    ] {
        let _: ISettlement::InvalidProof = world.refused(9, SETTLEMENT, wrong);
    }
    let long = ISettlement::claimCall { proof: vec![B256::ZERO; 33], ..claim };
    let _: ISettlement::TooMany = world.refused(9, SETTLEMENT, long);
    world.send(9, SETTLEMENT, claim.clone());
    assert!(world.view(SETTLEMENT, ISettlement::claimedCall { batch: id, index: U256::ONE }));
    let error: ISettlement::AlreadyClaimed = world.refused(9, SETTLEMENT, claim);
    assert_eq!(error.index, U256::ONE);
}

#[test]
fn a_tree_that_pays_more_than_the_batch_charged_cannot_take_from_others() {
    let mut world = World::with_market();
    let honest = world.post(1, fee()).0;
    let greedy: Vec<_> = (0..3)
        .map(|n| Payout { role: PayoutKind::Contributor, account: account(0x40 + n), amount: open(5) })
        .collect();
    let (good, _) = batch(2, fee());
    let batch = post_of(2, fee(), good.totals, &greedy);
    let id = world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch });
    world.give_verdict(VERIFIER, id, true);
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    world.send(9, SETTLEMENT, claim_call(id, &greedy, 0));
    let error: ISettlement::TotalsMismatch = world.refused(9, SETTLEMENT, claim_call(id, &greedy, 1));
    assert_eq!(error.totals, open(10));
    let owed = held(&mut world.storage, honest).unwrap() + held(&mut world.storage, id).unwrap();
    assert_eq!(world.balance(SETTLEMENT), owed);
}

#[test]
fn a_batch_charges_many_payers_and_refunds_each() {
    let mut world = World::with_market();
    for n in 0..8 {
        world.authorise(PAYER, hash(0x50 + n), OPERATOR, open(100));
    }
    let (mut post, _) = batch(1, open(36));
    post.charges = (0..8).map(|n| Charge { key: hash(0x50 + n), amount: open(u64::from(n) + 1) }).collect();
    let id = world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
    let spent = |world: &mut World, n: u8| {
        world.view(ESCROW, IEscrow::authorisationCall { key: hash(0x50 + n) }).spent
    };
    assert_eq!(spent(&mut world, 4), open(5));
    assert_eq!(deposit(&mut world), open(964));
    world.advance(9);
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    assert_eq!(spent(&mut world, 4), U256::ZERO);
    assert_eq!(deposit(&mut world), open(1_000));
}

#[test]
fn the_draw_assigns_some_verifiers_by_the_hash_of_the_block_of_the_post() {
    let mut world = World::with_market();
    for n in [7, 8, 9] {
        world.pay(n, STAKING, open(1_000), IStaking::stakeCall { role: StakeRole::Verifier });
    }
    set(&mut world, "verifiers_per_batch", 2);
    let (id, _) = world.post(1, fee());
    let call = world.verdict_call(VERIFIER, id, true);
    let error: ISettlement::WindowOpen = world.refused(VERIFIER, SETTLEMENT, call);
    assert_eq!(error.until, 102);
    assert_eq!(world.view(SETTLEMENT, ISettlement::seedCall { batch: id }), B256::ZERO);
    let everybody = [VERIFIER, VALIDATOR, 7, 8, 9];
    let assigned = |world: &mut World, n: u8| {
        world.view(SETTLEMENT, ISettlement::isAssignedCall { batch: id, verifier: account(n) })
    };
    assert!(!everybody.iter().any(|n| assigned(&mut world, *n)));
    world.advance(1);
    let mut sizes = Vec::new();
    for hash_of_block in 0..=40_u8 {
        let mut world = World { storage: world.storage.clone() };
        world.storage.hashes.insert(102, hash(hash_of_block));
        let seed = world.send(9, SETTLEMENT, ISettlement::drawCall { batch: id });
        assert_eq!(world.view(SETTLEMENT, ISettlement::seedCall { batch: id }), seed);
        // A second draw is the first.
        world.advance(2);
        world.storage.hashes.insert(102, hash(0xff));
        assert_eq!(world.send(9, SETTLEMENT, ISettlement::drawCall { batch: id }), seed);
        let chosen: Vec<u8> = everybody.into_iter().filter(|n| assigned(&mut world, *n)).collect();
        for n in everybody {
            let call = world.verdict_call(n, id, true);
            match world.try_pay(n, SETTLEMENT, U256::ZERO, call) {
                Ok(_) => assert!(chosen.contains(&n)),
                Err(error) => {
                    assert_eq!(typed::<ISettlement::NotAssigned>(&error).verifier, account(n));
                    assert!(!chosen.contains(&n));
                }
            }
        }
        sizes.push(chosen.len());
        // Not everybody is assigned, so the window is not over early.
        let error: ISettlement::WindowOpen =
            world.refused(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
        assert_eq!(error.until, 110);
    }
    let mean = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
    assert!((1.5..2.5).contains(&mean), "{mean} of 5 on average");
    // 256 blocks later the hash of the post is out of reach; the anchor is the same for some 256 blocks.
    world.advance(300);
    let seeds = [0, 100].map(|later| {
        let mut world = World { storage: world.storage.clone() };
        world.advance(later);
        world.send(9, SETTLEMENT, ISettlement::drawCall { batch: id })
    });
    assert_eq!(seeds[0], seeds[1]);
    let sample = sampled_receipts(seeds[0], 10, 64);
    assert!(sample.len() == 64 && sample.iter().all(|index| *index < 10));
    assert_eq!((0..10).filter(|n| sample.contains(n)).count(), 10);
}

/// The bond of a challenge.
fn bond() -> U256 {
    open(100)
}

/// A posted batch of 6 receipts, so 7 steps, which account 9 challenges.
fn challenged() -> (World, U256) {
    let mut world = World::with_market();
    let (mut post, _) = batch(1, fee());
    post.receipts = 6;
    let id = world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
    world.advance(1);
    let challenge = world.pay(9, SETTLEMENT, bond(), ISettlement::challengeCall { batch: id });
    assert_eq!((challenge, bond_held(&mut world.storage, id)), (U256::ONE, Ok(bond())));
    (world, id)
}

fn read(world: &mut World) -> openledger_types::abi::Challenge {
    world.view(SETTLEMENT, ISettlement::challengeOfCall { id: U256::ONE })
}

fn bisect(state: u8) -> ISettlement::bisectCall {
    ISettlement::bisectCall { challenge: U256::ONE, state: hash(state) }
}

fn choose(agrees: bool) -> ISettlement::chooseCall {
    ISettlement::chooseCall { challenge: U256::ONE, agrees }
}

fn resolve() -> ISettlement::resolveCall {
    ISettlement::resolveCall { challenge: U256::ONE }
}

/// Down to step 4: after 3 steps both agree, after 4 they do not.
fn judging() -> (World, U256) {
    let (mut world, id) = challenged();
    for (state, agrees) in [(1, true), (2, false), (3, false)] {
        world.send(OPERATOR, SETTLEMENT, bisect(state));
        world.send(9, SETTLEMENT, choose(agrees));
        world.advance(1);
    }
    (world, id)
}

fn judge(world: &mut World, verifier: u8, upheld: bool) {
    let registered = staker(world, verifier).registeredAt;
    let commitment = step_commitment(account(verifier), registered, U256::ONE, upheld, TRACE, hash(verifier));
    world.send(verifier, SETTLEMENT, ISettlement::commitStepCall { challenge: U256::ONE, commitment });
}

fn reveal_step(verifier: u8, upheld: bool) -> ISettlement::revealStepCall {
    ISettlement::revealStepCall { challenge: U256::ONE, upheld, trace: TRACE, salt: hash(verifier) }
}

#[test]
fn a_dispute_is_bisected_to_one_step() {
    let (mut world, id) = challenged();
    let posted = world.view(SETTLEMENT, ISettlement::batchCall { id });
    let start = read(&mut world);
    assert_eq!((start.status, start.low, start.high), (ChallengeStatus::Bisecting, 0, 7));
    assert_eq!(start.lowState, challenge_start(posted.fileHash));
    let claimed = verdict_digest(posted.receiptsRoot, posted.payoutsRoot, posted.fileHash);
    assert_eq!((start.highState, start.deadline), (claimed, 107));
    let error: ISettlement::NotYourMove = world.refused(9, SETTLEMENT, bisect(1));
    assert_eq!(error.mover, account(OPERATOR));
    let error: ISettlement::WrongChallengeStatus = world.refused(9, SETTLEMENT, choose(true));
    assert_eq!(error.status, ChallengeStatus::Bisecting);
    world.send(OPERATOR, SETTLEMENT, bisect(1));
    let error: ISettlement::NotYourMove = world.refused(OPERATOR, SETTLEMENT, choose(true));
    assert_eq!(error.mover, account(9));
    world.advance(3);
    world.send(9, SETTLEMENT, choose(true));
    let now = read(&mut world);
    assert_eq!(
        (now.low, now.high, now.lowState, now.deadline),
        (3, 7, hash(1), 110),
        "a move starts the clock"
    );
    world.send(OPERATOR, SETTLEMENT, bisect(2));
    world.send(9, SETTLEMENT, choose(false));
    world.send(OPERATOR, SETTLEMENT, bisect(3));
    world.send(9, SETTLEMENT, choose(false));
    let end = read(&mut world);
    assert_eq!((end.status, end.low, end.high), (ChallengeStatus::Judging, 3, 4));
    assert_eq!((end.lowState, end.highState), (hash(1), hash(3)));
    let error: ISettlement::UnknownChallenge =
        world.refused(9, SETTLEMENT, ISettlement::resolveCall { challenge: U256::from(2) });
    assert_eq!(error.challenge, U256::from(2));
}

#[test]
fn a_challenge_takes_the_bond_and_a_posted_batch_without_another() {
    let (mut world, id) = challenged();
    let call = ISettlement::challengeCall { batch: id };
    let error = world.try_pay(8, SETTLEMENT, bond(), call.clone()).unwrap_err();
    assert_eq!(typed::<ISettlement::ChallengeOpen>(&error).challenge, U256::ONE);
    world.give_verdict(VERIFIER, id, true);
    let finalise = ISettlement::finaliseCall { batch: id };
    let _: ISettlement::ChallengeOpen = world.refused(9, SETTLEMENT, finalise);
    world.advance(5);
    let _: ISettlement::WindowClosed = world.refused(OPERATOR, SETTLEMENT, bisect(1));
    world.send(8, SETTLEMENT, resolve());
    assert_eq!(status(&mut world, id), BatchStatus::Refused);
    let error = world.try_pay(8, SETTLEMENT, bond(), call).unwrap_err();
    assert_eq!(typed::<ISettlement::WrongStatus>(&error).status, BatchStatus::Refused);
    let (next, _) = world.post(2, fee());
    let low = world.try_pay(8, SETTLEMENT, bond() - U256::ONE, ISettlement::challengeCall { batch: next });
    assert_eq!(typed::<ISettlement::WrongBond>(&low.unwrap_err()).needed, bond());
}

#[test]
fn whoever_misses_a_move_loses_and_pays_the_other() {
    // The operator is silent: refunds, a slash, the bond back and as much again.
    let (mut world, id) = challenged();
    world.advance(4);
    let error: ISettlement::WindowOpen = world.refused(8, SETTLEMENT, resolve());
    assert_eq!(error.until, 107);
    world.advance(1);
    world.send(8, SETTLEMENT, resolve());
    assert_eq!(read(&mut world).status, ChallengeStatus::ChallengerWon);
    assert_eq!((status(&mut world, id), deposit(&mut world)), (BatchStatus::Refused, open(1_000)));
    assert_eq!(world.balance(account(9)), open(1_000_100));
    assert_eq!((staker(&mut world, OPERATOR).stake, world.balance(BURN)), (open(9_000), open(900)));
    assert_eq!(world.balance(SETTLEMENT), U256::ZERO);
    let _: ISettlement::WrongChallengeStatus = world.refused(8, SETTLEMENT, resolve());

    // The challenger is silent: the bond is the operator's, and the batch stands.
    let (mut world, id) = challenged();
    world.send(OPERATOR, SETTLEMENT, bisect(1));
    world.advance(5);
    world.send(8, SETTLEMENT, resolve());
    assert_eq!(world.balance(account(OPERATOR)), open(990_100));
    assert_eq!(
        (status(&mut world, id), bond_held(&mut world.storage, id)),
        (BatchStatus::Posted, Ok(U256::ZERO))
    );
    assert_eq!(world.view(SETTLEMENT, ISettlement::challengeCountCall {}), U256::ONE);
    world.pay(8, SETTLEMENT, bond(), ISettlement::challengeCall { batch: id });
}

#[test]
fn one_step_is_judged_by_the_stake_behind_sealed_verdicts() {
    for (upheld, end) in [(true, ChallengeStatus::OperatorWon), (false, ChallengeStatus::ChallengerWon)] {
        let (mut world, id) = judging();
        for party in [OPERATOR, 9, PAYER] {
            let call = ISettlement::commitStepCall { challenge: U256::ONE, commitment: hash(1) };
            let error: ISettlement::NotVerifier = world.refused(party, SETTLEMENT, call);
            assert_eq!(error.caller, account(party));
        }
        // The verifier has more at stake than the validator.
        world.pay(VERIFIER, STAKING, U256::ONE, IStaking::stakeCall { role: StakeRole::Verifier });
        judge(&mut world, VERIFIER, upheld);
        judge(&mut world, VALIDATOR, !upheld);
        let again = ISettlement::commitStepCall { challenge: U256::ONE, commitment: hash(1) };
        let _: ISettlement::VerdictExists = world.refused(VERIFIER, SETTLEMENT, again);
        let _: ISettlement::WindowOpen = world.refused(VERIFIER, SETTLEMENT, reveal_step(VERIFIER, upheld));
        world.advance(4);
        let late = ISettlement::commitStepCall { challenge: U256::ONE, commitment: hash(1) };
        world.pay(8, STAKING, open(1_000), IStaking::stakeCall { role: StakeRole::Verifier });
        let _: ISettlement::NotVerifier = world.refused(8, SETTLEMENT, late);
        let _: ISettlement::NoVerdict = world.refused(8, SETTLEMENT, reveal_step(8, upheld));
        let lie = reveal_step(VERIFIER, !upheld);
        let _: ISettlement::WrongReveal = world.refused(VERIFIER, SETTLEMENT, lie);
        world.send(VERIFIER, SETTLEMENT, reveal_step(VERIFIER, upheld));
        world.send(VALIDATOR, SETTLEMENT, reveal_step(VALIDATOR, !upheld));
        let _: ISettlement::VerdictExists =
            world.refused(VERIFIER, SETTLEMENT, reveal_step(VERIFIER, upheld));
        let error: ISettlement::WindowOpen = world.refused(9, SETTLEMENT, resolve());
        world.storage.block.number = error.until + 1;
        world.send(9, SETTLEMENT, resolve());
        let read = read(&mut world);
        assert_eq!(read.status, end);
        assert_eq!(read.upheldStake + read.refutedStake, open(20_000) + U256::ONE);
        let challenger = if upheld { open(999_900) } else { open(1_000_100) };
        assert_eq!(world.balance(account(9)), challenger);
        let expected = if upheld { BatchStatus::Posted } else { BatchStatus::Refused };
        assert_eq!(status(&mut world, id), expected);
    }
}

#[test]
fn without_a_verdict_the_bond_goes_back_and_the_window_starts_anew() {
    let (mut world, id) = judging();
    set(&mut world, "challenge_window", 10);
    world.advance(20);
    world.send(9, SETTLEMENT, resolve());
    assert_eq!(read(&mut world).status, ChallengeStatus::Undecided);
    assert_eq!(world.balance(account(9)), open(1_000_000));
    assert_eq!(staker(&mut world, OPERATOR).stake, open(10_000));
    // Nobody verified the batch in time.
    world.send(8, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    assert_eq!(status(&mut world, id), BatchStatus::Refused);
}

#[test]
fn a_batch_is_paid_only_when_nobody_can_challenge_it_any_more() {
    let mut world = World::with_market();
    set(&mut world, "challenge_window", 10);
    let (id, _) = world.post(1, fee());
    world.commit_verdict(VERIFIER, id, true);
    world.advance(1);
    world.reveal_verdict(VERIFIER, id, true);
    let finalise = ISettlement::finaliseCall { batch: id };
    let error: ISettlement::WindowOpen = world.refused(8, SETTLEMENT, finalise.clone());
    assert_eq!(error.until, 112);
    world.advance(9);
    world.pay(9, SETTLEMENT, bond(), ISettlement::challengeCall { batch: id });
    world.send(OPERATOR, SETTLEMENT, bisect(1));
    world.advance(5);
    world.send(8, SETTLEMENT, resolve());
    let error: ISettlement::WindowOpen = world.refused(8, SETTLEMENT, finalise.clone());
    assert_eq!(error.until, world.storage.block.number + 9);
    world.advance(10);
    world.send(8, SETTLEMENT, finalise);
    assert_eq!(status(&mut world, id), BatchStatus::Finalised);
}

#[test]
fn silence_and_a_refuted_verdict_are_punished_once() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, fee());
    world.commit_verdict(VALIDATOR, id, true);
    world.commit_verdict(VERIFIER, id, true);
    world.advance(1);
    world.reveal_verdict(VERIFIER, id, true);
    let punish = |n| ISettlement::punishCall { batch: id, verifier: account(n) };
    let _: ISettlement::NothingToPunish = world.refused(8, SETTLEMENT, punish(VALIDATOR));
    world.advance(8);
    world.send(8, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    world.send(8, SETTLEMENT, punish(VALIDATOR));
    let validator = staker(&mut world, VALIDATOR);
    assert_eq!(validator.stake, open(9_900));
    assert_ne!(validator.jailedUntil, 0, "too little is left");
    for n in [VALIDATOR, VERIFIER, OPERATOR] {
        let error: ISettlement::NothingToPunish = world.refused(8, SETTLEMENT, punish(n));
        assert_eq!(error.verifier, account(n));
    }

    let (mut world, id) = refuted(6, 32);
    let punish = ISettlement::punishCall { batch: id, verifier: account(VERIFIER) };
    world.send(8, SETTLEMENT, punish.clone());
    assert_eq!(staker(&mut world, VERIFIER).stake, open(9_900));
    let _: ISettlement::NothingToPunish = world.refused(8, SETTLEMENT, punish);
}

/// A batch of so many receipts with which the verifier agreed, of which so many are sampled, and whose step 4 judges find false.
fn refuted(receipts: u32, sampled: u64) -> (World, U256) {
    let mut world = World::with_market();
    set(&mut world, "sampled_receipts", sampled);
    let (mut post, _) = batch(1, fee());
    (post.receipts, post.steps) = (receipts, 8 - receipts);
    let id = world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
    world.advance(1);
    world.send(8, SETTLEMENT, ISettlement::drawCall { batch: id });
    world.give_verdict(VERIFIER, id, true);
    world.pay(9, SETTLEMENT, bond(), ISettlement::challengeCall { batch: id });
    for (state, agrees) in [(1, false), (2, true), (3, true)] {
        world.send(OPERATOR, SETTLEMENT, bisect(state));
        world.send(9, SETTLEMENT, choose(agrees));
    }
    let step = read(&mut world);
    assert_eq!((step.status, step.low, step.high), (ChallengeStatus::Judging, 3, 4));
    judge(&mut world, VALIDATOR, false);
    world.advance(5);
    world.send(VALIDATOR, SETTLEMENT, reveal_step(VALIDATOR, false));
    world.advance(4);
    world.send(8, SETTLEMENT, resolve());
    assert_eq!(read(&mut world).status, ChallengeStatus::ChallengerWon);
    (world, id)
}

#[test]
fn who_agreed_is_punished_only_for_a_step_that_judges_found_false_and_that_it_had_to_execute() {
    let punished = |world: &mut World, id| {
        let call = ISettlement::punishCall { batch: id, verifier: account(VERIFIER) };
        world.try_pay(8, SETTLEMENT, U256::ZERO, call).is_ok()
    };
    // The operator leaves the challenge: the batch is refused, and nothing is said about its steps.
    let (mut world, id) = challenged();
    world.give_verdict(VERIFIER, id, true);
    world.advance(4);
    world.send(8, SETTLEMENT, resolve());
    assert_eq!(status(&mut world, id), BatchStatus::Refused);
    assert_ne!(staker(&mut world, OPERATOR).stake, open(10_000), "silence is the operator's fault");
    assert!(!punished(&mut world, id));
    assert_eq!(staker(&mut world, VERIFIER).stake, open(10_000));
    // A false answer is met by whoever executes all answers, and by whom the draw gives it.
    let (mut world, id) = refuted(6, 32);
    assert!(punished(&mut world, id));
    for sampled in 1..6 {
        let (mut world, id) = refuted(6, sampled);
        let seed = world.view(SETTLEMENT, ISettlement::seedCall { batch: id });
        let met = sampled_receipts(seed, 6, u32::try_from(sampled).unwrap()).contains(&3);
        assert_eq!(punished(&mut world, id), met, "{sampled} of 6");
    }
    // A false step of the settlement by everybody.
    let (mut world, id) = refuted(3, 1);
    assert!(punished(&mut world, id));
}

#[test]
fn a_payout_can_go_straight_into_stake_by_its_owner() {
    let (mut world, id, _) = finalised();
    let payouts = batch(1, fee()).1;
    let claim = claim_call(id, &payouts, 3);
    let stake = ISettlement::claimAndStakeCall {
        batch: id,
        index: claim.index,
        role: claim.role,
        amount: claim.amount,
        proof: claim.proof.clone(),
        validator: account(VALIDATOR),
    };
    let _: ISettlement::InvalidProof = world.refused(9, SETTLEMENT, stake.clone());
    let nobody = ISettlement::claimAndStakeCall { validator: account(9), ..stake.clone() };
    let _: IStaking::NotValidator = world.refused(OPERATOR, SETTLEMENT, nobody);
    let before = world.balance(account(OPERATOR));
    world.send(OPERATOR, SETTLEMENT, stake);
    assert_eq!(world.balance(account(OPERATOR)), before);
    let delegation = IStaking::delegationCall { delegator: account(OPERATOR), validator: account(VALIDATOR) };
    assert_eq!(world.view(STAKING, delegation).stake, claim.amount);
    let _: ISettlement::AlreadyClaimed = world.refused(9, SETTLEMENT, claim);
}
