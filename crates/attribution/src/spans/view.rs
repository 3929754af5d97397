//! Text and suffix array as they lie in the file, and comparisons with what is looked for.

use std::cmp::Ordering;

use super::layout::{ENTRY_BYTES, Layout, UNIT_BYTES, le_u32};
use super::{IndexedRecord, SEPARATOR, SpanError, layout};

/// Units in a word: what one comparison of integers tells apart.
pub(super) const WORD_UNITS: usize = 4;

/// The parts of an index that a search reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    /// The text and all that follows it.
    text: &'a [u8],
    entries: &'a [u8],
    units: usize,
}

impl<'a> View<'a> {
    /// The view of a file whose length is that of its layout.
    pub(super) fn new(file: &'a [u8], layout: Layout) -> Self {
        Self {
            text: &file[layout.unit_at(0)..],
            entries: &file[layout.entry_at(0)..layout.file_bytes()],
            units: layout.units,
        }
    }

    pub(super) fn units(&self) -> usize {
        self.units
    }

    /// The position at an entry of the suffix array.
    #[inline]
    pub(super) fn position(&self, entry: usize) -> usize {
        le_u32(&self.entries[entry * ENTRY_BYTES..][..ENTRY_BYTES]) as usize
    }

    /// The unit at a position.
    #[inline]
    pub(super) fn unit(&self, position: usize) -> u16 {
        let bytes = &self.text[position * UNIT_BYTES..][..UNIT_BYTES];
        u16::from_be_bytes([bytes[0], bytes[1]])
    }

    /// Four units from a position on, the first as the highest bits. After the end of the text come others that no
    /// comparison gets to, as the last unit of the text is a separator.
    #[inline]
    pub(super) fn word(&self, position: usize) -> u64 {
        word_at(self.text, position)
    }

    /// All units in the order of the text.
    pub(super) fn text(&self) -> impl ExactSizeIterator<Item = u16> + use<'a> {
        self.text[..self.units * UNIT_BYTES].as_chunks().0.iter().map(|unit| u16::from_be_bytes(*unit))
    }

    /// All positions in the order of the suffix array.
    pub(super) fn positions(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        self.entries.as_chunks().0.iter().map(|entry| u32::from_le_bytes(*entry))
    }

    /// How many units the suffix at `position` and `pattern` have in common, given that the first `known` agree.
    #[inline]
    pub(super) fn common(&self, position: usize, pattern: Pattern<'_>, known: usize) -> usize {
        let mut common = known;
        while common < pattern.units {
            let differing = self.word(position + common) ^ pattern.word(common);
            if differing != 0 {
                return (common + equal_units(differing)).min(pattern.units);
            }
            common += WORD_UNITS;
        }
        pattern.units
    }

    /// How many units the suffix at `position` and `pattern` have in common, and the order of the suffix relative to the
    /// pattern, equal if it starts with it; given that the first `known` agree and the word after those.
    #[inline]
    pub(super) fn compare(
        &self,
        position: usize,
        pattern: Pattern<'_>,
        known: usize,
        word: u64,
    ) -> (usize, Ordering) {
        if known >= pattern.units {
            return (pattern.units, Ordering::Equal);
        }
        let wanted = pattern.word(known);
        if word != wanted {
            let common = known + equal_units(word ^ wanted);
            // Units after the end of the pattern do not count.
            return if common >= pattern.units {
                (pattern.units, Ordering::Equal)
            } else {
                (common, word.cmp(&wanted))
            };
        }
        let common = self.common(position, pattern, known + WORD_UNITS);
        let order = match common == pattern.units {
            true => Ordering::Equal,
            false => self.unit(position + common).cmp(&pattern.unit(common)),
        };
        (common, order)
    }
}

/// How many leading units of two words are equal, given the bits in which they differ.
#[inline]
pub(super) fn equal_units(differing: u64) -> usize {
    differing.leading_zeros() as usize / u16::BITS as usize
}

#[inline]
fn word_at(bytes: &[u8], unit: usize) -> u64 {
    let at = unit * UNIT_BYTES;
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Tokens that an index can hold, as bytes in the order of the file.
#[derive(Debug, Clone)]
pub(super) struct Query {
    /// The units and a word of zeros.
    bytes: Vec<u8>,
    units: usize,
}

impl Query {
    /// `None` if a token is one that no index holds.
    pub(super) fn new(tokens: &[u32]) -> Option<Self> {
        let mut bytes = Vec::with_capacity((tokens.len() + WORD_UNITS) * UNIT_BYTES);
        for token in tokens {
            bytes.extend_from_slice(&unit(*token)?.to_be_bytes());
        }
        bytes.resize(bytes.len() + WORD_UNITS * UNIT_BYTES, 0);
        Some(Self { bytes, units: tokens.len() })
    }

    pub(super) fn units(&self) -> usize {
        self.units
    }

    /// The part from `start` up to `end`.
    pub(super) fn pattern(&self, start: usize, end: usize) -> Pattern<'_> {
        Pattern { bytes: &self.bytes[start * UNIT_BYTES..], units: end - start }
    }
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pattern<'a> {
    /// The units and at least a word of anything.
    bytes: &'a [u8],
    units: usize,
}

impl Pattern<'_> {
    pub(super) fn units(&self) -> usize {
        self.units
    }

    #[inline]
    fn word(&self, from: usize) -> u64 {
        word_at(self.bytes, from)
    }

    /// The first word, with zeros after the end of the pattern.
    pub(super) fn key(&self) -> u64 {
        let word = self.word(0);
        match self.units {
            0 => 0,
            units if units < WORD_UNITS => word & !(u64::MAX >> (units * u16::BITS as usize)),
            _ => word,
        }
    }

    fn unit(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.bytes[at * UNIT_BYTES], self.bytes[at * UNIT_BYTES + 1]])
    }
}

/// A token as a unit of the text, unless it is too large.
pub(super) fn unit(token: u32) -> Option<u16> {
    u16::try_from(token).ok().filter(|unit| *unit != SEPARATOR)
}

/// Reads the table of records and checks that it places a separator exactly where the text has one.
///
/// # Errors
/// [`SpanError::Malformed`].
pub(super) fn read_records(file: &[u8], layout: Layout) -> Result<(Vec<IndexedRecord>, Vec<u32>), SpanError> {
    let view = View::new(file, layout);
    let mut records = Vec::with_capacity(layout.records);
    let mut starts = Vec::with_capacity(layout.records);
    let mut end = 0;
    for number in 0..layout.records {
        let (record, start) =
            layout::read_record(&file[layout.record_at(number)..layout.record_at(number + 1)])?;
        if start != end {
            return Err(SpanError::Malformed("a record does not start where the one before ends"));
        }
        starts.push(layout::narrow(start));
        end = start + record.tokens as usize + 1;
        if end > layout.units {
            return Err(SpanError::Malformed("its records are longer than its text"));
        }
        if view.unit(end - 1) != SEPARATOR {
            return Err(SpanError::Malformed("its records do not end where its text separates them"));
        }
        records.push(record);
    }
    if end != layout.units {
        return Err(SpanError::Malformed("its text is longer than its records"));
    }
    if view.text().filter(|unit| *unit == SEPARATOR).count() != layout.records {
        return Err(SpanError::Malformed("its text has a separator within a record"));
    }
    if file[layout.unit_at(layout.units)..layout.entry_at(0)].iter().any(|byte| *byte != 0) {
        return Err(SpanError::Malformed("its text is not followed by zeros"));
    }
    Ok((records, starts))
}
