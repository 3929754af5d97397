//! A sample of the suffix array small enough for the processor's caches, which leaves a search a few entries to look at.
//!
//! Of every [`STRIDE`] entries the first is sampled: the first four units of its suffix as one integer, its *key*. The keys
//! form a search tree with eight keys, one cache line, in a node; above each level stands the largest key of each node.
//! A quarter of a byte per unit with the levels above, computed when an index is opened, so that nobody has to be believed.

use super::layout::narrow;
use super::view::{Pattern, View, WORD_UNITS, equal_units};

/// Entries for one key: its positions fill two cache lines.
const STRIDE: usize = 32;

/// Keys of a node.
const NODE: usize = 8;

#[derive(Debug, Clone)]
pub(super) struct Directory {
    samples: usize,
    units: usize,
    /// The keys, then the largest of each node of the level before, up to one node.
    levels: Vec<Vec<[u64; NODE]>>,
}

/// Where a pattern would be inserted, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bracket {
    /// The first entry whose suffix may be at or after the pattern.
    pub(super) start: u32,
    /// An entry from which on all are, or the number of entries.
    pub(super) end: u32,
    /// Units that the suffix before `start` has in common with the pattern.
    pub(super) low: u32,
    /// Units that the suffix at `end` has in common with the pattern.
    pub(super) high: u32,
}

impl Directory {
    pub(super) fn new(view: View<'_>) -> Self {
        let keys: Vec<u64> = (0..view.units()).step_by(STRIDE).map(|e| view.word(view.position(e))).collect();
        let samples = keys.len();
        let mut levels = vec![nodes(keys)];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let largest = level.iter().map(|node| node[NODE - 1]).collect();
            levels.push(nodes(largest));
        }
        Self { samples, units: view.units(), levels }
    }

    /// Where a pattern of at least one unit can be.
    pub(super) fn bracket(&self, pattern: Pattern<'_>) -> Bracket {
        let key = pattern.key();
        let first = self.not_below(key);
        // The samples from `first` to `end` start with the whole word, and what follows decides.
        let end = match pattern.units() > WORD_UNITS && self.key(first) == Some(key) {
            true => self.not_below(key + 1),
            false => first,
        };
        let common = |sample: usize| match self.key(sample) {
            Some(other) => equal_units(key ^ other).min(pattern.units()),
            None => 0,
        };
        let (start, low) = match first.checked_sub(1) {
            Some(before) => (before * STRIDE + 1, common(before)),
            None => (0, 0),
        };
        let end_entry = if end < self.samples { end * STRIDE } else { self.units };
        Bracket { start: narrow(start), end: narrow(end_entry), low: narrow(low), high: narrow(common(end)) }
    }

    fn key(&self, sample: usize) -> Option<u64> {
        (sample < self.samples).then(|| self.levels[0][sample / NODE][sample % NODE])
    }

    /// The first sample whose key is at least `key`.
    fn not_below(&self, key: u64) -> usize {
        let below = |node: usize, level: &[[u64; NODE]]| {
            node * NODE + level[node].iter().map(|other| usize::from(*other < key)).sum::<usize>()
        };
        self.levels.iter().rev().fold(0, |node, level| below(node, level)).min(self.samples)
    }
}

/// Nodes of keys, at least one key of which is larger than any pattern's.
fn nodes(keys: Vec<u64>) -> Vec<[u64; NODE]> {
    let full = (keys.len() + 1).next_multiple_of(NODE);
    let mut keys = keys;
    keys.resize(full, u64::MAX);
    keys.as_chunks().0.to_vec()
}
