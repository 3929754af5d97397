//! A classification head: multinomial logistic regression on what a frozen backbone says of images or table rows.
//!
//! Over `n` examples `x_i` (a constant 1 appended for the bias) with labels `y_i` and weights `w_i`, the head minimises
//!
//! ```text
//! J(θ) = 1/n Σ_i w_i (-log softmax(θᵀ x_i)[y_i]) + λ/2 |θ|²
//! ```
//!
//! `n` counts all examples whatever their weights, so that leaving one out is weight 0 and nothing else. With λ > 0 the problem is strictly convex: there is one
//! optimum, it does not depend on order, seed or start, and `dθ/dw_i = -1/n H⁻¹ ∇ℓ_i` holds exactly there (`H` the Hessian of `J`), which is what
//! attribution rests on (implicit function theorem; for influence Koh and Liang, *Understanding Black-box Predictions via Influence Functions*, arXiv 1703.04730).
//!
//! [`fit`] is Newton's method with conjugate gradients, preconditioned by the Kronecker product of the weighted second moments of `x` and the identity over classes.
//! Everything is `f64`: plain additions and multiplications in a stated order (examples in eight ranges that are added up in order) and `libm`'s exponential
//! and logarithm, so the bits are the same on every machine and for any number of threads.

mod curvature;
mod examples;
mod solve;

#[cfg(test)]
mod tests;

pub use curvature::Curvature;
pub use examples::Examples;

use crate::{Error, Result};
use curvature::{Objective, largest};

/// Ranges that the examples are cut into, whatever the number of threads.
const PARTS: usize = 8;
/// Largest element of the gradient at which the optimum is reached.
const TOLERANCE: f64 = 1e-10;
const MAX_NEWTON_STEPS: usize = 60;
const MAX_HALVINGS: usize = 40;

/// How a head is regularised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadRecipe {
    /// λ in 10⁻⁹, 1 to 10⁹.
    pub l2_ppb: u64,
}

impl HeadRecipe {
    fn l2(self) -> Result<f64> {
        if (1..=1_000_000_000).contains(&self.l2_ppb) {
            Ok(self.l2_ppb as f64 * 1e-9)
        } else {
            Err(Error::Recipe { what: "l2 (10^-9)", got: self.l2_ppb, low: 1, high: 1_000_000_000 })
        }
    }
}

/// A fitted head.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// `(width + 1) x classes`, row-major; the last row is the bias.
    pub theta: Vec<f64>,
    /// How many classes.
    pub classes: usize,
    /// Newton steps taken.
    pub steps: usize,
}

impl Head {
    /// `log p(class | x)` of every class.
    ///
    /// # Errors
    /// [`Error::Length`] for features of another width.
    pub fn log_probabilities(&self, features: &[f32]) -> Result<Vec<f64>> {
        let width = self.theta.len() / self.classes - 1;
        if features.len() != width {
            return Err(Error::Length { what: "features", got: features.len(), expected: width });
        }
        let mut z = self.theta[width * self.classes..].to_vec();
        for (x, row) in features.iter().zip(self.theta.chunks_exact(self.classes)) {
            z.iter_mut().zip(row).for_each(|(z, t)| *z += f64::from(*x) * t);
        }
        let norm = examples::log_sum_exp(&z);
        z.iter_mut().for_each(|z| *z -= norm);
        Ok(z)
    }
}

/// Fits the head to the optimum. `weights` are one per example (1 where none are given), `start` another head of the same shape to begin at, which changes how long
/// it takes and, within the tolerance, not where it ends.
///
/// # Errors
/// [`Error::Recipe`], [`Error::Length`], [`Error::Weight`], and [`Error::Diverged`] where no optimum is reached.
pub fn fit(
    examples: &Examples,
    recipe: HeadRecipe,
    weights: Option<&[f64]>,
    start: Option<&Head>,
) -> Result<Head> {
    let objective = Objective::new(examples, recipe.l2()?, weights)?;
    let mut theta = match start {
        Some(head) if head.theta.len() == examples.parameters() => head.theta.clone(),
        Some(head) => {
            return Err(Error::Length {
                what: "parameters of the head to start at",
                got: head.theta.len(),
                expected: examples.parameters(),
            });
        }
        None => vec![0.0; examples.parameters()],
    };
    let mut here = objective.at(&theta);
    for steps in 0..MAX_NEWTON_STEPS {
        if !here.value.is_finite() {
            break;
        }
        let size = largest(&here.gradient);
        if size <= TOLERANCE {
            return Ok(Head { theta, classes: examples.classes(), steps });
        }
        let curvature = Curvature::of(&objective, &theta)?;
        let direction = curvature.solve_to(&here.gradient, size.sqrt().min(1e-2))?;
        let slope: f64 = direction.iter().zip(&here.gradient).map(|(d, g)| d * g).sum();
        let slack = 1e-13 * (1.0 + here.value.abs());
        let mut length = 1.0;
        let mut taken = None;
        for _ in 0..MAX_HALVINGS {
            let there: Vec<f64> = theta.iter().zip(&direction).map(|(t, d)| t - length * d).collect();
            let value = objective.at(&there);
            if value.value <= here.value - 1e-4 * length * slope + slack {
                taken = Some((there, value));
                break;
            }
            length /= 2.0;
        }
        let Some(next) = taken else { break };
        (theta, here) = next;
    }
    Err(Error::Diverged { what: "the objective of the head", step: MAX_NEWTON_STEPS })
}
