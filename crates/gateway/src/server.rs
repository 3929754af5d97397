use std::{net::SocketAddr, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderValue, Method, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use openledger_worker::operator::Operator;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::body::MAX_BODY_BYTES;
use crate::{ApiError, chat, cors, metrics, models, receipts};

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The address is taken or not this machine's.
    #[error("the gateway cannot listen on {address}: {source}")]
    Bind {
        /// Where it should listen.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The listener failed while it ran.
    #[error("the gateway stopped: {0}")]
    Stopped(String),
}

/// A running gateway. Dropping it lets it run on; [`Gateway::shutdown`] ends it.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Gateway {
    /// Listens on an address (port 0 takes a free one) and answers for an operator.
    ///
    /// # Errors
    /// [`GatewayError::Bind`].
    pub async fn serve(operator: Operator, address: SocketAddr) -> Result<Self, GatewayError> {
        let bind = |source| GatewayError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let service = axum::serve(listener, router(operator)).with_graceful_shutdown(async {
            // Whoever drops the gateway without a word leaves it running.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        let task = tokio::spawn(service.into_future());
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing new and waits for what is under way, but no longer than `grace`.
    ///
    /// # Errors
    /// [`GatewayError::Stopped`] if it had failed before.
    pub async fn shutdown(self, grace: Duration) -> Result<(), GatewayError> {
        let Self { stop, mut task, .. } = self;
        if stop.send(()).is_err() {
            tracing::debug!("the gateway had stopped before it was told to");
        }
        match tokio::time::timeout(grace, &mut task).await {
            Ok(Ok(ended)) => ended.map_err(|error| GatewayError::Stopped(error.to_string())),
            Ok(Err(error)) => Err(GatewayError::Stopped(error.to_string())),
            Err(_elapsed) => {
                task.abort();
                Ok(())
            }
        }
    }
}

fn router(operator: Operator) -> Router {
    let metrics =
        Router::new().route("/metrics", get(metrics::show)).with_state(metrics::registry(&operator));
    Router::new()
        .route("/v1/chat/completions", post(chat::complete).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{model}", get(models::one))
        .route("/v1/receipts", get(receipts::of_key))
        .route("/v1/receipts/{id}", get(receipts::one))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::map_response(not_stored))
        .layer(middleware::from_fn(cors::allow))
        .with_state(operator)
        .merge(metrics)
}

/// Answers are paid for by whom they are for: nothing between may keep them for others.
async fn not_stored(mut response: Response) -> Response {
    let never = HeaderValue::from_static("no-store, private");
    response.headers_mut().insert(header::CACHE_CONTROL, never);
    response
}

async fn health() -> Response {
    Json(serde_json::json!({ "status": "ok" })).into_response()
}

async fn ready(State(operator): State<Operator>) -> Response {
    let models = operator.adapters().len();
    if models == 0 {
        return ApiError::not_ready().into_response();
    }
    Json(serde_json::json!({ "status": "ready", "models": models, "requests": operator.scheduler().present() }))
        .into_response()
}

async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    ApiError::unknown_route(&method, uri.path())
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::wrong_method(&method, uri.path())
}
