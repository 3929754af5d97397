use openledger_train::Trajectory;

use super::{
    Tangent,
    dual_pass::{TOGETHER, dual_pass, weight},
    error::{Error, Result, same_length},
};

/// `τ_c = dθ_T / dw_c` of every group.
#[derive(Clone, Debug, PartialEq)]
pub struct Tangents {
    groups: Vec<Vec<f64>>,
}

impl Tangents {
    /// By group, one entry per parameter.
    #[must_use]
    pub fn groups(&self) -> &[Vec<f64>] {
        &self.groups
    }

    /// `∂F/∂w_c` of every group for an objective's gradient: one dot product each, entries added in order.
    ///
    /// # Errors
    /// [`Error::Length`] when the gradient is of another adapter.
    pub fn scores(&self, gradient: &[f64]) -> Result<Vec<f64>> {
        let score = |tangent: &Vec<f64>| {
            same_length("parameters of the objective", gradient.len(), tangent.len())?;
            Ok(tangent.iter().zip(gradient).map(|(a, b)| a * b).sum())
        };
        self.groups.iter().map(score).collect()
    }
}

/// Carries the tangents of `groups` groups through the run; `group_of` names each record's group. See the module for the formulas.
///
/// `progress` is told `(steps done, steps in all)`.
///
/// # Errors
/// As [`super::replay`], and [`Error::Range`] when a record's group is not below `groups`.
pub fn tangents(
    trajectory: &mut Trajectory<'_>,
    group_of: &[usize],
    groups: usize,
    weights: Option<&[f32]>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Tangents> {
    let run = trajectory.run();
    same_length("records with a group", group_of.len(), run.records())?;
    trajectory.transcript().expect_of(&run.header(weights)?)?;
    if let Some(&group) = group_of.iter().find(|&&g| g >= groups) {
        return Err(Error::Range {
            what: "a record's group",
            got: group as f64,
            expected: "below the number of groups",
        });
    }
    let parameters = run.layout().len();
    let mut all = vec![Tangent::new(parameters); groups];
    for step in 0..run.steps() {
        let coefficients = run.coefficients(step);
        let mean = run.mean_factor(step);
        let batch = run.batch(step);
        let moment = trajectory.moment(step)?;
        let directions: Vec<Vec<f32>> =
            all.iter().map(|t| t.theta.iter().map(|&x| x as f32).collect()).collect();
        let moves = |group: &usize| {
            let touched = batch.iter().any(|&r| group_of[r as usize] == *group);
            touched || directions[*group].iter().any(|&x| x != 0.0)
        };
        let moving: Vec<usize> = (0..groups).filter(moves).collect();
        let mut gradients = vec![vec![0.0; parameters]; groups];
        for together in moving.chunks(TOGETHER) {
            let slices: Vec<&[f32]> = together.iter().map(|&group| &directions[group][..]).collect();
            let duals = dual_pass(run, step, moment, weights, &slices)?;
            for (k, &group) in together.iter().enumerate() {
                for (&record, dual) in batch.iter().zip(&duals) {
                    let factor = f64::from(weight(weights, record) * mean);
                    let own = if group_of[record as usize] == group { f64::from(mean) } else { 0.0 };
                    for ((sum, &h), &hessian) in
                        gradients[group].iter_mut().zip(&dual.grad).zip(&dual.grad_dots[k])
                    {
                        *sum += own * f64::from(h) + factor * f64::from(hessian);
                    }
                }
            }
        }
        for (tangent, gradient) in all.iter_mut().zip(&gradients) {
            tangent.through_update(&coefficients, moment, gradient);
        }
        progress(step + 1, run.steps());
    }
    Ok(Tangents { groups: all.into_iter().map(|t| t.theta).collect() })
}
