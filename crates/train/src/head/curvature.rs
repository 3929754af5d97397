use rayon::prelude::*;

use super::Examples;
use super::solve::{Cholesky, conjugate_gradients};
use crate::{Error, Result};

/// `J` over weighted examples.
#[derive(Debug)]
pub(super) struct Objective<'a> {
    pub(super) examples: &'a Examples,
    pub(super) l2: f64,
    weights: Option<&'a [f64]>,
}

/// `J` and its gradient somewhere.
pub(super) struct Point {
    pub(super) value: f64,
    pub(super) gradient: Vec<f64>,
}

impl<'a> Objective<'a> {
    pub(super) fn new(examples: &'a Examples, l2: f64, weights: Option<&'a [f64]>) -> Result<Self> {
        if let Some(weights) = weights {
            if weights.len() != examples.len() {
                return Err(Error::Length {
                    what: "weights of examples",
                    got: weights.len(),
                    expected: examples.len(),
                });
            }
            if let Some(record) = weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
                return Err(Error::Weight { record, got: weights[record] as f32 });
            }
        }
        Ok(Self { examples, l2, weights })
    }

    /// `w_i / n`.
    fn share(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |w| w[row]) / self.examples.len() as f64
    }

    pub(super) fn at(&self, theta: &[f64]) -> Point {
        let parts = self.examples.parts().into_par_iter().map(|rows| {
            let mut p = vec![0.0; self.examples.classes()];
            let mut sum = vec![0.0; theta.len()];
            let mut loss = 0.0;
            for row in rows {
                let share = self.share(row);
                if share > 0.0 {
                    loss += share * self.examples.residual(row, theta, &mut p);
                    p.iter_mut().for_each(|p| *p *= share);
                    self.examples.spread(row, &p, &mut sum);
                }
            }
            (loss, sum)
        });
        let (mut value, mut gradient) = (0.0, vec![0.0; theta.len()]);
        for (loss, sum) in parts.collect::<Vec<_>>() {
            value += loss;
            add(&mut gradient, &sum);
        }
        let square: f64 = theta.iter().map(|t| t * t).sum();
        gradient.iter_mut().zip(theta).for_each(|(g, t)| *g += self.l2 * t);
        Point { value: value + self.l2 / 2.0 * square, gradient }
    }
}

/// The Hessian of `J` at a head, with what solves systems in it.
#[derive(Debug)]
pub struct Curvature<'a> {
    examples: &'a Examples,
    l2: f64,
    /// `w_i / n` and the probabilities of every example.
    shares: Vec<f64>,
    probabilities: Vec<f64>,
    moments: Cholesky,
}

impl<'a> Curvature<'a> {
    /// Prepares it at `head`.
    ///
    /// # Errors
    /// As [`super::fit`].
    pub fn new(
        examples: &'a Examples,
        recipe: super::HeadRecipe,
        weights: Option<&'a [f64]>,
        head: &super::Head,
    ) -> Result<Self> {
        if head.theta.len() != examples.parameters() {
            return Err(Error::Length {
                what: "parameters of the head",
                got: head.theta.len(),
                expected: examples.parameters(),
            });
        }
        Self::of(&Objective::new(examples, recipe.l2()?, weights)?, &head.theta)
    }

    pub(super) fn of(objective: &Objective<'a>, theta: &[f64]) -> Result<Self> {
        let (examples, classes) = (objective.examples, objective.examples.classes());
        let mut probabilities = vec![0.0; examples.len() * classes];
        for (row, p) in probabilities.chunks_exact_mut(classes).enumerate() {
            examples.residual(row, theta, p);
            p[examples.label(row) as usize] += 1.0;
        }
        let shares: Vec<f64> = (0..examples.len()).map(|row| objective.share(row)).collect();
        // The trace of diag(p) - p pᵀ over its rank.
        let mean = |p: &[f64]| (1.0 - p.iter().map(|p| p * p).sum::<f64>()) / (classes - 1) as f64;
        let mass: Vec<f64> =
            probabilities.chunks_exact(classes).zip(&shares).map(|(p, share)| share * mean(p)).collect();
        let moments = Cholesky::of_moments(examples, &mass, objective.l2)
            .ok_or(Error::Diverged { what: "the second moment of the features", step: 0 })?;
        Ok(Self { examples, l2: objective.l2, shares, probabilities, moments })
    }

    /// `H v`.
    #[must_use]
    pub fn product(&self, v: &[f64]) -> Vec<f64> {
        let classes = self.examples.classes();
        let parts = self.examples.parts().into_par_iter().map(|rows| {
            let mut u = vec![0.0; classes];
            let mut sum = vec![0.0; v.len()];
            for row in rows {
                if self.shares[row] > 0.0 {
                    let p = &self.probabilities[row * classes..][..classes];
                    self.examples.project(row, v, &mut u);
                    let mean: f64 = p.iter().zip(&u).map(|(p, u)| p * u).sum();
                    u.iter_mut().zip(p).for_each(|(u, p)| *u = self.shares[row] * p * (*u - mean));
                    self.examples.spread(row, &u, &mut sum);
                }
            }
            sum
        });
        let mut all: Vec<f64> = v.iter().map(|v| self.l2 * v).collect();
        parts.collect::<Vec<_>>().iter().for_each(|sum| add(&mut all, sum));
        all
    }

    /// `H⁻¹ b`, to a residual of 10⁻¹⁰ of `b`.
    ///
    /// # Errors
    /// [`Error::Diverged`] where conjugate gradients do not reach it.
    pub fn solve(&self, b: &[f64]) -> Result<Vec<f64>> {
        self.solve_to(b, 1e-10)
    }

    pub(super) fn solve_to(&self, b: &[f64], tolerance: f64) -> Result<Vec<f64>> {
        let precondition = |r: &[f64]| self.moments.solve(r, self.examples.classes());
        conjugate_gradients(|v| self.product(v), precondition, b, tolerance)
            .ok_or(Error::Diverged { what: "the solution of the head's Hessian", step: 0 })
    }
}

/// The largest magnitude.
pub(super) fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most: f64, v| most.max(v.abs()))
}

fn add(sum: &mut [f64], part: &[f64]) {
    sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
}
