//! What a client gets: the objects of the chat API, with the field `openledger`.

use alloy_primitives::{Address, B256, Bytes, U256};
use openledger_types::amount::format_open;
use openledger_types::receipt::{
    Answer, ContributorShare, EditedSpan, FinishReason, RecordInfluence, Request, SourceCredit, Span, Tier,
    document_hash,
};
use openledger_types::split::{FeeParts, FeeSplit};
use openledger_worker::operator::{Logprobs, ServedAdapter, Whole};
use openledger_worker::sources::Library;
use serde::Serialize;
use serde_json::{Value, json};

/// What a completion and all chunks of its stream say about themselves.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    id: String,
    created: u64,
    model: String,
    system_fingerprint: String,
}

impl Header {
    /// Known before there is an answer. The id is made of the request's salted hash; the answer's own name is its receipt.
    pub(crate) fn new(request: &Request, adapter: &ServedAdapter, created: u64) -> Self {
        let hash = document_hash(request);
        Self {
            id: format!("chatcmpl-{}", alloy_primitives::hex::encode(&hash[..12])),
            created,
            model: adapter.name.clone(),
            system_fingerprint: adapter.adapter_hash.to_string(),
        }
    }

    fn object(&self, object: &str, choices: Value) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.system_fingerprint,
            "choices": choices,
        })
    }

    fn chunk(
        &self,
        index: usize,
        delta: Value,
        logprobs: Value,
        finish_reason: Option<FinishReason>,
    ) -> Value {
        let choice =
            json!({ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason });
        self.object("chat.completion.chunk", json!([choice]))
    }

    /// The chunk that begins a choice of a stream.
    pub(crate) fn first_chunk(&self, index: usize) -> Value {
        self.chunk(index, json!({ "role": "assistant", "content": "" }), Value::Null, None)
    }

    /// A chunk with text.
    pub(crate) fn text_chunk(&self, index: usize, text: &str, logprobs: Value) -> Value {
        self.chunk(index, json!({ "content": text }), logprobs, None)
    }

    /// The chunk that ends a choice.
    pub(crate) fn last_chunk(&self, index: usize, answer: &Answer, citations: Value) -> Value {
        let mut chunk = self.chunk(index, json!({}), Value::Null, Some(answer.response.finish_reason));
        if !citations.is_null() {
            chunk["choices"][0]["citations"] = citations;
        }
        chunk
    }

    /// The chunk that says what all choices used.
    pub(crate) fn usage_chunk(&self, usage: Usage) -> Value {
        let mut chunk = self.object("chat.completion.chunk", json!([]));
        chunk["usage"] = usage.value();
        chunk
    }

    /// Answers that are not streamed. One carries `openledger` itself; of several each choice does.
    pub(crate) fn completion(&self, choices: Vec<Choice>) -> Value {
        let usage = choices.iter().fold(Usage::default(), |usage, choice| usage.and(&choice.whole.answer));
        let alone = choices.len() == 1;
        let mut extras = Vec::new();
        let choices: Vec<Value> = choices
            .into_iter()
            .map(|Choice { index, whole, extra, logprobs, citations }| {
                let response = &whole.answer.response;
                let mut choice = json!({
                    "index": index,
                    "message": { "role": "assistant", "content": response.text, "refusal": null },
                    "logprobs": logprobs,
                    "finish_reason": response.finish_reason,
                });
                if !citations.is_null() {
                    choice["citations"] = citations;
                }
                if alone {
                    extras.push(extra);
                } else {
                    choice["openledger"] = extra;
                }
                choice
            })
            .collect();
        let mut completion = self.object("chat.completion", json!(choices));
        completion["usage"] = usage.value();
        if let Some(extra) = extras.pop() {
            completion["openledger"] = extra;
        }
        completion
    }
}

/// One of the answers to a request.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) index: usize,
    pub(crate) whole: Whole,
    pub(crate) extra: Value,
    pub(crate) logprobs: Value,
    pub(crate) citations: Value,
}

/// Characters of a source's text that are shown.
const SNIPPET: usize = 300;

/// The sources of an answer, `[1]` first, with what each did; `null` for one that did not ask for any.
pub(crate) fn citations(library: Option<&Library>, answer: &Answer) -> Value {
    let Some(retrieval) = &answer.request.retrieval else { return Value::Null };
    let citation =
        |(number, (source, credit)): (u64, (&openledger_types::receipt::Source, &SourceCredit))| {
            let passage = library.and_then(|library| library.passage(source));
            json!({
                "index": number,
                "title": passage.map(|passage| passage.name.as_str()),
                "snippet": passage.map(|passage| passage.text.chars().take(SNIPPET).collect::<String>()),
                "record": source.record,
                "datanet": source.datanet.to_string(),
                "version": source.version,
                "cluster": source.cluster,
                "owner": credit.contributor,
                "share_ppm": credit.share_ppm,
                "nanonats": credit.nanonats,
            })
        };
    (1..).zip(retrieval.sources.iter().zip(&answer.attribution.sources)).map(citation).collect()
}

/// Tokens that are paid for. Every choice is an answer of its own, with the prompt in it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    prompt: u64,
    completion: u64,
}

impl Usage {
    pub(crate) fn and(self, answer: &Answer) -> Self {
        Self {
            prompt: self.prompt + u64::from(answer.receipt.promptTokens),
            completion: self.completion + u64::from(answer.receipt.completionTokens),
        }
    }

    fn value(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        })
    }
}

/// The probabilities of tokens as the API shapes them; `null` without any. `bytes` are those that a token stands for.
pub(crate) fn logprobs<'a>(
    tokens: impl Iterator<Item = (u32, &'a Logprobs)>,
    bytes_of: impl Fn(u32) -> Vec<u8>,
) -> Value {
    let entry = |token: u32, logprob: f64| {
        let bytes = bytes_of(token);
        json!({ "token": String::from_utf8_lossy(&bytes), "logprob": logprob, "bytes": bytes })
    };
    let content: Vec<Value> = tokens
        .map(|(token, logprobs)| {
            let mut value = entry(token, logprobs.drawn);
            value["top_logprobs"] =
                logprobs.top.iter().map(|(token, logprob)| entry(*token, *logprob)).collect();
            value
        })
        .collect();
    if content.is_empty() { Value::Null } else { json!({ "content": content, "refusal": null }) }
}

/// What an answer cost, whom that pays, and which data it rests on.
#[derive(Debug, Serialize)]
pub(crate) struct OpenLedger<'a> {
    receipt: B256,
    chain_id: u64,
    operator: Address,
    payer: Address,
    epoch: u64,
    sequence: u32,
    adapter: String,
    adapter_hash: B256,
    fee_wei: String,
    fee_open: String,
    split_wei: Split,
    attribution: Estimated<'a>,
    signature: &'a Bytes,
}

/// A fee by role, wei in decimal. `treasury` holds `rounding`, so the parts without it add up to the fee.
#[derive(Debug, Serialize)]
struct Split {
    contributors: String,
    operator: String,
    developer: String,
    validators: String,
    treasury: String,
    burn: String,
    rounding: String,
}

/// The attribution as it is known now; settlement replaces it with the exact figures.
#[derive(Debug, Serialize)]
struct Estimated<'a> {
    status: &'static str,
    tier: Tier,
    explained_micronats: i64,
    contributors: &'a [ContributorShare],
    unattributed_ppm: u32,
    records: &'a [RecordInfluence],
    spans: &'a [Span],
    #[serde(skip_serializing_if = "<[EditedSpan]>::is_empty")]
    edited_spans: &'a [EditedSpan],
    #[serde(skip_serializing_if = "<[SourceCredit]>::is_empty")]
    sources: &'a [SourceCredit],
}

impl<'a> OpenLedger<'a> {
    pub(crate) fn new(answer: &'a Answer, chain_id: u64, split: &FeeSplit) -> Self {
        let Answer { receipt, signature, attribution, .. } = answer;
        Self {
            receipt: receipt.id(chain_id),
            chain_id,
            operator: receipt.operator,
            payer: receipt.payer,
            epoch: receipt.epoch,
            sequence: receipt.sequence,
            adapter: receipt.adapter.to_string(),
            adapter_hash: receipt.adapterHash,
            fee_wei: receipt.fee.to_string(),
            fee_open: format_open(receipt.fee),
            split_wei: split.split(receipt.fee).into(),
            attribution: Estimated {
                status: "pending",
                tier: attribution.tier,
                explained_micronats: attribution.explained_micronats,
                contributors: &attribution.contributors,
                unattributed_ppm: attribution.unattributed_ppm,
                records: &attribution.records,
                spans: &attribution.spans,
                edited_spans: &attribution.edited_spans,
                sources: &attribution.sources,
            },
            signature,
        }
    }
}

impl From<FeeParts> for Split {
    fn from(parts: FeeParts) -> Self {
        let wei = |part: U256| part.to_string();
        Self {
            contributors: wei(parts.contributors),
            operator: wei(parts.operator),
            developer: wei(parts.developer),
            validators: wei(parts.validators),
            treasury: wei(parts.treasury),
            burn: wei(parts.burn),
            rounding: wei(parts.rounding),
        }
    }
}
