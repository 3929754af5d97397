use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use openledger_worker::operator::Operator;
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::ApiError;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The figures of an operator.
pub(crate) fn registry(operator: &Operator) -> Arc<Registry> {
    let mut registry = Registry::with_prefix("openledger");
    operator.register_metrics(&mut registry);
    Arc::new(registry)
}

/// `GET /metrics`, for Prometheus.
pub(crate) async fn show(State(registry): State<Arc<Registry>>) -> Result<Response, ApiError> {
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
