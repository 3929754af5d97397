//! The Merkle tree inside BLAKE3.
//!
//! The left subtree of `n` chunks has the largest power of two below `n`. The chaining value of a chunk depends on its number, and those
//! of chunks, of parents and of the root are computed differently, so that a root and a length leave one tree (BLAKE3
//! specification, section 2). The length follows from the header, which is in chunk 0; no other length lets the same
//! chunk 0 be opened, since a parent is never taken for a chunk.

use std::ops::Range;

use alloy_primitives::B256;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// Bytes of a chunk.
pub(super) const CHUNK_BYTES: usize = blake3::CHUNK_LEN;

/// Chunks whose common chaining value is kept by who makes proofs.
const GROUP: usize = 64;

/// One chunk and its way to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Number of the chunk.
    pub chunk: u32,
    /// Its bytes: 1,024, fewer in the last one.
    pub bytes: Vec<u8>,
    /// Chaining values of the siblings, from the chunk's own up to the one below the root.
    pub siblings: Vec<[u8; 32]>,
}

/// Whether a chunk is where it says in the file of `length` bytes with this content hash.
pub(super) fn verify_opening(root: B256, length: usize, opening: &Opening) -> bool {
    let chunk = opening.chunk as usize;
    let chunks = length.div_ceil(CHUNK_BYTES);
    if chunk >= chunks || opening.bytes.len() != CHUNK_BYTES.min(length - chunk * CHUNK_BYTES) {
        return false;
    }
    if chunks == 1 {
        return opening.siblings.is_empty() && blake3::hash(&opening.bytes).as_bytes() == root.as_slice();
    }
    let path = path(chunk, chunks);
    if path.len() != opening.siblings.len() {
        return false;
    }
    let mut value = subtree(&opening.bytes, chunk);
    for (depth, (step, sibling)) in path.iter().rev().zip(&opening.siblings).enumerate() {
        let (left, right) = if step.sibling_is_left { (sibling, &value) } else { (&value, sibling) };
        if depth + 1 == path.len() {
            return merge_subtrees_root(left, right, Mode::Hash).as_bytes() == root.as_slice();
        }
        value = merge_subtrees_non_root(left, right, Mode::Hash);
    }
    unreachable!("a file of several chunks has a parent as its root")
}

/// A step from the root towards a chunk.
struct Step {
    /// Chunks of the subtree that is not entered.
    sibling: Range<usize>,
    sibling_is_left: bool,
}

fn path(chunk: usize, chunks: usize) -> Vec<Step> {
    let mut path = Vec::new();
    let mut within = 0..chunks;
    while within.len() > 1 {
        let middle = within.start + left_chunks(within.len());
        let sibling_is_left = chunk >= middle;
        let (left, right) = (within.start..middle, middle..within.end);
        let (sibling, entered) = if sibling_is_left { (left, right) } else { (right, left) };
        path.push(Step { sibling, sibling_is_left });
        within = entered;
    }
    path
}

/// Chunks of the left part of `chunks`, which are at least two.
fn left_chunks(chunks: usize) -> usize {
    chunks.div_ceil(2).next_power_of_two()
}

/// Chaining value of a subtree that begins at a chunk and is not the whole tree.
fn subtree(bytes: &[u8], first: usize) -> ChainingValue {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset((first * CHUNK_BYTES) as u64).update(bytes);
    hasher.finalize_non_root()
}

/// A file with the chaining values that openings are made from.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    file: &'a [u8],
    root: B256,
    /// Of every [`GROUP`] chunks; none if there are no more than that.
    groups: Vec<ChainingValue>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(file: &'a [u8]) -> Self {
        let size = GROUP * CHUNK_BYTES;
        let groups = if file.len() > size {
            file.chunks(size).enumerate().map(|(number, bytes)| subtree(bytes, number * GROUP)).collect()
        } else {
            Vec::new()
        };
        let mut tree = Self { file, root: B256::ZERO, groups };
        tree.root = tree.compute_root();
        tree
    }

    pub(super) fn root(&self) -> B256 {
        self.root
    }

    pub(super) fn open(&self, chunk: usize) -> Opening {
        let path = path(chunk, self.chunks());
        Opening {
            chunk: super::super::layout::narrow(chunk),
            bytes: self.bytes(chunk..chunk + 1).to_vec(),
            siblings: path.iter().rev().map(|step| self.value(step.sibling.clone())).collect(),
        }
    }

    fn compute_root(&self) -> B256 {
        if self.groups.is_empty() {
            return B256::from(*blake3::hash(self.file).as_bytes());
        }
        let middle = left_chunks(self.chunks());
        let (left, right) = (self.value(0..middle), self.value(middle..self.chunks()));
        B256::from(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes())
    }

    fn chunks(&self) -> usize {
        self.file.len().div_ceil(CHUNK_BYTES)
    }

    fn bytes(&self, chunks: Range<usize>) -> &'a [u8] {
        &self.file[chunks.start * CHUNK_BYTES..(chunks.end * CHUNK_BYTES).min(self.file.len())]
    }

    /// The chaining value of a subtree.
    fn value(&self, chunks: Range<usize>) -> ChainingValue {
        if chunks.len() > GROUP {
            let middle = chunks.start + left_chunks(chunks.len());
            let (left, right) = (self.value(chunks.start..middle), self.value(middle..chunks.end));
            return merge_subtrees_non_root(&left, &right, Mode::Hash);
        }
        let whole =
            chunks.start.is_multiple_of(GROUP) && (chunks.len() == GROUP || chunks.end == self.chunks());
        match self.groups.get(chunks.start / GROUP) {
            Some(value) if whole => *value,
            _ => subtree(self.bytes(chunks.clone()), chunks.start),
        }
    }
}
