//! AdamW as [`Optimiser`] states it, in `f32`, one parameter at a time.
//!
//! The factors of a step are computed in `f64` and rounded once ([`Coefficients`]); with them a step is, per parameter and in this order,
//!
//! ```text
//! m ← beta1 · m + gain1 · g
//! v ← beta2 · v + gain2 · (g · g)
//! θ ← keep · θ − (lr · (m · correct1)) / √(v · correct2 + eps)
//! ```
//!
//! with every product and sum rounded to `f32`.

use crate::Optimiser;

#[cfg(test)]
mod tests;

/// The factors of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// `β₁`.
    pub beta1: f32,
    /// `1 − β₁`.
    pub gain1: f32,
    /// `β₂`.
    pub beta2: f32,
    /// `1 − β₂`.
    pub gain2: f32,
    /// `1 / (1 − β₁ᵗ)`.
    pub correct1: f32,
    /// `1 / (1 − β₂ᵗ)`.
    pub correct2: f32,
    /// `ηₜ`.
    pub lr: f32,
    /// `ε`, inside the root.
    pub eps: f32,
    /// `1 − ηₜ λ`: what weight decay leaves of a parameter.
    pub keep: f32,
}

impl Optimiser {
    /// The factors of step `step`, counted from 0, of a run of `steps`.
    #[must_use]
    pub fn coefficients(&self, step: usize, steps: usize) -> Coefficients {
        let beta1 = f64::from(self.beta1_ppm) / 1e6;
        let beta2 = f64::from(self.beta2_ppm) / 1e6;
        let t = step + 1;
        let lr = self.rate(t, steps);
        Coefficients {
            beta1: beta1 as f32,
            gain1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            gain2: (1.0 - beta2) as f32,
            correct1: (1.0 / (1.0 - power(beta1, t))) as f32,
            correct2: (1.0 / (1.0 - power(beta2, t))) as f32,
            lr: lr as f32,
            eps: (self.eps_root_atto as f64 / 1e18) as f32,
            keep: (1.0 - lr * (f64::from(self.weight_decay_ppm) / 1e6)) as f32,
        }
    }

    /// How far a gradient reaches: for each step, the factor by which its batch gradient, divided by the root of that step, moves the parameters in
    /// this and all later steps through the first moment, `Σ_{s ≥ t} ηₛ (1 − β₁) β₁^{s−t} / (1 − β₁ˢ)`, less what decays until the end. The root is taken not
    /// to change.
    #[must_use]
    pub fn reach(&self, steps: usize) -> Vec<f64> {
        let mut reach = vec![0.0; steps];
        let (mut later, mut left) = (0.0, 1.0);
        for (step, reach) in reach.iter_mut().enumerate().rev() {
            let c = self.coefficients(step, steps);
            later = f64::from(c.lr) * f64::from(c.correct1) * f64::from(c.gain1) * left
                + f64::from(c.beta1) * later;
            left *= f64::from(c.keep);
            *reach = later;
        }
        reach
    }

    /// `ηₜ` for `t` counted from 1.
    fn rate(&self, t: usize, steps: usize) -> f64 {
        let peak = self.lr_ppb as f64 / 1e9;
        let warmup = self.warmup_steps as usize;
        if t <= warmup {
            return peak * (t as f64 / warmup as f64);
        }
        let floor = f64::from(self.floor_ppm) / 1e6;
        // With a warm-up the peak is its last step; without one it is step 1.
        let from = warmup.max(1);
        let fallen = if steps > from { (t - from) as f64 / (steps - from) as f64 } else { 0.0 };
        peak * (1.0 - (1.0 - floor) * fallen)
    }
}

/// `base^exponent` by squaring from the lowest bit: the standard library's power may round differently between platforms.
fn power(mut base: f64, mut exponent: usize) -> f64 {
    let mut result = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    result
}

/// Parameters and the moments of their gradients before or after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Parameters.
    pub theta: Vec<f32>,
    /// First moments, not corrected for their start at zero.
    pub m: Vec<f32>,
    /// Second moments, likewise.
    pub v: Vec<f32>,
}

impl State {
    /// The state before the first step.
    #[must_use]
    pub fn new(theta: Vec<f32>) -> Self {
        let zero = vec![0.0; theta.len()];
        Self { theta, m: zero.clone(), v: zero }
    }

    /// Moves by one step.
    ///
    /// # Panics
    /// When `gradient` has another length than the parameters.
    pub fn advance(&mut self, c: &Coefficients, gradient: &[f32]) {
        assert_eq!(gradient.len(), self.theta.len(), "a gradient has one entry per parameter");
        for (((theta, m), v), &g) in self.theta.iter_mut().zip(&mut self.m).zip(&mut self.v).zip(gradient) {
            *m = c.beta1 * *m + c.gain1 * g;
            *v = c.beta2 * *v + c.gain2 * (g * g);
            *theta = c.keep * *theta - (c.lr * (*m * c.correct1)) / (*v * c.correct2 + c.eps).sqrt();
        }
    }
}
