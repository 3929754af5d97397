//! Networks of validators: a scenario for each seed, run and judged.

mod draw;
mod properties;
mod report;
#[cfg(test)]
mod tests;

use anyhow::ensure;
use clap::Args;
use openledger_chain::simulate::{self, Ended, Failure, Scenario};
use properties::{Broken, Checked};
use report::Report;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Most seeds of one call.
const MAX_SEEDS: u64 = 1_000_000;

/// What is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Start no further seed after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// Write the result to `chain.json` among the results
    #[arg(long)]
    record: bool,
}

/// Runs the seeds one after another.
///
/// # Errors
/// If a property does not hold for one of them.
pub(crate) fn run(options: &Options, out: &Path, json: bool) -> anyhow::Result<()> {
    let Options { seeds, seed: first, seconds, record } = options;
    ensure!((1..=MAX_SEEDS).contains(seeds), "--seeds {seeds}: 1 to {MAX_SEEDS} are accepted");
    let start = Instant::now();
    let mut report = Report::new(*first);
    for seed in (*first..).take(usize::try_from(*seeds)?) {
        if seconds.is_some_and(|seconds| start.elapsed() > Duration::from_secs(seconds)) {
            break;
        }
        let scenario = draw::scenario(seed);
        let described = report::describe(&scenario);
        let judged = judge(&scenario);
        report.add(seed, &scenario, &judged);
        let line = match &judged {
            Ok(Judged { ended, .. }) => {
                format!("ok, {} blocks, trace {}", report::blocks(ended), ended.trace)
            }
            Err(broken) => format!("{broken}\n  again with: openledger-sim chain --seed {seed}"),
        };
        if !json {
            print(&format!("seed {seed}: {described}: {line}"));
        }
    }
    report.finish(start.elapsed());
    print(&if json { report.document().to_string() } else { report.summary() });
    if *record {
        report.write(&out.join("chain.json"))?;
    }
    ensure!(report.failed.is_empty(), "{} of the seeds break a property", report.failed.len());
    Ok(())
}

/// A run in which every property holds.
#[derive(Debug)]
struct Judged {
    ended: Ended,
    /// Validators that were slashed for voting twice.
    punished: u64,
    /// Epochs with other keys than the one before.
    changed: u64,
}

/// Runs a scenario and checks every property.
fn judge(scenario: &Scenario) -> Result<Judged, Broken> {
    let ended = simulate::run(scenario).map_err(|failure| {
        let property = match &failure {
            Failure::Fork(_) => "agreement",
            Failure::Stuck(_) => "liveness",
            Failure::Panic(_) => "no member stops by itself",
            Failure::Scenario(_) | Failure::Other(_) => "the simulation runs",
        };
        Broken { property, reason: failure.to_string() }
    })?;
    let Checked { punished, changed } = properties::check(scenario, &ended.views)?;
    Ok(Judged { ended, punished, changed })
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn print(line: &str) {
    println!("{line}");
}
