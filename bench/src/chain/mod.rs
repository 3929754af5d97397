//! How many transactions a second a network takes, from JSON-RPC to finality, beside `anvil`.
//!
//! # Protocol
//! - *Transfers* are EIP-1559 transfers, signed before the clock starts: the same bytes for every system, nonces of an
//!   account in order on one connection. Recipients are drawn out of ten thousand addresses.
//! - *Systems* are processes on this machine: `openledger testnet` with one and with four validators, fresh folders,
//!   every validator with its own state, index and fsyncs; and `anvil --block-time 1 --gas-limit 2000000000
//!   --prune-history 50`, the fastest settings found for it. Each run starts fresh ones; runs of the systems alternate.
//! - *Submission*: JSON-RPC batches of 250 over four connections, spread over the validators, each connection waiting for
//!   its answer before the next batch. What a full pool refuses is sent again.
//! - `transfer_tps_*` is transfers over the seconds from the first request until the last transfer is in a block that the
//!   first validator shows, which for `openledger` is a finalised one. The median of the runs counts.
//! - `finality_ms_*_4` is the time from sending one transfer to a validator until *another* validator shows its receipt,
//!   on an otherwise idle network, asked for every two milliseconds.
//! - `executor_tps` executes the same transfers in blocks of 60 million gas over a state in memory, on one thread,
//!   senders known; `recovery_tps` recovers the senders, on one thread.
//! - `cpu_us_per_transfer_*` is processor time of all processes of the system over the transfers.
//! - `load_before` is how many tasks of others wanted a processor before the first run: well below the number of cores on
//!   a quiet machine. A busy one lowers every rate; the systems alternate, so that ratios suffer less.

mod executor;
mod finality;
mod load;
mod rpc;
mod system;
mod throughput;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::Common;
use crate::report::{self, Report};
use load::Transfers;
use system::{Anvil, OpenLedger};
use throughput::Throughput;

/// What this area understands beside the common options.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// The openledger binary to measure [default: built from this source]
    #[arg(long, value_name = "FILE")]
    openledger: Option<PathBuf>,
    /// The anvil binary [default: where npm puts it below the home folder, else what PATH finds]
    #[arg(long, value_name = "FILE")]
    anvil: Option<PathBuf>,
}

/// How much is measured.
struct Size {
    accounts: usize,
    transfers_each: usize,
    runs: usize,
    finality_samples: usize,
}

impl Size {
    const FULL: Self = Self { accounts: 1_000, transfers_each: 50, runs: 3, finality_samples: 200 };
    const QUICK: Self = Self { accounts: 200, transfers_each: 50, runs: 1, finality_samples: 40 };
}

/// Measures, prints the figures, and writes them if the run is a full one.
pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let mut report = Report::default();
    let size = if common.quick { Size::QUICK } else { Size::FULL };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(measure(common, options, &size, &mut report))?;
    report.print(common.json);
    if common.quick { Ok(()) } else { report.write(&common.out, "chain") }
}

async fn measure(common: &Common, options: &Options, size: &Size, report: &mut Report) -> Result<()> {
    let folder = common.home.join("chain");
    let program = match &options.openledger {
        Some(program) => program.clone(),
        None => system::build()?,
    };
    let anvil = Anvil::find(options.anvil.as_deref(), &common.home);
    if anvil.is_none() {
        report::note(Anvil::how_to_get(&common.home));
    }
    report.figure("load_before", load());
    let transfers = report.phase("sign", || Transfers::sign(size.accounts, size.transfers_each))?;
    report.figure("transfers", transfers.len());
    report.figure("accounts", size.accounts);
    executor::measure(&transfers, size.runs, report)?;

    let mut runs: [Vec<Throughput>; 3] = Default::default();
    for run in 0..size.runs {
        for (validators, kept) in [(1, 0), (4, 1)] {
            report::note(format!("run {} of {}: {validators} validators", run + 1, size.runs));
            let system = OpenLedger::start(&program, &folder, validators)?;
            system.fund(&transfers).await?;
            runs[kept].push(throughput::measure(&system, &transfers).await?);
            if validators == 4 && run == 0 {
                finality::measure(&system, size.finality_samples, report).await?;
            }
            system.stop()?;
        }
        if let Some(anvil) = &anvil {
            report::note(format!("run {} of {}: anvil", run + 1, size.runs));
            let system = anvil.start().await?;
            system.fund(&transfers).await?;
            runs[2].push(throughput::measure(&system, &transfers).await?);
            system.stop()?;
        }
    }
    let [one, four, peer] = &runs;
    describe("1", one, report)?;
    describe("4", four, report)?;
    if !peer.is_empty() {
        describe("anvil", peer, report)?;
        ratio("transfer_over_anvil_1", one, peer, report);
        ratio("transfer_over_anvil_4", four, peer, report);
    }
    Ok(())
}

/// The load average over the last minute; none where the system has none.
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Median, spread and costs of one system's runs.
fn describe(name: &str, runs: &[Throughput], report: &mut Report) -> Result<()> {
    let tps = sorted(runs.iter().map(|run| run.tps));
    report.figure(format!("transfer_tps_{name}"), median(&tps).context("at least one run")?);
    report.figure(format!("transfer_tps_{name}_least"), tps.first());
    report.figure(format!("transfer_tps_{name}_most"), tps.last());
    let cpu = sorted(runs.iter().map(|run| run.cpu_us_per_transfer));
    report.figure(format!("cpu_us_per_transfer_{name}"), median(&cpu));
    report.table(&format!("runs_{name}"), runs);
    Ok(())
}

/// The ratio of the medians, between the least and the most that any two runs give.
fn ratio(name: &str, ours: &[Throughput], peer: &[Throughput], report: &mut Report) {
    let (ours, peer) = (sorted(ours.iter().map(|run| run.tps)), sorted(peer.iter().map(|run| run.tps)));
    let over = |ours: Option<f64>, peer: Option<f64>| ours.zip(peer).map(|(ours, peer)| ours / peer);
    report.figure(name, over(median(&ours), median(&peer)));
    report.figure(format!("{name}_least"), over(ours.first().copied(), peer.last().copied()));
    report.figure(format!("{name}_most"), over(ours.last().copied(), peer.first().copied()));
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The middle value of sorted ones; the lower of two.
fn median(sorted: &[f64]) -> Option<f64> {
    percentile(sorted, 0.5)
}

/// The value that this part of sorted ones does not exceed.
fn percentile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((part * last as f64).floor() as usize).copied()
}
