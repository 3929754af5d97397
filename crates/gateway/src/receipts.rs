use alloy_primitives::B256;
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use openledger_client::ApiKey;
use openledger_types::receipt::encode_document;
use openledger_worker::operator::{Operator, ServeError};
use serde_json::{Value, json};

use crate::{ApiError, body};

/// `GET /v1/receipts/{id}`: the whole answer in its canonical encoding. Who knows the id was given the answer: it is a hash over salted hashes.
pub(crate) async fn one(
    State(operator): State<Operator>,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id: B256 = text.parse().map_err(|_hex| ApiError::receipt_id(&text))?;
    let read = tokio::task::spawn_blocking(move || operator.receipt(id)).await;
    let answer = read.map_err(|error| ApiError::internal(&error))?.map_err(ServeError::from)?;
    let answer = answer.ok_or_else(|| ApiError::receipt_not_found(id))?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], encode_document(&answer)).into_response())
}

/// `GET /v1/receipts`: the receipts of a key that are not settled yet, for an app that did not see the end of an answer.
pub(crate) async fn of_key(
    State(operator): State<Operator>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let key: ApiKey = body::bearer(&headers)?.parse().map_err(ServeError::InvalidKey)?;
    let receipts: Vec<Value> = operator
        .unsettled_receipts(key.hash())
        .into_iter()
        .map(|id| json!({ "id": id, "object": "receipt", "status": "pending" }))
        .collect();
    Ok(Json(json!({ "object": "list", "data": receipts })))
}
