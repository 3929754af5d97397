use super::client::config;
use crate::{ChainError, GenesisOptions, Home, Node, NodeError, init};
use alloy_primitives::{Address, U256};
use openledger_types::amount::SUPPLY;
use std::{collections::BTreeMap, fs};

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
