//! Refusals: the Solidity error that a module reverted with, as a sentence.

mod reasons;

use alloy_primitives::{Address, Bytes, TxKind};
use alloy_sol_types::{Panic, Revert, SolError};
use openledger_types::abi::{IChannels, IDatanets, IEscrow, IModels, IOpen, IParams, ISettlement, IStaking};
use openledger_types::addresses::{CHANNELS, DATANETS, ESCROW, MODELS, OPEN, PARAMS, SETTLEMENT, STAKING};

use crate::error::ClientError;
use reasons::Reason;

/// Longest text of a contract that is repeated.
const MAX_TEXT: usize = 500;

/// The error of a call that reverted with these bytes. The errors of whoever was called are tried first, because two
/// modules may name an error alike; then those of all modules, because modules call each other and contracts call modules.
pub(crate) fn explain(to: TxKind, raw: Bytes) -> ClientError {
    let called = match to {
        TxKind::Call(address) => MODULES.iter().find(|module| module.address == address),
        TxKind::Create => None,
    };
    let candidates = called.into_iter().chain(&MODULES);
    let found = candidates.into_iter().find_map(|module| Some((module.name, (module.decode)(&raw)?)));
    let (module, (name, message)) = found.unwrap_or_else(|| {
        let who = match to {
            TxKind::Call(_) if called.is_some() => String::new(),
            TxKind::Call(address) => format!("{address}: "),
            TxKind::Create => "the constructor: ".to_owned(),
        };
        let (name, message) = plain(&raw);
        (called.map_or("contract", |module| module.name), (name, format!("{who}{message}")))
    });
    ClientError::Reverted { module, name, message, raw }
}

/// A module and how its errors are read: their name and sentence.
struct Errors {
    address: Address,
    name: &'static str,
    decode: fn(&[u8]) -> Option<(&'static str, String)>,
}

const MODULES: [Errors; 8] = [
    Errors { address: OPEN, name: "open", decode: decode::<IOpen::IOpenErrors> },
    Errors { address: DATANETS, name: "datanets", decode: decode::<IDatanets::IDatanetsErrors> },
    Errors { address: MODELS, name: "models", decode: decode::<IModels::IModelsErrors> },
    Errors { address: ESCROW, name: "escrow", decode: decode::<IEscrow::IEscrowErrors> },
    Errors { address: SETTLEMENT, name: "settlement", decode: decode::<ISettlement::ISettlementErrors> },
    Errors { address: STAKING, name: "staking", decode: decode::<IStaking::IStakingErrors> },
    Errors { address: PARAMS, name: "params", decode: decode::<IParams::IParamsErrors> },
    Errors { address: CHANNELS, name: "channels", decode: decode::<IChannels::IChannelsErrors> },
];

fn decode<E: Reason>(raw: &[u8]) -> Option<(&'static str, String)> {
    let error = E::abi_decode(raw).ok()?;
    Some((E::error_name(error.selector())?, error.reason()))
}

/// What is refused without an error of the modules: a text, a failed assertion, or bytes of another contract.
fn plain(raw: &Bytes) -> (&'static str, String) {
    if raw.is_empty() {
        return (
            "unknown",
            "no reason was given (a payment to a call that takes none, or data that is no call)".to_owned(),
        );
    }
    if let Ok(Revert { reason }) = Revert::abi_decode(raw) {
        return ("Error", reason.chars().take(MAX_TEXT).collect());
    }
    if let Ok(panic) = Panic::abi_decode(raw) {
        return ("Panic", panic.to_string());
    }
    let shown = &raw[..raw.len().min(MAX_TEXT / 2)];
    ("unknown", format!("with the unknown error {}", alloy_primitives::hex::encode_prefixed(shown)))
}

#[cfg(test)]
mod tests;
