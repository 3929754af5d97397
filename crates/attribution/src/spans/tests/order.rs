use proptest::prelude::*;

use super::index::encode;
use super::*;

/// A file with these suffixes in place of the right ones.
pub(super) fn forged(index: &SpanIndex, suffixes: &[u32]) -> Vec<u8> {
    let text: Vec<u16> = index.view().text().collect();
    encode(index.records(), &text, suffixes.iter().copied())
}

pub(super) fn suffixes(index: &SpanIndex) -> Vec<u32> {
    index.view().positions().collect()
}

proptest! {
    #[test]
    fn the_order_is_checked_as_by_comparing_all_suffixes(
        record in prop::collection::vec(0_u32..3, 1..40),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..3),
    ) {
        let honest = SpanIndex::build(&sources(&[record.clone(), vec![1, 2], record])).unwrap();
        let right = suffixes(&honest);
        let mut given = right.clone();
        for (a, b) in swaps {
            let (a, b) = (a.index(given.len()), b.index(given.len()));
            given.swap(a, b);
        }
        let index = SpanIndex::decode(forged(&honest, &given)).unwrap();
        prop_assert_eq!(index.verify().is_ok(), given == right);
        // What it finds may be false, but it is found.
        index.attribute(&[0, 1, 2, 0, 1, 2, 1, 1, 0, 2], numbers).unwrap();
    }
}

#[test]
fn suffixes_are_in_the_order_of_comparing_them() {
    let records = sources(&[Random(3).tokens(500, 3), vec![], vec![0; 300], vec![2; 300]]);
    let index = SpanIndex::build(&records).unwrap();
    let text: Vec<u16> = index.view().text().collect();
    let mut sorted: Vec<u32> = (0..u32::try_from(text.len()).unwrap()).collect();
    sorted.sort_by_key(|position| &text[*position as usize..]);
    assert_eq!(suffixes(&index), sorted);
}

#[test]
fn a_position_outside_or_repeated_is_refused_and_named() {
    let honest = SpanIndex::build(&sources(&[vec![3, 1, 2, 1, 2, 5]])).unwrap();
    let check = |entry: usize, position: u32, expected: &str| {
        let mut suffixes = suffixes(&honest);
        suffixes[entry] = position;
        let error = SpanIndex::decode(forged(&honest, &suffixes)).unwrap_err().to_string();
        assert!(error.contains(expected) && error.ends_with(&format!("at entry {entry}")), "{error}");
    };
    check(2, 7, "outside the text");
    check(0, u32::MAX, "outside the text");
    check(4, suffixes(&honest)[0], "there before");
}
