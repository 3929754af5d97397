use std::path::PathBuf;

/// What can go wrong in this crate; every variant says what was found and what would have been accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is larger than this crate reads.
    #[error("{path} has {got} bytes; the limit is {limit}")]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        got: u64,
        /// The largest size accepted.
        limit: u64,
    },
    /// The bytes are no GGUF file of a kind that is read here.
    #[error("not a usable GGUF file: {problem} (at byte {offset})")]
    Gguf {
        /// Where in the file.
        offset: usize,
        /// What is wrong.
        problem: String,
    },
    /// A metadata entry is missing or has a value that cannot be used.
    #[error("GGUF metadata `{key}`: {problem}")]
    Metadata {
        /// Name of the entry.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A file of a checkpoint's folder cannot be used.
    #[error("{file}: {problem}")]
    Checkpoint {
        /// Its name.
        file: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A tensor is missing, has another shape, or a type that is not read here.
    #[error("tensor `{name}`: {problem}")]
    Tensor {
        /// Name of the tensor.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A size is zero or above its limit.
    #[error("{what}: got {got}, accepted is 1 to {limit}")]
    Shape {
        /// Which size.
        what: &'static str,
        /// Its value.
        got: usize,
        /// The largest accepted.
        limit: usize,
    },
    /// Two lengths that must be equal are not.
    #[error("{what}: got {got}, expected {expected}")]
    Length {
        /// Which length.
        what: &'static str,
        /// Its value.
        got: usize,
        /// The value needed.
        expected: usize,
    },
    /// A token id is outside the vocabulary.
    #[error("token {got} is outside the vocabulary of {limit}")]
    Token {
        /// The id.
        got: u32,
        /// Number of tokens.
        limit: usize,
    },
    /// A sequence does not fit into the context.
    #[error("{got} tokens do not fit into the context of {limit}")]
    Context {
        /// Tokens asked for.
        got: usize,
        /// Tokens that fit.
        limit: usize,
    },
    /// There are not enough pages left for the keys and values of more tokens.
    #[error("{needed} pages are needed, {free} are free")]
    Pages {
        /// Pages asked for.
        needed: usize,
        /// Pages that are free.
        free: usize,
    },
    /// An adapter's configuration or file cannot be used with this model.
    #[error("adapter: {0}")]
    Adapter(String),
    /// The tokenizer could not be built or failed on a text.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// Worker threads could not be started.
    #[error("could not start {threads} threads: {problem}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        problem: String,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
