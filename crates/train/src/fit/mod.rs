//! The training loop, and the trial that says how long it should be.

use std::path::Path;

use alloy_primitives::B256;
use openledger_model::Grad;

use crate::{Error, Result, Run, State, Step, TranscriptWriter};

mod trial;

#[cfg(test)]
mod tests;

pub use trial::{Trial, trial, trial_seed};

/// How far a long operation has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// Hidden states of the frozen layers, by record.
    Prefixes {
        /// Records done.
        done: usize,
        /// Records in all.
        total: usize,
    },
    /// Optimiser steps; those that a transcript already held are reported too.
    Step {
        /// Steps done.
        done: usize,
        /// Steps in all.
        total: usize,
        /// Loss of the step's batch before it, in nats per target token.
        loss: f64,
    },
}

/// What may vary between runs of one manifest and seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Where the transcript is kept. A transcript of the same run that is there already is continued.
    pub transcript: Option<&'a Path>,
    /// Weight of each record; 1 where none is given. A record of weight 0 is left out, but still counts among a batch's tokens.
    pub weights: Option<&'a [f32]>,
    /// Keep each record's gradients, added up over its visits as [`Trained::gradients`] says; the estimate of influence is made from them.
    pub keep_gradients: bool,
}

/// A run that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The parameters trained, and their moments.
    pub state: State,
    /// Loss of every step's batch before the step, in nats per target token.
    pub losses: Vec<f64>,
    /// If asked for: by record, how it pulled on the parameters, to first order and with the sign of its loss's gradient: the sum over its visits of
    /// `(reach / N) ∇nll / √(v̂ + ε)`, where [`reach`](crate::Optimiser::reach) is the step's, `N` the batch's target tokens and `v̂` as of after the step.
    /// `None` where no step took it.
    pub gradients: Vec<Option<Vec<f32>>>,
    /// The last running hash of the transcript, if one was kept.
    pub transcript: Option<B256>,
}

/// Trains, or finishes what a transcript began. The result is the same bytes either way, for any number of threads.
///
/// # Errors
/// [`Error::Model`]; [`Error::Diverged`]; [`Error::Length`] or [`Error::Weight`] for the weights; those of [`TranscriptWriter::open`].
pub fn train(run: &Run, options: Options<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Trained> {
    let header = run.header(options.weights)?;
    let mut fit = Fit::new(run, options);
    let mut writer = match options.transcript {
        Some(path) => Some(TranscriptWriter::open(path, header, |_, step| {
            fit.repeat(step)?;
            fit.report(progress);
            Ok(())
        })?),
        None => None,
    };
    while fit.losses.len() < run.steps() {
        let (step, batch) = fit.compute()?;
        if let Some(writer) = &mut writer {
            writer.append(&step)?;
        }
        fit.advance(step, &batch)?;
        fit.report(progress);
    }
    Ok(Trained {
        state: fit.state,
        losses: fit.losses,
        gradients: fit.gradients,
        transcript: writer.map(|w| w.hash()),
    })
}

/// Records whose gradients are in memory at once; a larger batch is accumulated.
const AT_ONCE: usize = 16;

/// Records of a step and their gradients, if those are to be kept.
#[derive(Default)]
struct Batch {
    records: Vec<u32>,
    grads: Vec<Grad>,
}

struct Fit<'a> {
    run: &'a Run,
    options: Options<'a>,
    reach: Vec<f64>,
    state: State,
    losses: Vec<f64>,
    gradients: Vec<Option<Vec<f32>>>,
}

impl<'a> Fit<'a> {
    fn new(run: &'a Run, options: Options<'a>) -> Self {
        let kept = if options.keep_gradients { run.records() } else { 0 };
        Self {
            run,
            options,
            reach: run.manifest().recipe.optimiser.reach(run.steps()),
            state: State::new(run.initial()),
            losses: Vec::with_capacity(run.steps()),
            gradients: vec![None; kept],
        }
    }

    fn weight(&self, record: u32) -> f32 {
        self.options.weights.map_or(1.0, |w| w[record as usize])
    }

    /// The next step, from the model, with what it was made from.
    fn compute(&self) -> Result<(Step, Batch)> {
        let at = self.losses.len();
        let wanted = |record: u32| self.weight(record) != 0.0 || self.options.keep_gradients;
        let records: Vec<u32> = self.run.batch(at).iter().copied().filter(|&r| wanted(r)).collect();
        let (mut step, mut batch) = (self.run.combine(at, []), Batch::default());
        for part in records.chunks(AT_ONCE) {
            let grads = self.run.step_gradients(at, &self.state.theta, part)?;
            let weighed = part.iter().zip(&grads).map(|(&r, g)| (self.weight(r), g.loss, g.grad.as_slice()));
            self.run.accumulate(at, &mut step, weighed.filter(|(weight, ..)| *weight != 0.0));
            if self.options.keep_gradients {
                batch.records.extend_from_slice(part);
                batch.grads.extend(grads);
            }
        }
        if !step.loss.is_finite() {
            return Err(Error::Diverged { what: "the loss", step: at });
        }
        if !step.gradient.iter().all(|x| x.is_finite()) {
            return Err(Error::Diverged { what: "the gradient", step: at });
        }
        Ok((step, batch))
    }

    /// A step that the transcript holds: the model is asked only for gradients that are to be kept.
    fn repeat(&mut self, step: Step) -> Result<()> {
        let kept =
            if self.options.keep_gradients { self.run.batch(self.losses.len()).to_vec() } else { Vec::new() };
        let grads = match kept.is_empty() {
            true => Vec::new(),
            false => self.run.step_gradients(self.losses.len(), &self.state.theta, &kept)?,
        };
        self.advance(step, &Batch { records: kept, grads })
    }

    fn advance(&mut self, step: Step, batch: &Batch) -> Result<()> {
        let at = self.losses.len();
        self.state.advance(&self.run.coefficients(at), &step.gradient);
        let State { theta, m, v } = &self.state;
        for (what, values) in [("a parameter", theta), ("a first moment", m), ("a second moment", v)] {
            if !values.iter().all(|x| x.is_finite()) {
                return Err(Error::Diverged { what, step: at });
            }
        }
        if self.options.keep_gradients {
            self.keep(at, batch);
        }
        self.losses.push(step.loss);
        Ok(())
    }

    fn keep(&mut self, at: usize, batch: &Batch) {
        let c = self.run.coefficients(at);
        let factor = self.reach[at] as f32 * self.run.mean_factor(at);
        for (&record, grad) in batch.records.iter().zip(&batch.grads) {
            let zero = || vec![0.0; grad.grad.len()];
            let kept = self.gradients[record as usize].get_or_insert_with(zero);
            for ((sum, &g), &v) in kept.iter_mut().zip(&grad.grad).zip(&self.state.v) {
                *sum += factor * g / (v * c.correct2 + c.eps).sqrt();
            }
        }
    }

    fn report(&self, progress: &mut dyn FnMut(Progress)) {
        let loss = *self.losses.last().expect("a report follows a step");
        progress(Progress::Step { done: self.losses.len(), total: self.run.steps(), loss });
    }
}
