//! How well sources are found, and whether what they did for an answer is credited to the right one.
//!
//! # Protocol
//! - *Passages*: the README files of crates that cargo keeps, as prose in canonical chunks, at most four of a crate. *Questions*: the one-line
//!   descriptions in the manifests of the same crates, without the crate's name. A passage is relevant if it is of the question's crate. Reciprocal rank and
//!   recall are those of the crate: of its first passage in the list of ten.
//! - *Facts*: invented sentences about invented people and places, which no model has read. The context of a question holds the sentence that answers it, the
//!   same in other words, and distractors that share its place or its thing; the answer is the right name. Counted is how often the source of the largest credit is
//!   one of the two that hold the answer, by Shapley's value over all subsets and by leaving one out, and how much of the answer's nats the two get together.
//! - *The encoder* is compared with PyTorch on the same files.
//! - *Drawn orders* are compared with all subsets on the same games.

mod facts;
mod passages;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use openledger_attribution::retrieval::{Context, Retriever, credit, shapley};
use openledger_corpus::package::{ALL_MINILM_L6_V2, PipOptions, SMOLLM2_135M_INSTRUCT};
use openledger_model::{Encoder, Message, Model, Pages, Pool, Role};

use crate::Common;
use crate::cost::cost;
use crate::report::{Report, note, progress};
use crate::stats::{SplitMix, bootstrap, positive_shares, total_variation};
use facts::Fact;
use passages::Crate;

/// The first numbers of embeddings as PyTorch 2.15 computes them in `f64` from the same files.
const REFERENCE: [(&str, [f64; 6]); 3] = [
    (
        "A list of crates that parse command-line arguments.",
        [-0.0285933, -0.0096766, -0.0934366, 0.0318830, -0.0051432, -0.0160295],
    ),
    ("Who built the lighthouse?", [-0.0320894, 0.0878260, 0.0054775, 0.0793477, -0.0503728, -0.0577868]),
    (
        "Ünïcode, 日本語 and e-mail@example.org!",
        [-0.0436914, -0.0479426, 0.0449544, -0.0728087, -0.0299808, -0.0077800],
    ),
];
/// How deep the list of a question is looked through.
const LIST: usize = 10;
/// Memory for keys and values of one context.
const PAGES: usize = 256 << 20;
/// Seed of the intervals.
const BOOTSTRAP_SEED: u64 = 1;
/// Seed of what is asked.
const FACT_SEED: u64 = 7;
/// Seed of the drawn orders.
const ORDER_SEED: [u8; 32] = [7; 32];

/// What this area understands beside the common options.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Where cargo keeps the crates it downloaded [default: .cargo in the user's folder]
    #[arg(long, env = "CARGO_HOME", value_name = "DIR")]
    cargo_home: Option<PathBuf>,
}

/// Measures, prints the figures, and writes them if the run is a full one.
pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let mut report = Report::default();
    let pool = Pool::new(match common.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism()?.get(),
    })?;
    search(common, options, &pool, &mut report)?;
    credits(common, &pool, &mut report)?;
    report.print(common.json);
    if common.quick { Ok(()) } else { report.write(&common.out, "retrieval") }
}

fn search(common: &Common, options: &Options, pool: &Pool, report: &mut Report) -> Result<()> {
    let folder = common.home.join("encoder");
    let weights = ALL_MINILM_L6_V2.ensure(&folder, &PipOptions::default(), &mut |_| ())?;
    report.hash("encoder", ALL_MINILM_L6_V2.weights().sha256);
    let encoder = Arc::new(Encoder::load(weights.parent().context("the weights lie in a folder")?)?);
    let mut off = 0.0_f64;
    for (text, expected) in REFERENCE {
        let embedding = encoder.embed(pool, &[text])?.remove(0);
        off = embedding.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(off, f64::max);
    }
    report.figure("embedding_difference_from_reference", off);
    ensure!(off < 1e-5, "embeddings are {off} off what PyTorch computes");
    let most = if common.quick { 12 } else { 300 };
    let crates = report.phase("passages", || passages::read(options.cargo_home.as_deref(), most))?;
    let (mut texts, mut owners) = (Vec::new(), Vec::new());
    for (owner, Crate { chunks, .. }) in crates.iter().enumerate() {
        texts.extend(chunks.iter().map(String::as_str));
        owners.extend(chunks.iter().map(|_| owner));
    }
    report.figure("questions", crates.len());
    report.figure("passages", texts.len());
    // Every passage for itself: what is found is a crate, which may have several.
    let alone = || (0..).take(texts.len()).collect::<Vec<u64>>();
    let words = Retriever::new(pool, None, &texts, alone())?;
    note(format!("embedding {} passages of {} crates", texts.len(), crates.len()));
    let (fused, embedding) = cost(|| Ok(Retriever::new(pool, Some(encoder.clone()), &texts, alone())?))?;
    report.figure("embed_cpu_ms_per_passage", embedding.cpu * 1e3 / texts.len() as f64);
    let first = encoder.embed(pool, &texts[..1])?.remove(0);
    let bytes: Vec<u8> = first.iter().flat_map(|x| x.to_le_bytes()).collect();
    report.hash("embedding_of_first_passage", blake3::hash(&bytes));

    let mut ranks: [Vec<Option<usize>>; 3] = Default::default();
    let ((), searching) = cost(|| {
        for (owner, Crate { question, .. }) in crates.iter().enumerate() {
            let rank = |list: &[usize]| list.iter().position(|passage| owners[*passage] == owner);
            let by_words: Vec<usize> =
                words.search(pool, question, LIST)?.iter().map(|hit| hit.passage).collect();
            let both = fused.search(pool, question, usize::MAX)?;
            let by_both: Vec<usize> = both.iter().take(LIST).map(|hit| hit.passage).collect();
            let mut semantic: Vec<_> = both.into_iter().filter(|hit| hit.semantic_rank.is_some()).collect();
            semantic.sort_by_key(|hit| hit.semantic_rank);
            let by_meaning: Vec<usize> = semantic.iter().take(LIST).map(|hit| hit.passage).collect();
            for (ranks, list) in ranks.iter_mut().zip([&by_words, &by_meaning, &by_both]) {
                ranks.push(rank(list));
            }
        }
        Ok(())
    })?;
    report.figure("search_cpu_ms", searching.cpu * 1e3 / (2 * crates.len()) as f64);
    for (name, ranks) in ["bm25", "embeddings", "fused"].iter().zip(&ranks) {
        let of = |value: &dyn Fn(usize) -> f64| -> Vec<f64> {
            ranks.iter().map(|rank| rank.map_or(0.0, value)).collect()
        };
        let reciprocal = of(&|rank| 1.0 / (rank + 1) as f64);
        report.interval(&format!("mrr10_{name}"), bootstrap(&reciprocal, BOOTSTRAP_SEED));
        for k in [1, 5, 10] {
            let within = of(&|rank| f64::from(u8::from(rank < k)));
            report.interval(&format!("recall{k}_{name}"), bootstrap(&within, BOOTSTRAP_SEED));
        }
    }
    report.table("ranks", &ranks);
    Ok(())
}

fn credits(common: &Common, pool: &Pool, report: &mut Report) -> Result<()> {
    let path =
        SMOLLM2_135M_INSTRUCT.ensure(&common.home.join("base"), &PipOptions::default(), &mut |_| ())?;
    report.hash("base", SMOLLM2_135M_INSTRUCT.weights().sha256);
    let (model, tokenizer) = Model::load_gguf(&path)?;
    let pages = Pages::new(model.config(), PAGES)?;
    let model = Arc::new(model);
    let (count, distractors) = if common.quick { (2, 1) } else { (30, 3) };
    let mut random = SplitMix(FACT_SEED);
    report.seed("facts", FACT_SEED);
    let (mut shapley_right, mut left_out_right, mut shares, mut nats) = (vec![], vec![], vec![], vec![]);
    let (mut errors, mut spent, mut answered, mut games) = (vec![], 0.0, 0.0, vec![]);
    let (mut computed, mut apart) = (0, 0);
    for done in 1..=count {
        let Fact { question, answer, sources, holds } = facts::draw(&mut random, distractors);
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        let conversation = [Message::new(Role::User, question)];
        let answer = tokenizer.answer(&answer)?;
        let context = Context::new(&tokenizer, &sources, &conversation)?;
        let (credit, cost_of_all) =
            cost(|| Ok(credit(&model, None, pool, &pages, (&context, &answer), ORDER_SEED)?))?;
        let (_, cost_of_one) = cost(|| {
            let mut session =
                openledger_model::Session::new(model.clone(), None, pool.clone(), pages.clone())?;
            Ok(session.feed(&[context.prompt(), answer.clone()].concat())?)
        })?;
        spent += cost_of_all.cpu;
        answered += cost_of_one.cpu;
        computed += credit.tokens_computed;
        apart += credit.tokens_apart;
        let all = credit.values.len() - 1;
        let left_out: Vec<f64> =
            (0..sources.len()).map(|i| credit.values[all] - credit.values[all & !(1 << i)]).collect();
        let right = |scores: &[f64]| {
            let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            f64::from(u8::from(best.is_some_and(|best| holds.contains(&best))))
        };
        shapley_right.push(right(&credit.nats));
        left_out_right.push(right(&left_out));
        let parts = positive_shares(&credit.nats);
        shares.push(holds.iter().map(|i| parts[*i]).sum());
        nats.push(credit.with_all - credit.with_none);
        let value = |set: u64| {
            Ok::<_, openledger_attribution::retrieval::Error>(
                credit.values[usize::try_from(set).expect("a set of a few sources")],
            )
        };
        let drawn = shapley::sampled(sources.len(), 16, ORDER_SEED, value)?;
        errors.push(total_variation(&positive_shares(&drawn.values), &parts));
        games.push(credit.values);
        progress("fact", done, count);
    }
    report.figure("facts", count);
    report.figure("sources_of_a_fact", distractors + 2);
    report.interval("fact_top1_shapley", bootstrap(&shapley_right, BOOTSTRAP_SEED));
    report.interval("fact_top1_left_out", bootstrap(&left_out_right, BOOTSTRAP_SEED));
    report.interval("fact_share_shapley", bootstrap(&shares, BOOTSTRAP_SEED));
    report.interval("fact_nats", bootstrap(&nats, BOOTSTRAP_SEED));
    report.interval("drawn_orders_total_variation", bootstrap(&errors, BOOTSTRAP_SEED));
    report.figure("credit_over_forward", spent / answered);
    report.figure("tokens_computed_over_apart", computed as f64 / f64::from(u32::try_from(apart)?));
    report.table("games", games);
    Ok(())
}
