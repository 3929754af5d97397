//! The way to the chain: the node that runs on this home folder, or one started for this command.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use openledger_client::Client;
use openledger_node::{Node, NodeConfig};
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::local::Local;

/// How to reach what `openledger up` runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    /// Ethereum JSON-RPC.
    pub(crate) rpc: String,
    /// The gateway.
    pub(crate) gateway: SocketAddr,
}

impl Endpoints {
    /// What the home folder says, if it says anything.
    pub(crate) fn read(home: &Home) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(home.endpoints_file()).ok()?).ok()
    }

    /// Says it.
    pub(crate) fn write(&self, home: &Home) -> Result<()> {
        let path = home.endpoints_file();
        std::fs::write(&path, serde_json::to_vec(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A connected client, with the node that it is connected to if this process runs it.
pub(crate) struct Connection {
    pub(crate) client: Client,
    node: Option<Node>,
}

impl Connection {
    /// The node that was named, or the one that `openledger up` or `openledger node` runs on this home folder.
    pub(crate) async fn reach(home: &Home) -> Result<Option<Self>> {
        if let Some(rpc) = home.rpc() {
            let client = Client::connect(rpc).await.with_context(|| format!("no node answers at {rpc}"))?;
            return Ok(Some(Self { client, node: None }));
        }
        if let Some(endpoints) = Endpoints::read(home)
            && let Ok(client) = Client::connect(&endpoints.rpc).await
        {
            return Ok(Some(Self { client, node: None }));
        }
        if let Ok(node) = openledger_node::Home::open(home.root())
            && let Some(network) = node.network
            && let Ok(client) = Client::connect(&format!("http://{}", network.http)).await
            && client.chain_id() == node.genesis.chain_id
        {
            return Ok(Some(Self { client, node: None }));
        }
        Ok(None)
    }

    /// The node that [`Connection::reach`] finds, or one started here.
    pub(crate) async fn open(home: &Home, local: &Local) -> Result<Self> {
        if let Some(connection) = Self::reach(home).await? {
            return Ok(connection);
        }
        Self::start(home, local, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts a node on this home folder. Fails if another process has it.
    pub(crate) async fn start(home: &Home, local: &Local, http: SocketAddr) -> Result<Self> {
        openledger_node::init(home.root(), &local.genesis()?)?;
        let mut config = NodeConfig::open(home.root())?;
        config.http = http;
        let node = tokio::task::spawn_blocking(move || Node::start(config))
            .await
            .context("the node ended while it started")??;
        let client = Client::connect(&node.rpc_url()).await?;
        Ok(Self { client, node: Some(node) })
    }

    /// Where JSON-RPC is.
    pub(crate) fn rpc_url(&self) -> &str {
        self.client.url()
    }

    /// Whether this process runs the node.
    pub(crate) fn is_embedded(&self) -> bool {
        self.node.is_some()
    }

    /// Ends the node, if this process runs it, with everything on disk.
    pub(crate) async fn close(self) -> Result<()> {
        if let Some(node) = self.node {
            tokio::task::spawn_blocking(move || node.shutdown())
                .await
                .context("the node ended unexpectedly")??;
        }
        Ok(())
    }
}
