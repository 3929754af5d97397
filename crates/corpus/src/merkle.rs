//! The Merkle root that a contributor commits to, and that a version publishes: OpenZeppelin's standard tree over record hashes, each leaf being
//! `keccak256(keccak256(hash))`.

use alloy_primitives::B256;
use openledger_types::merkle::{self, MerkleTree};

/// The root over record hashes in any order; zero for none.
pub fn records_root(hashes: &[B256]) -> B256 {
    tree(hashes).root()
}

/// The siblings that lead from a record hash to the root, or `None` if it is not among them.
pub fn record_proof(hashes: &[B256], hash: B256) -> Option<Vec<B256>> {
    tree(hashes).proof(merkle::leaf(hash.as_slice()))
}

/// Whether a record is among those that a root stands for.
pub fn verify_record(root: B256, hash: B256, proof: &[B256]) -> bool {
    merkle::verify(root, merkle::leaf(hash.as_slice()), proof)
}

fn tree(hashes: &[B256]) -> MerkleTree {
    MerkleTree::new(hashes.iter().map(|hash| merkle::leaf(hash.as_slice())).collect())
}
