//! Curation: stake on a Datanet that votes over contributions and earns with it.
//!
//! A hundredth of what is staked is burnt. Of the income that a Datanet's royalties collect, curators get a tenth. It is paid
//! to them evenly over [`PERIOD`] seconds, by stake and second: a stream, whose rules stand in `stream.rs`.
//!
//! If what a curator voted to take in is taken down, a part of what they then have on the Datanet, `curator_slash`, is burnt. Stake
//! that leaves votes and earns no more at once, and is at risk until it is out, [`LEAVING_SECONDS`] later: whoever begins to leave
//! when a claim is filed is still there when it is decided.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{Curation, IDatanets};
use openledger_types::addresses::{BURN, DATANETS};
use openledger_types::amount::ppm_of;

use super::owner_of;
use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot, place};
use crate::math::{add, div_rem, half, mul, sub};
use crate::since::Since;
use crate::storage::{Storage, emit};
use crate::stream::Stream;

/// What is burnt of a stake: one part in so many.
const TAX: U256 = U256::from_limbs([100, 0, 0, 0]);
/// What curators get of an income: one part in so many.
const PART: U256 = U256::from_limbs([10, 0, 0, 0]);
/// How long an income is paid to them, seconds: seven days.
pub const PERIOD: u64 = 7 * 86_400;
/// How long stake takes to leave, seconds: the 28 days in which a claim is countered and upheld, and two in which whoever voted for what is
/// taken down then is slashed.
pub const LEAVING_SECONDS: u64 = 2 * super::removal::NOTICE_SECONDS + 2 * 86_400;
/// Scale of rewards per wei of stake.
pub(super) const SCALE: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

place! {
    struct CurationSlots {
        0: stake: Slot<U256>,
        /// The curators' income, scaled: four slots.
        1: stream: Stream,
        /// Income collected in all, and what of it went to curators, wei.
        5: income: Slot<(u128, u128)>,
        /// The module while there are curators, nobody while there are none.
        6: curated: Since,
    }
}

place! {
    struct CuratorSlots {
        0: stake: Slot<U256>,
        /// Unix seconds of the last time it grew.
        1: since: Slot<u64>,
        /// The accumulator when `owed` was last settled.
        2: settled_at: Slot<U256>,
        /// Reward not yet claimed, scaled.
        3: owed: Slot<U256>,
        /// The stake that is leaving, wei, and when it is out, unix seconds.
        4: leaving: Slot<(u128, u64)>,
    }
}

/// By Datanet.
const CURATIONS: Mapping<U256, CurationSlots> = Mapping::new(DATANETS, 9);
/// By Datanet, then curator.
const CURATORS: Mapping<U256, Mapping<Address, CuratorSlots>> = Mapping::new(DATANETS, 10);

/// Stakes `amount`, which the module has received, on a Datanet.
///
/// # Errors
/// `UnknownDatanet`, `ZeroAmount` also if nothing is left after the tax.
pub fn curate(storage: &mut dyn Storage, curator: Address, datanet: U256, amount: U256) -> Result<()> {
    owner_of(storage, datanet)?;
    // Rounded up, so that no amount is too small to be taxed.
    let (tax, rest) = div_rem(amount, TAX)?;
    let tax = if rest.is_zero() { tax } else { add(tax, U256::ONE)? };
    let staked = amount.saturating_sub(tax);
    if staked.is_zero() {
        return Err(revert(IDatanets::ZeroAmount {}));
    }
    settle(storage, datanet, curator)?;
    storage.transfer(DATANETS, BURN, tax)?;
    let slots = CURATIONS.at(datanet);
    let total = slots.stake.get(storage)?;
    let now = storage.block().timestamp;
    if total.is_zero() {
        slots.curated.push(storage, DATANETS)?;
        slots.stream.restart(storage, PERIOD)?;
    }
    slots.stake.set(storage, add(total, staked)?)?;
    let own = CURATORS.at(datanet).at(curator);
    let stake = add(own.stake.get(storage)?, staked)?;
    own.stake.set(storage, stake)?;
    own.since.set(storage, now)?;
    emit(storage, DATANETS, &IDatanets::Curated { datanet, curator, amount: staked, tax })
}

/// Lets stake leave; what is leaving already waits as long again.
///
/// # Errors
/// `UnknownDatanet`, `ZeroAmount`, `InsufficientCuration`.
pub fn uncurate(storage: &mut dyn Storage, curator: Address, datanet: U256, amount: U256) -> Result<()> {
    owner_of(storage, datanet)?;
    if amount.is_zero() {
        return Err(revert(IDatanets::ZeroAmount {}));
    }
    let own = CURATORS.at(datanet).at(curator);
    let stake = own.stake.get(storage)?;
    if stake < amount {
        return Err(revert(IDatanets::InsufficientCuration { stake, needed: amount }));
    }
    take(storage, datanet, curator, amount)?;
    let (leaving, _) = own.leaving.get(storage)?;
    let until = storage.block().timestamp.saturating_add(LEAVING_SECONDS);
    own.leaving.set(storage, (half(add(U256::from(leaving), amount)?)?, until))?;
    emit(storage, DATANETS, &IDatanets::Uncurated { datanet, curator, amount, until })
}

/// Pays out the stake that has left; returns the wei.
///
/// # Errors
/// `UnknownDatanet`, `ZeroAmount` if none is leaving, `StillLeaving` while it is.
pub fn withdraw_curation(storage: &mut dyn Storage, curator: Address, datanet: U256) -> Result<U256> {
    let (amount, until) = leaving(storage, datanet, curator)?;
    if amount.is_zero() {
        return Err(revert(IDatanets::ZeroAmount {}));
    }
    if storage.block().timestamp < until {
        return Err(revert(IDatanets::StillLeaving { amount, until }));
    }
    CURATORS.at(datanet).at(curator).leaving.set(storage, (0, 0))?;
    storage.transfer(DATANETS, curator, amount)?;
    emit(storage, DATANETS, &IDatanets::CurationWithdrawn { datanet, curator, amount })?;
    Ok(amount)
}

/// A curator's stake that is leaving, and unix seconds when it is out.
///
/// # Errors
/// `UnknownDatanet`.
pub fn leaving(storage: &mut dyn Storage, datanet: U256, curator: Address) -> Result<(U256, u64)> {
    owner_of(storage, datanet)?;
    let (amount, until) = CURATORS.at(datanet).at(curator).leaving.get(storage)?;
    Ok((U256::from(amount), until))
}

/// Lowers a curator's stake; the caller moves the amount.
fn take(storage: &mut dyn Storage, datanet: U256, curator: Address, amount: U256) -> Result<()> {
    settle(storage, datanet, curator)?;
    let own = CURATORS.at(datanet).at(curator);
    let stake = sub(own.stake.get(storage)?, amount)?;
    own.stake.set(storage, stake)?;
    let slots = CURATIONS.at(datanet);
    let left = sub(slots.stake.get(storage)?, amount)?;
    slots.stake.set(storage, left)?;
    if left.is_zero() {
        slots.curated.push(storage, Address::ZERO)?;
    }
    Ok(())
}

/// Burns a part of a curator's stake and of what of it is leaving, parts per million, each rounded down; returns the wei.
pub(super) fn slash(storage: &mut dyn Storage, datanet: U256, curator: Address, ppm: u32) -> Result<U256> {
    let own = CURATORS.at(datanet).at(curator);
    let staked = ppm_of(own.stake.get(storage)?, ppm);
    if !staked.is_zero() {
        take(storage, datanet, curator, staked)?;
    }
    let (leaving, until) = own.leaving.get(storage)?;
    let left = ppm_of(U256::from(leaving), ppm);
    own.leaving.set(storage, (half(sub(U256::from(leaving), left)?)?, until))?;
    let amount = add(staked, left)?;
    storage.transfer(DATANETS, BURN, amount)?;
    Ok(amount)
}

/// Pays out what a curator has earned, in whole wei.
///
/// # Errors
/// `UnknownDatanet`.
pub fn claim_curation(storage: &mut dyn Storage, curator: Address, datanet: U256) -> Result<U256> {
    owner_of(storage, datanet)?;
    settle(storage, datanet, curator)?;
    let own = CURATORS.at(datanet).at(curator);
    let (amount, rest) = div_rem(own.owed.get(storage)?, SCALE)?;
    own.owed.set(storage, rest)?;
    storage.transfer(DATANETS, curator, amount)?;
    emit(storage, DATANETS, &IDatanets::CurationClaimed { datanet, curator, amount })?;
    Ok(amount)
}

/// Stake and income of a Datanet's curators.
///
/// # Errors
/// `UnknownDatanet`.
pub fn curation(storage: &mut dyn Storage, datanet: U256) -> Result<Curation> {
    owner_of(storage, datanet)?;
    let slots = CURATIONS.at(datanet);
    let total = slots.stake.get(storage)?;
    let streaming = slots.stream.flow(storage, total)?.left;
    let (revenue, yielded) = slots.income.get(storage)?;
    Ok(Curation {
        stake: total,
        streaming: div_rem(streaming, SCALE)?.0,
        until: slots.stream.times.get(storage)?.1,
        revenue: U256::from(revenue),
        yielded: U256::from(yielded),
    })
}

/// A curator's stake, unix seconds of the last time it grew, and what could be claimed.
///
/// # Errors
/// `UnknownDatanet`.
pub fn curator(storage: &mut dyn Storage, datanet: U256, account: Address) -> Result<(U256, u64, U256)> {
    owner_of(storage, datanet)?;
    let own = CURATORS.at(datanet).at(account);
    let stake = own.stake.get(storage)?;
    let slots = CURATIONS.at(datanet);
    let total = slots.stake.get(storage)?;
    let per_stake = slots.stream.flow(storage, total)?.per_stake;
    let earned = mul(stake, sub(per_stake, own.settled_at.get(storage)?)?)?;
    let reward = div_rem(add(own.owed.get(storage)?, earned)?, SCALE)?.0;
    Ok((stake, own.since.get(storage)?, reward))
}

/// What an account had at stake before a time, if its stake has not grown since; else nothing.
pub(super) fn stake_before(
    storage: &mut dyn Storage,
    datanet: U256,
    account: Address,
    time: u64,
) -> Result<U256> {
    let own = CURATORS.at(datanet).at(account);
    let early = own.since.get(storage)? < time;
    if early { own.stake.get(storage) } else { Ok(U256::ZERO) }
}

/// Stake of all curators of a Datanet, wei.
pub(super) fn total_stake(storage: &mut dyn Storage, datanet: U256) -> Result<U256> {
    CURATIONS.at(datanet).stake.get(storage)
}

/// True if a Datanet had curators at a time, or has them now.
pub(super) fn is_curated(storage: &mut dyn Storage, datanet: U256, time: Option<u64>) -> Result<bool> {
    let curated = CURATIONS.at(datanet).curated;
    let mark = match time {
        Some(time) => curated.at_time(storage, time)?,
        None => curated.latest(storage)?,
    };
    Ok(mark.is_some_and(|mark| !mark.is_zero()))
}

/// Counts an income of the Datanet, which the module has received, and gives curators their part, which it returns.
pub(super) fn add_income(storage: &mut dyn Storage, datanet: U256, income: U256) -> Result<U256> {
    let slots = CURATIONS.at(datanet);
    let curated = !slots.stake.get(storage)?.is_zero();
    let part = if curated { div_rem(income, PART)?.0 } else { U256::ZERO };
    let (revenue, yielded) = slots.income.get(storage)?;
    let revenue = half(add(U256::from(revenue), income)?)?;
    let yielded = half(add(U256::from(yielded), part)?)?;
    slots.income.set(storage, (revenue, yielded))?;
    let (total, scaled) = (slots.stake.get(storage)?, mul(part, SCALE)?);
    slots.stream.add(storage, total, scaled, PERIOD)?;
    Ok(part)
}

/// Writes down what a curator is owed by now, before its stake changes.
fn settle(storage: &mut dyn Storage, datanet: U256, curator: Address) -> Result<()> {
    let slots = CURATIONS.at(datanet);
    let total = slots.stake.get(storage)?;
    let per_stake = slots.stream.release(storage, total)?;
    let own = CURATORS.at(datanet).at(curator);
    let grown = sub(per_stake, own.settled_at.get(storage)?)?;
    let earned = mul(own.stake.get(storage)?, grown)?;
    let owed = add(own.owed.get(storage)?, earned)?;
    own.owed.set(storage, owed)?;
    own.settled_at.set(storage, per_stake)
}

/// What the module holds for these curators of a Datanet, wei scaled by [`SCALE`].
#[cfg(any(test, feature = "test-util"))]
pub(super) fn scaled_debts(storage: &mut dyn Storage, datanet: U256, accounts: &[Address]) -> Result<U256> {
    let slots = CURATIONS.at(datanet);
    let mut debts = mul(slots.stake.get(storage)?, SCALE)?;
    debts = add(debts, slots.stream.held(storage)?)?;
    let per_stake = slots.stream.per_stake.get(storage)?;
    for account in accounts {
        let own = CURATORS.at(datanet).at(*account);
        let earned = mul(own.stake.get(storage)?, sub(per_stake, own.settled_at.get(storage)?)?)?;
        debts = add(debts, add(own.owed.get(storage)?, earned)?)?;
        debts = add(debts, mul(U256::from(own.leaving.get(storage)?.0), SCALE)?)?;
    }
    Ok(debts)
}
