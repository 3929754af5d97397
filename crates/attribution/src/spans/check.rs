//! Whether a suffix array is the one of its text.

use super::view::View;
use super::{SEPARATOR, SpanError};

/// Checks that every position is there once.
///
/// # Errors
/// [`SpanError::Order`] names the first entry that is wrong.
pub(super) fn check_permutation(view: View<'_>) -> Result<(), SpanError> {
    let units = view.units();
    let mut seen = vec![0_u64; units.div_ceil(64)];
    for (entry, position) in view.positions().enumerate() {
        let position = position as usize;
        if position >= units {
            return Err(SpanError::Order { problem: "a position outside the text", entry });
        }
        let (word, bit) = (&mut seen[position / 64], 1 << (position % 64));
        if *word & bit != 0 {
            return Err(SpanError::Order { problem: "a position that was there before", entry });
        }
        *word |= bit;
    }
    Ok(())
}

/// Checks that every adjacent pair of a permutation is in order, without comparing suffixes: it is if the first units are, or
/// if they are equal and the suffixes after them stand in this order (Burkhardt and Kärkkäinen 2003, theorem 2).
///
/// # Errors
/// [`SpanError::Order`] names the first entry that is wrong.
pub(super) fn check_order(view: View<'_>) -> Result<(), SpanError> {
    let ranks = ranks(view);
    match (0..view.units().saturating_sub(1)).find(|entry| !in_order(view, &ranks, *entry)) {
        Some(entry) => Err(SpanError::Order { problem: "a pair out of order", entry }),
        None => Ok(()),
    }
}

/// The entry of each position of a permutation.
pub(super) fn ranks(view: View<'_>) -> Vec<u32> {
    let mut ranks = vec![0; view.units()];
    for (position, entry) in view.positions().zip(0..) {
        ranks[position as usize] = entry;
    }
    ranks
}

/// Whether the suffixes of an entry and the next are in order, if those that follow their first units are.
pub(super) fn in_order(view: View<'_>, ranks: &[u32], entry: usize) -> bool {
    let (first, second) = (view.position(entry), view.position(entry + 1));
    match view.unit(first).cmp(&view.unit(second)) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Greater => false,
        // The suffix after the last separator is empty, before all others.
        std::cmp::Ordering::Equal => match (ranks.get(first + 1), ranks.get(second + 1)) {
            (None, _) => true,
            (_, None) => false,
            (Some(first), Some(second)) => first < second,
        },
    }
}

const _: () = assert!(SEPARATOR == u16::MAX, "the text ends with the largest unit, which no query holds");
