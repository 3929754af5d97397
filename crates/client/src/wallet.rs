//! An unlocked key.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

/// Why a private key cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not 32 bytes of hexadecimal. The text itself is a secret and is not repeated.
    #[error(
        "a private key is 64 hexadecimal digits, with or without 0x in front; this text has {got} characters"
    )]
    Malformed {
        /// Characters of the text.
        got: usize,
    },
    /// Zero, or not below the order of the curve.
    #[error("this number is not a private key of secp256k1: it is zero or too large")]
    OutOfRange,
}

/// A key that can sign. Its `Debug` shows the address only.
#[derive(Clone, PartialEq)]
pub struct Wallet {
    signer: PrivateKeySigner,
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Wallet").field(&self.address()).finish()
    }
}

impl Wallet {
    /// A new key from the randomness of the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness, when no key can be safe.
    pub fn random() -> Self {
        loop {
            // All but about one number in 2^128 is a key.
            if let Ok(wallet) = Self::from_secret(&random_secret()) {
                return wallet;
            }
        }
    }

    /// Reads a private key: 64 hexadecimal digits, with or without `0x`.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with it.
    pub fn from_private_key(hex: &str) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        alloy_primitives::hex::decode_to_slice(hex.trim(), secret.as_mut_slice())
            .map_err(|_hex| KeyError::Malformed { got: hex.trim().chars().count() })?;
        Self::from_secret(&secret)
    }

    pub(crate) fn from_secret(secret: &[u8; 32]) -> Result<Self, KeyError> {
        PrivateKeySigner::from_slice(secret)
            .map(|signer| Self { signer })
            .map_err(|_range| KeyError::OutOfRange)
    }

    pub(crate) fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signer.to_bytes().0)
    }

    /// The account of this key.
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// Signs a hash: 65 bytes r, s, v with v 27 or 28.
    ///
    /// # Panics
    /// Never: a local key signs every hash.
    pub fn sign_hash(&self, hash: &B256) -> [u8; 65] {
        self.signer.sign_hash_sync(hash).expect("a local key signs every hash").as_bytes()
    }

    /// Signs a transaction: its hash and the bytes that `eth_sendRawTransaction` takes.
    ///
    /// # Panics
    /// As [`Wallet::sign_hash`].
    pub fn sign_transaction(&self, tx: TxEip1559) -> (B256, Bytes) {
        let signature =
            self.signer.sign_hash_sync(&tx.signature_hash()).expect("a local key signs every hash");
        let envelope = TxEnvelope::from(tx.into_signed(signature));
        (*envelope.tx_hash(), envelope.encoded_2718().into())
    }
}

fn random_secret() -> Zeroizing<[u8; 32]> {
    let mut secret = Zeroizing::new([0; 32]);
    fill_random(secret.as_mut_slice());
    secret
}

/// Fills a buffer from the operating system.
///
/// # Panics
/// If the operating system has no randomness.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    OsRng.try_fill_bytes(bytes).expect("the operating system gives randomness");
}
