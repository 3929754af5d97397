//! Ends of a span that do not cut a word of the answer.

use std::ops::Range;

/// Moves the ends of a span inwards to where the answer has no word across them; a word is letters and digits side by side.
/// `decode` writes tokens as text; a part of a character, which it writes as U+FFFD, counts as a letter.
pub(super) fn trim(
    answer: &[u32],
    span: Range<usize>,
    decode: &mut impl FnMut(&[u32]) -> String,
) -> Range<usize> {
    let Range { mut start, mut end } = span;
    while start < end && cuts(answer, start, decode) {
        start += 1;
    }
    while start < end && cuts(answer, end, decode) {
        end -= 1;
    }
    start..end
}

/// Whether a word of the answer has letters on both sides of a boundary between tokens.
fn cuts(answer: &[u32], boundary: usize, decode: &mut impl FnMut(&[u32]) -> String) -> bool {
    let (before, after) = answer.split_at(boundary);
    let (Some(before), Some(after)) = (before.last(), after.first()) else { return false };
    decode(&[*before]).chars().next_back().is_some_and(in_word)
        && decode(&[*after]).chars().next().is_some_and(in_word)
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == char::REPLACEMENT_CHARACTER
}
