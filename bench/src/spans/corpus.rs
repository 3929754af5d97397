//! The text that every machine with this repository's dependencies has.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use openledger_corpus::crates_source::registry_sources;
use openledger_types::{Address, B256};

use super::tokens::Vocabulary;
use crate::report::{Report, note};
use crate::stats::SplitMix;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Least tokens that are indexed.
    pub(crate) tokens: usize,
    pub(crate) answers: usize,
    pub(crate) ngrams: usize,
    /// Planted quotes at each rate of edits.
    pub(crate) quotes: usize,
}

impl Size {
    pub(crate) const FULL: Self = Self { tokens: 40_000_000, answers: 200, ngrams: 12_000, quotes: 400 };
    pub(crate) const QUICK: Self = Self { tokens: 2_000_000, answers: 40, ngrams: 1000, quotes: 40 };
}

/// What is read of a file: source and documentation.
const EXTENSIONS: &[&str] =
    &["rs", "md", "toml", "c", "h", "cpp", "hpp", "py", "js", "txt", "json", "sol", "S"];

/// Sizes of files that are read, bytes: shorter ones are boilerplate, longer ones are tables.
const FILE_BYTES: std::ops::RangeInclusive<u64> = 256..=400_000;

/// Every so many files one is held out.
const HELD_OUT: usize = 50;

/// Bytes of text for a token, below what any text has here, so that enough is read.
const BYTES_PER_TOKEN: usize = 4;

/// Words of generated text, and words of one such file.
const GENERATED_WORDS: usize = 20_000;
const GENERATED_FILE_WORDS: usize = 2_000;

/// What is indexed, and what is asked.
pub(crate) struct Corpus {
    pub(crate) records: Vec<(B256, Address, Vec<u32>)>,
    pub(crate) held_out: Vec<Vec<u32>>,
    pub(crate) vocabulary: Vocabulary,
    generated_tokens: usize,
}

impl Corpus {
    /// Reads, counts and encodes text until there are enough tokens.
    pub(crate) fn read(cargo_home: Option<&Path>, size: Size) -> Result<Self> {
        let home = match cargo_home {
            Some(home) => home.to_owned(),
            None => std::env::home_dir().context("no home folder; give --cargo-home")?.join(".cargo"),
        };
        let mut paths = Vec::new();
        for root in registry_sources(&home)? {
            for package in sorted(&root)? {
                text_files(&package, &mut paths)?;
            }
        }
        // A quick run takes every so many files, so that it is of the same mixture.
        let bytes: u64 = paths.iter().map(|(_, bytes)| bytes).sum();
        let wanted = size.tokens * BYTES_PER_TOKEN;
        let every = usize::try_from(bytes)? / wanted.max(1);
        let texts = read_texts(paths.iter().step_by(every.max(1)).map(|(path, _)| path), wanted);
        Self::encode(texts, size)
    }

    fn encode(texts: Vec<(String, String)>, size: Size) -> Result<Self> {
        let vocabulary = Vocabulary::of(texts.iter().map(|(_, text)| text.as_str()));
        let mut corpus = Self { records: Vec::new(), held_out: Vec::new(), vocabulary, generated_tokens: 0 };
        let mut tokens = 0;
        for (number, (package, text)) in texts.iter().enumerate() {
            let encoded = corpus.vocabulary.encode(text);
            if number % HELD_OUT == HELD_OUT - 1 {
                corpus.held_out.push(encoded);
            } else if tokens < size.tokens {
                tokens += encoded.len();
                corpus.push(package, encoded);
            }
        }
        let mut random = SplitMix(1);
        while tokens < size.tokens {
            let text = generated(&mut random);
            let encoded = corpus.vocabulary.encode(&text);
            tokens += encoded.len();
            corpus.generated_tokens += encoded.len();
            corpus.push("generated", encoded);
            if corpus.held_out.len() * HELD_OUT < corpus.records.len() {
                corpus.held_out.push(corpus.vocabulary.encode(&generated(&mut random)));
            }
        }
        ensure!(!corpus.held_out.is_empty(), "no text is held out");
        if corpus.generated_tokens > 0 {
            note(format!(
                "{} of {tokens} tokens are generated text: cargo keeps too few sources",
                corpus.generated_tokens
            ));
        }
        Ok(corpus)
    }

    fn push(&mut self, package: &str, tokens: Vec<u32>) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&u64::to_le_bytes(self.records.len() as u64));
        for token in &tokens {
            hasher.update(&token.to_le_bytes());
        }
        let record = B256::from(*hasher.finalize().as_bytes());
        let contributor = Address::from_slice(&blake3::hash(package.as_bytes()).as_bytes()[..20]);
        self.records.push((record, contributor, tokens));
    }

    /// Tokens that are indexed, without separators.
    pub(crate) fn tokens(&self) -> usize {
        self.records.iter().map(|(_, _, tokens)| tokens.len()).sum()
    }

    /// Names what is indexed.
    pub(crate) fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (record, _, _) in &self.records {
            hasher.update(record.as_slice());
        }
        hasher.finalize().to_hex().to_string()
    }

    pub(crate) fn describe(&self, report: &mut Report) {
        report.figure("tokens", self.tokens());
        report.figure("generated_tokens", self.generated_tokens);
        report.figure("records", self.records.len());
        report.figure("held_out_files", self.held_out.len());
        report.figure("vocabulary", self.vocabulary.len());
        report.hash("corpus", self.hash());
    }
}

/// Texts with the names of their packages, until there are as many bytes as wanted; files that are no UTF-8 are left out.
fn read_texts<'a>(paths: impl Iterator<Item = &'a PathBuf>, wanted: usize) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    let mut bytes = 0;
    for path in paths {
        if bytes >= wanted {
            break;
        }
        let Ok(text) = fs::read_to_string(path) else { continue };
        bytes += text.len();
        // <registry>/<package>/…
        let package = path.iter().skip_while(|part| *part != "src").nth(2).unwrap_or_default();
        texts.push((package.to_string_lossy().into_owned(), text));
    }
    texts
}

fn text_files(folder: &Path, found: &mut Vec<(PathBuf, u64)>) -> Result<()> {
    for path in sorted(folder)? {
        let metadata = path.symlink_metadata().with_context(|| format!("reading {}", path.display()))?;
        if metadata.is_dir() {
            text_files(&path, found)?;
        } else if metadata.is_file()
            && FILE_BYTES.contains(&metadata.len())
            && path.extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e))
        {
            found.push((path, metadata.len()));
        }
    }
    Ok(())
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    let mut paths = listing.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Words whose `n`-th is drawn in proportion to about `1 / n`.
fn generated(random: &mut SplitMix) -> String {
    let mut text = String::new();
    for _ in 0..GENERATED_FILE_WORDS {
        let uniform = random.below(1 << 20) as f64 / f64::from(1 << 20);
        let word = (GENERATED_WORDS as f64).powf(uniform) as usize;
        text.push_str(&format!("w{word} "));
    }
    text
}
