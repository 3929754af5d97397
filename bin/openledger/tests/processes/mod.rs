//! The binary as processes.

mod eventually;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

pub(crate) use eventually::eventually;

pub(crate) const VALIDATORS: usize = 4;

/// Starts a command and reads the first line that it says.
pub(crate) fn openledger(home: &Path, arguments: &[&str]) -> (Child, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_openledger"))
        .arg("--home")
        .arg(home)
        .arg("--json")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}")))
}

pub(crate) fn signal(name: &str, pid: u64) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// The first of a run of ports that are free, as far as one can tell.
pub(crate) fn free_ports() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let offset = (std::process::id() % 100) as u16 * 200;
    (0..100)
        .map(|attempt| 20_000 + (offset + attempt * 200) % 20_000)
        .find(|base| (0..=VALIDATORS as u16).all(|number| free(base + number) && free(base + 100 + number)))
        .expect("some ports are free")
}
