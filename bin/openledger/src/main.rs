#![doc = include_str!("../README.md")]

mod args;
mod base;
mod commands;
mod connection;
mod demo;
mod env_vars;
mod home;
mod local;
mod node;
mod shelf;
mod show;
mod stack;
mod testnet;
mod unpaid;
mod up;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::Cli;
use crate::show::Show;

/// The storage engine warns of every empty log that it makes.
const DEFAULT_LOG: &str = "warn,commonware_storage=error";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let show = Show::new(cli.json);
    if let Err(error) = start_log() {
        show.error(&error);
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(cli, &show)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            show.error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard error what happens, for people or, one JSON object a line, for programs.
fn start_log() -> Result<()> {
    let filter = env_vars::read(env_vars::LOG).unwrap_or_else(|| DEFAULT_LOG.to_owned());
    let filter = EnvFilter::try_new(&filter).with_context(|| {
        format!("{}={filter} is not a filter such as info,openledger_chain=debug", env_vars::LOG)
    })?;
    // A message that cannot be written, as on a full disk, is no reason to panic.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match env_vars::read(env_vars::LOG_FORMAT).as_deref() {
        None | Some("text") => log.init(),
        Some("json") => log.json().flatten_event(true).init(),
        Some(other) => bail!("{}={other}: the log is written as text or as json", env_vars::LOG_FORMAT),
    }
    Ok(())
}
