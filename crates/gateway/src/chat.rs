use std::convert::Infallible;

use axum::{
    Json,
    extract::{Request, State},
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{StreamExt, stream};
use openledger_worker::operator::{Accepted, Delivery, Operator};
use serde_json::Value;

use crate::completion::{Header, OpenLedger};
use crate::{ApiError, ChatRequest, body};

/// `POST /v1/chat/completions`. Whatever can be refused is refused before a stream begins, with its status.
pub(crate) async fn complete(
    State(operator): State<Operator>,
    headers: HeaderMap,
    body: Request,
) -> Result<Response, ApiError> {
    let key = body::bearer(&headers)?;
    let request = ChatRequest::parse(&body::read(body).await?)?;
    let accepted = operator.accept(key, &request.model, request.ask).await?;
    let header = Header::new(accepted.request(), accepted.adapter(), accepted.issued_at());
    if request.stream {
        return Ok(stream(operator, header, accepted, request.include_usage));
    }
    let answer = accepted.whole().await?;
    let settings = operator.settings();
    let extra = OpenLedger::new(&answer, settings.chain_id, &settings.split);
    Ok(Json(header.completion(&answer, &extra)).into_response())
}

fn stream(operator: Operator, header: Header, accepted: Accepted, include_usage: bool) -> Response {
    let mut pieces = accepted.stream();
    let first = event(&header.first_chunk());
    let rest = stream::poll_fn(move |context| pieces.poll_recv(context))
        .flat_map(move |delivery| stream::iter(events(&operator, &header, delivery, include_usage)));
    let events = stream::iter([first]).chain(rest).map(Ok::<_, Infallible>);
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn events(operator: &Operator, header: &Header, delivery: Delivery, include_usage: bool) -> Vec<Event> {
    match delivery {
        // Nothing is certain yet in the middle of a character.
        Delivery::Piece(text) if text.is_empty() => Vec::new(),
        Delivery::Piece(text) => vec![event(&header.text_chunk(&text))],
        Delivery::Done(answer) => {
            let settings = operator.settings();
            let extra = OpenLedger::new(&answer, settings.chain_id, &settings.split);
            let chunks = header.last_chunks(&answer, &extra, include_usage);
            chunks.iter().map(event).chain([Event::default().data("[DONE]")]).collect()
        }
        Delivery::Failed(error) => vec![event(&ApiError::from(error).body())],
    }
}

fn event(data: &Value) -> Event {
    Event::default().data(data.to_string())
}
