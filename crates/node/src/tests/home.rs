use super::client::config;
use crate::{ChainError, GenesisOptions, Home, Member, Node, NodeConfig, NodeError, init, init_network};
use alloy_primitives::{Address, U256};
use openledger_types::amount::SUPPLY;
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

fn options() -> GenesisOptions {
    GenesisOptions::new(Address::repeat_byte(1))
}

#[test]
fn setting_up_again_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let first = init(home.path(), &options()).unwrap();
    let again = init(home.path(), &GenesisOptions { chain_id: 7, ..options() }).unwrap();
    assert_eq!(first.genesis, again.genesis);
    assert_eq!(first.key.public_hex(), again.key.public_hex());
    assert_eq!(Home::open(home.path()).unwrap().genesis, first.genesis);
}

#[test]
fn a_set_up_that_was_cut_short_is_finished_with_the_same_key() {
    let home = tempfile::tempdir().unwrap();
    let first = init(home.path(), &options()).unwrap();
    fs::remove_file(home.path().join("node/genesis.json")).unwrap();
    fs::write(home.path().join("node/genesis.partial"), "{").unwrap();
    let again = init(home.path(), &options()).unwrap();
    assert_eq!(first.key.public_hex(), again.key.public_hex());
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    init(home.path(), &options()).unwrap();
    let mode = fs::metadata(home.path().join("node/validator.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_supply_is_allotted_to_the_last_wei() {
    let home = tempfile::tempdir().unwrap();
    let other = Address::repeat_byte(2);
    let alloc = BTreeMap::from([(other, U256::from(5))]);
    let genesis = init(home.path(), &GenesisOptions { alloc, ..options() }).unwrap().genesis;
    assert_eq!(genesis.alloc[&other], U256::from(5));
    assert_eq!(genesis.alloc.values().copied().fold(U256::ZERO, |sum, amount| sum + amount), SUPPLY);

    let home = tempfile::tempdir().unwrap();
    let alloc = BTreeMap::from([(other, SUPPLY + U256::ONE)]);
    assert!(matches!(
        init(home.path(), &GenesisOptions { alloc, ..options() }),
        Err(NodeError::Genesis { .. })
    ));
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("node/validator.key");
    assert!(
        matches!(Home::open(home.path()), Err(NodeError::Missing { path }) if path.ends_with("genesis.json"))
    );
    init(home.path(), &options()).unwrap();
    fs::write(&key, "not hex").unwrap();
    assert!(matches!(Home::open(home.path()), Err(NodeError::Damaged { path, .. }) if path == key));
    fs::remove_file(&key).unwrap();
    assert!(matches!(init(home.path(), &options()), Err(NodeError::Missing { path }) if path == key));
}

#[test]
fn a_second_node_in_the_folder_hears_of_the_folder() {
    let home = tempfile::tempdir().unwrap();
    init(home.path(), &options()).unwrap();
    let first = Node::start(config(&home)).unwrap();
    let mut second = config(&home);
    second.http = first.address();
    let error = Node::start(second).unwrap_err();
    assert!(matches!(error, NodeError::Chain(ChainError::FolderInUse { .. })), "{error}");
    first.shutdown().unwrap();
    Node::start(config(&home)).unwrap().shutdown().unwrap();
}

fn members(folder: &Path, number: u8) -> Vec<Member> {
    let address = |port: u8| SocketAddr::from(([127, 0, 0, 1], 9000 + u16::from(port)));
    (1..=number)
        .map(|number| Member {
            home: folder.join(number.to_string()),
            account: Some(Address::repeat_byte(number)),
            http: address(number),
            listen: address(100 + number),
        })
        .collect()
}

#[test]
fn the_folders_of_a_network_share_a_genesis_and_know_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let members = members(folder.path(), 3);
    let genesis = init_network(&members, &options()).unwrap();
    let homes: Vec<_> = members.iter().map(|member| Home::open(&member.home).unwrap()).collect();
    for (number, (member, home)) in members.iter().zip(&homes).enumerate() {
        assert_eq!(home.genesis, genesis);
        assert_eq!(genesis.validators[number].consensus_key, home.key.public_hex());
        assert_eq!(Some(genesis.validators[number].account), member.account);
        let config = NodeConfig::open(&member.home).unwrap();
        assert_eq!((config.http, config.listen), (member.http, member.listen));
        let others = members.iter().zip(&homes).filter(|(other, _)| other.home != member.home);
        let known = others.map(|(other, home)| (home.key.public_hex(), other.listen)).collect();
        assert_eq!(config.peers, known);
    }

    // Again after having been cut short, and with other ports.
    fs::remove_file(members[1].home.join("node/genesis.json")).unwrap();
    let moved: Vec<_> = members
        .iter()
        .map(|member| Member { http: SocketAddr::new(member.http.ip(), 1), ..member.clone() })
        .collect();
    assert_eq!(init_network(&moved, &GenesisOptions { chain_id: 7, ..options() }).unwrap(), genesis);
    assert_eq!(NodeConfig::open(&members[1].home).unwrap().http.port(), 1);
    assert_eq!(Home::open(&members[1].home).unwrap().key.public_hex(), homes[1].key.public_hex());
}

#[test]
fn a_node_that_follows_joins_a_network_later_and_is_known_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut members = members(folder.path(), 3);
    let follower = Member { account: None, ..members.pop().unwrap() };
    let genesis = init_network(&members, &options()).unwrap();
    members.push(follower);
    assert_eq!(init_network(&members, &options()).unwrap(), genesis);
    let key = Home::open(&members[2].home).unwrap().key.public_hex();
    let follower = NodeConfig::open(&members[2].home).unwrap();
    assert!(follower.follow && follower.peers.len() == 2 && follower.followers.is_empty());
    let validator = NodeConfig::open(&members[0].home).unwrap();
    assert_eq!(validator.followers, BTreeMap::from([(key, members[2].listen)]));
    assert!(!validator.follow && validator.peers.len() == 1);
}

#[test]
fn folders_that_are_not_one_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let three = members(folder.path(), 3);
    init_network(&three, &options()).unwrap();
    let fewer = init_network(&three[..2], &options()).unwrap_err().to_string();
    assert!(fewer.contains("has 3 validators"), "{fewer}");

    let other = tempfile::tempdir().unwrap();
    let others = members(other.path(), 3);
    init_network(&others, &options()).unwrap();
    let mixed = init_network(&[three[0].clone(), others[1].clone()], &options()).unwrap_err().to_string();
    assert!(mixed.contains("different chains"), "{mixed}");

    fs::write(three[0].home.join("node/network.json"), r#"{ "http": "localhost" }"#).unwrap();
    let error = NodeConfig::open(&three[0].home).unwrap_err().to_string();
    assert!(error.contains("network.json") && error.contains("invalid socket address"), "{error}");
}
