//! The protocol: gas of its operations, claims of one large batch, and properties over random histories.
//!
//! - *Gas*: one transaction per operation, in a block of its own, on the executor of the chain. `gas_<module>_<operation>` is
//!   what its sender pays for, with the 21,000 of any transaction.
//! - *Posting*: the same batch with 10 and with 1,000,000 answers. `post_gas_per_answer_ratio` is the gas of the second over
//!   that of the first: 1 if posting does not grow with the answers.
//! - *Claims*: every account of one batch claims its payout with its proof.
//! - *Histories*: random calls to all modules, checked after every call (`openledger_protocol::history`).

mod chain;
mod claims;
mod gas;
mod histories;

use anyhow::Result;
use clap::Args;

use crate::Common;
use crate::report::Report;

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Random histories [default: 10000, 100 with --quick]
    #[arg(long, value_name = "N")]
    histories: Option<u64>,
    /// Calls of a history
    #[arg(long, value_name = "N", default_value_t = 200)]
    calls: usize,
    /// Seed of the first history; the others follow
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Accounts that claim from one batch [default: 100000, 2000 with --quick]
    #[arg(long, value_name = "N")]
    claims: Option<usize>,
}

pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let mut report = Report::default();
    let operations = report.phase("gas", gas::measure)?;
    for (name, gas) in &operations {
        report.figure(format!("gas_{name}"), gas);
    }
    let small = chain::post_gas(10)?;
    let large = chain::post_gas(1_000_000)?;
    report.figure("post_gas_10_answers", small);
    report.figure("post_gas_1000000_answers", large);
    report.figure("post_gas_per_answer_ratio", large as f64 / small as f64);
    let count = options.claims.unwrap_or(if common.quick { 2_000 } else { 100_000 });
    claims::measure(count, &mut report)?;
    let histories = options.histories.unwrap_or(if common.quick { 100 } else { 10_000 });
    let threads =
        common.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    report.seed("first_history", options.seed);
    histories::measure(options.seed, histories, options.calls, threads, &mut report)?;
    report.print(common.json);
    if common.quick { Ok(()) } else { report.write(&common.out, "protocol") }
}
