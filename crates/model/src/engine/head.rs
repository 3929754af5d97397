//! From hidden rows to logits, losses and back.

use rayon::prelude::*;

use super::{backward::norm_backward_stack, forward::norm_stack, gather};
use crate::{
    Model,
    kernel::{Buf, Left, Right, cross_entropy, gemm, partition_tangent},
};

/// Rows of logits held at once: a multiple of the widest kernel's rows, few enough (17 MB for a vocabulary of 49152) to stay in a shared cache.
const BLOCK: usize = 84;

/// Losses of rows, and the gradient of their sum with respect to the rows.
pub(crate) struct Losses {
    pub(crate) value: Vec<f64>,
    /// Empty without tangents.
    pub(crate) tangent: Vec<f64>,
    /// All planes; empty unless asked for.
    pub(crate) dx: Buf,
}

impl Losses {
    /// Cross-entropy of `targets` after the rows `x` (one plane, or two if `dual`).
    pub(crate) fn compute(
        model: &Model,
        split: usize,
        x: &[f32],
        targets: &[u32],
        dual: bool,
        gradient: bool,
    ) -> Self {
        let (d, vocab) = (model.config.d_model, model.config.vocab);
        let planes = if dual { 2 } else { 1 };
        let rows = targets.len();
        let weights = &model.weights;
        let mut out = Self {
            value: Vec::new(),
            tangent: Vec::new(),
            dx: Buf::scratch_zeros(if gradient { x.len() } else { 0 }),
        };
        let n = norm_stack(x, &weights.final_norm, model.config.norm_eps, dual);
        // The padding keeps rows from falling onto the same cache sets.
        let ld = vocab + 16;
        let block = BLOCK / planes;
        let mut z = Buf::scratch(block.min(rows) * planes * ld);
        let mut dn = Buf::scratch(out.dx.len());
        for first in (0..rows).step_by(block) {
            let count = block.min(rows - first);
            let both = (0..planes * count).map(|i| i / count * rows + first + i % count);
            let h = gather(&n, d, both.clone());
            gemm(
                split,
                (planes * count, vocab, d),
                Left::rows(&h, d),
                Right::from(weights.head.forward()),
                &mut z,
                ld,
                false,
            );
            let (z0, z1) = z.split_at_mut(count * ld);
            let z1 = &mut z1[..(planes - 1) * count * ld];
            let one = |i: usize, row: &mut [f32], dot: Option<&mut [f32]>| {
                let target = targets[first + i] as usize;
                let loss = cross_entropy(&mut row[..vocab], target);
                let loss_dot = dot.map(|dot| {
                    let picked = dot[target];
                    partition_tangent(&row[..vocab], &mut dot[..vocab]) - picked
                });
                row[target] -= 1.0;
                (loss, loss_dot.map(f64::from))
            };
            let results: Vec<(f64, Option<f64>)> = match (dual, split > 1) {
                (true, true) => z0
                    .par_chunks_mut(ld)
                    .zip(z1.par_chunks_mut(ld))
                    .enumerate()
                    .map(|(i, (r, t))| one(i, r, Some(t)))
                    .collect(),
                (true, false) => z0
                    .chunks_mut(ld)
                    .zip(z1.chunks_mut(ld))
                    .enumerate()
                    .map(|(i, (r, t))| one(i, r, Some(t)))
                    .collect(),
                (false, true) => z0.par_chunks_mut(ld).enumerate().map(|(i, r)| one(i, r, None)).collect(),
                (false, false) => z0.chunks_mut(ld).enumerate().map(|(i, r)| one(i, r, None)).collect(),
            };
            out.value.extend(results.iter().map(|r| r.0));
            out.tangent.extend(results.iter().filter_map(|r| r.1));
            if gradient {
                let mut dh = Buf::scratch(planes * count * d);
                gemm(
                    split,
                    (planes * count, d, vocab),
                    Left::rows(&z, ld),
                    Right::from(weights.head.backward()),
                    &mut dh,
                    d,
                    false,
                );
                for (row, source) in both.zip(dh.chunks_exact(d)) {
                    dn[row * d..(row + 1) * d].copy_from_slice(source);
                }
            }
        }
        if gradient {
            norm_backward_stack(x, &weights.final_norm, model.config.norm_eps, &mut dn, &mut out.dx, dual);
        }
        out
    }
}
