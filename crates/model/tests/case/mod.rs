//! The samples, parameters and direction of the PyTorch reference.

use openledger_model::{Error, LoraConfig, LoraLayout, Model, Sample, Target, init};
use serde_json::json;

/// Seed of the tiny model.
pub(crate) const SEED: u64 = 7;

/// Everything the reference computes with.
pub(crate) struct Case {
    /// Every map of the last two layers, rank 2.
    pub(crate) config: LoraConfig,
    /// Away from the start, where half of the derivatives are zero.
    pub(crate) theta: Vec<f32>,
    /// Direction of the Hessian-vector product.
    pub(crate) direction: Vec<f32>,
    /// Two sequences: all of one is predicted, the end of the other.
    pub(crate) samples: Vec<Sample>,
    layout: LoraLayout,
}

impl Case {
    /// The one case.
    pub(crate) fn new(model: &Model) -> Result<Self, Error> {
        let config = LoraConfig { rank: 2, alpha: 4.0, first_layer: 2, targets: Target::ALL.to_vec() };
        let layout = LoraLayout::new(model.config(), &config)?;
        // The entries of A that `init` draws serve as a stream of numbers in (-1/8, 1/8) for B as well.
        let numbers =
            |seed: u8| init(model.config(), &layout, [seed; 32]).into_iter().filter(|x| *x != 0.0).cycle();
        let mut theta = init(model.config(), &layout, [1; 32]);
        for (x, drawn) in theta.iter_mut().filter(|x| **x == 0.0).zip(numbers(2)) {
            *x = drawn;
        }
        let direction = theta.iter().zip(numbers(3)).map(|(_, x)| x).collect();
        let tokens = |n: usize, seed: u8| {
            numbers(seed).take(n).map(|x| ((x + 0.125) * 1000.0) as u32 % 260).collect::<Vec<_>>()
        };
        let samples = vec![
            Sample { tokens: tokens(40, 4), targets: 1..40 },
            Sample { tokens: tokens(75, 5), targets: 60..75 },
        ];
        Ok(Self { config, theta, direction, samples, layout })
    }

    /// As `make.py` reads it.
    #[cfg_attr(test, expect(dead_code, reason = "the test has no use for it"))]
    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        let blocks: Vec<_> = self
            .layout
            .blocks()
            .iter()
            .map(|b| json!({"layer": b.layer, "target": b.target, "a": b.a.start, "b": b.b.start}))
            .collect();
        let samples: Vec<_> = self
            .samples
            .iter()
            .map(|s| json!({"tokens": s.tokens, "start": s.targets.start, "end": s.targets.end}))
            .collect();
        serde_json::to_string(&json!({
            "rank": self.config.rank, "alpha": self.config.alpha, "blocks": blocks, "theta": self.theta,
            "direction": self.direction, "samples": samples,
        }))
    }
}
