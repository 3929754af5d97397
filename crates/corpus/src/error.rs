use std::{io, path::PathBuf};

use alloy_primitives::B256;
use thiserror::Error;

/// What can go wrong with data, its files and its packages.
///
/// [`Self::Io`] and [`Self::Fetch`] are the machine's doing; every other variant refuses an input.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// The file system or a child process failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb phrase.
        action: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// No blob of this hash is stored.
    #[error("blob {hash} is not stored ({} does not exist)", path.display())]
    BlobMissing {
        /// The hash asked for.
        hash: B256,
        /// Where it would lie.
        path: PathBuf,
    },
    /// A stored blob does not have the content its name promises.
    #[error("blob file {} is damaged: expected content {expected}, got {got}; delete it and fetch it again", path.display())]
    BlobCorrupt {
        /// The hash in the name.
        expected: B256,
        /// The hash of the bytes.
        got: B256,
        /// The damaged file.
        path: PathBuf,
    },
    /// A name that is not allowed for a pointer.
    #[error("{name:?} is not a pointer name: 1 to 128 of a-z A-Z 0-9 . _ -, not starting with a dot")]
    BadRefName {
        /// The name given.
        name: String,
    },
    /// A pointer file that does not hold a hash.
    #[error("pointer file {} does not hold a hash; delete it and set the pointer again", path.display())]
    BadRef {
        /// The file.
        path: PathBuf,
    },
    /// Something is larger than its limit.
    #[error("{what} is too large: got {got}, limit {limit}")]
    TooLarge {
        /// What was measured, with its unit.
        what: &'static str,
        /// Its size.
        got: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// A record without text.
    #[error("the text is empty (after trimming white space)")]
    EmptyText,
    /// Bytes that are not UTF-8.
    #[error("the text is not valid UTF-8: byte {at} of {len} starts no character")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
        /// Number of bytes.
        len: usize,
    },
    /// Bytes that are not the canonical encoding of what they should be.
    #[error("not a canonical {what}: {reason}")]
    Malformed {
        /// What was expected.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A licence that is not known.
    #[error("unknown licence {id:?} in {expression:?}; accepted SPDX identifiers: {accepted}")]
    UnknownLicense {
        /// The identifier that is not in the list.
        id: String,
        /// The whole expression.
        expression: String,
        /// The list, separated by commas.
        accepted: String,
    },
    /// A licence expression that does not parse.
    #[error("licence expression {expression:?} is not SPDX: {reason}")]
    BadLicense {
        /// The expression.
        expression: String,
        /// What is wrong.
        reason: String,
    },
    /// A licence that does not allow what is asked.
    #[error("licence {license:?} ({got}) cannot be accepted where at most {limit} is")]
    LicenseNotAllowed {
        /// The licence of the record.
        license: String,
        /// Its class.
        got: String,
        /// The widest class that is accepted.
        limit: String,
    },
    /// Two records claim one place in the order of commitment.
    #[error("two records have the order key block {block}, contribution {contribution}, record {record}")]
    DuplicateOrder {
        /// Block of the commitment.
        block: u64,
        /// Contribution within the chain.
        contribution: u64,
        /// Record within the contribution.
        record: u32,
    },
    /// One record hash occurs twice.
    #[error("record {hash} occurs twice; a record can be committed once")]
    DuplicateRecord {
        /// Its hash.
        hash: B256,
    },
    /// A manifest whose recomputation gives something else.
    #[error("manifest does not verify: {what} should be {expected}, the manifest says {got}")]
    ManifestMismatch {
        /// The field and where.
        what: String,
        /// The recomputed value.
        expected: String,
        /// The value in the manifest.
        got: String,
    },
    /// Fewer contributors than asked for could be found.
    #[error(
        "found {got} contributors with enough prose under an accepted licence, {expected} are needed; pass more source folders or fewer contributors"
    )]
    TooFewContributors {
        /// How many were found.
        got: usize,
        /// How many were asked for.
        expected: usize,
    },
    /// A fetched or hand-placed file is not the pinned one; it was moved aside.
    #[error("{0}")]
    WrongFile(Box<crate::package::WrongFile>),
    /// A package could not be fetched; the text says how to do it by hand.
    #[error("{0}")]
    Fetch(Box<crate::package::FetchFailure>),
}

/// The result of everything in this crate.
pub type Result<T, E = CorpusError> = std::result::Result<T, E>;

/// Adds to an [`io::Error`] what was being done to which file.
pub(crate) trait IoContext<T> {
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T> {
        self.map_err(|source| CorpusError::Io { action, path: path.to_owned(), source })
    }
}
