use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, Bytes, U256, b256, hex};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolStruct, SolValue};
use openledger_types::abi::{ChannelConfig, ChannelVoucher, IChannels, IOpen, VoucherClaim};
use openledger_types::addresses::{CHANNELS, OPEN};
use openledger_types::channel::{Refund, Voucher, channel_id, channels_domain, claim_batch, deposit_nonce};

use super::ERC3009_COLLECTOR;
use crate::open::Authorization;
use crate::tests::{World, account, hash, open};

const RECEIVER: u8 = 5;
const STRANGER: u8 = 8;

/// OPEN in wei, as a voucher has it.
fn wei(amount: u64) -> u128 {
    open(amount).to()
}

fn payer() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&hash(0x42)).unwrap()
}

fn authorizer() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&hash(0x43)).unwrap()
}

fn sign(signer: &PrivateKeySigner, message: &impl SolStruct) -> Bytes {
    let digest = message.eip712_signing_hash(&channels_domain(7));
    signer.sign_hash_sync(&digest).unwrap().as_bytes().to_vec().into()
}

fn config() -> ChannelConfig {
    ChannelConfig {
        payer: payer().address(),
        payerAuthorizer: Address::ZERO,
        receiver: account(RECEIVER),
        receiverAuthorizer: authorizer().address(),
        token: OPEN,
        withdrawDelay: U40::from(900),
        salt: hash(9),
    }
}

/// A world in which the payer has 100 OPEN.
fn world() -> World {
    let mut world = World::new();
    world.storage.balances.insert(payer().address(), open(100));
    let rest = world.balance(account(99)) - open(100);
    world.storage.balances.insert(account(99), rest);
    world
}

/// The payer's authorisation of a deposit, as clients of x402 make it.
fn deposit_call(config: &ChannelConfig, amount: u128, salt: u64) -> IChannels::depositCall {
    let salt = U256::from(salt);
    let authorization = Authorization {
        from: config.payer,
        to: ERC3009_COLLECTOR,
        value: U256::from(amount),
        valid_after: U256::ZERO,
        valid_before: U256::from(2_000_000),
        nonce: deposit_nonce(channel_id(config, 7), salt),
    };
    let domain = openledger_types::authorization::open_domain(7);
    let digest = authorization.receipt().eip712_signing_hash(&domain);
    let signature: Bytes = payer().sign_hash_sync(&digest).unwrap().as_bytes().to_vec().into();
    let data = (U256::ZERO, U256::from(2_000_000), salt, signature).abi_encode_params();
    IChannels::depositCall {
        config: config.clone(),
        amount,
        collector: ERC3009_COLLECTOR,
        collectorData: data.into(),
    }
}

fn voucher(config: &ChannelConfig, most: u128, total: u128) -> VoucherClaim {
    let voucher = Voucher { channelId: channel_id(config, 7), maxClaimableAmount: most };
    VoucherClaim {
        voucher: ChannelVoucher { channel: config.clone(), maxClaimableAmount: most },
        signature: sign(&payer(), &voucher),
        totalClaimed: total,
    }
}

fn claim(claims: Vec<VoucherClaim>) -> IChannels::claimCall {
    IChannels::claimCall { voucherClaims: claims }
}

fn state(world: &mut World, config: &ChannelConfig) -> (u128, u128) {
    let read = world.view(CHANNELS, IChannels::channelsCall { channelId: channel_id(config, 7) });
    (read.balance, read.totalClaimed)
}

/// The module holds what channels have not claimed and the receiver has not settled.
fn check_books(world: &mut World, configs: &[&ChannelConfig]) {
    let call = IChannels::receiversCall { receiver: account(RECEIVER), token: OPEN };
    let receiver = world.view(CHANNELS, call);
    let mut owed = receiver.totalClaimed - receiver.totalSettled;
    for config in configs {
        let (balance, claimed) = state(world, config);
        owed += balance - claimed;
    }
    assert_eq!(world.balance(CHANNELS), U256::from(owed));
}

/// Made by `conformance/x402-sign.mjs` with @x402/evm 2.27.0.
#[test]
fn ids_and_digests_are_those_of_the_published_package() {
    let mut world = world();
    let config = ChannelConfig { receiverAuthorizer: account(6), ..config() };
    let id = b256!("46f73715c1721408462bf6382e43479b93a960fb108169be11b30aca98227a45");
    assert_eq!(world.view(CHANNELS, IChannels::getChannelIdCall { config: config.clone() }), id);
    let most = wei(5);
    let call = IChannels::getVoucherDigestCall { channelId: id, maxClaimableAmount: most };
    let digest = b256!("a9aa31bbd44bd34d8ac105a89dde3b3d36b237c70d870b8f7f9ce9c3e9e77180");
    assert_eq!(world.view(CHANNELS, call), digest);
    let signature = hex!(
        "3bf734e8070ce3f0b76fbbe0b4a6e269dda10e809e32a224f9fcb41a8e9132483115a7e481ee7ba7848b3f3b5d7ef463d4aa62cc94c4fbdb178d0906ba13b95f1c"
    );
    let claim = voucher(&config, most, wei(3));
    assert_eq!(claim.signature, Bytes::from(signature));
    let batch = b256!("9c81e2a6c5f9feb8b561f0bd4b409301c9c095ea3a0b6d24bfeec609c4002057");
    let call = IChannels::getClaimBatchDigestCall { voucherClaims: vec![claim] };
    assert_eq!(world.view(CHANNELS, call), batch);
    let refund = Refund { channelId: id, nonce: U256::ONE, amount: 7 };
    let call = IChannels::getRefundDigestCall { channelId: id, nonce: U256::ONE, amount: 7 };
    assert_eq!(world.view(CHANNELS, call), refund.eip712_signing_hash(&channels_domain(7)));
    let type_hash = world.view(CHANNELS, IChannels::CHANNEL_CONFIG_TYPEHASHCall {});
    assert_eq!(type_hash, config.eip712_type_hash());
}

#[test]
fn vouchers_are_claimed_as_they_grow_and_paid_by_settle() {
    let mut world = world();
    let config = config();
    world.send(STRANGER, CHANNELS, deposit_call(&config, wei(10), 1));
    assert_eq!((state(&mut world, &config), world.balance(payer().address())), ((wei(10), 0), open(90)));
    world.send(RECEIVER, CHANNELS, claim(vec![voucher(&config, wei(4), wei(3))]));
    world.send(RECEIVER, CHANNELS, claim(vec![voucher(&config, wei(4), wei(4))]));
    // An older voucher, or the same again, takes nothing.
    world.send(
        RECEIVER,
        CHANNELS,
        claim(vec![voucher(&config, wei(4), wei(4)), voucher(&config, wei(3), wei(2))]),
    );
    assert_eq!(state(&mut world, &config), (wei(10), wei(4)));
    check_books(&mut world, &[&config]);
    let settle = IChannels::settleCall { receiver: account(RECEIVER), token: OPEN };
    let before = world.balance(account(RECEIVER));
    world.send(STRANGER, CHANNELS, settle.clone());
    world.send(STRANGER, CHANNELS, settle);
    assert_eq!(world.balance(account(RECEIVER)) - before, open(4));
    check_books(&mut world, &[&config]);
}

#[test]
fn nobody_takes_more_than_was_signed_or_lies_there_and_no_other_party() {
    let mut world = world();
    let config = config();
    world.send(STRANGER, CHANNELS, deposit_call(&config, wei(10), 1));
    let good = voucher(&config, wei(4), wei(4));
    let _: IChannels::NotParty = world.refused(STRANGER, CHANNELS, claim(vec![good.clone()]));
    let above = VoucherClaim { totalClaimed: wei(4) + 1, ..good.clone() };
    let error: IChannels::AboveVoucher = world.refused(RECEIVER, CHANNELS, claim(vec![above]));
    assert_eq!(error.maxClaimableAmount, wei(4));
    let mut raised = good.clone();
    raised.voucher.maxClaimableAmount = wei(5);
    let _: IChannels::InvalidVoucher = world.refused(RECEIVER, CHANNELS, claim(vec![raised]));
    let error: IChannels::AboveBalance =
        world.refused(RECEIVER, CHANNELS, claim(vec![voucher(&config, wei(11), wei(11))]));
    assert_eq!(error.balance, wei(10));
    // Another salt is another channel: a voucher is good for one.
    let mut moved = good;
    moved.voucher.channel.salt = hash(8);
    let _: IChannels::InvalidVoucher = world.refused(RECEIVER, CHANNELS, claim(vec![moved]));
    let many = vec![voucher(&config, 1, 1); 257];
    let _: IChannels::TooMany = world.refused(RECEIVER, CHANNELS, claim(many));
    for (field, wrong) in [
        ("payer", ChannelConfig { payer: Address::ZERO, ..config.clone() }),
        ("receiver", ChannelConfig { receiver: Address::ZERO, ..config.clone() }),
        ("receiverAuthorizer", ChannelConfig { receiverAuthorizer: Address::ZERO, ..config.clone() }),
        ("token", ChannelConfig { token: account(1), ..config.clone() }),
        ("withdrawDelay", ChannelConfig { withdrawDelay: U40::from(899), ..config.clone() }),
        ("withdrawDelay", ChannelConfig { withdrawDelay: U40::from(2_592_001), ..config }),
    ] {
        let call = IChannels::getChannelIdCall { config: wrong };
        let error: IChannels::InvalidConfig = world.refused(1, CHANNELS, call);
        assert_eq!(error.field, field);
    }
}

#[test]
fn d17_a_deposit_is_authorised_once_for_one_channel_and_amount() {
    let mut world = world();
    let config = config();
    let call = deposit_call(&config, wei(10), 1);
    let done = (0..100).filter(|_| world.try_pay(1, CHANNELS, U256::ZERO, call.clone()).is_ok()).count();
    assert_eq!((done, state(&mut world, &config)), (1, (wei(10), 0)));
    let _: IOpen::ERC3009ConsumedAuthorization = world.refused(1, CHANNELS, call.clone());
    let next = deposit_call(&config, wei(10), 2);
    let more = IChannels::depositCall { amount: wei(11), ..next.clone() };
    let _: IOpen::ERC3009InvalidSignature = world.refused(1, CHANNELS, more);
    let other = ChannelConfig { salt: hash(8), ..config };
    let _: IOpen::ERC3009InvalidSignature =
        world.refused(1, CHANNELS, IChannels::depositCall { config: other, ..next.clone() });
    let garbled = IChannels::depositCall { collectorData: Bytes::from_static(&[1]), ..next.clone() };
    let _: IChannels::InvalidCollectorData = world.refused(1, CHANNELS, garbled);
    let unknown = IChannels::depositCall { collector: account(1), ..next };
    let _: IChannels::WrongCollector = world.refused(1, CHANNELS, unknown);
    // Somebody who has an account only, no key, pays itself.
    let own = ChannelConfig { payer: account(1), ..call.config };
    let own = IChannels::depositCall { config: own, amount: wei(2), collector: Address::ZERO, ..call };
    let _: IChannels::NotParty = world.refused(2, CHANNELS, own.clone());
    world.send(1, CHANNELS, own.clone());
    assert_eq!(state(&mut world, &own.config), (wei(2), 0));
    assert_eq!(world.balance(account(1)), open(999_998));
}

#[test]
fn signatures_of_the_authorizers_claim_and_refund_for_whoever_sends_them() {
    let mut world = world();
    let delegate = PrivateKeySigner::from_bytes(&hash(0x44)).unwrap();
    let config = ChannelConfig { payerAuthorizer: delegate.address(), ..config() };
    world.send(1, CHANNELS, deposit_call(&config, wei(10), 1));
    let id = channel_id(&config, 7);
    // The payer named another key for vouchers: its own is none.
    let own = voucher(&config, wei(4), wei(4));
    let _: IChannels::InvalidVoucher = world.refused(RECEIVER, CHANNELS, claim(vec![own.clone()]));
    let signature = sign(&delegate, &Voucher { channelId: id, maxClaimableAmount: wei(4) });
    let claims = vec![VoucherClaim { signature, ..own }];
    let batch = sign(&authorizer(), &claim_batch(&claims, 7));
    let call =
        IChannels::claimWithSignatureCall { voucherClaims: claims.clone(), authorizerSignature: batch };
    let wrong = IChannels::claimWithSignatureCall {
        authorizerSignature: sign(&payer(), &claim_batch(&claims, 7)),
        ..call.clone()
    };
    let _: IChannels::InvalidAuthorizer = world.refused(STRANGER, CHANNELS, wrong);
    world.send(STRANGER, CHANNELS, call);
    assert_eq!(state(&mut world, &config), (wei(10), wei(4)));
    let refund = |nonce: u64, amount| IChannels::refundWithSignatureCall {
        config: config.clone(),
        amount,
        nonce: U256::from(nonce),
        receiverAuthorizerSignature: sign(
            &authorizer(),
            &Refund { channelId: id, nonce: U256::from(nonce), amount },
        ),
    };
    let _: IChannels::WrongNonce = world.refused(STRANGER, CHANNELS, refund(1, wei(1)));
    world.send(STRANGER, CHANNELS, refund(0, wei(1)));
    let error: IChannels::WrongNonce = world.refused(STRANGER, CHANNELS, refund(0, wei(1)));
    assert_eq!(error.expected, U256::ONE);
    // Never what is claimed already.
    world.send(STRANGER, CHANNELS, refund(1, wei(100)));
    assert_eq!(state(&mut world, &config), (wei(4), wei(4)));
    assert_eq!(world.balance(payer().address()), open(96));
    let _: IChannels::NothingLeft = world.refused(STRANGER, CHANNELS, refund(2, 1));
    check_books(&mut world, &[&config]);
}

#[test]
fn a_payer_takes_out_after_the_delay_what_the_receiver_has_not_claimed_by_then() {
    let mut world = world();
    let config = ChannelConfig { payerAuthorizer: account(7), ..config() };
    world.send(1, CHANNELS, deposit_call(&config, wei(10), 1));
    let ask = IChannels::initiateWithdrawCall { config: config.clone(), amount: wei(9) };
    let finish = IChannels::finalizeWithdrawCall { config: config.clone() };
    let _: IChannels::NoWithdraw = world.refused(1, CHANNELS, finish.clone());
    let _: IChannels::NotParty = world.refused(RECEIVER, CHANNELS, ask.clone());
    world.send(7, CHANNELS, ask.clone());
    let error: IChannels::WithdrawPending = world.refused(1, CHANNELS, finish.clone());
    assert_eq!(error.availableAt, U40::from(1_000_900));
    world.later(900);
    world.send(1, CHANNELS, finish.clone());
    assert_eq!((state(&mut world, &config), world.balance(payer().address())), ((wei(1), 0), open(99)));
    let _: IChannels::NoWithdraw = world.refused(1, CHANNELS, finish);
    // A refund ends a withdrawal that waits.
    world.send(7, CHANNELS, IChannels::initiateWithdrawCall { amount: 1, ..ask });
    let refund = IChannels::refundCall { config: config.clone(), amount: wei(1) };
    let _: IChannels::NotParty = world.refused(7, CHANNELS, refund.clone());
    world.send(RECEIVER, CHANNELS, refund);
    let id = channel_id(&config, 7);
    let pending = world.view(CHANNELS, IChannels::pendingWithdrawalsCall { channelId: id });
    assert_eq!((pending.amount, pending.initiatedAt), (0, U40::ZERO));
    check_books(&mut world, &[&config]);
}

#[test]
fn several_calls_are_one_or_none_and_not_of_themselves() {
    let mut world = world();
    let config = config();
    let calls = |calls: &[Vec<u8>]| IChannels::multicallCall {
        data: calls.iter().map(|call| Bytes::from(call.clone())).collect(),
    };
    let deposit = deposit_call(&config, wei(10), 1).abi_encode();
    let take = claim(vec![voucher(&config, wei(4), wei(4))]).abi_encode();
    let settle = IChannels::settleCall { receiver: account(RECEIVER), token: OPEN }.abi_encode();
    let all = calls(&[deposit, take.clone(), settle]);
    // The second part is none of a stranger's business, so the first did not happen either.
    let _: IChannels::NotParty = world.refused(STRANGER, CHANNELS, all.clone());
    assert_eq!(state(&mut world, &config), (0, 0));
    world.send(RECEIVER, CHANNELS, all.clone());
    assert_eq!(state(&mut world, &config), (wei(10), wei(4)));
    let nested = calls(&[all.abi_encode()]);
    let _: IChannels::NestedMulticall = world.refused(RECEIVER, CHANNELS, nested);
    let _: IChannels::TooMany = world.refused(RECEIVER, CHANNELS, calls(&vec![take; 65]));
    let unknown = world.try_pay(RECEIVER, CHANNELS, U256::ZERO, calls(&[vec![1, 2, 3, 4]])).unwrap_err();
    assert_eq!(unknown, crate::ModuleError::Revert(Bytes::new()));
    let supply = world.view(OPEN, IOpen::supplyCall {});
    assert_eq!(supply.escrow, open(6), "what lies in channels is payers' and receivers'");
}
