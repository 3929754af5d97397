//! How many transactions a second a network takes, from JSON-RPC to finality, beside `anvil`, and what a block costs as the
//! state grows.
//!
//! # Protocol
//! - *Loads* are EIP-1559 transactions, signed before the clock starts: the same bytes for every system, nonces of an account
//!   in order on one connection. `transfer` pays a wei to one of ten thousand addresses, `erc20` a unit of OpenZeppelin's token
//!   (as its published package has it compiled), `open` a wei through the ERC-20 face of the coin, `deposit` a wei into the
//!   escrow of payers. The last two are calls of modules, so only `openledger` has them. A run in which a transaction reverts
//!   does not count.
//! - *Systems* are processes on this machine: `openledger testnet` with one and with four validators, fresh folders,
//!   every validator with its own state, index and fsyncs; and `anvil --block-time 1 --gas-limit 2000000000
//!   --prune-history 50`, the fastest settings found for it. Each run starts fresh ones; runs of the systems alternate.
//! - *Submission*: JSON-RPC batches of 250 over four connections, spread over the validators, each connection waiting for
//!   its answer before the next batch. What a full pool refuses is sent again.
//! - `<load>_tps_*` is transactions over the seconds from the first request until the last is in a block that the
//!   first validator shows, which for `openledger` is a finalised one. The median of the runs counts.
//! - `finality_ms_*` is the time from sending one transfer to a validator until *another* validator (the same one, where it is
//!   the only one) shows its receipt, on an otherwise idle network, asked for every two milliseconds.
//! - `executor_tps` executes the same transfers in blocks of 60 million gas over a state in memory, on one thread,
//!   senders known; `recovery_tps` recovers the senders, on one thread.
//! - `cpu_us_per_<load>_*` is processor time of all processes of the system over the transactions. Of that of transfers,
//!   `recovery_share_*` is what recovering each sender once at every validator takes by `recovery_tps`, and
//!   `execution_share_*` what executing each transfer once at every validator takes by `executor_tps`; the rest is JSON-RPC, pool,
//!   state store, index, consensus and what validators tell each other. The tables split it by threads.
//! - `state_block_ms_<accounts>` is what a block of equal content costs in a state of that many accounts (`growth`);
//!   `state_growth_ratio` is the last over the first.
//! - `load_before` is how many tasks of others wanted a processor before the first run: well below the number of cores on
//!   a quiet machine. A busy one lowers every rate; the systems alternate, so that ratios suffer less.

mod executor;
mod finality;
mod growth;
mod load;
mod rpc;
mod system;
mod throughput;
mod token;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::Common;
use crate::cost;
use crate::report::{self, Report};
use load::{Accounts, Action, Load};
pub(crate) use system::build;
use system::{Anvil, OpenLedger, System};
use throughput::Throughput;
use token::Token;

/// What this area understands beside the common options.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// The openledger binary to measure [default: built from this source]
    #[arg(long, value_name = "FILE")]
    openledger: Option<PathBuf>,
    /// The anvil binary [default: where npm puts it below the home folder, else what PATH finds]
    #[arg(long, value_name = "FILE")]
    anvil: Option<PathBuf>,
    /// Only the transfers of each system, in some minutes; prints and writes nothing
    #[arg(long)]
    transfers: bool,
}

/// How much is measured.
struct Size {
    accounts: usize,
    transfers_each: u64,
    calls_each: u64,
    runs: usize,
    finality_samples: usize,
    state_accounts: &'static [usize],
    state_blocks: usize,
}

impl Size {
    const FULL: Self = Self {
        accounts: 1_000,
        transfers_each: 50,
        calls_each: 20,
        runs: 3,
        finality_samples: 200,
        state_accounts: &[10_000, 100_000, 1_000_000],
        state_blocks: 100,
    };
    const QUICK: Self = Self {
        accounts: 50,
        transfers_each: 20,
        calls_each: 5,
        runs: 1,
        finality_samples: 20,
        state_accounts: &[1_000, 4_000],
        state_blocks: 10,
    };
}

/// What the runs gave, by system and load.
type Runs = BTreeMap<(&'static str, &'static str), Vec<Throughput>>;

/// Names of the systems in figures, with their validators.
const NETWORKS: [(&str, u16); 2] = [("1", 1), ("4", 4)];
const ANVIL: &str = "anvil";

/// Measures, prints the figures, and writes them if the run is a full one.
pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let mut report = Report::default();
    let size = if common.quick { Size::QUICK } else { Size::FULL };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(measure(common, options, &size, &mut report))?;
    report.print(common.json);
    if common.quick || options.transfers { Ok(()) } else { report.write(&common.out, "chain") }
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
    let token = Token::find(&common.home)?;
    match &token {
        Some(token) => report.hash("token", token.code_hash()),
        None => report::note(Token::how_to_get(&common.home)),
    }
    report.figure("load_before", cost::load());
    let mut accounts = Accounts::new(size.accounts)?;
    let mut loads = report.phase("sign", || Ok(sign(&mut accounts, size, token.as_ref())))?;
    if options.transfers {
        loads.truncate(1);
    }
    let accounts = accounts.addresses();
    report.seed("load", load::SEED);
    report.figure("accounts", accounts.len());
    for load in &loads {
        report.figure(format!("{}_count", load.action.name()), load.len());
    }
    let transfers = loads.first().context("transfers are a load")?;
    executor::measure(transfers, size.runs, report)?;

    if !options.transfers {
        let system = OpenLedger::start(&program, &folder, 1)?;
        growth::measure(&system, size.state_accounts, size.state_blocks, report).await?;
        system.stop()?;
    }

    let mut runs = Runs::new();
    for run in 0..size.runs {
        for (name, validators) in NETWORKS {
            report::note(format!("run {} of {}: {validators} validators", run + 1, size.runs));
            let system = OpenLedger::start(&program, &folder, validators)?;
            system.prepare(&accounts, token.as_ref()).await?;
            for load in &loads {
                let throughput = throughput::measure(&system, load).await?;
                runs.entry((name, load.action.name())).or_default().push(throughput);
            }
            if run == 0 && !options.transfers {
                finality::measure(&system, size.finality_samples, report).await?;
            }
            system.stop()?;
        }
        if let Some(anvil) = &anvil {
            report::note(format!("run {} of {}: anvil", run + 1, size.runs));
            let system = anvil.start().await?;
            system.prepare(&accounts, token.as_ref()).await?;
            for load in loads.iter().filter(|load| !load.action.is_of_a_module()) {
                let throughput = throughput::measure(&system, load).await?;
                runs.entry((ANVIL, load.action.name())).or_default().push(throughput);
            }
            system.stop()?;
        }
    }
    for ((system, load), runs) in &runs {
        describe(system, load, runs, report)?;
    }
    for (name, validators) in NETWORKS {
        for load in &loads {
            compare(name, load.action.name(), &runs, report);
        }
        limits(name, validators, report);
    }
    Ok(())
}

/// The loads in the order in which every system gets them; a system may leave the last ones out.
fn sign(accounts: &mut Accounts, size: &Size, token: Option<&Token>) -> Vec<Load> {
    let erc20 = token.map(|token| Action::Erc20(token.address()));
    let calls = [erc20, Some(Action::Open), Some(Action::Deposit)];
    let mut loads = vec![accounts.sign(Action::Transfer, size.transfers_each)];
    loads.extend(calls.into_iter().flatten().map(|action| accounts.sign(action, size.calls_each)));
    loads
}

/// Median, spread and costs of one system's runs of a load.
fn describe(system: &str, load: &str, runs: &[Throughput], report: &mut Report) -> Result<()> {
    let tps = sorted(runs.iter().map(|run| run.tps));
    report.figure(format!("{load}_tps_{system}"), median(&tps).context("at least one run")?);
    report.figure(format!("{load}_tps_{system}_least"), tps.first());
    report.figure(format!("{load}_tps_{system}_most"), tps.last());
    let cpu = sorted(runs.iter().map(|run| run.cpu_us));
    report.figure(format!("cpu_us_per_{load}_{system}"), median(&cpu));
    report.table(&format!("runs_{load}_{system}"), runs);
    Ok(())
}

/// Which part of the processor time of a transfer goes to the two costs that are measured alone.
fn limits(system: &str, validators: u16, report: &mut Report) {
    let Some(all) = report.number(&format!("cpu_us_per_transfer_{system}")) else { return };
    for (part, rate) in [("recovery", "recovery_tps"), ("execution", "executor_tps")] {
        let share = report.number(rate).map(|rate| f64::from(validators) * 1e6 / rate / all);
        report.figure(format!("{part}_share_{system}"), share);
    }
}

/// The ratio of the medians to those of `anvil`, between the least and the most that any two runs give.
fn compare(system: &'static str, load: &'static str, runs: &Runs, report: &mut Report) {
    let (Some(ours), Some(peer)) = (runs.get(&(system, load)), runs.get(&(ANVIL, load))) else { return };
    let name = format!("{load}_over_anvil_{system}");
    let (ours, peer) = (sorted(ours.iter().map(|run| run.tps)), sorted(peer.iter().map(|run| run.tps)));
    let over = |ours: Option<f64>, peer: Option<f64>| ours.zip(peer).map(|(ours, peer)| ours / peer);
    report.figure(name.clone(), over(median(&ours), median(&peer)));
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
