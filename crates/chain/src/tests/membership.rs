//! Validators join, leave and change their keys while the network runs.

use super::{
    fixtures::{self, account, call, config, eventually, transfer, validator_key},
    network::{agree, free_addresses},
};
use crate::{ChainConfig, ChainHandle, start};
use alloy_primitives::{Address, B256, FixedBytes, TxKind, U256};
use alloy_sol_types::SolCall;
use openledger_execution::{Election, Genesis, GenesisRole, GenesisStake, validator_set};
use openledger_types::{
    abi::{IStaking, StakeRole},
    addresses::STAKING,
    amount::{ONE_OPEN, SUPPLY},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

const EPOCH_BLOCKS: u64 = 8;
const STAKE: u64 = 10_000;

fn open(amount: u64) -> U256 {
    U256::from(amount) * ONE_OPEN
}

/// Four validators, the accounts 11 to 14, with their stakes; 1,000 OPEN for fees, and as much as a stake for account 15.
fn genesis() -> Genesis {
    let mut genesis = fixtures::genesis(4);
    genesis.election = Election { epoch_blocks: EPOCH_BLOCKS, least_seats: 3 };
    for (number, seat) in (11..).zip(&mut genesis.validators) {
        seat.account = account(number).address();
        let role = GenesisRole::Validator;
        genesis.stakes.push(GenesisStake { account: seat.account, role, amount: open(STAKE) });
        genesis.alloc.insert(seat.account, open(1_000));
    }
    genesis.alloc.insert(account(15).address(), open(STAKE + 1_000));
    let given = open(4 * (STAKE + 1_000) + STAKE + 1_000);
    genesis.alloc.insert(account(1).address(), SUPPLY - given);
    genesis
}

fn node(folder: &Path, number: u8, key: u8, known: &BTreeMap<String, SocketAddr>) -> ChainConfig {
    let mut config = config(&folder.join(number.to_string()));
    config.genesis = genesis();
    config.signer = validator_key(key);
    config.peers = known.clone();
    config.block_interval = Duration::from_millis(50);
    config.heartbeat = Duration::from_millis(150);
    config
}

/// Sends a call of an account and waits until it has succeeded.
fn send(chain: &ChainHandle, from: u8, value: U256, input: impl SolCall) {
    let signer = account(from);
    let nonce = chain.pending_nonce(signer.address()).unwrap();
    let transaction =
        call(&signer, nonce, TxKind::Call(STAKING), value, input.abi_encode().into(), 1_000_000);
    let hash = chain.submit(transaction).unwrap();
    let (number, position) = eventually("a call to be final", || chain.place(hash).unwrap());
    let receipt = &chain.receipts(number).unwrap().unwrap()[position as usize].receipt;
    assert!(receipt.status(), "the call in block {number} was reverted");
}

fn ip(address: SocketAddr) -> FixedBytes<16> {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is not of IPv4") };
    FixedBytes(ip.to_ipv6_mapped().octets())
}

/// The keys with a seat in the epoch of the next block.
fn seated(chain: &ChainHandle) -> BTreeSet<B256> {
    let head = chain.head().header.number;
    let state = chain.state(head).unwrap();
    let seats = validator_set(&state, (head + 1) / EPOCH_BLOCKS).unwrap();
    seats.into_iter().map(|seat| seat.key).collect()
}

fn until_seated(chain: &ChainHandle, keys: [u8; 4]) {
    let wanted: BTreeSet<_> = keys.map(|key| validator_key(key).public_bytes()).into();
    eventually("the elected validators", || (seated(chain) == wanted).then_some(()));
}

/// Waits until a validator has led a block from now on.
fn until_led(chain: &ChainHandle, by: u8) {
    let from = chain.head().header.number;
    let led = |number| chain.header(number).unwrap().unwrap().header.beneficiary == account(by).address();
    eventually("a block of a certain validator", || {
        (from + 1..=chain.head().header.number).any(led).then_some(())
    });
}

#[test]
fn validators_join_leave_and_change_their_keys_while_the_network_runs() {
    let folder = tempfile::tempdir().unwrap();
    let addresses = free_addresses(5);
    let known: BTreeMap<String, SocketAddr> =
        (1..=4).map(|key| validator_key(key).public_hex()).zip(addresses.iter().copied()).collect();
    let configs: Vec<_> = (1..=5)
        .zip(&addresses)
        .map(|(number, address)| {
            let mut config = node(folder.path(), number, number, &known);
            config.listen = *address;
            config
        })
        .collect();
    let mut chains: Vec<_> = configs[..4].iter().map(|config| start(config.clone()).unwrap()).collect();
    let chain_id = genesis().chain_id;

    // One joins: it stakes, registers its key, follows once it is known, and votes once it is elected.
    let key = validator_key(5);
    send(&chains[0], 15, open(STAKE), IStaking::stakeCall { role: StakeRole::Validator });
    let register = IStaking::registerKeyCall {
        key: key.public_bytes(),
        proof: key.prove(chain_id, account(15).address()),
        ip: ip(addresses[4]),
        port: addresses[4].port(),
    };
    send(&chains[0], 15, U256::ZERO, register);
    let joined = start(configs[4].clone()).unwrap();
    eventually("the new node to follow", || (joined.head().header.number > EPOCH_BLOCKS).then_some(()));
    let set = eventually("five validators", || Some(seated(&joined)).filter(|set| set.len() == 5));
    assert!(set.contains(&key.public_bytes()));
    until_led(&joined, 15);
    chains.push(joined);

    // One leaves: without a seat it may go, and the others go on.
    send(&chains[4], 14, U256::ZERO, IStaking::startUnbondingCall {});
    until_seated(&chains[4], [1, 2, 3, 5]);
    chains.remove(3).shutdown().unwrap();
    until_led(&chains[3], 15);

    // One changes its key, on the same folder.
    let key = validator_key(33);
    let place = IStaking::setNetworkAddressCall { ip: ip(addresses[2]), port: addresses[2].port() };
    send(&chains[0], 13, U256::ZERO, place);
    let proof = key.prove(chain_id, account(13).address());
    send(&chains[0], 13, U256::ZERO, IStaking::rotateKeyCall { key: key.public_bytes(), proof });
    until_seated(&chains[0], [1, 2, 33, 5]);
    chains.remove(2).shutdown().unwrap();
    let mut changed = configs[2].clone();
    changed.signer = key;
    // Its old key is at the same address.
    changed.peers.remove(&validator_key(3).public_hex());
    let changed = start(changed).unwrap();
    until_led(&changed, 13);
    chains.insert(2, changed);

    let hash = chains[0].submit(transfer(&account(1), 0, Address::repeat_byte(9), 1)).unwrap();
    for chain in &chains {
        fixtures::included(chain, hash);
        assert_eq!(chain.faults(), 0);
    }
    agree(&chains);
}
