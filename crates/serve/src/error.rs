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
    /// The keys and values of one request do not fit the memory for them.
    #[error("prompt and answer need {needed} pages of keys and values; the memory for them has {limit}")]
    Memory {
        /// Pages that the request can take.
        needed: usize,
        /// Pages there are.
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
        got: i64,
        /// The smallest accepted.
        least: i64,
        /// The largest accepted.
        most: i64,
    },
    /// The stop sequences cannot be used.
    #[error("stop sequences: {problem}")]
    Stop {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The response format cannot be kept.
    #[error("response format: {problem}")]
    ResponseFormat {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// So many are present already that one more is refused.
    #[error("{present} requests {} in progress, which is the limit; try again in {retry_after_s} s", if *of_tenant { "of yours are" } else { "are" })]
    Busy {
        /// Requests that wait or run.
        present: usize,
        /// Whether these are the asker's own.
        of_tenant: bool,
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
    /// No adapter is registered under this hash.
    #[error("no adapter {hash} is registered")]
    UnknownAdapter {
        /// What was asked for.
        hash: B256,
    },
    /// An adapter cannot be loaded.
    #[error("adapter {hash} cannot be used: {problem}")]
    Adapter {
        /// Its hash.
        hash: B256,
        /// What is wrong with its files.
        problem: String,
    },
    /// No more adapters are registered.
    #[error("{limit} adapters are registered, which is the limit; unregister one first")]
    TooManyAdapters {
        /// Most adapters.
        limit: usize,
    },
    /// The answer was ended because nobody took what was made of it.
    #[error("nobody read the answer for {seconds} s, so it was ended")]
    Unread {
        /// How long it waited.
        seconds: u64,
    },
    /// The thread that makes answers is gone.
    #[error("the engine has stopped")]
    Stopped,
    /// The system refused a thread.
    #[error("a thread of the engine could not be started: {0}")]
    Thread(std::io::Error),
    /// The model refused.
    #[error(transparent)]
    Model(#[from] openledger_model::Error),
}
