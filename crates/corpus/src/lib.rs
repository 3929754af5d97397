#![doc = include_str!("../README.md")]

pub mod blob;
pub mod record;
pub mod license;
pub mod chunk;
pub mod prose;
pub mod import;
pub mod cluster;
pub mod merkle;

mod durable;
mod error;

pub use error::{CorpusError, Result};
