//! Which rules a block is executed by: upgrades that governance has scheduled.

use alloy_primitives::B256;
use openledger_protocol::params::{UPGRADE_HEIGHT, UPGRADE_NAME};
use openledger_types::addresses::PARAMS;

use crate::env::BlockEnv;
use crate::error::ExecutionError;
use crate::state::StateReader;

/// Names of the upgrades whose rules this software knows. Each gates its rules on `params::upgrade_height`.
const KNOWN: &[&str] = &[];

/// Refuses to execute a block to which an unknown upgrade applies: its outcome would not be what the others compute.
pub(crate) fn check(env: &BlockEnv, state: &dyn StateReader) -> Result<(), ExecutionError> {
    let height = state.storage(PARAMS, UPGRADE_HEIGHT)?;
    let Some(height) = u64::try_from(height).ok().filter(|height| *height != 0 && *height <= env.number)
    else {
        return Ok(());
    };
    let name = B256::from(state.storage(PARAMS, UPGRADE_NAME)?);
    let bytes: Vec<u8> = name.iter().copied().take_while(|byte| *byte != 0).collect();
    let name = bytes.escape_ascii().to_string();
    if KNOWN.contains(&name.as_str()) { Ok(()) } else { Err(ExecutionError::UnknownUpgrade { name, height }) }
}
