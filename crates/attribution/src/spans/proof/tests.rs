use alloy_primitives::Address;
use proptest::prelude::*;

use super::super::index::encode;
use super::*;

fn index(records: &[Vec<u32>]) -> SpanIndex {
    let records: Vec<_> = records
        .iter()
        .enumerate()
        .map(|(i, tokens)| {
            let number = u8::try_from(i + 1).unwrap();
            (B256::repeat_byte(number), Address::repeat_byte(number), tokens.clone())
        })
        .collect();
    SpanIndex::build(&records).unwrap()
}

/// Text of several chunks.
fn large() -> SpanIndex {
    let tokens = |seed: u32| (0..1500_u32).map(|i| i.wrapping_mul(i).wrapping_add(seed * i) % 97).collect();
    index(&(1..9).map(tokens).collect::<Vec<_>>())
}

fn naive_count(index: &SpanIndex, tokens: &[u32]) -> usize {
    let text: Vec<u32> = index.view().text().map(u32::from).collect();
    text.windows(tokens.len()).filter(|window| *window == tokens).count()
}

/// Every way to alter one opening.
fn altered(proof: &Proof) -> Vec<Proof> {
    let mut all = Vec::new();
    for at in 0..proof.openings.len() {
        let mut alter = |change: &dyn Fn(&mut Opening)| {
            let mut other = proof.clone();
            change(&mut other.openings[at]);
            all.push(other);
        };
        alter(&|opening| opening.chunk += 1);
        alter(&|opening| *opening.bytes.last_mut().unwrap() ^= 1);
        alter(&|opening| opening.bytes[9] ^= 1);
        alter(&|opening| opening.bytes.truncate(opening.bytes.len() - 1));
        alter(&|opening| opening.bytes.push(0));
        alter(&|opening| opening.siblings.reverse());
        alter(&|opening| opening.siblings.truncate(opening.siblings.len() - 1));
        alter(&|opening| opening.siblings.push([0; 32]));
        alter(&|opening| opening.siblings[0][0] ^= 1);
        let mut missing = proof.clone();
        missing.openings.remove(at);
        all.push(missing);
    }
    all.retain(|other| other != proof);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn longest_match_and_count_are_proven_as_they_are(
        records in prop::collection::vec(prop::collection::vec(0_u32..3, 0..60), 1..5),
        query in prop::collection::vec(0_u32..4, 1..8),
    ) {
        let index = index(&records);
        let prover = Prover::new(&index);
        prop_assert_eq!(prover.root(), index.content_hash());
        let (entries, proof) = prover.prove_count(&query).unwrap();
        let count = verify_count(prover.root(), &proof, &query, entries).unwrap();
        prop_assert_eq!(count as usize, naive_count(&index, &query));
        let (entry, proof) = prover.prove_longest(&query).unwrap();
        let longest = verify_longest(prover.root(), &proof, &query, entry).unwrap() as usize;
        let stands = |length: usize| length == 0 || naive_count(&index, &query[..length]) > 0;
        prop_assert!(stands(longest) && (longest == query.len() || !stands(longest + 1)));
    }

    #[test]
    fn every_false_suffix_array_is_refuted(
        record in prop::collection::vec(0_u32..3, 1..60),
        a in any::<prop::sample::Index>(),
        b in any::<prop::sample::Index>(),
        overwrite in any::<bool>(),
    ) {
        let honest = index(&[record.clone(), vec![1, 0], record]);
        prop_assert_eq!(refute(honest.as_bytes()).unwrap(), None);
        let mut suffixes: Vec<u32> = honest.view().positions().collect();
        let (a, b) = (a.index(suffixes.len()), b.index(suffixes.len()));
        if overwrite { suffixes[a] = suffixes[b] } else { suffixes.swap(a, b) }
        if a != b {
            check_refuted(&honest, &suffixes);
        }
    }
}

fn check_refuted(honest: &SpanIndex, suffixes: &[u32]) -> Refutation {
    let text: Vec<u16> = honest.view().text().collect();
    let forged = encode(honest.records(), &text, suffixes.iter().copied());
    let root = B256::from(*blake3::hash(&forged).as_bytes());
    let (refutation, proof) = refute(&forged).unwrap().expect("the forged index is false");
    verify_refutation(root, &proof, refutation).unwrap();
    assert!(proof.openings.len() <= 8, "{} openings", proof.openings.len());
    // The same does not refute the honest index.
    let tree = Tree::new(honest.as_bytes());
    let chunks = proof.openings.iter().map(|opening| tree.open(opening.chunk as usize));
    let of_honest = Proof { openings: chunks.collect() };
    verify_refutation(honest.content_hash(), &of_honest, refutation).unwrap_err();
    refutation
}

#[test]
fn proofs_hold_for_files_of_any_number_of_chunks_and_openings_are_small() {
    for tokens in [1, 3, 100, 200, 700, 5000, 12_000, 24_000] {
        let index = index(&[(0..tokens).map(|i| i * i % 97).collect::<Vec<_>>(), vec![96; 3]]);
        let prover = Prover::new(&index);
        assert_eq!(prover.root(), index.content_hash());
        let (entries, proof) = prover.prove_count(&[96, 96]).unwrap();
        assert!(verify_count(prover.root(), &proof, &[96, 96], entries).unwrap() >= 2);
        assert!(proof.openings.len() <= 9);
    }
}

#[test]
fn a_match_is_proven_with_its_record_and_nothing_else_is() {
    let index = large();
    let prover = Prover::new(&index);
    let text: Vec<u32> = index.view().text().map(u32::from).collect();
    let start = 4 * 1501 + 700;
    let quote = &text[start..start + 600];
    let proof = prover.prove_match(quote, 4, 700).unwrap();
    assert_eq!(verify_match(prover.root(), &proof, quote, 4, 700).unwrap(), index.records()[4]);
    assert!(proof.openings.len() <= 5);
    for other in altered(&proof) {
        verify_match(prover.root(), &other, quote, 4, 700).unwrap_err();
    }
    for (number, token) in [(4, 701), (3, 700), (11, 0), (u32::MAX, 0), (4, u32::MAX), (4, 1000)] {
        verify_match(prover.root(), &proof, quote, number, token).unwrap_err();
    }
    assert!(matches!(prover.prove_match(quote, 4, 699), Err(ProofError::False(_))));
    assert!(matches!(prover.prove_match(&text[1490..1500], 0, 1495), Err(ProofError::False(_))));
    verify_match(B256::ZERO, &proof, quote, 4, 700).unwrap_err();
}

#[test]
fn a_false_count_or_longest_match_has_no_proof() {
    let index = large();
    let (prover, root) = (Prover::new(&index), index.content_hash());
    let query: Vec<u32> = index.view().text().skip(2000).take(3).map(u32::from).collect();
    let (entries, proof) = prover.prove_count(&query).unwrap();
    let count = verify_count(root, &proof, &query, entries.clone()).unwrap();
    assert!(count >= 2);
    for other in altered(&proof) {
        verify_count(root, &other, &query, entries.clone()).unwrap_err();
    }
    let Range { start, end } = entries;
    for range in
        [start + 1..end, start..end - 1, start - 1..end, start..end + 1, start..start, end..end, end..start]
    {
        // Even with all chunks that could help.
        let all = (0..index.as_bytes().len().div_ceil(CHUNK_BYTES)).map(|chunk| prover.tree.open(chunk));
        let proof = Proof { openings: all.collect() };
        assert!(proof.openings.len() <= MAX_OPENINGS);
        verify_count(root, &proof, &query, range).unwrap_err();
    }
    let long = [query.as_slice(), &[96; 4]].concat();
    let (entry, proof) = prover.prove_longest(&long).unwrap();
    verify_longest(root, &proof, &long, entry).unwrap();
    for other in altered(&proof) {
        verify_longest(root, &other, &long, entry).unwrap_err();
    }
    for other in [entry + 1, entry - 1, 0, u32::MAX] {
        verify_longest(root, &proof, &long, other).unwrap_err();
    }
    for query in [vec![], vec![65_535], vec![0; MAX_ANSWER + 1]] {
        assert!(matches!(prover.prove_count(&query), Err(ProofError::Query { .. })));
    }
}

const MAX_ANSWER: usize = super::super::MAX_ANSWER_TOKENS;

#[test]
fn a_pair_with_a_long_common_prefix_is_refuted_without_opening_it() {
    let long = vec![1; 3000];
    let honest = index(&[long.clone(), long]);
    let mut suffixes: Vec<u32> = honest.view().positions().collect();
    suffixes.swap(10, 11);
    assert!(matches!(check_refuted(&honest, &suffixes), Refutation::Pair { next: Some(_), .. }));
    suffixes.swap(10, 11);
    suffixes[10] = 1 << 20;
    assert_eq!(check_refuted(&honest, &suffixes), Refutation::Outside { entry: 10 });
    suffixes[10] = suffixes[4];
    assert_eq!(check_refuted(&honest, &suffixes), Refutation::Repeated { first: 4, second: 10 });
}

#[test]
fn records_that_do_not_fit_the_text_are_refuted() {
    let honest = index(&[vec![1, 2, 3], vec![4, 5]]);
    let layout = honest.layout();
    let check = |expected: Refutation, alter: &dyn Fn(&mut Vec<u8>)| {
        let mut forged = honest.as_bytes().to_vec();
        alter(&mut forged);
        let root = B256::from(*blake3::hash(&forged).as_bytes());
        let (refutation, proof) = refute(&forged).unwrap().unwrap();
        assert_eq!(refutation, expected);
        verify_refutation(root, &proof, refutation).unwrap();
        verify_refutation(root, &Proof { openings: Vec::new() }, refutation).unwrap_err();
    };
    let (first, second) = (layout.record_at(0), layout.record_at(1));
    check(Refutation::Record { number: 0 }, &|file| file[first + 52] = 1);
    check(Refutation::Record { number: 0 }, &|file| file[first + 56] = 2);
    check(Refutation::Record { number: 0 }, &|file| file[first + 63] = 2);
    check(Refutation::Record { number: 1 }, &|file| file[second + 52] = 5);
    check(Refutation::Record { number: 1 }, &|file| file[second + 56] = 1);
    check(Refutation::Record { number: 1 }, &|file| file[second + 56] = 200);
    let unit = layout.unit_at(1);
    check(Refutation::Separator { number: 0, token: 1 }, &|file| file[unit..unit + 2].fill(0xff));
}

#[test]
fn a_refutation_of_an_honest_index_is_not_believed() {
    let honest = index(&[vec![1, 1, 1, 2], vec![1, 1, 1]]);
    let tree = Tree::new(honest.as_bytes());
    let proof = Proof {
        openings: (0..honest.as_bytes().len().div_ceil(CHUNK_BYTES)).map(|c| tree.open(c)).collect(),
    };
    let units = u32::try_from(honest.units()).unwrap();
    let next = (0..=units).flat_map(|a| (0..=units).map(move |b| Some((a, b)))).chain([None]);
    let pairs = next.flat_map(|next| (0..=units).map(move |entry| Refutation::Pair { entry, next }));
    let others = (0..=units).flat_map(|a| {
        let repeated = (0..=units).map(move |second| Refutation::Repeated { first: a, second });
        let tokens = (0..=units).map(move |token| Refutation::Separator { number: a, token });
        [Refutation::Outside { entry: a }, Refutation::Record { number: a }]
            .into_iter()
            .chain(repeated)
            .chain(tokens)
    });
    for refutation in pairs.chain(others) {
        verify_refutation(honest.content_hash(), &proof, refutation).unwrap_err();
    }
}
