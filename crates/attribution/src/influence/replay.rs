use std::path::Path;

use alloy_primitives::B256;
use openledger_train::Trajectory;

use super::{
    Objective, ReplayState,
    checkpoint::{Checkpoint, Key},
    dual_pass::{TOGETHER, dual_pass, weight},
    error::{Error, Result, same_length},
    linear::dot,
};

/// How a replay runs. None of it changes the result.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplayOptions<'a> {
    /// Weights that the run was trained with; 1 where none are given.
    pub weights: Option<&'a [f32]>,
    /// Where the state is kept every [`CHECKPOINT_EVERY`] steps, so that an interrupted replay goes on where it was. A file of another replay, or a damaged
    /// one, is replaced. Whoever verifies somebody else's figures gives none.
    pub checkpoint: Option<&'a Path>,
}

/// At two to three training steps each, a kill loses a few seconds on the base model.
pub const CHECKPOINT_EVERY: usize = 4;

/// `∂F/∂wᵢ` of every record, exactly, by going through the run backwards; 0 for a record that no step took. See the module for the formulas.
///
/// `progress` is told `(steps done, steps in all)`.
///
/// # Errors
/// [`Error::FalseStep`] when a step of the transcript is not what training computes, [`Error::Length`], [`Error::NotFinite`], [`Error::Io`],
/// [`Error::Train`], [`Error::Model`].
pub fn replay(
    trajectory: &mut Trajectory<'_>,
    objective: &Objective,
    options: ReplayOptions<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<f64>> {
    go_back(trajectory, objective, options, None, progress)
}

/// [`replay`] with the [hash](ReplayState::hash) of the state after each step added to `hashes`, as far as it gets.
///
/// # Errors
/// As [`replay`].
pub fn replay_hashed(
    trajectory: &mut Trajectory<'_>,
    objective: &Objective,
    options: ReplayOptions<'_>,
    hashes: &mut Vec<B256>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<f64>> {
    go_back(trajectory, objective, options, Some(hashes), progress)
}

/// Takes a state of a replay back through one more step of the run, which is checked against the transcript like every step of [`replay`].
///
/// # Errors
/// As [`replay`]; [`Error::Length`] for a state of another run or without a step left.
pub fn replay_step(trajectory: &mut Trajectory<'_>, state: &mut ReplayState) -> Result<()> {
    let run = trajectory.run();
    trajectory.transcript().expect_of(&run.header(None)?)?;
    for part in [&state.adjoint.theta, &state.adjoint.m, &state.adjoint.v] {
        same_length("parameters of the state", part.len(), run.layout().len())?;
    }
    same_length("records of the state", state.credits.len(), run.records())?;
    if state.steps_left == 0 || state.steps_left > run.steps() {
        let (got, expected) = (state.steps_left, run.steps());
        return Err(Error::Length { what: "steps left, from one to", got, expected });
    }
    step_back(trajectory, std::slice::from_mut(state), None)
}

fn go_back(
    trajectory: &mut Trajectory<'_>,
    objective: &Objective,
    options: ReplayOptions<'_>,
    mut hashes: Option<&mut Vec<B256>>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<f64>> {
    let run = trajectory.run();
    same_length("parameters of the objective", objective.gradient().len(), run.layout().len())?;
    trajectory.transcript().expect_of(&run.header(options.weights)?)?;
    let key = Key::new(trajectory.transcript(), objective);
    let mut kept = options
        .checkpoint
        .and_then(|path| Checkpoint::load(path, &key, run, hashes.is_some()))
        .unwrap_or_else(|| Checkpoint { state: ReplayState::end_of(run, objective), hashes: Vec::new() });
    if let Some(hashes) = hashes.as_deref_mut() {
        hashes.extend_from_slice(&kept.hashes);
    }
    while kept.state.steps_left > 0 {
        step_back(trajectory, std::slice::from_mut(&mut kept.state), options.weights)?;
        if let Some(hashes) = hashes.as_deref_mut() {
            let hash = kept.state.hash();
            kept.hashes.push(hash);
            hashes.push(hash);
        }
        let done = run.steps() - kept.state.steps_left;
        if let Some(path) = options.checkpoint
            && (done.is_multiple_of(CHECKPOINT_EVERY) || kept.state.steps_left == 0)
        {
            kept.save(path, &key)?;
        }
        progress(done, run.steps());
    }
    Ok(kept.state.credits)
}

/// [`replay`] of many objectives, which share the work that does not depend on them: six cost little more than three alone. The bits are those of each alone.
///
/// `progress` is told `(steps done, steps in all)` over all of them.
///
/// # Errors
/// As [`replay`].
pub fn replay_each(
    trajectory: &mut Trajectory<'_>,
    objectives: &[Objective],
    weights: Option<&[f32]>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Vec<f64>>> {
    let run = trajectory.run();
    trajectory.transcript().expect_of(&run.header(weights)?)?;
    let all = objectives.len().div_ceil(TOGETHER) * run.steps();
    let mut credits = Vec::with_capacity(objectives.len());
    for (part, together) in objectives.chunks(TOGETHER).enumerate() {
        let mut states = Vec::with_capacity(together.len());
        for objective in together {
            same_length("parameters of the objective", objective.gradient().len(), run.layout().len())?;
            states.push(ReplayState::end_of(run, objective));
        }
        for done in 1..=run.steps() {
            step_back(trajectory, &mut states, weights)?;
            progress(part * run.steps() + done, all);
        }
        credits.extend(states.into_iter().map(|state| state.credits));
    }
    Ok(credits)
}

/// Takes states that have as many steps left through the last of those.
fn step_back(
    trajectory: &mut Trajectory<'_>,
    states: &mut [ReplayState],
    weights: Option<&[f32]>,
) -> Result<()> {
    let run = trajectory.run();
    let Some(step) = states.first().map(|state| state.steps_left - 1) else { return Ok(()) };
    let moment = trajectory.moment(step)?;
    let coefficients = run.coefficients(step);
    let directions: Vec<Vec<f32>> =
        states.iter_mut().map(|state| state.adjoint.through_update(&coefficients, moment)).collect();
    let slices: Vec<&[f32]> = directions.iter().map(Vec::as_slice).collect();
    let duals = dual_pass(run, step, moment, weights, &slices)?;
    let mean = run.mean_factor(step);
    for (k, (state, direction)) in states.iter_mut().zip(&directions).enumerate() {
        for (&record, dual) in run.batch(step).iter().zip(&duals) {
            state.credits[record as usize] += f64::from(mean) * dot(direction, &dual.grad);
            let factor = f64::from(weight(weights, record) * mean);
            for (sum, &x) in state.adjoint.theta.iter_mut().zip(&dual.grad_dots[k]) {
                *sum += factor * f64::from(x);
            }
        }
        if !state.adjoint.theta.iter().all(|x| x.is_finite()) {
            return Err(Error::NotFinite { what: "an adjoint", step });
        }
        state.steps_left = step;
    }
    Ok(())
}
