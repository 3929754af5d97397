//! Early stopping before the run.
//!
//! The steps of a run are in its manifest, which is committed before anybody knows the seed. So a trial with a seed of its own trains for at most as many steps as the recipe
//! says, compares with the base on held-out records every sixteenth part of them, and stops when that has not become better for some comparisons. The manifest then says
//! the number of steps that was best; the run itself stops nowhere else, and its metagradient is that of a fixed number of steps.

use alloy_primitives::B256;
use openledger_model::Lora;

use super::{Fit, Options, Progress};
use crate::{Error, Result, Run, TrainManifest};

/// Comparisons of a trial that is not stopped.
const COMPARISONS: usize = 16;

/// What a trial found.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Steps after which the held-out loss was least.
    pub steps: u32,
    /// Steps and held-out loss of each comparison, nats per token; the first is that of the base.
    pub losses: Vec<(u32, f64)>,
}

/// The seed of a manifest's trial: BLAKE3 of `"openledger-trial/1" ‖ manifest hash`.
#[must_use]
pub fn trial_seed(manifest: &TrainManifest) -> B256 {
    let text = [&b"openledger-trial/1"[..], manifest.hash().as_slice()].concat();
    B256::from(*blake3::hash(&text).as_bytes())
}

/// Trains on trial and stops after `patience` comparisons without a better one. `run` was prepared with [`trial_seed`].
///
/// # Errors
/// [`Error::Recipe`] when no record is held out or the patience is zero; [`Error::Model`], [`Error::Diverged`].
pub fn trial(run: &Run, patience: u32, progress: &mut dyn FnMut(Progress)) -> Result<Trial> {
    let range = |what, got: u64, high: u64| Error::Recipe { what, got, low: 1, high };
    let held_out = run.held_out()?.ok_or_else(|| range("held-out records", 0, run.records() as u64 - 1))?;
    if patience == 0 {
        return Err(range("patience, in comparisons", 0, COMPARISONS as u64));
    }
    let every = run.steps().div_ceil(COMPARISONS);
    let mut fit = Fit::new(run, Options::default());
    let mut losses = vec![(0, held_out.mean_loss(None)?)];
    let (mut best, mut least, mut waited) = (0, f64::INFINITY, 0);
    while fit.losses.len() < run.steps() && waited < patience {
        let (step, batch) = fit.compute()?;
        fit.advance(step, &batch)?;
        fit.report(progress);
        let done = fit.losses.len();
        if done.is_multiple_of(every) || done == run.steps() {
            let loss = held_out.mean_loss(Some(Lora { config: run.lora(), theta: &fit.state.theta }))?;
            losses.push((done as u32, loss));
            if loss < least {
                (best, least, waited) = (done as u32, loss, 0);
            } else {
                waited += 1;
            }
        }
    }
    Ok(Trial { steps: best, losses })
}
