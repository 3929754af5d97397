//! Networks of processes, one at a time.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what failed")]

mod eventually;
mod logs;
mod processes;
mod proof;
mod testnet;
mod validator;
