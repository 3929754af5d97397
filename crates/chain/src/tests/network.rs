//! Four validators over the real network.

use super::fixtures::{self, account, config, eventually, included, transfer, validator_key};
use crate::{ChainConfig, ChainHandle, start};
use alloy_primitives::Address;
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

const VALIDATORS: u8 = 4;

/// As many addresses as asked for that nobody listens on.
pub(super) fn free_addresses(count: u8) -> Vec<SocketAddr> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

fn validator(folder: &Path, number: u8, addresses: &[SocketAddr]) -> ChainConfig {
    let known: BTreeMap<_, _> = (1..=VALIDATORS)
        .map(|other| validator_key(other).public_hex())
        .zip(addresses.iter().copied())
        .collect();
    let mut config = config(&folder.join(number.to_string()));
    config.genesis = fixtures::genesis(VALIDATORS);
    config.signer = validator_key(number);
    config.listen = known[&config.signer.public_hex()];
    config.peers = known;
    config.block_interval = Duration::from_millis(50);
    config
}

pub(super) fn agree(chains: &[ChainHandle]) {
    let lowest = chains.iter().map(|chain| chain.head().header.number).min().unwrap();
    for number in 0..=lowest {
        let hashes: Vec<_> = chains.iter().map(|chain| chain.header(number).unwrap().unwrap().hash).collect();
        assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "block {number}: {hashes:?}");
    }
}

#[test]
fn four_validators_agree_and_go_on_while_one_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let addresses = free_addresses(VALIDATORS);
    let configs: Vec<_> =
        (1..=VALIDATORS).map(|number| validator(folder.path(), number, &addresses)).collect();
    let mut chains: Vec<_> = configs.iter().map(|config| start(config.clone()).unwrap()).collect();
    let to = Address::repeat_byte(9);

    let hash = chains[0].submit(transfer(&account(1), 0, to, 1)).unwrap();
    for chain in &chains {
        included(chain, hash);
    }
    agree(&chains);

    let away = chains.pop().unwrap();
    away.shutdown().unwrap();
    drop(away);
    let hash = chains[1].submit(transfer(&account(1), 1, to, 1)).unwrap();
    for chain in &chains {
        included(chain, hash);
    }

    let back = start(configs.last().unwrap().clone()).unwrap();
    included(&back, hash);
    chains.push(back);
    let target = chains[0].head().header.number + 2;
    for chain in &chains {
        eventually("a common height", || (chain.head().header.number >= target).then_some(()));
    }
    agree(&chains);
}

#[test]
fn a_transaction_reaches_every_pool_and_whoever_leads_includes_it() {
    let folder = tempfile::tempdir().unwrap();
    let addresses = free_addresses(VALIDATORS);
    let configs: Vec<_> =
        (1..=VALIDATORS).map(|number| validator(folder.path(), number, &addresses)).collect();
    let chains: Vec<_> = configs.into_iter().map(|config| start(config).unwrap()).collect();
    let to = Address::repeat_byte(9);

    // Waits for a nonce, so that it stays in the pools.
    let waiting = chains[0].submit(transfer(&account(1), 8, to, 1)).unwrap();
    for chain in &chains {
        eventually("a transaction to be told", || chain.waiting(waiting));
    }
    // One after another, so that several leaders include them.
    let mut leaders = std::collections::BTreeSet::new();
    for nonce in 0..8 {
        let number = included(&chains[1], chains[0].submit(transfer(&account(1), nonce, to, 1)).unwrap());
        leaders.insert(chains[1].header(number).unwrap().unwrap().header.beneficiary);
    }
    for chain in &chains {
        included(chain, waiting);
        eventually("empty pools", || (chain.waiting_count() == 0).then_some(()));
        assert_eq!(chain.faults(), 0);
    }
    assert!(leaders.len() > 1, "only {leaders:?} included what the first validator was sent");
    agree(&chains);
}

#[test]
fn a_node_without_a_seat_follows_and_passes_transactions_on() {
    let folder = tempfile::tempdir().unwrap();
    let addresses = free_addresses(VALIDATORS);
    let place = |number: usize| addresses[number - 1];
    let mut one = validator(folder.path(), 1, &addresses);
    one.genesis = fixtures::genesis(1);
    one.peers = BTreeMap::new();
    one.followers = BTreeMap::from([(validator_key(2).public_hex(), place(2))]);
    let mut follower = one.clone();
    follower.data_dir = folder.path().join("follower");
    (follower.signer, follower.follow) = (validator_key(2), true);
    (follower.listen, follower.followers) = (place(2), BTreeMap::new());
    follower.peers = BTreeMap::from([(validator_key(1).public_hex(), place(1))]);

    let leader = start(one).unwrap();
    let to = Address::repeat_byte(9);
    // Before the follower is there, so that it has to fetch what it missed.
    let early = leader.submit(transfer(&account(1), 0, to, 1)).unwrap();
    included(&leader, early);
    let chain = start(follower.clone()).unwrap();
    included(&chain, early);
    let late = chain.submit(transfer(&account(1), 1, to, 1)).unwrap();
    let number = included(&chain, late);
    included(&leader, late);
    assert!(chain.finality(number).unwrap().is_some(), "a follower has the certificate");
    chain.shutdown().unwrap();
    drop(chain);

    assert_eq!(leader.peers().unwrap(), 0);
    for nonce in 2..42 {
        included(&leader, leader.submit(transfer(&account(1), nonce, to, 1)).unwrap());
    }
    let away = leader.head().header.number;
    let chain = start(follower).unwrap();
    let mut was_behind = false;
    eventually("the follower to catch up", || {
        let status = chain.status().unwrap();
        was_behind |= status.is_behind();
        (status.head > away && !status.is_behind() && chain.peers().unwrap() == 1).then_some(())
    });
    assert!(was_behind, "the follower never said that it was {away} blocks behind");
    eventually("the leader to count its follower", || (leader.peers().unwrap() == 1).then_some(()));
    agree(&[leader, chain]);
}
