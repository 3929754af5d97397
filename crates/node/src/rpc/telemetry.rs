//! What operators watch: `/metrics` for Prometheus, `/health` and `/ready`, on the port of JSON-RPC, and whether the node is
//! behind, which `/ready` and `eth_syncing` say alike.

use super::error::{self, Answer};
use alloy_primitives::U64;
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse},
};
use openledger_chain::{ChainHandle, Status};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use serde_json::{Value, json};
use std::{
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service};

/// Seconds at which the time of a request is counted: from a read of the state to the limit of a request.
const BUCKETS: [f64; 8] = [0.0005, 0.002, 0.01, 0.05, 0.2, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kept {
    list: &'static str,
}

/// The counters, and the registry that shows them.
pub(super) struct Telemetry {
    chain: ChainHandle,
    /// The head when the node started.
    started_at: u64,
    registry: Registry,
    requests: Family<Asked, Counter>,
    seconds: Histogram,
    height: Gauge<u64, AtomicU64>,
    timestamp: Gauge<u64, AtomicU64>,
    base_fee: Gauge<u64, AtomicU64>,
    highest: Gauge<u64, AtomicU64>,
    peers: Gauge<u64, AtomicU64>,
    refused: Gauge<u64, AtomicU64>,
    faults: Gauge<u64, AtomicU64>,
    waiting: Family<Kept, Gauge<u64, AtomicU64>>,
}

impl Telemetry {
    pub(super) fn new(chain: ChainHandle) -> Self {
        let mut telemetry = Self {
            started_at: chain.head().header.number,
            chain,
            registry: Registry::with_prefix("openledger"),
            requests: Family::default(),
            seconds: Histogram::new(BUCKETS),
            height: Gauge::default(),
            timestamp: Gauge::default(),
            base_fee: Gauge::default(),
            highest: Gauge::default(),
            peers: Gauge::default(),
            refused: Gauge::default(),
            faults: Gauge::default(),
            waiting: Family::default(),
        };
        let registry = &mut telemetry.registry;
        registry.register(
            "rpc_requests",
            "JSON-RPC requests that reached a method",
            telemetry.requests.clone(),
        );
        registry.register_with_unit(
            "rpc_request_duration",
            "Time that a method took",
            Unit::Seconds,
            telemetry.seconds.clone(),
        );
        registry.register("head_number", "Number of the finalised head", telemetry.height.clone());
        registry.register_with_unit(
            "head_timestamp",
            "Unix time of the finalised head",
            Unit::Seconds,
            telemetry.timestamp.clone(),
        );
        registry.register(
            "base_fee_wei",
            "Base fee of the next block, wei per gas",
            telemetry.base_fee.clone(),
        );
        registry.register(
            "highest_number",
            "Number of the newest block that is known to be final; above the head while the node catches up",
            telemetry.highest.clone(),
        );
        registry.register(
            "refused_blocks",
            "Blocks that this validator voted against since it started",
            telemetry.refused.clone(),
        );
        registry.register(
            "contradicting_votes",
            "Votes of one validator that contradict each other, seen since this one started",
            telemetry.faults.clone(),
        );
        registry.register("peers", "Nodes that are connected", telemetry.peers.clone());
        registry.register(
            "pool_transactions",
            "Transactions that wait: pending follow on their account's nonce, queued miss one",
            telemetry.waiting.clone(),
        );
        telemetry
    }

    /// Counts a request that reached a method.
    pub(super) fn record(&self, method: &'static str, succeeded: bool, took: Duration) {
        let outcome = if succeeded { "ok" } else { "error" };
        self.requests.get_or_create(&Asked { method, outcome }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// The answer of `eth_syncing`.
    ///
    /// # Errors
    /// If the chain has stopped.
    pub(super) fn syncing(&self) -> Answer<Value> {
        Ok(syncing(self.started_at, &self.chain.status().map_err(error::chain)?))
    }

    fn metrics(&self) -> Result<String, std::fmt::Error> {
        let head = self.chain.head();
        self.height.set(head.header.number);
        self.timestamp.set(head.header.timestamp);
        self.base_fee.set(self.chain.next_base_fee());
        self.refused.set(self.chain.refused().0);
        self.faults.set(self.chain.faults());
        // The chain has stopped: what was known last stands.
        if let Ok(status) = self.chain.status() {
            self.highest.set(status.highest);
        }
        if let Ok(peers) = self.chain.peers() {
            self.peers.set(peers as u64);
        }
        let (pending, queued) = self.chain.waiting_all();
        for (list, transactions) in [("pending", pending), ("queued", queued)] {
            self.waiting.get_or_create(&Kept { list }).set(transactions.len() as u64);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// The answer to a page that is no JSON-RPC. It may wait for the engine, so it needs a thread.
    fn answer(&self, asked: Page) -> HttpResponse {
        match asked {
            Page::Metrics => match self.metrics() {
                Ok(text) => page(200, "application/openmetrics-text; version=1.0.0; charset=utf-8", text),
                Err(error) => page(500, "text/plain", error.to_string()),
            },
            // The process answers.
            Page::Health => page(200, "text/plain", "ok\n"),
            // The engine runs and the head is the network's, so that what is read here is new.
            Page::Ready => match self.chain.status() {
                Err(_stopped) => page(503, "text/plain", "the chain has stopped\n"),
                Ok(status) if status.is_behind() => {
                    let Status { head, highest } = status;
                    page(503, "text/plain", format!("catching up: block {head} of {highest}\n"))
                }
                Ok(_) => page(200, "text/plain", "ready\n"),
            },
        }
    }
}

fn syncing(started_at: u64, status: &Status) -> Value {
    if !status.is_behind() {
        return Value::Bool(false);
    }
    json!({
        "startingBlock": U64::from(started_at),
        "currentBlock": U64::from(status.head),
        "highestBlock": U64::from(status.highest),
    })
}

/// What is answered beside JSON-RPC.
#[derive(Clone, Copy)]
enum Page {
    Metrics,
    Health,
    Ready,
}

impl Page {
    fn asked_by<B>(request: &HttpRequest<B>) -> Option<Self> {
        match (request.method().as_str(), request.uri().path()) {
            ("GET", "/metrics") => Some(Self::Metrics),
            ("GET", "/health") => Some(Self::Health),
            ("GET", "/ready") => Some(Self::Ready),
            _ => None,
        }
    }
}

fn page(status: u16, content: &'static str, text: impl Into<HttpBody>) -> HttpResponse {
    let response = HttpResponse::builder().status(status).header("content-type", content).body(text.into());
    response.expect("the parts are constants")
}

/// Answers the pages before JSON-RPC is asked.
#[derive(Clone)]
pub(super) struct Pages<S = ()> {
    telemetry: Arc<Telemetry>,
    inner: S,
}

impl Pages {
    pub(super) const fn new(telemetry: Arc<Telemetry>) -> Self {
        Self { telemetry, inner: () }
    }
}

impl<S> Layer<S> for Pages {
    type Service = Pages<S>;

    fn layer(&self, inner: S) -> Pages<S> {
        Pages { telemetry: self.telemetry.clone(), inner }
    }
}

impl<S, B> Service<HttpRequest<B>> for Pages<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let Some(page) = Page::asked_by(&request) else { return Box::pin(self.inner.call(request)) };
        let telemetry = self.telemetry.clone();
        let answer = tokio::task::spawn_blocking(move || telemetry.answer(page));
        Box::pin(async { answer.await.map_err(BoxError::from) })
    }
}

#[cfg(test)]
mod tests;
