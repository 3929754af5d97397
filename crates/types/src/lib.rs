#![doc = include_str!("../README.md")]

pub mod abi;
pub mod addresses;
pub mod amount;
pub mod authorization;
pub mod batch;
pub mod channel;
pub mod merkle;
pub mod receipt;
pub mod seed;
pub mod shares;
pub mod split;

pub use alloy_primitives::{Address, B256, U256};

#[cfg(test)]
mod tests;
