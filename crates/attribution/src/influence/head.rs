use openledger_train::head::{Curvature, Examples, Head, HeadRecipe};

use super::error::Result;

/// What every example did for the answers of a classification head.
///
/// The head's problem is convex, so the derivative through training is the derivative of the optimum: `∂ Σ_q ω_q log p_q / ∂w_i = -1/n λᵀ H⁻¹ ∇ℓ_i` with
/// `λ = Σ_q ω_q ∇log p_q`, whatever the optimiser was and without a transcript. One solution in the Hessian serves all examples of an objective.
#[derive(Debug)]
pub struct HeadInfluence<'a> {
    examples: &'a Examples,
    head: &'a Head,
    curvature: Curvature<'a>,
}

impl<'a> HeadInfluence<'a> {
    /// Prepares the Hessian of the problem that `head` solves.
    ///
    /// # Errors
    /// [`super::Error::Train`].
    pub fn new(
        examples: &'a Examples,
        recipe: HeadRecipe,
        weights: Option<&'a [f64]>,
        head: &'a Head,
    ) -> Result<Self> {
        Ok(Self { examples, head, curvature: Curvature::new(examples, recipe, weights, head)? })
    }

    /// Signed credit of every example in nats, for an objective given by its gradient `λ` over the head's parameters: positive where the example helped.
    ///
    /// # Errors
    /// [`super::Error::Length`], [`super::Error::Train`].
    pub fn scores(&self, objective: &[f64]) -> Result<Vec<f64>> {
        super::error::same_length("parameters of the objective", objective.len(), self.head.theta.len())?;
        let solved = self.curvature.solve(objective)?;
        let scale = -1.0 / self.examples.len() as f64;
        let mut scores = self.examples.dots(&self.head.theta, &solved);
        scores.iter_mut().for_each(|s| *s *= scale);
        Ok(scores)
    }
}
