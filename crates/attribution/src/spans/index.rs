use std::sync::Arc;

use alloy_primitives::{Address, B256};
use libsais::SuffixArrayConstruction;
use memmap2::Mmap;
use openledger_types::receipt::{EditedSpan, Span, SpanMatch};

use super::check::{check_order, check_permutation};
use super::directory::Directory;
use super::layout::{ENTRY_BYTES, Layout, narrow, within, write_record};
use super::rarity::{Rarity, TokenCounts};
use super::search::{occurrences, places};
use super::view::{Query, View, read_records, unit};
use super::{MAX_MATCHES, MAX_RECORDS, MAX_UNITS, SEPARATOR, SpanError, edits, shards};

/// A record as the index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedRecord {
    /// Salted hash of the record.
    pub record: B256,
    /// Who contributed it.
    pub contributor: Address,
    /// Its tokens.
    pub tokens: u32,
}

/// The suffix array over the tokens of some records; see the module. It is its file: copies share the bytes.
#[derive(Debug, Clone)]
pub struct SpanIndex {
    bytes: Bytes,
    layout: Layout,
    parts: Arc<Parts>,
}

/// Where the bytes of an index are.
#[derive(Debug, Clone)]
pub(super) enum Bytes {
    Owned(Arc<Vec<u8>>),
    Mapped(Arc<Mmap>),
}

/// What is computed when an index is built or opened.
#[derive(Debug)]
struct Parts {
    records: Vec<IndexedRecord>,
    /// Where each record starts in the text, ascending.
    starts: Vec<u32>,
    directory: Directory,
    rarity: Rarity,
}

impl SpanIndex {
    /// Builds the index over records in the order given, on one thread.
    ///
    /// # Errors
    /// [`SpanError::NoRecords`], [`SpanError::TooMany`], [`SpanError::Token`] for input that no index can hold;
    /// [`SpanError::Build`] when the sorter runs out of memory.
    pub fn build(records: &[(B256, Address, Vec<u32>)]) -> Result<Self, SpanError> {
        let mut text = Vec::new();
        let mut indexed = Vec::with_capacity(records.len());
        within("records", records.len(), MAX_RECORDS)?;
        for (number, (record, contributor, tokens)) in records.iter().enumerate() {
            within("units", text.len() + tokens.len() + 1, MAX_UNITS)?;
            for token in tokens {
                text.push(unit(*token).ok_or(SpanError::Token {
                    record: number,
                    got: *token,
                    limit: u32::from(SEPARATOR) - 1,
                })?);
            }
            text.push(SEPARATOR);
            indexed.push(IndexedRecord {
                record: *record,
                contributor: *contributor,
                tokens: narrow(tokens.len()),
            });
        }
        Self::sort(&indexed, &text)
    }

    /// The index over the records of this one and those of another after them.
    ///
    /// # Errors
    /// [`SpanError::TooMany`], [`SpanError::Build`].
    pub fn join(&self, other: &Self) -> Result<Self, SpanError> {
        within("units", self.units() + other.units(), MAX_UNITS)?;
        let records = [self.records(), other.records()].concat();
        let text: Vec<u16> = self.view().text().chain(other.view().text()).collect();
        Self::sort(&records, &text)
    }

    fn sort(records: &[IndexedRecord], text: &[u16]) -> Result<Self, SpanError> {
        let layout = Layout::new(records.len(), text.len())?;
        let sorted = SuffixArrayConstruction::for_text(text)
            .in_owned_buffer32()
            .single_threaded()
            .run()
            .map_err(|error| SpanError::Build { units: text.len(), problem: format!("{error:?}") })?;
        let suffixes: Vec<i32> = sorted.into_vec();
        let bytes = encode(records, text, suffixes.iter().map(|position| position.cast_unsigned()));
        Self::assemble(Bytes::Owned(Arc::new(bytes)), layout)
    }

    /// Takes the bytes of an index for one; the order of the suffixes is as given.
    ///
    /// # Errors
    /// [`SpanError::Malformed`] if the records and the text do not fit each other.
    pub(super) fn assemble(bytes: Bytes, layout: Layout) -> Result<Self, SpanError> {
        let file = bytes.as_slice();
        let (records, starts) = read_records(file, layout)?;
        let view = View::new(file, layout);
        let directory = Directory::new(view);
        let rarity = Rarity::new(&TokenCounts::of(view));
        let parts = Arc::new(Parts { records, starts, directory, rarity });
        Ok(Self { bytes, layout, parts })
    }

    /// The bytes of the file.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The records, in the order of the text.
    pub fn records(&self) -> &[IndexedRecord] {
        &self.parts.records
    }

    /// Units of the text: the tokens of all records, and a separator for each.
    pub fn units(&self) -> usize {
        self.layout.units
    }

    /// All maximal matches of an answer by start; `decode` writes a span's tokens as text.
    ///
    /// # Errors
    /// [`SpanError::TooMany`] for an answer longer than [`super::MAX_ANSWER_TOKENS`].
    pub fn attribute(
        &self,
        answer: &[u32],
        decode: impl FnMut(&[u32]) -> String,
    ) -> Result<Vec<Span>, SpanError> {
        shards::attribute(&[self], &self.parts.rarity, answer, decode)
    }

    /// The passages of an answer that stand in a record with small edits, by start; see [`super::edits`].
    ///
    /// # Errors
    /// [`SpanError::TooMany`] for an answer longer than [`super::MAX_ANSWER_TOKENS`].
    pub fn edited(
        &self,
        answer: &[u32],
        decode: impl FnMut(&[u32]) -> String,
    ) -> Result<Vec<EditedSpan>, SpanError> {
        edits::edited(&[self], &self.parts.rarity, answer, decode)
    }

    /// How often a sequence of tokens occurs within records; the empty sequence occurs nowhere.
    pub fn count(&self, tokens: &[u32]) -> usize {
        let Some(query) = Query::new(tokens).filter(|query| query.units() > 0) else { return 0 };
        let pattern = query.pattern(0, tokens.len());
        let place = places(self.view(), self.directory(), &[pattern])[0];
        occurrences(self.view(), pattern, place).len()
    }

    /// Checks the whole suffix array, in time that grows with the text alone: a permutation of the positions with every
    /// adjacent pair in order.
    ///
    /// # Errors
    /// [`SpanError::Order`] names the first entry that is wrong.
    pub fn verify(&self) -> Result<(), SpanError> {
        check_permutation(self.view())?;
        check_order(self.view())
    }

    pub(super) fn view(&self) -> View<'_> {
        View::new(self.bytes.as_slice(), self.layout)
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.parts.directory
    }

    pub(super) fn token_counts(&self) -> TokenCounts {
        TokenCounts::of(self.view())
    }

    /// The record that holds a position, and where it starts.
    pub(super) fn record_of(&self, position: usize) -> (usize, usize) {
        let number = self.parts.starts.partition_point(|start| *start as usize <= position) - 1;
        (number, self.parts.starts[number] as usize)
    }

    /// Appends the first of ascending positions in each record, at most `limit` of them.
    pub(super) fn first_records(&self, positions: &[usize], limit: usize, matches: &mut Vec<SpanMatch>) {
        debug_assert!(limit <= MAX_MATCHES);
        let mut rest = positions;
        for _ in 0..limit {
            let Some(position) = rest.first() else { return };
            let (number, start) = self.record_of(*position);
            let IndexedRecord { record, contributor, tokens } = self.parts.records[number];
            matches.push(SpanMatch { record, contributor, token: narrow(position - start) });
            let end = start + tokens as usize;
            rest = &rest[rest.partition_point(|position| *position <= end)..];
        }
    }
}

impl PartialEq for SpanIndex {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for SpanIndex {}

impl Bytes {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// The file of an index from its parts.
pub(super) fn encode(
    records: &[IndexedRecord],
    text: &[u16],
    suffixes: impl Iterator<Item = u32>,
) -> Vec<u8> {
    let layout = Layout { records: records.len(), units: text.len() };
    let mut bytes = Vec::with_capacity(layout.file_bytes());
    bytes.extend_from_slice(&layout.header());
    let mut start = 0;
    for record in records {
        bytes.extend_from_slice(&write_record(record, start));
        start += record.tokens as usize + 1;
    }
    bytes.extend(text.iter().flat_map(|unit| unit.to_be_bytes()));
    bytes.resize(layout.entry_at(0), 0);
    let entries = bytes.len();
    bytes.resize(layout.file_bytes(), 0);
    for (entry, position) in bytes[entries..].chunks_exact_mut(ENTRY_BYTES).zip(suffixes) {
        entry.copy_from_slice(&position.to_le_bytes());
    }
    bytes
}
