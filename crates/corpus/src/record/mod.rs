//! One piece of text with where it comes from.
//!
//! # Encoding
//! A record is named on chain by `keccak256` of its canonical encoding, which ends in a 32-byte salt, so that the hash says nothing about a
//! text that somebody else could guess, and nothing at all once record and salt are erased. The encoding is
//!
//! ```text
//! "OLREC" 0x01
//! u32 length, text
//! u16 length, source name
//! u16 length, source version
//! u16 length, licence (SPDX expression)
//! u16 number of authors, then for each: u16 length, author
//! u16 length, path within the source
//! 32 bytes salt
//! ```
//!
//! Integers are little-endian, strings UTF-8, and nothing may follow. One record has one encoding.

use std::str::FromStr;

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};

use crate::{
    error::{CorpusError, Result},
    license::License,
};

const MAGIC: &[u8] = b"OLREC\x01";

/// Where a text comes from and on which terms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Name of the work, such as a package.
    pub name: String,
    /// Version of the work; empty if it has none.
    #[serde(default)]
    pub version: String,
    /// SPDX expression.
    pub license: String,
    /// Who wrote it, as the work says.
    #[serde(default)]
    pub authors: Vec<String>,
    /// File within the work; empty if it is a single file.
    #[serde(default)]
    pub path: String,
}

/// A unit of data: what is committed, clustered, trained on and paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The text itself.
    pub text: String,
    /// Where it comes from.
    pub source: Provenance,
    /// What keeps its hash from being guessed.
    pub salt: B256,
}

/// The most a record may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLimits {
    /// Bytes of text.
    pub text_bytes: usize,
    /// Bytes of each string of the provenance.
    pub field_bytes: usize,
    /// Number of authors.
    pub authors: usize,
}

/// 64 KiB is some 16,000 tokens, twice the context of the base model; provenance is a few lines.
impl Default for RecordLimits {
    fn default() -> Self {
        Self { text_bytes: 64 * 1024, field_bytes: 512, authors: 64 }
    }
}

impl RecordLimits {
    /// The longest encoding that these limits let through.
    pub fn encoded_bytes(&self) -> u64 {
        let fields = 4 * (2 + self.field_bytes) + 2 + self.authors * (2 + self.field_bytes);
        (MAGIC.len() + 4 + self.text_bytes + fields + 32) as u64
    }
}

impl Record {
    /// Checks outside data and makes it a record.
    ///
    /// # Errors
    /// [`CorpusError::EmptyText`], [`CorpusError::TooLarge`], and those of [`License::from_str`].
    pub fn new(
        text: impl Into<String>,
        source: Provenance,
        salt: B256,
        limits: &RecordLimits,
    ) -> Result<Self> {
        let record = Self { text: text.into(), source, salt };
        record.check(limits)?;
        Ok(record)
    }

    /// As [`Self::new`], from bytes that may not be text.
    ///
    /// # Errors
    /// [`CorpusError::NotUtf8`] and those of [`Self::new`].
    pub fn from_bytes(text: &[u8], source: Provenance, salt: B256, limits: &RecordLimits) -> Result<Self> {
        within("record text (bytes)", text.len(), limits.text_bytes)?;
        Self::new(utf8(text)?, source, salt, limits)
    }

    /// Whether this record keeps the limits and names a known licence.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn check(&self, limits: &RecordLimits) -> Result<()> {
        within("record text (bytes)", self.text.len(), limits.text_bytes)?;
        if self.text.trim().is_empty() {
            return Err(CorpusError::EmptyText);
        }
        let source = &self.source;
        within("source name (bytes)", source.name.len(), limits.field_bytes)?;
        within("source version (bytes)", source.version.len(), limits.field_bytes)?;
        within("source licence (bytes)", source.license.len(), limits.field_bytes)?;
        within("source path (bytes)", source.path.len(), limits.field_bytes)?;
        within("number of authors", source.authors.len(), limits.authors)?;
        for author in &source.authors {
            within("author (bytes)", author.len(), limits.field_bytes)?;
        }
        License::from_str(&source.license).map(drop)
    }

    /// The canonical encoding; see the module.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len() + 256);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&(self.text.len() as u32).to_le_bytes());
        out.extend_from_slice(self.text.as_bytes());
        let source = &self.source;
        for field in [&source.name, &source.version, &source.license] {
            put_field(&mut out, field);
        }
        out.extend_from_slice(&(source.authors.len() as u16).to_le_bytes());
        for author in &source.authors {
            put_field(&mut out, author);
        }
        put_field(&mut out, &source.path);
        out.extend_from_slice(self.salt.as_slice());
        out
    }

    /// Reads a canonical encoding.
    ///
    /// # Errors
    /// [`CorpusError::Malformed`] when the bytes are not exactly one encoding, and those of [`Self::new`].
    pub fn decode(bytes: &[u8], limits: &RecordLimits) -> Result<Self> {
        within("encoded record (bytes)", bytes.len(), limits.encoded_bytes() as usize)?;
        let mut reader = Reader { rest: bytes };
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(malformed("it does not start with OLREC 01"));
        }
        let length = reader.u32()?;
        let text = reader.string(length as usize)?;
        let name = reader.field()?;
        let version = reader.field()?;
        let license = reader.field()?;
        let count = usize::from(reader.u16()?);
        within("number of authors", count, limits.authors)?;
        let authors = (0..count).map(|_| reader.field()).collect::<Result<_>>()?;
        let path = reader.field()?;
        let salt = B256::from_slice(reader.take(32)?);
        if !reader.rest.is_empty() {
            return Err(malformed(&format!("{} bytes follow its end", reader.rest.len())));
        }
        Self::new(text, Provenance { name, version, license, authors, path }, salt, limits)
    }

    /// The name of this record on chain: `keccak256` of its encoding.
    pub fn hash(&self) -> B256 {
        keccak256(self.encode())
    }
}

/// The salt of one record of a contributor who keeps one `secret`: the same for the same record each time, and not to be
/// guessed without the secret. `place` tells equal texts of one contributor apart (a file and a position, say).
pub fn derive_salt(secret: B256, place: &str, text: &str) -> B256 {
    let mut hasher = blake3::Hasher::new_keyed(&secret.0);
    hasher.update(b"openledger record salt 1");
    hasher.update(&(place.len() as u64).to_le_bytes());
    hasher.update(place.as_bytes());
    hasher.update(text.as_bytes());
    B256::from(*hasher.finalize().as_bytes())
}

pub(crate) fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes)
        .map_err(|error| CorpusError::NotUtf8 { at: error.valid_up_to(), len: bytes.len() })
}

pub(crate) fn within(what: &'static str, got: usize, limit: usize) -> Result<()> {
    if got > limit {
        return Err(CorpusError::TooLarge { what, got: got as u64, limit: limit as u64 });
    }
    Ok(())
}

fn put_field(out: &mut Vec<u8>, field: &str) {
    out.extend_from_slice(&(field.len() as u16).to_le_bytes());
    out.extend_from_slice(field.as_bytes());
}

fn malformed(reason: &str) -> CorpusError {
    CorpusError::Malformed { what: "record", reason: reason.to_owned() }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or_else(|| {
            malformed(&format!("it ends where {n} bytes should follow, {} do", self.rest.len()))
        })?;
        self.rest = rest;
        Ok(head)
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.take(2)?.try_into().expect("two bytes were taken")))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken")))
    }

    fn string(&mut self, n: usize) -> Result<String> {
        utf8(self.take(n)?).map(str::to_owned)
    }

    fn field(&mut self) -> Result<String> {
        let n = self.u16()?;
        self.string(n.into())
    }
}

#[cfg(test)]
mod tests;
