//! Proofs about an index for who has nothing but its content hash.
//!
//! # Commitment
//! The content hash of an index file is a BLAKE3 hash, and BLAKE3 is a Merkle tree over chunks of 1,024 bytes. So the name
//! of the file commits to its header, its records, its text and its suffix array, each at the offset that the header's two counts fix.
//! An *opening* is one chunk and its siblings up to the root: about 1.6 KiB for 40 million tokens.
//!
//! # What is proven, each with a bounded number of openings
//! | claim | opened |
//! |---|---|
//! | *match*: these tokens stand in record `r` from its token `t` on | the record, the text there |
//! | *longest match* of a query has `l` tokens | the neighbours `SA[e - 1], SA[e]` between which the query belongs, the text at both |
//! | *count*: the tokens occur so many times | both ends of the range of entries, each a pair of neighbours, the text at all |
//!
//! A longest match and a count are those of the text if the suffix array is its suffix array. That is not proven but open to
//! *refutation*, by anyone, with a bounded number of openings and of units whatever the text:
//! - a position outside the text, or the same at two entries;
//! - a pair of neighbours out of order: by their first units, or, where these are equal, by the entries of the suffixes one unit
//!   further on, which have to stand in the same order. A permutation of the positions in which no pair fails this is the suffix array
//!   (Burkhardt and Kärkkäinen 2003, theorem 2), so every false one is refuted this way;
//! - a record that does not begin where the one before ends, or a separator elsewhere than at the end of one.
//!
//! [`Prover`] makes proofs by running the verifier's own reading of the file and opening the chunks that it touched.

mod claims;
mod error;
mod refute;
mod tree;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use alloy_primitives::B256;

use super::layout::{ENTRY_BYTES, HEADER_BYTES, Layout, RECORD_BYTES, UNIT_BYTES, le_u32, read_record};
use super::{IndexedRecord, SpanIndex};
pub use claims::{verify_count, verify_longest, verify_match};
pub use error::ProofError;
pub use refute::{Refutation, refute, verify_refutation};
pub use tree::Opening;
use tree::{CHUNK_BYTES, Tree, verify_opening};

/// Most openings of a proof: text for the longest answer at four entries, the entries, records and the header.
pub const MAX_OPENINGS: usize = 96;

/// Chunks of an index file with their way to its content hash, the first one among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The chunks, each once, by number.
    pub openings: Vec<Opening>,
}

/// The file as a claim about it reads it: whole, or as far as it is opened.
trait Source {
    fn layout(&self) -> Layout;

    /// Bytes that do not lie across chunks.
    ///
    /// # Errors
    /// [`ProofError::NotOpened`].
    fn bytes(&self, range: Range<usize>) -> Result<&[u8], ProofError>;

    fn record(&self, number: usize) -> Result<(IndexedRecord, usize), ProofError> {
        let at = self.layout().record_at(number);
        read_record(self.bytes(at..at + RECORD_BYTES)?).map_err(ProofError::Index)
    }

    fn unit(&self, position: usize) -> Result<u16, ProofError> {
        let at = self.layout().unit_at(position);
        let bytes = self.bytes(at..at + UNIT_BYTES)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn position(&self, entry: usize) -> Result<usize, ProofError> {
        let at = self.layout().entry_at(entry);
        Ok(le_u32(self.bytes(at..at + ENTRY_BYTES)?) as usize)
    }
}

/// What a proof opens, once every opening was found to lead to the root.
struct Opened<'a> {
    layout: Layout,
    chunks: BTreeMap<usize, &'a [u8]>,
}

impl<'a> Opened<'a> {
    fn new(root: B256, proof: &'a Proof) -> Result<Self, ProofError> {
        if proof.openings.len() > MAX_OPENINGS {
            return Err(ProofError::TooManyOpenings { got: proof.openings.len(), limit: MAX_OPENINGS });
        }
        let header = proof.openings.iter().find(|opening| opening.chunk == 0);
        let header = header.ok_or(ProofError::NotOpened { offset: 0 })?;
        let layout = Layout::parse(&header.bytes).map_err(ProofError::Index)?;
        let mut chunks = BTreeMap::new();
        for opening in &proof.openings {
            if !verify_opening(root, layout.file_bytes(), opening) {
                return Err(ProofError::Opening { chunk: opening.chunk });
            }
            chunks.insert(opening.chunk as usize, opening.bytes.as_slice());
        }
        Ok(Self { layout, chunks })
    }
}

impl Source for Opened<'_> {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn bytes(&self, range: Range<usize>) -> Result<&[u8], ProofError> {
        let chunk = range.start / CHUNK_BYTES;
        let within = range.start % CHUNK_BYTES..range.end - chunk * CHUNK_BYTES;
        let bytes = self.chunks.get(&chunk).and_then(|bytes| bytes.get(within));
        bytes.ok_or(ProofError::NotOpened { offset: range.start })
    }
}

/// A whole file, and which of its chunks were read.
struct Recorder<'a> {
    file: &'a [u8],
    layout: Layout,
    touched: RefCell<BTreeSet<usize>>,
}

impl<'a> Recorder<'a> {
    fn new(file: &'a [u8], layout: Layout) -> Self {
        Self { file, layout, touched: RefCell::new(BTreeSet::from([0])) }
    }

    fn into_proof(self, tree: &Tree<'_>) -> Proof {
        Proof { openings: self.touched.into_inner().into_iter().map(|chunk| tree.open(chunk)).collect() }
    }
}

impl Source for Recorder<'_> {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn bytes(&self, range: Range<usize>) -> Result<&[u8], ProofError> {
        self.touched.borrow_mut().insert(range.start / CHUNK_BYTES);
        self.file.get(range.clone()).ok_or(ProofError::NotOpened { offset: range.start })
    }
}

/// Makes proofs about an index.
#[derive(Debug)]
pub struct Prover<'a> {
    index: &'a SpanIndex,
    tree: Tree<'a>,
}

impl<'a> Prover<'a> {
    /// Hashes the index once.
    pub fn new(index: &'a SpanIndex) -> Self {
        Self { index, tree: Tree::new(index.as_bytes()) }
    }

    /// The content hash of the index, which proofs are verified against.
    pub fn root(&self) -> B256 {
        self.tree.root()
    }

    fn recorder(&self) -> Recorder<'a> {
        Recorder::new(self.index.as_bytes(), self.index.layout())
    }
}

const _: () = assert!(
    CHUNK_BYTES.is_multiple_of(RECORD_BYTES) && RECORD_BYTES == HEADER_BYTES,
    "records, units and entries lie within chunks"
);
