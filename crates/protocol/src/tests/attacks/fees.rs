//! What a fee becomes: nobody gains by paying themselves, by splitting, by rounding or by asking for free.

use alloy_primitives::U256;
use openledger_types::abi::{IEscrow, ISettlement, RoleTotals};
use openledger_types::addresses::{BURN, ESCROW, SETTLEMENT, TREASURY};
use openledger_types::batch::{Payout, PayoutKind};
use openledger_types::split::FeeSplit;

use super::super::{batch, post_of};
use super::*;

/// A batch in which these accounts are paid, in equal parts, what is not burnt, the treasury's or validators'.
fn paid_to(epoch: u64, fees: U256, accounts: &[Address]) -> (BatchPost, Vec<Payout>) {
    let parts = FeeSplit::GENESIS.split(fees);
    let totals = parts.totals(U256::ZERO);
    let part = totals.contributors / U256::from(accounts.len());
    let mut payouts: Vec<_> = accounts
        .iter()
        .map(|account| Payout { role: PayoutKind::Contributor, account: *account, amount: part })
        .collect();
    payouts[0].amount += totals.contributors - part * U256::from(accounts.len());
    payouts.push(Payout { role: PayoutKind::Operator, account: account(OPERATOR), amount: totals.operator });
    payouts.push(Payout { role: PayoutKind::Developer, account: accounts[0], amount: totals.developer });
    (post_of(epoch, fees, totals, &payouts), payouts)
}

#[test]
fn d01_a_payout_divided_over_many_identities_is_the_same_sum() {
    for identities in [1_u8, 2, 7, 50] {
        let mut world = World::with_market();
        let accounts: Vec<_> = (0x70..0x70 + identities).map(account).collect();
        let (batch, payouts) = paid_to(1, open(10) + U256::from(7), &accounts);
        let expected = FeeSplit::GENESIS.split(batch.fees);
        let id = post(&mut world, batch);
        world.give_verdict(VERIFIER, id, true);
        finalise(&mut world, id);
        claim_all(&mut world, id, &payouts);
        assert_eq!(wealth(&mut world, &accounts), expected.contributors + expected.developer, "{identities}");
    }
}

#[test]
fn d08_d09_a_ring_that_holds_every_role_loses_what_is_burnt_and_the_treasurys() {
    let mut world = World::with_market();
    // Payer, contributors, developer, operator, verifier and all the validators' stake are one.
    let ring = [PAYER, OPERATOR, VERIFIER, VALIDATOR, 0x41].map(account);
    let held = |world: &mut World| {
        let reward = world.view(STAKING, IStaking::rewardCall { account: account(VALIDATOR) });
        wealth(world, &ring) + deposit(world, PAYER) + reward
    };
    let before = held(&mut world);
    let fees = open(100);
    for epoch in 0..4 {
        let (batch, payouts) = paid_to(epoch, fees, &[account(0x41)]);
        let id = post(&mut world, batch);
        world.give_verdict(VERIFIER, id, true);
        finalise(&mut world, id);
        claim_all(&mut world, id, &payouts);
        // The second over which the rewards of these tests are paid.
        world.advance(1);
    }
    let parts = FeeSplit::GENESIS.split(fees);
    let lost = (parts.burn + parts.treasury) * U256::from(4);
    assert_eq!(before - held(&mut world), lost);
    assert!(lost > U256::ZERO);
}

#[test]
fn d09_no_governed_split_gives_a_ring_its_whole_fee_back() {
    let burn = crate::params::PARAMS.iter().find(|spec| spec.name == "burn_ppm").unwrap();
    assert!(burn.least > 0, "what is burnt is what wash inference cannot get back");
}

#[test]
fn d10_free_answers_pay_nobody_and_a_refund_takes_the_credit_back() {
    let mut world = World::with_market();
    let (mut free, payouts) = batch(1, U256::ZERO);
    free.payouts = 0;
    let id = post(&mut world, free);
    world.give_verdict(VERIFIER, id, true);
    finalise(&mut world, id);
    let _: ISettlement::InvalidProof = world.refused(9, SETTLEMENT, claim_call(id, &payouts, 0));
    // A refunded batch has nothing to claim, and the key can be charged again.
    let (id, payouts) = world.post(2, open(400));
    world.give_verdict(VERIFIER, id, false);
    finalise(&mut world, id);
    let _: ISettlement::WrongStatus = world.refused(9, SETTLEMENT, claim_call(id, &payouts, 0));
    assert_eq!(deposit(&mut world, PAYER), open(1_000));
    assert_eq!(world.view(ESCROW, IEscrow::authorisationCall { key: hash(7) }).spent, U256::ZERO);
    world.post(3, open(400));
}

#[test]
fn d41_odd_wei_shares_of_nothing_and_overflows_neither_make_nor_lose_value() {
    for fee in [1_u64, 2, 3, 5, 7, 19, 999_999, 1_000_001, u64::MAX] {
        let mut world = World::with_market();
        let fees = U256::from(fee);
        let (batch, payouts) = batch(1, fees);
        let id = post(&mut world, batch);
        world.give_verdict(VERIFIER, id, true);
        let (burnt, treasury) = (world.balance(BURN), world.balance(TREASURY));
        finalise(&mut world, id);
        let paid = claim_all(&mut world, id, &payouts);
        let validators = FeeSplit::GENESIS.split(fees).validators;
        let rest = world.balance(BURN) - burnt + world.balance(TREASURY) - treasury + validators;
        assert_eq!(paid + rest, fees);
        assert_eq!(world.balance(SETTLEMENT), U256::ZERO);
    }
    let mut world = World::with_market();
    let (good, _) = batch(1, open(1));
    let totals = RoleTotals { contributors: U256::MAX, base: U256::ONE, ..good.totals };
    let call = ISettlement::postCall { batch: BatchPost { totals, ..good } };
    let _: alloy_sol_types::Panic = world.refused(OPERATOR, SETTLEMENT, call);
}

#[test]
fn d41_a_tree_that_promises_more_than_the_fees_is_cut_off_by_what_the_batch_holds() {
    let mut world = World::with_market();
    let (first, _) = world.post(1, open(50));
    let (good, mut payouts) = batch(2, open(10));
    payouts[0].amount = open(60);
    let id = post(&mut world, post_of(2, open(10), good.totals, &payouts));
    world.give_verdict(VERIFIER, id, true);
    finalise(&mut world, id);
    let _: ISettlement::TotalsMismatch = world.refused(9, SETTLEMENT, claim_call(id, &payouts, 0));
    // The other batch's fees were never in reach.
    world.give_verdict(VERIFIER, first, false);
    finalise(&mut world, first);
    assert_eq!(deposit(&mut world, PAYER), open(990));
}

#[test]
fn d42_the_burn_is_a_transfer_at_finalisation_that_nobody_can_trade_against() {
    let mut world = World::with_market();
    let (id, _) = world.post(1, open(10));
    world.give_verdict(VERIFIER, id, true);
    let before = world.balance(BURN);
    finalise(&mut world, id);
    assert_eq!(world.balance(BURN) - before, FeeSplit::GENESIS.split(open(10)).burn);
}

#[test]
fn d44_every_list_of_a_post_and_a_proof_has_a_limit() {
    let mut world = World::with_market();
    let (good, payouts) = batch(1, open(1));
    let charge = good.charges[0].clone();
    for batch in [
        BatchPost { receipts: u32::MAX, ..good.clone() },
        BatchPost { payouts: u32::MAX, ..good.clone() },
        BatchPost { charges: vec![charge; 257], ..good.clone() },
    ] {
        let _: ISettlement::TooMany = world.refused(OPERATOR, SETTLEMENT, ISettlement::postCall { batch });
    }
    let id = post(&mut world, good);
    world.give_verdict(VERIFIER, id, true);
    finalise(&mut world, id);
    let mut call = claim_call(id, &payouts, 0);
    call.proof = vec![B256::ZERO; 33];
    let _: ISettlement::TooMany = world.refused(9, SETTLEMENT, call);
}

#[test]
fn d47_an_epoch_is_settled_once_and_a_replay_of_the_same_calls_is_the_same_state() {
    let play = || {
        let mut world = World::with_market();
        let (id, payouts) = world.post(1, open(10));
        world.give_verdict(VERIFIER, id, true);
        finalise(&mut world, id);
        claim_all(&mut world, id, &payouts);
        (world, id, payouts)
    };
    let (mut world, id, payouts) = play();
    let _: ISettlement::EpochAlreadyPosted =
        world.refused(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: batch(1, open(10)).0 });
    let _: ISettlement::WrongStatus = world.refused(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    let _: ISettlement::AlreadyClaimed = world.refused(9, SETTLEMENT, claim_call(id, &payouts, 0));
    assert_eq!(world.storage, play().0.storage);
}
