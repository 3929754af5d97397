use proptest::prelude::*;

use super::*;

fn shards(parts: &[&[Source]]) -> Shards {
    let shard =
        |(version, part): (u64, &&[Source])| Shard { version, index: SpanIndex::build(part).unwrap() };
    Shards::new((1..).zip(parts).map(shard)).unwrap()
}

proptest! {
    #[test]
    fn shards_find_what_one_index_over_all_records_finds(
        seed in any::<u64>(),
        alphabet in 2_u32..30,
        cuts in prop::collection::vec(1_usize..9, 1..4),
    ) {
        let mut random = Random(seed);
        let records: Vec<_> = (0..9).map(|_| random.tokens(120, alphabet)).collect();
        let mut answer = Vec::new();
        for record in &records {
            let start = random.below(60) as usize;
            answer.extend_from_slice(&record[start..start + random.below(40) as usize]);
        }
        let records = sources(&records);
        let mut cuts = cuts;
        cuts.sort_unstable();
        cuts.dedup();
        let mut parts = Vec::new();
        let mut start = 0;
        for end in cuts.into_iter().chain([9]).filter(|end| *end > 0) {
            if end > start {
                parts.push(&records[start..end]);
            }
            start = end;
        }
        let mut several = shards(&parts);
        let one = SpanIndex::build(&records).unwrap();
        let expected = one.attribute(&answer, numbers).unwrap();
        prop_assert_eq!(&several.attribute(&answer, numbers).unwrap(), &expected);
        prop_assert_eq!(several.count(&answer[..1]), one.count(&answer[..1]));
        several.compact().unwrap();
        prop_assert_eq!(several.attribute(&answer, numbers).unwrap(), expected);
    }
}

#[test]
fn what_a_version_adds_leaves_the_shards_before_as_they_are() {
    let records = sources(&[vec![1; 50], vec![2; 9], vec![3; 9], vec![4; 9]]);
    let mut all = shards(&[&records[..1], &records[1..2]]);
    let first = all.shards()[0].index.clone();
    all.add(Shard { version: 3, index: SpanIndex::build(&records[2..3]).unwrap() }).unwrap();
    let sizes = |all: &Shards| all.shards().iter().map(|s| (s.version, s.index.units())).collect::<Vec<_>>();
    assert_eq!(sizes(&all), [(1, 51), (2, 10), (3, 10)]);
    all.compact().unwrap();
    assert_eq!(sizes(&all), [(1, 51), (3, 20)]);
    assert_eq!(all.shards()[0].index.as_bytes().as_ptr(), first.as_bytes().as_ptr());
    all.add(Shard { version: 4, index: SpanIndex::build(&records[3..]).unwrap() }).unwrap();
    all.compact().unwrap();
    assert_eq!(sizes(&all), [(1, 51), (3, 20), (4, 10)]);
    assert_eq!(all.count(&[4, 4, 4, 4]), 6);
}

#[test]
fn a_version_comes_once_and_after_those_before() {
    let records = sources(&[vec![1, 2]]);
    let mut all = shards(&[&records, &records]);
    for version in [0, 1, 2] {
        let shard = Shard { version, index: SpanIndex::build(&records).unwrap() };
        assert!(matches!(all.add(shard), Err(SpanError::Version { last: 2, .. })));
    }
}
