use openledger_types::receipt::Span;
use proptest::prelude::*;

use super::*;

fn check(records: &[Source], answer: &[u32]) -> Vec<Span> {
    let index = SpanIndex::build(records).unwrap();
    index.verify().unwrap();
    let spans = index.attribute(answer, numbers).unwrap();
    oracle::compare(records, answer, &spans);
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
    fn counts_are_those_of_the_definition(seed in any::<u64>(), alphabet in 1_u32..5) {
        let mut random = Random(seed);
        let records = sources(&[random.tokens(300, alphabet), vec![], random.tokens(200, alphabet)]);
        let index = SpanIndex::build(&records).unwrap();
        for length in 1..12 {
            let query = random.tokens(length, alphabet + 1);
            prop_assert_eq!(index.count(&query), oracle::places(&records, &query).len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_long_text_is_searched_through_its_directory(
        seed in any::<u64>(),
        alphabet in 2_u32..60,
        length in 0_usize..300,
    ) {
        let mut random = Random(seed);
        let records: Vec<_> = (0..8).map(|_| random.tokens(400, alphabet)).collect();
        // Quotes of any length, so that matches begin and end everywhere.
        let mut answer = Vec::new();
        while answer.len() < length {
            let record = &records[random.below(8) as usize];
            let start = random.below(300) as usize;
            answer.extend_from_slice(&record[start..start + random.below(100) as usize]);
            answer.push(random.below(alphabet));
        }
        check(&sources(&records), &answer);
    }
}

#[test]
fn repetitive_texts_are_matched_as_any_other() {
    let period = |n: u32| (0..400).map(|i| i % n).collect::<Vec<_>>();
    // The Fibonacci word: as repetitive as a text can be without a period.
    let mut fibonacci = (vec![1], vec![1, 0]);
    while fibonacci.1.len() < 400 {
        let next = [fibonacci.1.clone(), fibonacci.0].concat();
        fibonacci = (fibonacci.1, next);
    }
    let records = sources(&[period(1), period(2), period(7), fibonacci.1.clone()]);
    for answer in [period(1), period(2), period(3), period(7), fibonacci.1[3..].to_vec(), vec![0; 900]] {
        check(&records, &answer);
        check(&records, &[&answer[..150], &[9], &answer[7..160]].concat());
    }
}

#[test]
fn every_window_of_an_answer_may_be_a_match_of_its_own() {
    let answer = Random(7).tokens(400, 50_000);
    let windows: Vec<Vec<u32>> = answer.windows(200).map(<[u32]>::to_vec).collect();
    let spans = check(&sources(&windows), &answer);
    assert_eq!(spans.len(), 201);
}

#[test]
fn an_index_is_asked_about_nothing_and_about_what_it_cannot_hold() {
    let index = SpanIndex::build(&sources(&[vec![], vec![1, 2, 3, 4, 5]])).unwrap();
    assert_eq!(index.attribute(&[], numbers).unwrap(), vec![]);
    assert_eq!((index.count(&[]), index.count(&[65_535]), index.count(&[1, u32::MAX])), (0, 0, 0));
    assert_eq!(
        (index.count(&[0]), index.count(&[1]), index.count(&[5, 1]), index.count(&[65_534])),
        (0, 1, 0, 0)
    );
    assert_eq!(index.attribute(&[65_535, 1, 2, 3, 4, 5, 1 << 20], numbers).unwrap().len(), 1);
}

#[test]
fn a_match_never_crosses_from_one_record_into_the_next() {
    let records = sources(&[vec![1, 2, 3, 4], vec![5, 6, 7, 8]]);
    assert_eq!(check(&records, &[1, 2, 3, 4, 5, 6, 7, 8]), vec![]);
    assert_eq!(check(&records, &[1, 2, 3, 4, u32::MAX, 5, 6, 7, 8]), vec![]);
    assert_eq!(check(&records, &[1, 2, 3, 4, 65_535, 5, 6, 7, 8]), vec![]);
}

#[test]
fn of_many_records_the_first_eight_are_listed_once_each() {
    let twice = vec![1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5];
    let spans = check(&sources(&vec![twice; 20]), &[9, 1, 2, 3, 4, 5, 9]);
    assert_eq!((spans[0].start, spans[0].end, spans[0].occurrences), (1, 6, 40));
    assert_eq!(spans[0].matches.iter().map(|m| m.record[0]).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
}

#[test]
fn a_stock_phrase_costs_no_more_than_what_is_scanned() {
    let spans = check(&sources(&vec![vec![3; 300]; 4]), &[3; 20]);
    assert_eq!((spans.len(), spans[0].occurrences), (1, 4 * 281));
    // The shortest suffixes come first: all that are scanned stand at the ends of their records.
    assert_eq!(spans[0].matches.len(), 4);
}

#[test]
fn a_span_does_not_begin_or_end_within_a_word() {
    const TEXTS: [&str; 10] = ["at", "tribut", "ion", " of", " a", "ll", " that", " is", "x", "."];
    let decode = |tokens: &[u32]| tokens.iter().map(|t| TEXTS[*t as usize]).collect::<String>();
    let spans = |record: &[u32], answer: &[u32]| {
        let index = SpanIndex::build(&sources(&[record.to_vec()])).unwrap();
        index.attribute(answer, decode).unwrap().into_iter().map(|s| (s.start, s.end)).collect::<Vec<_>>()
    };
    // "tribution of all that": the answer's "attribution" is cut, the record's is not there.
    assert_eq!(spans(&[1, 2, 3, 4, 5, 6, 7, 3], &[0, 1, 2, 3, 4, 5, 6, 7, 3]), vec![(3, 9)]);
    // " of all that is" goes on as " isx" in the answer: the span ends before " is".
    assert_eq!(spans(&[3, 4, 5, 6, 3, 7], &[3, 4, 5, 6, 3, 7, 8]), vec![(0, 5)]);
    // Too little is left.
    assert_eq!(spans(&[3, 4, 5, 6, 7], &[3, 4, 5, 6, 7, 8]), vec![]);
    assert_eq!(spans(&[3, 4, 5, 6, 7], &[3, 4, 5, 6, 7, 9]), vec![(0, 5)]);
    // Two matches shortened to the same words are one.
    assert_eq!(spans(&[3, 4, 5, 6, 3, 7, 9, 8, 3, 4, 5, 6, 3], &[3, 4, 5, 6, 3, 7, 8]), vec![(0, 5)]);
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
    use super::log2::log2_q32;
    for x in (1..2000).chain([u64::from(u32::MAX), 1 << 40, u64::MAX, (1 << 63) + 1, 999_999_999_999]) {
        let got = log2_q32(x) as f64 / 2_f64.powi(32);
        let expected = (x as f64).log2();
        assert!((got - expected).abs() < 3e-10, "log2({x}) = {expected}, got {got}");
    }
    assert_eq!(log2_q32(0), 0);
    assert_eq!(log2_q32(1 << 20), 20 << 32);
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
