//! Whether quotes are found after they were edited, and whose they are said to be.
//!
//! A passage of 40 to 160 tokens of a record, which at most eight records hold, stands between tokens of held-out files
//! in random order (held-out text as it is has matches of its own, which nobody planted). Each token of the passage is edited
//! with the given probability: substituted, preceded by another or left out, equally often. Others are drawn from held-out files.
//!
//! A token of the answer is *claimed* for the record of the best edited span over it, else of the longest verbatim one
//! (any of the records that are listed) that is rarer than what chance gives: its bits number more than all pairs of tokens. *Precision* is the part of the claimed tokens that stand in the passage and are
//! claimed for a record that holds the quote; *recall* the part of the passage's tokens that are so. `edit_place_precision`
//! takes any record for a right one: files of other versions of a package are much the same, and a passage may by its edits be nearer to one
//! that does not hold the quote. `verbatim_recall` is recall without edited spans.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Result, ensure};
use openledger_attribution::spans::{MAX_MATCHES, SpanIndex};
use openledger_types::B256;
use openledger_types::receipt::Span;

use super::corpus::Corpus;
use super::percentile;
use crate::report::Report;
use crate::stats::{SplitMix, bootstrap};

/// Parts of the tokens that are edited, percent.
const RATES: [usize; 4] = [0, 10, 25, 50];

/// Seed of the quotes and their edits; the thresholds of the search were not chosen on it.
const SEED: u64 = 20_261_122;

/// Tokens of a quote.
const QUOTE_TOKENS: std::ops::RangeInclusive<usize> = 40..=160;

/// Unrelated tokens before and after it.
const FILLER_TOKENS: usize = 150;

/// How many passages are looked at for one quote.
const TRIES: usize = 1000;

/// An answer with a passage in it.
struct Planted {
    answer: Vec<u32>,
    passage: std::ops::Range<usize>,
    /// Records that hold the quote.
    owners: BTreeSet<B256>,
}

/// Plants, searches, and makes figures of each rate.
pub(super) fn measure(index: &SpanIndex, corpus: &Corpus, quotes: usize, report: &mut Report) -> Result<()> {
    report.seed("edits", SEED);
    report.figure("edit_quotes", quotes);
    let mut milliseconds = Vec::new();
    for rate in RATES {
        let mut random = SplitMix(SEED + rate as u64);
        let (mut right, mut verbatim, mut claimed, mut inside, mut planted) = (0, 0, 0, 0, 0);
        let mut parts = Vec::new();
        for _ in 0..quotes {
            let example = plant(index, corpus, rate, &mut random)?;
            let spans = index.attribute(&example.answer, apart)?;
            let start = Instant::now();
            let edited = index.edited(&example.answer, apart)?;
            milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
            let by_words = claims(&example, &spans, corpus);
            let mut all = by_words.clone();
            let mut best: Vec<_> = edited.iter().collect();
            best.sort_by_key(|span| span.score_millibits);
            for span in best {
                let is_right = example.owners.contains(&span.source.record);
                all[span.start as usize..span.end as usize].fill(Some(is_right));
            }
            let is_right = |claims: &[Option<bool>]| {
                claims[example.passage.clone()].iter().filter(|claim| **claim == Some(true)).count()
            };
            verbatim += is_right(&by_words);
            claimed += all.iter().flatten().count();
            inside += all[example.passage.clone()].iter().flatten().count();
            planted += example.passage.len();
            right += is_right(&all);
            parts.push(is_right(&all) as f64 / example.passage.len() as f64);
        }
        report.figure(format!("edit_precision_{rate}"), right as f64 / claimed as f64);
        report.figure(format!("edit_place_precision_{rate}"), inside as f64 / claimed as f64);
        report.figure(format!("edit_recall_{rate}"), right as f64 / planted as f64);
        report.figure(format!("verbatim_recall_{rate}"), verbatim as f64 / planted as f64);
        report.interval(&format!("edit_recall_quote_mean_{rate}"), bootstrap(&parts, super::BOOTSTRAP_SEED));
    }
    report.figure("edit_ms_p50", percentile(&milliseconds, 0.50));
    report.figure("edit_ms_p99", percentile(&milliseconds, 0.99));
    Ok(())
}

/// What is claimed of each token by verbatim spans alone: whether one of the records is right.
fn claims(example: &Planted, spans: &[Span], corpus: &Corpus) -> Vec<Option<bool>> {
    let mut claims = vec![None; example.answer.len()];
    let by_chance = (corpus.tokens() as f64 * example.answer.len() as f64).log2() * 1e3;
    let mut by_length: Vec<_> =
        spans.iter().filter(|span| span.rarity_millibits as f64 > by_chance).collect();
    by_length.sort_by_key(|span| span.end - span.start);
    for span in by_length {
        let is_right = span.matches.iter().any(|found| example.owners.contains(&found.record));
        claims[span.start as usize..span.end as usize].fill(Some(is_right));
    }
    claims
}

fn plant(index: &SpanIndex, corpus: &Corpus, rate: usize, random: &mut SplitMix) -> Result<Planted> {
    for _ in 0..TRIES {
        let (_, _, record) = &corpus.records[random.below(corpus.records.len())];
        let length = QUOTE_TOKENS.start() + random.below(QUOTE_TOKENS.end() - QUOTE_TOKENS.start() + 1);
        if record.len() < length {
            continue;
        }
        let start = random.below(record.len() - length + 1);
        let quote = &record[start..start + length];
        let found = index.attribute(quote, apart)?;
        ensure!(found.len() == 1 && found[0].text.len() == length, "a quote is one span of itself");
        let owners: BTreeSet<B256> = found[0].matches.iter().map(|place| place.record).collect();
        if found[0].occurrences as usize > MAX_MATCHES {
            continue;
        }
        let mut answer = filler(corpus, random);
        let before = answer.len();
        for token in quote {
            match (random.below(100) < rate, random.below(3)) {
                (false, _) => answer.push(*token),
                (true, 0) => answer.push(other(corpus, random)),
                (true, 1) => answer.extend([other(corpus, random), *token]),
                (true, _) => (),
            }
        }
        let passage = before..answer.len();
        answer.extend(filler(corpus, random));
        return Ok(Planted { answer, passage, owners });
    }
    anyhow::bail!("no passage of the corpus stands in at most {MAX_MATCHES} records")
}

fn filler(corpus: &Corpus, random: &mut SplitMix) -> Vec<u32> {
    (0..FILLER_TOKENS).map(|_| other(corpus, random)).collect()
}

fn other(corpus: &Corpus, random: &mut SplitMix) -> u32 {
    loop {
        let file = &corpus.held_out[random.below(corpus.held_out.len())];
        if !file.is_empty() {
            return file[random.below(file.len())];
        }
    }
}

/// One character for a token, none of them a letter: no word is cut.
fn apart(tokens: &[u32]) -> String {
    ".".repeat(tokens.len())
}
