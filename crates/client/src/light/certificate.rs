//! The signatures of the validators on a block.
//!
//! ```text
//! signed   = varint(length of namespace) ‖ namespace ‖ varint(epoch) ‖ varint(view) ‖ varint(parent view) ‖ block hash
//! namespace = "openledger-" ‖ chain id ‖ "-" ‖ genesis hash ‖ "_FINALIZE"
//! final    : ed25519 signatures of n − ⌊(n − 1) / 3⌋ of n validators
//! ```
//!
//! A varint has seven bits a byte, the lowest first, and the high bit where another byte follows.

use super::{ProofError, Trust};
use alloy_primitives::{B256, FixedBytes, U64};
use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};

/// What a vote for a final block is told apart by from other votes.
const FINALIZE: &[u8] = b"_FINALIZE";

/// The signatures that made a block final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Epoch of the validators.
    pub epoch: U64,
    /// View in which the block was proposed.
    pub view: U64,
    /// View of the block it was proposed on.
    pub parent_view: U64,
    /// Hash of the block.
    pub block: B256,
    /// The votes in the order of the validators.
    pub signatures: Vec<Vote>,
}

/// A validator's vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Place of the validator among those of the epoch, in the order of their public keys.
    pub signer: U64,
    /// Its ed25519 signature.
    pub signature: FixedBytes<64>,
}

impl Certificate {
    pub(super) fn check(&self, trust: &Trust) -> Result<(), ProofError> {
        let epoch = self.epoch.to();
        let first = trust.validators.first_key_value().map_or(0, |(epoch, _)| *epoch);
        let known = trust.validators.get(&epoch).ok_or(ProofError::Epoch {
            got: epoch,
            first,
            last: trust.newest(),
        })?;
        let validators = known.len();
        let needed = validators - (validators - 1) / 3;
        if self.signatures.len() < needed {
            return Err(ProofError::Quorum { got: self.signatures.len(), validators, needed });
        }
        let message = self.message(&trust.namespace);
        let mut last = None;
        for vote in &self.signatures {
            let signer: u64 = vote.signer.to();
            let wrong = || ProofError::Signature { signer };
            // In order, so that none counts twice.
            if last.is_some_and(|last| signer <= last) {
                return Err(wrong());
            }
            last = Some(signer);
            let key = usize::try_from(signer).ok().and_then(|place| known.get(place)).ok_or_else(wrong)?;
            let signature = Signature::from_bytes(&vote.signature.0);
            if key.verify_strict(&message, &signature).is_err() {
                return Err(wrong());
            }
        }
        Ok(())
    }

    fn message(&self, namespace: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(256);
        varint(&mut message, (namespace.len() + FINALIZE.len()) as u64);
        message.extend_from_slice(namespace);
        message.extend_from_slice(FINALIZE);
        for number in [self.epoch, self.view, self.parent_view] {
            varint(&mut message, number.to());
        }
        message.extend_from_slice(self.block.as_slice());
        message
    }
}

fn varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    into.push(number.to_le_bytes()[0]);
}
