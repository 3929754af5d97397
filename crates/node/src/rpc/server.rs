//! The server: what it listens to, its limits, and what it answers before a method is asked.

use super::{
    calls,
    error::{self, INTERNAL},
    methods::{self, Rpc},
    telemetry::Pages,
};
use jsonrpsee::{
    core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceBuilder, RpcServiceT},
    server::{BatchRequestConfig, MethodResponse, Server, ServerConfig, ServerHandle},
    types::{ErrorObjectOwned, Id, Request},
};
use openledger_chain::ChainHandle;
use std::{collections::BTreeSet, io, net::TcpListener, sync::Arc, time::Duration};
use tower::ServiceBuilder;
use tower_http::cors::{Any, CorsLayer};

/// geth's limit on a request, and what a batch or a thousand receipts may take.
const MAX_REQUEST_BYTES: u32 = 5 * 1024 * 1024;
const MAX_RESPONSE_BYTES: u32 = 25 * 1024 * 1024;
/// geth's limit on a batch.
const MAX_BATCH: u32 = 1000;
/// Transactions of a batch whose signatures are worth recovering together, before the batch is gone through.
const LEAST_TOGETHER: usize = 16;
/// Messages that wait for a slow subscriber before it loses its subscription.
const SUBSCRIBER_BUFFER: u32 = 1024;

/// What one client may take of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpcLimits {
    /// Time for a request or a whole batch.
    pub time: Duration,
    /// WebSocket connections and HTTP requests at once, of all clients together.
    pub connections: u32,
    /// Subscriptions of one WebSocket connection.
    pub subscriptions: u32,
}

impl Default for RpcLimits {
    /// geth's time of 30 s, 500 connections, 64 subscriptions.
    fn default() -> Self {
        Self { time: Duration::from_secs(30), connections: 500, subscriptions: 64 }
    }
}

/// Starts answering on `listener`. Must be called inside a tokio runtime.
///
/// # Errors
/// If the listener cannot be used.
pub(crate) fn serve(
    listener: TcpListener,
    chain: ChainHandle,
    limits: RpcLimits,
) -> io::Result<ServerHandle> {
    listener.set_nonblocking(true)?;
    let config = ServerConfig::builder()
        .max_request_body_size(MAX_REQUEST_BYTES)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        .max_connections(limits.connections)
        .max_subscriptions_per_connection(limits.subscriptions)
        .set_message_buffer_capacity(SUBSCRIBER_BUFFER)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .set_id_provider(super::subscribe::HexIds::default())
        .set_tcp_no_delay(true)
        .build();
    // The node holds no keys and what it tells is public, so any page may read it; a page in a wallet's browser must.
    let cors = CorsLayer::new().allow_methods(Any).allow_origin(Any).allow_headers(Any);
    let rpc = Rpc::new(chain.clone());
    let pages = Pages::new(rpc.telemetry.clone());
    let module = methods::module(rpc).map_err(io::Error::other)?;
    let known: Arc<BTreeSet<&'static str>> = Arc::new(module.method_names().collect());
    let middleware = RpcServiceBuilder::new().layer_fn(move |inner| Guard {
        inner,
        known: known.clone(),
        chain: chain.clone(),
        time: limits.time,
    });
    let server = Server::builder()
        .set_config(config)
        .set_http_middleware(ServiceBuilder::new().layer(cors).layer(pages))
        .set_rpc_middleware(middleware)
        .build_from_tcp(listener)?;
    Ok(server.start(module))
}

/// Refuses in geth's words what no method answers, and bounds the time of what one does.
#[derive(Clone)]
struct Guard<S> {
    inner: S,
    known: Arc<BTreeSet<&'static str>>,
    chain: ChainHandle,
    /// For a request or a batch.
    time: Duration,
}

impl<S> Guard<S> {
    fn check(&self, method: &str) -> Result<(), ErrorObjectOwned> {
        if self.known.contains(method) {
            return Ok(());
        }
        let name: String = method.chars().take(128).collect();
        Err(error::no_method(format!("the method {name} does not exist/is not available")))
    }
}

/// The parameters of a transaction that is sent.
fn sent(entry: &BatchEntry<'_>) -> Option<String> {
    match entry {
        BatchEntry::Call(request) if request.method == methods::SEND => {
            request.params.as_ref().map(|params| params.get().to_owned())
        }
        _ => None,
    }
}

fn timed_out(what: &str, limit: Duration) -> ErrorObjectOwned {
    error::timeout(format!("request timed out: a {what} may take {} s", limit.as_secs()))
}

impl<S> RpcServiceT for Guard<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type BatchResponse = MethodResponse;
    type NotificationResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, checked, limit) = (self.inner.clone(), self.check(&request.method), self.time);
        async move {
            let id = request.id.clone();
            if let Err(refusal) = checked {
                return MethodResponse::error(id, refusal);
            }
            let subscribes = matches!(request.method.as_ref(), "eth_subscribe" | "eth_unsubscribe");
            match tokio::time::timeout(limit, inner.call(request)).await {
                // What the server says where there is no connection to notify on.
                Ok(answer) if subscribes && answer.as_error_code() == Some(INTERNAL) => {
                    MethodResponse::error(id, error::no_method("notifications not supported"))
                }
                Ok(answer) => answer,
                Err(_elapsed) => MethodResponse::error(id, timed_out("request", limit)),
            }
        }
    }

    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        for entry in batch.iter_mut() {
            if let Ok(BatchEntry::Call(request)) = entry
                && let Err(refusal) = self.check(&request.method)
            {
                *entry = Err(BatchEntryErr::new(request.id.clone(), refusal));
            }
        }
        let (inner, chain, limit) = (self.inner.clone(), self.chain.clone(), self.time);
        let sent: Vec<String> = batch.iter().flatten().filter_map(sent).collect();
        async move {
            let answer = async {
                if sent.len() >= LEAST_TOGETHER {
                    let recognised = tokio::task::spawn_blocking(move || calls::recognise(&chain, &sent));
                    // It only makes ready; each is checked when its turn comes.
                    drop(recognised.await);
                }
                inner.batch(batch).await
            };
            tokio::time::timeout(limit, answer)
                .await
                .unwrap_or_else(|_elapsed| MethodResponse::error(Id::Null, timed_out("batch", limit)))
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
