//! A proof is asked of a node, and checked from the genesis file alone.

use std::fs;

use serde_json::Value;

use crate::eventually::eventually;
use crate::processes::{alone, free_ports, openledger, run, run_with, signal};

/// The module of staking: it has code, a balance and slots.
const STAKING: &str = "0x4F50454e00000000000000000000000000000006";

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_believed_for_the_genesis_alone_and_not_when_anything_differs() {
    let _network = alone().await;
    let home = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| run(home.path(), arguments);
    let port = free_ports().to_string();
    let (mut testnet, network) =
        openledger(home.path(), &["testnet", "--validators", "1", "--base-port", &port]);
    let node = &network["validators"][0];
    let rpc = node["rpc"].as_str().unwrap();
    let genesis = format!("{}/node/genesis.json", node["home"].as_str().unwrap());
    let file = home.path().join("proof.json").display().to_string();

    let prove = ["chain", "prove", STAKING, "0", "0xffffffffffffffff", "--rpc", rpc, "--out", &file];
    eventually("a state to prove, from the first block on", async || said(&prove).0.then_some(())).await;
    let (believed, proven) = said(&["chain", "check", &file, "--genesis", &genesis]);
    assert!(believed, "{proven}");
    assert_eq!(proven["account"].as_str().unwrap().to_lowercase(), STAKING.to_lowercase());
    assert_eq!(proven["slots"]["0xffffffffffffffff"], "0x0");
    assert!(proven["block"]["number"].as_u64().unwrap() > 0, "{proven}");
    assert_eq!(proven["signed_by"].as_array().unwrap().len(), 1);

    // Asked for without a file, the same comes on standard output and is read from standard input.
    let printed = said(&["chain", "prove", STAKING, "--rpc", rpc]).1.to_string();
    let check = ["chain", "check", "-", "--genesis", &genesis];
    assert!(run_with(home.path(), &check, printed.as_bytes()).0);

    // Every head that `follow` shows has been checked.
    let (mut follow, first) =
        openledger(home.path(), &["chain", "follow", STAKING, "--genesis", &genesis, "--rpc", rpc]);
    assert_eq!(first["balance_wei"], proven["balance_wei"]);
    signal("-INT", u64::from(follow.id()));
    assert!(follow.wait().unwrap().success());

    let refused = |arguments: &[&str], reason: &str| {
        let (accepted, said) = said(arguments);
        let text = said["error"].as_str().unwrap_or_default();
        assert!(!accepted && text.contains(reason), "{arguments:?}: {said}");
    };
    let changed = |name: &str, path: &str, change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        change(&mut value);
        let path = home.path().join(name).display().to_string();
        fs::write(&path, value.to_string()).unwrap();
        path
    };
    let richer = changed("richer.json", &file, &|proof| proof["balance"] = "0x1".into());
    refused(&["chain", "check", &richer, "--genesis", &genesis], "is not what the state holds");
    let other = changed("other.json", &genesis, &|genesis| genesis["chain_id"] = 1.into());
    refused(&["chain", "check", &file, "--genesis", &other], "not believed");
    refused(&["chain", "check", &genesis, "--genesis", &genesis], "is not what is expected, a proof");
    refused(&["chain", "check", &file, "--genesis", &file], "is not what is expected, a genesis");
    refused(&["chain", "check", "nowhere.json", "--genesis", &genesis], "cannot read nowhere.json");
    refused(&["chain", "prove", STAKING, "--rpc", "http://127.0.0.1:1"], "no node answers at");

    signal("-INT", u64::from(testnet.id()));
    assert!(testnet.wait().unwrap().success());
}
