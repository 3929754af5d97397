//! Several indexes searched as one.
//!
//! A version of a Datanet adds records; they become a shard of their own, and what is there stays as it is. The longest
//! match over all shards is the longest of any, and the number of occurrences is the sum, so the spans of an answer are
//! those of one index over all records.

use std::ops::Range;

use openledger_types::receipt::{EditedSpan, Span, SpanMatch};

use super::index::SpanIndex;
use super::layout::{narrow, within};
use super::rarity::{Rarity, TokenCounts};
use super::search::{occurrences, places};
use super::view::Query;
use super::walk::{keep_maximal, maximal_matches};
use super::{
    MAX_ANSWER_TOKENS, MAX_MATCHES, MAX_SCANNED, MAX_SHARDS, MIN_TOKENS, SpanError, edits, view, words,
};

/// The records that one version of a Datanet added.
#[derive(Debug, Clone)]
pub struct Shard {
    /// The version.
    pub version: u64,
    /// Their index.
    pub index: SpanIndex,
}

/// The shards of a Datanet, by version.
#[derive(Debug, Clone)]
pub struct Shards {
    shards: Vec<Shard>,
    counts: TokenCounts,
    rarity: Rarity,
}

impl Shards {
    /// Shards of ascending versions.
    ///
    /// # Errors
    /// As [`Shards::add`].
    pub fn new(shards: impl IntoIterator<Item = Shard>) -> Result<Self, SpanError> {
        let counts = TokenCounts::none();
        let mut all = Self { shards: Vec::new(), rarity: Rarity::new(&counts), counts };
        for shard in shards {
            all.put(shard)?;
        }
        all.rarity = Rarity::new(&all.counts);
        Ok(all)
    }

    /// Adds what a later version added. Nothing that is there is built again.
    ///
    /// # Errors
    /// [`SpanError::Version`] if the version is not a later one; [`SpanError::TooMany`] above [`MAX_SHARDS`], of which
    /// [`Shards::compact`] makes fewer.
    pub fn add(&mut self, shard: Shard) -> Result<(), SpanError> {
        self.put(shard)?;
        self.rarity = Rarity::new(&self.counts);
        Ok(())
    }

    fn put(&mut self, shard: Shard) -> Result<(), SpanError> {
        within("shards", self.shards.len() + 1, MAX_SHARDS)?;
        if let Some(last) = self.shards.last().map(|last| last.version).filter(|last| *last >= shard.version)
        {
            return Err(SpanError::Version { got: shard.version, last });
        }
        self.counts.add(&shard.index.token_counts());
        self.shards.push(shard);
        Ok(())
    }

    /// Joins the last shards while the last is more than half as large as the one before it: the shards stay as few as the
    /// logarithm of the tokens, and no token is sorted more often than that. A joined shard has the later version.
    ///
    /// # Errors
    /// [`SpanError::Build`]; nothing is changed then.
    pub fn compact(&mut self) -> Result<(), SpanError> {
        while let [.., before, last] = self.shards.as_slice() {
            let units = before.index.units() + last.index.units();
            if last.index.units() * 2 <= before.index.units() || units > super::MAX_UNITS {
                break;
            }
            let joined = Shard { version: last.version, index: before.index.join(&last.index)? };
            self.shards.truncate(self.shards.len() - 2);
            self.shards.push(joined);
        }
        Ok(())
    }

    /// The shards, by version.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// As [`SpanIndex::attribute`], over all records.
    ///
    /// # Errors
    /// As [`SpanIndex::attribute`].
    pub fn attribute(
        &self,
        answer: &[u32],
        decode: impl FnMut(&[u32]) -> String,
    ) -> Result<Vec<Span>, SpanError> {
        attribute(&self.indexes(), &self.rarity, answer, decode)
    }

    /// As [`SpanIndex::edited`], over all records.
    ///
    /// # Errors
    /// As [`SpanIndex::edited`].
    pub fn edited(
        &self,
        answer: &[u32],
        decode: impl FnMut(&[u32]) -> String,
    ) -> Result<Vec<EditedSpan>, SpanError> {
        edits::edited(&self.indexes(), &self.rarity, answer, decode)
    }

    /// How often a sequence of tokens occurs within records; the empty sequence occurs nowhere.
    pub fn count(&self, tokens: &[u32]) -> usize {
        self.shards.iter().map(|shard| shard.index.count(tokens)).sum()
    }

    fn indexes(&self) -> Vec<&SpanIndex> {
        self.shards.iter().map(|shard| &shard.index).collect()
    }
}

/// The spans of an answer over the records of all indexes.
pub(super) fn attribute(
    indexes: &[&SpanIndex],
    rarity: &Rarity,
    answer: &[u32],
    mut decode: impl FnMut(&[u32]) -> String,
) -> Result<Vec<Span>, SpanError> {
    within("answer tokens", answer.len(), MAX_ANSWER_TOKENS)?;
    let mut spans = Vec::new();
    for segment in segments(answer) {
        let query = Query::new(&answer[segment.clone()]).expect("segments hold such tokens only");
        let mut found: Vec<Range<usize>> = indexes
            .iter()
            .flat_map(|index| maximal_matches(index.view(), index.directory(), &query, MIN_TOKENS))
            .collect();
        keep_maximal(&mut found);
        for range in &mut found {
            let within = range.start + segment.start..range.end + segment.start;
            let trimmed = words::trim(answer, within, &mut decode);
            *range = trimmed.start - segment.start..trimmed.end - segment.start;
        }
        found.retain(|range| range.len() >= MIN_TOKENS);
        keep_maximal(&mut found);
        let evidence = occurrences_of(indexes, &query, &found);
        spans.extend(found.into_iter().zip(evidence).map(|(range, (occurrences, matches))| {
            let (start, end) = (range.start + segment.start, range.end + segment.start);
            let tokens = &answer[start..end];
            Span {
                start: narrow(start),
                end: narrow(end),
                text: decode(tokens),
                rarity_millibits: rarity.millibits(tokens),
                occurrences,
                matches,
            }
        }));
    }
    Ok(spans)
}

/// The longest runs of tokens that an index can hold.
pub(super) fn segments(answer: &[u32]) -> Vec<Range<usize>> {
    let mut segments = Vec::new();
    let mut start = 0;
    for (at, token) in answer.iter().enumerate() {
        if view::unit(*token).is_none() {
            segments.push(start..at);
            start = at + 1;
        }
    }
    segments.push(start..answer.len());
    segments
}

/// How often each range of the query occurs in all indexes, and in which records.
fn occurrences_of(
    indexes: &[&SpanIndex],
    query: &Query,
    ranges: &[Range<usize>],
) -> Vec<(u32, Vec<SpanMatch>)> {
    let patterns: Vec<_> = ranges.iter().map(|range| query.pattern(range.start, range.end)).collect();
    let mut evidence = vec![(0_u32, Vec::new()); ranges.len()];
    for index in indexes {
        let view = index.view();
        let found = places(view, index.directory(), &patterns);
        for ((pattern, place), (count, matches)) in patterns.iter().zip(found).zip(&mut evidence) {
            let entries = occurrences(view, *pattern, place);
            *count = count.saturating_add(narrow(entries.len()));
            let listed = entries.start..entries.end.min(entries.start + MAX_SCANNED);
            let mut positions: Vec<_> = listed.map(|entry| view.position(entry)).collect();
            positions.sort_unstable();
            index.first_records(&positions, MAX_MATCHES - matches.len(), matches);
        }
    }
    evidence
}
