#![doc = include_str!("../README.md")]

pub mod appeal;
pub mod audit;
pub mod claim;
pub mod contribute;
pub mod develop;
pub mod dispute;
mod error;
mod folders;
pub mod lineage;
mod machine;
pub mod operator;
pub mod payees;
mod progress;
pub mod search;
pub mod settle;
pub mod settler;
pub mod sources;
mod spans;
pub mod verify;

pub use error::{Result, WorkerError};
pub use folders::Folders;
pub use machine::Machine;
pub use progress::{Progress, Step};
