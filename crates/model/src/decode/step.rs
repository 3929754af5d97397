use std::{ops::Range, sync::Arc};

use rayon::prelude::*;

use super::{Adapted, Row, pages::Page};
use crate::{
    Model, Target,
    engine::gather,
    kernel::{Buf, Quantised, QuantisedRow, norm, product, rotate, swiglu},
};

/// Rows from which on what is done to each of them is shared among threads.
const WORTH_SHARING: usize = 6;

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

/// Rows of one width.
type Rows<'a> = (usize, &'a mut [f32]);

impl<'a> Step<'a> {
    /// All layers over the rows `x`, in place; keys and values go to the pages.
    pub(super) fn layers(&mut self, x: &mut Buf) {
        let model = self.model;
        let config = &model.config;
        let (d, ff, q, kv) = (config.d_model, config.d_ff, config.q_dim(), config.kv_dim());
        let (rows, width, split) = (x.len() / d, q + 2 * kv, self.split);
        let mut origins: Vec<(usize, Option<Adapted<'a>>)> = Vec::with_capacity(rows);
        for s in &self.sequences {
            origins.extend((s.start..s.start + s.rows.len()).map(|position| (position, s.adapter)));
        }
        let adapt = |row: usize, layer: usize, target: Target, n: &[f32], y: &mut [f32]| {
            if let Some(adapted) = &origins[row].1 {
                adapted.add(config, layer, target, n, y);
            }
        };
        let norms = |w: &[f32], x: &[f32], n: &mut [f32], mut values: QuantisedRow<'_>| {
            norm(x, w, config.norm_eps, n);
            values.fill(n);
        };

        let mut n = Buf::scratch(rows * d);
        let mut qkv = Buf::scratch(rows * width);
        let mut att = Buf::scratch(rows * q);
        let mut gate_up = Buf::scratch(rows * 2 * ff);
        let mut a = Buf::scratch(rows * ff);
        let (mut narrow, mut heads, mut wide) =
            (Quantised::default(), Quantised::default(), Quantised::default());
        narrow.resize(rows, d);
        heads.resize(rows, q);
        wide.resize(rows, ff);

        let layers = &model.weights.layers;
        both(split, (d, x), (d, &mut n), &mut narrow, |_, x, n, values| {
            norms(&layers[0].attn_norm, x, n, values);
        });
        for (i, layer) in layers.iter().enumerate() {
            product(split, &narrow, layer.qkv.serving(), &mut qkv, width, false);
            each(split, (width, &mut qkv), |row, qkv| {
                for (target, first, count) in [(Target::Q, 0, q), (Target::K, q, kv), (Target::V, q + kv, kv)]
                {
                    adapt(row, i, target, &n[row * d..][..d], &mut qkv[first..first + count]);
                }
                let (cos, sin) = model.rope.at(origins[row].0);
                rotate(&mut qkv[..q + kv], cos, sin, 1.0);
            });
            self.attend(i, &qkv, &mut att, &mut heads);
            product(split, &heads, layer.o.serving(), x, d, true);
            both(split, (d, x), (d, &mut n), &mut narrow, |row, x, n, values| {
                adapt(row, i, Target::O, &att[row * q..][..q], x);
                norms(&layer.ffn_norm, x, n, values);
            });
            product(split, &narrow, layer.gate_up.serving(), &mut gate_up, 2 * ff, false);
            both(split, (2 * ff, &mut gate_up), (ff, &mut a), &mut wide, |row, gate_up, a, mut values| {
                let (gate, up) = gate_up.split_at_mut(ff);
                adapt(row, i, Target::Gate, &n[row * d..][..d], gate);
                adapt(row, i, Target::Up, &n[row * d..][..d], up);
                swiglu(gate, up, a);
                values.fill(a);
            });
            product(split, &wide, layer.down.serving(), x, d, true);
            both(split, (d, x), (d, &mut n), &mut narrow, |row, x, n, values| {
                adapt(row, i, Target::Down, &a[row * ff..][..ff], x);
                if let Some(next) = layers.get(i + 1) {
                    norms(&next.attn_norm, x, n, values);
                }
            });
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
        let mut rows = gather(x, d, wanted.iter().map(|w| w.0));
        let mut n = Buf::scratch(rows.len());
        let mut values = Quantised::default();
        values.resize(wanted.len(), d);
        both(self.split, (d, &mut rows), (d, &mut n), &mut values, |_, x, n, mut values| {
            norm(x, &model.weights.final_norm, model.config.norm_eps, n);
            values.fill(n);
        });
        let mut z = Buf::scratch(wanted.len() * vocab);
        product(self.split, &values, model.weights.head.serving(), &mut z, vocab, false);
        let row = |(logits, (_, feed, index)): (&mut [f32], &(usize, usize, usize))| {
            each(Row { feed: *feed, index: *index, logits })
        };
        results.par_extend(z.par_chunks_mut(vocab).zip(wanted).map(row));
    }
}

/// Rows of which a task takes at least so many; all of them where sharing is not worth it.
fn least(split: usize, rows: usize) -> usize {
    if split > 1 && rows >= WORTH_SHARING { rows.div_ceil(4 * split) } else { rows }
}

/// Calls `work` with every row.
fn each(split: usize, (width, y): Rows<'_>, work: impl Fn(usize, &mut [f32]) + Sync) {
    let least = least(split, y.len() / width);
    y.par_chunks_exact_mut(width).with_min_len(least).enumerate().for_each(|(row, y)| work(row, y));
}

/// Calls `work` with every row of two matrices and of what is quantised.
fn both(
    split: usize,
    (left, y): Rows<'_>,
    (right, z): Rows<'_>,
    values: &mut Quantised,
    work: impl Fn(usize, &mut [f32], &mut [f32], QuantisedRow<'_>) + Sync,
) {
    let least = least(split, y.len() / left);
    (y.par_chunks_exact_mut(left).zip(z.par_chunks_exact_mut(right)).zip(values.par_rows_mut()))
        .with_min_len(least)
        .enumerate()
        .for_each(|(row, ((y, z), values))| work(row, y, z, values));
}
