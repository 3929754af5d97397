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

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::Cli;
use crate::show::Show;

/// The storage engine warns of every empty log that it makes.
const DEFAULT_LOG: &str = "warn,commonware_storage=error";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = env_vars::read(env_vars::LOG).unwrap_or_else(|| DEFAULT_LOG.to_owned());
    // A message that cannot be written, as on a full disk, is no reason to panic.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .init();
    let show = Show::new(cli.json);
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
