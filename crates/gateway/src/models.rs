use std::collections::BTreeSet;

use alloy_primitives::U256;
use axum::{
    Json,
    extract::{Path, State},
};
use openledger_types::amount::format_open;
use openledger_types::receipt::RetrievalMethod;
use openledger_worker::operator::{Operator, ServedAdapter};
use openledger_worker::sources::{DEFAULT_TOP_K, Library, MAX_TOP_K};
use serde_json::{Value, json};

use crate::ApiError;

/// `GET /v1/models`.
pub(crate) async fn list(State(operator): State<Operator>) -> Json<Value> {
    let models: Vec<Value> = operator.adapters().iter().map(|adapter| model(&operator, adapter)).collect();
    Json(json!({ "object": "list", "data": models }))
}

/// `GET /v1/models/{model}`.
pub(crate) async fn one(
    State(operator): State<Operator>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let adapter = operator.adapter(&name)?;
    Ok(Json(model(&operator, &adapter)))
}

fn model(operator: &Operator, adapter: &ServedAdapter) -> Value {
    json!({
        "id": adapter.name,
        "object": "model",
        "created": adapter.created_at,
        "owned_by": adapter.developer,
        "openledger": {
            "adapter": adapter.id.to_string(),
            "adapter_hash": adapter.adapter_hash,
            "base_hash": adapter.base_hash,
            "datanets_root": adapter.datanets_root,
            "operator": operator.address(),
            "chain_id": operator.settings().chain_id,
            "context": operator.engine().model().config().context,
            "max_tokens": operator.settings().limits.answer_tokens,
            "input_price_wei": adapter.input_price.to_string(),
            "input_price_open": format_open(adapter.input_price),
            "output_price_wei": adapter.output_price.to_string(),
            "output_price_open": format_open(adapter.output_price),
            "retrieval": adapter.sources.as_ref().map(|sources| retrieval(operator, &sources.library)),
        },
    })
}

/// What a request for sources searches.
fn retrieval(operator: &Operator, library: &Library) -> Value {
    let named = library.passages().iter().map(|passage| (passage.datanet, passage.version));
    let datanets: BTreeSet<(U256, u32)> = named.collect();
    let datanets: Vec<Value> = datanets
        .into_iter()
        .map(|(datanet, version)| json!({ "datanet": datanet.to_string(), "version": version }))
        .collect();
    json!({
        "method": RetrievalMethod::Bm25,
        "datanets": datanets,
        "records": library.passages().len(),
        "records_root": library.records_root(),
        "default_top_k": DEFAULT_TOP_K,
        "max_top_k": operator.settings().limits.sources.min(MAX_TOP_K),
    })
}
