//! What each method says, before anybody retrains.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use openledger_attribution::influence::{
    Index, Objective, ReplayOptions, Tangents, baselines, replay, replay_each, tangents,
};
use openledger_attribution::retrieval::Bm25;
use openledger_train::{Run, Trajectory, Transcript};

use super::money::Epoch;
use super::objective;
use super::scenario::Scenario;
use super::truth::Truth;
use crate::cache;
use crate::report::{self, Report, note};
use crate::stats::SplitMix;

/// Damping of the exact empirical Fisher, as a multiple of the mean squared gradient: the better end of what was swept in
/// our study on other data (10⁻² to 10⁻³), not tuned here.
const FISHER_DAMPING: f64 = 1e-2;

/// Queries that are replayed together, and lost together by a kill.
const AT_ONCE: usize = 6;

const RANDOM_SEED: u64 = 2;
const TRAK_SEED: u64 = 5;

/// Predicted rises of `-log p`.
pub(crate) struct Predictions {
    /// Of the method.
    pub(crate) name: &'static str,
    /// By query and contributor; empty if the method was asked about all queries together only.
    pub(crate) by_query: Vec<Vec<f64>>,
    /// By query and record, of the queries that are replayed ([`Place::replays`]).
    pub(crate) records_by_query: Vec<Vec<f64>>,
    /// By record, for the weighted sum of all queries.
    pub(crate) by_record: Vec<f64>,
    /// Whether the scores of records are nats.
    pub(crate) in_nats: bool,
    /// Seconds that the method took beyond training and the queries' gradients.
    pub(crate) seconds: f64,
}

/// Where results are kept, and how much is computed.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The run's folder.
    pub(crate) folder: &'a Path,
    /// Whether the metagradient is carried forward for every contributor.
    pub(crate) tangents: bool,
    /// The queries for which it is also carried backwards, which says what every record did for them.
    pub(crate) replays: &'a [usize],
}

/// Every method's predictions, the exact one first.
pub(crate) fn all(
    scenario: &Scenario,
    run: &Run,
    truth: &Truth,
    epoch: &Epoch,
    place: Place<'_>,
    report: &mut Report,
) -> Result<Vec<Predictions>> {
    let mut all = vec![exact(scenario, run, truth, epoch, place, report)?];
    let start = Instant::now();
    let index = Index::of_run(run, &truth.trained)?;
    let each = |score: &dyn Fn(&[f32]) -> Result<Vec<f64>>| -> Result<Vec<Vec<f64>>> {
        truth.gradients.iter().map(|q| score(q)).collect()
    };
    let mut add = |name, in_nats, seconds: f64, start: Instant, scores: Vec<Vec<f64>>| {
        let by_query = scores.iter().map(|s| by_contributor(scenario, s)).collect();
        let by_record = epoch.over_queries(&scores);
        all.push(Predictions {
            name,
            by_query,
            records_by_query: place.replays.iter().map(|q| scores[*q].clone()).collect(),
            by_record,
            in_nats,
            seconds: seconds + start.elapsed().as_secs_f64(),
        });
    };
    let scores = each(&|q| Ok(index.scores(q)?))?;
    add("estimate", true, 0.0, start, scores);

    let start = Instant::now();
    note("final_gradients ...");
    let gradients = baselines::final_gradients(run, &truth.theta, &mut |_, _| ())?;
    let shared = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let fisher = baselines::empirical_fisher(&gradients, FISHER_DAMPING)?;
    add("fisher", false, shared, start, each(&|q| Ok(fisher.scores(q)?))?);

    let start = Instant::now();
    let datainf = baselines::DataInf::new(run.layout(), &gradients)?;
    add("datainf", false, shared, start, each(&|q| Ok(datainf.scores(q)?))?);

    let start = Instant::now();
    let trak = baselines::Trak::new(&gradients, TRAK_SEED)?;
    add("trak", false, shared, start, each(&|q| Ok(trak.scores(q)?))?);

    let start = Instant::now();
    add("gradcos", false, shared, start, each(&|q| Ok(baselines::gradient_cosine(&gradients, q)?))?);

    let start = Instant::now();
    add("graddot", false, shared, start, each(&|q| Ok(baselines::gradient_dot(&gradients, q)?))?);

    let start = Instant::now();
    add("bm25", false, 0.0, start, lexical(scenario, run));

    let start = Instant::now();
    let mut random = SplitMix(RANDOM_SEED);
    let scores =
        scenario.queries.iter().map(|_| (0..run.records()).map(|_| random.signed()).collect()).collect();
    add("random", false, 0.0, start, scores);
    Ok(all)
}

/// The metagradient: backwards for all queries together by record, then forwards for every query by contributor.
fn exact(
    scenario: &Scenario,
    run: &Run,
    truth: &Truth,
    epoch: &Epoch,
    place: Place<'_>,
    report: &mut Report,
) -> Result<Predictions> {
    let start = Instant::now();
    let transcript = Transcript::open(&truth.transcript_path)?;
    let mut trajectory = Trajectory::new(run, transcript, None)?;
    let target = objective(epoch, &truth.gradients, run.layout().len())?;
    let checkpoint = place.folder.join("replay.checkpoint");
    let options = ReplayOptions { weights: None, checkpoint: Some(&checkpoint) };
    let by_record = report.phase("replay", || {
        Ok(replay(&mut trajectory, &target, options, &mut |done, all| report::progress("step", done, all))?)
    })?;
    let explained = epoch.omega().zip(truth.explained()).map(|(omega, nats)| omega * nats).sum::<f64>();
    report.figure("replay_influence_sum_over_explained", by_record.iter().sum::<f64>() / explained);
    let settlement = epoch.settlement(&scenario.set, &by_record)?;
    let pool = f64::from(settlement.parts.contributors);
    report.figure("replay_paid_part_of_pool", 1.0 - f64::from(settlement.base) / pool.max(1.0));
    let mut by_query = Vec::new();
    if place.tangents {
        let forwards = report
            .phase("tangents", || contributors_tangents(scenario, run, &mut trajectory, place.folder))?;
        compare(&by_contributor(scenario, &by_record), &scores(&forwards, target.gradient()), report);
        let double = |q: &[f32]| q.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
        by_query = truth.gradients.iter().map(|q| scores(&forwards, &double(q))).collect();
    }
    let records_by_query = report.phase("replays_of_queries", || {
        replays(&mut trajectory, &truth.gradients, place.replays, place.folder)
    })?;
    if by_query.is_empty() && records_by_query.len() == truth.gradients.len() {
        by_query = records_by_query.iter().map(|scores| by_contributor(scenario, scores)).collect();
    }
    if !by_query.is_empty() {
        calibrate(&by_query, &truth.rises, report);
    }
    Ok(Predictions {
        name: "replay",
        by_query,
        records_by_query,
        by_record,
        in_nats: true,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// What every record did for the picked queries, kept in `folder`.
fn replays(
    trajectory: &mut Trajectory<'_>,
    gradients: &[Arc<[f32]>],
    picked: &[usize],
    folder: &Path,
) -> Result<Vec<Vec<f64>>> {
    let records = trajectory.run().records();
    let folder = folder.join("replays");
    std::fs::create_dir_all(&folder)?;
    let path = |query: &usize| folder.join(query.to_string());
    let mut all: Vec<Option<Vec<f64>>> =
        picked.iter().map(|query| cache::kept(&path(query), records)).collect();
    let missing: Vec<usize> = (0..picked.len()).filter(|at| all[*at].is_none()).collect();
    for (part, together) in missing.chunks(AT_ONCE).enumerate() {
        let objectives: Vec<Objective> =
            together.iter().map(|at| Objective::single(&gradients[picked[*at]])).collect();
        for (at, scores) in together.iter().zip(replay_each(trajectory, &objectives, None, &mut |_, _| ())?) {
            cache::keep(&path(&picked[*at]), &scores)?;
            all[*at] = Some(scores);
        }
        note(format!("  query {} of {}", part * AT_ONCE + together.len(), missing.len()));
    }
    Ok(all.into_iter().flatten().collect())
}

/// `dθ_T / dw_c` of every contributor, one after another in one vector.
fn contributors_tangents(
    scenario: &Scenario,
    run: &Run,
    trajectory: &mut Trajectory<'_>,
    folder: &Path,
) -> Result<Vec<Vec<f64>>> {
    let (groups, parameters) = (scenario.contributors.len(), run.layout().len());
    let flat = cache::vector(&folder.join("tangents"), groups * parameters, || {
        let carried: Tangents = tangents(trajectory, &scenario.owners(), groups, None, &mut |done, all| {
            report::progress("step", done, all)
        })?;
        Ok(carried.groups().concat())
    })?;
    Ok(flat.chunks(parameters).map(<[f64]>::to_vec).collect())
}

fn scores(tangents: &[Vec<f64>], gradient: &[f64]) -> Vec<f64> {
    tangents.iter().map(|t| t.iter().zip(gradient).map(|(a, b)| a * b).sum()).collect()
}

/// How far backwards and forwards differ, as a part of the largest credit.
fn compare(backwards: &[f64], forwards: &[f64], report: &mut Report) {
    let largest = forwards.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let apart = backwards.iter().zip(forwards).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
    report.figure("replay_vs_tangents_relative_difference", apart / largest.max(f64::MIN_POSITIVE));
}

/// Truth against prediction over all pairs: the slope of the line through the origin that fits best (1 where influence has the
/// scale of leaving out) and the correlation.
fn calibrate(predicted: &[Vec<f64>], truth: &[Vec<f64>], report: &mut Report) {
    let (p, t) = (predicted.concat(), truth.concat());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    report.figure("loco_slope_replay", dot(&p, &t) / dot(&p, &p).max(f64::MIN_POSITIVE));
    report.figure("loco_pooled_pearson_replay", crate::stats::pearson(&p, &t));
}

pub(crate) fn by_contributor(scenario: &Scenario, records: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; scenario.contributors.len()];
    for (owner, score) in scenario.owners().into_iter().zip(records) {
        sums[owner] += score;
    }
    sums
}

/// BM25 of question and answer against question and text of every record that training took; 0 for one it never took, as
/// all methods have it.
fn lexical(scenario: &Scenario, run: &Run) -> Vec<Vec<f64>> {
    let template = scenario.manifest.recipe.template;
    let visited = run.last_visits();
    let texts: Vec<String> = scenario
        .set
        .records()
        .iter()
        .zip(&visited)
        .map(|(r, visit)| visit.map_or(String::new(), |_| template.question(&r.name) + " " + &r.text))
        .collect();
    let index = Bm25::new(texts.iter().map(String::as_str));
    scenario.queries.iter().map(|q| index.scores(&format!("{} {}", q.question, q.text))).collect()
}
