//! Who has never been part of a network joins it with the commands of the README: stakes, registers, votes, and leaves.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what failed")]

mod processes;

use std::path::Path;
use std::process::Command;

use alloy_primitives::Address;
use openledger_client::Client;
use serde_json::Value;

use processes::{VALIDATORS, eventually, free_ports, openledger, signal};

/// Runs a command to its end; what it says, also if it fails.
fn run(home: &Path, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openledger"));
    let output = command.arg("--home").arg(home).arg("--json").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifth_node_joins_with_the_commands_of_the_readme_votes_and_leaves() {
    let (network, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let base = free_ports();
    let (mut testnet, said) =
        openledger(network.path(), &["testnet", "--base-port", &base.to_string(), "--epoch-blocks", "8"]);
    let first = &said["validators"][0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rpc = text(&first["rpc"]);

    // Before there is a node, one is told how to get one.
    let account = text(&run(own.path(), &["wallet", "create", "validator"])["address"]);
    let refused = run(own.path(), &["--rpc", &rpc, "validator", "register"]);
    assert!(text(&refused["error"]).contains("node --genesis"), "{refused}");

    let sent = run(network.path(), &["--rpc", &rpc, "wallet", "send", "community", &account, "10100"]);
    assert!(sent["tx"].is_string(), "{sent}");
    let genesis = text(&said["genesis"]);
    let place = |port: u16| format!("127.0.0.1:{}", port + VALIDATORS as u16);
    let (http, listen) = (place(base), place(base + 100));
    let mut arguments =
        vec!["node", "--with-parent", "--genesis", &genesis, "--http", &http, "--listen", &listen];
    for peer in said["peers"].as_array().unwrap() {
        arguments.extend(["--peer", peer.as_str().unwrap()]);
    }
    let (mut node, joined) = openledger(own.path(), &arguments);
    assert_eq!(joined["listen"], listen, "{joined}");

    let registered = run(own.path(), &["--rpc", &rpc, "validator", "register"]);
    assert_eq!(registered["key"], joined["key"], "{registered}");
    let from = registered["votes_from"]["block"].as_u64().unwrap();
    let again = run(own.path(), &["--rpc", &rpc, "validator", "register"]);
    assert!(text(&again["error"]).contains("key"), "{again}");

    // It follows, and leads blocks from the block on that it was told.
    let follower = Client::connect(&format!("http://{http}")).await.unwrap();
    let address: Address = account.parse().unwrap();
    let led = eventually("a block that the new validator has led", async || {
        let head = follower.latest_header().await.unwrap();
        (head.beneficiary == address).then_some(head.number)
    })
    .await;
    assert!(led >= from, "it led block {led}, before {from}");
    let theirs = Client::connect(&rpc).await.unwrap();
    theirs.wait_for_block(led).await.unwrap();
    assert_eq!(
        theirs.header(led).await.unwrap().unwrap().hash,
        follower.header(led).await.unwrap().unwrap().hash
    );
    // The node that runs on the folder answers without being named.
    let status = run(own.path(), &["validator", "status"]);
    assert_eq!(status["is_this_node"], true, "{status}");
    assert_eq!(status["seats"][0]["key"], joined["key"], "{status}");

    let left = run(own.path(), &["validator", "deregister"]);
    assert!(left["no_seat_from"]["block"].as_u64().unwrap() > led, "{left}");
    let status = run(own.path(), &["validator", "status"]);
    assert!(status["candidate_for"].is_null() && status["key"].is_null(), "{status}");

    drop(node.stdin.take());
    assert!(node.wait().unwrap().success());
    signal("-INT", u64::from(testnet.id()));
    assert!(testnet.wait().unwrap().success());
}
