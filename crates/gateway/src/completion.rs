//! What a client gets: the objects of the chat API, with the field `openledger`.

use alloy_primitives::{Address, B256, Bytes, U256};
use openledger_types::amount::format_open;
use openledger_types::receipt::{
    Answer, ContributorShare, EditedSpan, FinishReason, RecordInfluence, Request, Span, Tier, document_hash,
};
use openledger_types::split::{FeeParts, FeeSplit};
use openledger_worker::operator::ServedAdapter;
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

    fn chunk(&self, delta: Value, finish_reason: Option<FinishReason>) -> Value {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason });
        self.object("chat.completion.chunk", json!([choice]))
    }

    /// The chunk that begins a stream.
    pub(crate) fn first_chunk(&self) -> Value {
        self.chunk(json!({ "role": "assistant", "content": "" }), None)
    }

    /// A chunk with text.
    pub(crate) fn text_chunk(&self, text: &str) -> Value {
        self.chunk(json!({ "content": text }), None)
    }

    /// The chunks that end a stream; the last carries `openledger`.
    pub(crate) fn last_chunks(
        &self,
        answer: &Answer,
        extra: &OpenLedger<'_>,
        include_usage: bool,
    ) -> Vec<Value> {
        let mut chunks = vec![self.chunk(json!({}), Some(answer.response.finish_reason))];
        if include_usage {
            let mut chunk = self.object("chat.completion.chunk", json!([]));
            chunk["usage"] = usage(answer);
            chunks.push(chunk);
        }
        if let Some(last) = chunks.last_mut() {
            last["openledger"] = json!(extra);
        }
        chunks
    }

    /// An answer that is not streamed.
    pub(crate) fn completion(&self, answer: &Answer, extra: &OpenLedger<'_>) -> Value {
        let message = json!({ "role": "assistant", "content": answer.response.text, "refusal": null });
        let choice = json!({
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": answer.response.finish_reason,
        });
        let mut completion = self.object("chat.completion", json!([choice]));
        completion["usage"] = usage(answer);
        completion["openledger"] = json!(extra);
        completion
    }
}

fn usage(answer: &Answer) -> Value {
    let (prompt, completion) = (answer.receipt.promptTokens, answer.receipt.completionTokens);
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": u64::from(prompt) + u64::from(completion),
    })
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
