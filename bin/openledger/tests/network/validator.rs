//! Who has never been part of a network joins it with the commands of the README: stakes, registers, votes, and leaves.

use std::path::Path;
use std::process::Child;

use alloy_primitives::Address;
use openledger_client::Client;
use serde_json::Value;

use crate::eventually::eventually;
use crate::processes::{VALIDATORS, alone, free_ports, openledger, run, signal};

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Starts a node that follows a network which `testnet` has laid out. Its HTTP port is `port`, and 100 more that of the others.
fn follow(home: &Path, network: &Value, port: u16) -> (Child, Value) {
    let genesis = text(&network["genesis"]);
    let (http, listen) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", port + 100));
    let mut arguments =
        vec!["node", "--with-parent", "--genesis", &genesis, "--http", &http, "--listen", &listen];
    for peer in network["peers"].as_array().unwrap() {
        arguments.extend(["--peer", peer.as_str().unwrap()]);
    }
    let (node, said) = openledger(home, &arguments);
    assert_eq!(said["listen"], listen, "{said}");
    (node, said)
}

fn stop(mut node: Child) {
    drop(node.stdin.take());
    assert!(node.wait().unwrap().success());
}

/// The number of the first block above `above` that an account has led.
async fn led(client: &Client, account: Address, above: u64) -> u64 {
    eventually("a block that the validator has led", async || {
        let head = client.latest_header().await.unwrap();
        (head.beneficiary == account && head.number > above).then_some(head.number)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifth_node_joins_with_the_commands_of_the_readme_votes_changes_its_key_and_leaves() {
    let _network = alone().await;
    let (network, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let base = free_ports();
    let (mut testnet, said) =
        openledger(network.path(), &["testnet", "--base-port", &base.to_string(), "--epoch-blocks", "8"]);
    let first = &said["validators"][0];
    let rpc = text(&first["rpc"]);

    // Before there is a node, one is told how to get one.
    let account = text(&run(own.path(), &["wallet", "create", "validator"]).1["address"]);
    let refused = run(own.path(), &["--rpc", &rpc, "validator", "register"]).1;
    assert!(text(&refused["error"]).contains("node --genesis"), "{refused}");

    let sent = run(network.path(), &["--rpc", &rpc, "wallet", "send", "community", &account, "10100"]).1;
    assert!(sent["tx"].is_string(), "{sent}");
    let genesis = text(&said["genesis"]);
    let port = base + VALIDATORS as u16;
    let (node, joined) = follow(own.path(), &said, port);

    let registered = run(own.path(), &["--rpc", &rpc, "validator", "register"]).1;
    assert_eq!(registered["key"], joined["key"], "{registered}");
    let from = registered["votes_from"]["block"].as_u64().unwrap();
    let again = run(own.path(), &["--rpc", &rpc, "validator", "register"]).1;
    assert!(text(&again["error"]).contains("key"), "{again}");

    // It follows, and leads blocks from the block on that it was told.
    let follower = Client::connect(&text(&joined["rpc"])).await.unwrap();
    let address: Address = account.parse().unwrap();
    let led_first = led(&follower, address, 0).await;
    assert!(led_first >= from, "it led block {led_first}, before {from}");
    let theirs = Client::connect(&rpc).await.unwrap();
    theirs.wait_for_block(led_first).await.unwrap();
    assert_eq!(
        theirs.header(led_first).await.unwrap().unwrap().hash,
        follower.header(led_first).await.unwrap().unwrap().hash
    );
    // The node that runs on the folder answers without being named.
    let status = run(own.path(), &["validator", "status"]).1;
    assert_eq!(status["is_this_node"], true, "{status}");
    assert_eq!(status["seats"][0]["key"], joined["key"], "{status}");

    // Its vote is believed by who knows the genesis alone, once the handovers from epoch to epoch are there.
    let file = |name: &str| own.path().join(name).display().to_string();
    let (proof, handovers) = (file("proof.json"), file("handovers.json"));
    assert!(run(own.path(), &["chain", "prove", &account, "--out", &proof]).0);
    let check = ["chain", "check", &proof, "--genesis", &genesis];
    let refused = run(own.path(), &check).1;
    assert!(text(&refused["error"]).contains("openledger chain handovers"), "{refused}");
    let written = run(own.path(), &["--rpc", &rpc, "chain", "handovers", "--out", &handovers]).1;
    assert!(written["epochs"].as_u64().unwrap() > 0, "{written}");
    let (believed, proven) = run(own.path(), &[check.as_slice(), &["--handovers", &handovers]].concat());
    assert!(believed, "{proven}");
    let (mut following, shown) =
        openledger(own.path(), &["chain", "follow", &account, "--genesis", &genesis, "--rpc", &rpc]);
    assert!(shown["signed_by"].as_array().unwrap().len() >= VALIDATORS - 1, "{shown}");
    signal("-INT", u64::from(following.id()));
    assert!(following.wait().unwrap().success());

    // It moves to another machine: that one follows, its key is named, and the old node ends once the new key votes.
    let moved = tempfile::tempdir().unwrap();
    let (successor, new) = follow(moved.path(), &said, port + 1);
    let to = moved.path().display().to_string();
    let rotated = run(own.path(), &["--rpc", &rpc, "validator", "rotate", "--to", &to]).1;
    assert_eq!(rotated["key"], new["key"], "{rotated}");
    let from = rotated["votes_from"]["block"].as_u64().unwrap();
    theirs.wait_for_block(from).await.unwrap();
    stop(node);
    let led_moved = led(&theirs, address, from).await;
    let status = run(own.path(), &["--rpc", &rpc, "validator", "status"]).1;
    assert_eq!(status["seats"][0]["key"], new["key"], "{status}");
    assert_eq!(status["is_this_node"], false, "{status}");

    let left = run(own.path(), &["--rpc", &rpc, "validator", "deregister"]).1;
    assert!(left["no_seat_from"]["block"].as_u64().unwrap() > led_moved, "{left}");
    let status = run(own.path(), &["--rpc", &rpc, "validator", "status"]).1;
    assert!(status["candidate_for"].is_null() && status["key"].is_null(), "{status}");

    stop(successor);
    signal("-INT", u64::from(testnet.id()));
    assert!(testnet.wait().unwrap().success());
}
