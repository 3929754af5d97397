use alloy_primitives::{B256, Bytes, U256};
use commonware_codec::Encode;
use commonware_cryptography::{Signer, ed25519::PrivateKey};
use openledger_types::abi::{DoubleSign, IStaking, StakeRole, Vote, VoteKind};
use openledger_types::addresses::{BURN, STAKING};

use super::super::keys::tests::{join, public};
use super::{init, signed, vote_domain};
use crate::tests::{UNBONDING, World, account, hash, open};

const EPOCH: u64 = 300;
const VIEW: u64 = 7;

fn vote(key: u8, epoch: u64, kind: VoteKind, payload: u8) -> Vote {
    let (parent, payload) =
        if kind == VoteKind::Nullify { (0, B256::ZERO) } else { (VIEW - 1, hash(payload)) };
    let mut vote = Vote { kind, parent, payload, signature: Bytes::new() };
    let (suffix, message) = signed(epoch, VIEW, &vote);
    let domain = [vote_domain(7, hash(0x11)).as_slice(), suffix].concat();
    let secret = PrivateKey::from_seed(u64::from(key));
    vote.signature = secret.sign(&domain, &message).encode().to_vec().into();
    vote
}

fn pair(key: u8, first: (VoteKind, u8), second: (VoteKind, u8)) -> IStaking::submitEvidenceCall {
    let [first, second] = [first, second].map(|(kind, payload)| vote(key, EPOCH, kind, payload));
    let evidence = DoubleSign { key: public(key), epoch: EPOCH, viewNumber: VIEW, first, second };
    IStaking::submitEvidenceCall { evidence }
}

fn world() -> World {
    let mut world = World::new();
    init(&mut world.storage, hash(0x11)).unwrap();
    join(&mut world, 1, 1, 100_000);
    world
}

const NOTARIZED_TWICE: [(VoteKind, u8); 2] = [(VoteKind::Notarize, 1), (VoteKind::Notarize, 2)];

fn twice(key: u8) -> IStaking::submitEvidenceCall {
    let [first, second] = NOTARIZED_TWICE;
    pair(key, first, second)
}

#[test]
fn who_votes_twice_loses_a_part_and_the_seat_for_ever() {
    for (first, second) in [
        ((VoteKind::Notarize, 1), (VoteKind::Notarize, 2)),
        ((VoteKind::Finalize, 1), (VoteKind::Finalize, 2)),
        ((VoteKind::Nullify, 0), (VoteKind::Finalize, 1)),
        ((VoteKind::Finalize, 1), (VoteKind::Nullify, 0)),
    ] {
        let mut world = world();
        let validator = account(1);
        world.pay(3, STAKING, open(50_000), IStaking::delegateStakeCall { validator });
        world.send(2, STAKING, pair(1, first, second));
        let staker = world.view(STAKING, IStaking::stakerCall { account: account(1) });
        assert_eq!((staker.stake, staker.delegated), (open(95_000), open(47_500)));
        assert_eq!(staker.jailedUntil, u64::MAX);
        assert_eq!(world.balance(BURN), open(7_500));
        let active = IStaking::isActiveCall { account: account(1), role: StakeRole::Validator };
        assert!(!world.view(STAKING, active));
        world.later(1_000_000_000);
        let _: IStaking::InJail = world.refused(1, STAKING, IStaking::unjailCall {});
        // Once for an epoch, whatever else was signed in it.
        let _: IStaking::AlreadyPunished = world.refused(2, STAKING, twice(1));
        assert_eq!(world.balance(BURN), open(7_500));
    }
}

#[test]
fn unbonding_does_not_save_it() {
    let mut world = world();
    world.send(1, STAKING, IStaking::deregisterKeyCall {});
    world.send(1, STAKING, IStaking::startUnbondingCall {});
    world.send(2, STAKING, twice(1));
    assert_eq!(world.view(STAKING, IStaking::stakerCall { account: account(1) }).stake, open(95_000));
    world.later(UNBONDING);
    world.send(1, STAKING, IStaking::unstakeCall {});
    assert_eq!(world.balance(account(1)), open(995_000));
    // Nor does a new stake make it a validator again.
    let amount = open(10_000);
    world.pay(1, STAKING, amount, IStaking::stakeCall { role: StakeRole::Validator });
    let _: IStaking::InJail = world.refused(1, STAKING, IStaking::unjailCall {});
}

#[test]
fn false_evidence_is_refused_and_costs_nobody_anything() {
    let mut world = world();
    join(&mut world, 4, 4, 100_000);
    let mut refuse = |change: &dyn Fn(&mut DoubleSign)| {
        let mut call = twice(1);
        change(&mut call.evidence);
        let _: IStaking::InvalidEvidence = world.refused(2, STAKING, call);
    };
    let kind = |first, second| pair(1, first, second).evidence;
    // One vote shown twice, and votes that an honest validator casts after each other.
    refuse(&|e| e.second = e.first.clone());
    refuse(&|e| *e = kind((VoteKind::Notarize, 1), (VoteKind::Finalize, 1)));
    refuse(&|e| *e = kind((VoteKind::Notarize, 1), (VoteKind::Nullify, 0)));
    refuse(&|e| *e = kind((VoteKind::Nullify, 0), (VoteKind::Nullify, 0)));
    // Votes of others, of other views and epochs, and other votes than were signed.
    refuse(&|e| e.key = public(4));
    refuse(&|e| e.second = vote(4, EPOCH, VoteKind::Notarize, 2));
    refuse(&|e| e.second = vote(1, EPOCH + 1, VoteKind::Notarize, 2));
    refuse(&|e| e.viewNumber += 1);
    refuse(&|e| e.epoch += 1);
    refuse(&|e| e.second.payload = hash(3));
    refuse(&|e| e.second.parent += 1);
    refuse(&|e| e.second.kind = VoteKind::Finalize);
    refuse(&|e| e.second.signature = Bytes::new());
    refuse(&|e| e.second.signature = [e.second.signature.as_ref(), &[0]].concat().into());
    // Those of another chain.
    super::init(&mut world.storage, hash(0x12)).unwrap();
    let _: IStaking::InvalidEvidence = world.refused(2, STAKING, twice(1));
    super::init(&mut world.storage, hash(0x11)).unwrap();
    let error: IStaking::UnknownKey = world.refused(2, STAKING, twice(9));
    assert_eq!(error.key, public(9));
    assert_eq!(world.balance(BURN), U256::ZERO);
    world.send(2, STAKING, twice(1));
}
