//! The state of an account, believed for its proof and not for who tells it.
//!
//! A light client knows three things: the chain's id, the hash of its genesis and the keys of its validators. Any node,
//! trusted or not, gives the rest (`openledger_getProof`):
//!
//! 1. **Certificate**: more than two thirds of the validators signed the hash of a header (`certificate`).
//! 2. **Headers**: from that header, by parent hashes, down to the one of the block. Usually it is the same header.
//! 3. **Entries**: the header's `stateRoot` covers the entry of the account and of each slot, or an entry whose next key
//!    lies beyond, so that there is none (`entry`).
//!
//! No engine of the chain is linked: the rules stand here a second time, and the node's tests hold both against each
//! other.

mod certificate;
mod entry;
mod handover;

use alloy_consensus::{Header, constants::KECCAK_EMPTY};
use alloy_primitives::{Address, B256, Bytes, U64, U256, hex, keccak256};
use alloy_rlp::Decodable;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use certificate::{Certificate, Vote};
pub use entry::EntryProof;
pub use handover::Handover;

/// Headers that one proof may carry, as many as a node gives.
const MAX_HEADERS: usize = 128;
/// Bytes of an entry: nonce, balance and code hash, or a slot's value and zeros.
const VALUE_BYTES: usize = 72;

/// What a light client believes: at first the validators of some epoch or those of the genesis, and with every
/// [`Handover`] those of one more.
#[derive(Clone, Debug)]
pub struct Trust {
    namespace: Vec<u8>,
    /// By epoch; keys in the order of their bytes, which is that of the votes.
    validators: BTreeMap<u64, Vec<VerifyingKey>>,
}

impl Trust {
    /// The validators of an epoch of a chain, by their ed25519 keys in any order. `genesis` is the hash of the genesis
    /// file, which is the `mixHash` of block zero.
    ///
    /// # Errors
    /// [`ProofError::Validators`] if there is none, a key twice or one that is none.
    pub fn new(
        chain_id: u64,
        genesis: B256,
        epoch: u64,
        validators: &[[u8; 32]],
    ) -> Result<Self, ProofError> {
        let validators = BTreeMap::from([(epoch, ordered(validators)?)]);
        Ok(Self { namespace: format!("openledger-{chain_id}-{genesis}").into_bytes(), validators })
    }

    /// Those of the genesis file, which vote in epochs 0 and 1.
    ///
    /// # Errors
    /// As [`Trust::new`].
    pub fn of_genesis(chain_id: u64, genesis: B256, validators: &[[u8; 32]]) -> Result<Self, ProofError> {
        let mut trust = Self::new(chain_id, genesis, 0, validators)?;
        trust.validators.insert(1, ordered(validators)?);
        Ok(trust)
    }

    /// The newest epoch whose validators are known.
    pub fn newest(&self) -> u64 {
        self.validators.last_key_value().map_or(0, |(epoch, _)| *epoch)
    }

    /// The keys of the validators of an epoch in the order of their votes; `None` if they are not known.
    pub fn keys(&self, epoch: u64) -> Option<Vec<[u8; 32]>> {
        let keys = self.validators.get(&epoch)?;
        Some(keys.iter().map(VerifyingKey::to_bytes).collect())
    }
}

/// The keys in the order of their votes.
fn ordered(keys: &[[u8; 32]]) -> Result<Vec<VerifyingKey>, ProofError> {
    let wrong = |reason: String| ProofError::Validators { reason };
    let sorted: BTreeSet<_> = keys.iter().collect();
    if sorted.is_empty() || sorted.len() < keys.len() {
        return Err(wrong("there is none, or one twice".to_owned()));
    }
    let keys = sorted.into_iter().map(VerifyingKey::from_bytes).collect::<Result<_, _>>();
    keys.map_err(|error| wrong(error.to_string()))
}

/// An account and slots of it with their proof, as `openledger_getProof` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateProof {
    /// The account.
    pub address: Address,
    /// The header of the block in RLP, then those of its successors up to the one that the certificate is for.
    pub headers: Vec<Bytes>,
    /// The signatures of the validators.
    pub certificate: Certificate,
    /// Transactions that the account has sent.
    pub nonce: U64,
    /// What it holds, wei.
    pub balance: U256,
    /// Hash of its code.
    pub code_hash: B256,
    /// That this is so.
    pub account_proof: EntryProof,
    /// The slots that were asked for.
    pub storage_proof: Vec<SlotProof>,
}

/// A slot with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotProof {
    /// The slot.
    pub key: U256,
    /// What is stored there.
    pub value: U256,
    /// That this is so.
    pub proof: EntryProof,
}

/// The block that a proof was found to be true of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Its hash.
    pub hash: B256,
    /// Its header.
    pub header: Header,
}

/// Why a proof shows nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProofError {
    /// The validators to believe are not usable.
    #[error("validators: {reason}")]
    Validators {
        /// What is wrong.
        reason: String,
    },
    /// The certificate is of validators that this client does not know.
    #[error("the certificate is of epoch {got}, the validators of epochs {first} to {last} are known")]
    Epoch {
        /// Epoch of the certificate.
        got: u64,
        /// The first epoch whose validators are known.
        first: u64,
        /// The last.
        last: u64,
    },
    /// What should show the validators of an epoch does not.
    #[error("the validators of epoch {epoch} are not shown: {reason}")]
    Handover {
        /// The epoch.
        epoch: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// Not enough validators signed.
    #[error("{got} of {validators} validators signed, {needed} must have")]
    Quorum {
        /// Signatures.
        got: usize,
        /// Validators.
        validators: usize,
        /// Signatures that make a block final.
        needed: usize,
    },
    /// A signature is not that of the validator.
    #[error("the signature of validator {signer} is not its own, or is there twice")]
    Signature {
        /// Place of the validator.
        signer: u64,
    },
    /// The headers do not lead from the block to the certificate.
    #[error("header {position}: {reason}")]
    Header {
        /// Which.
        position: usize,
        /// What is wrong.
        reason: String,
    },
    /// An entry is not covered by the state root.
    #[error("the entry of {what} is not in the state of the block: {reason}")]
    Entry {
        /// The account or the slot.
        what: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// What is said of the account or a slot is not what the entry holds.
    #[error("what is said of {what} is not what the state holds: said {said}, proven {proven}")]
    Value {
        /// The account or the slot.
        what: String,
        /// What the proof says beside its entries.
        said: String,
        /// What the entries say.
        proven: String,
    },
}

impl StateProof {
    /// Checks all of it and returns the block it is true of.
    ///
    /// # Errors
    /// [`ProofError`] says which link does not hold.
    pub fn check(&self, trust: &Trust) -> Result<Proven, ProofError> {
        self.certificate.check(trust)?;
        let block = self.block()?;
        let root = block.header.state_root;

        let what = format!("account {}", self.address);
        let stored = self.account_proof.prove(&what, keccak256(self.address), root)?;
        let mut said = [0; VALUE_BYTES];
        said[..8].copy_from_slice(&self.nonce.to_be_bytes::<8>());
        said[8..40].copy_from_slice(&self.balance.to_be_bytes::<32>());
        said[40..].copy_from_slice(self.code_hash.as_slice());
        let nothing =
            (self.nonce.is_zero() && self.balance.is_zero() && self.code_hash == KECCAK_EMPTY).then_some(());
        match stored {
            Some(stored) => equal(&what, &said, stored)?,
            None => {
                nothing.ok_or_else(|| value(&what, hex::encode_prefixed(said), "no account".to_owned()))?
            }
        }
        for slot in &self.storage_proof {
            let what = format!("slot {:#x} of {}", slot.key, self.address);
            let key = keccak256([self.address.as_slice(), &slot.key.to_be_bytes::<32>()].concat());
            let mut said = [0; VALUE_BYTES];
            said[..32].copy_from_slice(&slot.value.to_be_bytes::<32>());
            match slot.proof.prove(&what, key, root)? {
                Some(stored) => equal(&what, &said, stored)?,
                None if slot.value.is_zero() => {}
                None => return Err(value(&what, hex::encode_prefixed(said), "zero".to_owned())),
            }
        }
        Ok(block)
    }

    /// The block at the start of the headers, if they lead to that of the certificate.
    fn block(&self) -> Result<Proven, ProofError> {
        let wrong = |position, reason: &str| ProofError::Header { position, reason: reason.to_owned() };
        if self.headers.is_empty() || self.headers.len() > MAX_HEADERS {
            return Err(wrong(self.headers.len(), "there are none or more than 128"));
        }
        let mut first = None;
        let mut above: Option<B256> = None;
        for (position, encoded) in self.headers.iter().enumerate() {
            let mut rest = encoded.as_ref();
            let header = Header::decode(&mut rest)
                .map_err(|error| ProofError::Header { position, reason: error.to_string() })?;
            if !rest.is_empty() {
                return Err(wrong(position, "something follows it"));
            }
            if above.is_some_and(|above| above != header.parent_hash) {
                return Err(wrong(position, "its parent is not the header before it"));
            }
            let hash = keccak256(encoded);
            above = Some(hash);
            first.get_or_insert(Proven { hash, header });
        }
        if above != Some(self.certificate.block) {
            return Err(wrong(self.headers.len() - 1, "the certificate is of another block"));
        }
        first.ok_or_else(|| wrong(0, "there is none"))
    }
}

fn equal(what: &str, said: &[u8], stored: &[u8]) -> Result<(), ProofError> {
    if said == stored {
        Ok(())
    } else {
        Err(value(what, hex::encode_prefixed(said), hex::encode_prefixed(stored)))
    }
}

fn value(what: &str, said: String, proven: String) -> ProofError {
    ProofError::Value { what: what.to_owned(), said, proven }
}
