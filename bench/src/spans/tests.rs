use super::tokens::Vocabulary;
use super::*;

#[test]
fn text_survives_its_tokens_and_common_words_are_one_token() {
    let texts = ["the cat\n  sat on the mat; naïve_2 x", "the"];
    let vocabulary = Vocabulary::of(texts.iter().copied());
    for text in texts {
        assert_eq!(vocabulary.decode(&vocabulary.encode(text)), text);
    }
    assert_eq!(vocabulary.encode("the").len(), 1);
    assert_eq!(vocabulary.encode("dog").len(), 3);
    assert_eq!(vocabulary.decode(&vocabulary.encode("dog")), "dog");
}

#[test]
fn a_percentile_is_a_value_that_was_measured() {
    let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
    assert_eq!(
        (percentile(&values, 0.5), percentile(&values, 0.99), percentile(&values, 1.0)),
        (100.0, 198.0, 200.0)
    );
    assert_eq!(percentile(&[3.0], 0.99), 3.0);
}

#[test]
fn the_quick_run_finds_spans_in_generated_text_where_there_are_no_sources() {
    let folder = tempfile::tempdir().unwrap();
    let size = Size { tokens: 20_000, answers: 8, ngrams: 50, quotes: 4 };
    let corpus = Corpus::read(Some(folder.path()), size).unwrap();
    assert!(corpus.tokens() >= 20_000);
    let mut report = Report::default();
    let index = build(&corpus, folder.path(), &mut report).unwrap();
    let questions = questions(&corpus, size);
    for ngram in &questions.ngrams {
        let all = corpus.records.iter().flat_map(|(_, _, tokens)| tokens.windows(ngram.len()));
        assert_eq!(index.count(ngram), all.filter(|window| window == ngram).count());
    }
    assert_eq!(attribute(&index, &corpus, &questions, &mut report).unwrap().len(), 8);
    edits::measure(&index, &corpus, size.quotes, &mut report).unwrap();
    assert_eq!(report.number("edit_recall_0"), Some(1.0));
    assert!(report.number("edit_recall_25") > report.number("verbatim_recall_25"));
}
