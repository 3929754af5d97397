//! A state that stops answering after a while, so that no call holds a thread for long.
//!
//! What a call computes without reading is bounded by its gas.

use super::error;
use alloy_primitives::{Address, B256, Bytes, U256};
use jsonrpsee::types::ErrorObjectOwned;
use openledger_chain::{ChainHandle, StateView};
use openledger_execution::{AccountState, StateError, StateReader};
use std::time::{Duration, Instant};

/// geth's `--rpc.evmtimeout`, and its limit for a trace.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The state after a block, for the time that one request may take.
pub(super) struct TimedState {
    state: StateView,
    until: Instant,
}

impl TimedState {
    /// # Errors
    /// If the state of that height is not held.
    pub(super) fn new(chain: &ChainHandle, number: u64) -> Result<Self, ErrorObjectOwned> {
        let state = chain.state(number).map_err(error::chain)?;
        Ok(Self { state, until: Instant::now() + TIMEOUT })
    }

    fn check(&self) -> Result<&StateView, StateError> {
        if Instant::now() > self.until { Err(StateError::Backend(timeout())) } else { Ok(&self.state) }
    }
}

/// geth's text.
fn timeout() -> String {
    format!("execution aborted (timeout = {}s)", TIMEOUT.as_secs())
}

/// The answer to a failed read: that of geth if the time was over.
pub(super) fn failed(reason: StateError) -> ErrorObjectOwned {
    match reason {
        StateError::Backend(text) if text == timeout() => error::server(text),
        other => error::state(other),
    }
}

impl StateReader for TimedState {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        self.check()?.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.check()?.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        self.check()?.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.check()?.block_hash(number)
    }
}

#[cfg(test)]
mod tests;
