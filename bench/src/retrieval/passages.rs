//! READMEs and descriptions of the crates that cargo keeps.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use openledger_corpus::chunk::chunks;
use openledger_corpus::crates_source::{lock_packages, registry_sources};
use openledger_corpus::prose::markdown;

/// Passages of one crate.
const CHUNKS: usize = 4;
/// The shortest description that is a question.
const MIN_QUESTION: usize = 20;
/// The longest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// A crate with something to read and something to ask.
pub(super) struct Crate {
    pub(super) question: String,
    pub(super) chunks: Vec<String>,
}

/// At most so many crates, in the order of their names.
pub(super) fn read(cargo_home: Option<&Path>, most: usize) -> Result<Vec<Crate>> {
    let cargo_home = match cargo_home {
        Some(folder) => folder.to_owned(),
        None => std::env::home_dir().context("no home folder; give --cargo-home")?.join(".cargo"),
    };
    let roots = registry_sources(&cargo_home)?;
    let mut crates = Vec::new();
    for (name, version) in lock_packages(include_str!("../../../Cargo.lock"))? {
        let folders = roots.iter().map(|root| root.join(format!("{name}-{version}")));
        let found = folders.filter_map(|folder| of(&folder, &name)).next();
        crates.extend(found);
        if crates.len() == most {
            break;
        }
    }
    ensure!(
        crates.len() >= 10,
        "only {} crates with a README were found in {}; fetch them with `cargo fetch`",
        crates.len(),
        cargo_home.display()
    );
    Ok(crates)
}

fn of(folder: &Path, name: &str) -> Option<Crate> {
    let manifest: toml::Table = text(&folder.join("Cargo.toml"))?.parse().ok()?;
    let description = manifest.get("package")?.get("description")?.as_str()?;
    let question = without(description, name);
    let readme = text(&folder.join("README.md"))?;
    let mut chunks = chunks(&markdown(&readme).join("\n\n")).ok()?;
    chunks.truncate(CHUNKS);
    (question.len() >= MIN_QUESTION && !chunks.is_empty()).then_some(Crate { question, chunks })
}

fn text(path: &Path) -> Option<String> {
    let size = fs::metadata(path).ok()?.len();
    if size <= MAX_FILE { fs::read_to_string(path).ok() } else { None }
}

/// The description on one line without words that hold the crate's name.
pub(super) fn without(description: &str, name: &str) -> String {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let words = description.split_whitespace().filter(|word| !plain(word).contains(&plain(name)));
    words.collect::<Vec<_>>().join(" ")
}
