use alloy_primitives::{Address, B256, Bytes, U256, address, hex};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolEvent, SolStruct};
use openledger_types::abi::{IOpen, Vesting};
use openledger_types::addresses::{BURN, ESCROW, OPEN};
use openledger_types::amount::SUPPLY;
use openledger_types::authorization::{
    CancelAuthorization, Permit, ReceiveWithAuthorization, TransferWithAuthorization, open_domain,
};

use super::{VestingError, add_vesting};
use crate::Storage;
use crate::tests::{World, account, hash, open};

#[test]
fn a_transfer_moves_the_balance_and_leaves_a_log() {
    let mut world = World::new();
    assert!(world.send(1, OPEN, IOpen::transferCall { to: account(2), value: open(5) }));
    assert_eq!(world.balance(account(2)), open(1_000_005));
    let (module, log) = world.storage.logs.last().unwrap();
    let transfer = IOpen::Transfer::decode_log_data(log).unwrap();
    assert_eq!(*module, OPEN);
    assert_eq!((transfer.from, transfer.to, transfer.value), (account(1), account(2), open(5)));
}

#[test]
fn a_transfer_needs_the_balance_and_a_receiver_who_can_have_it() {
    let mut world = World::new();
    let error: IOpen::ERC20InsufficientBalance =
        world.refused(1, OPEN, IOpen::transferCall { to: account(2), value: SUPPLY });
    assert_eq!((error.balance, error.needed), (open(1_000_000), SUPPLY));
    for to in [Address::ZERO, ESCROW] {
        let error: IOpen::ERC20InvalidReceiver =
            world.refused(1, OPEN, IOpen::transferCall { to, value: U256::ONE });
        assert_eq!(error.receiver, to);
    }
}

#[test]
fn an_allowance_is_used_up_unless_it_has_no_limit() {
    let mut world = World::new();
    let take = |value| IOpen::transferFromCall { from: account(1), to: account(3), value };
    let allowance = IOpen::allowanceCall { owner: account(1), spender: account(2) };
    world.send(1, OPEN, IOpen::approveCall { spender: account(2), value: open(5) });
    world.send(2, OPEN, take(open(3)));
    assert_eq!(world.view(OPEN, allowance.clone()), open(2));
    let error: IOpen::ERC20InsufficientAllowance = world.refused(2, OPEN, take(open(3)));
    assert_eq!((error.spender, error.allowance, error.needed), (account(2), open(2), open(3)));
    world.send(1, OPEN, IOpen::approveCall { spender: account(2), value: U256::MAX });
    world.send(2, OPEN, take(open(3)));
    assert_eq!(world.view(OPEN, allowance), U256::MAX);
    assert_eq!(world.balance(account(3)), open(1_000_006));
    let approve = IOpen::approveCall { spender: Address::ZERO, value: U256::ONE };
    let _: IOpen::ERC20InvalidSpender = world.refused(1, OPEN, approve);
}

#[test]
fn what_is_burnt_leaves_the_supply_and_stays_in_sight() {
    let mut world = World::new();
    world.send(1, OPEN, IOpen::burnCall { value: open(7) });
    assert_eq!(world.balance(BURN), open(7));
    assert_eq!(world.view(OPEN, IOpen::totalSupplyCall {}), SUPPLY - open(7));
    assert_eq!(world.storage.total_balance(), SUPPLY);
}

#[test]
fn wallets_read_its_name_symbol_and_decimals() {
    let mut world = World::new();
    assert_eq!(world.view(OPEN, IOpen::nameCall {}), "OpenLedger");
    assert_eq!(world.view(OPEN, IOpen::symbolCall {}), "OPEN");
    assert_eq!(world.view(OPEN, IOpen::decimalsCall {}), 18);
}

/// Who signed the vectors, which `conformance/protocol-sign.mjs` prints.
const HOLDER: Address = address!("17c5185167401eD00cF5F5b2fc97D9BBfDb7D025");
const DOMAIN: [u8; 32] = hex!("0c039fe3499d66cf3cd6e6ca0545b02467d6c1e80f65327d2a9dff23f124faef");
const PERMIT: [u8; 65] = hex!(
    "2a871e153ce39f4c46482e3d220fb22e087974dbdd880550fe0ff7658360e20c4e5933de0af5e54ca9d93b94f89a5a4ab1b9078dddd412cd61719ef11c7318c01b"
);
const TRANSFER: [u8; 65] = hex!(
    "2f58ecdbffe91991c1df8b3664c09f2046a2f791f5892b8eb7474e313d6ab21207d8f48c5cad196b914feb8fb26effde35c504955353d5f8bbcda02a2c271c6a1c"
);
const RECEIVE: [u8; 65] = hex!(
    "9e85f45a7096f12492fc0c08668f1013c04386ade3ecc0e776ecd04f5da2ba853dbf31fe30a8f7c0b7d3be45e0cebf95c28c5524f504d5412216864e9a34f9ea1b"
);
const CANCEL: [u8; 65] = hex!(
    "aeb8a88e19910c1e7ebf4235580cf08d28e9e352130f8f70ff9ce425303c884717e01843cb8cfa0f79e88d070875eaf1b52aeaab9a45569444a3c1796c31d4151b"
);

fn parts(signature: &[u8; 65]) -> (u8, B256, B256) {
    (signature[64], B256::from_slice(&signature[..32]), B256::from_slice(&signature[32..64]))
}

/// A world in which the signer of the vectors has 100 OPEN.
fn signing_world() -> World {
    let mut world = World::new();
    world.storage.transfer(account(99), HOLDER, open(100)).unwrap();
    world
}

fn permit(signature: &[u8; 65]) -> IOpen::permitCall {
    let (v, r, s) = parts(signature);
    IOpen::permitCall {
        owner: HOLDER,
        spender: account(2),
        value: open(5),
        deadline: U256::from(1_000_000),
        v,
        r,
        s,
    }
}

fn transfer(signature: &[u8; 65]) -> IOpen::transferWithAuthorization_0Call {
    let (v, r, s) = parts(signature);
    IOpen::transferWithAuthorization_0Call {
        from: HOLDER,
        to: account(2),
        value: open(5),
        validAfter: U256::from(999_999),
        validBefore: U256::from(1_000_001),
        nonce: hash(9),
        v,
        r,
        s,
    }
}

/// The same authorisation with its signature as bytes.
fn transfer_bytes(signature: impl Into<Bytes>) -> IOpen::transferWithAuthorization_1Call {
    let c = transfer(&TRANSFER);
    IOpen::transferWithAuthorization_1Call {
        from: c.from,
        to: c.to,
        value: c.value,
        validAfter: c.validAfter,
        validBefore: c.validBefore,
        nonce: c.nonce,
        signature: signature.into(),
    }
}

fn receive(signature: &[u8; 65]) -> IOpen::receiveWithAuthorization_0Call {
    let c = transfer(signature);
    IOpen::receiveWithAuthorization_0Call {
        from: c.from,
        to: c.to,
        value: c.value,
        validAfter: c.validAfter,
        validBefore: c.validBefore,
        nonce: c.nonce,
        v: c.v,
        r: c.r,
        s: c.s,
    }
}

fn consumed(world: &mut World) -> bool {
    world.view(OPEN, IOpen::authorizationStateCall { authorizer: HOLDER, nonce: hash(9) })
}

#[test]
fn the_signing_domain_is_readable_and_the_one_that_wallets_compute() {
    let mut world = World::new();
    assert_eq!(world.view(OPEN, IOpen::DOMAIN_SEPARATORCall {}), DOMAIN);
    let domain = world.view(OPEN, IOpen::eip712DomainCall {});
    assert_eq!((domain.fields.0, domain.name.as_str(), domain.version.as_str()), ([0x0f], "OpenLedger", "1"));
    assert_eq!((domain.chainId, domain.verifyingContract), (U256::from(7), OPEN));
    assert!(domain.salt.is_zero() && domain.extensions.is_empty());
    // Another chain, another domain: a signature is of no use there.
    world.storage.block.chain_id = 8;
    assert_ne!(world.view(OPEN, IOpen::DOMAIN_SEPARATORCall {}), DOMAIN);
    let _: IOpen::ERC2612InvalidSigner = world.refused(1, OPEN, permit(&PERMIT));
}

#[test]
fn a_permit_that_ethers_signed_sets_the_allowance_once() {
    let mut world = signing_world();
    let expired = IOpen::permitCall { deadline: U256::from(999_999), ..permit(&PERMIT) };
    let error: IOpen::ERC2612ExpiredSignature = world.refused(1, OPEN, expired);
    assert_eq!(error.deadline, U256::from(999_999));
    let more = IOpen::permitCall { value: open(6), ..permit(&PERMIT) };
    let error: IOpen::ERC2612InvalidSigner = world.refused(1, OPEN, more);
    assert_eq!(error.owner, HOLDER);
    assert_ne!(error.signer, HOLDER);
    let stolen = IOpen::permitCall { owner: account(1), ..permit(&PERMIT) };
    let _: IOpen::ERC2612InvalidSigner = world.refused(1, OPEN, stolen);
    world.send(1, OPEN, permit(&PERMIT));
    assert_eq!(world.view(OPEN, IOpen::noncesCall { owner: HOLDER }), U256::ONE);
    let allowance = IOpen::allowanceCall { owner: HOLDER, spender: account(2) };
    assert_eq!(world.view(OPEN, allowance), open(5));
    let _: IOpen::ERC2612InvalidSigner = world.refused(1, OPEN, permit(&PERMIT));
    world.send(2, OPEN, IOpen::transferFromCall { from: HOLDER, to: account(3), value: open(5) });
    assert_eq!(world.balance(HOLDER), open(95));
}

#[test]
fn a_signature_has_one_form() {
    let mut world = signing_world();
    let good = permit(&PERMIT);
    // The other root of the same signature: s' = n - s with the other parity.
    let order =
        U256::from_be_slice(&hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
    let s = B256::from(order - U256::from_be_bytes(good.s.0));
    for bad in [
        IOpen::permitCall { v: 28, s, ..good },
        IOpen::permitCall { v: 0, ..good },
        IOpen::permitCall { v: 29, ..good },
        IOpen::permitCall { r: B256::ZERO, s: B256::ZERO, ..good },
    ] {
        let error: IOpen::ERC2612InvalidSigner = world.refused(1, OPEN, bad);
        assert_eq!(error.signer, Address::ZERO);
    }
    // Nobody's signature is not the zero address's.
    let nobody = IOpen::permitCall { owner: Address::ZERO, v: 29, ..good };
    let _: IOpen::ERC2612InvalidSigner = world.refused(1, OPEN, nobody);
}

#[test]
fn an_authorisation_that_ethers_signed_moves_open_once_in_both_forms() {
    let mut world = signing_world();
    world.send(1, OPEN, transfer(&TRANSFER));
    assert_eq!((world.balance(HOLDER), world.balance(account(2))), (open(95), open(1_000_005)));
    assert!(consumed(&mut world));
    for log in &world.storage.logs[..1] {
        let used = IOpen::AuthorizationUsed::decode_log_data(&log.1).unwrap();
        assert_eq!((used.authorizer, used.nonce), (HOLDER, hash(9)));
    }
    let error: IOpen::ERC3009ConsumedAuthorization = world.refused(1, OPEN, transfer_bytes(TRANSFER));
    assert_eq!((error.authorizer, error.nonce), (HOLDER, hash(9)));

    let mut world = signing_world();
    for bad in [&TRANSFER[..64], &[TRANSFER.as_slice(), &[0]].concat(), &[], &RECEIVE] {
        let bad = transfer_bytes(bad.to_vec());
        let _: IOpen::ERC3009InvalidSignature = world.refused(1, OPEN, bad);
    }
    let more = IOpen::transferWithAuthorization_0Call { value: open(6), ..transfer(&TRANSFER) };
    let _: IOpen::ERC3009InvalidSignature = world.refused(1, OPEN, more);
    world.send(1, OPEN, transfer_bytes(TRANSFER));
    assert_eq!(world.balance(account(2)), open(1_000_005));
}

#[test]
fn an_authorisation_is_good_strictly_between_its_times_and_needs_the_balance() {
    let mut world = signing_world();
    for at in [999_999, 1_000_001] {
        world.storage.block.timestamp = at;
        let error: IOpen::ERC3009InvalidAuthorizationTime = world.refused(1, OPEN, transfer(&TRANSFER));
        assert_eq!((error.validAfter, error.validBefore), (U256::from(999_999), U256::from(1_000_001)));
    }
    world.storage.block.timestamp = 1_000_000;
    world.storage.transfer(HOLDER, account(9), open(96)).unwrap();
    let _: IOpen::ERC20InsufficientBalance = world.refused(1, OPEN, transfer(&TRANSFER));
    assert!(!consumed(&mut world), "what failed is not used up");
}

#[test]
fn only_the_receiver_can_receive_and_a_transfer_is_no_receipt() {
    let mut world = signing_world();
    let error: IOpen::ERC20InvalidReceiver = world.refused(1, OPEN, receive(&RECEIVE));
    assert_eq!(error.receiver, account(2));
    let _: IOpen::ERC3009InvalidSignature = world.refused(2, OPEN, receive(&TRANSFER));
    let _: IOpen::ERC3009InvalidSignature = world.refused(2, OPEN, transfer(&RECEIVE));
    world.send(2, OPEN, receive(&RECEIVE));
    assert_eq!(world.balance(account(2)), open(1_000_005));

    let mut world = signing_world();
    let c = receive(&RECEIVE);
    let call = IOpen::receiveWithAuthorization_1Call {
        from: c.from,
        to: c.to,
        value: c.value,
        validAfter: c.validAfter,
        validBefore: c.validBefore,
        nonce: c.nonce,
        signature: RECEIVE.into(),
    };
    world.send(2, OPEN, call);
    assert!(consumed(&mut world));
}

#[test]
fn a_cancelled_authorisation_is_never_used() {
    let (v, r, s) = parts(&CANCEL);
    let cancel = IOpen::cancelAuthorization_0Call { authorizer: HOLDER, nonce: hash(9), v, r, s };
    let bytes =
        IOpen::cancelAuthorization_1Call { authorizer: HOLDER, nonce: hash(9), signature: CANCEL.into() };
    fn check<C: SolCall + Clone>(cancel: C) {
        let mut world = signing_world();
        world.send(1, OPEN, cancel.clone());
        assert!(consumed(&mut world));
        let log = IOpen::AuthorizationCanceled::decode_log_data(&world.storage.logs[0].1).unwrap();
        assert_eq!((log.authorizer, log.nonce), (HOLDER, hash(9)));
        let _: IOpen::ERC3009ConsumedAuthorization = world.refused(1, OPEN, transfer(&TRANSFER));
        let _: IOpen::ERC3009ConsumedAuthorization = world.refused(1, OPEN, cancel);
    }
    check(cancel.clone());
    check(bytes);
    let other = IOpen::cancelAuthorization_0Call { nonce: hash(8), ..cancel };
    let _: IOpen::ERC3009InvalidSignature = signing_world().refused(1, OPEN, other);
}

#[test]
fn what_alloy_signs_over_the_types_of_the_vocabulary_is_taken() {
    let signer = PrivateKeySigner::random();
    let mut world = World::new();
    world.storage.transfer(account(99), signer.address(), open(100)).unwrap();
    let domain = open_domain(7);
    fn sign(signer: &PrivateKeySigner, message: &impl SolStruct) -> Bytes {
        let hash = message.eip712_signing_hash(&open_domain(7));
        signer.sign_hash_sync(&hash).unwrap().as_bytes().to_vec().into()
    }
    let (owner, value, deadline) = (signer.address(), open(1), U256::MAX);
    let message = Permit { owner, spender: account(2), value, nonce: U256::ZERO, deadline };
    let signature = signer.sign_hash_sync(&message.eip712_signing_hash(&domain)).unwrap();
    let (v, r, s) = parts(&signature.as_bytes());
    world.send(1, OPEN, IOpen::permitCall { owner, spender: account(2), value, deadline, v, r, s });
    let transfer = TransferWithAuthorization {
        from: owner,
        to: account(3),
        value,
        validAfter: U256::ZERO,
        validBefore: U256::MAX,
        nonce: hash(1),
    };
    let signature = sign(&signer, &transfer);
    let TransferWithAuthorization { from, to, validAfter, validBefore, nonce, .. } = transfer;
    world.send(
        1,
        OPEN,
        IOpen::transferWithAuthorization_1Call { from, to, value, validAfter, validBefore, nonce, signature },
    );
    let nonce = hash(2);
    let signature =
        sign(&signer, &ReceiveWithAuthorization { from, to, value, validAfter, validBefore, nonce });
    world.send(
        3,
        OPEN,
        IOpen::receiveWithAuthorization_1Call { from, to, value, validAfter, validBefore, nonce, signature },
    );
    let nonce = hash(3);
    let signature = sign(&signer, &CancelAuthorization { authorizer: owner, nonce });
    world.send(1, OPEN, IOpen::cancelAuthorization_1Call { authorizer: owner, nonce, signature });
    assert_eq!((world.balance(owner), world.balance(account(3))), (open(98), open(1_000_002)));
}

fn schedule(beneficiary: Address, start: u64, cliff: u64, end: u64) -> Vesting {
    Vesting { beneficiary, amount: open(400) + U256::from(3), released: U256::ZERO, start, cliff, end }
}

#[test]
fn a_schedule_releases_nothing_before_its_cliff_and_all_of_it_at_its_end() {
    let mut world = World::new();
    let terms = schedule(account(1), 1_000_000, 1_000_100, 1_000_400);
    world.vest(&terms);
    let id = U256::ONE;
    let release = IOpen::releaseCall { vesting: id };
    world.later(99);
    let error: IOpen::NothingToRelease = world.refused(9, OPEN, release.clone());
    assert_eq!(error.vesting, id);
    world.later(1);
    assert_eq!(world.view(OPEN, IOpen::releasableCall { vesting: id }), open(100));
    assert_eq!(world.send(9, OPEN, release.clone()), open(100));
    let _: IOpen::NothingToRelease = world.refused(9, OPEN, release.clone());
    world.later(200);
    // 3/4 of 3 wei rounds down.
    assert_eq!(world.send(9, OPEN, release.clone()), open(200) + U256::from(2));
    world.later(10_000);
    assert_eq!(world.send(9, OPEN, release), open(100) + U256::ONE);
    assert_eq!(world.balance(account(1)), open(1_000_000) + terms.amount);
    assert_eq!(world.balance(OPEN), U256::ZERO);
    let read = world.view(OPEN, IOpen::vestingCall { id });
    assert_eq!((read.released, read.amount, read.cliff), (terms.amount, terms.amount, terms.cliff));
    assert_eq!(world.view(OPEN, IOpen::vestingCountCall {}), id);
    let _: IOpen::UnknownVesting = world.refused(9, OPEN, IOpen::releaseCall { vesting: U256::from(2) });
    let _: IOpen::UnknownVesting = world.refused(9, OPEN, IOpen::vestingCall { id: U256::ZERO });
}

#[test]
fn a_schedule_needs_a_payee_an_amount_and_times_in_order() {
    let mut world = World::new();
    let mut check = |terms: &Vesting| add_vesting(&mut world.storage, terms).unwrap_err();
    assert_eq!(check(&schedule(ESCROW, 1, 2, 3)), VestingError::Beneficiary(ESCROW));
    let empty = Vesting { amount: U256::ZERO, ..schedule(account(1), 1, 2, 3) };
    assert_eq!(check(&empty), VestingError::Empty(account(1)));
    for (start, cliff, end) in [(2, 1, 3), (1, 3, 2), (1, 1, 1)] {
        assert_eq!(
            check(&schedule(account(1), start, cliff, end)),
            VestingError::Times { start, cliff, end }
        );
    }
}

#[test]
fn the_supply_figures_add_up_to_the_genesis_supply() {
    let mut world = World::with_market();
    world.vest(&schedule(account(1), 1_000_000, 1_000_100, 1_000_400));
    world.send(1, OPEN, IOpen::burnCall { value: open(7) });
    let supply = world.view(OPEN, IOpen::supplyCall {});
    assert_eq!((supply.genesis, supply.burnt, supply.total), (SUPPLY, open(7), SUPPLY - open(7)));
    assert_eq!((supply.vesting, supply.escrow), (open(400) + U256::from(3), open(1_000)));
    assert_eq!((supply.staking, supply.settlement, supply.treasury), (open(30_000), U256::ZERO, open(1)));
    let parts = supply.vesting + supply.treasury + supply.datanets + supply.escrow + supply.settlement;
    assert_eq!(parts + supply.staking + supply.circulating, supply.total);
    let everyone: U256 = (1..=9).chain([99]).map(|n| world.balance(account(n))).sum();
    assert_eq!(supply.circulating, everyone);
}
