use std::{ops::Range, sync::Arc};

use rayon::prelude::*;

use super::{Pages, pages::Page, step::Step};
use crate::{
    Config,
    kernel::{Buf, Left, PANEL, Quantised, Right, gemm, softmax},
};

/// Rows of queries handled at once, of all heads that share a key/value head: four tiles of the widest kernel.
const BLOCK: usize = 56;
/// Scores of one head from which on a layer's attention is shared among threads.
const WORTH_SHARING: usize = 1024;

/// Rows of one sequence whose attention over one key/value head is computed together.
struct Task<'a> {
    head: usize,
    rows: Range<usize>,
    /// Position of the first row.
    start: usize,
    table: &'a [Arc<Page>],
}

impl Step<'_> {
    /// Appends keys and values of one layer to the pages and computes the attention of every row: `qkv` to `att` and its `values`.
    pub(super) fn attend(&mut self, layer: usize, qkv: &[f32], att: &mut [f32], values: &mut Quantised) {
        let config = &self.model.config;
        self.append(layer, qkv);
        let step = (BLOCK / (config.heads / config.kv_heads)).max(1);
        let mut tasks = Vec::new();
        let mut scores = 0;
        for sequence in &self.sequences {
            scores += sequence.rows.len() * (sequence.start + sequence.rows.len());
            for head in 0..config.kv_heads {
                for first in sequence.rows.clone().step_by(step) {
                    tasks.push(Task {
                        head,
                        rows: first..(first + step).min(sequence.rows.end),
                        start: sequence.start + first - sequence.rows.start,
                        table: sequence.table,
                    });
                }
            }
        }
        if self.split > 1 && scores >= WORTH_SHARING {
            let done: Vec<Buf> = tasks.par_iter().map(|t| t.compute(config, layer, qkv)).collect();
            for (task, out) in tasks.iter().zip(&done) {
                task.scatter(config, out, att);
            }
        } else {
            for task in &tasks {
                task.scatter(config, &task.compute(config, layer, qkv), att);
            }
        }
        for (row, mut values) in att.chunks_exact(config.q_dim()).zip(values.rows_mut()) {
            values.fill(row);
        }
    }

    fn append(&mut self, layer: usize, qkv: &[f32]) {
        let config = &self.model.config;
        let (head, q, kv) = (config.head_dim, config.q_dim(), config.kv_dim());
        for sequence in &mut self.sequences {
            for (i, row) in sequence.rows.clone().enumerate() {
                let position = sequence.start + i;
                let page = Arc::get_mut(&mut sequence.table[position / Pages::POSITIONS])
                    .expect("pages that rows go to are held by nobody else");
                let (keys, values) = qkv[row * (q + 2 * kv)..][q..q + 2 * kv].split_at(kv);
                for (h, (key, value)) in keys.chunks_exact(head).zip(values.chunks_exact(head)).enumerate() {
                    page.put(layer, h, position % Pages::POSITIONS, key, value);
                }
            }
        }
    }
}

impl Task<'_> {
    /// `(rows · heads) x head`: for every row the heads that share the key/value head.
    fn compute(&self, config: &Config, layer: usize, qkv: &[f32]) -> Buf {
        let (head, group) = (config.head_dim, config.heads / config.kv_heads);
        let width = config.q_dim() + 2 * config.kv_dim();
        let (m, seen) = (self.rows.len() * group, self.start + self.rows.len());
        let mut q = Buf::scratch(m * head);
        for (to, row) in q.chunks_exact_mut(group * head).zip(self.rows.clone()) {
            to.copy_from_slice(&qkv[row * width + self.head * group * head..][..group * head]);
        }
        // The padding keeps rows from falling onto the same cache sets.
        let ld = seen.next_multiple_of(PANEL) + 16;
        let mut p = Buf::scratch(m * ld);
        let pages = &self.table[..seen.div_ceil(PANEL)];
        for (i, page) in pages.iter().enumerate() {
            let keys = Right::panels(page.head(layer, self.head).0, head);
            gemm(1, (m, PANEL, head), Left::rows(&q, head), keys, &mut p[i * PANEL..], ld, false);
        }
        let scale = 1.0 / (head as f32).sqrt();
        for (i, row) in p.chunks_exact_mut(ld).enumerate() {
            let own = self.start + i / group + 1;
            softmax(&mut row[..own], scale);
            // What a row does not see adds nothing to its chains.
            row[own..seen].fill(0.0);
        }
        let mut out = Buf::scratch(m * head);
        for (i, page) in pages.iter().enumerate() {
            let values = Right::rows(page.head(layer, self.head).1, head);
            let size = (m, head, PANEL.min(seen - i * PANEL));
            gemm(1, size, Left::rows(&p[i * PANEL..], ld), values, &mut out, head, i > 0);
        }
        out
    }

    fn scatter(&self, config: &Config, out: &[f32], att: &mut [f32]) {
        let q = config.q_dim();
        let width = q / config.kv_heads;
        for (source, row) in out.chunks_exact(width).zip(self.rows.clone()) {
            // Adding zero removes the one trace that unseen positions could leave: the sign of a zero.
            for (y, x) in att[row * q + self.head * width..][..width].iter_mut().zip(source) {
                *y = x + 0.0;
            }
        }
    }
}
