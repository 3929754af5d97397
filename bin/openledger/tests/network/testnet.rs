//! Four validators and a follower as processes: one is killed under load, the others go on, it comes back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy_primitives::{Address, Bytes, U256};
use openledger_client::{Client, Keystore, Wallet};

use crate::eventually::eventually;
use crate::processes::{VALIDATORS, alone, free_ports, openledger, signal};

/// Pays one wei after another through a validator, and counts those that are final.
async fn pay(client: Client, wallet: Wallet, to: Address, paid: Arc<AtomicU64>) {
    loop {
        client.send_and_confirm(&wallet, to, U256::ONE, Bytes::new()).await.unwrap();
        paid.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_validator_comes_back_to_the_same_state_while_the_others_go_on() {
    let _network = alone().await;
    let home = tempfile::tempdir().unwrap();
    let base_port = free_ports().to_string();
    let (mut testnet, said) =
        openledger(home.path(), &["testnet", "--followers", "1", "--base-port", &base_port]);
    let validators = said["validators"].as_array().unwrap().clone();
    assert_eq!(validators.len(), VALIDATORS);
    let follower = Client::connect(said["followers"][0]["rpc"].as_str().unwrap()).await.unwrap();
    let mut clients = Vec::new();
    for validator in &validators {
        clients.push(Client::connect(validator["rpc"].as_str().unwrap()).await.unwrap());
    }
    let password = std::fs::read_to_string(home.path().join("keystore-password")).unwrap();
    let keystore = Keystore::open(home.path().join("keystore")).unwrap();
    let wallet = keystore.unlock("community", password.trim()).unwrap();
    let to = Address::repeat_byte(9);
    let paid = Arc::new(AtomicU64::new(0));
    let load = tokio::spawn(pay(clients[0].clone(), wallet, to, paid.clone()));
    let reach = async |count: u64| {
        eventually("payments", async || (paid.load(Ordering::Relaxed) >= count).then_some(())).await;
    };
    reach(3).await;

    let last = &validators[VALIDATORS - 1];
    signal("-KILL", last["pid"].as_u64().unwrap());
    reach(paid.load(Ordering::Relaxed) + 5).await;

    let folder = Path::new(last["home"].as_str().unwrap());
    let (mut back, said) = openledger(folder, &["node", "--with-parent"]);
    clients[VALIDATORS - 1] = Client::connect(said["rpc"].as_str().unwrap()).await.unwrap();
    reach(paid.load(Ordering::Relaxed) + 3).await;
    load.abort();
    clients.push(follower);
    let height = clients[0].block_number().await.unwrap();
    for client in &clients {
        eventually("a common height", async || {
            (client.block_number().await.unwrap() >= height).then_some(())
        })
        .await;
    }
    for number in 0..=height {
        let mut seen = Vec::new();
        for client in &clients {
            let header = client.header(number).await.unwrap().unwrap();
            seen.push((header.hash, header.state_root));
        }
        assert!(seen.iter().all(|other| *other == seen[0]), "block {number}: {seen:?}");
    }
    assert!(clients[VALIDATORS - 1].balance(to).await.unwrap() >= U256::from(paid.load(Ordering::Relaxed)));

    // A closed pipe ends the one, Ctrl-C the others; both cleanly.
    drop(back.stdin.take());
    assert!(back.wait().unwrap().success());
    signal("-INT", u64::from(testnet.id()));
    assert!(testnet.wait().unwrap().success());
    for validator in &validators {
        let log = Path::new(validator["home"].as_str().unwrap()).join("node.log");
        let log = std::fs::read_to_string(log).unwrap();
        assert!(!log.contains("a validator "), "contradicting votes: {log}");
    }
}
