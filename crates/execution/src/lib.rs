#![doc = include_str!("../README.md")]
// Tests are free of these: they compute with numbers that they know.
#![cfg_attr(
    not(test),
    deny(
        clippy::float_arithmetic,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::indexing_slicing
    )
)]

mod block;
mod call;
mod env;
mod error;
mod evm;
mod genesis;
mod meter;
mod overlay;
mod overrides;
mod precompiles;
mod predeploys;
mod state;
#[cfg(test)]
mod tests;
mod trace;
mod upgrades;
mod validators;

pub use block::{
    BlockOutcome, BuiltBlock, TxOutcome, build_block, build_block_with, execute_block, execute_block_with,
};
pub use call::{
    CALL_GAS_CAP, CallOutcome, CallRequest, CallStatus, EstimateError, call, create_access_list, estimate_gas,
};
pub use env::{BlockEnv, MAX_TRANSACTION_GAS, SPEC, next_base_fee};
pub use error::{ExecutionError, TxError};
pub use genesis::{
    Election, Genesis, GenesisError, GenesisRole, GenesisStake, GenesisVesting, Governance, ValidatorSeat,
};
pub use overrides::{AccountOverride, BlockOverrides, OverrideError, Overrides};
pub use state::{AccountState, MapState, StateError, StateKey, StateReader, StateWrites};
pub use trace::{MAX_TRACE_BYTES, TraceError, trace_call, trace_transactions};
pub use validators::{Candidate, Turn, candidates, key_owner, key_proof, validator_set, validator_set_slots};
