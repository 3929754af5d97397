use crate::{Config, Error, kernel::Buf};

/// Most floats in the table.
const MAX_ANGLES: usize = 1 << 25;

/// Cosines and sines of the rotary embedding: `context x head_dim / 2` each.
///
/// Pair `i` of position `p` turns by `p · θ^(-2i / head_dim)`, computed in `f64` with `libm` and rounded once. Pairs are neighbours `(2i, 2i + 1)`, as GGUF orders llama heads.
pub(crate) struct Rope {
    half: usize,
    cos: Buf,
    sin: Buf,
}

impl Rope {
    /// Checks that the table is not too large.
    pub(crate) fn check(config: &Config) -> Result<(), Error> {
        let (got, limit) = (config.context * config.head_dim, MAX_ANGLES);
        if got > limit { Err(Error::Shape { what: "context times head width", got, limit }) } else { Ok(()) }
    }

    pub(crate) fn new(config: &Config) -> Self {
        let half = config.head_dim / 2;
        let theta = f64::from(config.rope_theta);
        let frequencies: Vec<f64> =
            (0..half).map(|i| libm::pow(theta, -2.0 * i as f64 / config.head_dim as f64)).collect();
        let (mut cos, mut sin) = (Buf::zeros(config.context * half), Buf::zeros(config.context * half));
        for position in 0..config.context {
            for (i, frequency) in frequencies.iter().enumerate() {
                let (s, c) = libm::sincos(position as f64 * frequency);
                cos[position * half + i] = c as f32;
                sin[position * half + i] = s as f32;
            }
        }
        Self { half, cos, sin }
    }

    /// Cosines and sines of one position.
    pub(crate) fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let row = position * self.half..(position + 1) * self.half;
        (&self.cos[row.clone()], &self.sin[row])
    }
}
