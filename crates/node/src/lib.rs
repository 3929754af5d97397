#![doc = include_str!("../README.md")]

mod error;
mod home;
mod network;
mod node;
mod rpc;
#[cfg(test)]
mod tests;

pub use error::NodeError;
pub use home::{DEFAULT_CHAIN_ID, GenesisOptions, Home, MAX_GENESIS_BYTES, Member, init, init_network, join};
pub use network::Network;
pub use node::{DEFAULT_HTTP, Node, NodeConfig};
pub use openledger_chain::{ChainError, ChainHandle, Checkpoint};
pub use openledger_execution::{Genesis, GenesisRole, GenesisStake, GenesisVesting, Governance};
pub use rpc::RpcLimits;
