use std::path::PathBuf;

/// What can go wrong when influence is computed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run, its transcript or its weights do not fit together.
    #[error(transparent)]
    Train(#[from] openledger_train::Error),
    /// The model refused a computation.
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
    /// The transcript hashes correctly, but its step is not what the model computes.
    #[error(
        "step {step} of the transcript is not what training computes: {what} is {got}, recomputed {expected}"
    )]
    FalseStep {
        /// The step, counted from 0.
        step: usize,
        /// What differs first.
        what: String,
        /// As the transcript says.
        got: f64,
        /// As recomputed.
        expected: f64,
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
    /// A derivative left the finite numbers.
    #[error("{what} is not finite at step {step}; the run is too rough to be differentiated")]
    NotFinite {
        /// What is not finite.
        what: &'static str,
        /// The step, counted from 0.
        step: usize,
    },
    /// A number is outside its range.
    #[error("{what} is {got}, expected {expected}")]
    Range {
        /// Which number.
        what: &'static str,
        /// Its value.
        got: f64,
        /// The range.
        expected: &'static str,
    },
    /// A damped Gram matrix has no Cholesky factor: the gradients are not finite or all zero.
    #[error("the Gram matrix of {records} gradients is not positive definite at row {row}")]
    NotPositive {
        /// Number of gradients.
        records: usize,
        /// The row where the factorisation stops.
        row: usize,
    },
    /// A file is no influence index of a kind that is read here.
    #[error("{path} is no influence index: {problem}")]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) fn same_length(what: &'static str, got: usize, expected: usize) -> Result<()> {
    if got == expected { Ok(()) } else { Err(Error::Length { what, got, expected }) }
}
