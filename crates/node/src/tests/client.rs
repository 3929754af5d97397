//! A node with one funded account, and JSON-RPC spoken to it over a plain socket.

use crate::{GenesisOptions, Node, NodeConfig, RpcLimits, init};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(super) const ONE_OPEN: u64 = 1_000_000_000_000_000_000;

/// A running node in a folder that is removed with it.
pub(super) struct Bench {
    pub(super) node: Node,
    pub(super) owner: PrivateKeySigner,
    home: TempDir,
}

pub(super) fn config(home: &TempDir) -> NodeConfig {
    let mut config = NodeConfig::new(home.path());
    config.http = SocketAddr::from(([127, 0, 0, 1], 0));
    config.block_interval = Duration::from_millis(10);
    config.heartbeat = Duration::from_millis(300);
    config
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(RpcLimits::default())
    }

    /// One whose clients may take no more than this.
    pub(super) fn with(limits: RpcLimits) -> Self {
        Self::built(limits, |_| {})
    }

    /// One with another genesis.
    pub(super) fn built(limits: RpcLimits, change: impl FnOnce(&mut GenesisOptions)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let owner = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
        let mut options = GenesisOptions::new(owner.address());
        change(&mut options);
        init(home.path(), &options).unwrap();
        let config = NodeConfig { rpc: limits, ..config(&home) };
        Self { node: Node::start(config).unwrap(), owner, home }
    }

    /// The same chain in a new process, as far as the node can tell.
    pub(super) fn restarted(self) -> Self {
        let Self { node, owner, home } = self;
        node.shutdown().unwrap();
        Self { node: Node::start(config(&home)).unwrap(), owner, home }
    }

    /// The whole answer to a request body.
    pub(super) fn post(&self, body: &str) -> String {
        self.post_as(body, body.len())
    }

    /// The whole answer to a request that says its body is `length` bytes long.
    pub(super) fn post_as(&self, body: &str, length: usize) -> String {
        let mut stream = TcpStream::connect(self.node.address()).unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    /// Status and body of a page.
    pub(super) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.node.address()).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap())
    }

    pub(super) fn request(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        serde_json::from_str(&self.post(&body.to_string())).unwrap()
    }

    pub(super) fn call(&self, method: &str, params: Value) -> Value {
        let mut answer = self.request(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    pub(super) fn error(&self, method: &str, params: Value) -> (i64, String, Value) {
        let answer = self.request(method, params);
        let error = answer.get("error").unwrap_or_else(|| panic!("{method} gave {answer}"));
        (
            error["code"].as_i64().unwrap(),
            error["message"].as_str().unwrap().to_owned(),
            error["data"].clone(),
        )
    }

    /// Sends a signed transaction and returns its receipt.
    pub(super) fn send_raw(&self, raw: &str) -> Value {
        let hash = self.call("eth_sendRawTransaction", json!([raw]));
        let start = Instant::now();
        loop {
            let receipt = self.call("eth_getTransactionReceipt", json!([hash]));
            if !receipt.is_null() {
                return receipt;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "no receipt");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A transaction of any type, signed by the owner, as it is sent.
    pub(super) fn encode<T: SignableTransaction<Signature>>(&self, transaction: T) -> String
    where
        TxEnvelope: From<alloy_consensus::Signed<T>>,
    {
        let signature = self.owner.sign_hash_sync(&transaction.signature_hash()).unwrap();
        let transaction: TxEnvelope = transaction.into_signed(signature).into();
        hex::encode_prefixed(transaction.encoded_2718())
    }

    pub(super) fn sign(&self, nonce: u64, to: TxKind, value: u64, input: Bytes, gas_limit: u64) -> String {
        let transaction = TxEip1559 {
            chain_id: crate::DEFAULT_CHAIN_ID,
            nonce,
            gas_limit,
            max_fee_per_gas: 5_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to,
            value: U256::from(value),
            input,
            ..TxEip1559::default()
        };
        self.encode(transaction)
    }

    /// Sends a transaction and returns its receipt.
    pub(super) fn send(&self, nonce: u64, to: TxKind, value: u64, input: Bytes) -> Value {
        let gas_limit = if matches!(to, TxKind::Call(_)) && input.is_empty() { 21_000 } else { 1_000_000 };
        let raw = self.sign(nonce, to, value, input, gas_limit);
        self.send_raw(&raw)
    }

    pub(super) fn transfer(&self, nonce: u64, to: Address, value: u64) -> Value {
        self.send(nonce, TxKind::Call(to), value, Bytes::new())
    }
}
