//! Products with weights in blocks of small integers, as serving computes them.
//!
//! # Specification
//! A block is 32 consecutive inputs of one output. Its weights are `d (q - z) + m`: four bits (`q` in 0..=15, `z = 0`, or the `Q4_0` form with `m = -8 d`) or eight
//! (`q` in 0..=255, `z = 128`, `m = 0`), with `d` and `m` halves. A row of inputs is cut into blocks as well: with `a` the largest magnitude in a block,
//! `e = a / 127` and `t_i` is `x_i · (127 / a)` rounded to the nearest integer, ties to even; a block without a magnitude of 1e-30 is zero. Then
//!
//! `y ← fma(d, e · s, y)`, and for four bits `y ← fma(m, e · Σ t, y)`, for blocks ascending,
//!
//! where `s = Σ (q - z) t` is exact in 32-bit integers and in `f32`, and `y` starts from `+0.0` or, where a product is added to something, from that. So the bits are
//! the same for every instruction set, every number of rows and every number of threads.

mod pack;
mod portable;
mod product;
mod rows;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use pack::{Bits, Blocks, Part};
pub(crate) use product::product;
pub(super) use rows::SMALLEST;
pub(crate) use rows::{Quantised, QuantisedRow};

/// Inputs of a block.
pub(crate) const BLOCK: usize = 32;
/// Outputs whose blocks lie side by side, one to a lane.
const COLUMNS: usize = 16;
