use super::fixtures::{self, account, call, config, eventually, included, transfer};
use crate::{ChainError, ChainHandle, LogFilter, LogLimits, PoolError, start};
use alloy_primitives::{Address, TxKind, U256, hex};
use openledger_execution::StateReader;
use openledger_types::addresses::OPEN;
use openledger_types::amount::SUPPLY;
use std::time::Instant;

fn balance(chain: &ChainHandle, address: Address) -> U256 {
    let state = chain.state(chain.head().header.number).expect("the head can be read");
    state.account(address).expect("the state answers").unwrap_or_default().balance
}

#[test]
fn a_transfer_becomes_final_and_can_be_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let chain = start(config(folder.path())).unwrap();
    let to = Address::repeat_byte(9);
    let sent = Instant::now();
    let hash = chain.submit(transfer(&account(1), 0, to, 5)).unwrap();
    let number = included(&chain, hash);
    eprintln!("final after {:?} in block {number}", sent.elapsed());

    assert_eq!(balance(&chain, to), U256::from(5));
    let found = chain.transaction(hash).unwrap().unwrap();
    assert_eq!(found.transaction.signer(), account(1).address());
    let receipts = chain.receipts(number).unwrap().unwrap();
    assert!(receipts[found.position as usize].receipt.status());
    let block = chain.block(number).unwrap().unwrap();
    assert_eq!(block.header.header.hash_slow(), block.header.hash);
    assert_eq!(chain.number(block.header.hash).unwrap(), Some(number));
    assert!(chain.finality(number).unwrap().is_some());
    assert!(chain.logs(0, number, &LogFilter::default(), LogLimits::default()).unwrap().is_empty());
    chain.shutdown().unwrap();
}

#[test]
fn empty_blocks_come_at_the_heartbeat_and_each_extends_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let chain = start(config(folder.path())).unwrap();
    eventually("five blocks", || (chain.head().header.number >= 5).then_some(()));
    for number in 1..=5 {
        let (parent, block) =
            (chain.header(number - 1).unwrap().unwrap(), chain.header(number).unwrap().unwrap());
        assert_eq!(block.header.parent_hash, parent.hash);
        assert!(block.header.timestamp >= parent.header.timestamp);
        assert_ne!(block.header.state_root, parent.header.state_root);
    }
}

#[test]
fn the_same_folder_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let to = Address::repeat_byte(9);
    let chain = start(config(folder.path())).unwrap();
    for nonce in 0..10 {
        included(&chain, chain.submit(transfer(&account(1), nonce, to, 1)).unwrap());
    }
    let before = chain.head();
    chain.shutdown().unwrap();
    drop(chain);

    let chain = start(config(folder.path())).unwrap();
    let after = chain.head();
    assert!(after.header.number >= before.header.number);
    assert_eq!(chain.header(before.header.number).unwrap().unwrap(), *before);
    assert_eq!(balance(&chain, to), U256::from(10));
    included(&chain, chain.submit(transfer(&account(1), 10, to, 1)).unwrap());
    assert_eq!(balance(&chain, to), U256::from(11));
}

#[test]
fn a_deleted_index_is_rebuilt_with_the_same_content() {
    let folder = tempfile::tempdir().unwrap();
    let chain = start(config(folder.path())).unwrap();
    let mut hashes = Vec::new();
    for nonce in 0..5 {
        let hash = chain.submit(transfer(&account(1), nonce, Address::repeat_byte(9), 1)).unwrap();
        hashes.push((hash, included(&chain, hash)));
    }
    let read = |chain: &ChainHandle| -> Vec<_> {
        hashes
            .iter()
            .map(|(hash, number)| {
                (chain.place(*hash).unwrap(), chain.block(*number).unwrap(), chain.receipts(*number).unwrap())
            })
            .collect()
    };
    let before = read(&chain);
    chain.shutdown().unwrap();
    drop(chain);
    std::fs::remove_file(folder.path().join("index.redb")).unwrap();

    let chain = start(config(folder.path())).unwrap();
    assert_eq!(read(&chain), before);
}

#[test]
fn a_second_validator_on_the_folder_is_refused_with_the_holder() {
    let folder = tempfile::tempdir().unwrap();
    let _chain = start(config(folder.path())).unwrap();
    let error = start(config(folder.path())).unwrap_err();
    let ChainError::FolderInUse { folder: named, holder } = error else { panic!("{error}") };
    assert_eq!(named, folder.path());
    assert_eq!(holder, std::process::id().to_string());
}

#[test]
fn a_folder_of_another_genesis_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(start(config(folder.path())).unwrap());
    let mut other = config(folder.path());
    other.genesis.timestamp += 1;
    assert!(matches!(start(other), Err(ChainError::OtherGenesis { .. })));
}

#[test]
fn a_damaged_index_is_named() {
    let folder = tempfile::tempdir().unwrap();
    drop(start(config(folder.path())).unwrap());
    let path = folder.path().join("index.redb");
    std::fs::write(&path, vec![7; 100_000]).unwrap();
    let error = start(config(folder.path())).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn a_key_without_a_seat_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut stranger = config(folder.path());
    stranger.signer = fixtures::validator_key(9);
    assert!(matches!(start(stranger), Err(ChainError::NotAValidator { validators: 1, .. })));
}

#[test]
fn the_state_of_recent_blocks_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let chain = start(config(folder.path())).unwrap();
    let to = Address::repeat_byte(9);
    assert_eq!(
        chain.state(0).unwrap().account(account(1).address()).unwrap().unwrap().balance,
        SUPPLY,
        "genesis is readable before block one has written it"
    );
    let heights: Vec<_> = (0..5)
        .map(|nonce| included(&chain, chain.submit(transfer(&account(1), nonce, to, 1)).unwrap()))
        .collect();
    for (paid, height) in (1..).zip(&heights) {
        let then = chain.state(*height).unwrap().account(to).unwrap().unwrap();
        assert_eq!(then.balance, U256::from(paid));
    }
    assert!(matches!(chain.state(u64::MAX), Err(ChainError::StateNotAvailable { .. })));
}

#[test]
fn the_pool_answers_as_geth_does() {
    let folder = tempfile::tempdir().unwrap();
    let chain = start(config(folder.path())).unwrap();
    let to = Address::repeat_byte(9);
    included(&chain, chain.submit(transfer(&account(1), 0, to, 1)).unwrap());
    let error = chain.submit(transfer(&account(1), 0, to, 2)).unwrap_err();
    assert_eq!(error, PoolError::NonceTooLow { expected: 1, got: 0 });
    let error = chain.submit(transfer(&account(2), 0, to, 2)).unwrap_err();
    assert!(matches!(error, PoolError::InsufficientFunds { .. }));
    // With a gap before it, it waits.
    let waiting = transfer(&account(1), 5, to, 1);
    chain.submit(waiting.clone()).unwrap();
    assert_eq!(chain.submit(waiting).unwrap_err(), PoolError::AlreadyKnown);
    assert_eq!(chain.submit(transfer(&account(1), 5, to, 2)).unwrap_err(), PoolError::ReplacementUnderpriced);
    assert_eq!(chain.pending_nonce(account(1).address()).unwrap(), 1);
}

#[test]
fn a_log_query_over_a_limit_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let chain = start(config(folder.path())).unwrap();
    // transfer(address,uint256)
    let (selector, to) = (hex!("a9059cbb"), Address::repeat_byte(9).into_word());
    let input = [selector.as_slice(), to.as_slice(), &U256::ONE.to_be_bytes::<32>()].concat();
    for nonce in 0..2 {
        let transfer =
            call(&account(1), nonce, TxKind::Call(OPEN), U256::ZERO, input.clone().into(), 100_000);
        included(&chain, chain.submit(transfer).unwrap());
    }
    let filter = LogFilter::default();
    let logs = |blocks, logs| chain.logs(0, u64::MAX, &filter, LogLimits { blocks, logs });
    assert_eq!(logs(1_000, 2).unwrap().len(), 2);
    assert!(matches!(logs(1_000, 1), Err(ChainError::TooMuch { what: "query results", got: 2, limit: 1 })));
    assert!(matches!(logs(2, 2), Err(ChainError::TooMuch { what: "block range", limit: 2, .. })));
}

#[test]
fn what_waits_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let to = Address::repeat_byte(9);
    let chain = start(config(folder.path())).unwrap();
    let done = chain.submit(transfer(&account(1), 0, to, 1)).unwrap();
    included(&chain, done);
    let waiting = chain.submit(transfer(&account(1), 2, to, 1)).unwrap();
    chain.shutdown().unwrap();
    drop(chain);

    let chain = start(config(folder.path())).unwrap();
    assert!(chain.waiting(waiting).is_some());
    assert_eq!(chain.waiting_count(), 1);
    included(&chain, chain.submit(transfer(&account(1), 1, to, 1)).unwrap());
    included(&chain, waiting);
    assert_eq!(balance(&chain, to), U256::from(3));
}
