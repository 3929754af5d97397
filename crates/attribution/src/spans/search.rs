//! Where patterns stand in the suffix array.
//!
//! A binary search waits for memory twice at every step: for a position, then for the text there. Searches of one answer
//! do not depend on each other, so a step is taken in all of them before the next one in any: first all positions are read,
//! then all words of text, then all are compared. The processor has as many of these reads under way as it can hold.

use std::cmp::Ordering;
use std::ops::Range;

use super::directory::Directory;
use super::layout::narrow;
use super::view::{Pattern, View};

/// The place of a pattern in the suffix array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The first entry whose suffix is not before the pattern.
    pub(super) entry: u32,
    /// Units that the suffix of the entry before has in common with the pattern.
    pub(super) low: u32,
    /// Units that the suffix of the entry has in common with the pattern.
    pub(super) high: u32,
}

impl Place {
    /// Units of the longest prefix of the pattern that stands anywhere in the text.
    pub(super) fn longest(&self) -> usize {
        self.low.max(self.high) as usize
    }
}

/// One search under way.
struct Step {
    /// Number of the pattern.
    pattern: usize,
    start: u32,
    end: u32,
    low: u32,
    high: u32,
    /// Position at the middle entry.
    position: usize,
    /// The word of its suffix after what is known to agree.
    word: u64,
}

impl Step {
    fn middle(&self) -> u32 {
        self.start + (self.end - self.start) / 2
    }

    /// Units in which everything between `start` and `end` agrees with the pattern.
    fn known(&self) -> usize {
        self.low.min(self.high) as usize
    }

    fn place(&self) -> Place {
        Place { entry: self.start, low: self.low, high: self.high }
    }
}

/// The places of patterns of at least one unit each, in their order.
pub(super) fn places(view: View<'_>, directory: &Directory, patterns: &[Pattern<'_>]) -> Vec<Place> {
    let mut places = vec![Place { entry: 0, low: 0, high: 0 }; patterns.len()];
    let mut steps: Vec<Step> = Vec::with_capacity(patterns.len());
    for (number, pattern) in patterns.iter().enumerate() {
        let bracket = directory.bracket(*pattern);
        let (start, end, low, high) = (bracket.start, bracket.end, bracket.low, bracket.high);
        steps.push(Step { pattern: number, start, end, low, high, position: 0, word: 0 });
    }
    loop {
        steps.retain(|step| {
            if step.start == step.end {
                places[step.pattern] = step.place();
            }
            step.start < step.end
        });
        if steps.is_empty() {
            return places;
        }
        for step in &mut steps {
            step.position = view.position(step.middle() as usize);
        }
        for step in &mut steps {
            step.word = view.word(step.position + step.known());
        }
        for step in &mut steps {
            advance(view, patterns[step.pattern], step);
        }
    }
}

fn advance(view: View<'_>, pattern: Pattern<'_>, step: &mut Step) {
    let middle = step.middle();
    let (common, order) = view.compare(step.position, pattern, step.known(), step.word);
    if order == Ordering::Less {
        step.start = middle + 1;
        step.low = narrow(common);
    } else {
        step.end = middle;
        step.high = narrow(common);
    }
}

/// The entries whose suffixes start with a pattern, given its place: the text is looked at only where there are any, and
/// then as often as the logarithm of their number.
pub(super) fn occurrences(view: View<'_>, pattern: Pattern<'_>, place: Place) -> Range<usize> {
    let start = place.entry as usize;
    if (place.high as usize) < pattern.units() {
        return start..start;
    }
    let starts = |entry: usize| view.common(view.position(entry), pattern, 0) == pattern.units();
    // Everything below `inside` starts with the pattern; `step` doubles until an entry does not.
    let (mut inside, mut step) = (start + 1, 1);
    let mut outside = view.units();
    while inside < outside {
        let probe = (inside + step - 1).min(outside - 1);
        if starts(probe) {
            inside = probe + 1;
            step *= 2;
        } else {
            outside = probe;
            break;
        }
    }
    while inside < outside {
        let middle = inside + (outside - inside) / 2;
        if starts(middle) { inside = middle + 1 } else { outside = middle }
    }
    start..inside
}
