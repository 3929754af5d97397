//! Causal attention, row by row, with grouped key/value heads.
//!
//! `att_i = Σ_{j ≤ i} p_ij v_j`, `p_i = softmax(q_i · k_j / √head)`. Rows are taken in blocks; what a block computes beyond a row's last key is set to zero, which
//! adds nothing to a chain, and the final `+ 0.0` removes the one trace it could leave (the sign of a zero). So a row has the same bits in any block.

use std::ops::Range;

use rayon::prelude::*;

use super::{Pass, planes};
use crate::{
    Config,
    kernel::{
        Buf, Left, PANEL, Right, gemm, rotate, softmax, softmax_backward, softmax_backward_tangent,
        softmax_tangent,
    },
};

/// Query rows handled at once: four tiles of the widest kernel.
const BLOCK: usize = 56;

/// Keys and values of one sequence as the forward pass reads them.
struct Keys {
    heads: Vec<HeadKeys>,
}

#[derive(Clone, Default)]
struct HeadKeys {
    /// Panels `head x 32`: positions are columns.
    keys: Buf,
    /// `positions x head`.
    values: Buf,
}

impl Keys {
    fn new(config: &Config) -> Self {
        Self { heads: vec![HeadKeys::default(); config.kv_heads] }
    }

    /// Takes `count` positions whose keys and values stand in rows `ld` apart.
    fn fill(&mut self, config: &Config, rows: &[f32], ld: usize, count: usize) {
        let head = config.head_dim;
        for (g, own) in self.heads.iter_mut().enumerate() {
            own.keys.resize(count.div_ceil(PANEL) * PANEL * head);
            own.values.resize(count * head);
            let (k, v) = (config.q_dim() + g * head, config.q_dim() + config.kv_dim() + g * head);
            for i in 0..count {
                let row = &rows[i * ld..];
                columns(&mut own.keys, head, i, &row[k..k + head]);
                own.values[i * head..(i + 1) * head].copy_from_slice(&row[v..v + head]);
            }
        }
    }
}

fn columns(panels: &mut [f32], depth: usize, at: usize, values: &[f32]) {
    let panel = &mut panels[at / PANEL * depth * PANEL..][..depth * PANEL];
    for (row, x) in panel.chunks_exact_mut(PANEL).zip(values) {
        row[at % PANEL] = *x;
    }
}

/// Rows of one plane of one sequence: `[row * ld + first..]`.
#[derive(Clone, Copy)]
struct Plane<'a> {
    data: &'a [f32],
    ld: usize,
}

impl<'a> Plane<'a> {
    fn from(&self, row: usize, column: usize) -> &'a [f32] {
        &self.data[row * self.ld + column..]
    }
}

impl Pass<'_> {
    fn qkv_width(&self) -> usize {
        self.model.config.q_dim() + 2 * self.model.config.kv_dim()
    }

    /// Turns queries and keys by the angles of their positions (`direction` 1), or their gradients back (-1), in all planes.
    pub(super) fn rope(&self, qkv: &mut [f32], direction: f32) {
        let width = self.qkv_width();
        let turned = self.model.config.q_dim() + self.model.config.kv_dim();
        for plane in qkv.chunks_exact_mut(self.rows() * width) {
            for sequence in &self.sequences {
                for (i, row) in sequence.rows.clone().enumerate() {
                    let (cos, sin) = self.model.rope.at(i);
                    rotate(&mut plane[row * width..][..turned], cos, sin, direction);
                }
            }
        }
    }

    /// Attention of every sequence: `qkv` to `att`, all planes.
    pub(super) fn attend(&self, qkv: &[f32], att: &mut [f32]) {
        let config = &self.model.config;
        let (width, out) = (self.qkv_width(), config.q_dim());
        let mut keys = Keys::new(config);
        let mut tangents: Vec<Keys> = self.directions.iter().map(|_| Keys::new(config)).collect();
        let (value, tangent) = planes(qkv, self.rows(), width);
        for sequence in &self.sequences {
            let (first, count) = (sequence.rows.start, sequence.rows.len());
            keys.fill(config, &value[first * width..], width, count);
            for (plane, keys) in tangent.chunks_exact(self.rows() * width).zip(&mut tangents) {
                keys.fill(config, &plane[first * width..], width, count);
            }
            self.attend_one(sequence.rows.clone(), qkv, (&keys, &tangents), att);
        }
        debug_assert_eq!(att.len(), self.stacked() * out);
    }

    fn attend_one(&self, rows: Range<usize>, qkv: &[f32], keys: (&Keys, &[Keys]), att: &mut [f32]) {
        let config = &self.model.config;
        let (head, width, out) = (config.head_dim, self.qkv_width(), config.q_dim());
        let count = rows.len();
        let planes = self.planes();
        let plane = |p: usize| Plane { data: &qkv[(p * self.rows() + rows.start) * width..], ld: width };
        let mut by_head = Buf::scratch(config.heads * planes * count * head);
        let one = |(h, out): (usize, &mut [f32])| {
            let g = h / (config.heads / config.kv_heads);
            let mut scores = Scores::new(count, planes > 1);
            for first in (0..count).step_by(BLOCK) {
                let block = first..(first + BLOCK).min(count);
                let seen = block.end;
                let q = plane(0).from(first, h * head);
                let (k, v) = (&keys.0.heads[g].keys, &keys.0.heads[g].values);
                let size = (block.len(), seen, head);
                let back = (block.len(), head, seen);
                scores.compute(config, &block, q, width, Right::panels(k, head));
                let (value, tangents) = out.split_at_mut(count * head);
                let o = &mut value[first * head..];
                gemm(1, back, Left::rows(&scores.p, scores.ld), Right::rows(v, head), o, head, false);
                for (k_th, (dot, tangent)) in
                    keys.1.iter().zip(tangents.chunks_exact_mut(count * head)).enumerate()
                {
                    let qt = plane(k_th + 1).from(first, h * head);
                    let (kt, vt) = (&dot.heads[g].keys, &dot.heads[g].values);
                    gemm(
                        1,
                        size,
                        Left::rows(qt, width),
                        Right::panels(k, head),
                        &mut scores.pt,
                        scores.ld,
                        false,
                    );
                    gemm(
                        1,
                        size,
                        Left::rows(q, width),
                        Right::panels(kt, head),
                        &mut scores.pt,
                        scores.ld,
                        true,
                    );
                    scores.tangent(config, &block);
                    let ot = &mut tangent[first * head..];
                    gemm(1, back, Left::rows(&scores.pt, scores.ld), Right::rows(v, head), ot, head, false);
                    gemm(1, back, Left::rows(&scores.p, scores.ld), Right::rows(vt, head), ot, head, true);
                }
            }
        };
        let chunk = planes * count * head;
        if self.split > 1 && count * count >= 4096 {
            by_head.par_chunks_mut(chunk).enumerate().for_each(one);
        } else {
            by_head.chunks_mut(chunk).enumerate().for_each(one);
        }
        for (h, source) in by_head.chunks_exact(chunk).enumerate() {
            for (p, plane) in source.chunks_exact(count * head).enumerate() {
                for (i, row) in plane.chunks_exact(head).enumerate() {
                    let at = (p * self.rows() + rows.start + i) * out + h * head;
                    for (y, x) in att[at..at + head].iter_mut().zip(row) {
                        *y = x + 0.0;
                    }
                }
            }
        }
    }

    /// Backward of [`Self::attend`] without caches: `d att` to `d qkv`, all planes.
    pub(super) fn attend_backward(&self, qkv: &[f32], datt: &[f32], dqkv: &mut [f32]) {
        let config = &self.model.config;
        let width = self.qkv_width();
        let mut keys: Vec<Columns> = (0..self.planes()).map(|_| Columns::new(config)).collect();
        for sequence in &self.sequences {
            let (first, count) = (sequence.rows.start, sequence.rows.len());
            for (plane, keys) in qkv.chunks_exact(self.rows() * width).zip(&mut keys) {
                keys.fill(config, &plane[first * width..], width, count);
            }
            self.attend_backward_one(sequence.rows.clone(), qkv, &keys, datt, dqkv);
        }
    }

    fn attend_backward_one(
        &self,
        rows: Range<usize>,
        qkv: &[f32],
        keys: &[Columns],
        datt: &[f32],
        dqkv: &mut [f32],
    ) {
        let config = &self.model.config;
        let (head, width, out) = (config.head_dim, self.qkv_width(), config.q_dim());
        let (k0, v0) = (config.q_dim(), config.q_dim() + config.kv_dim());
        let all = self.rows();
        let count = rows.len();
        let dual = !self.directions.is_empty();
        let scale = 1.0 / (head as f32).sqrt();
        let plane = |p: usize| Plane { data: &qkv[(p * all + rows.start) * width..], ld: width };
        let outer = |p: usize| Plane { data: &datt[(p * all + rows.start) * out..], ld: out };
        let place = |p: usize| (p * all + rows.start) * width;
        let mut scores = Scores::new(count, dual);
        let mut outside = Scores::new(count, dual);
        let mut raw = Buf::scratch_zeros(if dual { outside.p.len() } else { 0 });
        let ld = scores.ld;
        for h in 0..config.heads {
            let g = h / (config.heads / config.kv_heads);
            let (q_at, k_at, v_at) = (h * head, k0 + g * head, v0 + g * head);
            for first in (0..count).step_by(BLOCK) {
                let block = first..(first + BLOCK).min(count);
                let (m, seen) = (block.len(), block.end);
                let (wide, narrow, tall) = ((m, seen, head), (m, head, seen), (seen, head, m));
                let q = plane(0).from(first, q_at);
                let d_o = outer(0).from(first, h * head);
                scores.compute(config, &block, q, width, keys[0].keys(g));
                gemm(1, wide, Left::rows(d_o, out), keys[0].values(g), &mut outside.p, ld, false);
                // What the tangents start from, before it is turned into the gradient of the scores.
                if dual {
                    raw.copy_from_slice(&outside.p);
                }
                for (i, row) in block.clone().enumerate() {
                    let seen_row = i * ld..i * ld + row + 1;
                    softmax_backward(&scores.p[seen_row.clone()], &mut outside.p[seen_row], scale);
                    outside.p[i * ld + row + 1..i * ld + seen].fill(0.0);
                }
                let k = plane(0).from(0, k_at);
                let (p, ds) = (&scores.p[..], &outside.p[..]);
                let dq = &mut dqkv[place(0) + first * width + q_at..];
                gemm(1, narrow, Left::rows(ds, ld), Right::rows(k, width), dq, width, false);
                let dk = &mut dqkv[place(0) + k_at..];
                gemm(1, tall, Left::columns(ds, ld), Right::rows(q, width), dk, width, true);
                let dv = &mut dqkv[place(0) + v_at..];
                gemm(1, tall, Left::columns(p, ld), Right::rows(d_o, out), dv, width, true);
                for (t, dot) in keys.iter().enumerate().skip(1) {
                    let (qt, d_ot) = (plane(t).from(first, q_at), outer(t).from(first, h * head));
                    gemm(1, wide, Left::rows(qt, width), keys[0].keys(g), &mut scores.pt, ld, false);
                    gemm(1, wide, Left::rows(q, width), dot.keys(g), &mut scores.pt, ld, true);
                    scores.tangent(config, &block);
                    gemm(1, wide, Left::rows(d_ot, out), keys[0].values(g), &mut outside.pt, ld, false);
                    gemm(1, wide, Left::rows(d_o, out), dot.values(g), &mut outside.pt, ld, true);
                    for (i, row) in block.clone().enumerate() {
                        let seen_row = i * ld..i * ld + row + 1;
                        let dpt = &mut outside.pt[i * ld..];
                        softmax_backward_tangent(
                            &scores.p[seen_row.clone()],
                            &scores.pt[seen_row.clone()],
                            &raw[seen_row],
                            &mut dpt[..=row],
                            scale,
                        );
                        dpt[row + 1..seen].fill(0.0);
                    }
                    let (p, pt) = (&scores.p[..], &scores.pt[..]);
                    let (ds, dst) = (&outside.p[..], &outside.pt[..]);
                    let kt = plane(t).from(0, k_at);
                    let dq = &mut dqkv[place(t) + first * width + q_at..];
                    gemm(1, narrow, Left::rows(dst, ld), Right::rows(k, width), dq, width, false);
                    gemm(1, narrow, Left::rows(ds, ld), Right::rows(kt, width), dq, width, true);
                    let dk = &mut dqkv[place(t) + k_at..];
                    gemm(1, tall, Left::columns(dst, ld), Right::rows(q, width), dk, width, true);
                    gemm(1, tall, Left::columns(ds, ld), Right::rows(qt, width), dk, width, true);
                    let dv = &mut dqkv[place(t) + v_at..];
                    gemm(1, tall, Left::columns(pt, ld), Right::rows(d_o, out), dv, width, true);
                    gemm(1, tall, Left::columns(p, ld), Right::rows(d_ot, out), dv, width, true);
                }
            }
        }
    }
}

/// Probabilities of a block of rows, or what becomes of them, and their tangents.
struct Scores {
    p: Buf,
    pt: Buf,
    ld: usize,
}

impl Scores {
    fn new(seen: usize, dual: bool) -> Self {
        // The padding keeps rows from falling onto the same cache sets.
        let ld = seen.next_multiple_of(PANEL) + 16;
        Self { p: Buf::scratch(BLOCK * ld), pt: Buf::scratch_zeros(if dual { BLOCK * ld } else { 0 }), ld }
    }

    /// Softmax of `q kᵀ / √head` over the positions each row sees; zero beyond.
    fn compute(&mut self, config: &Config, block: &Range<usize>, q: &[f32], width: usize, keys: Right<'_>) {
        let seen = block.end;
        let ld = self.ld;
        gemm(1, (block.len(), seen, config.head_dim), Left::rows(q, width), keys, &mut self.p, ld, false);
        let scale = 1.0 / (config.head_dim as f32).sqrt();
        for (i, row) in block.clone().enumerate() {
            let p = &mut self.p[i * ld..i * ld + seen];
            softmax(&mut p[..=row], scale);
            p[row + 1..].fill(0.0);
        }
    }

    /// Tangents of the probabilities from those of the products.
    fn tangent(&mut self, config: &Config, block: &Range<usize>) {
        let seen = block.end;
        let scale = 1.0 / (config.head_dim as f32).sqrt();
        for (i, row) in block.clone().enumerate() {
            let at = i * self.ld;
            let pt = &mut self.pt[at..at + seen];
            softmax_tangent(&self.p[at..=at + row], &mut pt[..=row], scale);
            pt[row + 1..].fill(0.0);
        }
    }
}

/// Keys and values of a sequence as right-hand sides whose columns are positions.
struct Columns {
    keys: Vec<Buf>,
    values: Vec<Buf>,
    head: usize,
}

impl Columns {
    fn new(config: &Config) -> Self {
        let empty = || (0..config.kv_heads).map(|_| Buf::default()).collect();
        Self { keys: empty(), values: empty(), head: config.head_dim }
    }

    fn fill(&mut self, config: &Config, rows: &[f32], ld: usize, count: usize) {
        let head = self.head;
        for (buffers, first) in
            [(&mut self.keys, config.q_dim()), (&mut self.values, config.q_dim() + config.kv_dim())]
        {
            for (g, panels) in buffers.iter_mut().enumerate() {
                panels.resize(count.div_ceil(PANEL) * PANEL * head);
                for i in 0..count {
                    columns(panels, head, i, &rows[i * ld + first + g * head..][..head]);
                }
            }
        }
    }

    fn keys(&self, g: usize) -> Right<'_> {
        Right::panels(&self.keys[g], self.head)
    }

    fn values(&self, g: usize) -> Right<'_> {
        Right::panels(&self.values[g], self.head)
    }
}
