#![doc = include_str!("../README.md")]

pub mod api_key;
pub mod client;
pub mod error;
pub mod events;
pub mod keystore;
pub mod light;
pub mod modules;
pub mod receipts;
mod revert;
pub mod send;
pub mod wallet;

pub use api_key::ApiKey;
pub use client::{Checkpoint, Client, ClientConfig};
pub use error::ClientError;
pub use events::{Event, Follow, Step, event_in};
pub use keystore::{Account, Keystore, KeystoreError, Strength};
pub use modules::Module;
pub use receipts::{recover_receipt_signer, sign_receipt};
pub use send::{Fees, TxReceipt};
pub use wallet::Wallet;

pub use alloy_rpc_types_eth::{Filter, Log};

#[cfg(test)]
mod tests;
