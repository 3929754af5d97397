//! What was found: every property with its figures over the seeds.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a report is for")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::plan::{Outcome, Property};
use super::{ELSEWHERE, PROPERTIES, plot};

/// Outcomes by property, in the order of the seeds.
#[derive(Debug, Default)]
pub(crate) struct Report {
    outcomes: BTreeMap<&'static str, Vec<(u64, Outcome)>>,
}

/// A figure over the seeds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) mean: f64,
    pub(crate) most: f64,
}

impl Report {
    pub(crate) fn add(&mut self, property: &Property, seed: u64, outcome: Outcome) {
        self.outcomes.entry(property.id).or_default().push((seed, outcome));
    }

    fn of(&self, id: &str) -> &[(u64, Outcome)] {
        self.outcomes.get(id).map_or(&[], Vec::as_slice)
    }

    /// Seeds in which a property did not hold.
    fn failed(&self, id: &str) -> Vec<u64> {
        self.of(id).iter().filter(|(_, outcome)| !outcome.holds).map(|(seed, _)| *seed).collect()
    }

    /// The figures of a property over the seeds, in their order.
    fn figures(&self, id: &str) -> Vec<(&'static str, Spread)> {
        let Some((_, first)) = self.of(id).first() else { return Vec::new() };
        first.figures.iter().map(|(name, _)| (*name, self.spread(id, name))).collect()
    }

    /// A figure over the seeds.
    pub(crate) fn spread(&self, id: &str, name: &str) -> Spread {
        let values: Vec<f64> = self.of(id).iter().filter_map(|(_, outcome)| outcome.figure(name)).collect();
        Spread {
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            mean: super::plan::mean(&values),
            most: super::plan::largest(values),
        }
    }

    /// Prints a property.
    pub(crate) fn say(&self, property: &Property, json: bool) {
        let failed = self.failed(property.id);
        let verdict =
            if failed.is_empty() { "holds".to_owned() } else { format!("FAILS in seeds {failed:?}") };
        let mut lines = vec![format!("{} {verdict}: {}", property.id, property.claim)];
        for (name, Spread { least, mean, most }) in self.figures(property.id) {
            lines.push(format!("  {name}: {mean:.6} ({least:.6} to {most:.6})"));
        }
        let text = lines.join("\n");
        if json { eprintln!("{text}") } else { println!("{text}") }
    }

    pub(crate) fn finish(&self, seeds: u64, json: bool) {
        if json {
            println!("{}", self.document(seeds));
        } else {
            let held = PROPERTIES.iter().filter(|property| self.failed(property.id).is_empty()).count();
            println!("properties_held: {held} of {}", PROPERTIES.len());
        }
    }

    /// Writes `economy.json` and the plot beside it.
    pub(crate) fn write(&self, folder: &Path, seeds: u64) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let mut text = serde_json::to_string_pretty(&self.document(seeds))?;
        text.push('\n');
        for (name, text) in [("economy.json", text), ("economy.svg", plot::draw(self))] {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            eprintln!("written to {}", path.display());
        }
        Ok(())
    }

    fn document(&self, seeds: u64) -> Value {
        let properties: Map<String, Value> = PROPERTIES
            .iter()
            .map(|property| {
                let figures: Map<String, Value> = self
                    .figures(property.id)
                    .into_iter()
                    .map(|(name, Spread { least, mean, most })| {
                        (name.to_owned(), json!({ "least": least, "mean": mean, "most": most }))
                    })
                    .collect();
                let failed = self.failed(property.id);
                let value = json!({
                    "claim": property.claim, "protected_by": property.protection, "holds": failed.is_empty(), "failed_seeds": failed, "figures": figures,
                });
                (property.id.to_owned(), value)
            })
            .collect();
        let arguments = std::env::args().skip(1).fold("openledger-sim".to_owned(), |all, a| all + " " + &a);
        json!({
            "command": arguments,
            "commit": commit(),
            "seeds": (1..=seeds).collect::<Vec<_>>(),
            "properties": properties,
            "not_played": ELSEWHERE.iter().map(|(id, why)| ((*id).to_owned(), json!(why))).collect::<Map<_, _>>(),
        })
    }
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match (git(&["rev-parse", "HEAD"]), git(&["status", "--porcelain", "--untracked-files=no"])) {
        (Some(head), Some(changes)) if changes.is_empty() => head,
        (Some(head), _) => format!("{head} with changes"),
        _ => "unknown".into(),
    }
}
