use std::sync::OnceLock;

use rayon::prelude::*;

use crate::{
    Config, Pool,
    kernel::{Buf, Panels},
};

/// A linear map `y = W x`, packed for `x Wᵀ` (forward) and, once needed, for `dy W` (backward).
pub(crate) struct Linear {
    forward: Panels,
    backward: OnceLock<Panels>,
}

impl Linear {
    /// Stacks matrices of the same input width: the rows of each (`out x in`) follow those of the one before.
    pub(crate) fn stack(input: usize, parts: &[&[f32]]) -> Self {
        let rows = parts.iter().map(|p| p.len() / input).sum();
        let mut forward = Panels::zeros(input, rows);
        let mut first = 0;
        for part in parts {
            forward.set_rows(first, part);
            first += part.len() / input;
        }
        Self { forward, backward: OnceLock::new() }
    }

    pub(crate) fn forward(&self) -> &Panels {
        &self.forward
    }

    pub(crate) fn backward(&self) -> &Panels {
        self.backward.get_or_init(|| self.forward.transposed())
    }

    /// Output rows `first..first + count` of `W`, row-major.
    pub(crate) fn rows(&self, first: usize, count: usize) -> Vec<f32> {
        let input = self.forward.k();
        let mut out = vec![0.0; count * input];
        for (i, row) in out.chunks_exact_mut(input).enumerate() {
            self.forward.column(first + i, row);
        }
        out
    }
}

/// One decoder layer. Maps with the same input are stacked, so that one product computes them.
pub(crate) struct Layer {
    pub(crate) attn_norm: Buf,
    /// Queries, keys, values.
    pub(crate) qkv: Linear,
    pub(crate) o: Linear,
    pub(crate) ffn_norm: Buf,
    /// Gate, up.
    pub(crate) gate_up: Linear,
    pub(crate) down: Linear,
}

/// All weights of a model.
pub(crate) struct Weights {
    pub(crate) layers: Vec<Layer>,
    pub(crate) final_norm: Buf,
    /// Logits of the vocabulary.
    pub(crate) head: Linear,
    /// The embedding, where it is not the head.
    pub(crate) embedding: Option<Panels>,
}

/// Where the matrices of a model come from: `name` as GGUF has it, shape `(in, out)`, rows of `in`.
pub(crate) trait Source {
    type Error;
    fn matrix(&mut self, name: &str, input: usize, output: usize) -> Result<Vec<f32>, Self::Error>;
    fn vector(&mut self, name: &str, width: usize) -> Result<Vec<f32>, Self::Error>;
    fn tied(&self) -> bool;
}

impl Weights {
    pub(crate) fn load<S: Source>(config: &Config, source: &mut S) -> Result<Self, S::Error> {
        let (d, ff, q, kv) = (config.d_model, config.d_ff, config.q_dim(), config.kv_dim());
        let mut layers = Vec::with_capacity(config.layers);
        for i in 0..config.layers {
            let name = |part: &str| format!("blk.{i}.{part}.weight");
            let wq = source.matrix(&name("attn_q"), d, q)?;
            let wk = source.matrix(&name("attn_k"), d, kv)?;
            let wv = source.matrix(&name("attn_v"), d, kv)?;
            let wo = source.matrix(&name("attn_output"), q, d)?;
            let gate = source.matrix(&name("ffn_gate"), d, ff)?;
            let up = source.matrix(&name("ffn_up"), d, ff)?;
            let down = source.matrix(&name("ffn_down"), ff, d)?;
            layers.push(Layer {
                attn_norm: aligned(&source.vector(&name("attn_norm"), d)?),
                qkv: Linear::stack(d, &[&wq, &wk, &wv]),
                o: Linear::stack(q, &[&wo]),
                ffn_norm: aligned(&source.vector(&name("ffn_norm"), d)?),
                gate_up: Linear::stack(d, &[&gate, &up]),
                down: Linear::stack(ff, &[&down]),
            });
        }
        let table = source.matrix("token_embd.weight", d, config.vocab)?;
        let (head, embedding) = if source.tied() {
            (Linear::stack(d, &[&table]), None)
        } else {
            let head = source.matrix("output.weight", d, config.vocab)?;
            (Linear::stack(d, &[&head]), Some(Panels::from_rows(&table, d, config.vocab)))
        };
        let final_norm = aligned(&source.vector("output_norm.weight", d)?);
        Ok(Self { layers, final_norm, head, embedding })
    }

    /// Row of the embedding of one token.
    pub(crate) fn embed(&self, token: u32, out: &mut [f32]) {
        self.embedding.as_ref().unwrap_or(self.head.forward()).column(token as usize, out);
    }

    pub(crate) fn prepare_backward(&self, pool: &Pool, first_layer: usize) {
        let maps = self.layers[first_layer.min(self.layers.len())..]
            .iter()
            .flat_map(|l| [&l.qkv, &l.o, &l.gate_up, &l.down])
            .chain([&self.head])
            .filter(|l| l.backward.get().is_none())
            .collect::<Vec<_>>();
        if !maps.is_empty() {
            pool.install(|| {
                maps.par_iter().for_each(|l| {
                    l.backward();
                })
            });
        }
    }
}

fn aligned(values: &[f32]) -> Buf {
    let mut buf = Buf::zeros(values.len());
    buf.copy_from_slice(values);
    buf
}
