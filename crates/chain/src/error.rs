//! What can go wrong, by whom it can be mended.

use alloy_primitives::{Address, B256, U256};
use std::{net::SocketAddr, path::PathBuf};

/// The chain could not be started, or could not answer.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// Another process has the folder.
    #[error(
        "the folder {} is in use by another process (pid {holder}); stop that process or choose another folder",
        folder.display()
    )]
    FolderInUse {
        /// The folder that both want.
        folder: PathBuf,
        /// Process id that the holder wrote, or `unknown`.
        holder: String,
    },
    /// The folder belongs to a chain with another genesis.
    #[error(
        "the folder {} holds the chain with genesis {found}, but the configuration asks for {expected}",
        folder.display()
    )]
    OtherGenesis {
        /// The data folder.
        folder: PathBuf,
        /// Hash of the genesis that made the folder.
        found: B256,
        /// Hash of the configured genesis.
        expected: B256,
    },
    /// The folder was made by another version, which kept a chain differently.
    #[error(
        "the folder {} is of format {found}, and this version continues chains of format {expected} only; start the \
         chain anew in another folder",
        folder.display()
    )]
    Format {
        /// The data folder.
        folder: PathBuf,
        /// Its format.
        found: String,
        /// The format of this version.
        expected: u64,
    },
    /// The genesis file does not describe a chain.
    #[error("genesis: {reason}")]
    Genesis {
        /// What is wrong.
        reason: String,
    },
    /// The signing key does not belong to a validator of the genesis, and there is nobody to follow until it is elected.
    #[error(
        "the consensus key {key} is not among the {validators} validators of the genesis; to join later, name a peer that \
         runs the chain"
    )]
    NotAValidator {
        /// Public key in hex.
        key: String,
        /// How many seats the genesis has.
        validators: usize,
    },
    /// A node that should follow without voting has the key of a validator.
    #[error(
        "the consensus key {key} has a seat in the genesis, so this node cannot only follow; give it a key of its own"
    )]
    Seated {
        /// Public key in hex.
        key: String,
    },
    /// A validator other than this one has no network address.
    #[error("no network address is configured for the validator {key}")]
    NoAddress {
        /// Public key in hex.
        key: String,
    },
    /// An address of a validator or follower cannot be one.
    #[error("the node {key} cannot be at {address}: {reason}")]
    Address {
        /// Public key in hex.
        key: String,
        /// The configured address.
        address: SocketAddr,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The address for the other validators cannot be used.
    #[error("the node cannot listen for the others on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason, usually that it is in use.
        source: std::io::Error,
    },
    /// Reading or writing a file failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The index is damaged. It holds nothing that the blocks do not, so it may be deleted.
    #[error("the index {} cannot be used ({reason}); stop the node, delete the file and start again: it is rebuilt", path.display())]
    Index {
        /// The database file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The engine stopped; its own message says why.
    #[error("the consensus engine on {} stopped: {reason}", folder.display())]
    Engine {
        /// The data folder, which the reason may refer to.
        folder: PathBuf,
        /// The engine's message.
        reason: String,
    },
    /// The disk takes nothing more. What was final is on it.
    #[error(
        "{} takes no more data ({source}); nothing that was final is lost: make room and start again. The engine said: {reason}",
        folder.display()
    )]
    Storage {
        /// The data folder.
        folder: PathBuf,
        /// Why nothing can be written.
        source: std::io::Error,
        /// The engine's message.
        reason: String,
    },
    /// The chain was shut down.
    #[error("the chain has stopped")]
    Stopped,
    /// The node started from a checkpoint and does not have earlier blocks.
    #[error(
        "block {wanted} is not here: this node started from a checkpoint and has the blocks from {first} on"
    )]
    Pruned {
        /// What was asked for.
        wanted: u64,
        /// The first block of this node.
        first: u64,
    },
    /// The state at that height is no longer held.
    #[error("the state at block {number} is not available: only blocks {oldest} to {newest} can be read")]
    StateNotAvailable {
        /// What was asked for.
        number: u64,
        /// Oldest readable height.
        oldest: u64,
        /// The finalised head.
        newest: u64,
    },
    /// The state can be proven at the head alone.
    #[error("a proof is made of the newest state, that of block {newest}; block {wanted} was asked for")]
    ProofNotAvailable {
        /// The block that was asked for.
        wanted: u64,
        /// The head.
        newest: u64,
    },
    /// The store gave no proof.
    #[error("the state cannot be proven: {reason}")]
    NotProven {
        /// Why.
        reason: String,
    },
    /// Too much was asked for at once.
    #[error("{what}: {got} is over the limit of {limit}")]
    TooMuch {
        /// What is limited.
        what: &'static str,
        /// What was asked for.
        got: u64,
        /// The most that is served.
        limit: u64,
    },
}

/// A transaction was not taken into the pool. The texts are geth's, because clients match on them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It waits already.
    #[error("already known")]
    AlreadyKnown,
    /// The account has used that nonce.
    #[error("nonce too low: next nonce {expected}, tx nonce {got}")]
    NonceTooLow {
        /// The account's next nonce.
        expected: u64,
        /// The transaction's.
        got: u64,
    },
    /// The nonce is further ahead than the pool keeps.
    #[error("nonce too high: next nonce {expected}, tx nonce {got}, limit {limit}")]
    NonceTooHigh {
        /// The account's next nonce.
        expected: u64,
        /// The transaction's.
        got: u64,
        /// How many nonces ahead are kept.
        limit: u64,
    },
    /// The balance does not cover the most that it and the account's waiting transactions can cost.
    #[error("insufficient funds for gas * price + value: address {sender} have {have} want {want}")]
    InsufficientFunds {
        /// The account.
        sender: Address,
        /// Its balance.
        have: U256,
        /// What it would need.
        want: U256,
    },
    /// Another transaction with the nonce waits, and this one does not pay a tenth more.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// The tip is above the maximum.
    #[error(
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: {tip}, maxFeePerGas: {max}"
    )]
    TipAboveMax {
        /// The tip.
        tip: u128,
        /// The maximum.
        max: u128,
    },
    /// It asks for more gas than a block has.
    #[error("exceeds block gas limit: {got} > {limit}")]
    ExceedsBlockGasLimit {
        /// The transaction's gas limit.
        got: u64,
        /// The most one transaction may ask for.
        limit: u64,
    },
    /// Less gas than the transaction costs before anything is executed.
    #[error("intrinsic gas too low: have {got}, want {want}")]
    IntrinsicGas {
        /// The transaction's gas limit.
        got: u64,
        /// What it needs.
        want: u64,
    },
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {got} want {expected}")]
    InvalidChainId {
        /// The transaction's.
        got: u64,
        /// This chain's.
        expected: u64,
    },
    /// Without a chain id it could be replayed on another chain.
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    NotReplayProtected,
    /// The signature does not recover.
    #[error("invalid sender")]
    InvalidSender,
    /// Blob transactions have nowhere to put their blobs here.
    #[error("transaction type not supported")]
    TypeNotSupported,
    /// Too large.
    #[error("oversized data: transaction size {got}, limit {limit}")]
    Oversized {
        /// Encoded size.
        got: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// Init code over the limit of EIP-3860.
    #[error("max initcode size exceeded: code size {got}, limit {limit}")]
    InitCodeTooLarge {
        /// Size of the init code.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// The account has as many waiting as one account may.
    #[error("account limit exceeded: {limit} transactions of {sender} are waiting")]
    AccountLimit {
        /// The account.
        sender: Address,
        /// The most per account.
        limit: usize,
    },
    /// The pool has as many waiting as it holds.
    #[error("txpool is full: {limit} transactions are waiting")]
    Full {
        /// The most in total.
        limit: usize,
    },
    /// The state could not be read.
    #[error("the chain cannot answer: {0}")]
    Unavailable(String),
}
