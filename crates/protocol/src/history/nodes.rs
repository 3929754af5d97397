//! Validators' keys, where their nodes are, elections, and votes that contradict each other.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bytes, FixedBytes};
use commonware_codec::Encode;
use commonware_cryptography::{Signer, ed25519::PrivateKey};
use openledger_types::abi::{DoubleSign, IStaking, StakeRole, Vote, VoteKind};
use openledger_types::addresses::STAKING;

use super::cast::{MEMBERS, VALIDATORS};
use super::{History, Operation};
use crate::staking::downtime::Turn;
use crate::staking::{self, evidence, keys, seats};
use crate::{Result, params};

/// Blocks of an epoch of consensus: histories begin in the first one.
const EPOCH_BLOCKS: u64 = 110;
/// Hash of the genesis that votes are bound to.
const GENESIS: B256 = B256::repeat_byte(0x11);

/// The keys of a history, each the secret of its number.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// Those that were registered, with whose they are.
    registered: Vec<(u64, usize)>,
    made: u64,
}

pub(super) const OPERATIONS: &[Operation] = &[
    ("staking.registerKey", 3, |h| {
        let without = with_key(h, false);
        let member = if h.draws.chance(90) { h.draws.pick(&without)? } else { h.anyone() };
        let (number, key, proof) = offer(h, member);
        let (ip, port) = place(h);
        if h.send(member, STAKING, IStaking::registerKeyCall { key, proof, ip, port }).is_some() {
            h.nodes.registered.push((number, member));
        }
        Some(())
    }),
    ("staking.rotateKey", 2, |h| {
        let member = holder(h)?;
        let (number, key, proof) = offer(h, member);
        if h.send(member, STAKING, IStaking::rotateKeyCall { key, proof }).is_some() {
            h.nodes.registered.push((number, member));
        }
        Some(())
    }),
    ("staking.deregisterKey", 1, |h| {
        let member = holder(h)?;
        h.send(member, STAKING, IStaking::deregisterKeyCall {});
        Some(())
    }),
    ("staking.setNetworkAddress", 1, |h| {
        let member = holder(h)?;
        let (ip, port) = place(h);
        h.send(member, STAKING, IStaking::setNetworkAddressCall { ip, port });
        Some(())
    }),
    ("staking.submitEvidence", 1, |h| {
        let evidence = double_sign(h)?;
        let sender = h.anyone();
        h.send(sender, STAKING, IStaking::submitEvidenceCall { evidence });
        Some(())
    }),
];

impl History<'_> {
    /// One validator of the genesis, which has yet to stake, with the seat of the first two epochs.
    pub(super) fn found_validators(&mut self) -> Result<()> {
        let (account, key) = (self.account(VALIDATORS[0]), public(0));
        evidence::init(&mut self.storage, GENESIS)?;
        keys::init(&mut self.storage, account, key)?;
        let seat = openledger_types::abi::Seat { account, key };
        seats::init(&mut self.storage, EPOCH_BLOCKS, 1, &[seat])?;
        self.nodes = Nodes { registered: vec![(0, VALIDATORS[0])], made: 1 };
        Ok(())
    }

    /// Goes on by so many blocks, and elects at the end of each epoch among them.
    pub(super) fn advance(&mut self, blocks: u64) {
        let (first, end) = (self.storage.block.number, self.storage.block.number + blocks);
        for number in (first..end).filter(|number| (number + 1).is_multiple_of(EPOCH_BLOCKS)) {
            self.storage.block.number = number;
            self.elect();
        }
        self.storage.block.number = end;
        self.storage.block.timestamp += blocks;
    }

    fn elect(&mut self) {
        let epoch = self.storage.block.number / EPOCH_BLOCKS;
        let ended = seats::end_block(&mut self.storage, Turn::default());
        if let Err(error) = ended.and_then(|()| self.check_elected(epoch)) {
            self.violate(format!("the election of epoch {epoch} failed: {error}"));
        }
        self.tallies.entry("event Elected").or_default().succeeded += 1;
    }

    /// Who was elected at the end of an epoch is bonded with enough, or nobody was and the old ones stay.
    fn check_elected(&mut self, epoch: u64) -> Result<()> {
        let before = seats::of(&mut self.storage, epoch + 1)?;
        let elected = seats::of(&mut self.storage, epoch + 2)?;
        if elected == before {
            return Ok(());
        }
        let most = params::get_u64(&mut self.storage, "validator_seats")?;
        self.require(elected.len() as u64 <= most, || format!("{} have {most} seats", elected.len()));
        for seat in &elected {
            let active = staking::is_active(&mut self.storage, seat.account, StakeRole::Validator)?;
            self.require(active, || format!("{} was elected and is not active", seat.account));
        }
        Ok(())
    }

    /// This epoch and the next have seats, each of an account of its own with a key that is its own; and so has every candidate.
    pub(super) fn check_nodes(&mut self) -> Result<()> {
        let epoch = self.storage.block.number / EPOCH_BLOCKS;
        for epoch in [epoch, epoch + 1] {
            let set = seats::of(&mut self.storage, epoch)?;
            self.require(!set.is_empty(), || format!("nobody has a seat in epoch {epoch}"));
            let accounts: BTreeSet<_> = set.iter().map(|seat| seat.account).collect();
            self.require(accounts.len() == set.len(), || format!("somebody has two seats in epoch {epoch}"));
            for seat in set {
                self.owns(seat.account, seat.key)?;
            }
        }
        let candidates = keys::candidates(&mut self.storage)?;
        let distinct: BTreeSet<_> = candidates.iter().collect();
        self.require(distinct.len() == candidates.len(), || "somebody is a candidate twice".into());
        for account in &candidates {
            match keys::of(&mut self.storage, *account)? {
                Some((key, _)) => self.owns(*account, key)?,
                None => self.violate(format!("the candidate {account} has no key")),
            }
        }
        for member in 0..MEMBERS {
            let account = self.account(member);
            let has_key = keys::of(&mut self.storage, account)?.is_some();
            self.require(has_key == candidates.contains(&account), || {
                format!("{account} has a key and is no candidate")
            });
        }
        Ok(())
    }

    fn owns(&mut self, account: Address, key: B256) -> Result<()> {
        let owner = keys::owner(&mut self.storage, key)?;
        self.require(owner == account, || format!("{account} has the key {key} of {owner}"));
        Ok(())
    }
}

fn secret(number: u64) -> PrivateKey {
    PrivateKey::from_seed(number)
}

fn public(number: u64) -> B256 {
    B256::from_slice(secret(number).public_key().as_ref())
}

/// A consensus key by its number, and the proof with which an account registers it.
pub fn consensus_key(number: u64, chain_id: u64, account: Address) -> (B256, Bytes) {
    let message = keys::proof_message(chain_id, account);
    (public(number), secret(number).sign(keys::PROOF_DOMAIN, &message).encode().to_vec().into())
}

/// Two votes of the key with this number, each of a kind for a block, on the chain with this domain of votes.
pub fn two_votes(
    number: u64,
    domain: &[u8],
    (epoch, view): (u64, u64),
    votes: [(VoteKind, B256); 2],
) -> DoubleSign {
    let [first, second] = votes.map(|(kind, block)| {
        let nullifies = kind == VoteKind::Nullify;
        let (parent, payload) = if nullifies { (0, B256::ZERO) } else { (view - 1, block) };
        let mut vote = Vote { kind, parent, payload, signature: Bytes::new() };
        let (suffix, message) = evidence::signed(epoch, view, &vote);
        vote.signature = secret(number).sign(&[domain, suffix].concat(), &message).encode().to_vec().into();
        vote
    });
    DoubleSign { key: public(number), epoch, viewNumber: view, first, second }
}

/// A key, mostly a new one, and a proof, mostly that of the member.
fn offer(h: &mut History<'_>, member: usize) -> (u64, B256, Bytes) {
    let number = match h.draws.pick(&h.nodes.registered) {
        Some((number, _)) if h.draws.chance(10) => number,
        _ => {
            h.nodes.made += 1;
            h.nodes.made
        }
    };
    let of = if h.draws.chance(10) { h.anyone() } else { member };
    let (key, proof) = consensus_key(number, h.storage.block.chain_id, h.account(of));
    (number, key, proof)
}

/// Mostly an address of IPv4.
fn place(h: &mut History<'_>) -> (FixedBytes<16>, u16) {
    let mut ip = [0; 16];
    if h.draws.chance(90) {
        ip[10..12].fill(0xff);
        ip[12..].copy_from_slice(&[192, 0, 2, h.draws.below(256) as u8]);
    }
    (FixedBytes(ip), h.draws.below(40_000) as u16)
}

/// Bonded validators with or without a key.
fn with_key(h: &mut History<'_>, wanted: bool) -> Vec<usize> {
    (0..MEMBERS)
        .filter(|member| {
            let account = h.cast.account(*member);
            let validator = staking::staker(&mut h.storage, account)
                .is_ok_and(|staker| staker.role == StakeRole::Validator && staker.unbondingAt == 0);
            validator && keys::of(&mut h.storage, account).is_ok_and(|key| key.is_some() == wanted)
        })
        .collect()
}

/// Mostly somebody with a key.
fn holder(h: &mut History<'_>) -> Option<usize> {
    let all = with_key(h, true);
    if h.draws.chance(92) { h.draws.pick(&all) } else { Some(h.anyone()) }
}

/// Two votes of a key, which contradict each other in some cases: rarely, once somebody was punished in this history.
fn double_sign(h: &mut History<'_>) -> Option<DoubleSign> {
    let (number, _) = h.draws.pick(&h.nodes.registered)?;
    let percent = if h.has_seen("staking.submitEvidence") { 4 } else { 40 };
    let guilty = h.draws.chance(percent);
    let (epoch, view) = (h.storage.block.number / EPOCH_BLOCKS, 1 + h.draws.below(50));
    let (one, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let (notarize, finalize, nullify) = (VoteKind::Notarize, VoteKind::Finalize, VoteKind::Nullify);
    let votes = match (guilty, h.draws.below(3)) {
        (true, 0) => [(notarize, one), (notarize, other)],
        (true, 1) => [(finalize, one), (finalize, other)],
        (true, _) => [(nullify, one), (finalize, one)],
        // What honest validators sign, one after the other.
        (false, 0) => [(notarize, one), (finalize, one)],
        (false, 1) => [(notarize, one), (nullify, one)],
        (false, _) => [(finalize, one), (finalize, one)],
    };
    let domain = evidence::vote_domain(h.storage.block.chain_id, GENESIS);
    Some(two_votes(number, &domain, (epoch, view), votes))
}
