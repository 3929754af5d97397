//! What keeps a node from starting.

use openledger_chain::ChainError;
use std::{net::SocketAddr, path::PathBuf};

/// Why a folder could not be set up or a node not started.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The chain did not start.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The node has not been set up in this folder.
    #[error("{} is missing; set the node up first", path.display())]
    Missing {
        /// The file that is not there.
        path: PathBuf,
    },
    /// What genesis should allot is more than there is.
    #[error("genesis: {reason}")]
    Genesis {
        /// What is wrong.
        reason: String,
    },
    /// The address for JSON-RPC cannot be used.
    #[error("JSON-RPC cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason, usually that it is in use.
        source: std::io::Error,
    },
}
