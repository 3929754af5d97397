//! Real people with real text: the authors of the crates that cargo downloaded to build this program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use alloy_primitives::keccak256;
use anyhow::{Context, Result};
use openledger_client::Wallet;
use openledger_corpus::crates_source::{SurveyOptions, lock_packages, registry_sources, survey};
use openledger_corpus::record::Record;
use openledger_worker::contribute::contributor_secret;

use crate::env_vars;
use crate::local::Local;

/// The packages this program was built from, so that every machine that builds it finds the same text.
const LOCK: &str = include_str!("../../../../Cargo.lock");
/// How many contributors.
const CONTRIBUTORS: usize = 8;
/// Records of each, at most, and of those how many that crates of several authors have in common.
const RECORDS_EACH: usize = 16;
const STOCK_EACH: usize = 1;

/// A contributor of the demo.
pub(super) struct Person {
    /// As the crates name them.
    pub(super) name: String,
    /// Their key.
    pub(super) wallet: Wallet,
    /// What they contribute.
    pub(super) records: Vec<Record>,
    /// The crates it is from.
    pub(super) crates: Vec<String>,
}

impl Person {
    /// A question about one of their crates.
    pub(super) fn question(&self, number: usize) -> String {
        format!("What does the Rust crate {} do?", self.crates[number % self.crates.len()])
    }
}

/// Finds them. The same lock file and keys give the same people and records.
pub(super) fn find(local: &Local) -> Result<Vec<Person>> {
    let cargo_home = cargo_home()?;
    let options = SurveyOptions {
        roots: registry_sources(&cargo_home)?,
        only: Some(lock_packages(LOCK)?),
        contributors: CONTRIBUTORS,
        crates_each: 4,
        min_records_each: 8,
        records_each: RECORDS_EACH,
        stock_each: STOCK_EACH,
        secret: keccak256(contributor_secret(&local.wallet("curator")?)),
    };
    let found = survey(&options)?;
    anyhow::ensure!(
        found.len() >= CONTRIBUTORS,
        "only {} authors with enough text are among the crates in {}; build with cargo on this machine, or set CARGO_HOME \
         to where cargo keeps its downloads",
        found.len(),
        cargo_home.display()
    );
    found
        .into_iter()
        .map(|contributor| {
            let names: BTreeSet<String> = contributor.crates.iter().map(|krate| krate.name.clone()).collect();
            Ok(Person {
                wallet: local.wallet(&format!("contributor-{}", contributor.key_label))?,
                name: contributor.name,
                records: contributor.records,
                crates: names.into_iter().collect(),
            })
        })
        .collect()
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(path) = env_vars::read(env_vars::CARGO_HOME) {
        return Ok(path.into());
    }
    let home = env_vars::read(env_vars::HOME).context("neither CARGO_HOME nor HOME is set")?;
    Ok(Path::new(&home).join(".cargo"))
}
