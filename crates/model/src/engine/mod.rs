//! The decoder over stacked rows: forward, backward, and the tangents of both.
//!
//! A pass works on the rows of one or more sequences stacked into one matrix, so that every weight is read once for all of them; no row's result depends on another
//! sequence. With directions `u_1 … u_K` in parameter space `K` planes of as many rows follow the first and hold the tangents: rows `0..R` are values, rows
//! `kR..(k+1)R` their derivatives along `u_k`. Products with frozen weights take all planes at once; every plane has the bits it has with its direction alone.
//!
//! Layer (`n = norm(x)`, all maps with their LoRA part `y = W n + B (s A n)`):
//! `x ← x + O att(rope(Q n), rope(K n), V n)`, then `x ← x + Down (silu(Gate m) · Up m)` with `m = norm(x)`. The residual is the start of the chain of the last product.

mod adapted;
mod attention;
mod backward;
mod dropout;
mod forward;
mod head;

#[cfg(test)]
mod tests;

pub(crate) use adapted::{Gradient, Packed};
pub use dropout::Dropout;
pub(crate) use forward::Kept;
pub(crate) use head::Losses;

use std::ops::Range;

use crate::{Model, kernel::Buf};

/// One sequence of a pass, from its first position on.
pub(crate) struct Sequence<'a> {
    /// Its rows in the stack.
    pub(crate) rows: Range<usize>,
    /// The adapter it runs with.
    pub(crate) lora: Option<&'a Packed>,
    /// What its adapter does not see.
    pub(crate) dropout: Option<Dropout>,
}

/// What a pass computes over.
pub(crate) struct Pass<'a> {
    pub(crate) model: &'a Model,
    pub(crate) sequences: Vec<Sequence<'a>>,
    /// Directions of the tangents; where there are any, every sequence has the same adapter.
    pub(crate) directions: &'a [Packed],
    /// Tasks that share the columns of a product.
    pub(crate) split: usize,
}

impl Pass<'_> {
    /// Rows of one plane.
    pub(crate) fn rows(&self) -> usize {
        self.sequences.last().map_or(0, |s| s.rows.end)
    }

    /// Rows of all planes.
    fn stacked(&self) -> usize {
        self.rows() * self.planes()
    }

    fn planes(&self) -> usize {
        1 + self.directions.len()
    }
}

/// Splits a stack of rows into values and the tangents of all directions.
fn planes(stack: &[f32], rows: usize, width: usize) -> (&[f32], &[f32]) {
    stack.split_at(rows * width)
}

fn planes_mut(stack: &mut [f32], rows: usize, width: usize) -> (&mut [f32], &mut [f32]) {
    stack.split_at_mut(rows * width)
}

/// Gathers rows of width `width` in the given order.
pub(crate) fn gather(stack: &[f32], width: usize, rows: impl ExactSizeIterator<Item = usize>) -> Buf {
    let mut out = Buf::scratch(rows.len() * width);
    for (to, row) in out.chunks_exact_mut(width).zip(rows) {
        to.copy_from_slice(&stack[row * width..][..width]);
    }
    out
}
