use super::*;
use crate::tests::fixtures::{account, empty_block, transfer};
use alloy_primitives::b256;
use commonware_codec::{Copying, DecodeExt};
use openledger_types::abi::{Vote, VoteKind};

fn with_transactions(transactions: Vec<TxEnvelope>) -> Block {
    let empty = empty_block(7);
    let header =
        Header { transactions_root: calculate_transaction_root(&transactions), ..empty.header().clone() };
    Block::new(header, empty.seal().clone(), transactions)
}

fn sample() -> Block {
    let to = Address::repeat_byte(9);
    with_transactions((0..3).map(|nonce| transfer(&account(1), nonce, to, 1)).collect())
}

fn decode(bytes: &[u8]) -> Result<Block, CodecError> {
    Block::decode(Copying(bytes))
}

#[test]
fn a_block_survives_its_encoding() {
    let block = sample();
    let bytes = block.encode();
    assert_eq!(bytes.len(), block.encode_size());
    let decoded = decode(&bytes).unwrap();
    assert_eq!(decoded.hash(), block.hash());
    assert_eq!(decoded.header(), block.header());
    assert_eq!(decoded.seal(), block.seal());
    assert_eq!(decoded.transactions(), block.transactions());
    assert!(bytes.len() <= Block::max_encode_size(&()));
}

#[test]
fn the_encoding_is_as_it_was() {
    let bytes = sample().encode();
    assert_eq!(
        keccak256(&bytes),
        b256!("0x2d83f609c0914dc1626cb8b2e7ebb0ee0c6c48933373feb142a6fdfd0ce0d2bf"),
        "stored blocks and messages between nodes have another form"
    );
}

fn with_evidence(count: usize) -> Block {
    let vote = |kind, payload| Vote {
        kind,
        parent: 1,
        payload: B256::repeat_byte(payload),
        signature: vec![payload; 64].into(),
    };
    let double = DoubleSign {
        key: B256::repeat_byte(3),
        epoch: 2,
        viewNumber: 9,
        first: vote(VoteKind::Nullify, 1),
        second: vote(VoteKind::Finalize, 2),
    };
    let empty = empty_block(7);
    let seal = Seal { evidence: vec![double; count], ..empty.seal().clone() };
    let header = Header { extra_data: seal.commitment(), ..empty.header().clone() };
    Block::new(header, seal, Vec::new())
}

#[test]
fn double_votes_are_in_the_seal_and_few() {
    let bytes = with_evidence(MAX_EVIDENCE).encode();
    assert_eq!(bytes.len(), with_evidence(MAX_EVIDENCE).encode_size());
    let decoded = decode(&bytes).unwrap();
    assert_eq!(decoded.seal(), with_evidence(MAX_EVIDENCE).seal());
    assert_ne!(decoded.hash(), with_evidence(0).hash());
    assert!(matches!(decode(&with_evidence(MAX_EVIDENCE + 1).encode()), Err(CodecError::InvalidLength(5))));
    let one = with_evidence(1).encode();
    for position in 0..one.len() {
        assert!(decode(&one[..position]).is_err(), "cut at byte {position}");
    }
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    let block = sample();
    let bytes = block.encode();
    for position in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[position] ^= 1;
        if let Ok(decoded) = decode(&changed) {
            assert_ne!(decoded.hash(), block.hash(), "byte {position}");
        }
        assert!(decode(&bytes[..position]).is_err(), "cut at byte {position}");
    }
}

#[test]
fn a_body_that_is_not_the_headers_is_refused() {
    let block = sample();
    let fewer = Block::new(block.header().clone(), block.seal().clone(), block.transactions()[1..].to_vec());
    assert!(decode(&fewer.encode()).is_err());
    let mut seal = block.seal().clone();
    seal.context.parent.0 = View::new(99);
    let other = Block::new(block.header().clone(), seal, block.transactions().to_vec());
    assert!(decode(&other.encode()).is_err());
}

#[test]
fn false_lengths_are_refused_before_memory_is_taken() {
    let block = sample();
    let mut bytes = block.seal().encode().to_vec();
    bytes.extend_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(decode(&bytes), Err(CodecError::InvalidLength(_))));
}
