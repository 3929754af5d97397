#![doc = include_str!("../README.md")]

mod chain;
mod economy;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Plays whole systems by plan and seed, and says which properties held.
#[derive(Debug, Parser)]
#[command(name = "openledger-sim", version)]
struct Cli {
    /// Where results are written
    #[arg(long, global = true, value_name = "DIR", default_value = "sim/results")]
    out: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    plan: Plan,
}

#[derive(Debug, Subcommand)]
enum Plan {
    /// Payers, contributors, developers, operators, verifiers, stakers and their attackers on the modules of the chain
    Economy(economy::Options),
    /// Networks of validators under delays, losses, partitions, crashes and Byzantine members
    Chain(chain::Options),
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        // Byzantine members give reason enough for errors; RUST_LOG shows them.
        .with_env_filter(
            EnvFilter::builder().with_default_directive(LevelFilter::OFF.into()).from_env_lossy(),
        )
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    match &cli.plan {
        Plan::Economy(options) => economy::run(options, &cli.out, cli.json),
        Plan::Chain(options) => chain::run(options, &cli.out, cli.json),
    }
}
