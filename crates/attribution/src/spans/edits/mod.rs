//! Near-verbatim evidence: passages of an answer that stand in a record with small edits.
//!
//! # Score
//! An alignment of a passage with a part of a record is worth the bits by which "copied, then edited" explains the
//! passage better than "drawn token by token" does: a matched token `t` counts `-log2(count(t) / n)` less `MATCH_COST`, a
//! substituted one `SUBSTITUTION`, an inserted or left-out one `GAP`. All are integers of thousandths of a bit, so the result is the same everywhere. A passage
//! is reported if that exceeds the bits that number all pairs of a token of the text and one of the answer, and `MARGIN` more: among all
//! pairs chance alone would then give one in a thousand answers.
//!
//! # Search
//! 1. *Seeds.* For each start, the suffixes that share the longest prefixes with the answer there, at most `SEED_PLACES` of
//!    at least `SEED_TOKENS` tokens; those on the same diagonal with the same end are one.
//! 2. *Extension.* From the rarest seed on, a banded alignment to both sides (`extend`), which ends when the score has
//!    fallen far below its best. Seeds inside an alignment are used up. At most [`MAX_ALIGNMENTS`] alignments and
//!    [`MAX_CELLS`] cells of them, whatever the answer.
//! 3. *Choice.* By score; what adds fewer than [`MIN_TOKENS`] tokens of the answer to better ones is dropped.
//!
//! Verbatim passages take part, so that an edited one does not take their place, and are left to `Span`. Ends are
//! tokens that match; they may lie within a word.

mod extend;

use std::cmp::Reverse;
use std::ops::Range;

use openledger_types::receipt::{EditedSpan, SpanMatch};

use super::index::SpanIndex;
use super::layout::{narrow, within};
use super::rarity::Rarity;
use super::search::places;
use super::shards::segments;
use super::view::Query;
use super::{MAX_ANSWER_TOKENS, MIN_TOKENS, SpanError};
use extend::{Extension, Sides};

/// What a matched token counts less than its rarity, millibits: an edit of three tokens in ten is expected.
pub(super) const MATCH_COST: i64 = 500;

/// What a substituted token counts, millibits.
pub(super) const SUBSTITUTION: i64 = -2_000;

/// What an inserted or left-out token counts, millibits.
pub(super) const GAP: i64 = -4_000;

/// What an alignment has to gain beyond an edit to go on there, millibits: what numbers a dozen tokens and all diagonals.
const LEAST_GAIN: i64 = 8_000;

/// Bits beyond what numbers all pairs of tokens: 2⁻¹⁰ is about one in a thousand.
const MARGIN: u32 = 10;

/// Shortest seed, tokens.
const SEED_TOKENS: usize = 4;

/// Least rarity of a seed, millibits: a seed of stock tokens leads everywhere.
const SEED_MILLIBITS: u64 = 16_000;

/// Most places of one start.
const SEED_PLACES: usize = 16;

/// Most alignments that hold the same seed: the same words in many records are one passage.
const MAX_DEPTH: usize = 3;

/// Most alignments of an answer.
pub const MAX_ALIGNMENTS: usize = 64;

/// Most cells of all alignments of an answer.
pub const MAX_CELLS: usize = 1 << 21;

/// An exact match to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seed {
    index: usize,
    /// Position in the text of the index.
    position: usize,
    /// Place in the answer.
    start: usize,
    tokens: usize,
}

impl Seed {
    /// The same for all seeds of one run of matching tokens.
    fn diagonal(&self) -> usize {
        self.position + MAX_ANSWER_TOKENS - self.start
    }
}

/// A passage of the answer beside a part of a record.
#[derive(Debug, Clone)]
struct Alignment {
    index: usize,
    answer: Range<usize>,
    text: Range<usize>,
    score: i64,
    sides: Sides,
}

impl Alignment {
    fn holds(&self, seed: &Seed) -> bool {
        self.index == seed.index
            && self.answer.start <= seed.start
            && seed.start + seed.tokens <= self.answer.end
            && self.text.start <= seed.position
            && seed.position + seed.tokens <= self.text.end
    }

    fn covers(&self, seed: &Seed) -> bool {
        self.answer.start <= seed.start && seed.start + seed.tokens <= self.answer.end
    }
}

/// The edited passages of an answer over the records of all indexes, by start.
pub(super) fn edited(
    indexes: &[&SpanIndex],
    rarity: &Rarity,
    answer: &[u32],
    mut decode: impl FnMut(&[u32]) -> String,
) -> Result<Vec<EditedSpan>, SpanError> {
    within("answer tokens", answer.len(), MAX_ANSWER_TOKENS)?;
    let units: usize = indexes.iter().map(|index| index.units()).sum();
    let pairs = usize::BITS - units.leading_zeros() + usize::BITS - answer.len().leading_zeros();
    let least = i64::from(pairs + MARGIN) * 1000;
    let mut alignments = align(indexes, rarity, answer, seeds(indexes, rarity, answer));
    alignments.retain(|alignment| alignment.score >= least);
    let mut chosen = choose(alignments, answer.len());
    chosen.retain(|alignment| alignment.sides.edits() > 0);
    chosen.sort_by_key(|alignment| (alignment.answer.start, alignment.answer.end));
    let describe = |alignment: Alignment| {
        let index = indexes[alignment.index];
        let (number, start) = index.record_of(alignment.text.start);
        let record = index.records()[number];
        let sides = alignment.sides;
        EditedSpan {
            start: narrow(alignment.answer.start),
            end: narrow(alignment.answer.end),
            text: decode(&answer[alignment.answer.clone()]),
            score_millibits: alignment.score.unsigned_abs(),
            identity_ppm: sides.identity_ppm(),
            matched: sides.matched,
            substituted: sides.substituted,
            inserted: sides.inserted,
            left_out: sides.left_out,
            source: SpanMatch {
                record: record.record,
                contributor: record.contributor,
                token: narrow(alignment.text.start - start),
            },
            source_tokens: narrow(alignment.text.len()),
        }
    };
    Ok(chosen.into_iter().map(describe).collect())
}

/// All seeds, the rarest first.
fn seeds(indexes: &[&SpanIndex], rarity: &Rarity, answer: &[u32]) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for segment in segments(answer) {
        let query = Query::new(&answer[segment.clone()]).expect("segments hold such tokens only");
        let starts = 0..(query.units() + 1).saturating_sub(SEED_TOKENS);
        let patterns: Vec<_> = starts.map(|start| query.pattern(start, query.units())).collect();
        for (number, index) in indexes.iter().enumerate() {
            let view = index.view();
            let found = places(view, index.directory(), &patterns);
            for (start, (pattern, place)) in patterns.iter().zip(found).enumerate() {
                let common = |entry: usize| view.common(view.position(entry), *pattern, 0);
                let (mut low, mut high) = (place.entry as usize, place.entry as usize);
                let (mut before, mut after) = (place.low as usize, place.high as usize);
                for _ in 0..SEED_PLACES {
                    let tokens = before.max(after);
                    if tokens < SEED_TOKENS {
                        break;
                    }
                    let entry = if after >= before {
                        high += 1;
                        after = if high < view.units() { common(high).min(after) } else { 0 };
                        high - 1
                    } else {
                        low -= 1;
                        before = if low > 0 { common(low - 1).min(before) } else { 0 };
                        low
                    };
                    let start = segment.start + start;
                    seeds.push(Seed { index: number, position: view.position(entry), start, tokens });
                }
            }
        }
    }
    // Of one run of matching tokens the longest seed, which starts first.
    seeds.sort_unstable_by_key(|seed| (seed.index, seed.diagonal(), seed.start + seed.tokens, seed.start));
    seeds.dedup_by_key(|seed| (seed.index, seed.diagonal(), seed.start + seed.tokens));
    let mut weighed: Vec<_> = seeds
        .into_iter()
        .map(|seed| (rarity.millibits(&answer[seed.start..seed.start + seed.tokens]), seed))
        .filter(|(millibits, _)| *millibits >= SEED_MILLIBITS)
        .collect();
    weighed.sort_unstable_by_key(|(millibits, seed)| (Reverse(*millibits), *seed));
    weighed.into_iter().map(|(_, seed)| seed).collect()
}

fn align(indexes: &[&SpanIndex], rarity: &Rarity, answer: &[u32], seeds: Vec<Seed>) -> Vec<Alignment> {
    let mut alignments: Vec<Alignment> = Vec::new();
    let mut cells = MAX_CELLS;
    for seed in seeds {
        if alignments.len() == MAX_ALIGNMENTS || cells == 0 {
            break;
        }
        let used = alignments.iter().any(|alignment| alignment.holds(&seed));
        if used || alignments.iter().filter(|alignment| alignment.covers(&seed)).count() >= MAX_DEPTH {
            continue;
        }
        alignments.push(around(indexes[seed.index], rarity, answer, seed, &mut cells));
    }
    alignments
}

/// The best alignment through a seed.
fn around(index: &SpanIndex, rarity: &Rarity, answer: &[u32], seed: Seed, cells: &mut usize) -> Alignment {
    let view = index.view();
    let (number, first) = index.record_of(seed.position);
    let last = first + index.records()[number].tokens as usize;
    let (answer_end, text_end) = (seed.start + seed.tokens, seed.position + seed.tokens);
    let gain = |query: usize, text: usize| {
        let token = answer[query];
        match token == u32::from(view.unit(text)) {
            true => Some(rarity.token_millibits(token) - MATCH_COST),
            false => None,
        }
    };
    let right = extend::extend(answer.len() - answer_end, last - text_end, LEAST_GAIN, cells, |i, j| {
        gain(answer_end + i, text_end + j)
    });
    let left = extend::extend(seed.start, seed.position - first, LEAST_GAIN, cells, |i, j| {
        gain(seed.start - 1 - i, seed.position - 1 - j)
    });
    let own: i64 = (0..seed.tokens).filter_map(|i| gain(seed.start + i, seed.position + i)).sum();
    let Extension { answer: before, text: text_before, .. } = left;
    Alignment {
        index: seed.index,
        answer: seed.start - before..answer_end + right.answer,
        text: seed.position - text_before..text_end + right.text,
        score: own + left.score + right.score,
        sides: left.sides.and(right.sides).and(Sides { matched: narrow(seed.tokens), ..Sides::default() }),
    }
}

/// The best alignments that each add tokens to those before.
fn choose(mut alignments: Vec<Alignment>, tokens: usize) -> Vec<Alignment> {
    alignments.sort_by_key(|a| (Reverse(a.score), a.index, a.text.start, a.answer.start));
    let mut covered = vec![false; tokens];
    alignments.retain(|alignment| {
        let range = &mut covered[alignment.answer.clone()];
        let adds = range.iter().filter(|token| !**token).count() >= MIN_TOKENS;
        if adds {
            range.fill(true);
        }
        adds
    });
    alignments
}
