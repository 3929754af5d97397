use super::{Package, read_written};
use crate::{
    chunk::{self, MAX_CHUNK, MIN_CHUNK},
    prose::{Block, blocks, doc_comments},
};

/// A chunk of readable prose.
#[derive(Clone)]
pub(super) struct Passage {
    pub(super) text: String,
    pub(super) path: String,
}

/// The passages of a crate.
pub(super) struct Passages {
    /// Readable prose about what the crate does, in the order of the text.
    pub(super) good: Vec<Passage>,
    /// What its README says about licence and contribution, if that is as long as a record should be.
    pub(super) stock: Vec<Passage>,
}

/// Sections that say the same in every crate, or that are lists of names and versions.
const BOILERPLATE: [&str; 22] = [
    "licen",
    "contribut",
    "changelog",
    "change log",
    "release",
    "msrv",
    "minimum supported",
    "minimum rust",
    "sponsor",
    "donat",
    "credits",
    "acknowledg",
    "authors",
    "code of conduct",
    "table of contents",
    "support",
    "security",
    "badges",
    "links",
    "benchmark",
    "version",
    "similar",
];

/// Reads the README and the documentation comments of the library's root.
pub(super) fn of(package: &Package) -> Passages {
    let readme = package.readme.as_deref().unwrap_or("README.md");
    let mut passages = Passages { good: Vec::new(), stock: Vec::new() };
    if let Some(text) = read_written(&package.folder.join(readme)) {
        add(&mut passages.good, &prose_of(&text), readme, is_good);
        add(&mut passages.stock, &stock_of(&text), readme, is_record);
    }
    if let Some(source) = read_written(&package.folder.join("src/lib.rs")) {
        for comment in doc_comments(&source) {
            add(&mut passages.good, &prose_of(&comment), "src/lib.rs", is_good);
        }
    }
    passages
}

fn add(passages: &mut Vec<Passage>, text: &str, path: &str, keep: impl Fn(&str) -> bool) {
    let chunks = chunk::chunks(text).unwrap_or_default();
    passages.extend(
        chunks.into_iter().filter(|text| keep(text)).map(|text| Passage { text, path: path.to_owned() }),
    );
}

/// The sections on licence and contribution.
fn stock_of(markdown: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut inside = false;
    for block in blocks(markdown) {
        match block {
            Block::Heading(heading) => {
                let heading = heading.to_lowercase();
                inside = heading.contains("licen") || heading.contains("contribut");
            }
            Block::Paragraph(text) if inside => kept.push(text),
            Block::Paragraph(_) => {}
        }
    }
    kept.join("\n\n")
}

fn is_record(text: &str) -> bool {
    (MIN_CHUNK..=MAX_CHUNK).contains(&text.len()) && text.is_ascii()
}

/// The sentences of a document, without boilerplate sections and without paragraphs that are no sentences.
fn prose_of(markdown: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut in_boilerplate = false;
    for block in blocks(markdown) {
        match block {
            Block::Heading(heading) => {
                let heading = heading.to_lowercase();
                in_boilerplate = BOILERPLATE.iter().any(|word| heading.contains(word));
            }
            Block::Paragraph(text) if !in_boilerplate && is_sentences(&text) => kept.push(text),
            Block::Paragraph(_) => {}
        }
    }
    kept.join("\n\n")
}

fn is_sentences(text: &str) -> bool {
    let words = text.split_whitespace().count();
    let first = text.chars().next().is_some_and(|c| c.is_uppercase() || c.is_ascii_digit() || c == '"');
    // A colon announces the code block or table that was left out.
    words >= 8 && first && text.ends_with(['.', '!', '?', ')', '"'])
}

/// Whether a chunk reads as English prose. Every threshold is a share of counted characters or words.
fn is_good(text: &str) -> bool {
    let chars = text.chars().count();
    let count = |test: fn(char) -> bool| text.chars().filter(|c| test(*c)).count();
    let letters = count(|c| c.is_ascii_alphabetic() || c == ' ');
    let digits = count(|c| c.is_ascii_digit());
    let code = count(|c| "{}[]<>=|\\#@$^~_:/&*".contains(c));
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = words
        .iter()
        .filter(|word| word.chars().all(|c| c.is_ascii_alphabetic() || ".,'-()!?;\"".contains(c)));
    let function_words = words.iter().filter(|word| is_function_word(word)).count();
    let sentences =
        chunk::paragraphs(text).map(|paragraph| chunk::sentences(&paragraph).count()).sum::<usize>();
    is_record(text)
        && letters * 100 >= chars * 90
        && digits * 100 <= chars * 2
        && code * 100 <= chars * 3
        && plain.count() * 100 >= words.len() * 85
        && function_words * 100 >= words.len() * 28
        && (8..=40).contains(&(words.len() / sentences.max(1)))
        && !is_stock(text)
}

/// Words that sentences need and lists of names lack.
fn is_function_word(word: &str) -> bool {
    const WORDS: [&str; 48] = [
        "a", "an", "the", "this", "that", "these", "it", "its", "is", "are", "be", "been", "was", "will",
        "can", "may", "must", "should", "has", "have", "do", "does", "not", "no", "of", "to", "in", "on",
        "for", "with", "by", "from", "as", "at", "into", "and", "or", "but", "if", "when", "which", "than",
        "then", "so", "you", "your", "we", "all",
    ];
    let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic()).to_ascii_lowercase();
    WORDS.contains(&word.as_str())
}

/// Sentences about the project instead of what it does.
fn is_stock(text: &str) -> bool {
    const PHRASES: [&str; 18] = [
        "dual licensed",
        "dual-licensed",
        "licensed under",
        "at your option",
        "pull request",
        "code of conduct",
        "rustc version",
        "minimum supported rust",
        "semver",
        "crates.io",
        "copyright",
        "cargo.toml",
        "github",
        "discord",
        "zulip",
        "release notes",
        "bug report",
        "file an issue",
    ];
    let text = text.to_ascii_lowercase();
    PHRASES.iter().any(|phrase| text.contains(phrase))
}
