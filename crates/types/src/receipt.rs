//! What an operator signs for every paid answer.
//!
//! A [`Receipt`] is EIP-712 typed data. It holds no text: the request, the answer and its attribution are named by
//! salted hashes of the documents in [`Answer`], which stay off chain.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct, sol};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::addresses::SETTLEMENT;

pub use typed::Receipt;

mod typed {
    use super::*;

    sol! {
        /// One paid answer.
        #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
        struct Receipt {
            address operator;
            address payer;
            /// keccak256 of the API key that paid.
            bytes32 key;
            uint64 epoch;
            /// Counts the operator's receipts of an epoch and adapter from 0.
            uint32 sequence;
            uint256 adapter;
            bytes32 adapterHash;
            /// SHA-256 of the base model's file.
            bytes32 baseHash;
            /// Merkle root over the hashes of the Datanet version manifests that the adapter was trained on.
            bytes32 datanetsRoot;
            bytes32 requestHash;
            bytes32 responseHash;
            bytes32 attributionHash;
            uint32 promptTokens;
            uint32 completionTokens;
            uint256 inputPrice;
            uint256 outputPrice;
            uint256 fee;
            uint64 issuedAt;
        }
    }
}

/// The EIP-712 domain of receipts on a chain.
pub fn receipt_domain(chain_id: u64) -> Eip712Domain {
    Eip712Domain::new(
        Some("OpenLedger Receipt".into()),
        Some("1".into()),
        Some(U256::from(chain_id)),
        Some(SETTLEMENT),
        None,
    )
}

impl Receipt {
    /// The receipt's name: the hash that the operator signs.
    pub fn id(&self, chain_id: u64) -> B256 {
        self.eip712_signing_hash(&receipt_domain(chain_id))
    }

    /// `promptTokens * inputPrice + completionTokens * outputPrice`, or `None` if that does not fit 256 bits.
    pub fn expected_fee(&self) -> Option<U256> {
        let prompt = U256::from(self.promptTokens).checked_mul(self.inputPrice)?;
        let completion = U256::from(self.completionTokens).checked_mul(self.outputPrice)?;
        prompt.checked_add(completion)
    }
}

/// The hash of a document's canonical encoding: compact JSON in the order of the fields as declared.
///
/// # Panics
/// Never for the documents of this crate: they hold no maps with keys that are not strings, and no floats.
pub fn document_hash<T: Serialize>(document: &T) -> B256 {
    keccak256(encode_document(document))
}

/// A document's canonical encoding.
///
/// # Panics
/// As [`document_hash`].
pub fn encode_document<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).expect("a document has only string keys and finite numbers")
}

/// Reads a document back and refuses any bytes that are not its canonical encoding.
///
/// # Errors
/// [`DocumentError`] says whether the bytes are no such document or merely not canonical.
pub fn decode_document<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    let document: T = serde_json::from_slice(bytes).map_err(DocumentError::Malformed)?;
    if encode_document(&document) != bytes {
        return Err(DocumentError::NotCanonical);
    }
    Ok(document)
}

/// Why bytes are not a document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON of the expected shape.
    #[error("malformed document: {0}")]
    Malformed(serde_json::Error),
    /// The right content in other bytes (white space, order of fields).
    #[error("the document is not in canonical encoding: compact JSON, fields in declared order")]
    NotCanonical,
}

/// Who speaks in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What they say.
    pub content: String,
}

/// How tokens are drawn and when the answer ends. Integers, so that a request has one encoding and one meaning on every machine;
/// what has its usual value is not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampling {
    /// Temperature in thousandths; 0 takes the likeliest token.
    pub temperature_milli: u32,
    /// Nucleus in thousandths; 1000 keeps every token.
    pub top_p_milli: u32,
    /// Seed of the draws.
    pub seed: u64,
    /// Most tokens of the answer.
    pub max_tokens: u32,
    /// Likeliest tokens that are kept; 0 keeps every token.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub top_k: u32,
    /// Least probability of a token that is kept, in thousandths of the likeliest one's; 0 keeps every token.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub min_p_milli: u32,
    /// Taken from the logit of every token that the answer has, in thousandths.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub presence_penalty_milli: i32,
    /// Taken from a token's logit for each time that the answer has it, in thousandths.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub frequency_penalty_milli: i32,
    /// Divides the positive logit, and multiplies the negative one, of every token that prompt or answer has, in thousandths; 1000 does nothing.
    #[serde(default = "whole_milli", skip_serializing_if = "is_whole")]
    pub repetition_penalty_milli: u32,
    /// The answer ends where its text has one of these; the text ends before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// What the text must be.
    #[serde(default, skip_serializing_if = "ResponseFormat::is_text")]
    pub response_format: ResponseFormat,
}

impl Sampling {
    /// The likeliest tokens, at most `max_tokens` of them.
    pub const fn greedy(max_tokens: u32) -> Self {
        Self {
            temperature_milli: 0,
            top_p_milli: 1000,
            seed: 0,
            max_tokens,
            top_k: 0,
            min_p_milli: 0,
            presence_penalty_milli: 0,
            frequency_penalty_milli: 0,
            repetition_penalty_milli: 1000,
            stop: Vec::new(),
            response_format: ResponseFormat::Text,
        }
    }
}

/// What the text of an answer must be: only tokens that keep it so can be drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseFormat {
    /// Any text.
    #[default]
    Text,
    /// A JSON object.
    JsonObject,
    /// JSON of a schema.
    JsonSchema {
        /// The schema as JSON text.
        schema: String,
    },
}

impl ResponseFormat {
    fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_nothing(number: &i32) -> bool {
    *number == 0
}

fn whole_milli() -> u32 {
    1000
}

fn is_whole(number: &u32) -> bool {
    *number == 1000
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Hides the text from who only knows the hash.
    pub salt: B256,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// How to answer.
    pub sampling: Sampling,
    /// The prompt as tokens of the base model: sources, where there are any, and the conversation.
    pub prompt_tokens: Vec<u32>,
    /// The sources that were looked for; not written where none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieval: Option<Retrieval>,
}

/// How sources are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetrievalMethod {
    /// Okapi BM25 over name and text of the records that stand for the clusters of the adapter's Datanet versions, by the words of the last message of the user.
    #[serde(rename = "bm25/1")]
    Bm25,
}

/// What was looked for and found, so that anybody finds the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retrieval {
    /// How.
    pub method: RetrievalMethod,
    /// Merkle root over the salted hashes of the records that were searched, those that were passed over included.
    pub records_root: B256,
    /// Records that were withdrawn, taken down or denied for inference up to this block were passed over.
    pub block: u64,
    /// Most sources.
    pub top_k: u32,
    /// What was found, best first: source `n`, from 1, is the system message `[n] text` before the conversation.
    pub sources: Vec<Source>,
}

/// A record that was put before a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its salted hash.
    pub record: B256,
    /// Its cluster, as settlement numbers them for the adapter.
    pub cluster: u32,
    /// Number of its Datanet.
    pub datanet: U256,
    /// Version of the Datanet.
    pub version: u32,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model ended it.
    Stop,
    /// The limit of tokens was reached.
    Length,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Hides the text from who only knows the hash.
    pub salt: B256,
    /// The answer's tokens, the end token included where it was drawn.
    pub tokens: Vec<u32>,
    /// The tokens as text, special tokens left out.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// Which method made an influence estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Exact tangents carried through training: one dot product per contributor.
    ExactTangents,
    /// Empirical Fisher over the training records' gradients, solved exactly in the dual.
    EmpiricalFisher,
    /// No influence was computed; spans only.
    MatchOnly,
}

/// One contributor's part of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContributorShare {
    /// The contributor.
    pub account: Address,
    /// Part of what the adapter explained, positive influence only.
    pub share_ppm: u32,
    /// Signed influence in nanonats: how much the contributor's records raised the answer's log-probability.
    pub influence_nanonats: i64,
}

/// One record's influence on an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordInfluence {
    /// Salted hash of the record.
    pub record: B256,
    /// Who contributed it.
    pub contributor: Address,
    /// Signed influence in nanonats.
    pub influence_nanonats: i64,
}

/// Where a span of an answer stands in the Datanet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanMatch {
    /// Salted hash of the record.
    pub record: B256,
    /// Who contributed it.
    pub contributor: Address,
    /// First matching token within the record.
    pub token: u32,
}

/// What a source did for an answer: *retrieval credit*, never *influence* or *match*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCredit {
    /// Salted hash of the record.
    pub record: B256,
    /// Who contributed it.
    pub contributor: Address,
    /// Part of what adapter and sources explained, for a source that helped.
    pub share_ppm: u32,
    /// Shapley's value of the source over the base model's log-probability of the answer given each subset of the sources, signed, in nanonats.
    pub nanonats: i64,
}

/// A maximal verbatim match between an answer and the Datanet: a *match*, never an *influence*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First token of the span within the answer.
    pub start: u32,
    /// One past its last token.
    pub end: u32,
    /// The span as text.
    pub text: String,
    /// Rarity: sum over its tokens of -log2 of the token's frequency in the Datanet, in thousandths of a bit.
    pub rarity_millibits: u64,
    /// How often it occurs in the Datanet.
    pub occurrences: u32,
    /// The first occurrence in each of at most eight records.
    pub matches: Vec<SpanMatch>,
}

/// A passage of an answer that stands in a record with small edits: like [`Span`] a *match*, never an *influence*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditedSpan {
    /// First token of the passage within the answer.
    pub start: u32,
    /// One past its last token.
    pub end: u32,
    /// The passage as text.
    pub text: String,
    /// Bits by which an edited copy explains the passage better than tokens drawn one by one do, in thousandths.
    pub score_millibits: u64,
    /// Matched tokens among matched, substituted, inserted and left-out ones, in parts per million.
    pub identity_ppm: u32,
    /// Tokens that are the same in both.
    pub matched: u32,
    /// Tokens of the passage in place of others.
    pub substituted: u32,
    /// Tokens of the passage that the record does not have.
    pub inserted: u32,
    /// Tokens of the record that the passage does not have.
    pub left_out: u32,
    /// Where it stands.
    pub source: SpanMatch,
    /// Tokens of the record that it stands over.
    pub source_tokens: u32,
}

/// Which data an answer rests on, as known the moment it is given. Settlement replaces it with the exact figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// Hides the content from who only knows the hash.
    pub salt: B256,
    /// What made the estimate.
    pub tier: Tier,
    /// Log-probability of the answer with the adapter less that without, in micronats.
    pub explained_micronats: i64,
    /// By contributor, largest first: influence. With `unattributed_ppm` and the shares of the sources the shares add up to exactly 1,000,000.
    pub contributors: Vec<ContributorShare>,
    /// The part that belongs to nobody.
    pub unattributed_ppm: u32,
    /// The records of largest positive influence.
    pub records: Vec<RecordInfluence>,
    /// Verbatim evidence.
    pub spans: Vec<Span>,
    /// Near-verbatim evidence; not written where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edited_spans: Vec<EditedSpan>,
    /// What each source of the request did, in its order; not written where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceCredit>,
}

impl Attribution {
    /// Log-probability of the answer with its sources less that without, in micronats: what all sources did together.
    pub fn retrieved_micronats(&self) -> i64 {
        let sum: i128 = self.sources.iter().map(|source| i128::from(source.nanonats)).sum();
        let most = i128::from(i64::MAX);
        i64::try_from((sum / 1000).clamp(-most, most)).expect("it was clamped")
    }
}

/// A paid answer whole: the signed receipt with the documents that its hashes name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What the operator signed.
    pub receipt: Receipt,
    /// The operator's signature over [`Receipt::id`], 65 bytes r, s, v.
    pub signature: Bytes,
    /// What was asked.
    pub request: Request,
    /// What was answered.
    pub response: Response,
    /// What it rests on, estimated.
    pub attribution: Attribution,
}
