//! The maximal matches of an answer in one walk from its start to its end.
//!
//! `e(s)`, where the longest match that starts at `s` ends, never decreases with `s`; a match is maximal exactly when
//! `e(s) > e(s - 1)`. The walk looks up groups of starts together and then uses what it knows: no start matters whose match
//! cannot end after `covered`, the furthest end so far. So it stops when a match reaches the end of the answer, and it
//! leaps within a long one to the first start `s` for which `answer[s..=covered]` stands in the text, which is found by
//! bisection, since with `s` all later starts do.

use std::ops::Range;

use super::directory::Directory;
use super::search::places;
use super::view::{Query, View};

/// Starts that are looked up together: enough to keep the memory busy, few enough to lose little at the end of a match.
const GROUP: usize = 64;

/// From so many starts on that cannot matter, bisection is cheaper than looking them up.
const LEAP: usize = GROUP;

/// Matches of at least `shortest` units that no other match contains, by start.
pub(super) fn maximal_matches(
    view: View<'_>,
    directory: &Directory,
    query: &Query,
    shortest: usize,
) -> Vec<Range<usize>> {
    let units = query.units();
    let mut matches = Vec::new();
    let (mut start, mut covered) = (0, 0);
    while start + shortest <= units && covered < units {
        let end = (start + GROUP).min(units - shortest + 1);
        let patterns: Vec<_> = (start..end).map(|s| query.pattern(s, units)).collect();
        for (s, place) in (start..end).zip(places(view, directory, &patterns)) {
            let length = place.longest();
            if s + length > covered {
                covered = s + length;
                if length >= shortest {
                    matches.push(s..covered);
                }
            }
        }
        start = end;
        if covered < units && covered >= start + LEAP {
            start = first_outgrowing(view, directory, query, start..covered, shortest);
        }
    }
    matches
}

/// The first start of `within`, the uncovered part of a match, for which the match and the unit after it stand in the text;
/// if there is none of at least `shortest` units, the first start after those.
fn first_outgrowing(
    view: View<'_>,
    directory: &Directory,
    query: &Query,
    within: Range<usize>,
    shortest: usize,
) -> usize {
    let stands = |start: usize| {
        let pattern = query.pattern(start, within.end + 1);
        places(view, directory, &[pattern])[0].longest() == pattern.units()
    };
    let (mut low, mut high) = (within.start, within.end + 2 - shortest);
    while low < high {
        let middle = low + (high - low) / 2;
        if stands(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// Drops what another one of the ranges contains; sorts the rest by start.
pub(super) fn keep_maximal(ranges: &mut Vec<Range<usize>>) {
    ranges.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut covered = 0;
    ranges.retain(|range| {
        let outgrows = range.end > covered;
        covered = covered.max(range.end);
        outgrows
    });
}
