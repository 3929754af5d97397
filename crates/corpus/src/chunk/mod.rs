//! Cuts long texts into records, in one way only.
//!
//! The cut is fixed by the protocol, so that how a document was sliced before it was handed in changes neither what is compared nor what is
//! paid. Lengths are bytes of UTF-8 and the rule reads nothing but the text:
//!
//! 1. *Normalise.* Lines end in LF; a run of white space inside a paragraph becomes one space; a line of white space
//!    only ends a paragraph.
//! 2. *Sentences.* A sentence ends at `.`, `!` or `?` and any closing quotes or brackets after it, where white space and then anything but a
//!    lower-case letter follows; `e.g.`, `i.e.`, `etc.`, `vs.` and `cf.` end none. A sentence longer than [`MAX_CHUNK`] is broken at
//!    the last space within that length, or else at the last character.
//! 3. *Chunks.* Sentences are gathered in order. A chunk of at least [`MIN_CHUNK`] ends after a sentence whose BLAKE3 hash has
//!    `first byte mod 3 = 0`, or that ends its paragraph; and always when the next sentence would take it beyond [`MAX_CHUNK`].
//! 4. *Tail.* A last chunk under [`MIN_CHUNK`] joins the one before if the two fit into [`MAX_CHUNK`].
//!
//! Because step 3 looks at sentences and not at positions, two cuts of overlapping texts fall into step again at
//! the next marked sentence: the share of equal chunks is measured in the tests.

use crate::{error::Result, record::within};

/// From this many bytes on, a chunk may end: some 80 tokens of English.
pub const MIN_CHUNK: usize = 350;
/// No chunk is longer: some 180 tokens of English.
pub const MAX_CHUNK: usize = 800;
/// The longest document that is cut.
pub const MAX_DOCUMENT: usize = 16 * 1024 * 1024;

/// One sentence in three may end a chunk, so that a chunk is seldom forced to end by its length.
const CUT_MODULUS: u8 = 3;
const ABBREVIATIONS: [&str; 5] = ["e.g.", "i.e.", "etc.", "vs.", "cf."];

/// The canonical chunks of `text`, none empty; paragraphs inside a chunk are separated by an empty line.
///
/// # Errors
/// [`crate::CorpusError::TooLarge`] when the document is longer than [`MAX_DOCUMENT`].
pub fn chunks(text: &str) -> Result<Vec<String>> {
    within("document (bytes)", text.len(), MAX_DOCUMENT)?;
    let mut gatherer = Gatherer::default();
    for paragraph in paragraphs(text) {
        let mut sentences = sentences(&paragraph).peekable();
        let mut opens_paragraph = true;
        while let Some(sentence) = sentences.next() {
            gatherer.push(sentence, opens_paragraph, sentences.peek().is_none());
            opens_paragraph = false;
        }
    }
    Ok(gatherer.finish())
}

/// The paragraphs of `text`, each on one line with single spaces, none empty.
pub fn paragraphs(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut paragraph = String::new();
        for line in lines.by_ref() {
            let mut words = line.split_whitespace().peekable();
            if words.peek().is_none() && !paragraph.is_empty() {
                return Some(paragraph);
            }
            for word in words {
                if !paragraph.is_empty() {
                    paragraph.push(' ');
                }
                paragraph.push_str(word);
            }
        }
        (!paragraph.is_empty()).then_some(paragraph)
    })
}

/// The sentences of one normalised paragraph, each at most [`MAX_CHUNK`] long, without the space between them.
pub fn sentences(paragraph: &str) -> impl Iterator<Item = &str> {
    let mut rest = paragraph;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(' ');
        if rest.is_empty() {
            return None;
        }
        let end = sentence_end(rest);
        let end = if end > MAX_CHUNK { break_within(rest, MAX_CHUNK) } else { end };
        let (sentence, after) = rest.split_at(end);
        rest = after;
        Some(sentence)
    })
}

fn sentence_end(text: &str) -> usize {
    for (at, _) in text.match_indices(' ') {
        let before = text[..at].trim_end_matches(['"', '\'', ')', ']', '”', '’', '*', '_', '`']);
        let ends = before.ends_with(['.', '!', '?'])
            && !ABBREVIATIONS.iter().any(|abbreviation| before.ends_with(abbreviation))
            && !text[at + 1..].starts_with(char::is_lowercase);
        if ends || at > MAX_CHUNK {
            return at;
        }
    }
    text.len()
}

/// The largest break of at most `limit` bytes: before a space if there is one, else between characters.
fn break_within(text: &str, limit: usize) -> usize {
    let end = text.floor_char_boundary(limit);
    text[..end].rfind(' ').filter(|at| *at > 0).unwrap_or(end)
}

#[derive(Default)]
struct Gatherer {
    done: Vec<String>,
    current: String,
}

impl Gatherer {
    fn push(&mut self, sentence: &str, opens_paragraph: bool, closes_paragraph: bool) {
        let separator = match (self.current.is_empty(), opens_paragraph) {
            (true, _) => "",
            (false, true) => "\n\n",
            (false, false) => " ",
        };
        if self.current.len() + separator.len() + sentence.len() > MAX_CHUNK {
            self.cut();
        } else {
            self.current.push_str(separator);
        }
        self.current.push_str(sentence);
        let marked = blake3::hash(sentence.as_bytes()).as_bytes()[0].is_multiple_of(CUT_MODULUS);
        if self.current.len() >= MIN_CHUNK && (marked || closes_paragraph) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if !self.current.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.current.len() < MIN_CHUNK
            && let Some(last) = self.done.last_mut()
            && !self.current.is_empty()
            && last.len() + 2 + self.current.len() <= MAX_CHUNK
        {
            last.push_str("\n\n");
            last.push_str(&self.current);
            self.current.clear();
        }
        self.cut();
        self.done
    }
}

#[cfg(test)]
mod tests;
