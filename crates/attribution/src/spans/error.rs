use std::path::PathBuf;

use alloy_primitives::B256;

/// Why an index cannot be built, read or asked.
#[derive(Debug, thiserror::Error)]
pub enum SpanError {
    /// A token does not fit the 16-bit text.
    #[error("token {got} of record {record} is above {limit}, the largest that the index can hold")]
    Token {
        /// Number of the record in the order given.
        record: usize,
        /// The token.
        got: u32,
        /// The largest token.
        limit: u32,
    },
    /// More than an index takes.
    #[error("{got} {what} are more than the limit of {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        got: usize,
        /// How much there may be.
        limit: usize,
    },
    /// Nothing to index.
    #[error("an index needs at least one record")]
    NoRecords,
    /// The suffix sorter failed.
    #[error(
        "building the suffix array of {units} units failed: {problem}; is there enough memory (6 bytes a unit)?"
    )]
    Build {
        /// Units of the text.
        units: usize,
        /// What it reported.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not the one that was asked for.
    #[error("{path} has content hash {got}, expected {expected}; delete it and it is built again")]
    Hash {
        /// The file.
        path: PathBuf,
        /// Hash of what is there.
        got: B256,
        /// Hash of what should be there.
        expected: B256,
    },
    /// The file is larger than any index.
    #[error("{path} has {got} bytes, more than the {limit} of the largest index")]
    FileSize {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        got: u64,
        /// The most there may be.
        limit: u64,
    },
    /// The bytes are more or fewer than their header says.
    #[error("not a span index: it has {got} bytes, its header says {expected}")]
    Length {
        /// How many there are.
        got: usize,
        /// How many follow from the header.
        expected: usize,
    },
    /// A shard is not of a later version.
    #[error("the shard of version {got} cannot follow that of version {last}")]
    Version {
        /// Its version.
        got: u64,
        /// The last version there is.
        last: u64,
    },
    /// The bytes are no index.
    #[error("not a span index: {0}")]
    Malformed(&'static str),
    /// The suffix array is false at one place.
    #[error("the suffix array is false: {problem} at entry {entry}")]
    Order {
        /// What is wrong there.
        problem: &'static str,
        /// Number of the entry.
        entry: usize,
    },
}
