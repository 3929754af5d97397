use alloy_primitives::B256;

/// Why no text could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The prompt and the answer asked for do not fit the model's context.
    #[error(
        "{prompt} tokens of prompt and up to {max_tokens} of answer do not fit the context of {limit} tokens"
    )]
    Context {
        /// Tokens of the prompt.
        prompt: usize,
        /// Most tokens of the answer.
        max_tokens: u32,
        /// Tokens that fit.
        limit: usize,
    },
    /// There is nothing to answer.
    #[error("the prompt holds no tokens")]
    EmptyPrompt,
    /// A number of the request is out of range.
    #[error("{what} is {got}; accepted is {least} to {most}")]
    Sampling {
        /// Which number.
        what: &'static str,
        /// Its value.
        got: u64,
        /// The smallest accepted.
        least: u64,
        /// The largest accepted.
        most: u64,
    },
    /// So many are waiting already that one more is refused.
    #[error("{waiting} requests are waiting, which is the limit; try again in {retry_after_s} s")]
    Busy {
        /// Requests that wait.
        waiting: usize,
        /// When a place is likely to be free.
        retry_after_s: u64,
    },
    /// The model computed something that is not a number.
    #[error(
        "the logits at position {position} of the answer are not finite: the adapter or the model file is damaged"
    )]
    NotFinite {
        /// Position within the answer.
        position: u64,
    },
    /// The adapter's files hold another adapter than the one asked for.
    #[error("the adapter in the folder has hash {got}, not {expected}")]
    AdapterHash {
        /// Hash of what the folder holds.
        got: B256,
        /// Hash asked for.
        expected: B256,
    },
    /// No more adapters are kept in memory.
    #[error("{limit} adapters are loaded, which is the limit; unload one first")]
    TooManyAdapters {
        /// Most adapters.
        limit: usize,
    },
    /// The model refused.
    #[error(transparent)]
    Model(#[from] openledger_model::Error),
}
