use std::{fmt, ops::Range, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Config, Error, decode::Adapted};

/// Largest rank of an adapter.
const MAX_RANK: usize = 256;

/// A linear map of a decoder layer that LoRA can adapt; the order of the variants is the order in `θ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Target {
    /// Queries.
    #[serde(rename = "q_proj")]
    Q,
    /// Keys.
    #[serde(rename = "k_proj")]
    K,
    /// Values.
    #[serde(rename = "v_proj")]
    V,
    /// Output of attention.
    #[serde(rename = "o_proj")]
    O,
    /// Gate of the feed-forward layer.
    #[serde(rename = "gate_proj")]
    Gate,
    /// Up projection of the feed-forward layer.
    #[serde(rename = "up_proj")]
    Up,
    /// Down projection of the feed-forward layer.
    #[serde(rename = "down_proj")]
    Down,
}

impl Target {
    /// Every target, in the order of `θ`.
    pub const ALL: [Self; 7] = [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// The name PEFT gives it, for example `q_proj`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The module of a layer that holds it: `self_attn` or `mlp`.
    #[must_use]
    pub fn module(self) -> &'static str {
        match self {
            Self::Q | Self::K | Self::V | Self::O => "self_attn",
            Self::Gate | Self::Up | Self::Down => "mlp",
        }
    }

    /// Width of its input and output in a model of this shape.
    #[must_use]
    pub fn dims(self, config: &Config) -> (usize, usize) {
        match self {
            Self::Q => (config.d_model, config.q_dim()),
            Self::K | Self::V => (config.d_model, config.kv_dim()),
            Self::O => (config.q_dim(), config.d_model),
            Self::Gate | Self::Up => (config.d_model, config.d_ff),
            Self::Down => (config.d_ff, config.d_model),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|t| t.name() == name).ok_or_else(|| {
            Error::Adapter(format!("`{name}` is no target; expected one of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"))
        })
    }
}

/// What an adapter adapts: `targets` of the layers `first_layer..`, each with rank `rank`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Rank `r` of every pair of matrices.
    pub rank: usize,
    /// Numerator of the scale `alpha / rank`.
    pub alpha: f32,
    /// First adapted layer; all layers from here on are adapted. PEFT's `layers_to_transform`.
    pub first_layer: usize,
    /// Adapted maps, ascending and without repetition.
    pub targets: Vec<Target>,
}

impl LoraConfig {
    /// Scale `alpha / rank` of the adapter's contribution.
    #[must_use]
    pub fn scale(&self) -> f32 {
        self.alpha / self.rank as f32
    }

    /// Checks that this can adapt a model of the given shape.
    ///
    /// # Errors
    /// [`Error::Shape`] for a rank of zero or above 256, [`Error::Adapter`] for anything else.
    pub fn validate(&self, model: &Config) -> Result<(), Error> {
        if self.rank == 0 || self.rank > MAX_RANK {
            return Err(Error::Shape { what: "LoRA rank", got: self.rank, limit: MAX_RANK });
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(Error::Adapter(format!("alpha must be above 0, got {}", self.alpha)));
        }
        if self.first_layer >= model.layers {
            return Err(Error::Adapter(format!(
                "first layer {} of a model with {} layers",
                self.first_layer, model.layers
            )));
        }
        if self.targets.is_empty() || !self.targets.windows(2).all(|w| w[0] < w[1]) {
            return Err(Error::Adapter(
                "targets must be ascending, without repetition, and at least one".into(),
            ));
        }
        Ok(())
    }
}

/// Which of the two matrices of an adapted map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// `A: rank x in`, row-major.
    A,
    /// `B: out x rank`, row-major.
    B,
}

/// Where the two matrices of one adapted map lie in `θ`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Layer of the model.
    pub layer: usize,
    /// Adapted map.
    pub target: Target,
    /// `A`, `rank x in` row-major.
    pub a: Range<usize>,
    /// `B`, `out x rank` row-major.
    pub b: Range<usize>,
}

/// The flat layout of the parameter vector `θ`.
///
/// For each layer ascending from `first_layer`, for each target in the order of [`Target`]: `A` (`rank x in`, row-major), then `B` (`out x rank`, row-major).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoraLayout {
    rank: usize,
    first_layer: usize,
    per_layer: usize,
    blocks: Vec<Block>,
    len: usize,
}

impl LoraLayout {
    /// The layout of an adapter for a model of the given shape.
    ///
    /// # Errors
    /// As [`LoraConfig::validate`].
    pub fn new(model: &Config, lora: &LoraConfig) -> Result<Self, Error> {
        lora.validate(model)?;
        let mut blocks = Vec::new();
        let mut at = 0;
        for layer in lora.first_layer..model.layers {
            for &target in &lora.targets {
                let (input, output) = target.dims(model);
                let a = at..at + lora.rank * input;
                let b = a.end..a.end + output * lora.rank;
                at = b.end;
                blocks.push(Block { layer, target, a, b });
            }
        }
        Ok(Self {
            rank: lora.rank,
            first_layer: lora.first_layer,
            per_layer: lora.targets.len(),
            blocks,
            len: at,
        })
    }

    /// Number of parameters.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a layout has at least one block")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Rank of every block.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Every adapted map in the order of `θ`.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The adapted maps of one layer.
    #[must_use]
    pub fn layer(&self, layer: usize) -> &[Block] {
        let Some(i) = layer.checked_sub(self.first_layer) else { return &[] };
        self.blocks.get(i * self.per_layer..(i + 1) * self.per_layer).unwrap_or(&[])
    }

    /// The block of one adapted map, if it is adapted.
    #[must_use]
    pub fn find(&self, layer: usize, target: Target) -> Option<&Block> {
        self.layer(layer).iter().find(|b| b.target == target)
    }

    /// Which block, which matrix and which entry of it the parameter `index` is.
    #[must_use]
    pub fn locate(&self, index: usize) -> Option<(&Block, Half, usize)> {
        let i = self.blocks.partition_point(|b| b.b.end <= index);
        let block = self.blocks.get(i)?;
        if index < block.a.end {
            Some((block, Half::A, index - block.a.start))
        } else {
            Some((block, Half::B, index - block.b.start))
        }
    }
}

/// A configuration and the parameters it describes, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Lora<'a> {
    /// What is adapted.
    pub config: &'a LoraConfig,
    /// The parameters `θ` in the order of [`LoraLayout`].
    pub theta: &'a [f32],
}

/// A configuration and the parameters it describes, checked against a model and laid out for decoding.
#[derive(Debug)]
pub struct Adapter {
    config: LoraConfig,
    theta: Vec<f32>,
    layout: LoraLayout,
    turned: Vec<u16>,
    model: Config,
}

impl Adapter {
    /// Puts the two together.
    ///
    /// # Errors
    /// As [`LoraConfig::validate`]; [`Error::Length`] when `theta` has another length than the layout; [`Error::Adapter`] when a parameter is not finite.
    pub fn new(model: &Config, config: LoraConfig, theta: Vec<f32>) -> Result<Self, Error> {
        if let Some(at) = theta.iter().position(|x| !x.is_finite()) {
            return Err(Error::Adapter(format!("parameter {at} is {}", theta[at])));
        }
        let layout = LoraLayout::new(model, &config)?;
        if theta.len() != layout.len() {
            return Err(Error::Length { what: "LoRA parameters", got: theta.len(), expected: layout.len() });
        }
        let turned = Adapted::turn(model, &layout, &theta);
        Ok(Self { config, theta, layout, turned, model: model.clone() })
    }

    /// What is adapted.
    #[must_use]
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// The parameters in the order of [`LoraLayout`].
    #[must_use]
    pub fn theta(&self) -> &[f32] {
        &self.theta
    }

    /// Both, borrowed.
    #[must_use]
    pub fn lora(&self) -> Lora<'_> {
        Lora { config: &self.config, theta: &self.theta }
    }

    /// Bytes of memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&self.theta[..]) + size_of_val(&self.turned[..])
    }

    pub(crate) fn adapted(&self) -> Adapted<'_> {
        Adapted { layout: &self.layout, theta: &self.turned, scale: self.config.scale() }
    }

    /// That this adapter is for a model of the given shape.
    pub(crate) fn check(&self, model: &Config) -> Result<(), Error> {
        if self.model == *model {
            Ok(())
        } else {
            Err(Error::Adapter(format!("made for {:?}, used with {model:?}", self.model)))
        }
    }
}

/// The parameters training starts from: `A` uniform in `±1/√in` (PEFT's Kaiming-uniform with `a = √5`), `B` zero.
///
/// The generator is stated so that anyone can repeat it: word `i` of the stream is the `i mod 8`-th little-endian `u32` of
/// `SHA-256(seed ‖ u64-le(i / 8))`; entries of `A` in the order of `θ` take one word each; the upper 24 bits `m` become `(2 m / 2^24 − 1 + 2^-24) / √in`.
#[must_use]
pub fn init(model: &Config, layout: &LoraLayout, seed: [u8; 32]) -> Vec<f32> {
    let mut theta = vec![0.0; layout.len()];
    let mut stream = Uniform::new(seed);
    for block in layout.blocks() {
        let (input, _) = block.target.dims(model);
        let bound = 1.0 / (input as f32).sqrt();
        for x in &mut theta[block.a.clone()] {
            *x = stream.next() * bound;
        }
    }
    theta
}

/// Uniform numbers in (-1, 1) from a counter and a hash, as [`init`] states.
pub(crate) struct Uniform {
    seed: [u8; 32],
    counter: u64,
    words: [u8; 32],
    at: usize,
}

impl Uniform {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0, words: [0; 32], at: 32 }
    }

    pub(crate) fn next(&mut self) -> f32 {
        if self.at == 32 {
            let mut hash = Sha256::new();
            hash.update(self.seed);
            hash.update(self.counter.to_le_bytes());
            self.words = hash.finalize().into();
            self.counter += 1;
            self.at = 0;
        }
        let w = &self.words[self.at..self.at + 4];
        self.at += 4;
        let mantissa = u32::from_le_bytes([w[0], w[1], w[2], w[3]]) >> 8;
        // 2m + 1 - 2^24 is an odd integer of at most 25 bits with its lowest bit set, so it is exact only in f64.
        ((f64::from(2 * mantissa + 1) - 16_777_216.0) / 16_777_216.0) as f32
    }
}
