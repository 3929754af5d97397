#![doc = include_str!("../README.md")]

mod adapters;
mod engine;
mod error;
mod queue;
mod sampling;
mod text;
mod verify;

pub use adapters::Adapters;
pub use engine::{Engine, Generation, Piece};
pub use error::Error;
pub use queue::{Place, Queue, Turn};
pub use sampling::{MAX_TEMPERATURE_MILLI, WHOLE_MILLI, choose, validate};
pub use text::TextStream;
pub use verify::FirstDifference;

#[cfg(test)]
mod tests;
