//! Who has never been part of a network joins it with the commands of the README: stakes, registers, votes, and leaves.

use alloy_primitives::Address;
use openledger_client::Client;
use serde_json::Value;

use crate::eventually::eventually;
use crate::processes::{VALIDATORS, alone, free_ports, openledger, run, signal};

#[tokio::test(flavor = "multi_thread")]
async fn a_fifth_node_joins_with_the_commands_of_the_readme_votes_and_leaves() {
    let _network = alone().await;
    let (network, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let base = free_ports();
    let (mut testnet, said) =
        openledger(network.path(), &["testnet", "--base-port", &base.to_string(), "--epoch-blocks", "8"]);
    let first = &said["validators"][0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rpc = text(&first["rpc"]);

    // Before there is a node, one is told how to get one.
    let account = text(&run(own.path(), &["wallet", "create", "validator"]).1["address"]);
    let refused = run(own.path(), &["--rpc", &rpc, "validator", "register"]).1;
    assert!(text(&refused["error"]).contains("node --genesis"), "{refused}");

    let sent = run(network.path(), &["--rpc", &rpc, "wallet", "send", "community", &account, "10100"]).1;
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

    let registered = run(own.path(), &["--rpc", &rpc, "validator", "register"]).1;
    assert_eq!(registered["key"], joined["key"], "{registered}");
    let from = registered["votes_from"]["block"].as_u64().unwrap();
    let again = run(own.path(), &["--rpc", &rpc, "validator", "register"]).1;
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
    let (mut follow, shown) =
        openledger(own.path(), &["chain", "follow", &account, "--genesis", &genesis, "--rpc", &rpc]);
    assert!(shown["signed_by"].as_array().unwrap().len() >= VALIDATORS - 1, "{shown}");
    signal("-INT", u64::from(follow.id()));
    assert!(follow.wait().unwrap().success());

    let left = run(own.path(), &["validator", "deregister"]).1;
    assert!(left["no_seat_from"]["block"].as_u64().unwrap() > led, "{left}");
    let status = run(own.path(), &["validator", "status"]).1;
    assert!(status["candidate_for"].is_null() && status["key"].is_null(), "{status}");

    drop(node.stdin.take());
    assert!(node.wait().unwrap().success());
    signal("-INT", u64::from(testnet.id()));
    assert!(testnet.wait().unwrap().success());
}
