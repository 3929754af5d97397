use std::fmt;

use alloy_primitives::{Address, B256, U256};
use openledger_client::api_key::ApiKeyError;
use openledger_types::amount::format_open;

use super::{PaymentsError, StoreError};

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The text sent as a key is none.
    #[error("{0}")]
    InvalidKey(ApiKeyError),
    /// No adapter of this name is served here.
    #[error("the model '{model}' does not exist here; served are: {}", if served.is_empty() { "none".to_owned() } else { served.join(", ") })]
    ModelNotFound {
        /// What was asked for.
        model: String,
        /// Names that are served.
        served: Vec<String>,
    },
    /// A part of the request cannot be used.
    #[error("{message}")]
    InvalidRequest {
        /// The parameter, as the API names it.
        param: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// Prompt and answer do not fit the model.
    #[error(
        "this model's context is {limit} tokens; {} {prompt} and the answer may have up to {max_tokens}: shorten the messages{} or lower max_tokens",
        if *sources == 0 { "the messages have".to_owned() } else { format!("the messages with their {sources} sources have") },
        if *sources == 0 { "" } else { ", lower retrieval.top_k" }
    )]
    ContextExceeded {
        /// Tokens of the prompt.
        prompt: usize,
        /// Most tokens of the answer.
        max_tokens: u32,
        /// Tokens that fit.
        limit: usize,
        /// Sources that are part of the prompt.
        sources: usize,
    },
    /// The key does not cover the answer.
    #[error("{0}")]
    Payment(Box<PaymentRequired>),
    /// Too many are in progress, of all or of one payer.
    #[error("{message}")]
    Busy {
        /// How many, and whose.
        message: String,
        /// When a place is likely to be free.
        retry_after_s: u64,
    },
    /// Who asked went away before anything was delivered; nothing is charged.
    #[error("the request was cancelled before anything was delivered; nothing is charged")]
    Cancelled,
    /// The payer's standing could not be looked up.
    #[error("the chain could not be asked about the payment: {0}")]
    Payments(#[from] PaymentsError),
    /// The model failed.
    #[error("the model failed: {0}")]
    Engine(openledger_serve::Error),
    /// The attribution failed.
    #[error("the attribution failed: {0}")]
    Attribution(String),
    /// The answer could not be stored, so it is not final and not charged.
    #[error("the answer could not be stored: {0}")]
    Store(#[from] StoreError),
    /// Something that cannot be so.
    #[error("{0}")]
    Internal(String),
}

impl From<openledger_serve::Error> for ServeError {
    fn from(error: openledger_serve::Error) -> Self {
        use openledger_serve::Error as E;
        match error {
            E::Context { prompt, max_tokens, limit } => {
                Self::ContextExceeded { prompt, max_tokens, limit, sources: 0 }
            }
            E::Busy { retry_after_s, .. } => Self::Busy { message: error.to_string(), retry_after_s },
            E::EmptyPrompt => Self::InvalidRequest { param: "messages", message: error.to_string() },
            E::Stop { .. } => Self::InvalidRequest { param: "stop", message: error.to_string() },
            E::ResponseFormat { .. } => {
                Self::InvalidRequest { param: "response_format", message: error.to_string() }
            }
            E::Memory { .. } => Self::InvalidRequest { param: "max_tokens", message: error.to_string() },
            E::Sampling { what, .. } => {
                let param = what.split_once(' ').map_or(what, |(param, _)| param);
                Self::InvalidRequest { param, message: error.to_string() }
            }
            E::Unread { .. } => Self::Cancelled,
            other => Self::Engine(other),
        }
    }
}

/// What keeps a key from paying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentProblem {
    /// Nobody has authorised the key.
    UnknownKey,
    /// It is authorised for another operator.
    OtherOperator {
        /// That operator.
        authorised: Address,
    },
    /// Its time is over.
    Expired {
        /// When it ended, unix seconds.
        at: u64,
    },
    /// Its payer took it back.
    Revoked {
        /// When, unix seconds.
        at: u64,
    },
    /// What is left of its cap is less than the answer may cost.
    CapTooSmall,
    /// What is left of the payer's deposit is less than the answer may cost.
    DepositTooSmall,
}

/// What is missing for an answer to be paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentRequired {
    /// What is wrong.
    pub problem: PaymentProblem,
    /// The most that the answer can cost, wei.
    pub needed_wei: U256,
    /// What the key can still pay, wei: after what is spent, unsettled and reserved.
    pub available_wei: U256,
    /// Where deposits and authorisations are made.
    pub escrow: Address,
    /// Keccak-256 of the key.
    pub key: B256,
    /// Whom the key must be authorised for.
    pub operator: Address,
    /// Who pays for the key, if anybody does.
    pub payer: Option<Address>,
}

impl fmt::Display for PaymentRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, needed_wei, available_wei, escrow, key, operator, payer } = self;
        let needed = format_open(*needed_wei);
        let available = format_open(*available_wei);
        let payer = payer.map_or_else(|| "its payer".to_owned(), |payer| payer.to_string());
        match problem {
            PaymentProblem::UnknownKey => write!(
                f,
                "nobody pays for this key: this answer can cost {needed} OPEN. Deposit in the escrow module {escrow} and authorise the key there \
                 (hash {key}) for operator {operator}"
            ),
            PaymentProblem::OtherOperator { authorised } => write!(
                f,
                "this key is authorised for operator {authorised}, not for {operator} who answers here: authorise a new key for {operator} in the escrow module {escrow}"
            ),
            PaymentProblem::Expired { at } => write!(
                f,
                "this key expired at {at} (unix seconds): {payer} can authorise a new one in the escrow module {escrow}"
            ),
            PaymentProblem::Revoked { at } => write!(
                f,
                "this key was revoked at {at} (unix seconds): {payer} can authorise a new one in the escrow module {escrow}"
            ),
            PaymentProblem::CapTooSmall => write!(
                f,
                "this answer can cost {needed} OPEN and the key has {available} OPEN left of its cap: lower max_tokens, or authorise a new key in the escrow module {escrow}"
            ),
            PaymentProblem::DepositTooSmall => write!(
                f,
                "this answer can cost {needed} OPEN and {payer} has {available} OPEN left in the escrow module {escrow}: deposit at least {} OPEN more, or lower max_tokens",
                format_open(needed_wei.saturating_sub(*available_wei))
            ),
        }
    }
}
