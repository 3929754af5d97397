//! The file format: [Web3 Secret Storage, version 3](https://ethereum.org/developers/docs/data-structures-and-encoding/web3-secret-storage/).
//!
//! A 32-byte key is derived from the password by scrypt (or PBKDF2, in files of others). Its first half encrypts the
//! private key with AES-128 in counter mode; `keccak256(second half ‖ ciphertext)` tells a wrong password.

use std::path::Path;

use aes::Aes128;
use alloy_primitives::{Address, B256, Keccak256, hex};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::KeystoreError;
use crate::wallet::{Wallet, fill_random};

const CIPHER: &str = "aes-128-ctr";
const PRF: &str = "hmac-sha256";
/// Most memory that scrypt may ask for, twice geth's standard, so that a hostile file cannot exhaust the machine.
const MAX_SCRYPT_BYTES: u64 = 512 * 1024 * 1024;
/// Most scrypt work (`N r p`), four times that of geth's standard.
const MAX_SCRYPT_WORK: u64 = 8 * 1024 * 1024;
/// Most PBKDF2 rounds; geth's files have 262,144.
const MAX_ROUNDS: u32 = 10_000_000;
/// Longest salt. Salts have 32 bytes.
const MAX_SALT: usize = 256;

/// How much work it is to try a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strength {
    /// geth's standard, scrypt N = 262,144, r = 8, p = 1: 256 MiB and about a second a try. For people.
    #[default]
    Standard,
    /// geth's `--lightkdf`, scrypt N = 4,096, r = 8, p = 6: 4 MiB and about a tenth of a second. For keys of a local
    /// network whose password lies beside them.
    Light,
}

impl Strength {
    fn scrypt(self) -> Scrypt {
        let (n, p) = match self {
            Self::Standard => (1 << 18, 1),
            Self::Light => (1 << 12, 6),
        };
        let mut salt = vec![0; 32];
        fill_random(&mut salt);
        Scrypt { dklen: 32, n, r: 8, p, salt }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SecretFile {
    #[serde(default, skip_serializing_if = "Option::is_none", with = "plain_address")]
    pub(super) address: Option<Address>,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
    id: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Crypto {
    cipher: String,
    #[serde(with = "hex::serde::no_prefix")]
    ciphertext: Vec<u8>,
    cipherparams: CipherParams,
    #[serde(flatten)]
    kdf: Kdf,
    #[serde(with = "hex::serde::no_prefix")]
    mac: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct CipherParams {
    #[serde(with = "hex::serde::no_prefix")]
    iv: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kdf", content = "kdfparams", rename_all = "lowercase")]
enum Kdf {
    Scrypt(Scrypt),
    Pbkdf2(Pbkdf2),
}

#[derive(Serialize, Deserialize)]
struct Scrypt {
    dklen: u32,
    n: u64,
    p: u32,
    r: u32,
    #[serde(with = "hex::serde::no_prefix")]
    salt: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Pbkdf2 {
    c: u32,
    dklen: u32,
    prf: String,
    #[serde(with = "hex::serde::no_prefix")]
    salt: Vec<u8>,
}

impl SecretFile {
    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a keystore file has only strings and numbers")
    }

    pub(super) fn encrypt(wallet: &Wallet, password: &str, strength: Strength) -> Self {
        let kdf = Kdf::Scrypt(strength.scrypt());
        let derived = kdf.derive(password).expect("both strengths are within the limits");
        let mut iv = vec![0; 16];
        fill_random(&mut iv);
        let mut ciphertext = wallet.secret().to_vec();
        apply_cipher(&derived, &iv, &mut ciphertext).expect("the key and the vector have 16 bytes each");
        let mac = mac(&derived, &ciphertext).to_vec();
        Self {
            address: Some(wallet.address()),
            crypto: Crypto {
                cipher: CIPHER.to_owned(),
                ciphertext,
                cipherparams: CipherParams { iv },
                kdf,
                mac,
            },
            id: random_uuid(),
            version: 3,
        }
    }

    pub(super) fn decrypt(&self, path: &Path, password: &str) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let malformed = |reason: String| KeystoreError::malformed(path, reason);
        if self.version != 3 {
            return Err(malformed(format!("it has version {}, not 3", self.version)));
        }
        if self.crypto.cipher != CIPHER {
            return Err(malformed(format!("its cipher is '{}', not {CIPHER}", self.crypto.cipher)));
        }
        let mut secret: Zeroizing<[u8; 32]> = Zeroizing::new(
            self.crypto
                .ciphertext
                .as_slice()
                .try_into()
                .map_err(|_length| malformed("its ciphertext does not have 32 bytes".to_owned()))?,
        );
        let derived = self.crypto.kdf.derive(password).map_err(malformed)?;
        if mac(&derived, secret.as_slice()).as_slice() != self.crypto.mac {
            return Err(KeystoreError::WrongPassword { path: path.to_owned() });
        }
        apply_cipher(&derived, &self.crypto.cipherparams.iv, secret.as_mut_slice()).map_err(malformed)?;
        Ok(secret)
    }
}

impl Kdf {
    /// The 32-byte key of a password, or why these parameters are refused.
    fn derive(&self, password: &str) -> Result<Zeroizing<[u8; 32]>, String> {
        let (dklen, salt) = match self {
            Self::Scrypt(params) => (params.dklen, &params.salt),
            Self::Pbkdf2(params) => (params.dklen, &params.salt),
        };
        if dklen != 32 || salt.len() > MAX_SALT {
            return Err(format!(
                "it derives {dklen} bytes from a salt of {}; expected 32 from at most {MAX_SALT}",
                salt.len()
            ));
        }
        let mut derived = Zeroizing::new([0; 32]);
        match self {
            Self::Scrypt(params) => {
                scrypt::scrypt(password.as_bytes(), salt, &params.checked()?, derived.as_mut_slice())
                    .map_err(|error| error.to_string())?;
            }
            Self::Pbkdf2(params) => {
                if params.prf != PRF || params.c == 0 || params.c > MAX_ROUNDS {
                    return Err(format!(
                        "its PBKDF2 is {} rounds of '{}'; expected at most {MAX_ROUNDS} of {PRF}",
                        params.c, params.prf
                    ));
                }
                pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, params.c, derived.as_mut_slice());
            }
        }
        Ok(derived)
    }
}

impl Scrypt {
    fn checked(&self) -> Result<scrypt::Params, String> {
        let Self { n, r, p, .. } = *self;
        let work = n.checked_mul(u64::from(r)).and_then(|nr| nr.checked_mul(u64::from(p)));
        let memory = n.checked_mul(u64::from(r)).and_then(|nr| nr.checked_mul(128));
        let affordable =
            memory.is_some_and(|m| m <= MAX_SCRYPT_BYTES) && work.is_some_and(|w| w <= MAX_SCRYPT_WORK);
        let log_n = u8::try_from(n.trailing_zeros()).expect("the logarithm of 64 bits fits 8");
        match scrypt::Params::new(log_n, r, p, 32) {
            Ok(params) if affordable && n.is_power_of_two() => Ok(params),
            _ => Err(format!(
                "its scrypt parameters N={n}, r={r}, p={p} are not usable: N must be a power of two below 2^(16 r) (RFC 7914), 128 N r at most {MAX_SCRYPT_BYTES} bytes and N r p at most {MAX_SCRYPT_WORK}"
            )),
        }
    }
}

fn mac(derived: &[u8; 32], ciphertext: &[u8]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(&derived[16..]);
    hasher.update(ciphertext);
    hasher.finalize()
}

fn apply_cipher(derived: &[u8; 32], iv: &[u8], text: &mut [u8]) -> Result<(), String> {
    let mut cipher = Ctr128BE::<Aes128>::new_from_slices(&derived[..16], iv)
        .map_err(|_length| format!("its initialisation vector has {} bytes, not 16", iv.len()))?;
    cipher.apply_keystream(text);
    Ok(())
}

/// A random UUID (version 4), which the format asks for.
fn random_uuid() -> String {
    let mut bytes = [0; 16];
    fill_random(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

/// Addresses as geth writes them: lower-case digits without `0x`. Read with or without it.
mod plain_address {
    use super::*;
    use serde::de::Error as _;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        address: &Option<Address>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        address.map(hex::encode).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Address>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        // Some exporters write an empty address to hide it.
        text.filter(|text| !text.is_empty())
            .map(|text| {
                text.parse().map_err(|_hex| D::Error::custom("its address is not 40 hexadecimal digits"))
            })
            .transpose()
    }
}
