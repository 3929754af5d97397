use alloy_primitives::U256;
use openledger_types::receipt::{Message, ResponseFormat, Role, Sampling};

use crate::sources::MAX_TOP_K;

/// What an operator accepts at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages of a conversation.
    pub messages: usize,
    /// Bytes of all messages together.
    pub content_bytes: usize,
    /// Tokens of an answer when the request does not say.
    pub default_answer_tokens: u32,
    /// Tokens of an answer.
    pub answer_tokens: u32,
    /// Sources of an answer, at most [`MAX_TOP_K`](crate::sources::MAX_TOP_K).
    pub sources: u32,
    /// Bytes of memory for what answers are attributed with, of all adapters together; beyond them it is read from its files again.
    pub evidence_bytes: u64,
    /// Work that is not paid, wei: reserved and served, and in no posted batch, of all payers together. A deposit is for every
    /// operator that its payer has authorised, so until a batch is posted this is the most that the operator can lose.
    pub unpaid: U256,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages: 256,
            content_bytes: 1 << 20,
            default_answer_tokens: 256,
            answer_tokens: 1024,
            sources: MAX_TOP_K,
            evidence_bytes: 1 << 30,
            unpaid: U256::MAX,
        }
    }
}

/// A question as it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// Temperature in thousandths; 0 takes the likeliest token.
    pub temperature_milli: u32,
    /// Nucleus in thousandths; 1000 keeps every token.
    pub top_p_milli: u32,
    /// Likeliest tokens that are kept; 0 keeps every token.
    pub top_k: u32,
    /// Least probability beside the likeliest token's, in thousandths; 0 keeps every token.
    pub min_p_milli: u32,
    /// Taken from the logit of every token that the answer has, in thousandths.
    pub presence_penalty_milli: i32,
    /// Taken from a token's logit for each time that the answer has it, in thousandths.
    pub frequency_penalty_milli: i32,
    /// Divides the logits of what prompt and answer have, in thousandths; 1000 does nothing.
    pub repetition_penalty_milli: u32,
    /// Where the answer ends, if its text has one of these.
    pub stop: Vec<String>,
    /// What the text must be.
    pub response_format: ResponseFormat,
    /// Seed of the draws; the operator draws one if there is none.
    pub seed: Option<u64>,
    /// Most tokens of the answer; [`Limits::default_answer_tokens`] or what still fits the context if there is none.
    pub max_tokens: Option<u32>,
    /// How many of the likeliest tokens are named beside each one of the answer; `None` names no probabilities at all.
    pub logprobs: Option<u8>,
    /// How many sources of the adapter's Datanets to look for and put before the conversation, at most; `None` looks for none.
    pub top_k_sources: Option<u32>,
}

impl Default for Ask {
    fn default() -> Self {
        let greedy = Sampling::greedy(0);
        Self {
            messages: Vec::new(),
            temperature_milli: 1000,
            top_p_milli: greedy.top_p_milli,
            top_k: greedy.top_k,
            min_p_milli: greedy.min_p_milli,
            presence_penalty_milli: greedy.presence_penalty_milli,
            frequency_penalty_milli: greedy.frequency_penalty_milli,
            repetition_penalty_milli: greedy.repetition_penalty_milli,
            stop: greedy.stop,
            response_format: greedy.response_format,
            seed: None,
            max_tokens: None,
            logprobs: None,
            top_k_sources: None,
        }
    }
}

/// A message as the tokenizer takes it.
pub fn in_the_models_words(message: &Message) -> openledger_model::Message {
    let role = match message.role {
        Role::System => openledger_model::Role::System,
        Role::User => openledger_model::Role::User,
        Role::Assistant => openledger_model::Role::Assistant,
    };
    openledger_model::Message::new(role, message.content.clone())
}
