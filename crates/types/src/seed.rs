//! What nobody can choose: seeds that mix a commitment with a block that did not exist when it was made.

use alloy_primitives::{B256, keccak256};

/// The seed of a training run: Keccak-256 of its manifest's hash and the hash of the block that holds the commitment to it.
pub fn training_seed(manifest_hash: B256, block_hash: B256) -> B256 {
    keccak256([manifest_hash, block_hash].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hashes_and_their_order_count() {
        let (a, b) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let expected = "0x346d8c96a2454213fcc0daff3c96ad0398148181b9fa6488f7ae2c0af5b20aa0";
        assert_eq!(training_seed(a, b).to_string(), expected);
        assert_ne!(training_seed(a, b), training_seed(b, a));
    }
}
