//! Proofs as a light client that shares no code with the chain checks them.

use super::client::{Bench, ONE_OPEN};
use crate::{GenesisOptions, RpcLimits};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use openledger_client::light::{Handover, ProofError, Proven, StateProof, Trust};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const TO: Address = Address::repeat_byte(0xaa);

fn trust(bench: &Bench, epoch: u64) -> Trust {
    let genesis = bench.node.chain().genesis();
    let keys: Vec<[u8; 32]> = genesis
        .validators
        .iter()
        .map(|seat| hex::decode(&seat.consensus_key).unwrap().try_into().unwrap())
        .collect();
    Trust::new(genesis.chain_id, genesis.hash(), epoch, &keys).unwrap()
}

fn check(proof: &Value, trust: &Trust) -> Result<Proven, ProofError> {
    serde_json::from_value::<StateProof>(proof.clone())
        .expect("a client reads what a node answers")
        .check(trust)
}

/// A contract that stores 7 in its first slot, and transfers that make the log grow.
fn with_contract(bench: &Bench, transfers: u64) -> Address {
    let receipt = bench.send(0, TxKind::Create, 0, Bytes::from(hex!("600760005500")));
    for nonce in 1..=transfers {
        bench.transfer(nonce, TO, ONE_OPEN);
    }
    serde_json::from_value(receipt["contractAddress"].clone()).unwrap()
}

#[test]
fn a_light_client_believes_what_is_and_what_is_not() {
    let bench = Bench::new();
    let trust = trust(&bench, 0);
    let contract = with_contract(&bench, 60);
    for (address, slots) in
        [(contract, json!(["0x0", "0x1"])), (TO, json!([])), (Address::repeat_byte(0xee), json!(["0x5"]))]
    {
        let proof = bench.call("openledger_getProof", json!([address, slots, "latest"]));
        let proven = check(&proof, &trust).unwrap();
        assert_eq!(json!(proven.hash), proof["block"]["hash"]);
        let block = bench.call("eth_getBlockByHash", json!([proven.hash, false]));
        assert_eq!(block["stateRoot"], json!(proven.header.state_root));
        let tag = &block["number"];
        assert_eq!(proof["balance"], bench.call("eth_getBalance", json!([address, tag])));
        assert_eq!(proof["nonce"], bench.call("eth_getTransactionCount", json!([address, tag])));
    }
    let proof = bench.call("openledger_getProof", json!([contract, ["0x0"], "latest"]));
    assert_eq!(proof["storageProof"][0]["value"], "0x7");
}

/// Every string of hex below a value, with the way to it.
fn texts(value: &Value, way: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with("0x") => found.push(way.to_owned()),
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                texts(value, &format!("{way}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                texts(value, &format!("{way}/{name}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_changed_byte_of_a_proof_is_believed() {
    let bench = Bench::new();
    let trust = trust(&bench, 0);
    let contract = with_contract(&bench, 20);
    let proof = bench.call("openledger_getProof", json!([contract, ["0x0", "0x9"], "latest"]));
    check(&proof, &trust).unwrap();
    let mut ways = Vec::new();
    texts(&proof, "", &mut ways);
    // What the node says of the block beside the headers is for people; the client reads the headers.
    ways.retain(|way| !way.starts_with("/block/"));
    assert!(ways.len() > 40, "{ways:?}");
    let mut tried = 0;
    for way in &ways {
        let digits = proof.pointer(way).unwrap().as_str().unwrap().len();
        for position in 2..digits {
            let mut changed = proof.clone();
            let text = changed.pointer(way).unwrap().as_str().unwrap().to_owned();
            let digit = text.as_bytes()[position];
            let other = if digit == b'0' { "1" } else { "0" };
            let text = format!("{}{other}{}", &text[..position], &text[position + 1..]);
            *changed.pointer_mut(way).unwrap() = json!(text);
            let Ok(changed) = serde_json::from_value::<StateProof>(changed) else { continue };
            let same = changed == serde_json::from_value(proof.clone()).unwrap();
            assert!(same || changed.check(&trust).is_err(), "{way} at {position} is believed: {text}");
            tried += 1;
        }
    }
    assert!(tried > 3000, "only {tried} changes were tried");
    for list in
        ["/headers", "/certificate/signatures", "/accountProof/digests", "/storageProof/1/proof/digests"]
    {
        for cut in [true, false] {
            let mut changed = proof.clone();
            let entries = changed.pointer_mut(list).unwrap().as_array_mut().unwrap();
            if cut {
                drop(entries.pop())
            } else {
                entries.push(entries.last().unwrap().clone())
            }
            assert!(check(&changed, &trust).is_err(), "{list}");
        }
    }
}

#[test]
fn other_validators_epochs_and_chains_are_not_believed() {
    let bench = Bench::new();
    bench.transfer(0, TO, 1);
    let proof = bench.call("openledger_getProof", json!([TO, [], "latest"]));
    let genesis = bench.node.chain().genesis();
    let own: [u8; 32] = hex::decode(&genesis.validators[0].consensus_key).unwrap().try_into().unwrap();
    // Another key on the curve.
    let other: [u8; 32] = hex!("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let trust = |chain, hash, epoch, keys: &[[u8; 32]]| Trust::new(chain, hash, epoch, keys).unwrap();
    let (id, hash) = (genesis.chain_id, genesis.hash());
    check(&proof, &trust(id, hash, 0, &[own])).unwrap();
    let refused = |trust| check(&proof, &trust).unwrap_err();
    assert!(matches!(refused(trust(id, hash, 0, &[other])), ProofError::Signature { signer: 0 }));
    assert!(matches!(
        refused(trust(id, hash, 0, &[own, other])),
        ProofError::Quorum { got: 1, validators: 2, needed: 2 }
    ));
    assert!(matches!(refused(trust(id, hash, 1, &[own])), ProofError::Epoch { got: 0, first: 1, last: 1 }));
    assert!(matches!(refused(trust(id + 1, hash, 0, &[own])), ProofError::Signature { .. }));
    assert!(matches!(refused(trust(id, B256::ZERO, 0, &[own])), ProofError::Signature { .. }));
    assert!(Trust::new(id, hash, 0, &[]).is_err());
    assert!(Trust::new(id, hash, 0, &[own, own]).is_err());
}

#[test]
fn the_validators_of_each_epoch_show_those_of_the_next() {
    let bench = Bench::built(RpcLimits::default(), |options: &mut GenesisOptions| {
        options.election.epoch_blocks = 4;
    });
    let start = Instant::now();
    let shown: Vec<Handover> = loop {
        let shown = bench.call("openledger_getHandovers", json!(["0x2", "0x3"]));
        if shown.as_array().unwrap().len() == 3 {
            break serde_json::from_value(shown).unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{shown}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let genesis = bench.node.chain().genesis();
    let own: [u8; 32] = hex::decode(&genesis.validators[0].consensus_key).unwrap().try_into().unwrap();
    let mut trust = Trust::of_genesis(genesis.chain_id, genesis.hash(), &[own]).unwrap();
    let proof = bench.call("openledger_getProof", json!([TO, [], "latest"]));
    assert!(matches!(check(&proof, &trust), Err(ProofError::Epoch { first: 0, last: 1, .. })));

    let refused = |handover: &Handover| trust.clone().hand_over(handover).unwrap_err().to_string();
    assert!(refused(&shown[1]).contains("not the epoch after the newest"), "one was left out");
    let changed = |change: &dyn Fn(&mut Handover)| {
        let mut handover = shown[0].clone();
        change(&mut handover);
        refused(&handover)
    };
    assert!(changed(&|handover| handover.validators[0].0[5] ^= 1).contains("other keys"));
    assert!(changed(&|handover| handover.validators.clear()).contains("number of seats"));
    assert!(changed(&|handover| handover.proof = shown[1].proof.clone()).contains("other slots"));
    assert!(changed(&|handover| handover.proof.storage_proof.swap(0, 1)).contains("other slots"));
    assert!(changed(&|handover| drop(handover.proof.storage_proof.pop())).contains("two slots"));
    assert!(changed(&|handover| handover.proof.storage_proof[1].value ^= U256::ONE).contains("is not what"));

    for handover in &shown {
        trust.hand_over(handover).unwrap();
    }
    assert_eq!((trust.newest(), trust.keys(4)), (4, Some(vec![own])));
    let certified = serde_json::from_value::<StateProof>(proof.clone()).unwrap().certificate.epoch;
    let further = bench.call("openledger_getHandovers", json!(["0x5", "0x40"]));
    for handover in serde_json::from_value::<Vec<Handover>>(further).unwrap() {
        trust.hand_over(&handover).unwrap();
    }
    assert!(certified.to::<u64>() <= trust.newest());
    check(&proof, &trust).unwrap();

    assert_eq!(bench.call("openledger_getHandovers", json!(["0x1", "0x1"])), json!([]));
    let (code, message, _) = bench.error("openledger_getHandovers", json!(["0x2", "0x41"]));
    assert_eq!((code, message.as_str()), (-32602, "too many epochs (max 64)"));
}

#[test]
fn what_cannot_be_proven_is_refused_with_the_reason() {
    let bench = Bench::new();
    bench.transfer(0, TO, 1);
    let (code, message, _) = bench.error("openledger_getProof", json!([TO, [], "0x0"]));
    assert_eq!(code, -32000);
    assert!(message.contains("newest state") && message.contains("block 0 was asked for"), "{message}");
    let slots: Vec<U256> = (0..1025).map(U256::from).collect();
    let (code, message, _) = bench.error("openledger_getProof", json!([TO, slots, "latest"]));
    assert_eq!((code, message.as_str()), (-32602, "too many slots (max 1024)"));
    let (code, message, _) = bench.error("eth_getProof", json!([TO, [], "latest"]));
    assert_eq!(code, -32004);
    assert!(message.contains("openledger_getProof"), "{message}");
}
