#![doc = include_str!("../README.md")]
// Tests are free of these: they compute with numbers that they know.
#![cfg_attr(
    not(test),
    deny(
        clippy::float_arithmetic,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::indexing_slicing
    )
)]

mod checkpoints;
mod dispatch;
mod error;
mod layout;
mod map_storage;
mod math;
mod signature;
mod since;
mod storage;
mod stream;

pub mod channels;
pub mod datanets;
pub mod escrow;
#[cfg(any(test, feature = "test-util"))]
pub mod history;
pub mod models;
pub mod open;
pub mod params;
pub mod settlement;
pub mod staking;

#[cfg(test)]
mod tests;

pub use dispatch::dispatch;
pub use error::{ModuleError, Result, revert, revert_text};
pub use layout::{List, Mapping, Place, Slot, Text, Word};
pub use map_storage::MapStorage;
pub use storage::{Block, Call, Storage};
