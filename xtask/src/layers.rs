//! Which crate may know which, checked against `cargo metadata`.
//!
//! A crate may depend on the crates listed beside it and on nothing else of ours. Two columns meet only in `types` and
//! `client`: the left one orders and pays, the right one learns, answers and explains.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Every crate of the house with the crates it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("protocol", &["types"]),
    ("execution", &["types", "protocol"]),
    ("chain", &["types", "execution"]),
    ("node", &["types", "execution", "chain"]),
    ("client", &["types"]),
    ("corpus", &["types"]),
    ("model", &[]),
    ("train", &["types", "corpus", "model"]),
    ("attribution", &["types", "corpus", "model", "train"]),
    ("serve", &["types", "model"]),
    ("worker", &["types", "client", "corpus", "model", "train", "attribution", "serve"]),
    ("gateway", &["types", "client", "worker"]),
    (
        "openledger",
        &["types", "node", "client", "corpus", "model", "train", "attribution", "serve", "worker", "gateway"],
    ),
    ("sim", &["types", "protocol", "execution", "chain", "corpus", "attribution"]),
    (
        "bench",
        &["types", "protocol", "execution", "client", "corpus", "model", "train", "attribution", "serve"],
    ),
    ("xtask", &[]),
];

/// Outside crates that only one column may link, by the start of their names.
const CONSENSUS: &[&str] = &["commonware", "revm"];
const LEARNING: &[&str] = &["tokenizers", "safetensors", "libsais", "libm"];
const LEFT: &[&str] = &["protocol", "execution", "chain", "node"];
const RIGHT: &[&str] =
    &["client", "corpus", "model", "train", "attribution", "serve", "worker", "gateway", "bench"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// One package of the workspace: its short name, its folder and what it links.
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) folder: std::path::PathBuf,
    pub(crate) links: BTreeSet<String>,
}

/// The packages of the workspace.
pub(crate) fn crates() -> Result<Vec<Crate>> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    metadata
        .packages
        .into_iter()
        .map(|package| {
            let folder = std::path::Path::new(&package.manifest_path)
                .parent()
                .context("a manifest lies in a folder")?
                .to_owned();
            let links = package
                .dependencies
                .into_iter()
                .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
                .map(|dependency| short(&dependency.name).to_owned())
                .collect();
            Ok(Crate { name: short(&package.name).to_owned(), folder, links })
        })
        .collect()
}

/// Every edge between our crates, and between a column and a library of the other, that is not allowed.
pub(crate) fn check(crates: &[Crate], problems: &mut Vec<String>) {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    for krate in crates {
        let Some(may_use) = allowed.get(krate.name.as_str()) else {
            problems.push(format!("{}: not in the list of layers (xtask/src/layers.rs)", krate.name));
            continue;
        };
        for link in &krate.links {
            if allowed.contains_key(link.as_str()) && !may_use.contains(&link.as_str()) {
                problems.push(format!("{}: may not use {link}", krate.name));
            }
            let foreign = |list: &[&str]| list.iter().any(|start| link.starts_with(start));
            if LEFT.contains(&krate.name.as_str()) && foreign(LEARNING) {
                problems.push(format!(
                    "{}: the chain's column links no machine-learning crate, and {link} is one",
                    krate.name
                ));
            }
            if RIGHT.contains(&krate.name.as_str()) && foreign(CONSENSUS) {
                problems.push(format!(
                    "{}: the AI column links no consensus crate, and {link} is one",
                    krate.name
                ));
            }
        }
    }
}

fn short(package: &str) -> &str {
    package.strip_prefix("openledger-").unwrap_or(package)
}
