use std::ops::Range;

use rayon::prelude::*;

use super::linear::{Linear, Stored};
use crate::{Config, Pool, gguf::Matrix, kernel::Buf};

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
    pub(crate) embedding: Option<Stored>,
}

/// Where the matrices of a model come from: `name` as GGUF has it, shape `(in, out)`, rows of `in`.
pub(crate) trait Source<'a> {
    type Error;
    fn matrix(&mut self, name: &str, input: usize, output: usize) -> Result<Matrix<'a>, Self::Error>;
    fn vector(&mut self, name: &str, width: usize) -> Result<Vec<f32>, Self::Error>;
    fn tied(&self) -> bool;
}

impl Weights {
    pub(crate) fn load<'a, S: Source<'a>>(config: &Config, source: &mut S) -> Result<Self, S::Error> {
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
                qkv: Linear::stack(d, &[wq, wk, wv]),
                o: Linear::stack(q, &[wo]),
                ffn_norm: aligned(&source.vector(&name("ffn_norm"), d)?),
                gate_up: Linear::stack(d, &[gate, up]),
                down: Linear::stack(ff, &[down]),
            });
        }
        let table = source.matrix("token_embd.weight", d, config.vocab)?;
        let (head, embedding) = if source.tied() {
            (Linear::stack(d, &[table]), None)
        } else {
            let head = source.matrix("output.weight", d, config.vocab)?;
            (Linear::stack(d, &[head]), Some(Stored::new(&table, d)))
        };
        let final_norm = aligned(&source.vector("output_norm.weight", d)?);
        Ok(Self { layers, final_norm, head, embedding })
    }

    /// Row of the embedding of one token.
    pub(crate) fn embed(&self, token: u32, out: &mut [f32]) {
        match &self.embedding {
            Some(table) => table.row(token as usize, out),
            None => self.head.row(token as usize, out),
        }
    }

    /// Bytes of weights that decoding one token reads.
    pub(crate) fn serving_bytes(&self) -> usize {
        self.maps(0).map(|l| l.serving().bytes()).sum()
    }

    /// The maps from a layer on, and the head.
    fn maps(&self, first_layer: usize) -> impl Iterator<Item = &Linear> {
        self.layers[first_layer.min(self.layers.len())..]
            .iter()
            .flat_map(|l| [&l.qkv, &l.o, &l.gate_up, &l.down])
            .chain([&self.head])
    }

    pub(crate) fn keep_quantised(&self) {
        self.maps(0).for_each(Linear::keep_quantised);
    }

    /// Packs the floats of these maps, unless they are.
    pub(crate) fn prepare_forward(&self, pool: &Pool, layers: Range<usize>, head: bool) {
        let count = layers.len() * MAPS + usize::from(head);
        let maps = self.maps(layers.start).take(count).filter(|l| l.lacks_forward()).collect::<Vec<_>>();
        share(pool, &maps, |l| {
            l.forward();
        });
    }

    pub(crate) fn prepare_backward(&self, pool: &Pool, first_layer: usize) {
        let maps = self.maps(first_layer).filter(|l| l.lacks_backward()).collect::<Vec<_>>();
        share(pool, &maps, |l| {
            l.backward();
        });
    }
}

/// Maps of a layer.
const MAPS: usize = 4;

fn share(pool: &Pool, maps: &[&Linear], work: impl Fn(&Linear) + Sync + Send) {
    if !maps.is_empty() {
        pool.install(|| maps.par_iter().for_each(|l| work(l)));
    }
}

fn aligned(values: &[f32]) -> Buf {
    let mut buf = Buf::zeros(values.len());
    buf.copy_from_slice(values);
    buf
}
