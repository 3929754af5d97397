//! The index as a file.
//!
//! All integers are little-endian: the magic `OLSPANS1`; `u32` number of records; for each its hash (32 bytes), its
//! contributor (20 bytes) and `u32` number of tokens; `u32` number of units `n`; `n` units of `u16`; `n` positions of
//! `u32`. The file's name to others is the BLAKE3 hash of all of it, as for every blob.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use alloy_primitives::{Address, B256};

use super::index::{check_permutation, within};
use super::{IndexedRecord, MAX_RECORDS, MAX_UNITS, SEPARATOR, SpanError, SpanIndex};

const MAGIC: &[u8; 8] = b"OLSPANS1";
const RECORD_BYTES: usize = 32 + 20 + 4;
const UNIT_BYTES: usize = 2 + 4;

/// Largest file that is read: everything at its limit.
const MAX_FILE_BYTES: u64 = (MAGIC.len() + 8 + MAX_RECORDS * RECORD_BYTES + MAX_UNITS * UNIT_BYTES) as u64;

impl SpanIndex {
    /// The index as the bytes of its file.
    pub fn encode(&self) -> Vec<u8> {
        let (records, text) = (self.records(), self.text());
        let mut bytes =
            Vec::with_capacity(MAGIC.len() + 8 + records.len() * RECORD_BYTES + text.len() * UNIT_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&count(records.len()));
        for record in records {
            bytes.extend_from_slice(record.record.as_slice());
            bytes.extend_from_slice(record.contributor.as_slice());
            bytes.extend_from_slice(&record.tokens.to_le_bytes());
        }
        bytes.extend_from_slice(&count(text.len()));
        bytes.extend(text.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(self.suffixes().iter().flat_map(|position| position.to_le_bytes()));
        bytes
    }

    /// Reads an index back. Checks its structure, that each position is there once, and nothing that takes longer;
    /// [`SpanIndex::verify`] checks the order.
    ///
    /// # Errors
    /// [`SpanError::Malformed`], [`SpanError::TooMany`] or [`SpanError::Order`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SpanError> {
        let mut rest = bytes;
        if take(&mut rest, MAGIC.len())? != MAGIC {
            return Err(SpanError::Malformed("it does not start with OLSPANS1"));
        }
        let records = take_u32(&mut rest)? as usize;
        within("records", records, MAX_RECORDS)?;
        if records == 0 {
            return Err(SpanError::NoRecords);
        }
        let records: Vec<_> = take(&mut rest, records * RECORD_BYTES)?
            .chunks_exact(RECORD_BYTES)
            .map(|chunk| IndexedRecord {
                record: B256::from_slice(&chunk[..32]),
                contributor: Address::from_slice(&chunk[32..52]),
                tokens: le_u32(&chunk[52..]),
            })
            .collect();
        let units = take_u32(&mut rest)? as usize;
        within("units", units, MAX_UNITS)?;
        let text: Vec<_> = take(&mut rest, units * 2)?
            .chunks_exact(2)
            .map(|chunk| u16::from_le_bytes([chunk[0], chunk[1]]))
            .collect();
        let suffixes: Vec<_> = take(&mut rest, units * 4)?.chunks_exact(4).map(le_u32).collect();
        if !rest.is_empty() {
            return Err(SpanError::Malformed("bytes follow its end"));
        }
        check_records(&records, &text)?;
        check_permutation(&suffixes, text.len())?;
        Ok(Self::assemble(records, text, suffixes))
    }

    /// Writes the index to a file, whole or not at all, and returns its content hash.
    ///
    /// # Errors
    /// [`SpanError::Io`].
    pub fn save(&self, path: &Path) -> Result<B256, SpanError> {
        let io = |source| SpanError::Io { path: path.to_owned(), source };
        let bytes = self.encode();
        let partial = path.with_extension("partial");
        let mut file = fs::File::create(&partial).map_err(io)?;
        file.write_all(&bytes).map_err(io)?;
        file.sync_all().map_err(io)?;
        fs::rename(&partial, path).map_err(io)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        }
        Ok(content_hash(&bytes))
    }

    /// Reads an index from a file and refuses any other than the one named by `expected`.
    ///
    /// # Errors
    /// [`SpanError::Io`], [`SpanError::Hash`], or as [`SpanIndex::decode`].
    pub fn load(path: &Path, expected: B256) -> Result<Self, SpanError> {
        let io = |source| SpanError::Io { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        fs::File::open(path).map_err(io)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        let got = content_hash(&bytes);
        if got != expected {
            return Err(SpanError::Hash { path: path.to_owned(), got, expected });
        }
        Self::decode(&bytes)
    }
}

/// Checks that the records' lengths place a separator exactly where the text has one.
fn check_records(records: &[IndexedRecord], text: &[u16]) -> Result<(), SpanError> {
    let mut rest = text;
    for record in records {
        let (tokens, after) = rest
            .split_at_checked(record.tokens as usize)
            .ok_or(SpanError::Malformed("its records are longer than its text"))?;
        match after.split_first() {
            Some((&SEPARATOR, after)) if !tokens.contains(&SEPARATOR) => rest = after,
            _ => return Err(SpanError::Malformed("its records do not end where its text separates them")),
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(SpanError::Malformed("its text is longer than its records")) }
}

fn content_hash(bytes: &[u8]) -> B256 {
    B256::from(*blake3::hash(bytes).as_bytes())
}

fn count(n: usize) -> [u8; 4] {
    u32::try_from(n).expect("an index is built within its limits").to_le_bytes()
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> Result<&'a [u8], SpanError> {
    let (taken, after) = rest.split_at_checked(n).ok_or(SpanError::Malformed("it ends too early"))?;
    *rest = after;
    Ok(taken)
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, SpanError> {
    Ok(le_u32(take(rest, 4)?))
}

fn le_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("the caller hands four bytes"))
}
