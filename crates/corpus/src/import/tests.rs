use alloy_primitives::B256;
use proptest::prelude::*;

use super::{Defaults, ImportLimits, jsonl, markdown, text, write_jsonl};
use crate::{CorpusError, record::Provenance};

fn defaults() -> Defaults {
    let source = Provenance {
        name: "notes".into(),
        version: String::new(),
        license: "CC-BY-4.0".into(),
        authors: vec![],
        path: "notes.jsonl".into(),
    };
    Defaults { source, secret: B256::repeat_byte(7) }
}

fn limits() -> ImportLimits {
    ImportLimits { line_bytes: 200, records: 10, ..ImportLimits::default() }
}

#[test]
fn good_lines_become_records_and_bad_ones_are_refused_by_number() {
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(300));
    let lines = [
        r#"{"text":"first"}"#,
        "",
        r#"{"text":"own","source":{"name":"n","license":"MIT"}}"#,
        r#"{"text":" "}"#,
        r#"{"txt":"typo"}"#,
        &long,
        r#"{"text":"x","source":{"name":"n","license":"Mine"}}"#,
        "[1]",
        r#"{"text":"last"}"#,
    ]
    .join("\n");
    let import = jsonl(lines.as_bytes(), &defaults(), &limits()).unwrap();
    let texts: Vec<_> = import.accepted.iter().map(|record| record.text.as_str()).collect();
    assert_eq!(texts, ["first", "own", "last"]);
    assert_eq!(import.accepted[0].source, defaults().source);
    assert_eq!(import.accepted[1].source.license, "MIT");
    let refused: Vec<_> = import.refused.iter().map(|refusal| refusal.line).collect();
    assert_eq!(refused, [4, 5, 6, 7, 8]);
    assert!(matches!(import.refused[2].reason, CorpusError::TooLarge { got: 311, limit: 200, .. }));
}

#[test]
fn bytes_that_are_not_text_refuse_their_line_only() {
    let import = jsonl(&b"{\"text\":\"\xff\"}\n{\"text\":\"ok\"}"[..], &defaults(), &limits()).unwrap();
    assert_eq!((import.accepted.len(), import.refused.len()), (1, 1));
    assert!(matches!(import.refused[0].reason, CorpusError::NotUtf8 { .. }));
}

#[test]
fn more_lines_than_allowed_refuse_the_file() {
    let error = jsonl("{\"text\":\"a\"}\n".repeat(11).as_bytes(), &defaults(), &limits()).unwrap_err();
    assert!(matches!(error, CorpusError::TooLarge { got: 11, limit: 10, .. }));
}

#[test]
fn importing_the_same_file_twice_gives_the_same_hashes() {
    let hashes = || {
        let import = jsonl(&b"{\"text\":\"a\"}\n{\"text\":\"a\"}"[..], &defaults(), &limits()).unwrap();
        import.accepted.iter().map(crate::record::Record::hash).collect::<Vec<_>>()
    };
    assert_eq!(hashes(), hashes());
    assert_ne!(hashes()[0], hashes()[1], "equal texts on two lines have two salts");
}

#[test]
fn markdown_loses_its_code_and_text_keeps_everything() {
    let source = b"# Title\n\nSome *prose* here.\n\n```rust\nfn main() {}\n```\n";
    let records = markdown(source, &defaults(), &limits()).unwrap();
    assert_eq!(records.len(), 1);
    assert!(records[0].text.contains("Some prose here.") && !records[0].text.contains("main"));
    assert!(text(source, &defaults(), &limits()).unwrap()[0].text.contains("fn main"));
    assert!(matches!(text(b" \n", &defaults(), &limits()), Err(CorpusError::EmptyText)));
}

proptest! {
    #[test]
    fn export_then_import_gives_the_same_records(texts in prop::collection::vec("\\PC{1,30}", 1..9)) {
        prop_assume!(texts.iter().all(|text| !text.trim().is_empty()));
        let wide = ImportLimits::default();
        let lines: String = texts.iter().map(|text| serde_json::json!({ "text": text }).to_string() + "\n").collect();
        let records = jsonl(lines.as_bytes(), &defaults(), &wide).unwrap().accepted;
        let mut exported = Vec::new();
        write_jsonl(&mut exported, &records).unwrap();
        let other = Defaults { secret: B256::ZERO, ..defaults() };
        prop_assert_eq!(jsonl(&exported[..], &other, &wide).unwrap().accepted, records);
    }

    #[test]
    fn hostile_lines_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(jsonl(&bytes[..], &defaults(), &limits()));
        drop(markdown(&bytes, &defaults(), &limits()));
    }
}
