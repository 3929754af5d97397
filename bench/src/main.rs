#![doc = include_str!("../README.md")]

mod attribution;
mod cache;
mod chain;
mod cost;
mod datamodel;
mod heads;
mod process;
mod protocol;
mod report;
mod retrieval;
mod scheduler;
mod serve;
mod soak;
mod spans;
mod stats;
mod train;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures one area, with its peers, and prints a figure per line.
#[derive(Debug, Parser)]
#[command(name = "openledger-bench", version)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    area: Area,
}

/// What every area understands.
#[derive(Debug, Args)]
struct Common {
    /// The same code on a smaller input, done in a minute
    #[arg(long, global = true)]
    quick: bool,
    /// Folder for downloads and for what an interrupted run goes on from
    #[arg(long, global = true, value_name = "DIR", default_value = "target/openledger-bench")]
    home: PathBuf,
    /// Threads; no result depends on them [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
    /// Where a full run writes its results
    #[arg(long, global = true, value_name = "DIR", default_value = "bench/results")]
    out: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Area {
    /// How well influence predicts retraining without each contributor
    Attribution(attribution::Options),
    /// Transactions a second and time to finality, beside anvil
    Chain(chain::Options),
    /// How well influence predicts refitting a classification head, on handwritten digits
    Heads(heads::Options),
    /// Many adapters behind one base: throughput, loads, fairness of memory, churn
    Scheduler(scheduler::Options),
    /// Gas of every operation, claims of one large batch, properties over random histories
    Protocol(protocol::Options),
    /// How well sources of an answer are found and credited
    Retrieval(retrieval::Options),
    /// How fast and how exactly the spans of an answer are found, beside infini-gram
    Spans(spans::Options),
    /// Tokens a CPU second with and without adapters, beside llama.cpp
    Serve(serve::Options),
    /// Churn through the HTTP server: no wrong answer, no leak, no stall
    Soak(soak::Options),
    /// CPU seconds of a LoRA step, beside PyTorch with PEFT
    Train(train::Options),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match &cli.area {
        Area::Attribution(options) => attribution::run(&cli.common, options),
        Area::Chain(options) => chain::run(&cli.common, options),
        Area::Heads(options) => heads::run(&cli.common, options),
        Area::Scheduler(options) => scheduler::run(&cli.common, options),
        Area::Protocol(options) => protocol::run(&cli.common, options),
        Area::Retrieval(options) => retrieval::run(&cli.common, options),
        Area::Spans(options) => spans::run(&cli.common, options),
        Area::Serve(options) => serve::run(&cli.common, options),
        Area::Soak(options) => soak::run(&cli.common, options),
        Area::Train(options) => train::run(&cli.common, options),
    }
}
