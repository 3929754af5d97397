//! What operators watch: `/metrics` for Prometheus, `/health` and `/ready`, on the port of JSON-RPC.

use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse},
};
use openledger_chain::ChainHandle;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
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
    registry: Registry,
    requests: Family<Asked, Counter>,
    seconds: Histogram,
    height: Gauge<u64, AtomicU64>,
    timestamp: Gauge<u64, AtomicU64>,
    base_fee: Gauge<u64, AtomicU64>,
    waiting: Family<Kept, Gauge<u64, AtomicU64>>,
}

impl Telemetry {
    pub(super) fn new(chain: ChainHandle) -> Self {
        let mut telemetry = Self {
            chain,
            registry: Registry::with_prefix("openledger"),
            requests: Family::default(),
            seconds: Histogram::new(BUCKETS),
            height: Gauge::default(),
            timestamp: Gauge::default(),
            base_fee: Gauge::default(),
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

    fn metrics(&self) -> Result<String, std::fmt::Error> {
        let head = self.chain.head();
        self.height.set(head.header.number);
        self.timestamp.set(head.header.timestamp);
        self.base_fee.set(self.chain.next_base_fee());
        let (pending, queued) = self.chain.waiting_all();
        for (list, transactions) in [("pending", pending), ("queued", queued)] {
            self.waiting.get_or_create(&Kept { list }).set(transactions.len() as u64);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// The answer to a page that is no JSON-RPC; `None` if it is none of ours.
    fn answer(&self, path: &str) -> Option<HttpResponse> {
        Some(match path {
            "/metrics" => match self.metrics() {
                Ok(text) => page(200, "application/openmetrics-text; version=1.0.0; charset=utf-8", text),
                Err(error) => page(500, "text/plain", error.to_string()),
            },
            // The process answers.
            "/health" => page(200, "text/plain", "ok\n"),
            // The engine runs, so that transactions are taken and the head moves on.
            "/ready" if self.chain.has_stopped() => page(503, "text/plain", "the chain has stopped\n"),
            "/ready" => page(200, "text/plain", "ready\n"),
            _ => return None,
        })
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
        let page = (request.method().as_str() == "GET")
            .then(|| self.telemetry.answer(request.uri().path()))
            .flatten();
        match page {
            Some(page) => Box::pin(std::future::ready(Ok(page))),
            None => Box::pin(self.inner.call(request)),
        }
    }
}
