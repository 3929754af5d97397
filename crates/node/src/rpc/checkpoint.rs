//! `openledger_getCheckpoint`: what a new node can start from.

use super::{
    blocks,
    error::{self, Answer},
};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::U64;
use openledger_chain::ChainHandle;
use serde_json::{Value, json};

/// The newest block with a certificate of its own that is not above the one asked for; null if there is none.
pub(super) fn checkpoint(chain: &ChainHandle, at: Option<BlockNumberOrTag>) -> Answer<Value> {
    let at = blocks::height(chain, at.unwrap_or_default());
    let found = chain.checkpoint(Some(at)).map_err(error::chain)?;
    Ok(found.map_or(Value::Null, |checkpoint| {
        json!({
            "number": U64::from(checkpoint.number),
            "hash": checkpoint.hash,
            "certificate": checkpoint.certificate,
            "validators": checkpoint.validators,
        })
    }))
}
