//! Where a validator answers clients, where it listens for the other validators, and where those are.
//!
//! ```json
//! {
//!   "http": "127.0.0.1:8545",
//!   "listen": "127.0.0.1:8645",
//!   "peers": { "<public key, 64 hex digits>": "127.0.0.1:8646" },
//!   "followers": { "<public key>": "127.0.0.1:8649" },
//!   "follow": false
//! }
//! ```

use crate::{NodeError, home};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, path::Path};

/// Largest network file that is read: thousands of validators.
const MAX_BYTES: u64 = 1024 * 1024;

/// The network file of a node's folder. That every validator of the genesis has an address, and each its own, is
/// checked when the chain starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Where JSON-RPC listens, HTTP and WebSocket on one port.
    pub http: SocketAddr,
    /// Where this validator listens for the others.
    pub listen: SocketAddr,
    /// Where the other validators listen, by public key in hex.
    pub peers: BTreeMap<String, SocketAddr>,
    /// Where the nodes listen that may follow without voting, by public key in hex.
    #[serde(default)]
    pub followers: BTreeMap<String, SocketAddr>,
    /// Whether this node only follows.
    #[serde(default)]
    pub follow: bool,
}

/// The file, `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Network>, NodeError> {
    home::read_json(path, MAX_BYTES)
}
