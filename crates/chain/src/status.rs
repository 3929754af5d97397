//! How far this node is, and with whom.

use crate::engine::MarshalHandle;
use commonware_consensus::marshal::Identifier;

/// Blocks that a node which is not behind may have received and not executed yet.
const WITHIN: u64 = 16;
/// What the network calls the gauge that each connected peer has.
const CONNECTED: &str = "_tracker_directory_connected{";

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The newest block that is executed and shown.
    pub head: u64,
    /// The newest block that the node has and knows to be final.
    pub highest: u64,
}

impl Status {
    /// Whether the node is catching up.
    pub const fn is_behind(&self) -> bool {
        self.highest.saturating_sub(self.head) > WITHIN
    }
}

/// The newest block that is known to be final.
pub(crate) async fn highest(marshal: &MarshalHandle) -> u64 {
    marshal.get_info(Identifier::Latest).await.map_or(0, |(height, _)| height.get())
}

/// The number of connected peers: the network tells only its metrics who is connected.
pub(crate) fn connected(metrics: &str) -> usize {
    metrics.lines().filter(|line| !line.starts_with('#') && line.contains(CONNECTED)).count()
}
