//! The process is killed, not asked to stop.

use super::fixtures::{account, config, eventually, included, transfer};
use crate::{ChainHandle, start};
use alloy_primitives::{Address, B256, U256};
use openledger_execution::StateReader;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Present in the working directory of a process that is to be killed.
const MARKER: &str = "to-be-killed";
/// Where such a process notes each block that it saw become final.
const SEEN: &str = "seen";
const TO: Address = Address::repeat_byte(9);

fn nonce(chain: &ChainHandle) -> u64 {
    chain.pending_nonce(account(1).address()).unwrap()
}

/// Not a test by itself: what [`a_killed_validator_goes_on_with_everything_that_was_final`] starts and kills.
#[test]
fn the_process_that_is_killed() {
    if !Path::new(MARKER).exists() {
        return;
    }
    let chain = start(config(Path::new("."))).unwrap();
    let mut heads = chain.subscribe();
    let mut seen = OpenOptions::new().append(true).create(true).open(SEEN).unwrap();
    loop {
        let next = nonce(&chain);
        for nonce in next..next + 20 {
            chain.submit(transfer(&account(1), nonce, TO, 1)).unwrap();
        }
        included(&chain, chain.submit(transfer(&account(1), next + 20, TO, 1)).unwrap());
        while let Ok(head) = heads.try_recv() {
            writeln!(seen, "{} {}", head.header.number, head.hash).unwrap();
        }
    }
}

#[test]
fn a_killed_validator_goes_on_with_everything_that_was_final() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(MARKER), "").unwrap();
    for milliseconds in [0, 200, 400] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::crash::the_process_that_is_killed"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let seen = || fs::metadata(folder.path().join(SEEN)).map_or(0, |file| file.len());
        let before = seen();
        eventually("a block of the process that is to be killed", || (seen() > before).then_some(()));
        std::thread::sleep(Duration::from_millis(milliseconds));
        assert!(child.try_wait().unwrap().is_none(), "the process ended by itself");
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
    }

    let chain = start(config(folder.path())).unwrap();
    let seen = fs::read_to_string(folder.path().join(SEEN)).unwrap();
    let mut last = 0;
    for line in seen.lines() {
        let (number, hash) = line.split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        let header = chain.header(number).unwrap().unwrap();
        assert_eq!(header.hash, hash.parse::<B256>().unwrap(), "block {number} was final");
        last = last.max(number);
    }
    assert!(last > 3, "the killed processes finalised only {last} blocks");

    let head = chain.head().header.number;
    let transactions: usize =
        (1..=head).map(|number| chain.block(number).unwrap().unwrap().transactions.len()).sum();
    let state = chain.state(head).unwrap();
    assert_eq!(state.account(TO).unwrap().unwrap().balance, U256::from(transactions));
    assert_eq!(state.account(account(1).address()).unwrap().unwrap().nonce, transactions as u64);
    included(&chain, chain.submit(transfer(&account(1), nonce(&chain), TO, 1)).unwrap());
}
