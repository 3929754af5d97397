use alloy_primitives::{B256, U256};
use openledger_types::abi::{
    BatchStatus, Charge, IEscrow, IModels, ISettlement, IStaking, PayoutRole, RoleTotals, StakeRole,
};
use openledger_types::addresses::{BURN, ESCROW, MODELS, SETTLEMENT, STAKING, TREASURY};
use openledger_types::batch::{Payout, PayoutKind};

use super::{MAX_CHARGES, held};
use crate::tests::{
    DEVELOPER, OPERATOR, PAYER, VALIDATOR, VERIFIER, World, account, batch, claim_call, hash, open, post_of,
};

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
    let reward = world.view(STAKING, IStaking::rewardCall { account: account(VALIDATOR) });
    let rest = world.balance(TREASURY) + world.balance(BURN) + reward;
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
    let _: ISettlement::EmptyBatch = refused(&mut world, &good, |b| b.payouts = 0);
    let _: ISettlement::EmptyBatch = refused(&mut world, &good, |b| b.charges.clear());
    let error: ISettlement::TooMany = refused(&mut world, &good, |b| b.receipts = 1_000_001);
    assert_eq!((error.what.as_str(), error.limit), ("receipts", U256::from(1_000_000)));
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
    let reveal = |n: u8| ISettlement::revealVerdictCall { batch: id, digest, salt: hash(n) };
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
    let reveal = ISettlement::revealVerdictCall { batch: id, digest, salt: hash(VALIDATOR) };
    let _: ISettlement::NoVerdict = world.refused(VALIDATOR, SETTLEMENT, reveal.clone());
    world.commit_verdict(VALIDATOR, id, true);
    let call = world.verdict_call(VALIDATOR, id, true);
    let _: ISettlement::VerdictExists = world.refused(VALIDATOR, SETTLEMENT, call);
    world.advance(5);
    let call = world.verdict_call(VERIFIER, id, true);
    let error: ISettlement::WindowClosed = world.refused(VERIFIER, SETTLEMENT, call);
    assert_eq!(error.since, 106);
    let wrong = ISettlement::revealVerdictCall { batch: id, digest: hash(1), salt: hash(VALIDATOR) };
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
