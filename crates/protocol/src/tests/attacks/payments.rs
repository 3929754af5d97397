//! Payers and their keys: nothing is charged twice, above a cap, or after it was revoked for good.

use alloy_primitives::U256;
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolStruct;
use openledger_types::abi::{Charge, IEscrow, IOpen, ISettlement};
use openledger_types::addresses::{ESCROW, OPEN, SETTLEMENT};
use openledger_types::authorization::{CancelAuthorization, open_domain};

use super::super::batch;
use super::*;
use crate::open::Authorization;

fn signer(world: &mut World) -> PrivateKeySigner {
    let signer = PrivateKeySigner::from_bytes(&hash(0x42)).unwrap();
    world.storage.balances.insert(signer.address(), open(100));
    let rest = world.balance(account(99)) - open(100);
    world.storage.balances.insert(account(99), rest);
    signer
}

/// One OPEN for an account, at any time.
fn authorization(signer: &PrivateKeySigner, to: u8) -> Authorization {
    Authorization {
        from: signer.address(),
        to: account(to),
        value: open(1),
        valid_after: U256::ZERO,
        valid_before: U256::MAX,
        nonce: hash(9),
    }
}

fn signature(signer: &PrivateKeySigner, message: &impl SolStruct) -> alloy_primitives::Bytes {
    let digest = message.eip712_signing_hash(&open_domain(7));
    signer.sign_hash_sync(&digest).unwrap().as_bytes().to_vec().into()
}

#[test]
fn d15_inflated_counts_never_charge_more_than_the_payer_signed() {
    let mut world = World::with_market();
    world.post(1, open(300));
    let (inflated, _) = batch(2, open(200) + U256::ONE);
    let error: IEscrow::CapExceeded =
        world.refused(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: inflated });
    assert_eq!((error.cap, error.spent), (open(500), open(300)));
    world.post(2, open(200));
    assert_eq!(deposit(&mut world, PAYER), open(500));
}

#[test]
fn d17_a_hundred_replays_of_one_payment_give_one() {
    let mut world = World::with_market();
    let signer = signer(&mut world);
    let authorization = authorization(&signer, 0x61);
    let Authorization { from, to, nonce, .. } = authorization;
    let call = authorization.transfer_call(signature(&signer, &authorization.transfer()));
    let done = (0..100).filter(|n| world.try_pay(1 + n % 9, OPEN, U256::ZERO, call.clone()).is_ok()).count();
    assert_eq!((done, world.balance(to)), (1, open(1)));
    // Another receiver or amount is another message; a cancellation comes too late.
    let other = IOpen::transferWithAuthorization_1Call { to: account(0x62), nonce: hash(8), ..call };
    let _: IOpen::ERC3009InvalidSignature = world.refused(1, OPEN, other);
    let cancel = CancelAuthorization { authorizer: from, nonce };
    let cancel =
        IOpen::cancelAuthorization_1Call { authorizer: from, nonce, signature: signature(&signer, &cancel) };
    let _: IOpen::ERC3009ConsumedAuthorization = world.refused(1, OPEN, cancel);
}

#[test]
fn d17_a_payment_taken_out_of_the_mempool_can_be_settled_by_its_receiver_alone() {
    let mut world = World::with_market();
    let signer = signer(&mut world);
    let authorization = authorization(&signer, 5);
    let call = authorization.receive_call(signature(&signer, &authorization.receipt()));
    let _: IOpen::ERC20InvalidReceiver = world.refused(4, OPEN, call.clone());
    // The same signature is none for the call that anybody may make.
    let moved = authorization.transfer_call(call.signature.clone());
    let _: IOpen::ERC3009InvalidSignature = world.refused(4, OPEN, moved);
    world.send(5, OPEN, call);
}

#[test]
fn d17_a_batch_does_not_charge_a_key_twice_and_another_operator_not_at_all() {
    let mut world = World::with_market();
    let (mut post, _) = batch(1, open(10));
    let half = Charge { key: hash(7), amount: open(5) };
    post.charges = vec![half.clone(), half];
    let _: ISettlement::DuplicateCharge =
        world.refused(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
    let role = openledger_types::abi::StakeRole::Operator;
    world.pay(9, STAKING, open(1_000), IStaking::stakeCall { role });
    let call = ISettlement::postCall { batch: batch(1, open(10)).0 };
    let _: IEscrow::WrongOperator = world.refused(9, SETTLEMENT, call);
    assert_eq!(deposit(&mut world, PAYER), open(1_000));
}

#[test]
fn d18_a_revoked_key_pays_for_what_was_served_before_and_within_its_cap_and_then_nothing() {
    let mut world = World::with_market();
    world.send(PAYER, ESCROW, IEscrow::revokeCall { key: hash(7) });
    // The next block already serves nobody: the key says when it ended.
    world.advance(1);
    let key = world.view(ESCROW, IEscrow::authorisationCall { key: hash(7) });
    assert_eq!(key.revokedAt, world.storage.block.timestamp - 1);
    world.post(1, open(100));
    world.later(61);
    let operator = staker(&mut world, OPERATOR).stake;
    world.post(2, open(100));
    assert_eq!(deposit(&mut world, PAYER), open(900), "nothing after the grace");
    assert_eq!(operator - staker(&mut world, OPERATOR).stake, open(100), "who settles too late pays");
}

#[test]
fn d18_an_allowance_is_spent_once_and_a_withdrawal_leaves_no_served_work_unpaid() {
    let mut world = World::with_market();
    world.send(1, OPEN, IOpen::approveCall { spender: account(2), value: open(3) });
    let take = |value| IOpen::transferFromCall { from: account(1), to: account(2), value };
    world.send(2, OPEN, take(open(2)));
    let error: IOpen::ERC20InsufficientAllowance = world.refused(2, OPEN, take(open(2)));
    assert_eq!(error.allowance, open(1));
    // The payer asks for everything back at once; the answers of before are paid from what is set aside.
    world.send(PAYER, ESCROW, IEscrow::requestWithdrawalCall { amount: open(1_000) });
    world.post(1, open(400));
    world.later(60);
    world.send(PAYER, ESCROW, IEscrow::withdrawCall {});
    assert_eq!(world.balance(account(PAYER)), open(999_600));
    let (late, _) = batch(2, open(50));
    let _: IEscrow::InsufficientDeposit =
        world.refused(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: late });
}
