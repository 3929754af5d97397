//! Why a call to a node did not do what was asked.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolError;
use openledger_types::amount::format_open;

/// Why a call to a node did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not the address of a node.
    #[error("'{url}' is not a node's address ({reason}); write one as http://127.0.0.1:8545")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers, or not in time.
    #[error("the node at {url} does not answer ({reason}); is it running?")]
    Unreachable {
        /// The node.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// The answer is not one that a node gives.
    #[error("the node at {url} answered {method} with something else than was asked for: {reason}")]
    Malformed {
        /// The node.
        url: String,
        /// What was asked.
        method: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The node refused a request.
    #[error("the node refused {method}: {message} (code {code})")]
    Refused {
        /// What was asked.
        method: String,
        /// JSON-RPC error code.
        code: i64,
        /// The node's words.
        message: String,
        /// What it sent along: for a revert, the encoded error.
        data: Option<Bytes>,
    },
    /// A contract or module refused the call. Nothing was sent, unless the message ends with a transaction.
    #[error("{module}: {message}")]
    Reverted {
        /// Who refused: a module's name, or `contract`.
        module: &'static str,
        /// Name of the Solidity error, `Error` for a plain text, `unknown` for one that is not in the modules' ABIs.
        name: &'static str,
        /// What is wrong and what can be done.
        message: String,
        /// The error as encoded; [`ClientError::decode_revert`] gives its fields.
        raw: Bytes,
    },
    /// The transaction is in a block, failed there, and does not fail when it is run again.
    #[error("transaction {hash} failed in block {block} without stating a reason; it used {gas_used} gas")]
    Failed {
        /// The transaction.
        hash: B256,
        /// The block that holds it.
        block: u64,
        /// Gas that it used.
        gas_used: u64,
    },
    /// The account cannot pay for the transaction.
    #[error(
        "{account} holds {} OPEN; the transaction needs at least {} OPEN",
        format_open(*balance_wei),
        format_open(*needed_wei)
    )]
    InsufficientFunds {
        /// Who would pay.
        account: Address,
        /// What it holds, wei.
        balance_wei: U256,
        /// The value, and the highest fee where the gas is known, wei.
        needed_wei: U256,
    },
    /// The transaction was sent and is in no block yet.
    #[error(
        "transaction {hash} is in no block after {} s; it may still be included: look it up before sending it again",
        waited.as_secs()
    )]
    NotConfirmed {
        /// The transaction.
        hash: B256,
        /// How long was waited.
        waited: Duration,
    },
    /// The chain stands still.
    #[error("there is no block {height} after {} s; is the network making blocks?", waited.as_secs())]
    NoBlock {
        /// Height that was waited for.
        height: u64,
        /// How long was waited.
        waited: Duration,
    },
    /// A transaction succeeded without the event that its module promises.
    #[error("transaction {hash} succeeded without the event {event} that it should emit")]
    NoEvent {
        /// The transaction.
        hash: B256,
        /// Signature of the event.
        event: &'static str,
    },
    /// A range of blocks that ends before it begins.
    #[error("the range of blocks from {from} to {to} ends before it begins")]
    Range {
        /// First block.
        from: u64,
        /// Last block.
        to: u64,
    },
}

impl ClientError {
    /// The Solidity error of a refusal, if it is this one: `error.decode_revert::<IEscrow::UnknownKey>()`.
    pub fn decode_revert<E: SolError>(&self) -> Option<E> {
        match self {
            Self::Reverted { raw, .. } => E::abi_decode(raw).ok(),
            _ => None,
        }
    }
}
