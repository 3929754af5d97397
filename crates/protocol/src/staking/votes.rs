//! Votes over staked OPEN: ERC-5805 with the block number as its clock (ERC-6372).
//!
//! Every wei that is bonded, in any role or with a validator, is a vote, until it starts to unbond. Votes are the holder's
//! own until it names a delegate: earning and governing are one act. A slash lowers the votes of a delegation when the
//! delegation is next touched; anyone can touch it.

use alloy_primitives::aliases::U48;
use alloy_primitives::{Address, U256};
use alloy_sol_types::SolStruct;
use openledger_types::abi::IStaking;
use openledger_types::addresses::STAKING;
use openledger_types::authorization::{Delegation as SignedDelegation, votes_domain};

use super::delegation::update_units;
use crate::checkpoints::Trace;
use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot};
use crate::math::{add, half, sub};
use crate::signature::Signed;
use crate::storage::{Storage, emit};

/// Votes that follow a holder's stake.
const UNITS: Mapping<Address, Slot<U256>> = Mapping::new(STAKING, 7);
/// Whom a holder named; zero for itself.
const DELEGATES: Mapping<Address, Slot<Address>> = Mapping::new(STAKING, 8);
/// Votes of a delegate.
const VOTES: Mapping<Address, Trace> = Mapping::new(STAKING, 9);
/// All votes.
const TOTAL: Trace = Trace::new(STAKING, 10);
/// Next nonce of a holder's signed delegations.
const NONCES: Mapping<Address, Slot<U256>> = Mapping::new(STAKING, 11);

/// Gas of hashing a signed delegation with its domain.
const DIGEST_GAS: u64 = 200;

/// Whose votes follow an account's stake.
///
/// # Errors
/// Those of the storage.
pub fn delegates(storage: &mut dyn Storage, account: Address) -> Result<Address> {
    let named = DELEGATES.at(account).get(storage)?;
    Ok(if named.is_zero() { account } else { named })
}

/// Votes of a delegate now.
///
/// # Errors
/// Those of the storage.
pub fn votes(storage: &mut dyn Storage, account: Address) -> Result<U256> {
    Ok(U256::from(VOTES.at(account).latest(storage)?))
}

/// Votes of a delegate after a past block.
///
/// # Errors
/// `ERC5805FutureLookup` for this block or a later one.
pub fn past_votes(storage: &mut dyn Storage, account: Address, timepoint: U256) -> Result<U256> {
    let at = past(storage, timepoint)?;
    Ok(U256::from(VOTES.at(account).value_at(storage, at)?))
}

/// All votes after a past block.
///
/// # Errors
/// `ERC5805FutureLookup` for this block or a later one.
pub fn past_total_supply(storage: &mut dyn Storage, timepoint: U256) -> Result<U256> {
    let at = past(storage, timepoint)?;
    Ok(U256::from(TOTAL.value_at(storage, at)?))
}

fn past(storage: &mut dyn Storage, timepoint: U256) -> Result<u64> {
    let clock = storage.block().number;
    match u64::try_from(timepoint) {
        Ok(at) if at < clock => Ok(at),
        _ => {
            let clock = U48::saturating_from(clock);
            Err(revert(IStaking::ERC5805FutureLookup { timepoint, clock }))
        }
    }
}

/// Names the delegate of an account's votes; the zero address and the account itself are the account.
///
/// # Errors
/// Those of the storage.
pub fn delegate(storage: &mut dyn Storage, account: Address, delegatee: Address) -> Result<()> {
    let from = delegates(storage, account)?;
    let to = if delegatee.is_zero() { account } else { delegatee };
    DELEGATES.at(account).set(storage, if to == account { Address::ZERO } else { to })?;
    emit(
        storage,
        STAKING,
        &IStaking::DelegateChanged { delegator: account, fromDelegate: from, toDelegate: to },
    )?;
    let units = UNITS.at(account).get(storage)?;
    if from == to || units.is_zero() {
        return Ok(());
    }
    change(storage, from, |votes| sub(votes, units))?;
    change(storage, to, |votes| add(votes, units))
}

/// Next nonce of a holder's signed delegations.
///
/// # Errors
/// Those of the storage.
pub fn nonces(storage: &mut dyn Storage, owner: Address) -> Result<U256> {
    NONCES.at(owner).get(storage)
}

/// Names the delegate as the holder of the votes has signed.
///
/// # Errors
/// `VotesExpiredSignature`, `InvalidSignature`, `InvalidAccountNonce`.
pub(super) fn delegate_by_sig(
    storage: &mut dyn Storage,
    delegatee: Address,
    nonce: U256,
    expiry: U256,
    signed: &Signed,
) -> Result<()> {
    if U256::from(storage.block().timestamp) > expiry {
        return Err(revert(IStaking::VotesExpiredSignature { expiry }));
    }
    storage.charge(DIGEST_GAS)?;
    let message = SignedDelegation { delegatee, nonce, expiry };
    let digest = message.eip712_signing_hash(&votes_domain(storage.block().chain_id));
    let signer = signed.recover(storage, digest)?;
    let account = signer.ok_or_else(|| revert(IStaking::InvalidSignature {}))?;
    let next = nonces(storage, account)?;
    if nonce != next {
        return Err(revert(IStaking::InvalidAccountNonce { account, currentNonce: next }));
    }
    NONCES.at(account).set(storage, add(next, U256::ONE)?)?;
    delegate(storage, account, delegatee)
}

/// Takes the votes of a delegation down to what a slash has left of it.
///
/// # Errors
/// Those of the storage.
pub fn refresh_votes(storage: &mut dyn Storage, delegator: Address, validator: Address) -> Result<()> {
    update_units(storage, delegator, validator)
}

/// Adds votes that follow a holder.
pub(super) fn add_units(storage: &mut dyn Storage, holder: Address, amount: U256) -> Result<()> {
    move_units(storage, holder, amount, add)
}

/// Removes votes that followed a holder.
pub(super) fn remove_units(storage: &mut dyn Storage, holder: Address, amount: U256) -> Result<()> {
    move_units(storage, holder, amount, sub)
}

fn move_units(
    storage: &mut dyn Storage,
    holder: Address,
    amount: U256,
    by: fn(U256, U256) -> Result<U256>,
) -> Result<()> {
    if amount.is_zero() {
        return Ok(());
    }
    let units = by(UNITS.at(holder).get(storage)?, amount)?;
    UNITS.at(holder).set(storage, units)?;
    let total = by(U256::from(TOTAL.latest(storage)?), amount)?;
    TOTAL.push(storage, half(total)?)?;
    let delegate = delegates(storage, holder)?;
    change(storage, delegate, |votes| by(votes, amount))
}

fn change(storage: &mut dyn Storage, delegate: Address, by: impl Fn(U256) -> Result<U256>) -> Result<()> {
    let trace = VOTES.at(delegate);
    let before = U256::from(trace.latest(storage)?);
    let after = by(before)?;
    trace.push(storage, half(after)?)?;
    emit(
        storage,
        STAKING,
        &IStaking::DelegateVotesChanged { delegate, previousVotes: before, newVotes: after },
    )
}
