//! A proof is asked of a node, and checked from the genesis file alone.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what failed")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The module of staking: it has code, a balance and slots.
const STAKING: &str = "0x4F50454e00000000000000000000000000000006";

const WAIT: Duration = Duration::from_secs(60);

/// A process that does not outlive a failed test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn openledger(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openledger"));
    command.arg("--home").arg(home).arg("--json").args(arguments);
    command
}

fn started(mut command: Command) -> (Running, Value) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (Running(child), serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}")))
}

/// What a command says on standard output, and whether it succeeded.
fn said(output: &Output) -> (bool, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    (output.status.success(), value)
}

fn free_port() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let offset = (std::process::id() % 100) as u16 * 100;
    (0..100)
        .map(|attempt| 41_000 + (offset + attempt * 10) % 10_000)
        .find(|port| free(*port) && free(port + 100))
        .expect("some ports are free")
}

#[test]
fn a_proof_is_believed_for_the_genesis_alone_and_not_when_anything_differs() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| openledger(home.path(), arguments).output().unwrap();
    let port = free_port().to_string();
    let (mut testnet, network) =
        started(openledger(home.path(), &["testnet", "--validators", "1", "--base-port", &port]));
    let node = &network["validators"][0];
    let rpc = node["rpc"].as_str().unwrap();
    let genesis = format!("{}/node/genesis.json", node["home"].as_str().unwrap());
    let file = home.path().join("proof.json").display().to_string();

    let prove = ["chain", "prove", STAKING, "0", "0xffffffffffffffff", "--rpc", rpc, "--out", &file];
    // There is a state to prove from the first block on.
    let start = Instant::now();
    while !said(&run(&prove)).0 {
        assert!(start.elapsed() < WAIT, "nothing is proven within {WAIT:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let (believed, proven) = said(&run(&["chain", "check", &file, "--genesis", &genesis]));
    assert!(believed, "{proven}");
    assert_eq!(proven["account"].as_str().unwrap().to_lowercase(), STAKING.to_lowercase());
    assert_eq!(proven["slots"]["0xffffffffffffffff"], "0x0");
    assert!(proven["block"]["number"].as_u64().unwrap() > 0, "{proven}");
    assert_eq!(proven["signed_by"].as_array().unwrap().len(), 1);

    // Asked for without a file, the same comes on standard output and is read from standard input.
    let printed = run(&["chain", "prove", STAKING, "--rpc", rpc]);
    let mut check = openledger(home.path(), &["chain", "check", "-", "--genesis", &genesis]);
    let mut child = check.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &printed.stdout).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());

    // Every head that `follow` shows has been checked.
    let (follow, first) =
        started(openledger(home.path(), &["chain", "follow", STAKING, "--genesis", &genesis, "--rpc", rpc]));
    assert_eq!(first["balance_wei"], proven["balance_wei"]);
    drop(follow);

    let refused = |arguments: &[&str], reason: &str| {
        let (accepted, said) = said(&run(arguments));
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

    assert!(
        Command::new("kill").args(["-INT", &testnet.0.id().to_string()]).status().unwrap().success(),
        "the network is not stopped"
    );
    assert!(testnet.0.wait().unwrap().success());
}
