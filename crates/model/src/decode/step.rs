use std::{ops::Range, sync::Arc};

use rayon::prelude::*;

use super::{Adapted, Row, pages::Page};
use crate::{
    Model, Target,
    engine::gather,
    kernel::{Buf, Left, Right, gemm, norm, rotate, swiglu},
};

/// The rows of one session in a step.
pub(super) struct Sequence<'a> {
    pub(super) rows: Range<usize>,
    /// Position of the first of them.
    pub(super) start: usize,
    pub(super) adapter: Option<Adapted<'a>>,
    /// Pages for all positions up to the last row's; those that rows go to are held by nobody else.
    pub(super) table: &'a mut Vec<Arc<Page>>,
}

/// Rows of any number of sessions that go through the layers together.
pub(super) struct Step<'a> {
    pub(super) model: &'a Model,
    pub(super) sequences: Vec<Sequence<'a>>,
    /// Tasks that share a stage.
    pub(super) split: usize,
}

impl Step<'_> {
    /// All layers over the rows `x`, in place; keys and values go to the pages.
    pub(super) fn layers(&mut self, x: &mut Buf) {
        for layer in 0..self.model.config.layers {
            self.layer(layer, x);
        }
    }

    fn layer(&mut self, i: usize, x: &mut Buf) {
        let model = self.model;
        let (config, weights) = (&model.config, &model.weights.layers[i]);
        let (d, ff, q, kv) = (config.d_model, config.d_ff, config.q_dim(), config.kv_dim());
        let (rows, width) = (x.len() / d, q + 2 * kv);
        let split = self.split;

        let n = norms(x, &weights.attn_norm, config.norm_eps);
        let mut qkv = Buf::scratch(rows * width);
        let right = Right::from(weights.qkv.forward());
        gemm(split, (rows, width, d), Left::rows(&n, d), right, &mut qkv, width, false);
        for (target, first) in [(Target::Q, 0), (Target::K, q), (Target::V, q + kv)] {
            self.adapt(i, target, &n, &mut qkv, width, first);
        }
        self.rotate(&mut qkv);
        let mut att = Buf::scratch(rows * q);
        self.attend(i, &qkv, &mut att);
        gemm(split, (rows, d, q), Left::rows(&att, q), Right::from(weights.o.forward()), x, d, true);
        self.adapt(i, Target::O, &att, x, d, 0);

        let n = norms(x, &weights.ffn_norm, config.norm_eps);
        let mut gate_up = Buf::scratch(rows * 2 * ff);
        let right = Right::from(weights.gate_up.forward());
        gemm(split, (rows, 2 * ff, d), Left::rows(&n, d), right, &mut gate_up, 2 * ff, false);
        for (target, first) in [(Target::Gate, 0), (Target::Up, ff)] {
            self.adapt(i, target, &n, &mut gate_up, 2 * ff, first);
        }
        let mut a = Buf::scratch(rows * ff);
        for (out, row) in a.chunks_exact_mut(ff).zip(gate_up.chunks_exact(2 * ff)) {
            let (g, u) = row.split_at(ff);
            swiglu(g, u, out);
        }
        gemm(split, (rows, d, ff), Left::rows(&a, ff), Right::from(weights.down.forward()), x, d, true);
        self.adapt(i, Target::Down, &a, x, d, 0);
    }

    /// Turns queries and keys by the angles of their positions.
    fn rotate(&self, qkv: &mut [f32]) {
        let config = &self.model.config;
        let width = config.q_dim() + 2 * config.kv_dim();
        let turned = config.q_dim() + config.kv_dim();
        for sequence in &self.sequences {
            for (i, row) in sequence.rows.clone().enumerate() {
                let (cos, sin) = self.model.rope.at(sequence.start + i);
                rotate(&mut qkv[row * width..][..turned], cos, sin, 1.0);
            }
        }
    }

    /// Hands the logits after the rows `(row, feed, index)` of `x` to `each`.
    pub(super) fn logits<T: Send>(
        &self,
        x: &[f32],
        wanted: &[(usize, usize, usize)],
        each: &(impl Fn(Row<'_>) -> T + Sync),
        results: &mut Vec<T>,
    ) {
        let model = self.model;
        let (d, vocab) = (model.config.d_model, model.config.vocab);
        let rows = gather(x, d, wanted.iter().map(|w| w.0));
        let n = norms(&rows, &model.weights.final_norm, model.config.norm_eps);
        let mut z = Buf::scratch(wanted.len() * vocab);
        let right = Right::from(model.weights.head.forward());
        gemm(self.split, (wanted.len(), vocab, d), Left::rows(&n, d), right, &mut z, vocab, false);
        let row = |(logits, (_, feed, index)): (&mut [f32], &(usize, usize, usize))| {
            each(Row { feed: *feed, index: *index, logits })
        };
        if wanted.len() == 1 {
            results.extend(z.chunks_mut(vocab).zip(wanted).map(row));
        } else {
            results.par_extend(z.par_chunks_mut(vocab).zip(wanted).map(row));
        }
    }
}

fn norms(x: &[f32], w: &[f32], eps: f32) -> Buf {
    let mut out = Buf::scratch(x.len());
    for (y, x) in out.chunks_exact_mut(w.len()).zip(x.chunks_exact(w.len())) {
        norm(x, w, eps, y);
    }
    out
}
