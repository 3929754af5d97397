#![recursion_limit = "256"]
#![doc = include_str!("../README.md")]

mod accounts;
mod admission;
mod application;
mod block;
mod checkpoint;
mod conductor;
mod disk;
mod engine;
mod epochs;
mod error;
mod executor;
mod faults;
mod format;
mod gossip;
mod handle;
mod handover;
mod index;
mod journal;
mod key;
mod ledger;
mod lock;
mod network;
mod pacing;
mod pool;
mod proof;
mod rebuild;
mod recent;
mod refused;
mod runtime;
mod senders;
#[cfg(feature = "simulate")]
pub mod simulate;
mod start;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use block::{Block, MAX_BLOCK_TRANSACTION_BYTES, MAX_TRANSACTION_BYTES};
pub use checkpoint::Checkpoint;
pub use error::{ChainError, PoolError};
pub use handle::{ChainHandle, FoundLog, FoundTransaction, LogFilter, LogLimits, StateView};
pub use handover::Handover;
pub use index::{IndexedBlock, IndexedHeader, IndexedReceipt};
pub use key::ConsensusKey;
pub use pool::PoolLimits;
pub use proof::{Certificate, EntryProof, Finality, SlotProof, StateProof, Vote};
pub use refused::RefusedBlock;
pub use start::{ChainConfig, DEFAULT_CACHE, start};
pub use status::Status;
