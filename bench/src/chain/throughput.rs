//! All transfers as fast as they are taken, until the last is in a block.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::json;

use super::load::Transfers;
use super::rpc::Endpoint;
use super::system::System;

/// Transfers of one request.
const BATCH: usize = 250;
const CONNECTIONS: usize = 4;
/// Before what a full pool refused is sent again.
const FULL_PAUSE: Duration = Duration::from_millis(20);
/// How often the newest block is asked for.
const LOOK: Duration = Duration::from_millis(10);
/// How long nothing may be included.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one run gave.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Throughput {
    /// Transfers a second from the first request to the last inclusion.
    pub(super) tps: f64,
    /// Until the last request was answered.
    pub(super) submit_seconds: f64,
    /// Blocks that hold transfers.
    pub(super) blocks: u64,
    /// Processor time of the system.
    pub(super) cpu_us_per_transfer: f64,
}

pub(super) async fn measure(system: &impl System, transfers: &Transfers) -> Result<Throughput> {
    let urls = system.urls();
    let work: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let endpoint = Endpoint::new(&urls[number % urls.len()])?;
            Ok((endpoint, transfers.of_connection(number, CONNECTIONS)))
        })
        .collect::<Result<_>>()?;
    let watch = Endpoint::new(&urls[0])?;
    let first = watch.quantity("eth_blockNumber", json!([])).await?;
    let cpu = system.cpu_seconds()?;

    let start = Instant::now();
    let mut sending = tokio::task::JoinSet::new();
    for (endpoint, mine) in work {
        sending.spawn(async move {
            submit(&endpoint, &mine).await?;
            anyhow::Ok(start.elapsed())
        });
    }
    let included = wait(&watch, first, transfers.len() as u64);
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
    let count = transfers.len() as f64;
    Ok(Throughput {
        tps: count / seconds,
        submit_seconds: submitted.as_secs_f64(),
        blocks,
        cpu_us_per_transfer: (system.cpu_seconds()? - cpu) * 1e6 / count,
    })
}

async fn submit(endpoint: &Endpoint, transfers: &[String]) -> Result<()> {
    for batch in transfers.chunks(BATCH) {
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
            "{included} of {count} transfers were included, then none any more"
        );
    }
    Ok(blocks)
}
