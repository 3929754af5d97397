//! Signatures of accounts with a key, as `ecrecover` and OpenZeppelin's `ECDSA` take them.
//!
//! A contract's signature (EIP-1271) would take a call out of a module, which runs no code of others: contracts call the
//! operation itself.

use alloy_primitives::{Address, B256, Signature};

use crate::error::Result;
use crate::storage::Storage;

/// Gas of one recovery: that of the precompile `ecrecover`.
const RECOVER_GAS: u64 = 3_000;

/// A signature as the ABI has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signed {
    v: u8,
    r: B256,
    s: B256,
}

impl Signed {
    /// Out of its three parts.
    pub(crate) const fn new(v: u8, r: B256, s: B256) -> Self {
        Self { v, r, s }
    }

    /// Out of the 65 bytes `r ‖ s ‖ v`; any other length recovers to nobody.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        match bytes {
            [rs @ .., v] if rs.len() == 64 => {
                let (r, s) = rs.split_at(32);
                Self::new(*v, B256::from_slice(r), B256::from_slice(s))
            }
            _ => Self::new(0, B256::ZERO, B256::ZERO),
        }
    }

    /// Who signed `digest`. Nobody if `v` is not 27 or 28, or `s` is above half the order (EIP-2): every signature has one
    /// form.
    ///
    /// # Errors
    /// Those of the storage.
    pub(crate) fn recover(&self, storage: &mut dyn Storage, digest: B256) -> Result<Option<Address>> {
        storage.charge(RECOVER_GAS)?;
        let odd = match self.v {
            27 => false,
            28 => true,
            _ => return Ok(None),
        };
        let signature = Signature::from_scalars_and_parity(self.r, self.s, odd);
        if signature.normalize_s().is_some() {
            return Ok(None);
        }
        Ok(signature.recover_address_from_prehash(&digest).ok())
    }
}
