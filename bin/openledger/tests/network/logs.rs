//! What a node writes of itself for programs.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use alloy_primitives::Address;
use openledger_node::{GenesisOptions, init};
use serde_json::Value;

#[test]
fn a_log_as_json_is_an_object_on_every_line() {
    let home = tempfile::tempdir().unwrap();
    init(home.path(), &GenesisOptions::new(Address::repeat_byte(1))).unwrap();
    let node = |filter: &str, format: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openledger"));
        command.env("OPENLEDGER_LOG", filter).env("OPENLEDGER_LOG_FORMAT", format);
        command.arg("--home").arg(home.path()).args(["node", "--with-parent", "--http", "127.0.0.1:0"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut child = node("info", "json").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("chain 20260 at http://127.0.0.1:"), "{line}");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    let entries: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let started = entries.iter().find(|entry| entry["message"] == "node started").expect(&log);
    assert_eq!((&started["level"], &started["chain_id"]), (&"INFO".into(), &20_260.into()), "{started}");
    assert!(started["timestamp"].is_string() && started["target"] == "openledger_node::node", "{started}");

    for (filter, format, reason) in [
        ("info", "xml", "OPENLEDGER_LOG_FORMAT=xml: the log is written as text or as json"),
        ("a=b=c", "text", "OPENLEDGER_LOG=a=b=c is not a filter"),
    ] {
        let refused = node(filter, format).output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && said.contains(reason), "{said}");
    }
}
