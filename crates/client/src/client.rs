//! The connection to a node: JSON-RPC over HTTP.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use alloy_rpc_client::RpcClient;
use alloy_rpc_types_eth::{Block, Header, TransactionInput, TransactionRequest};
use alloy_sol_types::SolCall;
use alloy_transport::{RpcError, TransportError, TransportErrorKind};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::ClientError;
use crate::light::{Handover, StateProof};
use crate::revert;

/// Handovers of one answer, as many as a node gives.
const HANDOVERS: u64 = 64;

/// How patient a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientConfig {
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How long a transaction may take to be in a block.
    pub confirm_timeout: Duration,
    /// How often the node is asked for a transaction's receipt or a new block.
    pub poll_interval: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(20),
            confirm_timeout: Duration::from_secs(30),
            poll_interval: Duration::from_millis(50),
        }
    }
}

/// A block that a new node can start from, as a node gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Height.
    pub number: U64,
    /// Hash, which whoever starts from it has to know from somebody it trusts.
    pub hash: B256,
    /// The validators' certificate, as nodes encode it.
    pub certificate: Bytes,
    /// Keys of the validators of its epoch.
    pub validators: Vec<B256>,
}

/// A connection to a node. Clones share it.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    rpc: RpcClient,
    url: String,
    chain_id: u64,
    config: ClientConfig,
    /// One lock for each account that has sent: see [`Client::send`].
    lanes: Mutex<BTreeMap<Address, Lane>>,
}

pub(crate) type Lane = Arc<tokio::sync::Mutex<()>>;

impl Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url()).field("chain_id", &self.chain_id()).finish()
    }
}

impl Client {
    /// Connects to a node, as `http://127.0.0.1:8545`, with [`ClientConfig::default`].
    ///
    /// # Errors
    /// [`ClientError::Url`] if the address is none, [`ClientError::Unreachable`] if nobody answers there.
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        Self::connect_with(url, ClientConfig::default()).await
    }

    /// Connects to a node.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_with(url: &str, config: ClientConfig) -> Result<Self, ClientError> {
        let rpc = rpc_client(url, config)?;
        let mut inner =
            Inner { rpc, url: url.to_owned(), chain_id: 0, config, lanes: Mutex::new(BTreeMap::new()) };
        inner.chain_id = inner.request::<_, U64>("eth_chainId", ()).await?.to();
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The node's address.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// The chain, as the node named it when the connection was made.
    pub fn chain_id(&self) -> u64 {
        self.inner.chain_id
    }

    /// How patient this client is.
    pub fn config(&self) -> ClientConfig {
        self.inner.config
    }

    /// Height of the newest block.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Malformed`] or [`ClientError::Refused`], as every read.
    pub async fn block_number(&self) -> Result<u64, ClientError> {
        Ok(self.request::<_, U64>("eth_blockNumber", ()).await?.to())
    }

    /// The header of the block at a height, if there is one.
    ///
    /// # Errors
    /// As [`Client::block_number`].
    pub async fn header(&self, height: u64) -> Result<Option<Header>, ClientError> {
        self.header_at(format!("{height:#x}")).await
    }

    /// The header of the newest block.
    ///
    /// # Errors
    /// As [`Client::block_number`].
    pub async fn latest_header(&self) -> Result<Header, ClientError> {
        let header = self.header_at("latest".to_owned()).await?;
        header.ok_or_else(|| self.inner.malformed("eth_getBlockByNumber", "there is no newest block"))
    }

    async fn header_at(&self, block: String) -> Result<Option<Header>, ClientError> {
        let block: Option<Block<B256>> = self.request("eth_getBlockByNumber", (block, false)).await?;
        Ok(block.map(|block| block.header))
    }

    /// What an account holds, wei.
    ///
    /// # Errors
    /// As [`Client::block_number`].
    pub async fn balance(&self, account: Address) -> Result<U256, ClientError> {
        self.request("eth_getBalance", (account, "latest")).await
    }

    /// An account and slots of it with what shows them, not checked yet: [`StateProof::check`] says whether to believe it.
    ///
    /// # Errors
    /// As [`Client::block_number`].
    pub async fn proof(&self, account: Address, slots: &[U256]) -> Result<StateProof, ClientError> {
        self.request("openledger_getProof", (account, slots.to_vec(), "latest")).await
    }

    /// The validators of the epochs from `first` on, up to 64 of those that the node has noted, with what shows them, not
    /// checked yet: [`Trust::hand_over`](crate::light::Trust::hand_over) says whether to believe them.
    ///
    /// # Errors
    /// As [`Client::block_number`].
    pub async fn handovers(&self, first: u64) -> Result<Vec<Handover>, ClientError> {
        self.request("openledger_getHandovers", (U64::from(first), U64::from(HANDOVERS))).await
    }

    /// The newest block at or below a height that a new node can start from, not checked; `None` if there is none.
    ///
    /// # Errors
    /// As [`Client::block_number`].
    pub async fn checkpoint(&self, height: u64) -> Result<Option<Checkpoint>, ClientError> {
        self.request("openledger_getCheckpoint", (format!("{height:#x}"),)).await
    }

    /// Number of the account's next transaction, those that wait for a block counted.
    ///
    /// # Errors
    /// As [`Client::block_number`].
    pub async fn next_nonce(&self, account: Address) -> Result<u64, ClientError> {
        Ok(self.request::<_, U64>("eth_getTransactionCount", (account, "pending")).await?.to())
    }

    /// Reads a view of a contract or module at the newest block.
    ///
    /// # Errors
    /// [`ClientError::Reverted`] if it refuses, [`ClientError::Malformed`] if it answers with another type, and those
    /// of every read.
    pub async fn call<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, ClientError> {
        self.call_at(to, call, None).await
    }

    /// Reads a view as it was after the block at a height; `None` is the newest.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call_at<C: SolCall>(
        &self,
        to: Address,
        call: &C,
        height: Option<u64>,
    ) -> Result<C::Return, ClientError> {
        let request = call_request(None, TxKind::Call(to), U256::ZERO, call.abi_encode().into());
        let block = height.map_or_else(|| "latest".to_owned(), |height| format!("{height:#x}"));
        let output: Bytes = self
            .request("eth_call", (request, block))
            .await
            .map_err(|error| refused_by(TxKind::Call(to), error))?;
        C::abi_decode_returns(&output).map_err(|error| {
            self.inner
                .malformed("eth_call", format!("{to} does not return what {} does: {error}", C::SIGNATURE))
        })
    }

    /// The lock under which an account's next transaction gets its nonce.
    pub(crate) fn lane(&self, account: Address) -> Lane {
        let mut lanes = self.inner.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry(account).or_default())
    }

    pub(crate) async fn request<P, R>(&self, method: &'static str, params: P) -> Result<R, ClientError>
    where
        P: Serialize + Clone + Debug + Send + Sync + Unpin + 'static,
        R: DeserializeOwned + Debug + Send + Sync + Unpin + 'static,
    {
        self.inner.request(method, params).await
    }

    pub(crate) fn malformed(&self, method: &str, reason: impl Into<String>) -> ClientError {
        self.inner.malformed(method, reason)
    }
}

impl Inner {
    async fn request<P, R>(&self, method: &'static str, params: P) -> Result<R, ClientError>
    where
        P: Serialize + Clone + Debug + Send + Sync + Unpin + 'static,
        R: DeserializeOwned + Debug + Send + Sync + Unpin + 'static,
    {
        self.rpc.request(method, params).await.map_err(|error| self.error(method, error))
    }

    fn error(&self, method: &str, error: TransportError) -> ClientError {
        match error {
            RpcError::ErrorResp(payload) => ClientError::Refused {
                method: method.to_owned(),
                code: payload.code,
                message: payload.message.clone().into_owned(),
                data: payload.data.and_then(|data| serde_json::from_str(data.get()).ok()),
            },
            RpcError::DeserError { err, text } => {
                let begin: String = text.chars().take(120).collect();
                self.malformed(method, format!("{err}; the answer begins '{begin}'"))
            }
            RpcError::NullResp => self.malformed(method, "nothing"),
            RpcError::Transport(TransportErrorKind::HttpError(error)) => {
                let begin: String = error.body.chars().take(120).collect();
                self.malformed(method, format!("HTTP status {}: {begin}", error.status))
            }
            other => ClientError::Unreachable { url: self.url.clone(), reason: innermost(&other) },
        }
    }

    fn malformed(&self, method: &str, reason: impl Into<String>) -> ClientError {
        ClientError::Malformed { url: self.url.clone(), method: method.to_owned(), reason: reason.into() }
    }
}

fn rpc_client(url: &str, config: ClientConfig) -> Result<RpcClient, ClientError> {
    let bad = |reason: String| ClientError::Url { url: url.to_owned(), reason };
    let parsed: alloy_transport_http::reqwest::Url = url.parse().map_err(|error| bad(format!("{error}")))?;
    if parsed.scheme() != "http" {
        return Err(bad(format!("this client speaks http, not {}", parsed.scheme())));
    }
    // A proxy of the environment knows neither this machine's ports nor a tunnel's.
    let http = alloy_transport_http::Client::builder()
        .no_proxy()
        .timeout(config.request_timeout)
        .build()
        .map_err(|error| bad(innermost(&error)))?;
    Ok(RpcClient::new_http_with_client(http, parsed))
}

/// The cause at the bottom of a chain of errors: `Connection refused`, not `error sending request`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A call as the node takes it.
pub(crate) fn call_request(
    from: Option<Address>,
    to: TxKind,
    value: U256,
    data: Bytes,
) -> TransactionRequest {
    TransactionRequest {
        from,
        to: Some(to),
        value: Some(value),
        // Under both names: some nodes read `input` only, others `data` only.
        input: TransactionInput::both(data),
        ..TransactionRequest::default()
    }
}

/// Turns the node's report of a revert into the refusal of who was called.
pub(crate) fn refused_by(to: TxKind, error: ClientError) -> ClientError {
    match error {
        // Code 3 is geth's for a revert; without data the message tells it apart.
        ClientError::Refused { code, message, data, .. } if code == 3 || message.contains("revert") => {
            revert::explain(to, data.unwrap_or_default())
        }
        other => other,
    }
}
