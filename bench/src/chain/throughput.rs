//! All transactions of a load as fast as they are taken, until the last is in a block.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::json;

use super::load::Load;
use super::rpc::Endpoint;
use super::system::System;

/// Transactions of one request.
const BATCH: usize = 250;
const CONNECTIONS: usize = 4;
/// Before what a full pool refused is sent again.
const FULL_PAUSE: Duration = Duration::from_millis(20);
/// How often the newest block is asked for.
const LOOK: Duration = Duration::from_millis(10);
/// How long nothing may be included.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one run gave.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Throughput {
    /// Transactions a second from the first request to the last inclusion.
    pub(super) tps: f64,
    /// Until the last request was answered.
    pub(super) submit_seconds: f64,
    /// Blocks that hold them.
    pub(super) blocks: u64,
    /// Processor time of the system, by transaction.
    pub(super) cpu_us: f64,
    /// The same by the names of the threads that are left; short-lived ones are missing.
    pub(super) cpu_us_by_thread: BTreeMap<String, f64>,
}

pub(super) async fn measure(system: &impl System, load: &Load) -> Result<Throughput> {
    let urls = system.urls();
    let work: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let endpoint = Endpoint::new(&urls[number % urls.len()])?;
            Ok((endpoint, load.of_connection(number, CONNECTIONS)))
        })
        .collect::<Result<_>>()?;
    let watch = Endpoint::new(&urls[0])?;
    let first = watch.quantity("eth_blockNumber", json!([])).await?;
    let (cpu, threads) = (system.cpu_seconds()?, system.cpu_by_thread()?);

    let start = Instant::now();
    let mut sending = tokio::task::JoinSet::new();
    for (endpoint, mine) in work {
        sending.spawn(async move {
            submit(&endpoint, &mine).await?;
            anyhow::Ok(start.elapsed())
        });
    }
    let included = wait(&watch, first, load.len() as u64);
    tokio::pin!(included);
    let mut submitted = Duration::ZERO;
    // A refusal ends the run at once.
    let blocks = loop {
        tokio::select! {
            blocks = &mut included => break blocks?,
            Some(sent) = sending.join_next() => submitted = submitted.max(sent??),
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    while let Some(sent) = sending.join_next().await {
        submitted = submitted.max(sent??);
    }
    let count = load.len() as f64;
    let cpu_us = (system.cpu_seconds()? - cpu) * 1e6 / count;
    let cpu_us_by_thread = system
        .cpu_by_thread()?
        .into_iter()
        .map(|(name, spent)| {
            let before = threads.get(&name).copied().unwrap_or_default();
            (name, (spent - before) * 1e6 / count)
        })
        .collect();
    all_succeeded(&watch, first, load.len()).await?;
    Ok(Throughput {
        tps: count / seconds,
        submit_seconds: submitted.as_secs_f64(),
        blocks,
        cpu_us,
        cpu_us_by_thread,
    })
}

/// Looks at the receipts of the blocks above `from`: what reverts costs less than what is measured.
async fn all_succeeded(endpoint: &Endpoint, from: u64, count: usize) -> Result<()> {
    let newest = endpoint.quantity("eth_blockNumber", json!([])).await?;
    let mut succeeded = 0;
    for number in from + 1..=newest {
        let receipts = endpoint.call("eth_getBlockReceipts", json!([format!("{number:#x}")])).await?;
        let receipts = receipts.as_array().with_context(|| format!("block {number} has no receipts"))?;
        succeeded += receipts.iter().filter(|receipt| receipt["status"] == "0x1").count();
    }
    ensure!(succeeded == count, "{succeeded} of {count} transactions succeeded");
    Ok(())
}

async fn submit(endpoint: &Endpoint, signed: &[String]) -> Result<()> {
    for batch in signed.chunks(BATCH) {
        let mut left: Vec<&str> = batch.iter().map(String::as_str).collect();
        loop {
            let again = endpoint.send(&left).await?;
            if again.is_empty() {
                break;
            }
            left = again.into_iter().map(|place| left[place]).collect();
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }
    Ok(())
}

/// Waits until the blocks above `from` hold `count` transactions; how many blocks hold any.
async fn wait(endpoint: &Endpoint, from: u64, count: u64) -> Result<u64> {
    let (mut seen, mut included, mut blocks) = (from, 0, 0);
    let mut last = Instant::now();
    while included < count {
        tokio::time::sleep(LOOK).await;
        let newest = endpoint.quantity("eth_blockNumber", json!([])).await?;
        while seen < newest {
            seen += 1;
            let number = format!("{seen:#x}");
            let held = endpoint.quantity("eth_getBlockTransactionCountByNumber", json!([number])).await?;
            included += held;
            if held > 0 {
                blocks += 1;
                last = Instant::now();
            }
        }
        ensure!(
            last.elapsed() < PATIENCE,
            "{included} of {count} transactions were included, then none any more"
        );
    }
    Ok(blocks)
}
