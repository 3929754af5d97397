//! How long one transfer takes until another validator, or the only one, shows it as final.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256};
use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::load::transfer;
use super::rpc::Endpoint;
use super::system::{OpenLedger, System, finality_wallet};
use super::{percentile, sorted};
use crate::report::Report;
use crate::stats::SplitMix;

/// How often the receipt is asked for.
const LOOK: Duration = Duration::from_millis(2);
/// The pause before a sample is up to this long, so that samples do not keep step with blocks.
const PAUSE_MICROSECONDS: usize = 60_000;
const PATIENCE: Duration = Duration::from_secs(60);
const SEED: u64 = 2;

pub(super) async fn measure(system: &OpenLedger, samples: usize, report: &mut Report) -> Result<()> {
    let validators: Vec<_> = system.urls().iter().map(|url| Endpoint::new(url)).collect::<Result<_>>()?;
    let wallet = finality_wallet()?;
    let mut random = SplitMix(SEED);
    let mut times = Vec::with_capacity(samples);
    for (sample, nonce) in (0..samples).zip(0..) {
        let raw = transfer(&wallet, nonce, Address::repeat_byte(9), U256::ONE);
        tokio::time::sleep(Duration::from_micros(random.below(PAUSE_MICROSECONDS) as u64)).await;
        let (sender, other) =
            (&validators[sample % validators.len()], &validators[(sample + 1) % validators.len()]);
        let start = Instant::now();
        let hash = sender.call("eth_sendRawTransaction", json!([raw])).await?;
        while other.call("eth_getTransactionReceipt", json!([hash])).await?.is_null() {
            ensure!(start.elapsed() < PATIENCE, "a transfer is not final after {PATIENCE:?}");
            tokio::time::sleep(LOOK).await;
        }
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let times = sorted(times.into_iter());
    for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
        let time = percentile(&times, part).context("at least one sample")?;
        report.figure(format!("finality_ms_{name}_{}", validators.len()), time);
    }
    report.figure(format!("finality_samples_{}", validators.len()), samples);
    report.seed("finality", SEED);
    report.table(&format!("finality_ms_{}", validators.len()), times);
    Ok(())
}
