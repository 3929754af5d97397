use std::path::PathBuf;

use alloy_primitives::B256;

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this crate; every variant says what was found and what would have been accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model refused a sample, an adapter or a computation.
    #[error(transparent)]
    Model(#[from] openledger_model::Error),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A number of the recipe is outside its range.
    #[error("recipe: {what} is {got}, accepted is {low} to {high}")]
    Recipe {
        /// Which number.
        what: &'static str,
        /// Its value.
        got: u64,
        /// The least accepted.
        low: u64,
        /// The largest accepted.
        high: u64,
    },
    /// Bytes are no manifest in canonical encoding.
    #[error("training manifest: {0}")]
    Manifest(openledger_types::receipt::DocumentError),
    /// The manifest is of a kind that is not read here.
    #[error("training manifest: format `{got}`, expected `{expected}`")]
    Format {
        /// The format stated.
        got: String,
        /// The format read here.
        expected: &'static str,
    },
    /// There is nothing, or too much, to train on.
    #[error("{got} training records, accepted is 1 to {limit}")]
    Records {
        /// How many there are.
        got: usize,
        /// The most accepted.
        limit: usize,
    },
    /// Two records of a training set belong to one cluster, which has one weight.
    #[error("cluster {cluster} appears twice in the training set; only its canonical record is trained on")]
    Cluster {
        /// The cluster.
        cluster: u32,
    },
    /// A record leaves nothing to predict within the limit of tokens.
    #[error(
        "record {record}: its question takes {question} tokens and the limit is {limit}, so no token of its text is left"
    )]
    TooFewTokens {
        /// The record's position in the training set.
        record: usize,
        /// Tokens of the question.
        question: usize,
        /// The limit of tokens per sample.
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
    /// A weight is negative or not finite.
    #[error("the weight of record {record} is {got}; a weight is finite and at least 0")]
    Weight {
        /// The record's position in the training set.
        record: usize,
        /// Its weight.
        got: f32,
    },
    /// A label names no class.
    #[error("example {row} has label {got}; labels are 0 to {}", classes - 1)]
    Label {
        /// The example.
        row: usize,
        /// Its label.
        got: u32,
        /// How many classes there are.
        classes: usize,
    },
    /// A feature is no number that can be trained on.
    #[error("feature {column} of example {row} is {got}; features are finite numbers")]
    Feature {
        /// The example.
        row: usize,
        /// Which of its features.
        column: usize,
        /// Its value.
        got: f32,
    },
    /// Training left the finite numbers.
    #[error("{what} of step {step} is not finite; lower the learning rate")]
    Diverged {
        /// What is not finite.
        what: &'static str,
        /// The step, counted from 0.
        step: usize,
    },
    /// A file is no transcript of a kind that is read here.
    #[error("{path} is no training transcript: {problem}")]
    Transcript {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A transcript belongs to another run.
    #[error("{path} is the transcript of another run: its {what} is {got}, expected {expected}")]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// As the file says.
        got: String,
        /// As the run needs.
        expected: String,
    },
    /// A step of a transcript does not hash to what is stored with it.
    #[error("{path}: step {step} hashes to {got}, the transcript says {expected}")]
    TamperedStep {
        /// The file.
        path: PathBuf,
        /// The step, counted from 0.
        step: usize,
        /// The hash of what is there.
        got: B256,
        /// The hash stored beside it.
        expected: B256,
    },
    /// A transcript ends before its run did.
    #[error("{path} holds {got} of {expected} steps; train on to complete it")]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// Steps that are there.
        got: usize,
        /// Steps of the run.
        expected: usize,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
