use std::io;
use std::path::{Path, PathBuf};

use alloy_primitives::Address;

use crate::wallet::KeyError;

/// Why a key could not be stored or unlocked.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// A name that cannot be a file's on every system.
    #[error(
        "'{name}' cannot name a key: use 1 to {limit} letters, digits, '-', '_' or '.', not beginning with '.' and without .json at the end"
    )]
    InvalidName {
        /// The name.
        name: String,
        /// Most characters.
        limit: usize,
    },
    /// The name belongs to another key, which is never overwritten.
    #[error("a key named '{name}' exists already ({}); choose another name", path.display())]
    NameTaken {
        /// The name.
        name: String,
        /// The file that has it.
        path: PathBuf,
    },
    /// No such key.
    #[error("no key named '{name}' in {}; {}", dir.display(), describe(known))]
    UnknownName {
        /// The name.
        name: String,
        /// Where it was looked for.
        dir: PathBuf,
        /// The keys that are there.
        known: Vec<String>,
    },
    /// The password does not decrypt the key.
    #[error("wrong password for {}", path.display())]
    WrongPassword {
        /// The key's file.
        path: PathBuf,
    },
    /// Not a keystore, or one that asks for more than any real one does.
    #[error("{} is not a usable keystore: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file states another account than its key has.
    #[error("{} states the account {stated}, but its key is that of {got}: the file was changed", path.display())]
    AddressMismatch {
        /// The file.
        path: PathBuf,
        /// What it states.
        stated: Address,
        /// The account of its key.
        got: Address,
    },
    /// Not a private key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl KeystoreError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), reason: reason.into() }
    }
}

/// Names that an error lists at most; the rest is counted.
const SHOWN: usize = 20;

fn describe(known: &[String]) -> String {
    match known.len() {
        0 => "it holds no keys yet".to_owned(),
        n if n <= SHOWN => format!("it holds: {}", known.join(", ")),
        n => format!("it holds: {} and {} more", known[..SHOWN].join(", "), n - SHOWN),
    }
}
