//! The training loop.

use std::path::Path;

use alloy_primitives::B256;
use openledger_model::Grad;

use crate::{Error, Result, Run, State, Step, TranscriptWriter};

#[cfg(test)]
mod tests;

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
    /// Keep each record's gradient at its last visit, which the estimate of influence is made from.
    pub keep_gradients: bool,
}

/// A run that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The parameters trained, and their moments.
    pub state: State,
    /// Loss of every step's batch before the step, in nats per target token.
    pub losses: Vec<f64>,
    /// If asked for: by record, the gradient of its loss (the sum over its target tokens) at its last visit; `None` where no step took it.
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
        Some(path) => Some(TranscriptWriter::open(path, header, |step, done| {
            fit.repeat(step, done)?;
            fit.report(progress);
            Ok(())
        })?),
        None => None,
    };
    while fit.losses.len() < run.steps() {
        let step = fit.compute()?;
        if let Some(writer) = &mut writer {
            writer.append(&step)?;
        }
        fit.advance(step)?;
        fit.report(progress);
    }
    Ok(Trained {
        state: fit.state,
        losses: fit.losses,
        gradients: fit.gradients,
        transcript: writer.map(|w| w.hash()),
    })
}

struct Fit<'a> {
    run: &'a Run,
    options: Options<'a>,
    last_visits: Vec<Option<usize>>,
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
            last_visits: run.last_visits(),
            state: State::new(run.initial()),
            losses: Vec::with_capacity(run.steps()),
            gradients: vec![None; kept],
        }
    }

    fn weight(&self, record: u32) -> f32 {
        self.options.weights.map_or(1.0, |w| w[record as usize])
    }

    fn keeps(&self, record: u32) -> bool {
        self.options.keep_gradients && self.last_visits[record as usize] == Some(self.losses.len())
    }

    /// The next step, from the model.
    fn compute(&mut self) -> Result<Step> {
        let at = self.losses.len();
        let records: Vec<u32> =
            self.run.batch(at).iter().copied().filter(|&r| self.weight(r) != 0.0 || self.keeps(r)).collect();
        let grads = self.run.gradients(&self.state.theta, &records)?;
        let weighed = records.iter().zip(&grads).map(|(&r, g)| (self.weight(r), g.loss, g.grad.as_slice()));
        let step = self.run.combine(at, weighed.filter(|(weight, ..)| *weight != 0.0));
        if !step.loss.is_finite() {
            return Err(Error::Diverged { what: "the loss", step: at });
        }
        if !step.gradient.iter().all(|x| x.is_finite()) {
            return Err(Error::Diverged { what: "the gradient", step: at });
        }
        self.keep(&records, grads);
        Ok(step)
    }

    /// A step that the transcript holds: the model is asked only for gradients that are to be kept.
    fn repeat(&mut self, at: usize, step: Step) -> Result<()> {
        let records: Vec<u32> = self.run.batch(at).iter().copied().filter(|&r| self.keeps(r)).collect();
        if !records.is_empty() {
            let grads = self.run.gradients(&self.state.theta, &records)?;
            self.keep(&records, grads);
        }
        self.advance(step)
    }

    fn keep(&mut self, records: &[u32], grads: Vec<Grad>) {
        for (&record, grad) in records.iter().zip(grads) {
            if self.keeps(record) {
                self.gradients[record as usize] = Some(grad.grad);
            }
        }
    }

    fn advance(&mut self, step: Step) -> Result<()> {
        let at = self.losses.len();
        self.state.advance(&self.run.coefficients(at), &step.gradient);
        let State { theta, m, v } = &self.state;
        for (what, values) in [("a parameter", theta), ("a first moment", m), ("a second moment", v)] {
            if !values.iter().all(|x| x.is_finite()) {
                return Err(Error::Diverged { what, step: at });
            }
        }
        self.losses.push(step.loss);
        Ok(())
    }

    fn report(&self, progress: &mut dyn FnMut(Progress)) {
        let loss = *self.losses.last().expect("a report follows a step");
        progress(Progress::Step { done: self.losses.len(), total: self.run.steps(), loss });
    }
}
