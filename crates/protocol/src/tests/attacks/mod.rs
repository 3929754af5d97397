//! Attacks on the protocol, each a test that begins with the number of the attack.
//!
//! Elsewhere: what contributors gain by splitting and copying is measured by `openledger-bench attribution` (D1 to D3, D6 to
//! D8) and `openledger-sim economy` (D8, D9, D20, D23, D24, D26), what a lying operator risks by re-execution is in `worker`
//! (D13, D15, D16), votes and the timelock are in `execution` (D39, D40).

mod data;
mod disputes;
mod fees;
mod payments;
mod stakes;
mod verdicts;

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::{BatchPost, BatchStatus, IEscrow, ISettlement, IStaking, Staker};
use openledger_types::addresses::{ESCROW, PARAMS, SETTLEMENT, STAKING};
use openledger_types::batch::Payout;

use super::{OPERATOR, PAYER, UNBONDING, VALIDATOR, VERIFIER, World, account, claim_call, hash, open, typed};
use crate::layout::{Mapping, Slot};
use crate::params::param_name;

/// Sets a governed number as if at genesis.
fn set(world: &mut World, name: &str, value: u64) {
    let values: Mapping<B256, Slot<U256>> = Mapping::new(PARAMS, 0);
    values.at(param_name(name)).set(&mut world.storage, U256::from(value)).unwrap();
}

fn staker(world: &mut World, n: u8) -> Staker {
    world.view(STAKING, IStaking::stakerCall { account: account(n) })
}

fn deposit(world: &mut World, n: u8) -> U256 {
    world.view(ESCROW, IEscrow::balanceOfCall { payer: account(n) })
}

fn status(world: &mut World, id: U256) -> BatchStatus {
    world.view(SETTLEMENT, ISettlement::batchCall { id }).status
}

fn finalise(world: &mut World, batch: U256) {
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch });
}

/// A batch whose payouts these are.
fn post(world: &mut World, post: BatchPost) -> U256 {
    world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post })
}

/// Claims every line; returns what was paid in all.
fn claim_all(world: &mut World, batch: U256, payouts: &[Payout]) -> U256 {
    let mut paid = U256::ZERO;
    for line in 0..payouts.len() {
        let before = world.balance(payouts[line].account);
        world.send(9, SETTLEMENT, claim_call(batch, payouts, line));
        paid += world.balance(payouts[line].account) - before;
    }
    paid
}

/// What a list of accounts has, in their own balances.
fn wealth(world: &mut World, accounts: &[Address]) -> U256 {
    accounts.iter().fold(U256::ZERO, |sum, account| sum + world.balance(*account))
}
