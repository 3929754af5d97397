use super::error::{Result, same_length};

/// `∇F(θ_T) = Σ_q ω_q ∇ log p_q`, added up in the order of the answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    gradient: Vec<f64>,
}

impl Objective {
    /// No answer yet.
    #[must_use]
    pub fn new(parameters: usize) -> Self {
        Self { gradient: vec![0.0; parameters] }
    }

    /// One answer with weight 1.
    #[must_use]
    pub fn single(gradient: &[f32]) -> Self {
        Self { gradient: gradient.iter().map(|&x| x.into()).collect() }
    }

    /// What some answers add up to already.
    #[must_use]
    pub fn from_gradient(gradient: Vec<f64>) -> Self {
        Self { gradient }
    }

    /// Adds `ω ∇ log p` of an answer, the weight in parts per billion.
    ///
    /// # Errors
    /// [`super::Error::Length`] when the gradient is of another adapter.
    pub fn add(&mut self, weight_ppb: u64, gradient: &[f32]) -> Result<()> {
        same_length("parameters of an answer's gradient", gradient.len(), self.gradient.len())?;
        let weight = weight_ppb as f64 / 1e9;
        for (sum, &x) in self.gradient.iter_mut().zip(gradient) {
            *sum += weight * f64::from(x);
        }
        Ok(())
    }

    /// The vector.
    #[must_use]
    pub fn gradient(&self) -> &[f64] {
        &self.gradient
    }
}
