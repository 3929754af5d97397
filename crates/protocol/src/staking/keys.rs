//! The keys that validators vote with, and where their nodes are.
//!
//! A bonded validator registers the ed25519 public key of its node with a proof that it holds the secret: a signature
//! (ZIP 215) by that key over
//!
//! ```text
//! varint(length of domain) ‖ domain ‖ chain id (8, big-endian) ‖ account (20)      domain = "openledger-consensus-key"
//! ```
//!
//! so nobody can register a key of somebody else. A key belongs to one account for ever, also when another has taken its
//! place: who voted with it can be told at any time. Who has a key is a candidate for the seats that [`seats`](super::seats)
//! elects; unbonding or being jailed costs no key, only the next election.

use std::net::Ipv6Addr;

use alloy_primitives::{Address, B256, FixedBytes};
use commonware_codec::{Copying, DecodeExt};
use commonware_cryptography::{Verifier, ed25519};
use openledger_types::abi::{IStaking, StakeRole};
use openledger_types::addresses::STAKING;

use super::standing;
use crate::error::{Result, overflow, revert};
use crate::layout::{Mapping, Slot, place};
use crate::storage::{Storage, emit};

/// What a proof is bound to, so that a vote or a handshake is never one.
pub const PROOF_DOMAIN: &[u8] = b"openledger-consensus-key";

/// The most accounts with a key. An election looks at all of them, and each has a validator's stake bonded when it enters.
pub const MAX_CANDIDATES: u32 = 256;

/// Gas of checking a signature: that of the precompile `ecrecover`, which takes as long.
const VERIFY_GAS: u64 = 3_000;

place! {
    struct KeySlots {
        0: key: Slot<B256>,
        /// IP address, port, position in the list of candidates.
        1: place: Slot<(u128, u16, u32)>,
    }
}

/// By account.
const KEYS: Mapping<Address, KeySlots> = Mapping::new(STAKING, 20);
/// Whose a key is or was.
const OWNERS: Mapping<B256, Slot<Address>> = Mapping::new(STAKING, 21);
/// The accounts with a key, by position.
const CANDIDATES: Mapping<u32, Slot<Address>> = Mapping::new(STAKING, 22);
const CANDIDATE_COUNT: Slot<u32> = Slot::new(STAKING, 23);

/// Where a node listens for the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetworkAddress {
    /// IPv6, or IPv4 as `::ffff:a.b.c.d`.
    pub ip: FixedBytes<16>,
    /// TCP port.
    pub port: u16,
}

impl NetworkAddress {
    /// True if another machine could connect there.
    fn is_reachable(&self) -> bool {
        let ip = Ipv6Addr::from(self.ip.0).to_canonical();
        self.port != 0 && !ip.is_unspecified() && !ip.is_multicast()
    }
}

/// What a proof for `account` signs, beside the domain.
pub fn proof_message(chain_id: u64, account: Address) -> Vec<u8> {
    [chain_id.to_be_bytes().as_slice(), account.as_slice()].concat()
}

/// Whether `signature` is that of `key` over a message of this domain, by the rules that votes are checked by.
///
/// # Errors
/// Those of the storage.
pub(super) fn verify(
    storage: &mut dyn Storage,
    key: B256,
    domain: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<bool> {
    storage.charge(VERIFY_GAS)?;
    let key = ed25519::PublicKey::decode(Copying(key.as_slice()));
    let signature = ed25519::Signature::decode(Copying(signature));
    let (Ok(key), Ok(signature)) = (key, signature) else { return Ok(false) };
    Ok(key.verify(domain, message, &signature))
}

/// Makes a bonded validator a candidate for a seat.
///
/// # Errors
/// `NotValidator`, `HasKey`, `KeyUsed`, `InvalidKeyProof`, `InvalidNetworkAddress`, `TooManyKeys`.
pub fn register(
    storage: &mut dyn Storage,
    account: Address,
    key: B256,
    proof: &[u8],
    address: NetworkAddress,
) -> Result<()> {
    if let Some((key, _)) = of(storage, account)? {
        return Err(revert(IStaking::HasKey { account, key }));
    }
    check_validator(storage, account)?;
    check_address(&address)?;
    take(storage, account, key, proof)?;
    enter(storage, account, key, address)?;
    emit(storage, STAKING, &IStaking::KeySet { account, key })?;
    emit(storage, STAKING, &IStaking::NetworkAddressSet { account, ip: address.ip, port: address.port })
}

/// Puts another key in the place of the registered one.
///
/// # Errors
/// `NoKey`, `NotValidator`, `KeyUsed`, `InvalidKeyProof`.
pub fn rotate(storage: &mut dyn Storage, account: Address, key: B256, proof: &[u8]) -> Result<()> {
    check_key(storage, account)?;
    check_validator(storage, account)?;
    take(storage, account, key, proof)?;
    KEYS.at(account).key.set(storage, key)?;
    emit(storage, STAKING, &IStaking::KeySet { account, key })
}

/// Gives up candidacy. The key stays the account's.
///
/// # Errors
/// `NoKey`.
pub fn deregister(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let (key, _) = check_key(storage, account)?;
    remove(storage, account)?;
    emit(storage, STAKING, &IStaking::KeyRemoved { account, key })
}

/// Says where the account's node listens from now on.
///
/// # Errors
/// `NoKey`, `InvalidNetworkAddress`.
pub fn set_address(storage: &mut dyn Storage, account: Address, address: NetworkAddress) -> Result<()> {
    check_key(storage, account)?;
    check_address(&address)?;
    let NetworkAddress { ip, port } = address;
    let slot = KEYS.at(account).place;
    let (_, _, position) = slot.get(storage)?;
    slot.set(storage, (u128::from_be_bytes(ip.0), port, position))?;
    emit(storage, STAKING, &IStaking::NetworkAddressSet { account, ip, port })
}

/// The key of an account and where its node listens, zeros for a validator of the genesis that has not said so; `None`
/// without a key.
///
/// # Errors
/// Those of the storage.
pub fn of(storage: &mut dyn Storage, account: Address) -> Result<Option<(B256, NetworkAddress)>> {
    let slots = KEYS.at(account);
    let key = slots.key.get(storage)?;
    if key.is_zero() {
        return Ok(None);
    }
    let (ip, port, _) = slots.place.get(storage)?;
    Ok(Some((key, NetworkAddress { ip: FixedBytes(ip.to_be_bytes()), port })))
}

/// Whose a key is or was; zero if it was never registered.
///
/// # Errors
/// Those of the storage.
pub fn owner(storage: &mut dyn Storage, key: B256) -> Result<Address> {
    OWNERS.at(key).get(storage)
}

/// The accounts with a key, in no particular order.
///
/// # Errors
/// Those of the storage.
pub fn candidates(storage: &mut dyn Storage) -> Result<Vec<Address>> {
    (0..CANDIDATE_COUNT.get(storage)?).map(|position| CANDIDATES.at(position).get(storage)).collect()
}

/// Gives a validator of the genesis its key, which needs no proof: who starts a chain vouches for its genesis.
///
/// # Errors
/// `KeyUsed`, `HasKey`, `TooManyKeys`.
pub fn init(storage: &mut dyn Storage, account: Address, key: B256) -> Result<()> {
    if let Some((key, _)) = of(storage, account)? {
        return Err(revert(IStaking::HasKey { account, key }));
    }
    own(storage, account, key)?;
    enter(storage, account, key, NetworkAddress::default())
}

/// Drops a candidate.
pub(super) fn remove(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let slots = KEYS.at(account);
    let (_, _, position) = slots.place.get(storage)?;
    let last = CANDIDATE_COUNT.get(storage)?.checked_sub(1).ok_or_else(overflow)?;
    let moved = CANDIDATES.at(last).get(storage)?;
    // The last takes the free position.
    let (ip, port, _) = KEYS.at(moved).place.get(storage)?;
    KEYS.at(moved).place.set(storage, (ip, port, position))?;
    CANDIDATES.at(position).set(storage, moved)?;
    CANDIDATES.at(last).set(storage, Address::ZERO)?;
    CANDIDATE_COUNT.set(storage, last)?;
    slots.key.set(storage, B256::ZERO)?;
    slots.place.set(storage, (0, 0, 0))
}

fn enter(storage: &mut dyn Storage, account: Address, key: B256, address: NetworkAddress) -> Result<()> {
    let count = CANDIDATE_COUNT.get(storage)?;
    if count >= MAX_CANDIDATES {
        return Err(revert(IStaking::TooManyKeys { limit: MAX_CANDIDATES }));
    }
    let slots = KEYS.at(account);
    slots.key.set(storage, key)?;
    slots.place.set(storage, (u128::from_be_bytes(address.ip.0), address.port, count))?;
    CANDIDATES.at(count).set(storage, account)?;
    CANDIDATE_COUNT.set(storage, count.checked_add(1).ok_or_else(overflow)?)
}

/// Makes a key the account's if the proof is right.
fn take(storage: &mut dyn Storage, account: Address, key: B256, proof: &[u8]) -> Result<()> {
    let message = proof_message(storage.block().chain_id, account);
    if !verify(storage, key, PROOF_DOMAIN, &message, proof)? {
        return Err(revert(IStaking::InvalidKeyProof { key }));
    }
    own(storage, account, key)
}

/// Makes a key the account's for ever.
fn own(storage: &mut dyn Storage, account: Address, key: B256) -> Result<()> {
    if !owner(storage, key)?.is_zero() {
        return Err(revert(IStaking::KeyUsed { key }));
    }
    OWNERS.at(key).set(storage, account)
}

fn check_key(storage: &mut dyn Storage, account: Address) -> Result<(B256, NetworkAddress)> {
    of(storage, account)?.ok_or_else(|| revert(IStaking::NoKey { account }))
}

fn check_validator(storage: &mut dyn Storage, account: Address) -> Result<()> {
    let standing = standing(storage, account)?;
    if standing.role != StakeRole::Validator || !standing.is_bonded() {
        return Err(revert(IStaking::NotValidator { account }));
    }
    Ok(())
}

fn check_address(address: &NetworkAddress) -> Result<()> {
    if address.is_reachable() {
        return Ok(());
    }
    Err(revert(IStaking::InvalidNetworkAddress { ip: address.ip, port: address.port }))
}

#[cfg(test)]
pub(super) mod tests;
