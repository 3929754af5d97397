//! Escrow: payers' deposits, and the capped authorisations that API keys stand for.
//!
//! A key names who may charge it, how much in all, and until when requests may be made with it. Only
//! [settlement](crate::settlement) charges, out of a posted batch, by the operator that the key names. A request made
//! before the key ended may be charged until `settle_grace` seconds after the end; what an operator settles later than that
//! it pays itself.
//!
//! A withdrawal is set aside first and paid after `withdrawal_delay` seconds. What is set aside no longer counts as
//! balance, so nobody serves against it; but until it is paid out a charge takes from it whatever the balance lacks, so
//! work that was served before the payer asked for the money is still paid.

mod dispatch;
#[cfg(test)]
mod tests;

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::{Authorisation, IEscrow};
use openledger_types::addresses::ESCROW;

pub(crate) use dispatch::dispatch;

use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::{add, half, sub};
use crate::params;
use crate::storage::{Storage, emit};

place! {
    struct PayerSlots {
        /// What can be charged or set aside, wei.
        0: balance: Slot<u128>,
        /// What is set aside, wei; unix seconds when it can be taken out.
        1: withdrawal: Slot<(u128, u64)>,
    }
}

place! {
    struct KeySlots {
        /// Payer, unix seconds when it expires.
        0: payer: Slot<(Address, u64)>,
        /// Operator, unix seconds when it was revoked or 0.
        1: operator: Slot<(Address, u64)>,
        /// Cap and what of it is spent, wei.
        2: cap: Slot<(u128, u128)>,
    }
}

const PAYERS: Mapping<Address, PayerSlots> = Mapping::new(ESCROW, 0);
const KEYS: Mapping<B256, KeySlots> = Mapping::new(ESCROW, 1);

/// Credits `amount`, which the module has received from `from`.
///
/// # Errors
/// `ZeroAmount`.
pub fn deposit(storage: &mut dyn Storage, from: Address, payer: Address, amount: U256) -> Result<()> {
    if amount.is_zero() {
        return Err(revert(IEscrow::ZeroAmount {}));
    }
    let balance = add(balance_of(storage, payer)?, amount)?;
    PAYERS.at(payer).balance.set(storage, half(balance)?)?;
    emit(storage, ESCROW, &IEscrow::Deposited { payer, from, amount, balance })
}

/// What can be set aside, and what somebody who serves the payer can count on, wei.
///
/// # Errors
/// Those of the storage.
pub fn balance_of(storage: &mut dyn Storage, payer: Address) -> Result<U256> {
    Ok(U256::from(PAYERS.at(payer).balance.get(storage)?))
}

/// What a payer has set aside, wei, and from when it can be taken out.
///
/// # Errors
/// Those of the storage.
pub fn withdrawal(storage: &mut dyn Storage, payer: Address) -> Result<(U256, u64)> {
    let (amount, available_at) = PAYERS.at(payer).withdrawal.get(storage)?;
    Ok((U256::from(amount), available_at))
}

/// Sets an amount aside. A second request adds to the first and starts the delay anew.
///
/// # Errors
/// `ZeroAmount`, `InsufficientDeposit`.
pub fn request_withdrawal(storage: &mut dyn Storage, payer: Address, amount: U256) -> Result<()> {
    if amount.is_zero() {
        return Err(revert(IEscrow::ZeroAmount {}));
    }
    let balance = balance_of(storage, payer)?;
    if balance < amount {
        return Err(revert(IEscrow::InsufficientDeposit { payer, balance, needed: amount }));
    }
    PAYERS.at(payer).balance.set(storage, half(sub(balance, amount)?)?)?;
    let amount = add(withdrawal(storage, payer)?.0, amount)?;
    let available_at =
        storage.block().timestamp.saturating_add(params::get_u64(storage, "withdrawal_delay")?);
    PAYERS.at(payer).withdrawal.set(storage, (half(amount)?, available_at))?;
    emit(storage, ESCROW, &IEscrow::WithdrawalRequested { payer, amount, availableAt: available_at })
}

/// Pays out what was set aside.
///
/// # Errors
/// `NoWithdrawal`, `WithdrawalPending` before its time.
pub fn withdraw(storage: &mut dyn Storage, payer: Address) -> Result<()> {
    let (amount, available_at) = withdrawal(storage, payer)?;
    if amount.is_zero() {
        return Err(revert(IEscrow::NoWithdrawal { payer }));
    }
    if storage.block().timestamp < available_at {
        return Err(revert(IEscrow::WithdrawalPending { availableAt: available_at }));
    }
    PAYERS.at(payer).withdrawal.set(storage, (0, 0))?;
    storage.transfer(ESCROW, payer, amount)?;
    emit(storage, ESCROW, &IEscrow::Withdrawn { payer, amount })
}

/// Lets an operator charge the payer through a key. A cap above 2¹²⁸ − 1, far above the supply, is kept as that.
///
/// # Errors
/// `KeyExists`, `InvalidExpiry` for a time that is not in the future.
pub fn authorise(
    storage: &mut dyn Storage,
    payer: Address,
    key: B256,
    operator: Address,
    cap: U256,
    expires_at: u64,
) -> Result<()> {
    let slots = KEYS.at(key);
    if !slots.payer.get(storage)?.0.is_zero() {
        return Err(revert(IEscrow::KeyExists { key }));
    }
    if expires_at <= storage.block().timestamp {
        return Err(revert(IEscrow::InvalidExpiry { expiresAt: expires_at }));
    }
    let cap = cap.saturating_to::<u128>();
    slots.payer.set(storage, (payer, expires_at))?;
    slots.operator.set(storage, (operator, 0))?;
    slots.cap.set(storage, (cap, 0))?;
    let cap = U256::from(cap);
    emit(storage, ESCROW, &IEscrow::Authorised { key, payer, operator, cap, expiresAt: expires_at })
}

/// Ends a key. Requests made before this block's time still settle.
///
/// # Errors
/// `UnknownKey`, `NotPayer`, `KeyRevoked` if it was already.
pub fn revoke(storage: &mut dyn Storage, caller: Address, key: B256) -> Result<()> {
    let authorisation = known(storage, key)?;
    if caller != authorisation.payer {
        return Err(revert(IEscrow::NotPayer { caller, payer: authorisation.payer }));
    }
    if authorisation.revokedAt != 0 {
        return Err(revert(IEscrow::KeyRevoked { key, revokedAt: authorisation.revokedAt }));
    }
    let at = storage.block().timestamp;
    KEYS.at(key).operator.set(storage, (authorisation.operator, at))?;
    emit(storage, ESCROW, &IEscrow::Revoked { key, at })
}

/// A key; zeros if there is none.
///
/// # Errors
/// Those of the storage.
pub fn authorisation(storage: &mut dyn Storage, key: B256) -> Result<Authorisation> {
    let slots = KEYS.at(key);
    let (payer, expires_at) = slots.payer.get(storage)?;
    let (operator, revoked_at) = slots.operator.get(storage)?;
    let (cap, spent) = slots.cap.get(storage)?;
    Ok(Authorisation {
        payer,
        operator,
        cap: U256::from(cap),
        spent: U256::from(spent),
        expiresAt: expires_at,
        revokedAt: revoked_at,
    })
}

/// Takes `amount` from the payer of a key for a batch of `operator`; returns what it took. The wei stay here until
/// settlement moves the sum of the batch. Nothing is taken, without an error, for a key that ended longer than the grace
/// ago: one late key does not keep the others' answers from being settled. Nothing is owed for an answer that is free.
///
/// # Errors
/// `UnknownKey`, `WrongOperator`, `CapExceeded`, `InsufficientDeposit`.
pub(crate) fn charge(
    storage: &mut dyn Storage,
    operator: Address,
    key: B256,
    amount: U256,
    batch: U256,
) -> Result<U256> {
    let authorisation = known(storage, key)?;
    if authorisation.operator != operator {
        let operator_of_key = authorisation.operator;
        return Err(revert(IEscrow::WrongOperator { key, operator: operator_of_key, caller: operator }));
    }
    if amount.is_zero() {
        return Ok(amount);
    }
    let Authorisation { payer, cap, spent, .. } = authorisation;
    if is_too_late(storage, &authorisation)? {
        emit(storage, ESCROW, &IEscrow::Uncollected { key, payer, amount, batch })?;
        return Ok(U256::ZERO);
    }
    let new_spent = add(spent, amount)?;
    if new_spent > cap {
        return Err(revert(IEscrow::CapExceeded { key, cap, spent, needed: amount }));
    }
    KEYS.at(key).cap.set(storage, (half(cap)?, half(new_spent)?))?;
    take(storage, payer, amount)?;
    emit(storage, ESCROW, &IEscrow::Charged { key, payer, amount, batch })?;
    Ok(amount)
}

/// Gives back what a refused batch took. Settlement returns the wei.
pub(crate) fn refund(storage: &mut dyn Storage, key: B256, amount: U256, batch: U256) -> Result<()> {
    let Authorisation { payer, cap, spent, .. } = known(storage, key)?;
    KEYS.at(key).cap.set(storage, (half(cap)?, half(sub(spent, amount)?)?))?;
    let balance = add(balance_of(storage, payer)?, amount)?;
    PAYERS.at(payer).balance.set(storage, half(balance)?)?;
    emit(storage, ESCROW, &IEscrow::Refunded { key, payer, amount, batch })
}

/// Takes from the balance, then from what is set aside.
fn take(storage: &mut dyn Storage, payer: Address, amount: U256) -> Result<()> {
    let slots = PAYERS.at(payer);
    let balance = balance_of(storage, payer)?;
    if let Some(left) = balance.checked_sub(amount) {
        return slots.balance.set(storage, half(left)?);
    }
    let lacking = sub(amount, balance)?;
    let (aside, available_at) = withdrawal(storage, payer)?;
    let Some(left) = aside.checked_sub(lacking) else {
        let balance = add(balance, aside)?;
        return Err(revert(IEscrow::InsufficientDeposit { payer, balance, needed: amount }));
    };
    slots.balance.set(storage, 0)?;
    slots.withdrawal.set(storage, (half(left)?, available_at))?;
    emit(storage, ESCROW, &IEscrow::WithdrawalRequested { payer, amount: left, availableAt: available_at })
}

/// True if a key ended, by expiry or revocation, longer than the grace ago.
fn is_too_late(storage: &mut dyn Storage, authorisation: &Authorisation) -> Result<bool> {
    let Authorisation { expiresAt: expires_at, revokedAt: revoked_at, .. } = *authorisation;
    let ended_at = if revoked_at == 0 { expires_at } else { expires_at.min(revoked_at) };
    let grace = params::get_u64(storage, "settle_grace")?;
    Ok(storage.block().timestamp > ended_at.saturating_add(grace))
}

fn known(storage: &mut dyn Storage, key: B256) -> Result<Authorisation> {
    let authorisation = authorisation(storage, key)?;
    if authorisation.payer.is_zero() {
        return Err(revert(IEscrow::UnknownKey { key }));
    }
    Ok(authorisation)
}
