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
    /// By direction.
    pub(crate) tangents: Vec<Vec<f64>>,
    /// All planes; empty unless asked for.
    pub(crate) dx: Buf,
}

impl Losses {
    /// Cross-entropy of `targets` after the rows `x`, all planes.
    pub(crate) fn compute(model: &Model, split: usize, x: &[f32], targets: &[u32], gradient: bool) -> Self {
        let (d, vocab) = (model.config.d_model, model.config.vocab);
        let rows = targets.len();
        let planes = x.len() / d / rows;
        let weights = &model.weights;
        let mut out = Self {
            value: Vec::new(),
            tangents: vec![Vec::new(); planes - 1],
            dx: Buf::scratch_zeros(if gradient { x.len() } else { 0 }),
        };
        let n = norm_stack(x, &weights.final_norm, model.config.norm_eps, planes);
        let head = weights.head.forward();
        let back = gradient.then(|| weights.head.backward());
        // The padding keeps rows from falling onto the same cache sets.
        let ld = vocab + 16;
        let block = (BLOCK / planes).max(1);
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
                Right::from(&*head),
                &mut z,
                ld,
                false,
            );
            let (z0, z1) = z.split_at_mut(count * ld);
            let z1 = &mut z1[..(planes - 1) * count * ld];
            let value = |(i, row): (usize, &mut [f32])| {
                let target = targets[first + i] as usize;
                let picked = cross_entropy(&mut row[..vocab], target);
                (picked, target)
            };
            let losses: Vec<(f64, usize)> = match split > 1 {
                true => z0.par_chunks_mut(ld).enumerate().map(value).collect(),
                false => z0.chunks_mut(ld).enumerate().map(value).collect(),
            };
            // Rows of `z0` are probabilities now.
            let probabilities = &*z0;
            let tangent = |(i, dot): (usize, &mut [f32])| {
                let (_, target) = losses[i % count];
                let p = &probabilities[i % count * ld..][..vocab];
                let picked = dot[target];
                f64::from(partition_tangent(p, &mut dot[..vocab]) - picked)
            };
            let tangents: Vec<f64> = match split > 1 {
                true => z1.par_chunks_mut(ld).enumerate().map(tangent).collect(),
                false => z1.chunks_mut(ld).enumerate().map(tangent).collect(),
            };
            for (row, (_, target)) in z0.chunks_mut(ld).zip(&losses) {
                row[*target] -= 1.0;
            }
            out.value.extend(losses.iter().map(|(loss, _)| loss));
            for (all, plane) in out.tangents.iter_mut().zip(tangents.chunks_exact(count)) {
                all.extend_from_slice(plane);
            }
            if let Some(back) = &back {
                let mut dh = Buf::scratch(planes * count * d);
                gemm(
                    split,
                    (planes * count, d, vocab),
                    Left::rows(&z, ld),
                    Right::from(&**back),
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
            norm_backward_stack(x, &weights.final_norm, model.config.norm_eps, &mut dn, &mut out.dx, planes);
        }
        out
    }
}
