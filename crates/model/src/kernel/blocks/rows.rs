use rayon::prelude::*;

use super::BLOCK;
use crate::kernel::quantise;

/// Below this a block of inputs is taken for zero: its reciprocal would not be finite.
pub(crate) const SMALLEST: f32 = 1e-30;

/// Rows of inputs in blocks of signed bytes.
#[derive(Default)]
pub(crate) struct Quantised {
    blocks: usize,
    pub(super) rows: usize,
    /// `t`, rows of whole blocks.
    pub(super) values: Vec<i8>,
    /// `e` of every block of a row.
    pub(super) scales: Vec<f32>,
    /// `e · Σ t`.
    pub(super) sums: Vec<f32>,
    /// `-128 Σ t`: what the offset of unsigned bytes adds too much.
    pub(super) biases: Vec<i32>,
}

/// One row to be filled.
pub(crate) struct QuantisedRow<'a> {
    values: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [f32],
    biases: &'a mut [i32],
}

impl QuantisedRow<'_> {
    /// Takes the row `x`.
    pub(crate) fn fill(&mut self, x: &[f32]) {
        quantise(x, self.values, self.scales, self.sums, self.biases);
    }
}

impl Quantised {
    /// Makes room for `rows` rows of `inputs`; their contents are arbitrary until they are filled.
    pub(crate) fn resize(&mut self, rows: usize, inputs: usize) {
        self.blocks = inputs.div_ceil(BLOCK);
        self.rows = rows;
        let all = rows * self.blocks;
        self.values.resize(all * BLOCK, 0);
        self.scales.resize(all, 0.0);
        self.sums.resize(all, 0.0);
        self.biases.resize(all, 0);
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = QuantisedRow<'_>> {
        let n = self.blocks;
        (self.values.chunks_exact_mut(n * BLOCK).zip(self.scales.chunks_exact_mut(n)))
            .zip(self.sums.chunks_exact_mut(n).zip(self.biases.chunks_exact_mut(n)))
            .map(|((values, scales), (sums, biases))| QuantisedRow { values, scales, sums, biases })
    }

    pub(crate) fn par_rows_mut(&mut self) -> impl IndexedParallelIterator<Item = QuantisedRow<'_>> {
        let n = self.blocks;
        (self.values.par_chunks_exact_mut(n * BLOCK).zip(self.scales.par_chunks_exact_mut(n)))
            .zip(self.sums.par_chunks_exact_mut(n).zip(self.biases.par_chunks_exact_mut(n)))
            .map(|((values, scales), (sums, biases))| QuantisedRow { values, scales, sums, biases })
    }
}
