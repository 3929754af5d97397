//! The index as a file, named by the BLAKE3 hash of all of it, as every blob is.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use alloy_primitives::B256;
use memmap2::Mmap;

use super::check::check_permutation;
use super::index::Bytes;
use super::layout::{Layout, MAX_FILE_BYTES};
use super::{SpanError, SpanIndex};

impl SpanIndex {
    /// The content hash of the file: its name, and what proofs are verified against.
    pub fn content_hash(&self) -> B256 {
        content_hash(self.as_bytes())
    }

    /// Reads an index from the bytes of its file. Checks that its parts fit each other and that each position is there once;
    /// [`SpanIndex::verify`] checks the order.
    ///
    /// # Errors
    /// [`SpanError::Malformed`], [`SpanError::TooMany`], [`SpanError::NoRecords`] or [`SpanError::Order`].
    pub fn decode(bytes: Vec<u8>) -> Result<Self, SpanError> {
        Self::check(Bytes::Owned(Arc::new(bytes)))
    }

    /// Writes the index to a file, whole or not at all, and returns its content hash.
    ///
    /// # Errors
    /// [`SpanError::Io`].
    pub fn save(&self, path: &Path) -> Result<B256, SpanError> {
        let io = |source| SpanError::Io { path: path.to_owned(), source };
        let partial = path.with_extension("partial");
        let mut file = fs::File::create(&partial).map_err(io)?;
        file.write_all(self.as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        fs::rename(&partial, path).map_err(io)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        }
        Ok(self.content_hash())
    }

    /// Maps a file into memory and refuses any other than the one named by `expected`; then as [`SpanIndex::decode`]. What is
    /// not looked at may leave the memory again.
    ///
    /// # Errors
    /// [`SpanError::Io`], [`SpanError::FileSize`], [`SpanError::Hash`], or as [`SpanIndex::decode`].
    pub fn open(path: &Path, expected: B256) -> Result<Self, SpanError> {
        let io = |source| SpanError::Io { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        if size > MAX_FILE_BYTES {
            return Err(SpanError::FileSize { path: path.to_owned(), got: size, limit: MAX_FILE_BYTES });
        }
        let map = map(&file).map_err(io)?;
        let got = content_hash(&map);
        if got != expected {
            return Err(SpanError::Hash { path: path.to_owned(), got, expected });
        }
        Self::check(Bytes::Mapped(Arc::new(map)))
    }

    fn check(bytes: Bytes) -> Result<Self, SpanError> {
        let file = bytes.as_slice();
        let layout = Layout::parse(file)?;
        if file.len() != layout.file_bytes() {
            return Err(SpanError::Length { got: file.len(), expected: layout.file_bytes() });
        }
        check_permutation(super::view::View::new(file, layout))?;
        Self::assemble(bytes, layout)
    }
}

#[expect(unsafe_code, reason = "a file that is far larger than what one answer reads is mapped, not read")]
fn map(file: &fs::File) -> std::io::Result<Mmap> {
    // SAFETY: index files are written under another name and renamed when whole, never changed in place. Were one changed
    // all the same, searches would give other results or the process would be stopped by the system; bytes are
    // read as integers and every position is checked against the slice it is used on.
    unsafe { Mmap::map(file) }
}

fn content_hash(bytes: &[u8]) -> B256 {
    B256::from(*blake3::hash(bytes).as_bytes())
}
