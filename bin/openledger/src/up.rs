//! Validator, worker and gateway until interrupted.

use std::time::Duration;

use alloy_primitives::U256;
use anyhow::{Context, Result};
use openledger_gateway::Gateway;
use openledger_worker::operator::Limits;
use serde_json::json;

use crate::args::UpArgs;
use crate::base::Base;
use crate::connection::{Connection, Endpoints};
use crate::home::Home;
use crate::local::Local;
use crate::show::Show;
use crate::stack::Stack;

/// How long requests under way may take to end once the gateway is told to.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) async fn run(home: &Home, threads: usize, args: &UpArgs, show: &Show) -> Result<()> {
    let local = Local::open(home)?;
    let connection = Connection::start(home, &local, args.http).await?;
    let base = Base::of(home)?;
    show.line(format!("chain {} at {}", connection.client.chain_id(), connection.rpc_url()));
    let machine = show.step("loading the base model", base.load(home, threads, &show.progress())).await?;
    let unpaid = args.unpaid.unwrap_or(U256::MAX);
    let limits = Limits { unpaid, ..Limits::default() };
    let stack = Stack::open(home, &local, &connection.client, machine, limits, show.progress()).await?;
    let gateway = Gateway::serve(stack.operator.clone(), args.gateway).await?;
    let defending = tokio::spawn(stack.defend(args.appeal_bonds)?);
    let endpoints = Endpoints { rpc: connection.rpc_url().to_owned(), gateway: gateway.address() };
    endpoints.write(home)?;
    let models: Vec<String> = stack.operator.adapters().iter().map(|adapter| adapter.name.clone()).collect();
    if models.is_empty() {
        show.line("no model is served yet: train one with `openledger model train`, then start again");
    }
    show.line(format!(
        "OpenAI-compatible gateway at http://{}/v1, models: {}",
        gateway.address(),
        models.join(", ")
    ));
    show.line("interrupt with Ctrl-C");
    show.result(&json!({
        "rpc": endpoints.rpc, "gateway": format!("http://{}", gateway.address()), "models": models,
        "chain_id": connection.client.chain_id(),
    }));
    let mut epoch = tokio::time::interval(Duration::from_secs(60 * args.epoch_minutes));
    // The first tick is at once; what an earlier run left unfinished is settled then.
    let mut signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("cannot listen for signals")?;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = signal.recv() => break,
            _ = epoch.tick() => match stack.settle().await {
                Ok(settled) => {
                    for batch in settled {
                        show.line(format!("batch {} of epoch {} settled: {:?}", batch.id, batch.file.epoch, batch.verdict));
                    }
                }
                // The answers stay pending; the next epoch tries again.
                Err(error) => show.error(&error),
            },
        }
    }
    show.line("stopping");
    defending.abort();
    let path = home.endpoints_file();
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    gateway.shutdown(GRACE).await?;
    connection.close().await
}
