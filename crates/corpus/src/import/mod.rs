//! Records from files and back.
//!
//! JSON Lines: one object a line, `{"text": "…", "source": {"name": …, "version": …, "license": …, "authors": […], "path": …}, "salt": "0x…"}`. Source and
//! salt may be left out; they then come from [`Defaults`]. A bad line is refused with its number and reason, and the others are
//! taken. Text and Markdown files are cut into canonical chunks ([`crate::chunk`]).

use std::io::{BufRead, Read, Write};

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{
    chunk,
    error::{CorpusError, Result},
    prose,
    record::{Provenance, Record, RecordLimits, derive_salt, utf8, within},
};

/// What an import may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportLimits {
    /// Limits of each record.
    pub record: RecordLimits,
    /// Bytes of one line.
    pub line_bytes: usize,
    /// Lines of one file, and records it may become.
    pub records: usize,
}

/// A line may hold a full record whose every byte is escaped as `\u00xx`; 100,000 records are hours of training.
impl Default for ImportLimits {
    fn default() -> Self {
        let record = RecordLimits::default();
        Self { record, line_bytes: 6 * record.text_bytes + 64 * 1024, records: 100_000 }
    }
}

/// What records get that do not say it themselves.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Their source.
    pub source: Provenance,
    /// What their salts are derived from ([`derive_salt`]): the contributor's secret.
    pub secret: B256,
}

/// One line that did not become a record.
#[derive(Debug)]
pub struct Refusal {
    /// Its number, from 1.
    pub line: usize,
    /// Why.
    pub reason: CorpusError,
}

/// What a file became.
#[derive(Debug, Default)]
pub struct Import {
    /// The records, in the order of their lines.
    pub accepted: Vec<Record>,
    /// The other lines.
    pub refused: Vec<Refusal>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Provenance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<B256>,
}

/// Reads JSON Lines; lines of white space are skipped.
///
/// # Errors
/// [`CorpusError::TooLarge`] when there are more lines than allowed, [`CorpusError::Io`] when reading fails. A bad line is no error but a
/// [`Refusal`].
pub fn jsonl(mut reader: impl BufRead, defaults: &Defaults, limits: &ImportLimits) -> Result<Import> {
    let mut import = Import::default();
    let mut number = 0;
    while let Some((line, length)) = read_line(&mut reader, limits.line_bytes)? {
        number += 1;
        within("number of lines", number, limits.records)?;
        if line.iter().all(u8::is_ascii_whitespace) && length <= limits.line_bytes {
            continue;
        }
        match parse_line(&line, length, number, defaults, limits) {
            Ok(record) => import.accepted.push(record),
            Err(reason) => import.refused.push(Refusal { line: number, reason }),
        }
    }
    Ok(import)
}

/// The next line without its line feed, cut at `limit`, and how long it really is.
fn read_line(reader: &mut impl BufRead, limit: usize) -> Result<Option<(Vec<u8>, usize)>> {
    let io = |source| CorpusError::Io { action: "read", path: "the records".into(), source };
    let mut line = Vec::new();
    let mut length = reader.take(limit as u64 + 1).read_until(b'\n', &mut line).map_err(io)?;
    if length == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some((line, length - 1)));
    }
    if length > limit {
        length += skip_line(reader).map_err(io)?;
        line.truncate(limit);
    }
    Ok(Some((line, length)))
}

fn skip_line(reader: &mut impl BufRead) -> std::io::Result<usize> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(skipped);
        }
        let (used, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        reader.consume(used);
        skipped += used - usize::from(done);
        if done {
            return Ok(skipped);
        }
    }
}

fn parse_line(
    bytes: &[u8],
    length: usize,
    number: usize,
    defaults: &Defaults,
    limits: &ImportLimits,
) -> Result<Record> {
    within("line (bytes)", length, limits.line_bytes)?;
    let line: Line = serde_json::from_str(utf8(bytes)?)
        .map_err(|error| CorpusError::Malformed { what: "JSON record", reason: error.to_string() })?;
    let source = line.source.unwrap_or_else(|| defaults.source.clone());
    let salt = line
        .salt
        .unwrap_or_else(|| derive_salt(defaults.secret, &format!("{}:{number}", source.path), &line.text));
    Record::new(line.text, source, salt, &limits.record)
}

/// Writes records as JSON Lines that [`jsonl`] reads back as the same records.
///
/// # Errors
/// [`CorpusError::Io`].
pub fn write_jsonl(mut writer: impl Write, records: &[Record]) -> Result<()> {
    for record in records {
        let line =
            Line { text: record.text.clone(), source: Some(record.source.clone()), salt: Some(record.salt) };
        serde_json::to_writer(&mut writer, &line)
            .map_err(std::io::Error::from)
            .and_then(|()| writer.write_all(b"\n"))
            .map_err(|source| CorpusError::Io { action: "write", path: "the records".into(), source })?;
    }
    Ok(())
}

/// Cuts a text file into records.
///
/// # Errors
/// [`CorpusError::NotUtf8`], [`CorpusError::TooLarge`], [`CorpusError::EmptyText`], and those of [`Record::new`].
pub fn text(bytes: &[u8], defaults: &Defaults, limits: &ImportLimits) -> Result<Vec<Record>> {
    within("document (bytes)", bytes.len(), chunk::MAX_DOCUMENT)?;
    cut(utf8(bytes)?, defaults, limits)
}

/// Cuts the prose of a Markdown file into records; code, tables, images and markup are left out ([`prose::markdown`]).
///
/// # Errors
/// As [`text`].
pub fn markdown(bytes: &[u8], defaults: &Defaults, limits: &ImportLimits) -> Result<Vec<Record>> {
    within("document (bytes)", bytes.len(), chunk::MAX_DOCUMENT)?;
    cut(&prose::markdown(utf8(bytes)?).join("\n\n"), defaults, limits)
}

fn cut(text: &str, defaults: &Defaults, limits: &ImportLimits) -> Result<Vec<Record>> {
    let chunks = chunk::chunks(text)?;
    within("number of records", chunks.len(), limits.records)?;
    if chunks.is_empty() {
        return Err(CorpusError::EmptyText);
    }
    let path = &defaults.source.path;
    chunks
        .into_iter()
        .enumerate()
        .map(|(index, chunk)| {
            let salt = derive_salt(defaults.secret, &format!("{path}:{index}"), &chunk);
            Record::new(chunk, defaults.source.clone(), salt, &limits.record)
        })
        .collect()
}

#[cfg(test)]
mod tests;
