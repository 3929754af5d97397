//! infini-gram 2.6.0, run as its users run it: its own indexer, its own engine, through Python.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use super::Questions;
use super::corpus::Corpus;
use crate::report::note;

/// What to do where it is missing.
pub(super) const HOW_TO_INSTALL: &str = "infini-gram is not installed, so it is not measured. To get it:\n  \
    python3 -m venv target/infini-gram/venv && \
    target/infini-gram/venv/bin/pip install infini-gram==2.6.0 numpy==2.3.5";

/// The only version that is compared with.
const VERSION: &str = "2.6.0";

const SCRIPT: &str = include_str!("infini_gram.py");

/// What it took.
#[derive(Debug, Deserialize)]
pub(super) struct Measured {
    pub(super) version: String,
    pub(super) build_cpu_s: f64,
    pub(super) build_wall_s: f64,
    pub(super) index_bytes: u64,
    /// Milliseconds of each answer, spans with pointers to documents.
    pub(super) spans_ms: Vec<f64>,
    /// The same with the documents.
    pub(super) with_documents_ms: Vec<f64>,
    pub(super) counts: Vec<usize>,
}

/// Indexes and asks the same; `None` if there is no infini-gram.
pub(super) fn measure(
    python: &Path,
    folder: &Path,
    corpus: &Corpus,
    questions: &Questions,
) -> Result<Option<Measured>> {
    let installed = Command::new(python).args(["-c", "import infini_gram, numpy"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    note("infini-gram ...");
    write_tokens(&folder.join("infini-gram"), corpus)?;
    let asked =
        json!({ "warm_up": questions.warm_up, "answers": questions.answers, "ngrams": questions.ngrams });
    fs::write(folder.join("questions.json"), asked.to_string())?;
    let status = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(folder)
        .status()
        .with_context(|| format!("running {}", python.display()))?;
    ensure!(status.success(), "infini-gram ended with {status}");
    let path = folder.join("infini_gram.json");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let measured: Measured =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    ensure!(measured.version == VERSION, "infini-gram is {}, not {VERSION}", measured.version);
    Ok(Some(measured))
}

/// Writes what its first step would: tokens with a separator before each document, offsets, and metadata.
fn write_tokens(folder: &Path, corpus: &Corpus) -> Result<()> {
    if folder.join("metaoff.0").exists() {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let file = |name: &str| {
        let path = folder.join(name);
        File::create(&path).map(BufWriter::new).with_context(|| format!("creating {}", path.display()))
    };
    let (mut tokenized, mut offsets) = (file("tokenized.0")?, file("offset.0")?);
    let (mut metadata, mut metadata_offsets) = (file("metadata.0")?, Vec::new());
    let (mut offset, mut metadata_offset) = (0_u64, 0_u64);
    for (record, _, tokens) in &corpus.records {
        offsets.write_all(&offset.to_le_bytes())?;
        metadata_offsets.extend_from_slice(&metadata_offset.to_le_bytes());
        tokenized.write_all(&u16::MAX.to_le_bytes())?;
        for token in tokens {
            tokenized.write_all(&u16::try_from(*token)?.to_le_bytes())?;
        }
        offset += 2 * (tokens.len() as u64 + 1);
        let line = format!("{}\n", json!({ "path": record, "linenum": 0, "metadata": {} }));
        metadata.write_all(line.as_bytes())?;
        metadata_offset += line.len() as u64;
    }
    tokenized.flush()?;
    offsets.flush()?;
    metadata.flush()?;
    // Written last: its presence says that the others are whole.
    fs::write(folder.join("metaoff.0"), metadata_offsets)?;
    Ok(())
}
