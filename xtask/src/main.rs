#![doc = include_str!("../README.md")]
#![expect(clippy::print_stdout, reason = "a command for people prints")]

mod ci;
mod layers;
mod tidy;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "House rules of OpenLedger")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must hold before a change lands: format, layout, lints, tests, docs, the whole flow, foreign clients.
    Ci {
        /// Leave out the checks with foreign clients, which need npm and pip.
        #[arg(long)]
        offline: bool,
    },
    /// The layout of the house: layers, names, READMEs, sizes.
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Ci { offline } => ci::run(offline),
        Command::Tidy => tidy::run(),
    }
}
