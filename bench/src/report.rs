//! Figures with their names, printed one per line and kept with what they were measured on.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a report is for")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::stats::Interval;

/// What a run measured, in the order of measuring.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<(String, Value)>,
    hashes: Map<String, Value>,
    seeds: Map<String, Value>,
    tables: Map<String, Value>,
}

impl Report {
    /// A figure.
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: impl Serialize) {
        self.figures.push((name.into(), json!(value)));
    }

    /// A mean with its 95 % interval, as three figures.
    pub(crate) fn interval(&mut self, name: &str, interval: Interval) {
        self.figure(name, interval.mean);
        self.figure(format!("{name}_ci_low"), interval.low);
        self.figure(format!("{name}_ci_high"), interval.high);
    }

    /// A hash that names an input or an output.
    pub(crate) fn hash(&mut self, name: &str, hash: impl ToString) {
        self.hashes.insert(name.into(), hash.to_string().into());
    }

    /// A seed.
    pub(crate) fn seed(&mut self, name: &str, seed: impl ToString) {
        self.seeds.insert(name.into(), seed.to_string().into());
    }

    /// Raw numbers behind the figures, so that they can be computed again without the run.
    pub(crate) fn table(&mut self, name: &str, table: impl Serialize) {
        self.tables.insert(name.into(), json!(table));
    }

    /// Times a phase, says that it began, and makes a figure of its seconds.
    pub(crate) fn phase<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("{name} ...");
        let start = Instant::now();
        let result = work()?;
        self.figure(format!("seconds_{name}"), start.elapsed().as_secs_f64());
        Ok(result)
    }

    /// A figure that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(figure, _)| figure == name)?.1.as_f64()
    }

    /// Prints all figures, one `name: value` per line, or everything as one JSON object.
    pub(crate) fn print(&self, as_json: bool) {
        if as_json {
            println!("{}", self.document());
            return;
        }
        for (name, hash) in &self.hashes {
            println!("hash_{name}: {}", plain(hash));
        }
        for (name, value) in &self.figures {
            println!("{name}: {}", plain(value));
        }
    }

    /// Writes everything to `<folder>/<area>.json`.
    pub(crate) fn write(&self, folder: &Path, area: &str) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let path = folder.join(format!("{area}.json"));
        let mut text = serde_json::to_string_pretty(&self.document())?;
        text.push('\n');
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("written to {}", path.display());
        Ok(())
    }

    fn document(&self) -> Value {
        json!({
            "command": std::env::args().skip(1).fold("openledger-bench".to_owned(), |all, a| all + " " + &a),
            "commit": commit(),
            "seeds": self.seeds,
            "hashes": self.hashes,
            "machine": machine(),
            "figures": self.figures.iter().cloned().collect::<Map<_, _>>(),
            "tables": self.tables,
        })
    }
}

/// A line for the person who waits.
pub(crate) fn note(line: impl AsRef<str>) {
    eprintln!("{}", line.as_ref());
}

/// A line for every tenth part of a phase.
pub(crate) fn progress(what: &str, done: usize, all: usize) {
    let tenth = all.div_ceil(10).max(1);
    if done.is_multiple_of(tenth) || done == all {
        note(format!("  {what} {done} of {all}"));
    }
}

/// A line of the table on standard output.
pub(crate) fn row(line: impl AsRef<str>) {
    println!("{}", line.as_ref());
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            let x = number.as_f64().unwrap_or(f64::NAN);
            if x != 0.0 && x.abs() < 1e-3 { format!("{x:.3e}") } else { format!("{x:.4}") }
        }
        other => other.to_string(),
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

fn machine() -> Value {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    json!({
        "cpu": model.unwrap_or("unknown"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "build": if cfg!(debug_assertions) { "dev" } else { "release" },
    })
}
