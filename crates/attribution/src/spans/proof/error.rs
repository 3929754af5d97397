use super::super::SpanError;

/// Why a proof does not show what it should.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// More openings than any proof has.
    #[error("{got} openings are more than the {limit} that a proof may have")]
    TooManyOpenings {
        /// How many there are.
        got: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A chunk is not of the file.
    #[error("the opening of chunk {chunk} does not lead to the content hash")]
    Opening {
        /// Number of the chunk.
        chunk: u32,
    },
    /// Something that the claim rests on is missing.
    #[error("the bytes of the file from {offset} on are not opened")]
    NotOpened {
        /// Offset in the file.
        offset: usize,
    },
    /// What is opened is no index.
    #[error(transparent)]
    Index(SpanError),
    /// A number is outside what the index has.
    #[error("{what} {got} is not below {limit}")]
    Outside {
        /// What the number is of.
        what: &'static str,
        /// The number.
        got: usize,
        /// What it has to be below.
        limit: usize,
    },
    /// A query that no index holds.
    #[error("a proof is about 1 to {limit} tokens below 65535; got {got} tokens")]
    Query {
        /// How many tokens there are.
        got: usize,
        /// The most there may be.
        limit: usize,
    },
    /// What is opened shows something else.
    #[error("the claim is false: {0}")]
    False(&'static str),
}
