//! From the validators of one epoch to those of the next.
//!
//! ```text
//! slot(e)  = keccak256(e mod 4 (32 bytes) ‖ 24 (32 bytes)) of the staking module
//! slot     : e + seats · 2^64
//! slot + 2 : keccak256(keys, one after another in the order of the seats)
//! ```
//!
//! The two slots, in the state of a block that validators of known epochs have made final, show the keys of epoch `e`.

use super::{ProofError, StateProof, Trust, ordered};
use alloy_primitives::{B256, U64, U256, keccak256};
use openledger_types::addresses::STAKING;
use serde::{Deserialize, Serialize};

/// Number of the staking module's slot of all sets.
const SETS: u64 = 24;
/// Sets that the module keeps.
const KEPT: u64 = 4;
/// Epochs whose validators a client keeps: proofs are made at the head.
const REMEMBERED: usize = 8;

/// The validators of an epoch with what shows that they are, as `openledger_getHandovers` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The epoch in which they vote.
    pub epoch: U64,
    /// Their ed25519 keys in the order of their seats.
    pub validators: Vec<B256>,
    /// The staking module in a block of an earlier epoch.
    pub proof: StateProof,
}

impl Trust {
    /// Believes the validators of the epoch after the newest that is known, if the handover shows them.
    ///
    /// # Errors
    /// [`ProofError`] says what does not hold; nothing is believed then.
    pub fn hand_over(&mut self, handover: &Handover) -> Result<(), ProofError> {
        let epoch = handover.epoch.to::<u64>();
        let wrong = |reason| ProofError::Handover { epoch, reason };
        if epoch != self.newest() + 1 {
            return Err(wrong("it is not the epoch after the newest that is known"));
        }
        let [head, digest] = handover.proof.storage_proof.as_slice() else {
            return Err(wrong("it does not have two slots"));
        };
        let slot = slot(epoch);
        if handover.proof.address != STAKING || [head.key, digest.key] != [slot, slot + U256::from(2)] {
            return Err(wrong("it has other slots than those of the epoch"));
        }
        handover.proof.check(self)?;
        let seats = handover.validators.len();
        if head.value != U256::from(epoch) | (U256::from(seats) << 64) {
            return Err(wrong("the state names another epoch or number of seats"));
        }
        if digest.value != U256::from_be_bytes(keccak256(handover.validators.concat()).0) {
            return Err(wrong("the state has other keys"));
        }
        let keys: Vec<[u8; 32]> = handover.validators.iter().map(|key| key.0).collect();
        self.validators.insert(epoch, ordered(&keys)?);
        while self.validators.len() > REMEMBERED {
            self.validators.pop_first();
        }
        Ok(())
    }
}

fn slot(epoch: u64) -> U256 {
    let words = [U256::from(epoch % KEPT), U256::from(SETS)];
    keccak256(words.map(|word| word.to_be_bytes::<32>()).concat()).into()
}
