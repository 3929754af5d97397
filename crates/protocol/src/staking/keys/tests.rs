use alloy_primitives::{B256, Bytes, FixedBytes};
use commonware_codec::Encode;
use commonware_cryptography::{Signer, ed25519::PrivateKey};
use openledger_types::abi::{IStaking, StakeRole};
use openledger_types::addresses::STAKING;

use super::{NetworkAddress, PROOF_DOMAIN, candidates, init, proof_message};
use crate::tests::{World, account, open, typed};

/// The chain of [`World`].
const CHAIN_ID: u64 = 7;
const PORT: u16 = 26_656;

fn secret(n: u8) -> PrivateKey {
    PrivateKey::from_seed(u64::from(n))
}

pub(in crate::staking) fn public(n: u8) -> B256 {
    B256::from_slice(&secret(n).public_key().encode())
}

fn proof(key: u8, n: u8) -> Bytes {
    let message = proof_message(CHAIN_ID, account(n));
    secret(key).sign(PROOF_DOMAIN, &message).encode().to_vec().into()
}

fn ip() -> FixedBytes<16> {
    FixedBytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1])
}

/// Bonds a validator with so much and registers its key.
pub(in crate::staking) fn join(world: &mut World, n: u8, key: u8, stake: u64) {
    world.pay(n, STAKING, open(stake), IStaking::stakeCall { role: StakeRole::Validator });
    world.send(n, STAKING, register(n, key));
}

fn register(n: u8, key: u8) -> IStaking::registerKeyCall {
    IStaking::registerKeyCall { key: public(key), proof: proof(key, n), ip: ip(), port: PORT }
}

pub(in crate::staking) fn rotate(n: u8, key: u8) -> IStaking::rotateKeyCall {
    IStaking::rotateKeyCall { key: public(key), proof: proof(key, n) }
}

#[test]
fn a_bonded_validator_registers_a_key_that_it_holds() {
    let mut world = World::new();
    let _: IStaking::NotValidator = world.refused(1, STAKING, register(1, 1));
    join(&mut world, 1, 1, 10_000);
    let found = world.view(STAKING, IStaking::consensusKeyCall { account: account(1) });
    assert_eq!((found.key, found.ip, found.port), (public(1), ip(), PORT));
    assert_eq!(world.view(STAKING, IStaking::keyOwnerCall { key: public(1) }), account(1));
    let _: IStaking::HasKey = world.refused(1, STAKING, register(1, 2));
    world.pay(2, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Validator });
    let error: IStaking::KeyUsed = world.refused(2, STAKING, register(2, 1));
    assert_eq!(error.key, public(1));
}

#[test]
fn a_proof_is_of_one_key_one_account_and_one_chain() {
    let mut world = World::new();
    world.pay(1, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Validator });
    let good = register(1, 1);
    let mut refuse = |change: &dyn Fn(&mut IStaking::registerKeyCall)| {
        let mut call = good.clone();
        change(&mut call);
        let _: IStaking::InvalidKeyProof = world.refused(1, STAKING, call);
    };
    refuse(&|call| call.proof = proof(1, 2));
    refuse(&|call| call.proof = proof(2, 1));
    refuse(&|call| call.key = public(2));
    refuse(&|call| call.proof = Bytes::new());
    refuse(&|call| call.proof = call.proof[..63].to_vec().into());
    let of = |domain: &[u8], message: &[u8]| Bytes::from(secret(1).sign(domain, message).encode().to_vec());
    let other_chain = of(PROOF_DOMAIN, &proof_message(8, account(1)));
    refuse(&|call| call.proof = other_chain.clone());
    let vote = of(b"openledger-7_NOTARIZE", &proof_message(CHAIN_ID, account(1)));
    refuse(&|call| call.proof = vote.clone());
    // Every point is on the curve's twist or not: this is no key at all.
    refuse(&|call| call.key = B256::repeat_byte(0xff));
    world.send(1, STAKING, good);
}

#[test]
fn an_address_that_nobody_can_reach_is_refused() {
    let mut world = World::new();
    world.pay(1, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Validator });
    let mut refuse = |ip: [u8; 16], port| {
        let call = IStaking::registerKeyCall { ip: FixedBytes(ip), port, ..register(1, 1) };
        let _: IStaking::InvalidNetworkAddress = world.refused(1, STAKING, call);
    };
    refuse(ip().0, 0);
    refuse([0; 16], PORT);
    let mut multicast = ip().0;
    multicast[12] = 224;
    refuse(multicast, PORT);
    world.send(1, STAKING, register(1, 1));
    let moved = IStaking::setNetworkAddressCall { ip: FixedBytes([0x20; 16]), port: 1 };
    world.send(1, STAKING, moved);
    let found = world.view(STAKING, IStaking::consensusKeyCall { account: account(1) });
    assert_eq!((found.key, found.ip, found.port), (public(1), FixedBytes([0x20; 16]), 1));
}

#[test]
fn a_key_that_was_rotated_away_is_nobody_elses() {
    let mut world = World::new();
    let error = world.try_pay(1, STAKING, open(0), rotate(1, 2)).unwrap_err();
    let _: IStaking::NoKey = typed(&error);
    join(&mut world, 1, 1, 10_000);
    world.send(1, STAKING, rotate(1, 2));
    assert_eq!(world.view(STAKING, IStaking::consensusKeyCall { account: account(1) }).key, public(2));
    assert_eq!(world.view(STAKING, IStaking::keyOwnerCall { key: public(1) }), account(1));
    // Not even its own.
    let _: IStaking::KeyUsed = world.refused(1, STAKING, rotate(1, 1));
    world.send(1, STAKING, IStaking::deregisterKeyCall {});
    assert_eq!(world.view(STAKING, IStaking::consensusKeyCall { account: account(1) }).key, B256::ZERO);
    let _: IStaking::KeyUsed = world.refused(1, STAKING, register(1, 2));
    world.send(1, STAKING, register(1, 3));
    let _: IStaking::NoKey = world.refused(2, STAKING, IStaking::deregisterKeyCall {});
}

#[test]
fn the_list_of_candidates_has_no_holes() {
    let mut world = World::new();
    for n in 1..=4 {
        join(&mut world, n, n, 10_000);
    }
    for (gone, left) in [(2, vec![1, 3, 4]), (4, vec![1, 3]), (1, vec![3]), (3, vec![])] {
        world.send(gone, STAKING, IStaking::deregisterKeyCall {});
        let mut found = candidates(&mut world.storage).unwrap();
        found.sort_unstable();
        assert_eq!(found, left.into_iter().map(account).collect::<Vec<_>>());
    }
    assert!(init(&mut world.storage, account(5), public(5)).is_ok());
    let found = super::of(&mut world.storage, account(5)).unwrap();
    assert_eq!(found, Some((public(5), NetworkAddress::default())));
    assert!(init(&mut world.storage, account(6), public(5)).is_err(), "a key has one owner");
}
