//! The linear datamodeling score: whether sums of record scores rank what retraining without random sets of records does.
//!
//! For a fraction of the records, subsets of that size are drawn and each is left out (weight 0, the denominators of the batches unchanged). A method's
//! prediction for a subset and a query is the sum of its scores over the subset; the truth is the query's `-log p` after retraining. The score
//! is Spearman's correlation over the subsets, averaged over the queries; intervals resample queries and subsets together.
//!
//! *Fixed seed* keeps initialisation and order: what became of *this* adapter. *New seeds* train every subset anew with other ones and take the mean:
//! what the algorithm does with the data. No prediction can correlate with that mean better than it does with itself, had it been measured
//! again: the noise ceiling is the square root of that reliability (Spearman and Brown's formula over the pairs of seeds).

use std::path::Path;

use anyhow::Result;
use openledger_model::{Lora, Pool};
use openledger_train::{HeldOut, Options, Run, train};
use openledger_types::B256;

use super::methods::Predictions;
use super::scenario::Scenario;
use crate::cache;
use crate::datamodel::{self, Drawn};
use crate::report::{self, Report};
use crate::stats::{mean, spearman};

/// Seed of the draws.
const SUBSET_SEED: u64 = 3;

/// The part that is left out under new seeds.
const NEW_SEED_DROP: usize = 50;

/// How much is retrained.
#[derive(Debug, Clone)]
pub(super) struct Size {
    /// Subsets of each size; 0 leaves all of this out.
    pub(super) subsets: usize,
    /// Which parts of the records are left out, in percent.
    pub(super) drops: Vec<usize>,
    /// How many queries; all where none is given.
    pub(super) queries: Option<usize>,
    /// Further seeds per subset.
    pub(super) new_seeds: usize,
}

impl Size {
    /// Which of the queries, spread evenly.
    pub(super) fn picked(&self, queries: usize) -> Vec<usize> {
        let count = if self.subsets == 0 { 0 } else { self.queries.unwrap_or(queries).min(queries) };
        (0..count).map(|number| number * queries / count).collect()
    }
}

/// Retrains, scores every method that speaks of single queries and records, and returns the lines of the table.
pub(super) fn measure(
    scenario: &Scenario,
    run: &Run,
    held_out: &HeldOut,
    methods: &[Predictions],
    size: &Size,
    folder: &Path,
    report: &mut Report,
) -> Result<Vec<String>> {
    report.seed("subsets", SUBSET_SEED);
    report.figure("lds_subsets", size.subsets);
    report.figure("lds_queries", held_out.records().count());
    let folder = folder.join(format!("lds-{}", held_out.records().count()));
    let mut drawn = Vec::new();
    for drop in size.drops.iter().copied() {
        let name = format!("{drop}pct");
        let dropped = draw(run, drop, size.subsets);
        let losses =
            report.phase(&format!("lds_{name}"), || retrain(run, held_out, &dropped, &folder.join(&name)))?;
        drawn.push(Drawn { name, dropped, losses });
    }
    if size.new_seeds > 0 {
        drawn.push(new_seeds(scenario, run, held_out, size, &folder, report)?);
    }
    let mut table = vec![header(&drawn)];
    for method in methods.iter().filter(|m| !m.records_by_query.is_empty()) {
        let mut line = format!("{:<10}", method.name);
        for drawn in &drawn {
            let score = drawn.score(&method.records_by_query);
            report.interval(&format!("lds_{}_{}", drawn.name, method.name), score);
            line += &format!(" | {:>6.3} [{:>6.3}, {:>6.3}]", score.mean, score.low, score.high);
        }
        table.push(line);
    }
    for drawn in &drawn {
        report.table(&format!("lds_losses_{}", drawn.name), &drawn.losses);
        report.table(&format!("lds_dropped_{}", drawn.name), &drawn.dropped);
    }
    Ok(table)
}

fn header(drawn: &[Drawn]) -> String {
    drawn.iter().fold(format!("{:<10}", "LDS"), |line, d| line + &format!(" | {:>23}", d.name))
}

/// Subsets of the records that training takes.
fn draw(run: &Run, percent: usize, subsets: usize) -> Vec<Vec<usize>> {
    let trained: Vec<usize> =
        run.last_visits().iter().enumerate().filter_map(|(record, visit)| visit.map(|_| record)).collect();
    datamodel::draw(&trained, percent, subsets, SUBSET_SEED)
}

/// The queries' losses without each subset, by query and subset. Each retraining is kept in `folder`.
fn retrain(run: &Run, held_out: &HeldOut, dropped: &[Vec<usize>], folder: &Path) -> Result<Vec<Vec<f64>>> {
    std::fs::create_dir_all(folder)?;
    let queries = held_out.records().count();
    let mut losses = vec![Vec::with_capacity(dropped.len()); queries];
    for (number, subset) in dropped.iter().enumerate() {
        let without = cache::vector(&folder.join(number.to_string()), queries, || {
            let mut weights = vec![1.0; run.records()];
            subset.iter().for_each(|record| weights[*record] = 0.0);
            let options = Options { weights: Some(&weights), ..Options::default() };
            let trained = train(run, options, &mut |_| ())?;
            Ok(held_out.losses(Some(Lora { config: run.lora(), theta: &trained.state.theta }))?)
        })?;
        losses.iter_mut().zip(without).for_each(|(query, loss)| query.push(loss));
        report::progress("subset", number + 1, dropped.len());
    }
    Ok(losses)
}

/// The same subsets trained with other seeds: the mean of their losses, and the ceiling as a figure.
fn new_seeds(
    scenario: &Scenario,
    run: &Run,
    held_out: &HeldOut,
    size: &Size,
    folder: &Path,
    report: &mut Report,
) -> Result<Drawn> {
    let dropped = draw(run, NEW_SEED_DROP, size.subsets);
    let name = format!("{NEW_SEED_DROP}pct_new_seed");
    let by_seed = report.phase(&format!("lds_{name}"), || {
        (0..size.new_seeds)
            .map(|number| {
                let seed = B256::from(*blake3::hash(format!("new seed {number}").as_bytes()).as_bytes());
                let other = scenario.prepare_with(&Pool::new(run.pool().threads())?, seed)?;
                retrain(&other, held_out, &dropped, &folder.join(format!("{name}-{number}")))
            })
            .collect::<Result<Vec<_>>>()
    })?;
    let pairs: Vec<f64> = (0..by_seed.len())
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .flat_map(|(a, b)| {
            by_seed[a].iter().zip(&by_seed[b]).map(|(x, y)| spearman(x, y)).collect::<Vec<_>>()
        })
        .collect();
    if !pairs.is_empty() {
        report.figure(format!("lds_{name}_ceiling"), ceiling(mean(&pairs), size.new_seeds));
    }
    let losses = (0..held_out.records().count())
        .map(|query| {
            (0..dropped.len())
                .map(|subset| mean(&by_seed.iter().map(|losses| losses[query][subset]).collect::<Vec<_>>()))
                .collect()
        })
        .collect();
    Ok(Drawn { name, dropped, losses })
}

/// The largest correlation with the mean over `seeds` measurements of which two correlate by `agreement`.
fn ceiling(agreement: f64, seeds: usize) -> f64 {
    let (r, k) = (agreement.max(0.0), seeds as f64);
    (k * r / (1.0 + (k - 1.0) * r)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_the_root_of_the_reliability() {
        // Two seeds that agree by 0.5: the mean has reliability 2 · 0.5 / 1.5.
        assert!((ceiling(0.5, 2) - (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((ceiling(0.25, 1) - 0.5).abs() < 1e-12);
        assert_eq!(ceiling(-0.2, 2), 0.0);
    }
}
