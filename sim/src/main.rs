#![doc = include_str!("../README.md")]

mod economy;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

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
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match &cli.plan {
        Plan::Economy(options) => economy::run(options, &cli.out, cli.json),
    }
}
