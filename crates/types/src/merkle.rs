//! Merkle trees.
//!
//! [`MerkleTree`] is OpenZeppelin's *StandardMerkleTree*: leaves hashed twice, sorted, pairs hashed in sorted order, so
//! that `MerkleProof.verify` and the JavaScript package agree with it. [`sum_root`] is a Merkle-sum root: a node commits
//! to the amounts below it, so that a root over receipts states what they add up to.

use alloy_primitives::{B256, U256, keccak256};

/// The leaf of a value already ABI-encoded: `keccak256(keccak256(encoded))`.
pub fn leaf(encoded: &[u8]) -> B256 {
    keccak256(keccak256(encoded))
}

/// The parent of two nodes in either order.
pub fn pair(a: B256, b: B256) -> B256 {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    keccak256([low.as_slice(), high.as_slice()].concat())
}

/// A complete binary tree over sorted leaves. Node `i` has the children `2i+1` and `2i+2`; the leaves fill the array
/// from its end.
#[derive(Debug, Clone)]
pub struct MerkleTree {
    nodes: Vec<B256>,
}

impl MerkleTree {
    /// Builds the tree over leaves in any order. No leaves give the zero root.
    pub fn new(mut leaves: Vec<B256>) -> Self {
        leaves.sort_unstable();
        let count = leaves.len();
        if count == 0 {
            return Self { nodes: Vec::new() };
        }
        let mut nodes = vec![B256::ZERO; 2 * count - 1];
        for (index, leaf) in leaves.into_iter().enumerate() {
            nodes[2 * count - 2 - index] = leaf;
        }
        for index in (0..count - 1).rev() {
            nodes[index] = pair(nodes[2 * index + 1], nodes[2 * index + 2]);
        }
        Self { nodes }
    }

    /// The root, zero for an empty tree.
    pub fn root(&self) -> B256 {
        self.nodes.first().copied().unwrap_or(B256::ZERO)
    }

    /// The siblings from a leaf to the root, or `None` if the leaf is not in the tree.
    pub fn proof(&self, leaf: B256) -> Option<Vec<B256>> {
        let first_leaf = self.nodes.len() / 2;
        let mut index = first_leaf + self.nodes[first_leaf..].iter().position(|node| *node == leaf)?;
        let mut proof = Vec::new();
        while index > 0 {
            let sibling = if index % 2 == 1 { index + 1 } else { index - 1 };
            proof.push(self.nodes[sibling]);
            index = (index - 1) / 2;
        }
        Some(proof)
    }
}

/// True if `proof` leads from `leaf` to `root`.
pub fn verify(root: B256, leaf: B256, proof: &[B256]) -> bool {
    proof.iter().fold(leaf, |node, sibling| pair(node, *sibling)) == root
}

/// The Merkle-sum root over `(hash, amount)` leaves in the order given: a parent is
/// `(keccak256(left hash, left amount, right hash, right amount), left amount + right amount)`, a node without a
/// sibling rises unchanged, and the root hash binds its own amount once more. No leaves give zeros.
///
/// # Panics
/// If the amounts add up to more than 256 bits hold.
pub fn sum_root(leaves: &[(B256, U256)]) -> (B256, U256) {
    let mut level = leaves.to_vec();
    if level.is_empty() {
        return (B256::ZERO, U256::ZERO);
    }
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|nodes| match nodes {
                [left, right] => {
                    let amount = left.1.checked_add(right.1).expect("amounts add up within 256 bits");
                    (sum_node(*left, *right), amount)
                }
                single => single[0],
            })
            .collect();
    }
    let (hash, amount) = level[0];
    (keccak256([hash.as_slice(), &amount.to_be_bytes::<32>()].concat()), amount)
}

fn sum_node(left: (B256, U256), right: (B256, U256)) -> B256 {
    keccak256(
        [left.0.as_slice(), &left.1.to_be_bytes::<32>(), right.0.as_slice(), &right.1.to_be_bytes::<32>()]
            .concat(),
    )
}
