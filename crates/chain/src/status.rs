//! How far this node is, and with whom.

use crate::{engine::MarshalHandle, runtime::Runtime};
use commonware_consensus::marshal::Identifier;

/// Blocks that a node which is not behind may have received and not executed yet.
const WITHIN: u64 = 16;
/// What the network calls the gauge that each connected peer has.
const CONNECTED: &str = "_tracker_directory_connected{";

/// How far a node is, and with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The newest block that is executed and shown.
    pub head: u64,
    /// The newest block that the node has and knows to be final.
    pub highest: u64,
    /// Nodes that are connected.
    pub peers: usize,
}

impl Status {
    /// Whether the node is catching up.
    pub const fn is_behind(&self) -> bool {
        self.highest.saturating_sub(self.head) > WITHIN
    }
}

/// The newest block that is known to be final, and the number of connected peers.
pub(crate) async fn known<E: Runtime>(context: &E, marshal: &MarshalHandle) -> (u64, usize) {
    let highest = marshal.get_info(Identifier::Latest).await.map_or(0, |(height, _)| height.get());
    (highest, connected(&context.encode()))
}

/// The network tells only its metrics who is connected.
fn connected(metrics: &str) -> usize {
    metrics.lines().filter(|line| !line.starts_with('#') && line.contains(CONNECTED)).count()
}
