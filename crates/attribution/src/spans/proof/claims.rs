//! Match, longest match and count.

use std::cmp::Ordering;
use std::ops::Range;

use alloy_primitives::B256;

use super::super::layout::narrow;
use super::super::search::{occurrences, places};
use super::super::view::{Query, unit};
use super::super::{IndexedRecord, MAX_ANSWER_TOKENS};
use super::{Opened, Proof, ProofError, Prover, Source};

/// Checks that `tokens` stand in record `number` from its token `token` on, and returns the record.
///
/// # Errors
/// [`ProofError`], whatever is wrong with the proof or the claim.
pub fn verify_match(
    root: B256,
    proof: &Proof,
    tokens: &[u32],
    number: u32,
    token: u32,
) -> Result<IndexedRecord, ProofError> {
    match_of(&Opened::new(root, proof)?, &units(tokens)?, number as usize, token as usize)
}

/// The length of the longest prefix of `query` that stands in a record, given the first entry whose suffix is not before
/// the query.
///
/// # Errors
/// [`ProofError`], whatever is wrong with the proof or the claim.
pub fn verify_longest(root: B256, proof: &Proof, query: &[u32], entry: u32) -> Result<u32, ProofError> {
    longest_of(&Opened::new(root, proof)?, &units(query)?, entry as usize)
}

/// How often `tokens` occur, given the entries whose suffixes start with them.
///
/// # Errors
/// [`ProofError`], whatever is wrong with the proof or the claim.
pub fn verify_count(
    root: B256,
    proof: &Proof,
    tokens: &[u32],
    entries: Range<u32>,
) -> Result<u32, ProofError> {
    count_of(&Opened::new(root, proof)?, &units(tokens)?, entries.start as usize..entries.end as usize)
}

impl Prover<'_> {
    /// A proof for [`verify_match`].
    ///
    /// # Errors
    /// [`ProofError`] if it is not so.
    pub fn prove_match(&self, tokens: &[u32], number: u32, token: u32) -> Result<Proof, ProofError> {
        let recorder = self.recorder();
        match_of(&recorder, &units(tokens)?, number as usize, token as usize)?;
        Ok(recorder.into_proof(&self.tree))
    }

    /// The entry and the proof for [`verify_longest`].
    ///
    /// # Errors
    /// [`ProofError::Query`], or [`ProofError::False`] if the index is.
    pub fn prove_longest(&self, query: &[u32]) -> Result<(u32, Proof), ProofError> {
        let units = units(query)?;
        let entry = self.entries(query).start;
        let recorder = self.recorder();
        longest_of(&recorder, &units, entry)?;
        Ok((narrow(entry), recorder.into_proof(&self.tree)))
    }

    /// The entries and the proof for [`verify_count`].
    ///
    /// # Errors
    /// [`ProofError::Query`], or [`ProofError::False`] if the index is.
    pub fn prove_count(&self, tokens: &[u32]) -> Result<(Range<u32>, Proof), ProofError> {
        let units = units(tokens)?;
        let entries = self.entries(tokens);
        let recorder = self.recorder();
        count_of(&recorder, &units, entries.clone())?;
        Ok((narrow(entries.start)..narrow(entries.end), recorder.into_proof(&self.tree)))
    }

    /// Entries whose suffixes start with what is looked for; if there are none, the place where they would be.
    fn entries(&self, tokens: &[u32]) -> Range<usize> {
        let query = Query::new(tokens).expect("the tokens were checked");
        let (view, pattern) = (self.index.view(), query.pattern(0, tokens.len()));
        occurrences(view, pattern, places(view, self.index.directory(), &[pattern])[0])
    }
}

fn units(tokens: &[u32]) -> Result<Vec<u16>, ProofError> {
    let refused = ProofError::Query { got: tokens.len(), limit: MAX_ANSWER_TOKENS };
    if tokens.is_empty() || tokens.len() > MAX_ANSWER_TOKENS {
        return Err(refused);
    }
    tokens.iter().map(|token| unit(*token)).collect::<Option<_>>().ok_or(refused)
}

fn match_of(
    file: &impl Source,
    tokens: &[u16],
    number: usize,
    token: usize,
) -> Result<IndexedRecord, ProofError> {
    below("record", number, file.layout().records)?;
    let (record, start) = file.record(number)?;
    if token + tokens.len() > record.tokens as usize {
        return Err(ProofError::False("the match does not end within the record"));
    }
    let first = start + token;
    below("unit", first + tokens.len(), file.layout().units)?;
    let (common, _) = compare(file, first, tokens)?;
    if common < tokens.len() {
        return Err(ProofError::False("the record has other tokens there"));
    }
    Ok(record)
}

fn longest_of(file: &impl Source, query: &[u16], entry: usize) -> Result<u32, ProofError> {
    let entries = file.layout().units;
    below("entry", entry, entries + 1)?;
    let mut longest = 0;
    if let Some(before) = entry.checked_sub(1) {
        let (common, order) = at_entry(file, before, query)?;
        if order != Ordering::Less {
            return Err(ProofError::False("the entry before is not before the query"));
        }
        longest = common;
    }
    if entry < entries {
        let (common, order) = at_entry(file, entry, query)?;
        if order == Ordering::Less {
            return Err(ProofError::False("the entry is before the query"));
        }
        longest = longest.max(common);
    }
    Ok(narrow(longest))
}

fn count_of(file: &impl Source, query: &[u16], entries: Range<usize>) -> Result<u32, ProofError> {
    let all = file.layout().units;
    below("end", entries.end, all + 1)?;
    below("start", entries.start, entries.end + 1)?;
    let expect = |entry: usize, expected: Ordering, otherwise: &'static str| {
        let (_, order) = at_entry(file, entry, query)?;
        if order == expected { Ok(()) } else { Err(ProofError::False(otherwise)) }
    };
    if let Some(before) = entries.start.checked_sub(1) {
        expect(before, Ordering::Less, "the entry before the range is not before the tokens")?;
    }
    if !entries.is_empty() {
        expect(entries.start, Ordering::Equal, "the range does not begin with the tokens")?;
        expect(entries.end - 1, Ordering::Equal, "the range does not end with the tokens")?;
    }
    if entries.end < all {
        expect(entries.end, Ordering::Greater, "the entry after the range is not after the tokens")?;
    }
    Ok(narrow(entries.len()))
}

fn at_entry(file: &impl Source, entry: usize, query: &[u16]) -> Result<(usize, Ordering), ProofError> {
    let position = file.position(entry)?;
    below("position", position, file.layout().units)?;
    compare(file, position, query)
}

/// How many units the suffix has in common with the query, and its order relative to it, equal if it starts with it.
fn compare(file: &impl Source, position: usize, query: &[u16]) -> Result<(usize, Ordering), ProofError> {
    for (common, unit) in query.iter().enumerate() {
        if position + common == file.layout().units {
            return Ok((common, Ordering::Less));
        }
        let order = file.unit(position + common)?.cmp(unit);
        if order != Ordering::Equal {
            return Ok((common, order));
        }
    }
    Ok((query.len(), Ordering::Equal))
}

pub(super) fn below(what: &'static str, got: usize, limit: usize) -> Result<(), ProofError> {
    if got < limit { Ok(()) } else { Err(ProofError::Outside { what, got, limit }) }
}
