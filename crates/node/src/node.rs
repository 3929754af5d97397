//! A running node: a validator and its JSON-RPC server.

use crate::{
    NodeError,
    home::{Home, Paths},
    network, rpc,
    rpc::RpcLimits,
};
use jsonrpsee::server::ServerHandle;
use openledger_chain::{ChainConfig, ChainHandle, Checkpoint, DEFAULT_CACHE};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};
use tokio::runtime::Runtime;

/// Where JSON-RPC listens unless told otherwise: this machine alone, the port every Ethereum client tries first.
pub const DEFAULT_HTTP: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8545);
/// Threads that answer clients; what reads the state runs on others.
const THREADS: usize = 2;

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// A folder that [`init`](crate::init) has set up.
    pub home: PathBuf,
    /// Where JSON-RPC listens, HTTP and WebSocket on one port. Port 0 lets the system choose.
    pub http: SocketAddr,
    /// Where the validator listens for others. Port 0 lets the system choose, which a single validator may.
    pub listen: SocketAddr,
    /// The other validators: address by public key in hex.
    pub peers: BTreeMap<String, SocketAddr>,
    /// The nodes that may follow without voting: address by public key in hex.
    pub followers: BTreeMap<String, SocketAddr>,
    /// Whether this node only follows.
    pub follow: bool,
    /// What a new folder starts from instead of the first block.
    pub checkpoint: Option<Checkpoint>,
    /// Least time from one block to the next while transactions wait.
    pub block_interval: Duration,
    /// Time after which a block is made although nothing waits.
    pub heartbeat: Duration,
    /// Bytes of the files of state and blocks that are kept in memory.
    pub cache: NonZeroUsize,
    /// What clients may take.
    pub rpc: RpcLimits,
}

impl NodeConfig {
    /// A single validator with the defaults.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            http: DEFAULT_HTTP,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            peers: BTreeMap::new(),
            followers: BTreeMap::new(),
            follow: false,
            checkpoint: None,
            block_interval: Duration::from_millis(50),
            heartbeat: Duration::from_secs(1),
            cache: DEFAULT_CACHE,
            rpc: RpcLimits::default(),
        }
    }

    /// What the network file of the folder says, the defaults of a single validator where there is none.
    ///
    /// # Errors
    /// [`NodeError::Damaged`] naming the file.
    pub fn open(home: impl Into<PathBuf>) -> Result<Self, NodeError> {
        let mut config = Self::new(home);
        if let Some(network) = network::read(&Paths::new(&config.home).network)? {
            (config.http, config.listen, config.peers) = (network.http, network.listen, network.peers);
            (config.followers, config.follow) = (network.followers, network.follow);
        }
        Ok(config)
    }
}

/// A running node. It stops when dropped.
#[derive(Debug)]
pub struct Node {
    chain: ChainHandle,
    address: SocketAddr,
    server: ServerHandle,
    // Taken only on drop.
    runtime: Option<Runtime>,
}

impl Node {
    /// Starts a node and returns once it answers. May be called with or without a tokio runtime; it waits for the
    /// chain to recover, so an asynchronous caller gives it a thread.
    ///
    /// # Errors
    /// [`NodeError`] says which file, address or folder is the trouble.
    pub fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let home = Home::open(&config.home)?;
        let mut chain = ChainConfig::new(home.chain, home.genesis, home.key);
        chain.listen = config.listen;
        chain.peers = config.peers;
        chain.followers = config.followers;
        chain.follow = config.follow;
        chain.checkpoint = config.checkpoint;
        chain.block_interval = config.block_interval;
        chain.heartbeat = config.heartbeat;
        chain.cache = config.cache;
        // The folder first: a second node in it should hear of the folder, not of the port.
        let chain = openledger_chain::start(chain)?;
        let listener = TcpListener::bind(config.http)
            .map_err(|source| NodeError::Listen { address: config.http, source })?;

        let listen = |source| NodeError::Listen { address: config.http, source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("rpc")
            .enable_all()
            .build()
            .map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let server = {
            let _context = runtime.enter();
            rpc::serve(listener, chain.clone(), config.rpc).map_err(listen)?
        };
        tracing::info!(%address, chain_id = chain.genesis().chain_id, head = chain.head().header.number, "node started");
        Ok(Self { chain, address, server, runtime: Some(runtime) })
    }

    /// Where clients connect.
    pub fn rpc_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where clients connect for subscriptions.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// The address JSON-RPC listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The chain, for those in the same process.
    pub const fn chain(&self) -> &ChainHandle {
        &self.chain
    }

    /// Stops answering, then stops the chain and waits until it has.
    ///
    /// # Errors
    /// [`NodeError::Chain`] if the engine had failed.
    pub fn shutdown(self) -> Result<(), NodeError> {
        self.stop_answering();
        // Before it is dropped, which has nobody to tell.
        let ended = self.chain.shutdown();
        drop(self);
        Ok(ended?)
    }
}

impl Node {
    fn stop_answering(&self) {
        if self.server.stop().is_err() {
            tracing::debug!("the server had stopped already");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop_answering();
        // In the background, so that a node may be dropped inside another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        if let Err(error) = self.chain.shutdown() {
            tracing::error!(%error, "the chain ended with an error");
        }
    }
}
