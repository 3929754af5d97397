use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{MAX_CHUNK, MIN_CHUNK, chunks, paragraphs, sentences};

/// A text of `n` different sentences, four to a paragraph.
fn prose(n: usize) -> String {
    let words =
        ["ledger", "record", "answer", "paid", "cluster", "owner", "epoch", "share", "proof", "chunk"];
    let mut state = 1_u64;
    let mut text = String::new();
    for sentence in 0..n {
        let length = 6 + sentence % 9;
        for word in 0..length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pick = words[(state >> 33) as usize % words.len()];
            text.push_str(&if word == 0 { format!("Number {sentence} {pick}") } else { format!(" {pick}") });
        }
        text.push_str(if sentence % 4 == 3 { ".\n\n" } else { ". " });
    }
    text
}

#[test]
fn the_chunks_of_a_known_text_do_not_change() {
    let lengths: Vec<_> = chunks(&prose(40)).unwrap().iter().map(String::len).collect();
    assert_eq!(lengths, [485, 363, 405, 486, 519, 652]);
}

#[test]
fn chunks_keep_every_word_in_order_and_their_lengths() {
    let text = prose(400);
    let all = chunks(&text).unwrap();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&all.join(" ")), words(&text));
    for chunk in &all[..all.len() - 1] {
        assert!((MIN_CHUNK..=MAX_CHUNK).contains(&chunk.len()), "{}", chunk.len());
    }
}

#[test]
fn cutting_a_document_anywhere_first_changes_few_chunks() {
    let text = prose(400);
    let whole: BTreeSet<_> = chunks(&text).unwrap().into_iter().collect();
    for start in [500, 5_000, 11_111] {
        let sliced = chunks(&text[start..]).unwrap();
        let foreign = sliced.iter().filter(|chunk| !whole.contains(*chunk)).count();
        assert!(foreign <= 4, "{foreign} of {} chunks differ after slicing at {start}", sliced.len());
    }
}

#[test]
fn line_ends_and_spacing_do_not_matter() {
    let text = prose(60);
    let crlf = text.replace('\n', "\r\n").replace(' ', "  ");
    assert_eq!(chunks(&text).unwrap(), chunks(&crlf).unwrap());
}

#[test]
fn sentences_end_where_a_reader_would_end_them() {
    let check = |text: &str, expected: &[&str]| assert_eq!(sentences(text).collect::<Vec<_>>(), expected);
    check("One. Two! Three? four.", &["One.", "Two!", "Three? four."]);
    check("He said \"no.\" Then he left.", &["He said \"no.\"", "Then he left."]);
    check(
        "Use a map, e.g. BTreeMap, i.e. Sorted. Done.",
        &["Use a map, e.g. BTreeMap, i.e. Sorted.", "Done."],
    );
    check("Version 1.2.3 is out", &["Version 1.2.3 is out"]);
}

#[test]
fn a_text_without_any_space_is_still_cut() {
    let all = chunks(&"ä".repeat(3_000)).unwrap();
    assert!(all.iter().all(|chunk| chunk.len() <= MAX_CHUNK));
    assert_eq!(all.concat().chars().filter(|c| *c == 'ä').count(), 3_000);
}

#[test]
fn blank_lines_separate_paragraphs() {
    assert_eq!(paragraphs("a\n b \n \t\nc\n\n\n").collect::<Vec<_>>(), ["a b", "c"]);
}

proptest! {
    #[test]
    fn any_text_is_cut_within_the_limit_and_nothing_is_lost(text in "[a-zA-Zäö .!?\\n\"()]{0,3000}") {
        let all = chunks(&text).unwrap();
        prop_assert!(all.iter().all(|chunk| !chunk.trim().is_empty() && chunk.len() <= MAX_CHUNK));
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        prop_assert_eq!(letters(&all.concat()), letters(&text));
        prop_assert_eq!(chunks(&text).unwrap(), all);
    }
}
