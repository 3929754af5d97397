//! A new node starts from a recent block instead of the first.

use super::{
    fixtures::{self, account, call, config, eventually, included, transfer, validator_key},
    network::free_addresses,
};
use crate::{ChainConfig, ChainError, ChainHandle, LogFilter, LogLimits, start};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use openledger_execution::{Election, Genesis, StateReader};
use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

const VALIDATORS: u8 = 4;
const EPOCH_BLOCKS: u64 = 12;

fn genesis() -> Genesis {
    let mut genesis = fixtures::genesis(VALIDATORS);
    genesis.election = Election { epoch_blocks: EPOCH_BLOCKS, least_seats: 3 };
    genesis
}

fn node(folder: &Path, number: u8, known: &BTreeMap<String, SocketAddr>) -> ChainConfig {
    let mut config = config(&folder.join(number.to_string()));
    config.genesis = genesis();
    config.signer = validator_key(number);
    config.listen = known[&config.signer.public_hex()];
    config.peers = known.clone();
    // The fifth and sixth have no seat.
    let keys = [5, 6].map(|number| validator_key(number).public_hex());
    config.followers =
        known.iter().filter(|(key, _)| keys.contains(key)).map(|(k, a)| (k.clone(), *a)).collect();
    config.peers.retain(|key, _| !keys.contains(key));
    config.follow = number > VALIDATORS;
    if config.follow {
        config.followers.clear();
    }
    config.block_interval = Duration::from_millis(30);
    config.heartbeat = Duration::from_millis(80);
    config
}

/// Init code that stores the hash of a block: PUSH2, BLOCKHASH, PUSH0, SSTORE, STOP.
fn asks_for_the_hash_of(number: u64) -> Bytes {
    let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
    vec![0x61, high, low, 0x40, 0x5f, 0x55, 0x00].into()
}

fn same_state(one: &ChainHandle, other: &ChainHandle, address: Address) {
    let balance = |chain: &ChainHandle| {
        let state = chain.state(chain.head().header.number).unwrap();
        state.account(address).unwrap().map(|account| (account.nonce, account.balance))
    };
    eventually("the same account in both states", || (balance(one) == balance(other)).then_some(()));
}

#[test]
fn a_new_node_takes_the_state_of_a_checkpoint_and_follows_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let addresses = free_addresses(6);
    let known: BTreeMap<String, SocketAddr> =
        (1..=6).map(|key| validator_key(key).public_hex()).zip(addresses).collect();
    let chains: Vec<_> =
        (1..=VALIDATORS).map(|number| start(node(folder.path(), number, &known)).unwrap()).collect();
    let to = Address::repeat_byte(9);
    let early = chains[0].submit(transfer(&account(1), 0, to, 7)).unwrap();
    let place = included(&chains[0], early);
    eventually("the fourth epoch", || (chains[0].head().header.number > 3 * EPOCH_BLOCKS + 3).then_some(()));
    let checkpoint = chains[0].checkpoint(None).unwrap().unwrap();
    assert!(checkpoint.number > 3 * EPOCH_BLOCKS, "{checkpoint:?}");
    assert_eq!(checkpoint.validators.len(), usize::from(VALIDATORS));

    // What does not belong together is refused with the reason.
    let mut other = node(folder.path(), 6, &known);
    for (change, reason) in [
        (B256::repeat_byte(1), "its certificate is of the block"),
        (checkpoint.hash, "its certificate is not of the validators"),
    ] {
        let mut wrong = checkpoint.clone();
        wrong.hash = change;
        if change == checkpoint.hash {
            wrong.validators[0] = validator_key(77).public_bytes();
        }
        other.checkpoint = Some(wrong);
        let error = start(other.clone()).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }

    let mut config = node(folder.path(), 5, &known);
    config.checkpoint = Some(checkpoint.clone());
    let synced = start(config.clone()).unwrap();
    let first = checkpoint.number + 1;
    assert_eq!(synced.first_block(), first);
    assert_eq!(synced.header(checkpoint.number).unwrap().unwrap().hash, checkpoint.hash);
    // Through the end of an epoch and an election that it has not seen.
    let target = checkpoint.number + 2 * EPOCH_BLOCKS;
    eventually("the new node to follow", || (synced.head().header.number > target).then_some(()));
    for number in checkpoint.number..=target {
        let header = |chain: &ChainHandle| chain.header(number).unwrap().unwrap();
        let (own, theirs) = (header(&synced), header(&chains[0]));
        assert_eq!(
            (own.hash, own.header.state_root),
            (theirs.hash, theirs.header.state_root),
            "block {number}"
        );
    }
    same_state(&synced, &chains[0], to);

    // What was before is not there, and it says so.
    assert_eq!(synced.block(place).unwrap(), None);
    assert_eq!(synced.place(early).unwrap(), None);
    let old = synced.logs(place, place, &LogFilter::default(), LogLimits::default()).unwrap_err();
    assert!(matches!(old, ChainError::Pruned { first: named, .. } if named == first), "{old}");

    // A contract sees the hashes of blocks that the node never executed.
    let nonce = synced.pending_nonce(account(1).address()).unwrap();
    let asked = checkpoint.number - 5;
    let creation = call(&account(1), nonce, TxKind::Create, U256::ZERO, asks_for_the_hash_of(asked), 200_000);
    let number = included(&synced, synced.submit(creation).unwrap());
    let contract = account(1).address().create(nonce);
    eventually("the state with the contract", || (synced.head().header.number >= number).then_some(()));
    let stored = synced.state(synced.head().header.number).unwrap().storage(contract, U256::ZERO).unwrap();
    assert_eq!(B256::from(stored), chains[0].header(asked).unwrap().unwrap().hash);

    // It goes on after it was stopped, whether it is told of a checkpoint or not.
    synced.shutdown().unwrap();
    drop(synced);
    config.checkpoint = None;
    let again = start(config).unwrap();
    let target = chains[0].head().header.number + 2;
    eventually("the node to go on", || (again.head().header.number >= target).then_some(()));
    assert_eq!(again.first_block(), first);
    same_state(&again, &chains[0], to);
}
