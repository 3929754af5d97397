use super::{Pass, adapted::Columns, planes, planes_mut};
use crate::{
    Target,
    kernel::{Buf, Left, Right, gemm, norm, norm_tangent, swiglu, swiglu_tangent},
};

/// What the backward pass of one layer needs from its forward pass (all planes).
pub(crate) struct Kept {
    /// Rows entering the layer.
    pub(super) x: Buf,
    /// Queries and keys after the rotation, values.
    pub(super) qkv: Buf,
    /// Attention before the output map.
    pub(super) att: Buf,
    /// Rows between attention and feed-forward.
    pub(super) middle: Buf,
    /// Gate and up projections.
    pub(super) gate_up: Buf,
    /// `s A n` of each adapted map.
    pub(super) low: Vec<(Target, Buf)>,
}

impl Pass<'_> {
    /// One layer over `x` (all planes), in place; returns what its backward pass needs if `keep`.
    pub(crate) fn layer(&self, i: usize, x: &mut Buf, keep: bool) -> Option<Kept> {
        let config = &self.model.config;
        let weights = &self.model.weights.layers[i];
        let (d, ff, q, kv) = (config.d_model, config.d_ff, config.q_dim(), config.kv_dim());
        let (all, width) = (self.stacked(), q + 2 * kv);
        let mut low = Vec::new();
        let entering = if keep { Buf::scratch_copy(x) } else { Buf::default() };

        let n = self.norm(x, &weights.attn_norm);
        let mut qkv = Buf::scratch(all * width);
        gemm(
            self.split,
            (all, width, d),
            Left::rows(&n, d),
            Right::from(&*weights.qkv.forward()),
            &mut qkv,
            width,
            false,
        );
        for (target, first) in [(Target::Q, 0), (Target::K, q), (Target::V, q + kv)] {
            low.extend(
                self.adapt(i, target, &n, &mut qkv, Columns { ld: width, first }).map(|h| (target, h)),
            );
        }
        self.rope(&mut qkv, 1.0);
        let mut att = Buf::scratch(all * q);
        self.attend(&qkv, &mut att);
        gemm(self.split, (all, d, q), Left::rows(&att, q), Right::from(&*weights.o.forward()), x, d, true);
        low.extend(self.adapt(i, Target::O, &att, x, Columns { ld: d, first: 0 }).map(|h| (Target::O, h)));
        let middle = if keep { Buf::scratch_copy(x) } else { Buf::default() };

        let n = self.norm(x, &weights.ffn_norm);
        let mut gate_up = Buf::scratch(all * 2 * ff);
        gemm(
            self.split,
            (all, 2 * ff, d),
            Left::rows(&n, d),
            Right::from(&*weights.gate_up.forward()),
            &mut gate_up,
            2 * ff,
            false,
        );
        for (target, first) in [(Target::Gate, 0), (Target::Up, ff)] {
            low.extend(
                self.adapt(i, target, &n, &mut gate_up, Columns { ld: 2 * ff, first }).map(|h| (target, h)),
            );
        }
        let a = self.activate(&gate_up);
        gemm(self.split, (all, d, ff), Left::rows(&a, ff), Right::from(&*weights.down.forward()), x, d, true);
        low.extend(
            self.adapt(i, Target::Down, &a, x, Columns { ld: d, first: 0 }).map(|h| (Target::Down, h)),
        );

        keep.then_some(Kept { x: entering, qkv, att, middle, gate_up, low })
    }

    /// RMS norm of every row, all planes.
    pub(crate) fn norm(&self, x: &[f32], w: &[f32]) -> Buf {
        norm_stack(x, w, self.model.config.norm_eps, self.planes())
    }

    /// `silu(gate) · up` of every row, all planes.
    pub(super) fn activate(&self, gate_up: &[f32]) -> Buf {
        let ff = self.model.config.d_ff;
        let rows = self.rows();
        let mut a = Buf::scratch(self.stacked() * ff);
        let (value, tangent) = planes(gate_up, rows, 2 * ff);
        let (a0, a1) = planes_mut(&mut a, rows, ff);
        for (out, row) in a0.chunks_exact_mut(ff).zip(value.chunks_exact(2 * ff)) {
            let (g, u) = row.split_at(ff);
            swiglu(g, u, out);
        }
        for ((out, row), dot) in
            a1.chunks_exact_mut(ff).zip(value.chunks_exact(2 * ff).cycle()).zip(tangent.chunks_exact(2 * ff))
        {
            let ((g, u), (gt, ut)) = (row.split_at(ff), dot.split_at(ff));
            swiglu_tangent(g, u, gt, ut, out);
        }
        a
    }
}

/// RMS norm of a stack of rows: values and tangents.
pub(super) fn norm_stack(x: &[f32], w: &[f32], eps: f32, planes_of_rows: usize) -> Buf {
    let d = w.len();
    let rows = x.len() / d / planes_of_rows;
    let mut out = Buf::scratch(x.len());
    let (value, tangent) = planes(x, rows, d);
    let (y0, y1) = planes_mut(&mut out, rows, d);
    for (y, x) in y0.chunks_exact_mut(d).zip(value.chunks_exact(d)) {
        norm(x, w, eps, y);
    }
    let again = value.chunks_exact(d).cycle();
    for ((y, x), xt) in y1.chunks_exact_mut(d).zip(again).zip(tangent.chunks_exact(d)) {
        norm_tangent(x, xt, w, eps, y);
    }
    out
}
