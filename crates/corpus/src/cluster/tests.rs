use std::time::Instant;

use proptest::prelude::*;

use super::{
    ClusterItem, Clustering, Match, OrderKey, cluster, matching, normalised_hash, normalised_length,
};
use crate::CorpusError;

const STOP: [&str; 10] = ["the", "a", "of", "to", "and", "in", "is", "for", "that", "with"];

/// A stream of numbers, different for each seed.
fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 20
    }
}

/// A word: in two of five cases a stop word, else one of 3,000 of three to nine letters, the first of them more often.
fn word(next: &mut impl FnMut() -> u64) -> String {
    let pick = next();
    if pick % 5 < 2 {
        return STOP[(pick / 5) as usize % STOP.len()].to_owned();
    }
    let mut letters = numbers((next() % 3_000).min(next() % 3_000) + 77);
    letters();
    (0..3 + letters() % 7).map(|_| b"etaoinshrdlucmfwypgbvk"[letters() as usize % 22] as char).collect()
}

/// A text of `n` words, different for each seed.
fn text(seed: u64, n: usize) -> String {
    let mut next = numbers(seed + 1);
    (0..n).map(|_| word(&mut next)).collect::<Vec<_>>().join(" ")
}

/// `text` with every `every`-th word replaced.
fn edited(text: &str, every: usize) -> String {
    let mut next = numbers(text.len() as u64 + every as u64);
    let words: Vec<String> = text
        .split(' ')
        .enumerate()
        .map(|(at, old)| if at % every == every / 2 { word(&mut next) } else { old.to_owned() })
        .collect();
    words.join(" ")
}

fn key(block: u64) -> OrderKey {
    OrderKey { block, contribution: 0, record: 0 }
}

/// Clusters texts committed in the order given.
fn clustered(texts: &[String]) -> Clustering {
    let items: Vec<_> =
        texts.iter().zip(0..).map(|(text, block)| ClusterItem { text, order: key(block) }).collect();
    cluster(&items).unwrap()
}

#[test]
fn a_copy_an_edited_copy_a_part_and_an_extension_join_the_original() {
    let original = text(1, 100);
    let part = original.split(' ').take(60).collect::<Vec<_>>().join(" ");
    let extension = format!("{original} {}", text(2, 350));
    let shouted = original.to_uppercase().replace(' ', ", ");
    let result = clustered(&[
        original.clone(),
        text(3, 100),
        shouted,
        edited(&original, 12),
        part,
        extension,
        text(4, 100),
    ]);
    assert_eq!(result.cluster, [0, 1, 0, 0, 0, 0, 2]);
    assert_eq!(result.owner, [0, 1, 6]);
    assert!(result.is_owner(0) && !result.is_owner(3));
    let kinds: Vec<_> = result.evidence.iter().map(|found| (found.record, found.matched)).collect();
    assert_eq!(kinds[0], (2, Match::Exact));
    assert!(matches!(kinds[1], (3, Match::Jaccard { shared, union }) if 3 * shared >= union));
    assert!(matches!(kinds[3], (5, Match::Contained { shared, of }) if shared == of));
}

#[test]
fn the_earliest_commitment_owns_the_cluster_wherever_it_stands_in_the_input() {
    let original = text(1, 100);
    let copy = edited(&original, 10);
    let items = [ClusterItem { text: &copy, order: key(9) }, ClusterItem { text: &original, order: key(3) }];
    let result = cluster(&items).unwrap();
    assert_eq!((result.cluster, result.owner), (vec![0, 0], vec![1]));
    assert_eq!((result.evidence[0].record, result.evidence[0].earlier), (0, 1));
}

#[test]
fn a_later_record_made_of_two_others_does_not_fuse_their_clusters() {
    let (a, b) = (text(1, 80), text(2, 90));
    let result = clustered(&[a.clone(), b.clone(), format!("{a} {b}"), edited(&a, 15), edited(&b, 15)]);
    assert_eq!(result.owner, [0, 1]);
    assert_eq!(result.cluster[3..], [0, 1]);
}

#[test]
fn a_stock_phrase_ties_nothing_together() {
    let phrase = "at your option";
    let result =
        clustered(&[phrase.into(), format!("{} {phrase}", text(1, 90)), format!("{phrase} {}", text(2, 90))]);
    assert_eq!(result.cluster, [0, 1, 2]);
}

#[test]
fn texts_without_letters_are_equal_or_unrelated() {
    let result =
        clustered(&["!!!".into(), "???".into(), "!!!".into(), String::new(), "ab".into(), "AB".into()]);
    assert_eq!(result.cluster, [0, 1, 0, 2, 3, 3]);
}

#[test]
fn two_records_with_one_order_key_are_refused() {
    let items = [ClusterItem { text: "a", order: key(1) }, ClusterItem { text: "b", order: key(1) }];
    assert!(matches!(cluster(&items), Err(CorpusError::DuplicateOrder { block: 1, .. })));
}

#[test]
fn case_spacing_and_punctuation_do_not_change_the_normalised_hash() {
    assert_eq!(normalised_hash("Größe, 12!"), normalised_hash("  größe\n12"));
    assert_ne!(normalised_hash("ab c"), normalised_hash("a bc"));
}

#[test]
fn unseen_characters_accents_and_compatibility_forms_hide_no_copy() {
    let plain = normalised_hash("the office of the naive reader 42");
    for disguised in [
        "t\u{200b}he of\u{ad}fice of\u{2060} the naive rea\u{fe0f}der 42",
        "the oﬃce of the naïve reader ４２",
        "ＴＨＥ office of\u{a0}the nai\u{308}ve reader ⁴²",
        "\u{feff}the \u{202e}office\u{202c} of the naive reader 42",
    ] {
        assert_eq!(normalised_hash(disguised), plain, "{disguised:?}");
    }
    assert_eq!(normalised_length("  Ab\u{200b}c, d! "), 5);
}

#[test]
fn exchanged_words_and_a_quarter_of_them_replaced_hide_no_copy() {
    let original = text(1, 120);
    let mut words: Vec<&str> = original.split(' ').collect();
    words.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
    let exchanged = words.join(" ");
    words.sort_by_key(|word| word.len());
    let result =
        clustered(&[original.clone(), exchanged, words.join(" "), edited(&original, 4), text(2, 120)]);
    assert_eq!(result.cluster, [0, 0, 0, 0, 1]);
    // Short words keep no run of five characters when their neighbours change.
    let short: Vec<String> = (0..120_u8).map(|n| format!("{}{}", (b'a' + n % 20) as char, n)).collect();
    let backwards: Vec<String> = short.iter().rev().cloned().collect();
    let matched = matching(&short.join(" "), &backwards.join(" "));
    assert!(matches!(matched, Some(Match::Words { shared, union }) if shared == union), "{matched:?}");
}

/// The candidate search against comparing all pairs: nothing is missed that the rule would match.
#[test]
fn the_index_offers_what_comparing_every_pair_would_find() {
    let mut texts = Vec::new();
    for seed in 0..60 {
        let original = text(seed, 70 + seed as usize % 40);
        for every in [4, 5, 6, 8, 12] {
            texts.push(edited(&original, every));
        }
        let words: Vec<_> = original.split(' ').collect();
        texts.push(words[words.len() / 3..].join(" "));
        texts.push(original);
    }
    let result = clustered(&texts);
    let (mut joined, mut missed) = (0, 0);
    for later in 0..texts.len() {
        let matches_any = (0..later).any(|earlier| matching(&texts[earlier], &texts[later]).is_some());
        assert!(matches_any || result.is_owner(later), "record {later} joined without a match");
        joined += usize::from(!result.is_owner(later));
        missed += usize::from(matches_any && result.is_owner(later));
    }
    assert!(joined > 150, "{joined}");
    assert!(missed * 50 <= joined, "{missed} of {joined} missed");
}

#[test]
fn five_thousand_records_are_clustered_in_seconds() {
    let mut texts: Vec<String> = (0..4_500).map(|seed| text(seed, 100)).collect();
    texts.extend((0..500).map(|seed| edited(&text(seed, 100), 12)));
    let start = Instant::now();
    let result = clustered(&texts);
    println!("5,000 records of {} bytes: {:?}", texts[0].len(), start.elapsed());
    assert_eq!(result.owner.len(), 4_500);
    // About a second when nothing else runs; the bound leaves room for neighbours and is there to catch a wrong complexity.
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn a_flood_of_copies_costs_no_more_than_as_many_different_records() {
    let original = text(1, 100);
    let texts: Vec<String> = (0..5_000).map(|copy| format!("{original} {}", text(copy + 10, 4))).collect();
    let start = Instant::now();
    let result = clustered(&texts);
    println!("5,000 copies: {:?}", start.elapsed());
    assert_eq!(result.owner, [0]);
    assert!(start.elapsed().as_secs() < 60);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_of_the_input_does_not_matter(picks in prop::collection::vec((0_u64..6, 2_usize..30), 1..24), shuffle: u64) {
        let texts: Vec<String> = picks.iter().map(|(seed, every)| edited(&text(*seed, 60), *every)).collect();
        let straight = clustered(&texts);
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|at| (*at as u64 + 1).wrapping_mul(shuffle | 1));
        let items: Vec<_> = order.iter().map(|at| ClusterItem { text: &texts[*at], order: key(*at as u64) }).collect();
        let shuffled = cluster(&items).unwrap();
        for (position, at) in order.iter().enumerate() {
            prop_assert_eq!(shuffled.cluster[position], straight.cluster[*at]);
        }
        let owners: Vec<usize> = shuffled.owner.iter().map(|position| order[*position]).collect();
        prop_assert_eq!(owners, straight.owner);
    }

    #[test]
    fn later_records_change_nothing_about_earlier_ones(picks in prop::collection::vec((0_u64..5, 2_usize..30, 20_usize..120), 2..24), cut in any::<prop::sample::Index>()) {
        let texts: Vec<String> = picks.iter().map(|(seed, every, n)| edited(&text(*seed, *n), *every)).collect();
        let cut = cut.index(texts.len());
        let (before, after) = (clustered(&texts[..cut]), clustered(&texts));
        prop_assert_eq!(&after.cluster[..cut], &before.cluster[..]);
        prop_assert_eq!(&after.owner[..before.owner.len()], &before.owner[..]);
    }

    #[test]
    fn every_cluster_is_owned_by_its_earliest_record(texts in prop::collection::vec("[ab ]{0,40}|\\PC{0,60}", 0..30)) {
        let result = clustered(&texts);
        for (record, cluster) in result.cluster.iter().enumerate() {
            let earliest = result.cluster.iter().position(|other| other == cluster).unwrap();
            prop_assert_eq!(result.owner[*cluster as usize], earliest);
            prop_assert!(record >= earliest);
        }
        prop_assert_eq!(result.evidence.len() + result.owner.len(), texts.len());
    }
}
