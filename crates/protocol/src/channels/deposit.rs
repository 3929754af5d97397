//! Deposits into a channel: what the ERC-3009 collector of x402 does, done here.

use alloy_primitives::{Address, B256, Bytes, U256, address};
use alloy_sol_types::SolValue;
use openledger_types::abi::{ChannelConfig, IChannels};
use openledger_types::addresses::CHANNELS;
use openledger_types::channel::deposit_nonce;

use super::{BY_ID, id_of};
use crate::error::{Result, overflow, revert};
use crate::open::{self, Authorization};
use crate::signature::Signed;
use crate::storage::{Storage, emit};

/// The collector to which x402 clients authorise a deposit. Nothing is deployed there.
pub const ERC3009_COLLECTOR: Address = address!("4020806089470a89826cB9fB1f4059150b550004");

/// Puts OPEN of the payer into a channel: by its ERC-3009 authorisation to the [collector](ERC3009_COLLECTOR), whoever calls, or
/// from the caller if that is the payer and the collector is the zero address.
///
/// # Errors
/// `InvalidConfig`, `ZeroAmount`, `WrongCollector`, `InvalidCollectorData`, `NotParty`, those of an
/// [authorisation](Authorization) and `ERC20InsufficientBalance`.
pub fn deposit(
    storage: &mut dyn Storage,
    caller: Address,
    config: &ChannelConfig,
    amount: u128,
    collector: Address,
    data: &Bytes,
) -> Result<()> {
    let id = id_of(storage, config)?;
    if amount == 0 {
        return Err(revert(IChannels::ZeroAmount {}));
    }
    match collector {
        ERC3009_COLLECTOR => {
            let (authorization, signed) = authorised(config, id, amount, data)?;
            open::collect(storage, &authorization, CHANNELS, &signed)?;
        }
        Address::ZERO if caller == config.payer => {
            open::move_to_module(storage, caller, CHANNELS, U256::from(amount))?;
        }
        Address::ZERO => return Err(revert(IChannels::NotParty { caller, channelId: id })),
        _ => return Err(revert(IChannels::WrongCollector { collector })),
    }
    let slots = BY_ID.at(id);
    let (before, claimed) = slots.balance.get(storage)?;
    let balance = before.checked_add(amount).ok_or_else(overflow)?;
    slots.balance.set(storage, (balance, claimed))?;
    let payer = config.payer;
    emit(storage, CHANNELS, &IChannels::ChannelDeposited { channelId: id, payer, amount, balance })
}

/// What `abi.encode(validAfter, validBefore, salt, signature)` authorises.
fn authorised(
    config: &ChannelConfig,
    id: B256,
    amount: u128,
    data: &Bytes,
) -> Result<(Authorization, Signed)> {
    let (valid_after, valid_before, salt, signature) =
        <(U256, U256, U256, Bytes)>::abi_decode_params_validate(data)
            .map_err(|_malformed| revert(IChannels::InvalidCollectorData {}))?;
    let authorization = Authorization {
        from: config.payer,
        to: ERC3009_COLLECTOR,
        value: U256::from(amount),
        valid_after,
        valid_before,
        nonce: deposit_nonce(id, salt),
    };
    Ok((authorization, Signed::from_bytes(&signature)))
}
