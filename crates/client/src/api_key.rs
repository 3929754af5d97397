//! API keys: what an app sends in `Authorization: Bearer`, standing for a capped authorisation in escrow.
//!
//! A key is `ol-` and 43 characters of base64url: 32 bytes of randomness. The chain and the operator know only its
//! Keccak-256 hash.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{B256, keccak256};
use zeroize::Zeroizing;

use crate::wallet::fill_random;

const PREFIX: &str = "ol-";
/// 32 bytes in base64url without padding.
const CHARS: usize = 43;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Why a text is not an API key. The text is a secret and is not repeated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ApiKeyError {
    /// It does not begin with `ol-`.
    #[error("an API key begins with 'ol-'; this one does not")]
    Prefix,
    /// It is cut off, or has something added.
    #[error("an API key has 43 characters after 'ol-'; this one has {got}: copy it whole")]
    Length {
        /// Characters after the prefix.
        got: usize,
    },
    /// A character that no key has.
    #[error("an API key is made of letters, digits, '-' and '_'; character {at} is another")]
    Character {
        /// Which one, counted from 1 at the beginning of the key.
        at: usize,
    },
}

/// A key. Shown only by [`ApiKey::reveal`]; its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    text: Zeroizing<String>,
}

impl ApiKey {
    /// A new key from the randomness of the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        fill_random(bytes.as_mut_slice());
        Self { text: Zeroizing::new(format!("{PREFIX}{}", base64url(bytes.as_slice()))) }
    }

    /// What the chain knows the key by: Keccak-256 of its bytes, prefix included.
    pub fn hash(&self) -> B256 {
        keccak256(self.text.as_bytes())
    }

    /// The key itself, to be shown once to whom it belongs.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let rest = text.strip_prefix(PREFIX).ok_or(ApiKeyError::Prefix)?;
        if let Some(at) = rest.chars().position(|c| !u8::try_from(c).is_ok_and(|b| ALPHABET.contains(&b))) {
            return Err(ApiKeyError::Character { at: PREFIX.len() + at + 1 });
        }
        if rest.len() != CHARS {
            return Err(ApiKeyError::Length { got: rest.len() });
        }
        Ok(Self { text: Zeroizing::new(text.to_owned()) })
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.hash())
    }
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(word);
        for place in 0..=group.len() {
            let six = (bits >> (18 - 6 * place)) & 63;
            text.push(char::from(ALPHABET[six as usize]));
        }
    }
    text
}
