//! What retraining without each contributor really does.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use openledger_model::{Lora, Record};
use openledger_train::{HeldOut, Options, Progress, Run, Trained, train};
use openledger_types::B256;

use super::scenario::Scenario;
use crate::report::{self, Report, note};

/// The adapter, and what became of its answers without each contributor.
pub(crate) struct Truth {
    /// The run with everybody.
    pub(crate) trained: Trained,
    /// Its parameters.
    pub(crate) theta: Vec<f32>,
    /// Where its transcript lies.
    pub(crate) transcript_path: std::path::PathBuf,
    /// Its transcript's hash.
    pub(crate) transcript: B256,
    /// By query: `-log p` without an adapter, nats.
    pub(crate) base: Vec<f64>,
    /// By query: `-log p` with the adapter, nats.
    pub(crate) adapted: Vec<f64>,
    /// By query: `∇ log p` at the adapter's parameters.
    pub(crate) gradients: Vec<Arc<[f32]>>,
    /// By query and contributor: the rise of `-log p` without the contributor, nats.
    pub(crate) rises: Vec<Vec<f64>>,
}

impl Truth {
    /// Trains with everybody, then without each contributor. Every training keeps a transcript in `folder`, from which it
    /// goes on if it was interrupted and is repeated in moments if it was not.
    pub(crate) fn measure(
        scenario: &Scenario,
        run: &Run,
        folder: &Path,
        report: &mut Report,
    ) -> Result<Self> {
        let transcript_path = folder.join("all.transcript");
        let options =
            Options { transcript: Some(&transcript_path), keep_gradients: true, ..Options::default() };
        let trained = report.phase("train", || Ok(train(run, options, &mut shown)?))?;
        let theta = trained.state.theta.clone();
        let transcript =
            trained.transcript.expect("a run that was given a place for its transcript keeps one");
        let held_out = report.phase("queries", || scenario.held_out(run.pool()))?;
        let base = held_out.losses(None)?;
        let adapted = held_out.losses(Some(Lora { config: run.lora(), theta: &theta }))?;
        let gradients = report.phase("query_gradients", || log_p_gradients(run, &held_out, &theta))?;
        let rises = report.phase("loco_retraining", || rises(scenario, run, &held_out, &adapted, folder))?;
        Ok(Self { trained, theta, transcript_path, transcript, base, adapted, gradients, rises })
    }

    /// By query: nats of the answer that the adapter explains.
    pub(crate) fn explained(&self) -> Vec<f64> {
        self.base.iter().zip(&self.adapted).map(|(base, adapted)| base - adapted).collect()
    }
}

fn shown(progress: Progress) {
    if let Progress::Step { done, total, .. } = progress {
        report::progress("step", done, total);
    }
}

/// `∇ log p` of every query.
pub(super) fn log_p_gradients(run: &Run, held_out: &HeldOut, theta: &[f32]) -> Result<Vec<Arc<[f32]>>> {
    let records: Vec<Record<'_>> = held_out.records().collect();
    let grads = run.model().nll_grad_batch(run.pool(), Lora { config: run.lora(), theta }, &records)?;
    Ok(grads.into_iter().map(|g| g.grad.iter().map(|x| -x).collect()).collect())
}

fn rises(
    scenario: &Scenario,
    run: &Run,
    held_out: &HeldOut,
    adapted: &[f64],
    folder: &Path,
) -> Result<Vec<Vec<f64>>> {
    let owners = scenario.owners();
    let mut rises = vec![Vec::with_capacity(scenario.contributors.len()); adapted.len()];
    for (number, contributor) in scenario.contributors.iter().enumerate() {
        note(format!("  without {}", contributor.name));
        let weights: Vec<f32> = owners.iter().map(|o| if *o == number { 0.0 } else { 1.0 }).collect();
        let path = folder.join(format!("without-{number}.transcript"));
        let options = Options { transcript: Some(&path), weights: Some(&weights), keep_gradients: false };
        let without = train(run, options, &mut |_| ())?;
        let lora = Lora { config: run.lora(), theta: &without.state.theta };
        for ((rise, loss), before) in rises.iter_mut().zip(held_out.losses(Some(lora))?).zip(adapted) {
            rise.push(loss - before);
        }
    }
    Ok(rises)
}
