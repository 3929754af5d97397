//! From an address and call data to an operation.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolInterface};
use openledger_types::addresses;

use crate::error::{ModuleError, Result, revert_text};
use crate::storage::{Call, Storage};
use crate::{channels, datanets, escrow, models, open, params, settlement, staking};

/// Calls the module at `module` with `data`. `None` if there is no module there.
///
/// # Errors
/// Those of the operation; a revert without data for an unknown selector, as Solidity does.
pub fn dispatch(
    storage: &mut dyn Storage,
    module: Address,
    call: &Call,
    data: &[u8],
) -> Option<Result<Bytes>> {
    let operation = match module {
        addresses::OPEN => open::dispatch,
        addresses::DATANETS => datanets::dispatch,
        addresses::MODELS => models::dispatch,
        addresses::ESCROW => escrow::dispatch,
        addresses::SETTLEMENT => settlement::dispatch,
        addresses::STAKING => staking::dispatch,
        addresses::PARAMS => params::dispatch,
        addresses::CHANNELS => channels::dispatch,
        _ => return None,
    };
    Some(operation(storage, call, data))
}

/// The call that the data encodes.
pub(crate) fn decode<C: SolInterface>(data: &[u8]) -> Result<C> {
    let selector = data.first_chunk::<4>().filter(|selector| C::valid_selector(**selector));
    if selector.is_none() {
        return Err(ModuleError::Revert(Bytes::new()));
    }
    C::abi_decode_validate(data).map_err(|error| revert_text(&format!("the call data is malformed: {error}")))
}

/// The return data of a call.
pub(crate) fn returns<C: SolCall>(value: &C::Return) -> Result<Bytes> {
    Ok(C::abi_encode_returns(value).into())
}

/// The return data of a call that returns nothing.
pub(crate) fn nothing(_done: ()) -> Result<Bytes> {
    Ok(Bytes::new())
}

/// The number after `last`, of things that are counted from 1.
pub(crate) fn next_id(last: U256) -> Result<U256> {
    crate::math::add(last, U256::ONE)
}
