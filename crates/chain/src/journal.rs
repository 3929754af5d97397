//! The transactions that clients of this node sent, on disk, so that those which still wait survive a restart.
//!
//! ```text
//! file = count x (u32 length ‖ EIP-2718 bytes), each appended before the client hears of it
//! ```
//!
//! Nothing here is a source of truth: on start every entry passes admission again, which refuses what was included
//! meanwhile, and the file is written anew with what waits. It is written anew too when it has doubled. Entries are not
//! synced one by one: they survive the death of the process, not that of the machine. An entry that cannot be read ends
//! the file there.

use crate::{ChainError, block};
use alloy_consensus::{TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::Encodable2718;
use commonware_codec::Copying;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

/// Largest file. What is sent beyond it is not in the file, and has to be sent again after a restart.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Below this size the file is not written anew.
const LEAST_REWRITTEN: u64 = 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    bytes: u64,
    /// The size at which the file is written anew.
    rewritten_at: u64,
}

impl Journal {
    /// Opens the file and reads what it holds, in the order of sending.
    ///
    /// # Errors
    /// [`ChainError::Io`] if the file cannot be read or written. A damaged end is left out with a warning.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<TxEnvelope>), ChainError> {
        let io = |source| ChainError::Io { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => drop(file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(io)?),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let mut rest = Copying(&bytes);
        let mut transactions = Vec::new();
        while !rest.0.is_empty() {
            match block::read_transaction(&mut rest) {
                Ok(transaction) => transactions.push(transaction),
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "the end of the file cannot be read");
                    break;
                }
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
        let inner = Inner { file, bytes: bytes.len() as u64, rewritten_at: LEAST_REWRITTEN };
        Ok((Self { path: path.to_owned(), inner: Mutex::new(inner) }, transactions))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no code panics with this lock")
    }

    /// Adds a transaction; true if the file should be written anew. A file that cannot be written costs its entries,
    /// not the transaction.
    pub(crate) fn append(&self, transaction: &TxEnvelope) -> bool {
        let mut entry = Vec::with_capacity(256);
        block::write_transaction(&mut entry, transaction);
        let mut inner = self.lock();
        if inner.bytes + entry.len() as u64 > MAX_BYTES {
            return true;
        }
        match inner.file.write_all(&entry) {
            Ok(()) => inner.bytes += entry.len() as u64,
            Err(error) => tracing::warn!(file = %self.path.display(), %error, "a transaction is not kept"),
        }
        inner.bytes > inner.rewritten_at
    }

    /// Writes the file anew: it holds what `waiting` gives, as far as the limit goes. Nothing is added meanwhile.
    pub(crate) fn rewrite(&self, waiting: impl FnOnce() -> Vec<Arc<Recovered<TxEnvelope>>>) {
        let mut inner = self.lock();
        let mut bytes = Vec::new();
        for transaction in waiting() {
            if bytes.len() + 4 + transaction.encode_2718_len() > MAX_BYTES as usize / 2 {
                break;
            }
            block::write_transaction(&mut bytes, &transaction);
        }
        match replace(&self.path, &bytes) {
            Ok(file) => inner.file = file,
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "the file cannot be written anew");
                return;
            }
        }
        inner.bytes = bytes.len() as u64;
        inner.rewritten_at = (inner.bytes * 2).clamp(LEAST_REWRITTEN, MAX_BYTES);
    }
}

/// Puts a file with these bytes in the place of another, whole or not at all, and opens it for adding to.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let partial = path.with_extension("partial");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    OpenOptions::new().append(true).open(path)
}

#[cfg(test)]
mod tests;
