//! What a property is, and how it is played.

use std::ops::RangeInclusive;

use alloy_primitives::keccak256;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One play of a property.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Play {
    /// What every draw follows from.
    pub(crate) seed: u64,
    /// Fewer agents, epochs and points of a grid.
    pub(crate) small: bool,
    /// Takes away what protects the property, which must then fail.
    pub(crate) unprotected: bool,
}

impl Play {
    /// The draws of one part of a play.
    pub(crate) fn rng(&self, part: &str) -> StdRng {
        let mut seed = keccak256(part).0;
        for (byte, own) in seed.iter_mut().zip(self.seed.to_le_bytes()) {
            *byte ^= own;
        }
        StdRng::from_seed(seed)
    }

    /// A count of the full play or of the small one.
    pub(crate) fn scaled(&self, full: usize, small: usize) -> usize {
        if self.small { small } else { full }
    }
}

/// What a play found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) holds: bool,
    /// Name and value of what was measured.
    pub(crate) figures: Vec<(&'static str, f64)>,
}

impl Outcome {
    /// Holds or not, with what was measured.
    pub(crate) fn new(holds: bool, figures: impl IntoIterator<Item = (&'static str, f64)>) -> Self {
        Self { holds, figures: figures.into_iter().collect() }
    }

    /// A figure.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(figure, _)| *figure == name).map(|(_, value)| *value)
    }
}

/// A property with the play that tests it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Property {
    /// Its number.
    pub(crate) id: &'static str,
    /// What must hold.
    pub(crate) claim: &'static str,
    /// What an unprotected play takes away.
    pub(crate) protection: &'static str,
    pub(crate) play: fn(&Play) -> Outcome,
}

/// A number drawn evenly.
pub(crate) fn even(rng: &mut StdRng, range: RangeInclusive<f64>) -> f64 {
    range.start() + (range.end() - range.start()) * rng.random::<f64>()
}

/// The mean; zero of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The largest of these.
pub(crate) fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NEG_INFINITY, f64::max)
}
