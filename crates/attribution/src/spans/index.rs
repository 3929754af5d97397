use std::cmp::Ordering;
use std::ops::Range;

use alloy_primitives::{Address, B256};
use libsais::SuffixArrayConstruction;
use openledger_types::receipt::{Span, SpanMatch};

use super::log2::{FRACTION_BITS, log2_q32};
use super::{MAX_ANSWER_TOKENS, MAX_MATCHES, MAX_RECORDS, MAX_UNITS, MIN_TOKENS, SEPARATOR, SpanError};

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

/// The suffix array over a Datanet version's tokens; see the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanIndex {
    records: Vec<IndexedRecord>,
    /// Where each record starts in the text, ascending.
    starts: Vec<u32>,
    text: Vec<u16>,
    suffixes: Vec<u32>,
    /// `-log2(count / tokens)` of each token, units of 2⁻³² bit.
    bits: Vec<u64>,
}

impl SpanIndex {
    /// Builds the index over records in the order given.
    ///
    /// # Errors
    /// [`SpanError::NoRecords`], [`SpanError::TooMany`], [`SpanError::Token`] for input that no index can hold;
    /// [`SpanError::Build`] when the sorter runs out of memory.
    pub fn build(records: &[(B256, Address, Vec<u32>)]) -> Result<Self, SpanError> {
        let mut text = Vec::new();
        let mut indexed = Vec::with_capacity(records.len());
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
            let tokens = u32::try_from(tokens.len()).expect("a record within the limit of units");
            indexed.push(IndexedRecord { record: *record, contributor: *contributor, tokens });
        }
        if indexed.is_empty() {
            return Err(SpanError::NoRecords);
        }
        within("records", indexed.len(), MAX_RECORDS)?;
        let suffixes = sort_suffixes(&text)?;
        Ok(Self::assemble(indexed, text, suffixes))
    }

    /// Puts an index together from parts whose sizes fit each other; the order of the suffixes is as given.
    pub(super) fn assemble(records: Vec<IndexedRecord>, text: Vec<u16>, suffixes: Vec<u32>) -> Self {
        let mut starts = Vec::with_capacity(records.len());
        let mut start = 0;
        for record in &records {
            starts.push(start);
            start += record.tokens + 1;
        }
        let bits = token_bits(&text);
        Self { records, starts, text, suffixes, bits }
    }

    /// The records, in the order of the text.
    pub fn records(&self) -> &[IndexedRecord] {
        &self.records
    }

    /// The text: each record's tokens and a [`SEPARATOR`].
    pub fn text(&self) -> &[u16] {
        &self.text
    }

    /// The positions of the text in the order of their suffixes.
    pub fn suffixes(&self) -> &[u32] {
        &self.suffixes
    }

    /// All maximal matches of an answer by start; `decode` writes a span's tokens as text.
    ///
    /// # Errors
    /// [`SpanError::TooMany`] for an answer longer than [`MAX_ANSWER_TOKENS`].
    pub fn attribute(
        &self,
        answer: &[u32],
        mut decode: impl FnMut(&[u32]) -> String,
    ) -> Result<Vec<Span>, SpanError> {
        within("answer tokens", answer.len(), MAX_ANSWER_TOKENS)?;
        let mut spans = Vec::new();
        let mut covered = 0;
        for start in 0..answer.len() {
            let length = self.longest_match(&answer[start..]);
            let end = start + length;
            if length > 0 && end > covered {
                covered = end;
                if length >= MIN_TOKENS {
                    spans.push(self.span(answer, start..end, &mut decode));
                }
            }
        }
        Ok(spans)
    }

    /// How often a sequence of tokens occurs within records; the empty sequence occurs nowhere.
    pub fn count(&self, tokens: &[u32]) -> usize {
        if tokens.is_empty() || tokens.iter().any(|token| unit(*token).is_none()) {
            return 0;
        }
        self.occurrences(tokens).len()
    }

    /// Whether entry `index` of the suffix array stands before entry `index + 1`, which one comparison decides. `None`
    /// if there is no such pair.
    pub fn verify_adjacent(&self, index: usize) -> Option<bool> {
        let first = *self.suffixes.get(index)?;
        let second = *self.suffixes.get(index.checked_add(1)?)?;
        Some(self.suffix(first) < self.suffix(second))
    }

    /// Checks the whole suffix array: a permutation of the positions with every adjacent pair in order.
    ///
    /// # Errors
    /// [`SpanError::Order`] names the first entry that is wrong.
    pub fn verify(&self) -> Result<(), SpanError> {
        check_permutation(&self.suffixes, self.text.len())?;
        match (0..self.suffixes.len().saturating_sub(1)).find(|i| self.verify_adjacent(*i) == Some(false)) {
            Some(entry) => Err(SpanError::Order { problem: "a pair out of order", entry }),
            None => Ok(()),
        }
    }

    fn suffix(&self, position: u32) -> &[u16] {
        &self.text[position as usize..]
    }

    /// Length of the longest prefix of `query` that occurs within a record.
    fn longest_match(&self, query: &[u32]) -> usize {
        let place = self.suffixes.partition_point(|p| compare(self.suffix(*p), query) == Ordering::Less);
        let neighbour = |index: Option<usize>| {
            index.and_then(|i| self.suffixes.get(i)).map_or(0, |p| common_prefix(self.suffix(*p), query))
        };
        neighbour(place.checked_sub(1)).max(neighbour(Some(place)))
    }

    /// The entries of the suffix array whose suffixes start with `query`.
    fn occurrences(&self, query: &[u32]) -> Range<usize> {
        let low = self.suffixes.partition_point(|p| compare(self.suffix(*p), query) == Ordering::Less);
        let rest = &self.suffixes[low..];
        let count = rest.partition_point(|p| common_prefix(self.suffix(*p), query) == query.len());
        low..low + count
    }

    fn span(&self, answer: &[u32], range: Range<usize>, decode: &mut impl FnMut(&[u32]) -> String) -> Span {
        let tokens = &answer[range.clone()];
        let entries = self.occurrences(tokens);
        let narrow = |n: usize| u32::try_from(n).expect("texts and answers are shorter than 2^31 tokens");
        Span {
            start: narrow(range.start),
            end: narrow(range.end),
            text: decode(tokens),
            rarity_millibits: self.rarity_millibits(tokens),
            occurrences: narrow(entries.len()),
            matches: self.first_matches(&self.suffixes[entries]),
        }
    }

    fn rarity_millibits(&self, tokens: &[u32]) -> u64 {
        let sum: u64 = tokens.iter().map(|token| self.bits.get(*token as usize).copied().unwrap_or(0)).sum();
        u64::try_from((u128::from(sum) * 1000) >> FRACTION_BITS).expect("2^13 tokens of at most 31 bits each")
    }

    fn first_matches(&self, positions: &[u32]) -> Vec<SpanMatch> {
        let mut first = positions.to_vec();
        if first.len() > MAX_MATCHES {
            first.select_nth_unstable(MAX_MATCHES - 1);
            first.truncate(MAX_MATCHES);
        }
        first.sort_unstable();
        first.into_iter().map(|position| self.place(position)).collect()
    }

    fn place(&self, position: u32) -> SpanMatch {
        let number = self.starts.partition_point(|start| *start <= position) - 1;
        let IndexedRecord { record, contributor, .. } = self.records[number];
        SpanMatch { record, contributor, token: position - self.starts[number] }
    }
}

/// A token as a unit of the text, unless it is too large.
fn unit(token: u32) -> Option<u16> {
    u16::try_from(token).ok().filter(|unit| *unit != SEPARATOR)
}

pub(super) fn within(what: &'static str, got: usize, limit: usize) -> Result<(), SpanError> {
    if got > limit { Err(SpanError::TooMany { what, got, limit }) } else { Ok(()) }
}

/// Order of a suffix relative to a query.
fn compare(suffix: &[u16], query: &[u32]) -> Ordering {
    suffix.iter().map(|unit| token_of(*unit)).cmp(query.iter().map(|token| u64::from(*token)))
}

fn common_prefix(suffix: &[u16], query: &[u32]) -> usize {
    suffix.iter().zip(query).take_while(|(unit, token)| token_of(**unit) == u64::from(**token)).count()
}

/// A unit as a number to compare with a query's token; the separator becomes one that no token has.
fn token_of(unit: u16) -> u64 {
    if unit == SEPARATOR { u64::MAX } else { u64::from(unit) }
}

fn sort_suffixes(text: &[u16]) -> Result<Vec<u32>, SpanError> {
    let sorted = SuffixArrayConstruction::for_text(text)
        .in_owned_buffer32()
        .single_threaded()
        .run()
        .map_err(|error| SpanError::Build { units: text.len(), problem: format!("{error:?}") })?;
    Ok(sorted.into_vec().into_iter().map(|p: i32| p.cast_unsigned()).collect())
}

/// Checks that every position of a text of `units` units is there once.
pub(super) fn check_permutation(suffixes: &[u32], units: usize) -> Result<(), SpanError> {
    if suffixes.len() != units {
        return Err(SpanError::Malformed("the suffix array and the text differ in length"));
    }
    let mut seen = vec![false; units];
    for (entry, position) in suffixes.iter().enumerate() {
        match seen.get_mut(*position as usize) {
            None => return Err(SpanError::Order { problem: "a position outside the text", entry }),
            Some(true) => {
                return Err(SpanError::Order { problem: "a position that was there before", entry });
            }
            Some(seen) => *seen = true,
        }
    }
    Ok(())
}

fn token_bits(text: &[u16]) -> Vec<u64> {
    let mut counts = vec![0_u64; usize::from(SEPARATOR)];
    let mut tokens = 0;
    for unit in text.iter().filter(|unit| **unit != SEPARATOR) {
        counts[usize::from(*unit)] += 1;
        tokens += 1;
    }
    let all = log2_q32(tokens);
    counts.into_iter().map(|count| if count == 0 { 0 } else { all.saturating_sub(log2_q32(count)) }).collect()
}
