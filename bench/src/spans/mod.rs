//! How fast and how exactly the spans of an answer are found, beside infini-gram on the same tokens.
//!
//! # Protocol
//! - *Corpus*: source and documentation of the crates that cargo keeps, in the order of their paths, as tokens of 16 bits:
//!   words, runs of spaces and single characters, the commonest as one token each, others byte by byte. Every 50th file is
//!   held out. Where there is too little, text of Zipf-distributed words follows, and `generated_tokens` says how much.
//! - *Answers* are runs of 500 tokens from the held-out files. Each is timed once, after others have warmed the caches up.
//!   What is timed is the whole answer as the worker gets it: maximal spans, counts, rarity, text, and the records.
//! - *infini-gram* indexes the same tokens and is asked through its Python interface for the same answers (`attribute`, then
//!   the documents of its pointers) and for the counts of the same n-grams, half of them from the corpus and half held out.
//! - *Edited quotes*: see [`edits`].
//! - CPU seconds are those of the building thread, sorting, checks and directory included; of infini-gram those of the
//!   processes it starts. Bytes per token are those of the files.

mod corpus;
mod edits;
mod infini_gram;
mod tokens;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use openledger_attribution::spans::SpanIndex;

use crate::Common;
use crate::report::{Report, note};
use crate::stats::{SplitMix, bootstrap, mean};
use corpus::{Corpus, Size};

/// Tokens of an answer.
const ANSWER_TOKENS: usize = 500;

/// Seed of what is asked: any number, the same in every run.
const QUERY_SEED: u64 = 1;

/// Seed of the interval.
const BOOTSTRAP_SEED: u64 = 1;

/// Longest n-gram whose occurrences are counted.
const MAX_NGRAM: usize = 12;

/// What this area understands beside the common options.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Where cargo keeps the crates it downloaded [default: .cargo in the user's folder]
    #[arg(long, env = "CARGO_HOME", value_name = "DIR")]
    cargo_home: Option<PathBuf>,
    /// A Python that has infini-gram 2.6.0
    #[arg(long, value_name = "FILE", default_value = "target/infini-gram/venv/bin/python")]
    python: PathBuf,
}

/// What is asked of both.
struct Questions {
    /// Answers to attribute before the clock starts.
    warm_up: Vec<Vec<u32>>,
    answers: Vec<Vec<u32>>,
    ngrams: Vec<Vec<u32>>,
}

/// Measures, prints the figures, and writes them if the run is a full one.
pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let mut report = Report::default();
    let size = if common.quick { Size::QUICK } else { Size::FULL };
    let corpus = report.phase("corpus", || Corpus::read(options.cargo_home.as_deref(), size))?;
    corpus.describe(&mut report);
    let folder = common.home.join("spans").join(&corpus.hash()[..16]);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let index = build(&corpus, &folder, &mut report)?;
    let questions = questions(&corpus, size);
    report.seed("questions", QUERY_SEED);
    let milliseconds = attribute(&index, &corpus, &questions, &mut report)?;
    edits::measure(&index, &corpus, size.quotes, &mut report)?;
    let counts: Vec<usize> = questions.ngrams.iter().map(|ngram| index.count(ngram)).collect();
    if !common.quick {
        match infini_gram::measure(&options.python, &folder, &corpus, &questions)? {
            Some(peer) => compare(&peer, &milliseconds, &counts, &corpus, &mut report),
            None => note(infini_gram::HOW_TO_INSTALL),
        }
    }
    report.print(common.json);
    if common.quick { Ok(()) } else { report.write(&common.out, "spans") }
}

/// Builds the index, writes it, and opens the file.
fn build(corpus: &Corpus, folder: &std::path::Path, report: &mut Report) -> Result<SpanIndex> {
    let before = cpu_seconds()?;
    let built = report.phase("build", || Ok(SpanIndex::build(&corpus.records)?))?;
    let seconds = cpu_seconds()? - before;
    let tokens = corpus.tokens() as f64;
    report.figure("sa_build_cpu_s", seconds);
    report.figure("sa_build_cpu_s_per_40m_tokens", seconds / tokens * 40e6);
    report.figure("bytes_per_token", built.as_bytes().len() as f64 / tokens);
    let path = folder.join("spans.bin");
    let hash = built.save(&path)?;
    drop(built);
    report.hash("index", hash);
    report.phase("open", || Ok(SpanIndex::open(&path, hash)?))
}

fn questions(corpus: &Corpus, size: Size) -> Questions {
    let mut random = SplitMix(QUERY_SEED);
    let runs: Vec<&[u32]> =
        corpus.held_out.iter().filter(|file| file.len() >= ANSWER_TOKENS).map(Vec::as_slice).collect();
    let mut answer = || {
        let file = runs[random.below(runs.len())];
        let start = random.below(file.len() - ANSWER_TOKENS + 1);
        file[start..start + ANSWER_TOKENS].to_vec()
    };
    let warm_up = (0..size.answers / 4).map(|_| answer()).collect();
    let answers = (0..size.answers).map(|_| answer()).collect();
    let records: Vec<&[u32]> = corpus.records.iter().map(|(_, _, tokens)| tokens.as_slice()).collect();
    let mut ngram = |number: usize| {
        let source = if number.is_multiple_of(2) { &records } else { &runs };
        loop {
            let (file, length) = (source[random.below(source.len())], 1 + random.below(MAX_NGRAM));
            if file.len() >= length {
                let start = random.below(file.len() - length + 1);
                return file[start..start + length].to_vec();
            }
        }
    };
    Questions { warm_up, answers, ngrams: (0..size.ngrams).map(&mut ngram).collect() }
}

/// Attributes each answer once and returns the milliseconds.
fn attribute(
    index: &SpanIndex,
    corpus: &Corpus,
    questions: &Questions,
    report: &mut Report,
) -> Result<Vec<f64>> {
    let mut spans = Vec::new();
    let mut milliseconds = Vec::new();
    for (number, answer) in questions.warm_up.iter().chain(&questions.answers).enumerate() {
        let start = Instant::now();
        let found = index.attribute(answer, |tokens| corpus.vocabulary.decode(tokens))?;
        if number >= questions.warm_up.len() {
            milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
            spans.push(found);
        }
    }
    let all = spans.concat();
    ensure!(!all.is_empty(), "no answer has a span: the corpus is too small");
    report.figure("answers", spans.len());
    report.figure("answer_tokens", ANSWER_TOKENS);
    report.figure("spans_per_answer", all.len() as f64 / spans.len() as f64);
    report.figure(
        "span_tokens_mean",
        mean(&all.iter().map(|span| f64::from(span.end - span.start)).collect::<Vec<_>>()),
    );
    report.figure("span_ms_p50", percentile(&milliseconds, 0.50));
    report.figure("span_ms_p99", percentile(&milliseconds, 0.99));
    report.figure("span_ms_mean", mean(&milliseconds));
    report.table("span_ms", &milliseconds);
    report.hash("spans", blake3::hash(&serde_json::to_vec(&spans)?).to_hex());
    Ok(milliseconds)
}

fn compare(
    peer: &infini_gram::Measured,
    milliseconds: &[f64],
    counts: &[usize],
    corpus: &Corpus,
    report: &mut Report,
) {
    let equal = counts.iter().zip(&peer.counts).filter(|(ours, theirs)| ours == theirs).count();
    report.figure("counts_asked", counts.len());
    report.figure("counts_equal", equal);
    report.figure("infinigram_version", &peer.version);
    report.figure("infinigram_build_cpu_s", peer.build_cpu_s);
    report.figure("infinigram_build_wall_s", peer.build_wall_s);
    report.figure("infinigram_bytes_per_token", peer.index_bytes as f64 / corpus.tokens() as f64);
    report.figure("infinigram_ms_p50", percentile(&peer.with_documents_ms, 0.50));
    report.figure("infinigram_ms_p99", percentile(&peer.with_documents_ms, 0.99));
    report.figure("infinigram_without_documents_ms_p50", percentile(&peer.spans_ms, 0.50));
    report.table("infinigram_ms", &peer.with_documents_ms);
    let ratios: Vec<f64> =
        milliseconds.iter().zip(&peer.with_documents_ms).map(|(ours, theirs)| ours / theirs).collect();
    report.interval("span_over_infinigram", bootstrap(&ratios, BOOTSTRAP_SEED));
    report.seed("bootstrap", BOOTSTRAP_SEED);
}

/// The smallest value that at least this part of all values does not exceed.
fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// Seconds that this thread has been computing, from the kernel's scheduler.
fn cpu_seconds() -> Result<f64> {
    let path = "/proc/thread-self/schedstat";
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}, which Linux has"))?;
    let nanoseconds: f64 =
        text.split(' ').next().unwrap_or_default().parse().with_context(|| format!("{path}: {text:?}"))?;
    Ok(nanoseconds / 1e9)
}
