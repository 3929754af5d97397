//! Clients of the OpenAI API, of every temper.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use anyhow::{Context, Result, bail};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::folders::name;
use super::server::Server;
use super::{QUESTIONS, request};
use crate::stats::SplitMix;

/// How long a client who reads slowly thinks about each piece.
const SLOW: Duration = Duration::from_millis(150);
/// An answer takes seconds; who waits for so long waits for nothing.
const PATIENCE: Duration = Duration::from_secs(120);

/// A whole answer, with what was asked.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) adapter_hash: B256,
    pub(super) question: usize,
    pub(super) max_tokens: u32,
    pub(super) text: String,
}

/// What clients saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) answers: Vec<Answer>,
    /// Streams left after some pieces.
    pub(super) left: u32,
    /// Requests that nobody waited for.
    pub(super) cancelled: u32,
    /// Streams read slowly.
    pub(super) slow: u32,
    /// Requests for an adapter that was not there.
    pub(super) unknown: u32,
    /// Requests that were asked to come back.
    pub(super) busy: u32,
    pub(super) failed: Vec<String>,
    /// From the question to the first piece, of readers who keep up.
    pub(super) first_ms: Vec<f64>,
    /// The longest time between two pieces of each of their answers.
    pub(super) gaps_ms: Vec<f64>,
}

impl Seen {
    pub(super) fn add(&mut self, other: Self) {
        self.answers.extend(other.answers);
        self.left += other.left;
        self.cancelled += other.cancelled;
        self.slow += other.slow;
        self.unknown += other.unknown;
        self.busy += other.busy;
        self.failed.extend(other.failed);
        self.first_ms.extend(other.first_ms);
        self.gaps_ms.extend(other.gaps_ms);
    }
}

/// What one client needs.
#[derive(Clone)]
pub(super) struct Clients {
    http: reqwest::Client,
    url: String,
    key: String,
    base: String,
    names: usize,
    most_tokens: usize,
}

/// How a client behaves.
enum Temper {
    Whole,
    Stream,
    Slow,
    Leave(usize),
    Cancel(Duration),
}

impl Clients {
    pub(super) fn new(server: &Server, names: usize, most_tokens: usize) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let url = format!("{}/v1/chat/completions", server.url);
        Ok(Self { http, url, key: server.key.clone(), base: server.base.clone(), names, most_tokens })
    }

    /// Asks until it is over.
    pub(super) async fn run(self, mut dice: SplitMix, over: Arc<AtomicBool>) -> Seen {
        let mut seen = Seen::default();
        while !over.load(Ordering::Acquire) {
            if let Err(error) = self.ask(&mut dice, &mut seen).await {
                seen.failed.push(format!("{error:#}"));
                tokio::time::sleep(SLOW).await;
            }
        }
        seen
    }

    async fn ask(&self, dice: &mut SplitMix, seen: &mut Seen) -> Result<()> {
        let model = match dice.below(8) {
            0 => self.base.clone(),
            _ => name(dice.below(self.names)),
        };
        let (question, max_tokens) =
            (dice.below(QUESTIONS.len()), (self.most_tokens / 2 * (1 + dice.below(2))) as u32);
        let temper = match dice.below(8) {
            0 | 1 => Temper::Whole,
            2 => Temper::Slow,
            3 => Temper::Leave(1 + dice.below(6)),
            4 => Temper::Cancel(Duration::from_millis(dice.below(400) as u64)),
            _ => Temper::Stream,
        };
        let stream = !matches!(temper, Temper::Whole);
        let began = Instant::now();
        let body = request(&model, question, max_tokens, stream);
        let sent = self.http.post(&self.url).bearer_auth(&self.key).json(&body).send();
        let response = match temper {
            Temper::Cancel(after) => match tokio::time::timeout(after, sent).await {
                // The headers of a stream come at once; who cancels leaves without reading.
                Ok(Err(error)) => Err(error),
                Ok(Ok(_)) | Err(_) => {
                    seen.cancelled += 1;
                    return Ok(());
                }
            },
            _ => sent.await,
        };
        let response = response.context("the server does not answer")?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                seen.unknown += 1;
                return Ok(());
            }
            StatusCode::TOO_MANY_REQUESTS => {
                seen.busy += 1;
                tokio::time::sleep(SLOW).await;
                return Ok(());
            }
            status => bail!("{status}: {}", response.text().await.unwrap_or_default()),
        }
        let answer = |adapter_hash: B256, text: String| Answer { adapter_hash, question, max_tokens, text };
        match temper {
            Temper::Whole => {
                let value: Value = response.json().await.context("an answer is JSON")?;
                let text = value["choices"][0]["message"]["content"].as_str().unwrap_or_default();
                seen.answers.push(answer(hash(&value)?, text.to_owned()));
            }
            Temper::Leave(pieces) => {
                let mut reading = Reading::new(response);
                for _ in 0..pieces {
                    if reading.next().await?.is_none() {
                        break;
                    }
                }
                seen.left += 1;
            }
            Temper::Slow | Temper::Stream | Temper::Cancel(_) => {
                let slow = matches!(temper, Temper::Slow);
                let (adapter_hash, text) = whole(response, slow, began, seen).await?;
                seen.answers.push(answer(adapter_hash, text));
            }
        }
        Ok(())
    }
}

/// Reads a stream to its end: the adapter and the text.
async fn whole(response: Response, slow: bool, began: Instant, seen: &mut Seen) -> Result<(B256, String)> {
    let mut reading = Reading::new(response);
    let (mut text, mut adapter_hash) = (String::new(), None);
    let (mut before, mut longest) = (None::<Instant>, Duration::ZERO);
    while let Some(event) = reading.next().await? {
        if let Some(message) = event["error"]["message"].as_str() {
            bail!("a stream failed: {message}");
        }
        if let Some(piece) =
            event["choices"][0]["delta"]["content"].as_str().filter(|piece| !piece.is_empty())
        {
            let now = Instant::now();
            match before {
                Some(before) => longest = longest.max(now - before),
                None if !slow => seen.first_ms.push((now - began).as_secs_f64() * 1e3),
                None => {}
            }
            before = Some(now);
            text.push_str(piece);
        }
        if event.get("openledger").is_some() {
            adapter_hash = Some(hash(&event)?);
        }
        if slow {
            tokio::time::sleep(SLOW).await;
        }
    }
    if slow {
        seen.slow += 1;
    } else {
        seen.gaps_ms.push(longest.as_secs_f64() * 1e3);
    }
    Ok((adapter_hash.context("a stream ended without its receipt")?, text))
}

fn hash(value: &Value) -> Result<B256> {
    let text = value["openledger"]["adapter_hash"].as_str().context("an answer names its adapter")?;
    Ok(text.parse()?)
}

/// Server-sent events of a response.
struct Reading {
    response: Response,
    buffer: Vec<u8>,
}

impl Reading {
    fn new(response: Response) -> Self {
        Self { response, buffer: Vec::new() }
    }

    /// The next event; `None` after the last.
    async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let Some(data) = event.strip_prefix(b"data: ") else { continue };
                if data.starts_with(b"[DONE]") {
                    return Ok(None);
                }
                return Ok(Some(serde_json::from_slice(data).context("an event is JSON")?));
            }
            match self.response.chunk().await.context("a stream broke off")? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => bail!("a stream ended without its last event"),
            }
        }
    }
}
