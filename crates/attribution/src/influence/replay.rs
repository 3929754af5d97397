use std::path::Path;

use openledger_train::Trajectory;

use super::{
    Adjoint, Objective,
    checkpoint::{Checkpoint, Key},
    dual_pass::{dual_pass, weight},
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
    let run = trajectory.run();
    same_length("parameters of the objective", objective.gradient().len(), run.layout().len())?;
    trajectory.transcript().expect_of(&run.header(options.weights)?)?;
    let key = Key::new(trajectory.transcript(), objective);
    let mut state = options
        .checkpoint
        .and_then(|path| Checkpoint::load(path, &key, run.layout().len(), run.records()))
        .filter(|c| c.steps_left <= run.steps())
        .unwrap_or_else(|| Checkpoint {
            steps_left: run.steps(),
            adjoint: Adjoint::new(objective.gradient().to_vec()),
            credits: vec![0.0; run.records()],
        });
    while state.steps_left > 0 {
        step_back(trajectory, &mut state, options.weights)?;
        let done = run.steps() - state.steps_left;
        if let Some(path) = options.checkpoint
            && (done.is_multiple_of(CHECKPOINT_EVERY) || state.steps_left == 0)
        {
            state.save(path, &key)?;
        }
        progress(done, run.steps());
    }
    Ok(state.credits)
}

fn step_back(trajectory: &mut Trajectory<'_>, state: &mut Checkpoint, weights: Option<&[f32]>) -> Result<()> {
    let run = trajectory.run();
    let step = state.steps_left - 1;
    let moment = trajectory.moment(step)?;
    let direction = state.adjoint.through_update(&run.coefficients(step), moment);
    let duals = dual_pass(run, step, moment, weights, &direction)?;
    let mean = run.mean_factor(step);
    for (&record, dual) in run.batch(step).iter().zip(&duals) {
        state.credits[record as usize] += f64::from(mean) * dot(&direction, &dual.grad);
        let factor = f64::from(weight(weights, record) * mean);
        for (sum, &x) in state.adjoint.theta.iter_mut().zip(&dual.grad_dot) {
            *sum += factor * f64::from(x);
        }
    }
    if !state.adjoint.theta.iter().all(|x| x.is_finite()) {
        return Err(Error::NotFinite { what: "an adjoint", step });
    }
    state.steps_left = step;
    Ok(())
}
