//! What shows that a file is not the index of its text.

use std::cmp::Ordering;

use alloy_primitives::B256;

use super::super::check::{in_order, ranks};
use super::super::layout::{Layout, narrow};
use super::super::view::View;
use super::super::{SEPARATOR, SpanError};
use super::claims::below;
use super::tree::Tree;
use super::{Opened, Proof, ProofError, Recorder, Source};

/// Where an index is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refutation {
    /// The position at this entry is outside the text.
    Outside {
        /// The entry.
        entry: u32,
    },
    /// Two entries have the same position.
    Repeated {
        /// One entry.
        first: u32,
        /// The other.
        second: u32,
    },
    /// The suffix at this entry is not before the one at the next.
    Pair {
        /// The entry.
        entry: u32,
        /// Entries of the suffixes one unit further on, where the first units do not decide.
        next: Option<(u32, u32)>,
    },
    /// This record does not begin after the one before, or does not end at a separator.
    Record {
        /// Its number.
        number: u32,
    },
    /// This token of a record is a separator.
    Separator {
        /// Number of the record.
        number: u32,
        /// Number of the token within it.
        token: u32,
    },
}

/// Checks that the file with this content hash is no index because of what is named.
///
/// # Errors
/// [`ProofError`] if that is not shown.
pub fn verify_refutation(root: B256, proof: &Proof, refutation: Refutation) -> Result<(), ProofError> {
    refutes(&Opened::new(root, proof)?, refutation)
}

/// Looks for what refutes a file, in time that grows with the text alone; `None` if it is the index of its text.
///
/// # Errors
/// [`SpanError::Malformed`], [`SpanError::TooMany`], [`SpanError::NoRecords`], [`SpanError::Length`] for bytes that have no header of an index or
/// another length than it says: everyone refuses these.
pub fn refute(file: &[u8]) -> Result<Option<(Refutation, Proof)>, SpanError> {
    let layout = Layout::parse(file)?;
    if file.len() != layout.file_bytes() {
        return Err(SpanError::Length { got: file.len(), expected: layout.file_bytes() });
    }
    let recorder = Recorder::new(file, layout);
    let Some(refutation) = find(&recorder, View::new(file, layout)) else { return Ok(None) };
    let recorder = Recorder::new(file, layout);
    refutes(&recorder, refutation).expect("what was found refutes the file");
    Ok(Some((refutation, recorder.into_proof(&Tree::new(file)))))
}

fn refutes(file: &impl Source, refutation: Refutation) -> Result<(), ProofError> {
    let Layout { records, units } = file.layout();
    let shown = match refutation {
        Refutation::Outside { entry } => {
            below("entry", entry as usize, units)?;
            file.position(entry as usize)? >= units
        }
        Refutation::Repeated { first, second } => {
            below("entry", first.max(second) as usize, units)?;
            first != second && file.position(first as usize)? == file.position(second as usize)?
        }
        Refutation::Pair { entry, next } => pair_is_wrong(file, entry as usize, next)?,
        Refutation::Record { number } => {
            below("record", number as usize, records)?;
            record_is_wrong(file, number as usize)?
        }
        Refutation::Separator { number, token } => {
            below("record", number as usize, records)?;
            let (record, start) = file.record(number as usize)?;
            below("token", token as usize, record.tokens as usize)?;
            below("unit", start + token as usize, units)?;
            file.unit(start + token as usize)? == SEPARATOR
        }
    };
    if shown { Ok(()) } else { Err(ProofError::False("nothing is wrong there")) }
}

fn pair_is_wrong(file: &impl Source, entry: usize, next: Option<(u32, u32)>) -> Result<bool, ProofError> {
    let units = file.layout().units;
    below("next entry", entry + 1, units)?;
    let (first, second) = (file.position(entry)?, file.position(entry + 1)?);
    below("position", first.max(second), units)?;
    match file.unit(first)?.cmp(&file.unit(second)?) {
        Ordering::Less => return Ok(false),
        Ordering::Greater => return Ok(true),
        Ordering::Equal => (),
    }
    // The suffix after the last unit is empty, before all others.
    if second + 1 == units {
        return Ok(first != second);
    }
    let (Some((after_first, after_second)), true) = (next, first + 1 < units) else { return Ok(false) };
    below("entry", after_first.max(after_second) as usize, units)?;
    let positions = (file.position(after_first as usize)?, file.position(after_second as usize)?);
    Ok(positions == (first + 1, second + 1) && after_first > after_second)
}

fn record_is_wrong(file: &impl Source, number: usize) -> Result<bool, ProofError> {
    let Layout { records, units } = file.layout();
    let (record, start) = match file.record(number) {
        Err(ProofError::Index(_)) => return Ok(true),
        record => record?,
    };
    let expected = match number.checked_sub(1) {
        None => 0,
        Some(before) => {
            let (before, start) = file.record(before)?;
            start + before.tokens as usize + 1
        }
    };
    let end = start + record.tokens as usize;
    if start != expected || end >= units || (number + 1 == records && end + 1 != units) {
        return Ok(true);
    }
    Ok(file.unit(end)? != SEPARATOR)
}

fn find(file: &Recorder<'_>, view: View<'_>) -> Option<Refutation> {
    wrong_record(file, view).or_else(|| wrong_position(view)).or_else(|| wrong_pair(view))
}

fn wrong_record(file: &Recorder<'_>, view: View<'_>) -> Option<Refutation> {
    for number in 0..file.layout().records {
        if record_is_wrong(file, number).expect("the whole file is there") {
            return Some(Refutation::Record { number: narrow(number) });
        }
        let (record, start) = file.record(number).expect("it was read a moment ago");
        if let Some(token) = (0..record.tokens).find(|token| view.unit(start + *token as usize) == SEPARATOR)
        {
            return Some(Refutation::Separator { number: narrow(number), token });
        }
    }
    None
}

fn wrong_position(view: View<'_>) -> Option<Refutation> {
    let mut entries = vec![None; view.units()];
    for (position, entry) in view.positions().zip(0..) {
        match entries.get_mut(position as usize) {
            None => return Some(Refutation::Outside { entry }),
            Some(Some(first)) => return Some(Refutation::Repeated { first: *first, second: entry }),
            Some(seen) => *seen = Some(entry),
        }
    }
    None
}

fn wrong_pair(view: View<'_>) -> Option<Refutation> {
    let ranks = ranks(view);
    let entry = (0..view.units() - 1).find(|entry| !in_order(view, &ranks, *entry))?;
    let after = |entry: usize| ranks.get(view.position(entry) + 1).copied();
    Some(Refutation::Pair { entry: narrow(entry), next: after(entry).zip(after(entry + 1)) })
}
