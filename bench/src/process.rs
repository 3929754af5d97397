//! Other processes that are measured.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Child;

use anyhow::{Context, Result};
use serde_json::Value;

/// What a program started with `--json` says first: that it is ready, and where.
pub(crate) fn said(child: &mut Child, command: &str) -> Result<Value> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("a child has an output")?).read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("{command} said {line:?}"))
}

/// Bytes of memory that a process holds.
pub(crate) fn memory_bytes(pid: u64) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .with_context(|| format!("process {pid} does not tell its memory"))?;
    Ok(kib * 1024)
}
