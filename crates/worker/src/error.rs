use alloy_primitives::{B256, U256};
use openledger_attribution::influence;
use openledger_attribution::retrieval;
use openledger_attribution::settle::SettleError;
use openledger_attribution::spans::SpanError;
use openledger_client::ClientError;
use openledger_corpus::CorpusError;
use openledger_types::receipt::DocumentError;

/// What this crate's functions return.
pub type Result<T, E = WorkerError> = std::result::Result<T, E>;

/// Why a role could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The chain refused or did not answer.
    #[error(transparent)]
    Chain(#[from] ClientError),
    /// Data is missing, damaged or refused.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// Training could not be done or repeated.
    #[error(transparent)]
    Train(#[from] openledger_train::Error),
    /// Influence could not be computed.
    #[error(transparent)]
    Influence(#[from] influence::Error),
    /// Spans could not be computed.
    #[error(transparent)]
    Spans(#[from] SpanError),
    /// Sources could not be looked for.
    #[error(transparent)]
    Retrieval(#[from] retrieval::Error),
    /// The epoch could not be settled.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// The model refused its input.
    #[error(transparent)]
    Model(#[from] openledger_model::Error),
    /// Generation could not be done or repeated.
    #[error(transparent)]
    Serve(#[from] openledger_serve::Error),
    /// The operator refused.
    #[error(transparent)]
    Operator(#[from] crate::operator::ServeError),
    /// The answers on disk cannot be used.
    #[error(transparent)]
    Answers(#[from] crate::operator::StoreError),
    /// A document of the corpus cannot be read.
    #[error("{what} {hash}: {source}")]
    Document {
        /// What it should be.
        what: &'static str,
        /// Its hash.
        hash: B256,
        /// What is wrong.
        source: DocumentError,
    },
    /// The file system failed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Chain and corpus, or two things that must agree, do not.
    #[error("{what}: {expected} was expected, {got} was found")]
    Mismatch {
        /// What was compared.
        what: String,
        /// What it should be.
        expected: String,
        /// What it is.
        got: String,
    },
    /// Nothing is accepted in a Datanet that is to be published.
    #[error("Datanet {0} has no accepted contribution to publish")]
    NothingAccepted(U256),
    /// A Datanet without a version was to be trained on.
    #[error("Datanet {0} has no published version; publish one with `openledger datanet publish {0}`")]
    NoVersion(U256),
    /// The training commitment is too recent for its seed to be known.
    #[error("the training manifest {0} is not committed on chain")]
    NotCommitted(B256),
    /// A computation on another thread panicked.
    #[error("a computation ended unexpectedly: {0}")]
    Thread(tokio::task::JoinError),
}

impl WorkerError {
    /// A mismatch between two things that can be shown.
    pub(crate) fn mismatch(
        what: impl Into<String>,
        expected: impl std::fmt::Display,
        got: impl std::fmt::Display,
    ) -> Self {
        Self::Mismatch { what: what.into(), expected: expected.to_string(), got: got.to_string() }
    }

    /// An error of the file system.
    pub(crate) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { action, path, source }
    }
}

/// Runs a computation on a thread of its own, so that the chain is still listened to.
pub(crate) async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(WorkerError::Thread)?
}
