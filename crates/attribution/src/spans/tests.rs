use alloy_primitives::{Address, B256};
use openledger_types::receipt::{Span, SpanMatch};
use proptest::prelude::*;

use super::log2::log2_q32;
use super::*;

type Source = (B256, Address, Vec<u32>);

fn source(number: u8, tokens: &[u32]) -> Source {
    (B256::repeat_byte(number), Address::repeat_byte(number), tokens.to_vec())
}

fn sources(records: &[Vec<u32>]) -> Vec<Source> {
    records.iter().enumerate().map(|(i, tokens)| source(u8::try_from(i + 1).unwrap(), tokens)).collect()
}

fn numbers(tokens: &[u32]) -> String {
    tokens.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Every place of `query` within the records, by position.
fn places(records: &[Source], query: &[u32]) -> Vec<SpanMatch> {
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

/// The definition itself: of all spans that occur, those of enough tokens which no other contains.
fn brute_force(records: &[Source], answer: &[u32]) -> Vec<(usize, usize, Vec<SpanMatch>)> {
    let occurs: Vec<_> = (0..answer.len())
        .flat_map(|start| (start + 1..=answer.len()).map(move |end| (start, end)))
        .filter(|(start, end)| !places(records, &answer[*start..*end]).is_empty())
        .collect();
    occurs
        .iter()
        .filter(|(start, end)| end - start >= MIN_TOKENS)
        .filter(|(start, end)| !occurs.iter().any(|o| o != &(*start, *end) && o.0 <= *start && o.1 >= *end))
        .map(|(start, end)| (*start, *end, places(records, &answer[*start..*end])))
        .collect()
}

fn check(records: &[Source], answer: &[u32]) -> Vec<Span> {
    let index = SpanIndex::build(records).unwrap();
    index.verify().unwrap();
    let spans = index.attribute(answer, numbers).unwrap();
    let found: Vec<_> = spans.iter().map(|s| (s.start as usize, s.end as usize)).collect();
    let expected = brute_force(records, answer);
    assert_eq!(found, expected.iter().map(|(start, end, _)| (*start, *end)).collect::<Vec<_>>());
    for (span, (start, end, places)) in spans.iter().zip(expected) {
        assert_eq!(span.text, numbers(&answer[start..end]));
        assert_eq!(span.occurrences as usize, places.len());
        assert_eq!(span.matches, places[..places.len().min(MAX_MATCHES)]);
    }
    spans
}

proptest! {
    #[test]
    fn spans_are_the_maximal_matches_of_the_definition(
        records in prop::collection::vec(prop::collection::vec(0_u32..3, 0..40), 1..6),
        answer in prop::collection::vec(0_u32..3, 0..40),
    ) {
        check(&sources(&records), &answer);
    }

    #[test]
    fn an_index_survives_its_file(
        records in prop::collection::vec(prop::collection::vec(0_u32..65_535, 0..20), 1..6),
    ) {
        let index = SpanIndex::build(&sources(&records)).unwrap();
        prop_assert_eq!(SpanIndex::decode(&index.encode()).unwrap(), index);
    }

    #[test]
    fn hostile_bytes_are_refused_without_a_panic(
        place in 0_usize..400,
        byte in any::<u8>(),
        length in 0_usize..400,
    ) {
        let mut bytes = SpanIndex::build(&sources(&[vec![1, 2, 3, 4, 5, 6], vec![7, 8]])).unwrap().encode();
        let place = place % bytes.len();
        bytes[place] ^= byte;
        bytes.truncate(length.max(place + 1));
        if let Ok(index) = SpanIndex::decode(&bytes) {
            index.attribute(&[1, 2, 3, 4, 5, 6, 7, 8], numbers).unwrap();
        }
    }
}

#[test]
fn a_match_never_crosses_from_one_record_into_the_next() {
    let records = sources(&[vec![1, 2, 3, 4], vec![5, 6, 7, 8]]);
    assert_eq!(check(&records, &[1, 2, 3, 4, 5, 6, 7, 8]), vec![]);
    assert_eq!(check(&records, &[1, 2, 3, 4, u32::MAX, 5, 6, 7, 8]), vec![]);
    assert_eq!(check(&records, &[1, 2, 3, 4, 65_535, 5, 6, 7, 8]), vec![]);
}

#[test]
fn of_many_matches_the_first_eight_by_position_are_listed() {
    let records = sources(&vec![vec![1, 2, 3, 4, 5]; 20]);
    let spans = check(&records, &[9, 1, 2, 3, 4, 5, 9]);
    assert_eq!((spans[0].start, spans[0].end, spans[0].occurrences), (1, 6, 20));
    assert_eq!(spans[0].matches.iter().map(|m| m.record[0]).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
}

#[test]
fn rarity_counts_the_bits_of_drawing_the_span_token_by_token() {
    // 16 tokens: 1 occurs 8 times (1 bit), 2 occurs 4 times (2 bits), 3 and 4 twice each (3 bits).
    let records = sources(&[vec![1, 2, 3, 4, 1, 1, 1, 1], vec![1, 1, 1, 2, 2, 2, 3, 4]]);
    assert_eq!(check(&records, &[1, 2, 3, 4, 1])[0].rarity_millibits, (1 + 2 + 3 + 3 + 1) * 1000);
    // 3 of 7 tokens: log2(7 / 3) = 1.222392... bits each, and 4 of 7: 0.807354... bits: 4.451811 in all.
    let records = sources(&[vec![1, 1, 1, 2, 2, 2, 2]]);
    assert_eq!(check(&records, &[1, 2, 2, 2, 2])[0].rarity_millibits, 4451);
}

#[test]
fn the_integer_logarithm_agrees_with_the_real_one_to_a_unit() {
    for x in (1..2000).chain([u64::from(u32::MAX), 1 << 40, u64::MAX, (1 << 63) + 1, 999_999_999_999]) {
        let got = log2_q32(x) as f64 / 2_f64.powi(32);
        let expected = (x as f64).log2();
        assert!((got - expected).abs() < 3e-10, "log2({x}) = {expected}, got {got}");
    }
    assert_eq!(log2_q32(0), 0);
    assert_eq!(log2_q32(1 << 20), 20 << 32);
}

#[test]
fn one_adjacent_pair_refutes_a_false_suffix_array() {
    let honest = SpanIndex::build(&sources(&[vec![3, 1, 2, 1, 2, 5]])).unwrap();
    let mut suffixes = honest.suffixes().to_vec();
    suffixes.swap(2, 3);
    let forged = SpanIndex::assemble(honest.records().to_vec(), honest.text().to_vec(), suffixes);
    assert_eq!(forged.verify_adjacent(2), Some(false));
    assert_eq!(forged.verify_adjacent(6), None);
    assert!(matches!(forged.verify(), Err(SpanError::Order { entry: 1..=3, .. })));
    let mut suffixes = honest.suffixes().to_vec();
    suffixes[4] = suffixes[0];
    let forged = SpanIndex::assemble(honest.records().to_vec(), honest.text().to_vec(), suffixes);
    assert!(matches!(forged.verify(), Err(SpanError::Order { entry: 4, .. })));
}

#[test]
fn a_file_is_read_only_under_its_content_hash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spans.bin");
    let index = SpanIndex::build(&sources(&[vec![1, 2, 3], vec![2, 3, 4]])).unwrap();
    let hash = index.save(&path).unwrap();
    assert_eq!(SpanIndex::load(&path, hash).unwrap(), index);
    assert_eq!(
        hash.to_string(),
        "0xb9e3fef172d5ae61bafa1e633342be11fb617b5d237015e56d4d376dbeb7e2e5",
        "the file format has changed"
    );
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(
        matches!(SpanIndex::load(&path, hash), Err(SpanError::Hash { expected, .. }) if expected == hash)
    );
}

#[test]
fn what_no_index_can_hold_is_refused() {
    assert!(matches!(SpanIndex::build(&[]), Err(SpanError::NoRecords)));
    let wide = sources(&[vec![1], vec![2, 65_535]]);
    assert!(matches!(
        SpanIndex::build(&wide),
        Err(SpanError::Token { record: 1, got: 65_535, limit: 65_534 })
    ));
    let index = SpanIndex::build(&sources(&[vec![1]])).unwrap();
    let long = vec![1; MAX_ANSWER_TOKENS + 1];
    assert!(matches!(index.attribute(&long, numbers), Err(SpanError::TooMany { what: "answer tokens", .. })));
}
