use proptest::prelude::*;

use super::{Block, blocks, doc_comments, markdown};

fn check(source: &str, expected: &[&str]) {
    assert_eq!(markdown(source), expected, "{source}");
}

#[test]
fn words_stay_and_markup_goes() {
    check(
        "Some *very* **bold** __words__ in snake_case and 2 * 3.",
        &["Some very bold words in snake_case and 2 * 3."],
    );
    check(
        "See [the book](https://x.y/z_(a)) or [`Vec<u8>`] or [it][1].",
        &["See the book or Vec<u8> or it."],
    );
    check("[![build](https://a/b.svg)](https://a) [![x][y]][z]\n\nText.", &["Text."]);
    check("A &amp; B <b>bold</b> <https://x.y> <me@x.y> a < b \\* c", &["A & B bold a < b * c"]);
    check("More at https://example.org/page. Then on.", &["More at. Then on."]);
    check("Use `Result<T, E>` and ``a ` b``.", &["Use Result<T, E> and a ` b."]);
}

#[test]
fn blocks_that_are_not_prose_go() {
    check("Before.\n\n```rust\nlet x = 1;\n\n# hidden\n```\nAfter.", &["Before.", "After."]);
    check("~~~\ncode\n```\n~~~\nText", &["Text"]);
    check("Text.\n\n    indented code\n\n    more code\n\nText again.", &["Text.", "Text again."]);
    check("| a | b |\n|---|---|\n| 1 | 2 |\n\nText.", &["Text."]);
    check("a | b | c\n--|--|--\nText.", &["Text."]);
    check("[1]: https://x.y\n[`Vec`]: std::vec::Vec\nText.", &["Text."]);
    check("<!-- a\ncomment -->Text<!-- open", &["Text"]);
    check("<p align=\"center\">\n<img src=\"x\">\n</p>\n\nText.", &["Text."]);
    check("---\n\n* * *\n\nText.", &["Text."]);
}

#[test]
fn lists_quotes_and_headings_become_their_own_blocks() {
    check(
        "- one\n  goes on\n- [x] two\n1. three\n> quoted\n> more",
        &["one goes on", "two", "three quoted more"],
    );
    let expected = [
        Block::Heading("Title".into()),
        Block::Heading("Second one".into()),
        Block::Paragraph("Text #1.".into()),
    ];
    assert_eq!(blocks("Title\n=====\n## Second *one* ##\nText #1."), expected);
}

#[test]
fn each_documentation_comment_is_one_document() {
    let source = "//! Crate.\n//!\n//! More.\n\n/// Item.\n    /// Second line.\npub fn f() {} // not this\n//// nor this\n/// Next.\n";
    assert_eq!(doc_comments(source), ["Crate.\n\nMore.\n", "Item.\nSecond line.\n", "Next.\n"]);
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "[a-c\\[\\]()!`*_<>&|#~\\\\\\n -]{0,200}|\\PC{0,200}") {
        for block in markdown(&text) {
            prop_assert!(!block.trim().is_empty());
        }
        doc_comments(&text);
    }
}
