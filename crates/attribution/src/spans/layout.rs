//! Where the parts of an index lie in its file.
//!
//! | part | bytes | |
//! |---|---|---|
//! | header | 64 | the magic `OLSPANS2`, `u32` records, `u32` units, zeros |
//! | records | 64 each | hash (32), contributor (20), `u32` first unit, `u32` tokens, zeros |
//! | text | 2 each | units, **big-endian**, so that the order of bytes is the order of units; then 8 to 71 zeros up to a multiple of 64 |
//! | suffix array | 4 each | positions in the order of their suffixes |
//!
//! Integers other than units are little-endian. No record, unit or entry lies across a chunk of 1,024 bytes, which is
//! what a proof opens.

use alloy_primitives::{Address, B256};

use super::{IndexedRecord, MAX_RECORDS, MAX_UNITS, SpanError};

pub(super) const MAGIC: &[u8; 8] = b"OLSPANS2";
pub(super) const HEADER_BYTES: usize = 64;
pub(super) const RECORD_BYTES: usize = 64;
pub(super) const UNIT_BYTES: usize = 2;
pub(super) const ENTRY_BYTES: usize = 4;

/// Bytes after the text that a word read at its end may touch.
const TEXT_MARGIN: usize = 8;

/// Largest file there is: everything at its limit.
pub(super) const MAX_FILE_BYTES: u64 = (HEADER_BYTES
    + MAX_RECORDS * RECORD_BYTES
    + MAX_UNITS * (UNIT_BYTES + ENTRY_BYTES)
    + HEADER_BYTES
    + TEXT_MARGIN) as u64;

/// Sizes from which every offset follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) records: usize,
    pub(super) units: usize,
}

impl Layout {
    /// The layout for so many records and units.
    ///
    /// # Errors
    /// [`SpanError::NoRecords`], [`SpanError::TooMany`]; [`SpanError::Malformed`] if there are fewer units than records,
    /// each of which has a separator.
    pub(super) fn new(records: usize, units: usize) -> Result<Self, SpanError> {
        within("records", records, MAX_RECORDS)?;
        within("units", units, MAX_UNITS)?;
        if records == 0 {
            return Err(SpanError::NoRecords);
        }
        if units < records {
            return Err(SpanError::Malformed("it has fewer units than records"));
        }
        Ok(Self { records, units })
    }

    /// Reads a header, of which at least [`HEADER_BYTES`] are given.
    ///
    /// # Errors
    /// As [`Layout::new`], and [`SpanError::Malformed`].
    pub(super) fn parse(header: &[u8]) -> Result<Self, SpanError> {
        let header = header.get(..HEADER_BYTES).ok_or(SpanError::Malformed("it ends in its header"))?;
        if &header[..8] != MAGIC {
            return Err(SpanError::Malformed("it does not start with OLSPANS2"));
        }
        if header[16..].iter().any(|byte| *byte != 0) {
            return Err(SpanError::Malformed("its header does not end with zeros"));
        }
        Self::new(le_u32(&header[8..12]) as usize, le_u32(&header[12..16]) as usize)
    }

    pub(super) fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&narrow(self.records).to_le_bytes());
        header[12..16].copy_from_slice(&narrow(self.units).to_le_bytes());
        header
    }

    /// Offset of a record; that of number `records` is the end.
    pub(super) fn record_at(&self, number: usize) -> usize {
        HEADER_BYTES + number * RECORD_BYTES
    }

    /// Offset of a unit; that of number `units` is the end.
    pub(super) fn unit_at(&self, number: usize) -> usize {
        self.record_at(self.records) + number * UNIT_BYTES
    }

    /// Offset of an entry of the suffix array; that of number `units` is the end.
    pub(super) fn entry_at(&self, number: usize) -> usize {
        (self.unit_at(self.units) + TEXT_MARGIN).next_multiple_of(HEADER_BYTES) + number * ENTRY_BYTES
    }

    pub(super) fn file_bytes(&self) -> usize {
        self.entry_at(self.units)
    }
}

pub(super) fn write_record(record: &IndexedRecord, start: usize) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..32].copy_from_slice(record.record.as_slice());
    bytes[32..52].copy_from_slice(record.contributor.as_slice());
    bytes[52..56].copy_from_slice(&narrow(start).to_le_bytes());
    bytes[56..60].copy_from_slice(&record.tokens.to_le_bytes());
    bytes
}

/// A record and its first unit.
///
/// # Errors
/// [`SpanError::Malformed`] if it does not end with zeros.
pub(super) fn read_record(bytes: &[u8]) -> Result<(IndexedRecord, usize), SpanError> {
    if bytes[60..] != [0; 4] {
        return Err(SpanError::Malformed("a record does not end with zeros"));
    }
    let record = IndexedRecord {
        record: B256::from_slice(&bytes[..32]),
        contributor: Address::from_slice(&bytes[32..52]),
        tokens: le_u32(&bytes[56..60]),
    };
    Ok((record, le_u32(&bytes[52..56]) as usize))
}

pub(super) fn le_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("the caller hands four bytes"))
}

/// A count that the limits of an index keep within 32 bits.
pub(super) fn narrow(n: usize) -> u32 {
    u32::try_from(n).expect("texts and answers are shorter than 2^31 tokens")
}

pub(super) fn within(what: &'static str, got: usize, limit: usize) -> Result<(), SpanError> {
    if got > limit { Err(SpanError::TooMany { what, got, limit }) } else { Ok(()) }
}
