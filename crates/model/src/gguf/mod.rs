//! GGUF version 3 (and 2, which differs in nothing read here): metadata, a table of tensors, and their blocks.
//!
//! The reader takes hostile bytes: every length and count has a limit and is checked against what is left of the file before anything is allocated.

mod blocks;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use blocks::{Kind, half, to_half};
pub(crate) use read::{File, Matrix, Value};
pub(crate) use write::Writer;

/// First bytes of a file.
const MAGIC: &[u8; 4] = b"GGUF";
/// Boundary that tensor data starts on unless `general.alignment` says otherwise.
const ALIGNMENT: usize = 32;
