//! Random histories of calls to all modules, and what must hold after every call.
//!
//! A history is a market of twelve accounts and a sequence of calls that follows from a seed. Each call is drawn among the
//! operations that have something to work on, those that the history has not seen succeed first; most arguments make sense
//! where they are used and some do not. Time passes between calls, past the end of a window where a call waits for it.
//! Every call is tallied, so that a run shows what its histories reached.
//!
//! After every call (`check`): the sum of all balances is the supply; OPEN, escrow, settlement and staking hold what their
//! books owe, to the unit; so do voucher channels, of which none is claimed above what its payer signed; what a payer has lost is what keys that it signed were charged, none above its cap; no payout is
//! paid and no authorisation used twice; every governed number is in its range and moved by at most its step an epoch;
//! votes are stake; every epoch of consensus has validators, elected while they were bonded, each with a key of its own.

#![cfg_attr(
    not(test),
    expect(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::indexing_slicing,
        reason = "a generator of tests computes with numbers that it knows, and a panic ends the run"
    )
)]

mod batches;
mod cast;
mod channels;
mod check;
mod data;
mod money;
mod nets;
mod nodes;
mod stakes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolError, SolEvent};
use openledger_types::abi::{IChannels, IDatanets, IEscrow, ISettlement, IStaking};
use openledger_types::amount::ONE_OPEN;
use openledger_types::batch::Payout;

use crate::{MapStorage, ModuleError};
pub use cast::Cast;
use cast::{Draws, MEMBERS};
pub use nodes::{consensus_key, two_votes};

/// How often an operation succeeded and was refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that did something.
    pub succeeded: u64,
    /// Calls that reverted.
    pub refused: u64,
}

/// By operation, and by event that a call can have beside its purpose.
pub type Tallies = BTreeMap<&'static str, Tally>;

/// A property that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("history {seed}, after call {call} ({operation}): {what}")]
pub struct Violation {
    /// Of the history.
    pub seed: u64,
    /// Number of the call after which it did not hold.
    pub call: usize,
    /// What was called.
    pub operation: &'static str,
    /// What did not hold.
    pub what: String,
}

/// Plays the history of a seed.
///
/// # Errors
/// [`Violation`] with the first property that did not hold.
pub fn play(cast: &Cast, seed: u64, calls: usize) -> Result<Tallies, Violation> {
    let mut history = History::new(cast, seed);
    for call in 0..calls {
        history.pass_time();
        history.step();
        history.check();
        if let Some(what) = history.violation.take() {
            return Err(Violation { seed, call, operation: history.operation, what });
        }
    }
    Ok(history.tallies)
}

/// One call; `None` if there is nothing to make it on.
type Attempt = fn(&mut History<'_>) -> Option<()>;

/// Name, weight and attempt of every operation.
type Operation = (&'static str, u64, Attempt);

fn operations() -> impl Iterator<Item = &'static Operation> {
    [
        money::OPERATIONS,
        stakes::OPERATIONS,
        nodes::OPERATIONS,
        batches::OPERATIONS,
        data::OPERATIONS,
        nets::OPERATIONS,
        channels::OPERATIONS,
    ]
    .into_iter()
    .flatten()
}

/// The names of all operations.
pub fn operation_names() -> impl Iterator<Item = &'static str> {
    operations().map(|(name, _, _)| *name)
}

/// A key that a payer signed for.
#[derive(Debug, Clone)]
struct Key {
    key: B256,
    payer: usize,
    operator: usize,
    cap: U256,
}

/// A batch as its operator knows it.
#[derive(Debug, Clone)]
struct Posted {
    id: U256,
    operator: usize,
    payouts: Vec<Payout>,
    /// Whether those who work find it right.
    right: bool,
    /// What who committed to, by round and member.
    verdicts: BTreeMap<(u32, usize), bool>,
}

/// A state with what the history has to be checked against.
struct History<'c> {
    cast: &'c Cast,
    storage: MapStorage,
    draws: Draws,
    operation: &'static str,
    tallies: Tallies,
    violation: Option<String>,
    keys: Vec<Key>,
    /// What a payer put into escrow and took out of it, wei.
    flows: BTreeMap<Address, (U256, U256)>,
    batches: Vec<Posted>,
    claimed: BTreeSet<(U256, usize)>,
    /// Batches whose verdicts a member was paid for.
    paid_verdicts: BTreeSet<(U256, usize)>,
    challenges: Vec<U256>,
    /// What who committed to in a challenge.
    step_verdicts: BTreeMap<(U256, usize), bool>,
    /// By challenge, who was paid for that.
    paid_steps: BTreeSet<(U256, usize)>,
    /// Who ever delegated to whom.
    delegations: BTreeSet<(Address, Address)>,
    allowances: BTreeSet<(usize, usize)>,
    consumed: BTreeSet<(Address, B256)>,
    /// Epoch and values of the governed numbers at the last check.
    params: (u64, Vec<U256>),
    data: data::Data,
    channels: Vec<channels::Channel>,
    nodes: nodes::Nodes,
}

/// When a refused call could be made again.
enum Ripe {
    Block(u64),
    Second(u64),
}

impl History<'_> {
    fn account(&self, member: usize) -> Address {
        self.cast.account(member)
    }

    fn anyone(&mut self) -> usize {
        self.draws.below(MEMBERS as u64) as usize
    }

    /// Mostly one of these, else anyone.
    fn mostly(&mut self, usual: &[usize]) -> usize {
        match self.draws.pick(usual) {
            Some(member) if self.draws.chance(92) => member,
            _ => self.anyone(),
        }
    }

    /// Up to 40 OPEN in thousandths, with a few odd wei.
    fn amount(&mut self) -> U256 {
        let milli = U256::from(self.draws.below(40_000));
        milli * ONE_OPEN / U256::from(1_000) + U256::from(self.draws.below(7))
    }

    fn open(&mut self, least: u64, most: u64) -> U256 {
        U256::from(least + self.draws.below(most - least + 1)) * ONE_OPEN
    }

    /// One block, so many seconds later.
    fn later(&mut self, seconds: u64) {
        self.advance(1);
        self.storage.block.timestamp = self.storage.block.timestamp - 1 + seconds;
    }

    fn pass_time(&mut self) {
        match self.draws.below(100) {
            0..50 => {}
            50..86 => self.advance(1),
            86..95 => {
                let blocks = 2 + self.draws.below(3);
                self.advance(blocks);
            }
            95..98 => {
                let seconds = 1 + self.draws.below(70);
                self.later(seconds);
            }
            _ => self.later(86_400),
        }
    }

    /// Makes one call, of an operation that has not succeeded yet rather than of another.
    fn step(&mut self) {
        loop {
            let weight = |history: &Self, (name, weight, _): &Operation| {
                if history.has_seen(name) { *weight } else { weight * 8 }
            };
            let whole = operations().map(|operation| weight(self, operation)).sum();
            let mut ticket = self.draws.below(whole);
            let drawn = operations().find(|operation| {
                let weight = weight(self, operation);
                if ticket < weight {
                    return true;
                }
                ticket -= weight;
                false
            });
            let (name, _, attempt) = drawn.expect("a ticket is below the sum of the weights");
            self.operation = name;
            if attempt(self).is_some() {
                return;
            }
        }
    }

    /// Whether an operation has succeeded, or an event happened, in this history.
    fn has_seen(&self, name: &str) -> bool {
        self.tallies.get(name).is_some_and(|tally| tally.succeeded != 0)
    }

    fn violate(&mut self, what: impl Into<String>) {
        self.violation.get_or_insert(what.into());
    }

    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violate(what());
        }
    }

    /// Makes a call and tallies it. What is refused because it is too early is often made again when it is time.
    fn call<C: SolCall>(&mut self, from: usize, module: Address, value: U256, call: C) -> Option<C::Return> {
        let data = call.abi_encode();
        let from = self.account(from);
        let mut result = self.raw_call(from, module, value, &data);
        if let Err(ModuleError::Revert(reason)) = &result
            && let Some(ripe) = ripe_at(reason)
            && self.draws.chance(70)
        {
            match ripe {
                Ripe::Block(number) => self.advance(number.saturating_sub(self.storage.block.number)),
                Ripe::Second(at) => self.later(at.saturating_sub(self.storage.block.timestamp)),
            }
            result = self.raw_call(from, module, value, &data);
        }
        match result {
            Ok(output) => match C::abi_decode_returns(&output) {
                Ok(returned) => Some(returned),
                Err(error) => {
                    self.violate(format!("the return data is malformed: {error}"));
                    None
                }
            },
            Err(_) => None,
        }
    }

    fn raw_call(
        &mut self,
        from: Address,
        module: Address,
        value: U256,
        data: &[u8],
    ) -> Result<Bytes, ModuleError> {
        let result = self.storage.call(module, from, value, data);
        let tally = self.tallies.entry(self.operation).or_default();
        match &result {
            Ok(_) => tally.succeeded += 1,
            Err(ModuleError::Revert(_)) => tally.refused += 1,
            Err(error) => {
                let what = error.to_string();
                self.violate(format!("a call failed by the system's fault: {what}"));
            }
        }
        for (_, log) in std::mem::take(&mut self.storage.logs) {
            let event = log
                .topics()
                .first()
                .and_then(|topic| EVENTS.iter().find(|(hash, _)| hash == topic).map(|(_, name)| *name));
            if let Some(name) = event {
                self.tallies.entry(name).or_default().succeeded += 1;
            }
        }
        result
    }

    /// Makes a call that pays nothing.
    fn send<C: SolCall>(&mut self, from: usize, module: Address, call: C) -> Option<C::Return> {
        self.call(from, module, U256::ZERO, call)
    }

    fn signed<T: alloy_sol_types::SolStruct>(
        &self,
        member: usize,
        message: &T,
        domain: &alloy_sol_types::Eip712Domain,
    ) -> Bytes {
        self.cast.sign(member, message.eip712_signing_hash(domain))
    }
}

/// What a call can do beside its purpose.
const EVENTS: &[(B256, &str)] = &[
    (ISettlement::Finalised::SIGNATURE_HASH, "event Finalised"),
    (ISettlement::Refused::SIGNATURE_HASH, "event Refused"),
    (ISettlement::AppealSettled::SIGNATURE_HASH, "event AppealSettled"),
    (IStaking::Slashed::SIGNATURE_HASH, "event Slashed"),
    (IStaking::DoubleSigned::SIGNATURE_HASH, "event DoubleSigned"),
    (IStaking::Jailed::SIGNATURE_HASH, "event Jailed"),
    (IStaking::Forfeited::SIGNATURE_HASH, "event Forfeited"),
    (IStaking::Returned::SIGNATURE_HASH, "event Returned"),
    (IEscrow::Uncollected::SIGNATURE_HASH, "event Uncollected"),
    (IEscrow::Refunded::SIGNATURE_HASH, "event Refunded"),
];

fn ripe_at(reason: &[u8]) -> Option<Ripe> {
    if let Ok(error) = ISettlement::WindowOpen::abi_decode(reason) {
        return Some(Ripe::Block(error.until.saturating_add(1)));
    }
    let second = if let Ok(error) = IStaking::StillBonded::abi_decode(reason) {
        error.availableAt
    } else if let Ok(error) = IStaking::TooSoon::abi_decode(reason) {
        error.availableAt
    } else if let Ok(error) = IStaking::InJail::abi_decode(reason) {
        error.until
    } else if let Ok(error) = IEscrow::WithdrawalPending::abi_decode(reason) {
        error.availableAt
    } else if let Ok(error) = IChannels::WithdrawPending::abi_decode(reason) {
        error.availableAt.to()
    } else if let Ok(error) = IDatanets::PeriodOpen::abi_decode(reason) {
        error.until.saturating_add(1)
    } else if let Ok(error) = IDatanets::StillLeaving::abi_decode(reason) {
        error.until
    } else {
        return None;
    };
    // Zero and the largest number stand for no time at all.
    (second != 0 && second != u64::MAX).then_some(Ripe::Second(second))
}
