//! Channels: cumulative vouchers of x402 `batch-settlement` over OPEN.
//!
//! A payer deposits into a channel with one receiver and signs vouchers off chain, each for a larger sum in all; the receiver
//! claims any number of channels in one call by their last vouchers, and what it has claimed is paid to it by `settle`. The
//! deposit of a channel is for its receiver alone: unlike a deposit in [escrow](crate::escrow), no other can charge it, so work
//! served against a voucher is covered.
//!
//! ```text
//! deposit ──> balance ──claim (voucher)──> totalClaimed ──settle──> the receiver
//!                └──refund (receiver) or initiateWithdraw, delay, finalizeWithdraw (payer)──> the payer
//! ```
//!
//! A payer can take out what is not claimed after the delay that the channel's id commits to, at least 15 minutes: until then
//! the receiver can claim by the vouchers it has. Functions, typed data and address are those of the contract
//! `x402BatchSettlement`, whose source is not published with its ABI: what the ABI leaves open is decided here and said so.
//! Its collectors of deposits are not deployed: the module itself does what the ERC-3009 collector would, and knows no other.
//!
//! # Invariants
//! `totalClaimed` never falls, nor exceeds the channel's balance or a signed voucher. The module's balance is what channels
//! have not claimed and what receivers have not settled.

mod deposit;
mod dispatch;
#[cfg(test)]
mod tests;

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolStruct;
use openledger_types::abi::{ChannelConfig, IChannels, VoucherClaim};
use openledger_types::addresses::{CHANNELS, OPEN};
use openledger_types::channel::{Refund, Voucher, channel_id, channels_domain, claim_batch};

pub use deposit::{ERC3009_COLLECTOR, deposit};
pub(crate) use dispatch::dispatch;

use crate::error::{Result, overflow, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::add;
use crate::signature::Signed;
use crate::storage::{Storage, emit};

/// The shortest and the longest delay of a withdrawal, seconds.
pub const WITHDRAW_DELAY: (u64, u64) = (900, 2_592_000);
/// Most claims of one call.
pub const MAX_CLAIMS: usize = 256;
/// Gas of hashing a message with its domain: less than 20 words.
const DIGEST_GAS: u64 = 200;

place! {
    struct ChannelSlots {
        /// Deposited less given back, and claimed of it, wei.
        0: balance: Slot<(u128, u128)>,
        /// What the payer asked back, wei, and when, unix seconds; zeros if nothing.
        1: pending: Slot<(u128, u64)>,
        2: refund_nonce: Slot<U256>,
    }
}

/// By id.
const BY_ID: Mapping<B256, ChannelSlots> = Mapping::new(CHANNELS, 0);
/// What a receiver has claimed and what of it is paid, wei.
const RECEIVERS: Mapping<Address, Slot<(u128, u128)>> = Mapping::new(CHANNELS, 1);

/// The id of a channel that could be.
///
/// # Errors
/// `InvalidConfig`.
fn id_of(storage: &mut dyn Storage, config: &ChannelConfig) -> Result<B256> {
    let invalid = |field: &str| Err(revert(IChannels::InvalidConfig { field: field.to_owned() }));
    for (field, account) in [
        ("payer", config.payer),
        ("receiver", config.receiver),
        ("receiverAuthorizer", config.receiverAuthorizer),
    ] {
        if account.is_zero() {
            return invalid(field);
        }
    }
    if config.token != OPEN {
        return invalid("token");
    }
    let delay: u64 = config.withdrawDelay.to();
    if delay < WITHDRAW_DELAY.0 || delay > WITHDRAW_DELAY.1 {
        return invalid("withdrawDelay");
    }
    storage.charge(DIGEST_GAS)?;
    Ok(channel_id(config, storage.block().chain_id))
}

/// Deposited less given back, and what is claimed of it, wei.
///
/// # Errors
/// Those of the storage.
pub fn balance(storage: &mut dyn Storage, id: B256) -> Result<(u128, u128)> {
    BY_ID.at(id).balance.get(storage)
}

/// What a payer asked back, wei, and when, unix seconds; zeros if nothing.
///
/// # Errors
/// Those of the storage.
pub fn pending_withdrawal(storage: &mut dyn Storage, id: B256) -> Result<(u128, u64)> {
    BY_ID.at(id).pending.get(storage)
}

/// What a receiver has claimed and what of it is paid, wei.
///
/// # Errors
/// Those of the storage.
pub fn receiver(storage: &mut dyn Storage, receiver: Address) -> Result<(u128, u128)> {
    RECEIVERS.at(receiver).get(storage)
}

/// Next nonce of a refund by signature.
///
/// # Errors
/// Those of the storage.
pub fn refund_nonce(storage: &mut dyn Storage, id: B256) -> Result<U256> {
    BY_ID.at(id).refund_nonce.get(storage)
}

/// Claims by vouchers, as a party on the receiver's side of every channel.
///
/// # Errors
/// `TooMany`, `InvalidConfig`, `NotParty`, `InvalidVoucher`, `AboveVoucher`, `AboveBalance`.
pub fn claim(storage: &mut dyn Storage, caller: Address, claims: &[VoucherClaim]) -> Result<()> {
    check_count("claims", claims.len(), MAX_CLAIMS)?;
    for claim in claims {
        let config = &claim.voucher.channel;
        let id = id_of(storage, config)?;
        need_receiving(caller, config, id)?;
        take(storage, id, claim)?;
    }
    Ok(())
}

/// Claims by vouchers with the signature of the channels' one authorizer.
///
/// # Errors
/// `InvalidAuthorizer`, and those of [`claim`].
pub fn claim_with_signature(
    storage: &mut dyn Storage,
    claims: &[VoucherClaim],
    signature: &Bytes,
) -> Result<()> {
    check_count("claims", claims.len(), MAX_CLAIMS)?;
    let Some(authorizer) = claims.first().map(|claim| claim.voucher.channel.receiverAuthorizer) else {
        return Ok(());
    };
    let chain_id = storage.block().chain_id;
    let count = u64::try_from(claims.len()).map_err(|_too_many| overflow())?;
    storage.charge(DIGEST_GAS.saturating_mul(count))?;
    let digest = claim_batch(claims, chain_id).eip712_signing_hash(&channels_domain(chain_id));
    need_signature(storage, authorizer, digest, signature)?;
    for claim in claims {
        let config = &claim.voucher.channel;
        let id = id_of(storage, config)?;
        if config.receiverAuthorizer != authorizer {
            return Err(revert(IChannels::NotParty { caller: authorizer, channelId: id }));
        }
        take(storage, id, claim)?;
    }
    Ok(())
}

/// Counts what a voucher permits as claimed. What is claimed already is no error: claims of two batches may cross.
fn take(storage: &mut dyn Storage, id: B256, claim: &VoucherClaim) -> Result<()> {
    let VoucherClaim { voucher, signature, totalClaimed: total } = claim;
    let (config, most) = (&voucher.channel, voucher.maxClaimableAmount);
    if *total > most {
        return Err(revert(IChannels::AboveVoucher {
            channelId: id,
            totalClaimed: *total,
            maxClaimableAmount: most,
        }));
    }
    let signer = if config.payerAuthorizer.is_zero() { config.payer } else { config.payerAuthorizer };
    let digest = voucher_digest(storage, id, most)?;
    if Signed::from_bytes(signature).recover(storage, digest)? != Some(signer) {
        return Err(revert(IChannels::InvalidVoucher { channelId: id }));
    }
    let slots = BY_ID.at(id);
    let (balance, claimed) = slots.balance.get(storage)?;
    let Some(amount) = total.checked_sub(claimed).filter(|amount| *amount != 0) else { return Ok(()) };
    if *total > balance {
        return Err(revert(IChannels::AboveBalance { channelId: id, totalClaimed: *total, balance }));
    }
    slots.balance.set(storage, (balance, *total))?;
    let account = RECEIVERS.at(config.receiver);
    let (all, settled) = account.get(storage)?;
    account.set(storage, (all.checked_add(amount).ok_or_else(overflow)?, settled))?;
    let receiver = config.receiver;
    emit(
        storage,
        CHANNELS,
        &IChannels::ChannelClaimed { channelId: id, receiver, amount, totalClaimed: *total },
    )
}

/// Pays a receiver what it has claimed.
///
/// # Errors
/// `InvalidConfig` for another token.
pub fn settle(storage: &mut dyn Storage, sender: Address, receiver: Address, token: Address) -> Result<()> {
    if token != OPEN {
        return Err(revert(IChannels::InvalidConfig { field: "token".to_owned() }));
    }
    let account = RECEIVERS.at(receiver);
    let (claimed, settled) = account.get(storage)?;
    let amount = claimed.saturating_sub(settled);
    if amount == 0 {
        return Ok(());
    }
    account.set(storage, (claimed, claimed))?;
    storage.transfer(CHANNELS, receiver, U256::from(amount))?;
    emit(storage, CHANNELS, &IChannels::Settled { receiver, token, sender, amount })
}

/// Gives back to the payer what is not claimed, at most `amount`, as a party on the receiver's side.
///
/// # Errors
/// `InvalidConfig`, `NotParty`, `ZeroAmount`, `NothingLeft`.
pub fn refund(
    storage: &mut dyn Storage,
    caller: Address,
    config: &ChannelConfig,
    amount: u128,
) -> Result<()> {
    let id = id_of(storage, config)?;
    need_receiving(caller, config, id)?;
    give_back(storage, config, id, amount)
}

/// Gives back to the payer with the signature of the receiver's authorizer.
///
/// # Errors
/// `WrongNonce`, `InvalidAuthorizer`, and those of [`refund`].
pub fn refund_with_signature(
    storage: &mut dyn Storage,
    config: &ChannelConfig,
    amount: u128,
    nonce: U256,
    signature: &Bytes,
) -> Result<()> {
    let id = id_of(storage, config)?;
    let slot = BY_ID.at(id).refund_nonce;
    let expected = slot.get(storage)?;
    if nonce != expected {
        return Err(revert(IChannels::WrongNonce { channelId: id, nonce, expected }));
    }
    let digest = refund_digest(storage, id, nonce, amount)?;
    need_signature(storage, config.receiverAuthorizer, digest, signature)?;
    slot.set(storage, add(nonce, U256::ONE)?)?;
    give_back(storage, config, id, amount)
}

fn give_back(storage: &mut dyn Storage, config: &ChannelConfig, id: B256, amount: u128) -> Result<()> {
    let amount = pay_back(storage, config, id, amount)?;
    emit(storage, CHANNELS, &IChannels::ChannelRefunded { channelId: id, payer: config.payer, amount })
}

/// Pays the payer what is not claimed, at most `most`, and ends a withdrawal that waits; returns the wei.
fn pay_back(storage: &mut dyn Storage, config: &ChannelConfig, id: B256, most: u128) -> Result<u128> {
    if most == 0 {
        return Err(revert(IChannels::ZeroAmount {}));
    }
    let slots = BY_ID.at(id);
    let (balance, claimed) = slots.balance.get(storage)?;
    let amount = balance.saturating_sub(claimed).min(most);
    if amount == 0 {
        return Err(revert(IChannels::NothingLeft { channelId: id }));
    }
    slots.balance.set(storage, (balance.saturating_sub(amount), claimed))?;
    slots.pending.set(storage, (0, 0))?;
    storage.transfer(CHANNELS, config.payer, U256::from(amount))?;
    Ok(amount)
}

/// Asks for `amount` back, as the payer or its authorizer.
///
/// # Errors
/// `InvalidConfig`, `NotParty`, `ZeroAmount`.
pub fn initiate_withdraw(
    storage: &mut dyn Storage,
    caller: Address,
    config: &ChannelConfig,
    amount: u128,
) -> Result<()> {
    let id = id_of(storage, config)?;
    need_paying(caller, config, id)?;
    if amount == 0 {
        return Err(revert(IChannels::ZeroAmount {}));
    }
    let now = storage.block().timestamp;
    BY_ID.at(id).pending.set(storage, (amount, now))?;
    let at = seconds(now.saturating_add(config.withdrawDelay.to()))?;
    emit(storage, CHANNELS, &IChannels::WithdrawInitiated { channelId: id, amount, availableAt: at })
}

/// Pays the payer what it asked back and is not claimed, whoever calls.
///
/// # Errors
/// `InvalidConfig`, `NoWithdraw`, `WithdrawPending` before its time, `NothingLeft`.
pub fn finalize_withdraw(storage: &mut dyn Storage, config: &ChannelConfig) -> Result<()> {
    let id = id_of(storage, config)?;
    let (asked, initiated_at) = BY_ID.at(id).pending.get(storage)?;
    if asked == 0 {
        return Err(revert(IChannels::NoWithdraw { channelId: id }));
    }
    let at = initiated_at.saturating_add(config.withdrawDelay.to());
    if storage.block().timestamp < at {
        return Err(revert(IChannels::WithdrawPending { availableAt: seconds(at)? }));
    }
    let amount = pay_back(storage, config, id, asked)?;
    emit(storage, CHANNELS, &IChannels::WithdrawFinalized { channelId: id, payer: config.payer, amount })
}

fn seconds(time: u64) -> Result<U40> {
    U40::try_from(time).map_err(|_too_late| overflow())
}

/// What a payer signs.
fn voucher_digest(storage: &mut dyn Storage, id: B256, most: u128) -> Result<B256> {
    storage.charge(DIGEST_GAS)?;
    let voucher = Voucher { channelId: id, maxClaimableAmount: most };
    Ok(voucher.eip712_signing_hash(&channels_domain(storage.block().chain_id)))
}

/// What a receiver's authorizer signs to give back.
fn refund_digest(storage: &mut dyn Storage, id: B256, nonce: U256, amount: u128) -> Result<B256> {
    storage.charge(DIGEST_GAS)?;
    let refund = Refund { channelId: id, nonce, amount };
    Ok(refund.eip712_signing_hash(&channels_domain(storage.block().chain_id)))
}

fn need_signature(
    storage: &mut dyn Storage,
    authorizer: Address,
    digest: B256,
    signature: &Bytes,
) -> Result<()> {
    if Signed::from_bytes(signature).recover(storage, digest)? == Some(authorizer) {
        return Ok(());
    }
    Err(revert(IChannels::InvalidAuthorizer { authorizer }))
}

fn need_receiving(caller: Address, config: &ChannelConfig, id: B256) -> Result<()> {
    if caller == config.receiver || caller == config.receiverAuthorizer {
        return Ok(());
    }
    Err(revert(IChannels::NotParty { caller, channelId: id }))
}

fn need_paying(caller: Address, config: &ChannelConfig, id: B256) -> Result<()> {
    if caller == config.payer || (!caller.is_zero() && caller == config.payerAuthorizer) {
        return Ok(());
    }
    Err(revert(IChannels::NotParty { caller, channelId: id }))
}

fn check_count(what: &str, count: usize, limit: usize) -> Result<()> {
    if count <= limit {
        return Ok(());
    }
    let (count, limit) = (U256::from(count), U256::from(limit));
    Err(revert(IChannels::TooMany { what: what.to_owned(), count, limit }))
}
