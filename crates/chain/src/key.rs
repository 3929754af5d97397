//! The key a validator votes with.

use alloy_primitives::{Address, B256, Bytes};
use commonware_codec::{Copying, DecodeExt, Encode};
use commonware_cryptography::{Signer, ed25519};
use openledger_execution::key_proof;
use rand::TryRngCore;

/// An ed25519 key pair that signs votes and authenticates a validator to its peers.
#[derive(Clone)]
pub struct ConsensusKey {
    private: ed25519::PrivateKey,
}

impl ConsensusKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// If the operating system has none to give.
    pub fn generate() -> Result<Self, std::io::Error> {
        let mut seed = [0; 32];
        rand::rngs::OsRng.try_fill_bytes(&mut seed).map_err(std::io::Error::other)?;
        Ok(Self::from_bytes(seed))
    }

    /// The key with this secret.
    pub fn from_bytes(secret: [u8; 32]) -> Self {
        let private =
            ed25519::PrivateKey::decode(Copying(&secret)).expect("any 32 bytes are an ed25519 secret");
        Self { private }
    }

    /// The secret, to be stored where nobody else reads.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.private.encode().as_ref().try_into().expect("an ed25519 secret is 32 bytes")
    }

    /// The public key as the genesis names it: 64 hex digits.
    pub fn public_hex(&self) -> String {
        hex(&self.private.public_key())
    }

    /// The public key as the staking module registers it.
    pub fn public_bytes(&self) -> B256 {
        B256::from_slice(self.private.public_key().as_ref())
    }

    /// The proof that this key is held, with which an account of a chain registers it.
    pub fn prove(&self, chain_id: u64, account: Address) -> Bytes {
        let (domain, message) = key_proof(chain_id, account);
        self.private.sign(domain, &message).encode().to_vec().into()
    }

    pub(crate) fn public(&self) -> ed25519::PublicKey {
        self.private.public_key()
    }

    pub(crate) fn private(&self) -> ed25519::PrivateKey {
        self.private.clone()
    }
}

impl std::fmt::Debug for ConsensusKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsensusKey").field("public", &self.public_hex()).finish_non_exhaustive()
    }
}

/// A public key as hex.
pub(crate) fn hex(key: &ed25519::PublicKey) -> String {
    alloy_primitives::hex::encode(key.encode())
}

/// A public key from hex, with or without `0x`.
pub(crate) fn parse(text: &str) -> Option<ed25519::PublicKey> {
    let bytes = alloy_primitives::hex::decode(text).ok()?;
    ed25519::PublicKey::decode(Copying(&bytes)).ok()
}
