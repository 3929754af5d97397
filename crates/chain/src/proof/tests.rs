use crate::{
    ChainError, StateProof, start,
    state::{self, CHUNK_BYTES, Operation},
    tests::fixtures::{account, call, config, eventually, included, transfer},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use commonware_cryptography::keccak256::{Digest, Keccak256};
use commonware_storage::{
    merkle::Proof as Path,
    mmr::{self, Location},
    qmdb::{
        any::ordered::fixed::Update,
        current::proof::{RangeProof, constant::OperationProof},
    },
};
use commonware_utils::sequence::FixedBytes;

use super::EntryProof;

/// What commonware itself says to a proof.
fn holds(entry: &EntryProof, root: B256) -> bool {
    let digest = |hash: &B256| Digest(hash.0);
    let proof = OperationProof::<mmr::Family, Digest, CHUNK_BYTES> {
        loc: Location::new(entry.location),
        chunk: entry.chunk,
        range_proof: RangeProof {
            proof: Path {
                leaves: Location::new(entry.leaves),
                inactive_peaks: usize::try_from(entry.inactive_peaks).unwrap(),
                digests: entry.digests.iter().map(digest).collect(),
            },
            pending_chunk_digest: Default::default(),
            partial_chunk_digest: entry.partial_chunk.as_ref().map(digest),
            ops_root: digest(&entry.log_root),
        },
    };
    let update = Update {
        key: digest(&entry.key),
        value: FixedBytes::new(entry.value.as_ref().try_into().unwrap()),
        next_key: digest(&entry.next_key),
    };
    proof.verify::<Keccak256, _>(Operation::Update(update), &digest(&root))
}

fn check(proof: &StateProof) {
    let root = proof.block.header.state_root;
    assert_eq!(proof.finality.headers[0], proof.block.header);
    let last = proof.finality.headers.last().unwrap();
    assert_eq!(proof.finality.certificate.block, last.hash_slow());
    for entry in std::iter::once(&proof.account_proof).chain(proof.slots.iter().map(|slot| &slot.proof)) {
        assert!(holds(entry, root));
        assert!(!holds(entry, B256::ZERO));
        let mut other = entry.clone();
        other.next_key.0[31] ^= 1;
        assert!(!holds(&other, root));
    }
}

#[test]
fn accounts_and_slots_are_proven_and_so_is_that_there_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let chain = start(config(folder.path())).unwrap();
    // Stores 7 in its first slot: PUSH1 7 PUSH1 0 SSTORE STOP.
    let code = Bytes::from(hex!("600760005500"));
    let hash = chain.submit(call(&account(1), 0, TxKind::Create, U256::ZERO, code, 200_000)).unwrap();
    let number = included(&chain, hash);
    let contract = chain.receipts(number).unwrap().unwrap()[0].outcome.contract_address.unwrap();
    for nonce in 1..40 {
        included(&chain, chain.submit(transfer(&account(1), nonce, Address::repeat_byte(9), 1)).unwrap());
        if nonce % 13 == 0 {
            let slots = [U256::ZERO, U256::from(1), U256::MAX];
            let proof = chain.prove(contract, &slots, None).unwrap();
            check(&proof);
            assert_eq!(proof.account_proof.key, crate::block::hash(&state::account_key(contract)));
            let keys = slots.map(|slot| crate::block::hash(&state::slot_key(contract, slot)));
            assert_eq!(proof.slots[0].proof.key, keys[0]);
            assert_eq!(proof.slots[0].value, U256::from(7));
            assert_eq!(proof.account.unwrap().nonce, 1);
            for (slot, key) in proof.slots[1..].iter().zip(&keys[1..]) {
                assert_eq!(slot.value, U256::ZERO);
                let entry = &slot.proof;
                let wraps = entry.next_key <= entry.key;
                let between = if wraps {
                    *key > entry.key || *key < entry.next_key
                } else {
                    *key > entry.key && *key < entry.next_key
                };
                assert!(between, "{entry:?} leaves no room for {key}");
            }
            let nobody = chain.prove(Address::repeat_byte(0xee), &[], None).unwrap();
            check(&nobody);
            assert_eq!(nobody.account, None);
            assert_ne!(
                nobody.account_proof.key,
                crate::block::hash(&state::account_key(Address::repeat_byte(0xee)))
            );
        }
    }
}

#[test]
fn another_block_than_the_head_is_refused_with_the_head() {
    let folder = tempfile::tempdir().unwrap();
    let chain = start(config(folder.path())).unwrap();
    eventually("three blocks", || (chain.head().header.number >= 3).then_some(()));
    let refused = chain.prove(Address::ZERO, &[], Some(1)).unwrap_err();
    assert!(
        matches!(refused, ChainError::ProofNotAvailable { wanted: 1, newest } if newest >= 3),
        "{refused}"
    );
}
