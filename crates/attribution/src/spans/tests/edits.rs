use openledger_types::receipt::EditedSpan;

use super::*;

const ALPHABET: u32 = 2000;

fn corpus() -> Vec<Vec<u32>> {
    let mut random = Random(11);
    (0..20).map(|_| random.tokens(300, ALPHABET)).collect()
}

fn edited(records: &[Vec<u32>], answer: &[u32]) -> Vec<EditedSpan> {
    SpanIndex::build(&sources(records)).unwrap().edited(answer, numbers).unwrap()
}

/// An answer of unrelated tokens with something in its middle.
fn around(passage: &[u32]) -> Vec<u32> {
    let mut random = Random(5);
    [random.tokens(40, ALPHABET), passage.to_vec(), random.tokens(40, ALPHABET)].concat()
}

#[test]
fn a_passage_is_bridged_over_each_kind_of_edit_and_says_how_much_is_the_same() {
    let records = corpus();
    let quote = &records[7][100..160];
    let mut passage = quote.to_vec();
    passage[10] = 1999;
    passage.insert(25, 1998);
    passage.remove(45);
    let spans = edited(&records, &around(&passage));
    let [span] = spans.as_slice() else { panic!("one passage, got {spans:?}") };
    assert_eq!((span.start, span.end), (40, 100));
    assert_eq!((span.matched, span.substituted, span.inserted, span.left_out), (58, 1, 1, 1));
    assert_eq!(span.identity_ppm, 58 * 1_000_000 / 61);
    assert_eq!((span.source.record[0], span.source.token, span.source_tokens), (8, 100, 60));
    assert_eq!(span.text, numbers(&passage));
}

#[test]
fn half_of_the_tokens_may_be_others() {
    let records = corpus();
    let mut random = Random(2);
    let passage: Vec<u32> = records[3][50..150]
        .iter()
        .map(|token| if random.below(2) == 0 { *token } else { random.below(ALPHABET) })
        .collect();
    let spans = edited(&records, &around(&passage));
    assert_eq!(spans.len(), 1);
    assert!(spans[0].start.abs_diff(40) <= 8 && spans[0].end.abs_diff(140) <= 8, "{spans:?}");
    assert_eq!(spans[0].source.record[0], 4);
    assert!((400_000..600_000).contains(&spans[0].identity_ppm));
}

#[test]
fn what_is_verbatim_or_unrelated_is_not_reported() {
    let records = corpus();
    assert_eq!(edited(&records, &around(&records[7][100..160])), vec![]);
    assert_eq!(edited(&records, &around(&[])), vec![]);
    assert_eq!(edited(&records, &[]), vec![]);
    // Two exact passages of different records, side by side, are not one edited passage of either.
    assert_eq!(edited(&records, &[&records[1][20..60], &records[2][80..120]].concat()), vec![]);
}

#[test]
fn a_passage_ends_where_its_record_does() {
    let records = corpus();
    let mut answer = [&records[4][270..], &records[5][..30]].concat();
    answer[15] = 1999;
    answer[45] = 1998;
    let spans = edited(&records, &around(&answer));
    let ranges: Vec<_> = spans.iter().map(|s| (s.start, s.end, s.source.record[0], s.source.token)).collect();
    assert_eq!(ranges, [(40, 70, 5, 270), (70, 100, 6, 0)]);
}

#[test]
fn the_work_is_bounded_on_repetitive_texts() {
    let repetitive: Vec<Vec<u32>> = (0..20).map(|n| (0..3000).map(|i| i % (n + 2)).collect()).collect();
    let answer: Vec<u32> = (0..8192_u32).map(|i| i % 7 * (i % 11)).collect();
    let spans = edited(&repetitive, &answer);
    assert!(spans.len() <= super::super::edits::MAX_ALIGNMENTS);
}

#[test]
fn shards_are_searched_for_edited_passages_too() {
    let records = corpus();
    let mut passage = records[15][100..160].to_vec();
    passage[30] = 1999;
    let all = sources(&records);
    let shard = |version, part: &[Source]| Shard { version, index: SpanIndex::build(part).unwrap() };
    let shards = Shards::new([shard(1, &all[..10]), shard(2, &all[10..])]).unwrap();
    let spans = shards.edited(&around(&passage), numbers).unwrap();
    assert_eq!(spans, edited(&records, &around(&passage)));
    assert_eq!(spans[0].source.record[0], 16);
}
