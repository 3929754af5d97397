//! `serve`: tokens a CPU second of decoding and prefill beside llama.cpp, with and without adapters, and what integers cost in quality.
//!
//! One thread and CPU seconds, because the machine is shared: neither depends much on what else runs. Rounds take every engine in turn, and a ratio is of the same
//! round. llama.cpp is compared in the better of Q8_0 and BF16; the file as shipped (Q4_1) is in the table.

mod kernels;
mod llama;
mod perplexity;

use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use openledger_corpus::package::{PipOptions, SMOLLM2_135M_INSTRUCT};
use openledger_model::{Model, Pool, Target};
use serde_json::json;

use crate::Common;
use crate::cost::{Cost, load, read};
use crate::report::{Report, note};
use crate::stats::bootstrap;
use kernels::{Case, Kernels};

/// Options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds that take every engine in turn
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
}

/// Bytes of each of two buffers whose reading gives the speed of memory: far more than a cache holds.
const BUFFER: usize = 256 << 20;
const SEED: u64 = 1;

/// Measures and reports.
pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let mut report = Report::default();
    let rounds = if common.quick { 1 } else { options.rounds };
    let path =
        SMOLLM2_135M_INSTRUCT.ensure(&common.home.join("base"), &PipOptions::default(), &mut |_| ())?;
    let (model, tokenizer) = Model::load_gguf(&path)?;
    let model = Arc::new(model);
    let kernels = Kernels::new(&model, 1)?;
    report.hash("base", SMOLLM2_135M_INSTRUCT.weights().sha256);
    report.seed("bootstrap", SEED);
    report.figure("load_before", load());

    let mut peers = if common.quick { Vec::new() } else { llama::start(&common.home, &path, 1)? };
    speeds(&mut report, &kernels, &mut peers, model.serving_bytes(), rounds)?;
    drop(peers);
    adapters(&mut report, &kernels, rounds)?;

    let threads = common.threads.map_or_else(|| std::thread::available_parallelism().map(usize::from), Ok)?;
    let most = if common.quick { 1024 } else { 4608 };
    let quality = perplexity::measure(&model, &tokenizer, &Pool::new(threads)?, most)?;
    report.hash("text", quality.hash);
    report.figure("perplexity_tokens", quality.tokens);
    report.figure("perplexity_exact", quality.exact);
    report.figure("perplexity_ratio", quality.ratio);
    report.figure("load_after", load());

    report.print(common.json);
    if !common.quick {
        report.write(&common.out, "serve")?;
    }
    Ok(())
}

/// Tokens a CPU second by case and engine, and of memory.
fn speeds(
    report: &mut Report,
    kernels: &Kernels,
    peers: &mut [llama::Llama],
    token_bytes: usize,
    rounds: usize,
) -> Result<()> {
    let cases = [
        Case::Decode { rows: 1, steps: 48 },
        Case::Decode { rows: 8, steps: 12 },
        Case::Decode { rows: 32, steps: 4 },
        Case::Prefill { tokens: 512 },
    ];
    // Not zeros, which the system would give one page for.
    let buffers = (vec![1u8; BUFFER], vec![1u8; BUFFER]);
    let mut table = Vec::new();
    let mut over_limit = Vec::new();
    for case in cases {
        kernels.measure(case, &[])?;
        let (mut own, mut ratios) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            note(format!("{} {} of {rounds}", case.name(), round + 1));
            let (speed, wall) =
                (|cost: Cost| case.tokens() as f64 / cost.cpu, |cost: Cost| case.tokens() as f64 / cost.wall);
            let cost = kernels.measure(case, &[])?;
            let ours = speed(cost);
            let mut line = json!({
                "case": case.name(), "round": round, "load": load(), "openledger": ours, "openledger_wall": wall(cost),
            });
            let mut best = 0.0f64;
            for peer in &mut *peers {
                let cost = peer.measure(case)?;
                let theirs = speed(cost);
                line[format!("llamacpp_{}", peer.format)] = json!(theirs);
                line[format!("llamacpp_{}_wall", peer.format)] = json!(wall(cost));
                if peer.format != "q4_1" {
                    best = best.max(theirs);
                }
            }
            if best > 0.0 {
                ratios.push(ours / best);
            }
            if case.name() == "decode_1" {
                let bytes_a_second = 2.0 * BUFFER as f64 / read(&buffers)?.cpu;
                line["bytes_a_cpu_second"] = json!(bytes_a_second);
                over_limit.push(ours * token_bytes as f64 / bytes_a_second);
            }
            own.push(ours);
            table.push(line);
        }
        report.interval(&format!("{}_tokens_a_cpu_second", case.name()), bootstrap(&own, SEED));
        if !ratios.is_empty() {
            report.interval(&format!("{}_over_llamacpp", case.name()), bootstrap(&ratios, SEED));
        }
    }
    report.figure("bytes_a_token", token_bytes);
    report.interval("decode_1_over_limit", bootstrap(&over_limit, SEED));
    report.table("speeds", table);
    Ok(())
}

/// 32 rows with as many adapters beside 32 rows of the base.
fn adapters(report: &mut Report, kernels: &Kernels, rounds: usize) -> Result<()> {
    let case = Case::Decode { rows: 32, steps: 6 };
    let mut table = Vec::new();
    for (name, rank, targets) in [
        ("mixed_32_over_base", 8, &[Target::Q, Target::V][..]),
        ("mixed_32_all_linear_r16_over_base", 16, &Target::ALL),
    ] {
        let adapters = kernels.adapters(32, rank, targets)?;
        let mut ratios = Vec::new();
        for round in 0..rounds.max(3) {
            let base = kernels.measure(case, &[])?.cpu;
            let mixed = kernels.measure(case, &adapters)?.cpu;
            let again = kernels.measure(case, &[])?.cpu;
            ratios.push((base + again) / 2.0 / mixed);
            table.push(
                json!({"what": name, "round": round, "base": [base, again], "mixed": mixed, "load": load()}),
            );
        }
        report.interval(name, bootstrap(&ratios, SEED));
    }
    report.table("adapters_cpu_seconds", table);
    Ok(())
}
