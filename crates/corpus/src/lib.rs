#![doc = include_str!("../README.md")]

pub mod license;
pub mod record;

pub mod chunk;
pub mod import;
pub mod prose;

pub mod cluster;
pub mod manifest;
pub mod merkle;

pub mod blob;
pub mod crates_source;
pub mod package;

mod durable;
mod error;

pub use error::{CorpusError, Result};
