//! A node whose files may grow no further, as on a full disk: it stops, says why, and has lost nothing final.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what failed")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use alloy_primitives::{Address, Bytes, U256, keccak256};
use openledger_client::{Client, Keystore, Strength};
use openledger_node::GenesisOptions;
use serde_json::Value;

/// Bytes of what is stored with each payment; they do not compress.
const PAYLOAD_BYTES: usize = 64 * 1024;
/// How much larger than the largest file of an empty chain a file may become, KiB.
const ROOM_KIB: u64 = 1024;
/// More payments than the room is for.
const MOST_PAYMENTS: u64 = 200;

/// A node, its JSON-RPC, and where its messages go. No file of it may become larger than `limit` KiB.
fn node(home: &Path, limit: Option<u64>) -> (Child, String, PathBuf) {
    let log = home.join("stderr");
    let limit = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    let mut child = Command::new("bash")
        // A write beyond the limit fails as one on a full disk does, if the signal for it is ignored.
        .args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", &limit])
        .arg(env!("CARGO_BIN_EXE_openledger"))
        .arg("--home")
        .arg(home)
        .args(["--json", "node", "--with-parent", "--http", "127.0.0.1:0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    (child, said["rpc"].as_str().unwrap().to_owned(), log)
}

fn stop(mut node: Child) -> bool {
    drop(node.stdin.take());
    node.wait().unwrap().success()
}

/// The size of the largest file below a folder.
fn largest(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let size = |path: PathBuf| if path.is_dir() { largest(&path) } else { fs::metadata(path).unwrap().len() };
    entries.map(size).max().unwrap_or(0)
}

fn payload(number: u64) -> Bytes {
    let word = |part: usize| keccak256([number.to_be_bytes(), (part as u64).to_be_bytes()].concat()).0;
    (0..PAYLOAD_BYTES / 32).flat_map(word).collect::<Vec<u8>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_a_full_disk_says_so_stops_and_goes_on_where_it_was_once_there_is_room() {
    let home = tempfile::tempdir().unwrap();
    let keystore = Keystore::open(home.path().join("keystore")).unwrap();
    let wallet = keystore.create("payer", "a password", Strength::Light).unwrap();
    openledger_node::init(home.path(), &GenesisOptions::new(wallet.address())).unwrap();
    let to = Address::repeat_byte(9);

    let (running, rpc, _) = node(home.path(), None);
    let client = Client::connect(&rpc).await.unwrap();
    client.send_and_confirm(&wallet, to, U256::ONE, payload(0)).await.unwrap();
    assert!(stop(running));

    let limit = largest(home.path()) / 1024 + ROOM_KIB;
    let (mut running, rpc, log) = node(home.path(), Some(limit));
    let client = Client::connect(&rpc).await.unwrap();
    let mut last = None;
    let mut paid = 1;
    while paid <= MOST_PAYMENTS {
        match client.send_and_confirm(&wallet, to, U256::ONE, payload(paid)).await {
            Ok(receipt) => last = Some(receipt),
            Err(_) => break,
        }
        paid += 1;
    }
    assert!(!running.wait().unwrap().success(), "it ended as if nothing had happened");
    let said = fs::read_to_string(log).unwrap();
    let error = said.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(error.contains("File too large"), "{error}");

    let (running, rpc, _) = node(home.path(), None);
    let client = Client::connect(&rpc).await.unwrap();
    let last = last.expect("some payments had room");
    let header = client.header(last.block_number.unwrap()).await.unwrap().unwrap();
    assert_eq!(Some(header.hash), last.block_hash);
    assert!(client.balance(to).await.unwrap() >= U256::from(paid));
    client.send_and_confirm(&wallet, to, U256::ONE, payload(paid + 1)).await.unwrap();
    assert!(stop(running));
}
