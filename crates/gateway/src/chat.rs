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
use futures::{StreamExt, future, stream};
use openledger_types::receipt::Answer;
use openledger_worker::operator::{Accepted, Ask, Delivery, Logprobs, Operator};
use openledger_worker::sources::Library;
use serde_json::{Value, json};

use crate::completion::{Choice, Header, OpenLedger, Usage, citations, logprobs};
use crate::{ApiError, ChatRequest, body};

/// `POST /v1/chat/completions`. Whatever can be refused is refused before a stream begins, with its status.
pub(crate) async fn complete(
    State(operator): State<Operator>,
    headers: HeaderMap,
    body: Request,
) -> Result<Response, ApiError> {
    let key = body::bearer(&headers)?;
    let request = ChatRequest::parse(&body::read(body).await?)?;
    let mut choices = Vec::new();
    for index in 0..request.choices {
        choices.push(operator.accept(key, &request.model, choice(&request.ask, index)).await?);
    }
    let first = &choices[0];
    let header = Header::new(first.request(), first.adapter(), first.issued_at());
    let library = first.adapter().sources.as_ref().map(|sources| sources.library.clone());
    if request.stream {
        let include_usage = request.include_usage;
        return Ok(Streamed { operator, header, library, include_usage }.respond(choices));
    }
    whole(&operator, &header, library.as_ref(), choices).await
}

/// The first choice is the answer to the request alone; the seeds of the others follow on its own.
fn choice(ask: &Ask, index: u32) -> Ask {
    Ask { seed: ask.seed.map(|seed| seed.wrapping_add(index.into())), ..ask.clone() }
}

/// Every choice that was made, each of them stored and charged. Fails only if there is none.
async fn whole(
    operator: &Operator,
    header: &Header,
    library: Option<&Library>,
    accepted: Vec<Accepted>,
) -> Result<Response, ApiError> {
    let mut failed = None;
    let mut choices = Vec::new();
    for (index, made) in
        future::join_all(accepted.into_iter().map(Accepted::whole)).await.into_iter().enumerate()
    {
        match made {
            Ok(whole) => {
                let named = whole.logprobs.iter().map(|(token, logprobs)| (*token, logprobs));
                let logprobs = shown(operator, named);
                let extra = extra(operator, &whole.answer);
                let citations = citations(library, &whole.answer);
                choices.push(Choice { index, whole, extra, logprobs, citations });
            }
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if choices.is_empty() => Err(error.into()),
        _ => Ok(Json(header.completion(choices)).into_response()),
    }
}

fn extra(operator: &Operator, answer: &Answer) -> Value {
    let settings = operator.settings();
    json!(OpenLedger::new(answer, settings.chain_id, &settings.split))
}

/// Special tokens have no text and are not shown.
fn shown<'a>(operator: &Operator, tokens: impl Iterator<Item = (u32, &'a Logprobs)>) -> Value {
    let tokenizer = operator.engine().tokenizer();
    let tokens = tokens.filter(|(token, _)| !tokenizer.is_special(*token));
    logprobs(tokens, |token| tokenizer.token_bytes(token).to_vec())
}

/// A stream of server-sent events.
struct Streamed {
    operator: Operator,
    header: Header,
    library: Option<Library>,
    include_usage: bool,
}

/// What a stream has seen so far.
struct Progress {
    choices: usize,
    left: usize,
    failed: bool,
    usage: Usage,
}

impl Streamed {
    fn respond(self, accepted: Vec<Accepted>) -> Response {
        let choices = accepted.len();
        let first: Vec<Event> = (0..choices).map(|index| event(&self.header.first_chunk(index))).collect();
        let pieces = stream::select_all(accepted.into_iter().enumerate().map(|(index, accepted)| {
            let mut pieces = accepted.stream();
            stream::poll_fn(move |context| pieces.poll_recv(context)).map(move |delivery| (index, delivery))
        }));
        let progress = Progress { choices, left: choices, failed: false, usage: Usage::default() };
        let rest = stream::unfold((self, pieces, progress), |(this, mut pieces, mut progress)| async move {
            let (index, delivery) = pieces.next().await?;
            let events = this.events(&mut progress, index, delivery);
            Some((stream::iter(events), (this, pieces, progress)))
        });
        let events = stream::iter(first).chain(rest.flatten()).map(Ok::<_, Infallible>);
        Sse::new(events).keep_alive(KeepAlive::default()).into_response()
    }

    fn events(&self, progress: &mut Progress, index: usize, delivery: Delivery) -> Vec<Event> {
        let mut chunks = match delivery {
            Delivery::Piece(piece) => {
                let logprobs =
                    shown(&self.operator, piece.logprobs.iter().map(|logprobs| (piece.token, logprobs)));
                // Nothing is certain yet in the middle of a character or of what may become a stop sequence.
                if piece.text.is_empty() && logprobs.is_null() {
                    return Vec::new();
                }
                return vec![event(&self.header.text_chunk(index, &piece.text, logprobs))];
            }
            Delivery::Done(answer) => {
                progress.usage = progress.usage.and(&answer);
                let citations = citations(self.library.as_ref(), &answer);
                let mut last = self.header.last_chunk(index, &answer, citations);
                let extra = extra(&self.operator, &answer);
                if progress.choices == 1 && self.include_usage {
                    let mut usage = self.header.usage_chunk(progress.usage);
                    usage["openledger"] = extra;
                    vec![last, usage]
                } else {
                    last["openledger"] = extra;
                    vec![last]
                }
            }
            Delivery::Failed(error) => {
                progress.failed = true;
                vec![ApiError::from(error).body()]
            }
        };
        progress.left -= 1;
        let over = progress.left == 0;
        if over && progress.choices > 1 && self.include_usage {
            chunks.push(self.header.usage_chunk(progress.usage));
        }
        let end = (over && !progress.failed).then(|| Event::default().data("[DONE]"));
        chunks.iter().map(event).chain(end).collect()
    }
}

fn event(data: &Value) -> Event {
    Event::default().data(data.to_string())
}
