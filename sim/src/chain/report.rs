//! What many seeds came to.

use super::{Judged, properties::Broken};
use anyhow::Context;
use openledger_chain::simulate::{Byzantine, Ended, Event, Link, Scenario};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

/// Sums over the seeds.
#[derive(Default)]
pub(crate) struct Report {
    first: u64,
    seeds: u64,
    by_size: BTreeMap<usize, u64>,
    byzantine: BTreeMap<&'static str, u64>,
    punished: u64,
    changed: u64,
    crashes: u64,
    partitioned: u64,
    blocks: u64,
    transactions: u64,
    elapsed: Duration,
    pub(crate) failed: Vec<(u64, Broken)>,
}

fn kind(byzantine: Byzantine) -> &'static str {
    match byzantine {
        Byzantine::Conflicting => "conflicting votes",
        Byzantine::Nullifying => "finalising what was given up",
        Byzantine::Silent => "silent",
        Byzantine::Twins => "twins",
        Byzantine::Altering(_) => "invalid blocks",
    }
}

/// A scenario in a line.
pub(crate) fn describe(scenario: &Scenario) -> String {
    let crashes = scenario.events.iter().filter(|(_, event)| matches!(event, Event::Crash(_))).count();
    let kinds: Vec<_> = scenario.byzantine.values().map(|byzantine| kind(*byzantine)).collect();
    let byzantine = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
    let validators = scenario.genesis.validators.len();
    let spare = scenario.keys.len() - validators;
    format!(
        "{validators} validators and {spare} that follow at first, Byzantine: {byzantine}; {crashes} crashes, {} events",
        scenario.events.len()
    )
}

/// Height of the highest chain.
pub(crate) fn blocks(ended: &Ended) -> u64 {
    ended.views.iter().map(|view| view.blocks.len() as u64).max().unwrap_or_default().saturating_sub(1)
}

impl Report {
    pub(crate) fn new(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    pub(crate) fn add(&mut self, seed: u64, scenario: &Scenario, judged: &Result<Judged, Broken>) {
        self.seeds += 1;
        *self.by_size.entry(scenario.genesis.validators.len()).or_default() += 1;
        for byzantine in scenario.byzantine.values() {
            *self.byzantine.entry(kind(*byzantine)).or_default() += 1;
        }
        let cut =
            |(_, event): &(Duration, Event)| matches!(event, Event::Link { link, .. } if *link == Link::CUT);
        self.partitioned += u64::from(scenario.events.iter().any(cut));
        match judged {
            Ok(Judged { ended, punished, changed }) => {
                self.punished += punished;
                self.changed += changed;
                self.crashes += ended.crashes;
                self.blocks += blocks(ended);
                self.transactions += ended.sent as u64;
            }
            Err(broken) => self.failed.push((seed, broken.clone())),
        }
    }

    pub(crate) fn finish(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }

    pub(crate) fn summary(&self) -> String {
        format!(
            "{} seeds in {:.1} s, {} failed: {} blocks, {} transactions, {} crashes, {} partitioned, {} slashed, \
             {} changes of validators",
            self.seeds,
            self.elapsed.as_secs_f64(),
            self.failed.len(),
            self.blocks,
            self.transactions,
            self.crashes,
            self.partitioned,
            self.punished,
            self.changed
        )
    }

    /// Everything as JSON.
    pub(crate) fn document(&self) -> Value {
        let failed: Vec<Value> = self
            .failed
            .iter()
            .map(|(seed, broken)| json!({ "seed": seed, "property": broken.property, "reason": broken.reason }))
            .collect();
        json!({
            "command": format!("openledger-sim chain --seeds {} --seed {} --record", self.seeds, self.first),
            "commit": commit(),
            "build": if cfg!(debug_assertions) { "dev" } else { "release" },
            "seeds": self.seeds,
            "failed": failed,
            "seconds": self.elapsed.as_secs_f64(),
            "networks_by_validators": self.by_size,
            "byzantine_validators": self.byzantine,
            "validators_slashed_for_double_votes": self.punished,
            "epochs_with_other_validators": self.changed,
            "crashes": self.crashes,
            "networks_partitioned": self.partitioned,
            "blocks_finalised": self.blocks,
            "transactions_finalised": self.transactions,
        })
    }

    /// Writes it to a file.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(&self.document())? + "\n";
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }
}

fn commit() -> String {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let hash = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    hash.map_or_else(|| "unknown".to_owned(), |hash| String::from_utf8_lossy(&hash).trim().to_owned())
}
