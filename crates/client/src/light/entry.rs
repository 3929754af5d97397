//! That an entry is current under a state root, or that there is none at a key.
//!
//! The state is a log of operations, hashed as a Merkle mountain range in which the bits that say which operations are
//! current are grafted in. `H` is keccak256, numbers are 8 bytes big-endian, `‖` joins:
//!
//! ```text
//! operation = 0xd2 ‖ key (32) ‖ value (72) ‖ next key (32)
//! position  = 2·leaf − (ones in leaf), of the leaf; of a node of height h over leaves from l: position(l) + 2^(h+1) − 2
//! leaf      = H(position ‖ operation)
//! node      = H(position ‖ left ‖ right);   of height 8: H(chunk ‖ that), chunk = the bits of its 256 leaves
//! peaks     = one perfect tree for each bit of the number of leaves, the largest first
//! folded    = the first i peaks from the left, a = H(a ‖ peak); the others from the right, b = H(peak ‖ b); H(a ‖ b)
//! tree      = H(0x00 0x01 ‖ leaves [‖ i, if i > 0] ‖ folded),   i = the inactive peaks
//! stateRoot = H(root of the log ‖ tree [‖ leaves mod 256 ‖ H(last chunk), if leaves mod 256 > 0])
//! ```
//!
//! `digests` lists, in this order: the inactive peaks before the leaf's, folded, if there are any; the other peaks before;
//! the inactive peaks after; the other peaks after, folded, if there are any; and what stands beside the way from the leaf to
//! its peak, each node's left before its right.

use super::{ProofError, VALUE_BYTES};
use alloy_primitives::{B256, Bytes, FixedBytes, U64, keccak256};
use serde::{Deserialize, Serialize};
use std::slice::Iter;

/// What an operation that writes begins with.
const UPDATE: u8 = 0xd2;
/// Height of the nodes that a chunk of bits belongs to.
const GRAFTED: u32 = 8;
/// More operations than any log has.
const MAX_LEAVES: u64 = 1 << 62;

/// That one entry is current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryProof {
    /// Key of the entry.
    pub key: B256,
    /// What is stored there, 72 bytes.
    pub value: Bytes,
    /// The next key with an entry; after the last comes the first.
    pub next_key: B256,
    /// Place of its operation in the log.
    pub location: U64,
    /// Operations in the log.
    pub leaves: U64,
    /// Peaks at the start of the log that hold nothing current.
    pub inactive_peaks: U64,
    /// The bits of the 256 operations around it.
    pub chunk: FixedBytes<32>,
    /// Hash of the last chunk, if the last operations do not fill one.
    pub partial_chunk: Option<B256>,
    /// Root of the log alone.
    pub log_root: B256,
    /// What is folded on the way to the root.
    pub digests: Vec<B256>,
}

impl EntryProof {
    /// What the state with this root holds at `key`.
    pub(super) fn prove(&self, what: &str, key: B256, root: B256) -> Result<Option<&[u8]>, ProofError> {
        let wrong = |reason| ProofError::Entry { what: what.to_owned(), reason };
        if self.root().map_err(wrong)? != root {
            return Err(wrong("it gives another root"));
        }
        if self.key == key {
            return Ok(Some(&self.value));
        }
        // The last entry is followed by the first; a single one by itself.
        let beyond = if self.key < self.next_key {
            self.key < key && key < self.next_key
        } else {
            self.key < key || key < self.next_key
        };
        if beyond {
            Ok(None)
        } else {
            Err(wrong("it is the entry of another key and says nothing of this one"))
        }
    }

    fn root(&self) -> Result<B256, &'static str> {
        let (location, leaves): (u64, u64) = (self.location.to(), self.leaves.to());
        if location >= leaves || leaves > MAX_LEAVES {
            return Err("its place lies outside of the log");
        }
        if self.value.len() != VALUE_BYTES {
            return Err("its value is not 72 bytes long");
        }
        let bit = location % 256;
        if self.chunk[(bit / 8) as usize] & (1 << (bit % 8)) == 0 {
            return Err("it is not current");
        }
        let chunk = keccak256(self.chunk);
        let rest = leaves % 256;
        match self.partial_chunk {
            Some(_) if rest == 0 => return Err("it has a last chunk and the log has none"),
            None if rest != 0 => return Err("the last chunk is missing"),
            Some(partial) if location / 256 == leaves / 256 && partial != chunk => {
                return Err("its bits are not those of the last chunk");
            }
            _ => {}
        }
        let tree = self.tree(location, leaves)?;
        let mut parts = [self.log_root, tree].concat();
        if let Some(partial) = self.partial_chunk {
            parts.extend_from_slice(&rest.to_be_bytes());
            parts.extend_from_slice(partial.as_slice());
        }
        Ok(keccak256(parts))
    }

    fn tree(&self, location: u64, leaves: u64) -> Result<B256, &'static str> {
        let peaks = peaks(leaves);
        let own =
            peaks.iter().position(|peak| peak.holds(location)).ok_or("its place lies outside of the log")?;
        let inactive: u64 = self.inactive_peaks.to();
        let inactive = usize::try_from(inactive).ok().filter(|inactive| *inactive <= peaks.len());
        let inactive = inactive.ok_or("it has more inactive peaks than peaks")?;

        let mut digests = self.digests.iter();
        let mut take = |count: usize| -> Result<Vec<B256>, &'static str> {
            let taken: Vec<B256> = digests.by_ref().take(count).copied().collect();
            if taken.len() == count { Ok(taken) } else { Err("digests are missing") }
        };
        let folded_before = inactive.min(own);
        let before = take(usize::from(folded_before > 0))?;
        let others_before = take(own - folded_before)?;
        let after = peaks.len() - own - 1;
        let inactive_after = inactive.saturating_sub(own + 1);
        let listed_after = take(inactive_after)?;
        let folded_after = take(usize::from(after > inactive_after))?;
        let peak = self.climb(&peaks[own], location, &mut digests)?;
        if digests.next().is_some() {
            return Err("there are more digests than are used");
        }

        let all = [before, others_before, vec![peak], listed_after, folded_after].concat();
        // As many of them are folded from the left: the first stands for those it was folded of.
        let from_left = if folded_before > 0 { inactive - folded_before + 1 } else { inactive }.max(1);
        let (left, right) = all.split_at(from_left.min(all.len()));
        let left = left.iter().copied().reduce(fold).ok_or("there are no peaks")?;
        let right = right.iter().rev().copied().reduce(|folded, peak| fold(peak, folded));
        let folded = right.map_or(left, |right| fold(left, right));

        let mut parts = vec![0, 1];
        parts.extend_from_slice(&leaves.to_be_bytes());
        if inactive > 0 {
            parts.extend_from_slice(&(inactive as u64).to_be_bytes());
        }
        parts.extend_from_slice(folded.as_slice());
        Ok(keccak256(parts))
    }

    /// The digest of the node, which is above the leaf at `location`.
    fn climb(&self, node: &Node, location: u64, beside: &mut Iter<'_, B256>) -> Result<B256, &'static str> {
        if node.height == 0 {
            let operation =
                [&[UPDATE], self.key.as_slice(), self.value.as_ref(), self.next_key.as_slice()].concat();
            return Ok(hash(node.position(), &operation));
        }
        let (left, right) = node.children();
        let mut child = |node: &Node| {
            if node.holds(location) {
                self.climb(node, location, beside)
            } else {
                beside.next().copied().ok_or("digests are missing")
            }
        };
        let children = [child(&left)?, child(&right)?].concat();
        let digest = hash(node.position(), &children);
        // A chunk with the bit of this leaf is not all zeros.
        Ok(if node.height == GRAFTED { fold(self.chunk, digest) } else { digest })
    }
}

fn hash(position: u64, content: &[u8]) -> B256 {
    keccak256([&position.to_be_bytes(), content].concat())
}

fn fold(left: B256, right: B256) -> B256 {
    keccak256([left, right].concat())
}

/// A perfect tree over `2^height` leaves.
struct Node {
    first: u64,
    height: u32,
}

impl Node {
    const fn holds(&self, leaf: u64) -> bool {
        leaf >= self.first && leaf - self.first < 1 << self.height
    }

    fn position(&self) -> u64 {
        2 * self.first - u64::from(self.first.count_ones()) + (2 << self.height) - 2
    }

    const fn children(&self) -> (Self, Self) {
        let height = self.height - 1;
        (Self { first: self.first, height }, Self { first: self.first + (1 << height), height })
    }
}

/// The peaks over so many leaves, the largest first.
fn peaks(leaves: u64) -> Vec<Node> {
    let mut first = 0;
    let heights = (0..u64::BITS).rev().filter(|height| leaves >> height & 1 == 1);
    heights
        .map(|height| {
            let peak = Node { first, height };
            first += 1 << height;
            peak
        })
        .collect()
}
