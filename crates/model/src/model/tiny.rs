use std::convert::Infallible;

use super::{Model, Rope, Weights, weights::Source};
use crate::{
    Config, Tokenizer,
    gguf::{Kind, Matrix},
    lora::Uniform,
};

const CONFIG: Config = Config {
    layers: 4,
    d_model: 64,
    d_ff: 128,
    heads: 4,
    kv_heads: 2,
    head_dim: 16,
    vocab: 260,
    context: 1024,
    rope_theta: 10_000.0,
    norm_eps: 1e-5,
};

/// Matrices drawn uniformly, scaled so that activations and logits keep a spread of about one.
struct Drawn {
    uniform: Uniform,
}

impl Source<'static> for Drawn {
    type Error = Infallible;

    fn matrix(&mut self, name: &str, input: usize, output: usize) -> Result<Matrix<'static>, Infallible> {
        let count = input * output;
        // A uniform number in (-1, 1) has a deviation of 1/√3; the head is tied to the embedding, whose rows therefore get a length of about 2.
        let bound = if name == "token_embd.weight" { 0.4 } else { (3.0 / input as f32).sqrt() };
        let bytes = (0..count).flat_map(|_| (self.uniform.next() * bound).to_le_bytes()).collect();
        Ok(Matrix { kind: Kind::F32, bytes })
    }

    fn vector(&mut self, _name: &str, width: usize) -> Result<Vec<f32>, Infallible> {
        Ok((0..width).map(|_| 1.0 + 0.1 * self.uniform.next()).collect())
    }

    fn tied(&self) -> bool {
        true
    }
}

pub(super) fn build(seed: u64) -> (Model, Tokenizer) {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let Ok(weights) = Weights::load(&CONFIG, &mut Drawn { uniform: Uniform::new(key) });
    (Model { config: CONFIG, weights, rope: Rope::new(&CONFIG) }, Tokenizer::bytes())
}
