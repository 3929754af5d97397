//! The only module that computes with raw pointers and instruction sets; everything above it sees matrices and rows.
//!
//! # Specification
//! `C[m, n] = Σ_k A[m, k] · B[k, n]` is, for every element, the chain `acc ← fma(A[m, k], B[k, n], acc)` with `k` ascending and `acc` starting from `+0.0`,
//! or from the old `C[m, n]` when the product is accumulated. Kernels put columns `n` into vector lanes and rows `m` into registers; blocks of `k` put the
//! accumulators down in `C` and take them up again, which is exact. So the bits are the same for every instruction set, block size and number of threads.
#![expect(
    unsafe_code,
    reason = "vector kernels work on raw pointers, and functions compiled for an instruction set are called after detecting it"
)]

mod blocks;
mod buf;
mod gemm;
mod isa;
mod lines;
mod portable;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

pub(crate) use blocks::{BLOCK, Bits, Blocks, Part, Quantised, QuantisedRow, product};
pub(crate) use buf::{Buf, Panels};
pub(crate) use gemm::{Left, Right, gemm};
#[cfg(test)]
pub(crate) use isa::choose;
pub(crate) use isa::{Isa, isa};
pub(crate) use vector::*;

/// Columns in one panel of a packed right-hand side.
pub(crate) const PANEL: usize = 32;
