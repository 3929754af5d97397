//! The binary as processes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

pub(crate) const VALIDATORS: usize = 4;

/// Held by a test for as long as its network runs: several at once would want the same ports and wait for each other.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static NETWORK: Mutex<()> = Mutex::const_new(());
    NETWORK.lock().await
}

fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openledger"));
    command.arg("--home").arg(home).arg("--json").args(arguments);
    command
}

/// Runs a command to its end: whether it succeeded, and what it said on standard output.
pub(crate) fn run(home: &Path, arguments: &[&str]) -> (bool, Value) {
    finish(command(home, arguments).stdout(Stdio::piped()).spawn().unwrap())
}

/// Runs a command to its end with something on standard input.
pub(crate) fn run_with(home: &Path, arguments: &[&str], input: &[u8]) -> (bool, Value) {
    let mut child = command(home, arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    finish(child)
}

fn finish(child: Child) -> (bool, Value) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    (output.status.success(), value)
}

/// Starts a command and reads the first line that it says.
pub(crate) fn openledger(home: &Path, arguments: &[&str]) -> (Child, Value) {
    let mut child = command(home, arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    // Whatever follows is read too: a program whose output nobody takes ends.
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
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
        .find(|base| {
            (0..VALIDATORS as u16 + 2).all(|number| free(base + number) && free(base + 100 + number))
        })
        .expect("some ports are free")
}
