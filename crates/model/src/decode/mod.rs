//! Decoding: sessions of one model run together, over keys and values in pages.
//!
//! A step runs the rows of any number of sessions, prompts in chunks and single tokens alike, each with its own adapter. A row is computed from its own numbers
//! in the order stated here, so its bits depend neither on what else is in the step, nor on how a sequence is cut into steps, nor on the number of threads.
//!
//! - Maps of the base: as [`product`](crate::kernel::product) over blocks of integers states.
//! - Attention of a row: the chain of `kernel` over the width of a head for each score, [`softmax`](crate::kernel) over all positions up to its own, the chain over
//!   positions ascending for each output.
//! - LoRA of a row, with `A` and `B` rounded to bfloat16: `h_r = s · Σ_i A[r, i] n_i`, where the sum runs in 16 lanes of fused multiply-adds (index modulo 16) that a fixed tree adds up; then
//!   `y_o ← fma(B[o, r], h_r, y_o)` with `r` ascending.

mod adapt;
mod attention;
mod pages;
mod session;
mod step;

#[cfg(test)]
mod tests;

pub(crate) use adapt::Adapted;
pub use pages::Pages;
pub use session::{Feed, KeptPrefix, Logits, Row, Session};
