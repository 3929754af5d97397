//! Proof that a validator voted twice, and what that costs.
//!
//! Votes are signatures of the consensus engine (commonware simplex, ed25519 by ZIP 215) with the chain's domain `D`:
//!
//! ```text
//! D           = "openledger-" ‖ chain id ‖ "-" ‖ hash of the genesis (0x and 64 hex digits)
//! signed      = varint(length of domain) ‖ domain ‖ message
//! notarise    : domain D ‖ "_NOTARIZE",  message varint(epoch) ‖ varint(view) ‖ varint(parent view) ‖ block hash
//! finalise    : domain D ‖ "_FINALIZE",  message as above
//! nullify     : domain D ‖ "_NULLIFY",   message varint(epoch) ‖ varint(view)
//! ```
//!
//! Of one key in one view, two different votes to notarise contradict each other, and so do two to finalise, and one to nullify
//! and one to finalise. No honest validator signs such a pair, also after a crash: its votes are in a journal. Whoever shows one
//! takes `double_sign_slash` of everything that stands behind the key's owner, bonded or unbonding, which is burnt, and the
//! owner is jailed for ever. A key pays once for an epoch, however many pairs it signed there: the others are the same fault.

use alloy_primitives::{Address, B256};
use commonware_codec::{Write, varint::UInt};
use openledger_types::abi::{DoubleSign, IStaking, Vote, VoteKind};
use openledger_types::addresses::{BURN, STAKING};

use super::keys::{owner, verify};
use super::slashing::{jail, slash};
use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot};
use crate::params;
use crate::storage::{Storage, emit};

/// Hash of the genesis, which votes are bound to.
const GENESIS: Slot<B256> = Slot::new(STAKING, 26);
/// What has been punished, by key and epoch.
const PUNISHED: Mapping<B256, Mapping<u64, Slot<bool>>> = Mapping::new(STAKING, 27);

/// What the votes of a chain are bound to.
pub fn vote_domain(chain_id: u64, genesis: B256) -> Vec<u8> {
    format!("openledger-{chain_id}-{genesis}").into_bytes()
}

/// Says which chain this is, at genesis.
///
/// # Errors
/// Those of the storage.
pub fn init(storage: &mut dyn Storage, genesis: B256) -> Result<()> {
    GENESIS.set(storage, genesis)
}

/// Slashes and jails who signed two votes that contradict each other; returns whose key it is.
///
/// # Errors
/// `UnknownKey`, `AlreadyPunished`, `InvalidEvidence`.
pub fn submit(storage: &mut dyn Storage, evidence: &DoubleSign) -> Result<Address> {
    let DoubleSign { key, epoch, viewNumber: view, first, second } = evidence;
    let account = owner(storage, *key)?;
    if account.is_zero() {
        return Err(revert(IStaking::UnknownKey { key: *key }));
    }
    let punished = PUNISHED.at(*key).at(*epoch);
    if punished.get(storage)? {
        return Err(revert(IStaking::AlreadyPunished { key: *key, epoch: *epoch }));
    }
    if !contradict(first, second) {
        return Err(revert(IStaking::InvalidEvidence {}));
    }
    let domain = vote_domain(storage.block().chain_id, GENESIS.get(storage)?);
    for vote in [first, second] {
        let (suffix, message) = signed(*epoch, *view, vote);
        let domain = [domain.as_slice(), suffix].concat();
        if !verify(storage, *key, &domain, &message, &vote.signature)? {
            return Err(revert(IStaking::InvalidEvidence {}));
        }
    }
    punished.set(storage, true)?;
    let ppm = u32::try_from(params::get_u64(storage, "double_sign_slash")?).unwrap_or(u32::MAX);
    let amount = slash(storage, account, ppm)?;
    storage.transfer(STAKING, BURN, amount)?;
    jail(storage, account, u64::MAX)?;
    emit(storage, STAKING, &IStaking::DoubleSigned { account, key: *key, epoch: *epoch, burnt: amount })?;
    Ok(account)
}

/// Whether nobody honest signs both of one view.
fn contradict(first: &Vote, second: &Vote) -> bool {
    match (first.kind, second.kind) {
        (VoteKind::Notarize, VoteKind::Notarize) | (VoteKind::Finalize, VoteKind::Finalize) => {
            (first.parent, first.payload) != (second.parent, second.payload)
        }
        (VoteKind::Nullify, VoteKind::Finalize) | (VoteKind::Finalize, VoteKind::Nullify) => true,
        _ => false,
    }
}

/// End of the domain of a vote, and what it signs.
pub(crate) fn signed(epoch: u64, view: u64, vote: &Vote) -> (&'static [u8], Vec<u8>) {
    let mut message = Vec::new();
    UInt(epoch).write(&mut message);
    UInt(view).write(&mut message);
    let suffix: &[u8] = match vote.kind {
        VoteKind::Notarize => b"_NOTARIZE",
        VoteKind::Finalize => b"_FINALIZE",
        _ => return (b"_NULLIFY", message),
    };
    UInt(vote.parent).write(&mut message);
    message.extend_from_slice(vote.payload.as_slice());
    (suffix, message)
}

#[cfg(test)]
mod tests;
