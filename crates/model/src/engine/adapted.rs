//! LoRA over stacked rows.

use super::Pass;
use crate::{
    Block, Config, Error, Lora, LoraLayout, Target,
    kernel::{Buf, Left, Panels, Right, gemm, scale},
};

/// The two matrices of one adapted map, packed for every product they occur in.
struct Pair {
    /// `in x r`.
    a_forward: Panels,
    /// `r x out`.
    b_forward: Panels,
    /// `r x in`.
    a_backward: Panels,
    /// `out x r`.
    b_backward: Panels,
}

/// An adapter's parameters (or a direction in their space), packed.
pub(crate) struct Packed {
    layout: LoraLayout,
    scale: f32,
    pairs: Vec<Pair>,
    targets: usize,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed").field("parameters", &self.layout.len()).finish_non_exhaustive()
    }
}

impl Packed {
    pub(crate) fn new(config: &Config, lora: Lora<'_>) -> Result<Self, Error> {
        let layout = LoraLayout::new(config, lora.config)?;
        if lora.theta.len() != layout.len() {
            return Err(Error::Length {
                what: "LoRA parameters",
                got: lora.theta.len(),
                expected: layout.len(),
            });
        }
        let rank = layout.rank();
        let pack = |block: &Block| {
            let (input, output) = block.target.dims(config);
            let (a, b) = (&lora.theta[block.a.clone()], &lora.theta[block.b.clone()]);
            Pair {
                a_forward: Panels::from_rows(a, input, rank),
                b_forward: Panels::from_rows(b, rank, output),
                a_backward: Panels::from_columns(a, rank, input),
                b_backward: Panels::from_columns(b, output, rank),
            }
        };
        let pairs = layout.blocks().iter().map(pack).collect();
        Ok(Self { scale: lora.config.scale(), pairs, targets: lora.config.targets.len(), layout })
    }

    pub(crate) fn layout(&self) -> &LoraLayout {
        &self.layout
    }

    pub(crate) fn first_layer(&self) -> usize {
        self.layout.blocks()[0].layer
    }

    fn pair(&self, layer: usize, target: Target) -> Option<&Pair> {
        let i = self.layout.layer(layer).iter().position(|b| b.target == target)?;
        self.pairs.get((layer - self.first_layer()) * self.targets + i)
    }
}

/// Columns of a wider row-major matrix: element `(m, n)` is `[m * ld + first + n]`.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub(super) ld: usize,
    pub(super) first: usize,
}

impl Pass<'_> {
    /// The plane of every direction, with what the direction is for one adapted map.
    fn tangents(&self, layer: usize, target: Target) -> impl Iterator<Item = (usize, &Pair)> {
        (1..).zip(self.directions.iter().filter_map(move |d| d.pair(layer, target)))
    }

    /// `y += B (s A n)` for one target, for every sequence that has it. Returns `s A n` (all planes) when the pass keeps it for a backward pass.
    pub(super) fn adapt(
        &self,
        layer: usize,
        target: Target,
        n: &[f32],
        y: &mut [f32],
        at: Columns,
    ) -> Option<Buf> {
        let config = &self.model.config;
        let (input, output) = target.dims(config);
        if !self.sequences.iter().any(|s| s.lora.is_some_and(|lora| lora.pair(layer, target).is_some())) {
            return None;
        }
        let dropped = self.dropped(layer, target, n);
        let n = dropped.as_deref().unwrap_or(n);
        if !self.directions.is_empty() {
            let lora = self.sequences[0].lora.expect("a pass with a direction has an adapter");
            let pair = lora.pair(layer, target)?;
            let (rows, all, rank) = (self.rows(), self.stacked(), lora.layout.rank());
            let mut h = Buf::scratch(all * rank);
            gemm(
                1,
                (all, rank, input),
                Left::rows(n, input),
                Right::from(&pair.a_forward),
                &mut h,
                rank,
                false,
            );
            for (plane, dot) in self.tangents(layer, target) {
                let ht = &mut h[plane * rows * rank..];
                gemm(
                    1,
                    (rows, rank, input),
                    Left::rows(n, input),
                    Right::from(&dot.a_forward),
                    ht,
                    rank,
                    true,
                );
            }
            scale(&mut h, lora.scale);
            gemm(
                1,
                (all, output, rank),
                Left::rows(&h, rank),
                Right::from(&pair.b_forward),
                &mut y[at.first..],
                at.ld,
                true,
            );
            for (plane, dot) in self.tangents(layer, target) {
                let yt = &mut y[plane * rows * at.ld + at.first..];
                gemm(
                    1,
                    (rows, output, rank),
                    Left::rows(&h, rank),
                    Right::from(&dot.b_forward),
                    yt,
                    at.ld,
                    true,
                );
            }
            return Some(h);
        }
        let mut kept = None;
        let mut i = 0;
        while i < self.sequences.len() {
            let first = &self.sequences[i];
            let same = |s: &&super::Sequence<'_>| match (s.lora, first.lora) {
                (Some(a), Some(b)) => std::ptr::eq(a, b),
                (None, None) => true,
                _ => false,
            };
            let count = self.sequences[i..].iter().take_while(same).count();
            let rows = first.rows.start..self.sequences[i + count - 1].rows.end;
            i += count;
            let Some((lora, pair)) = first.lora.and_then(|l| Some((l, l.pair(layer, target)?))) else {
                continue;
            };
            let rank = lora.layout.rank();
            let mut h = Buf::scratch(rows.len() * rank);
            gemm(
                1,
                (rows.len(), rank, input),
                Left::rows(&n[rows.start * input..], input),
                Right::from(&pair.a_forward),
                &mut h,
                rank,
                false,
            );
            scale(&mut h, lora.scale);
            let y = &mut y[rows.start * at.ld + at.first..];
            gemm(
                1,
                (rows.len(), output, rank),
                Left::rows(&h, rank),
                Right::from(&pair.b_forward),
                y,
                at.ld,
                true,
            );
            kept = Some(h);
        }
        kept
    }

    /// Backward of [`Self::adapt`]: with `dh = s B' dy`, the gradient of `A` is `dh' n`, that of `B` is `dy' h`, and `dn += A' dh` unless nothing below needs it.
    #[expect(clippy::too_many_arguments, reason = "the operands of one formula")]
    pub(super) fn adapt_backward(
        &self,
        layer: usize,
        target: Target,
        h: &[f32],
        n: &[f32],
        dy: &[f32],
        at: Columns,
        dn: Option<&mut [f32]>,
        grads: &mut [Gradient],
    ) {
        let Some(lora) = self.sequences[0].lora else { return };
        let Some((pair, block)) = lora.pair(layer, target).zip(lora.layout.find(layer, target)) else {
            return;
        };
        let (input, output) = target.dims(&self.model.config);
        let (rows, all, rank) = (self.rows(), self.stacked(), lora.layout.rank());
        let dy = &dy[at.first..];
        let dropped = self.dropped(layer, target, n);
        let n = dropped.as_deref().unwrap_or(n);

        let mut dh = Buf::scratch(all * rank);
        gemm(
            1,
            (all, rank, output),
            Left::rows(dy, at.ld),
            Right::from(&pair.b_backward),
            &mut dh,
            rank,
            false,
        );
        for (plane, dot) in self.tangents(layer, target) {
            let dht = &mut dh[plane * rows * rank..];
            gemm(
                1,
                (rows, rank, output),
                Left::rows(dy, at.ld),
                Right::from(&dot.b_backward),
                dht,
                rank,
                true,
            );
        }
        scale(&mut dh, lora.scale);

        let mut turned = Buf::scratch(rank * output);
        let mut product = |left: &[f32],
                           right: &[f32],
                           count: usize,
                           b: &mut [f32],
                           more: Option<(&[f32], &[f32])>| {
            let size = (rank, output, count);
            gemm(1, size, Left::columns(left, rank), Right::rows(right, at.ld), &mut turned, output, false);
            if let Some((left, right)) = more {
                gemm(
                    1,
                    size,
                    Left::columns(left, rank),
                    Right::rows(right, at.ld),
                    &mut turned,
                    output,
                    true,
                );
            }
            for (o, row) in b.chunks_exact_mut(rank).enumerate() {
                for (r, x) in row.iter_mut().enumerate() {
                    *x = turned[r * output + o];
                }
            }
        };
        for (sequence, gradient) in self.sequences.iter().zip(grads) {
            let (first, count) = (sequence.rows.start, sequence.rows.len());
            let of = |stack: &'_ [f32], width: usize, plane: usize| -> std::ops::Range<usize> {
                let start = (plane * rows + first) * width;
                start..stack.len().min(start + (count - 1) * width + width)
            };
            let (h0, dh0) = (&h[of(h, rank, 0)], &dh[of(&dh, rank, 0)]);
            let (n0, dy0) = (&n[of(n, input, 0)], &dy[of(dy, at.ld, 0)]);
            let size = (rank, input, count);
            gemm(
                1,
                size,
                Left::columns(dh0, rank),
                Right::rows(n0, input),
                &mut gradient.value[block.a.clone()],
                input,
                false,
            );
            product(h0, dy0, count, &mut gradient.value[block.b.clone()], None);
            for (k, tangent) in gradient.tangents.iter_mut().enumerate() {
                let (h1, dh1) = (&h[of(h, rank, k + 1)], &dh[of(&dh, rank, k + 1)]);
                let (n1, dy1) = (&n[of(n, input, k + 1)], &dy[of(dy, at.ld, k + 1)]);
                let a = &mut tangent[block.a.clone()];
                gemm(1, size, Left::columns(dh1, rank), Right::rows(n0, input), a, input, false);
                gemm(1, size, Left::columns(dh0, rank), Right::rows(n1, input), a, input, true);
                product(h1, dy0, count, &mut tangent[block.b.clone()], Some((h0, dy1)));
            }
        }

        if let Some(dn) = dn {
            // What was dropped passes nothing back, so that part is made aside.
            let mut aside = dropped.is_some().then(|| Buf::scratch_zeros(all * input));
            let below = aside.as_deref_mut().unwrap_or(&mut *dn);
            gemm(
                1,
                (all, input, rank),
                Left::rows(&dh, rank),
                Right::from(&pair.a_backward),
                below,
                input,
                true,
            );
            for (plane, dot) in self.tangents(layer, target) {
                gemm(
                    1,
                    (rows, input, rank),
                    Left::rows(&dh, rank),
                    Right::from(&dot.a_backward),
                    &mut below[plane * rows * input..],
                    input,
                    true,
                );
            }
            if let Some(mut aside) = aside {
                self.drop_entries(layer, target, &mut aside);
                for (sum, x) in dn.iter_mut().zip(aside.iter()) {
                    *sum += x;
                }
            }
        }
    }
}

/// Gradient of one sequence, and its tangent along each direction of the pass.
pub(crate) struct Gradient {
    pub(crate) value: Vec<f32>,
    pub(crate) tangents: Vec<Vec<f32>>,
}

impl Gradient {
    pub(crate) fn zeros(len: usize, directions: usize) -> Self {
        Self { value: vec![0.0; len], tangents: vec![vec![0.0; len]; directions] }
    }
}
