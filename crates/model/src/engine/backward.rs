use super::{
    Kept, Pass,
    adapted::{Columns, Gradient},
    planes, planes_mut,
};
use crate::{
    Target,
    kernel::{
        Buf, Left, Right, gemm, norm_backward, norm_backward_tangent, swiglu_backward,
        swiglu_backward_tangent,
    },
};

impl Pass<'_> {
    /// Backward of [`Pass::layer`]: `dx` (all planes) of the rows leaving the layer becomes that of the rows entering it, unless this is the `last` layer to be
    /// differentiated; gradients of the adapted maps are put into `grads`, one per sequence.
    pub(crate) fn layer_backward(
        &self,
        i: usize,
        kept: &Kept,
        dx: &mut Buf,
        last: bool,
        grads: &mut [Gradient],
    ) {
        let config = &self.model.config;
        let weights = &self.model.weights.layers[i];
        let (d, ff, q, kv) = (config.d_model, config.d_ff, config.q_dim(), config.kv_dim());
        let (all, width) = (self.stacked(), q + 2 * kv);
        let low = |target: Target| kept.low.iter().find(|(t, _)| *t == target).map(|(_, h)| h);
        let whole = Columns { ld: d, first: 0 };

        let mut da = Buf::scratch(all * ff);
        gemm(
            self.split,
            (all, ff, d),
            Left::rows(dx, d),
            Right::from(&*weights.down.backward()),
            &mut da,
            ff,
            false,
        );
        if let Some(h) = low(Target::Down) {
            let a = self.activate(&kept.gate_up);
            self.adapt_backward(i, Target::Down, h, &a, dx, whole, Some(&mut da), grads);
        }
        let dgu = self.activate_backward(&kept.gate_up, &da);
        let mut dn = Buf::scratch(all * d);
        gemm(
            self.split,
            (all, d, 2 * ff),
            Left::rows(&dgu, 2 * ff),
            Right::from(&*weights.gate_up.backward()),
            &mut dn,
            d,
            false,
        );
        if low(Target::Gate).is_some() || low(Target::Up).is_some() {
            let n = self.norm(&kept.middle, &weights.ffn_norm);
            for (target, first) in [(Target::Gate, 0), (Target::Up, ff)] {
                if let Some(h) = low(target) {
                    self.adapt_backward(
                        i,
                        target,
                        h,
                        &n,
                        &dgu,
                        Columns { ld: 2 * ff, first },
                        Some(&mut dn),
                        grads,
                    );
                }
            }
        }
        norm_backward_stack(&kept.middle, &weights.ffn_norm, config.norm_eps, &mut dn, dx, self.planes());

        let mut datt = Buf::scratch(all * q);
        gemm(
            self.split,
            (all, q, d),
            Left::rows(dx, d),
            Right::from(&*weights.o.backward()),
            &mut datt,
            q,
            false,
        );
        if let Some(h) = low(Target::O) {
            self.adapt_backward(i, Target::O, h, &kept.att, dx, whole, Some(&mut datt), grads);
        }
        let adapted =
            [(Target::Q, 0), (Target::K, q), (Target::V, q + kv)].map(|(t, first)| (t, first, low(t)));
        if last && adapted.iter().all(|(_, _, h)| h.is_none()) {
            return;
        }
        let mut dqkv = Buf::scratch_zeros(all * width);
        self.attend_backward(&kept.qkv, &datt, &mut dqkv);
        self.rope(&mut dqkv, -1.0);
        let mut dn = Buf::scratch(if last { 0 } else { all * d });
        if !last {
            gemm(
                self.split,
                (all, d, width),
                Left::rows(&dqkv, width),
                Right::from(&*weights.qkv.backward()),
                &mut dn,
                d,
                false,
            );
        }
        if adapted.iter().any(|(_, _, h)| h.is_some()) {
            let n = self.norm(&kept.x, &weights.attn_norm);
            for (target, first, h) in adapted {
                if let Some(h) = h {
                    let below = if last { None } else { Some(&mut dn[..]) };
                    self.adapt_backward(i, target, h, &n, &dqkv, Columns { ld: width, first }, below, grads);
                }
            }
        }
        if !last {
            norm_backward_stack(&kept.x, &weights.attn_norm, config.norm_eps, &mut dn, dx, self.planes());
        }
    }

    /// Backward of [`Pass::activate`].
    fn activate_backward(&self, gate_up: &[f32], da: &[f32]) -> Buf {
        let ff = self.model.config.d_ff;
        let rows = self.rows();
        let mut dgu = Buf::scratch(self.stacked() * 2 * ff);
        let (gu, gut) = planes(gate_up, rows, 2 * ff);
        let (da, dat) = planes(da, rows, ff);
        let (d0, d1) = planes_mut(&mut dgu, rows, 2 * ff);
        for ((out, row), da) in
            d0.chunks_exact_mut(2 * ff).zip(gu.chunks_exact(2 * ff)).zip(da.chunks_exact(ff))
        {
            let ((g, u), (dg, du)) = (row.split_at(ff), out.split_at_mut(ff));
            swiglu_backward(g, u, da, dg, du);
        }
        for (r, (out, dat)) in d1.chunks_exact_mut(2 * ff).zip(dat.chunks_exact(ff)).enumerate() {
            let (own, dot) = (r % rows, r * 2 * ff..(r + 1) * 2 * ff);
            let value = own * 2 * ff..(own + 1) * 2 * ff;
            swiglu_backward_tangent(&gu[value], &gut[dot], &da[own * ff..(own + 1) * ff], dat, out);
        }
        dgu
    }
}

/// Backward of a norm over a stack of rows, added to `dx`; overwrites `dy`.
pub(super) fn norm_backward_stack(
    x: &[f32],
    w: &[f32],
    eps: f32,
    dy: &mut [f32],
    dx: &mut [f32],
    planes_of_rows: usize,
) {
    let d = w.len();
    let rows = x.len() / d / planes_of_rows;
    let (x0, x1) = planes(x, rows, d);
    let (g0, g1) = planes_mut(dy, rows, d);
    let (dx0, dx1) = planes_mut(dx, rows, d);
    for r in 0..rows {
        let row = r * d..(r + 1) * d;
        norm_backward(&x0[row.clone()], w, eps, &mut g0[row.clone()], &mut dx0[row.clone()]);
        for plane in 0..planes_of_rows - 1 {
            let dot = (plane * rows + r) * d..(plane * rows + r + 1) * d;
            norm_backward_tangent(
                &x0[row.clone()],
                &x1[dot.clone()],
                w,
                eps,
                &g0[row.clone()],
                &mut g1[dot.clone()],
                &mut dx1[dot],
            );
        }
    }
}
