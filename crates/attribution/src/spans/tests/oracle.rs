//! The definition itself, without an index.

use openledger_types::receipt::{Span, SpanMatch};

use super::*;

/// Every place of `query` within the records, by position.
pub(super) fn places(records: &[Source], query: &[u32]) -> Vec<SpanMatch> {
    records
        .iter()
        .flat_map(|(record, contributor, tokens)| {
            tokens.windows(query.len()).enumerate().filter(|(_, window)| *window == query).map(
                |(token, _)| SpanMatch {
                    record: *record,
                    contributor: *contributor,
                    token: u32::try_from(token).unwrap(),
                },
            )
        })
        .collect()
}

/// Of all spans that occur, those of enough tokens which no other contains.
pub(super) fn spans(records: &[Source], answer: &[u32]) -> Vec<(usize, usize)> {
    let ends: Vec<usize> = (0..answer.len())
        .map(|start| {
            let suffixes =
                records.iter().flat_map(|(_, _, tokens)| (0..tokens.len()).map(|at| &tokens[at..]));
            let common =
                |suffix: &[u32]| suffix.iter().zip(&answer[start..]).take_while(|(a, b)| a == b).count();
            start + suffixes.map(common).max().unwrap_or(0)
        })
        .collect();
    (0..answer.len())
        .filter(|start| ends[*start] - start >= MIN_TOKENS)
        .filter(|start| !(0..*start).any(|before| ends[before] >= ends[*start]))
        .map(|start| (start, ends[start]))
        .collect()
}

/// Holds what an index found against the definition.
pub(super) fn compare(records: &[Source], answer: &[u32], spans: &[Span]) {
    let found: Vec<_> = spans.iter().map(|s| (s.start as usize, s.end as usize)).collect();
    let expected = self::spans(records, answer);
    assert_eq!(found, expected, "answer {answer:?}");
    for (span, (start, end)) in spans.iter().zip(expected) {
        let mut places = places(records, &answer[start..end]);
        assert_eq!(span.text, numbers(&answer[start..end]));
        assert_eq!(span.occurrences as usize, places.len());
        if places.len() <= MAX_SCANNED {
            places.dedup_by_key(|place| place.record);
            places.truncate(MAX_MATCHES);
            assert_eq!(span.matches, places);
        }
    }
}
