//! What must hold of a run, as pure functions over what the honest validators hold at its end.

use super::draw;
use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall;
use openledger_chain::simulate::{Byzantine, Replayed, Scenario, View, replay};
use openledger_execution::{AccountState, BlockEnv, CallRequest, call};
use openledger_types::{
    abi::{IStaking, Staker},
    addresses::STAKING,
    amount::SUPPLY,
};
use std::collections::BTreeMap;

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) property: &'static str,
    pub(crate) reason: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BROKEN {}: {}", self.property, self.reason)
    }
}

fn hold(property: &'static str, held: Result<(), String>) -> Result<(), Broken> {
    held.map_err(|reason| Broken { property, reason })
}

/// What a run with every property came to.
pub(crate) struct Checked {
    /// Validators that were slashed for voting twice.
    pub(crate) punished: u64,
    /// Epochs with other keys than the one before.
    pub(crate) changed: u64,
}

/// Checks all properties.
pub(crate) fn check(scenario: &Scenario, views: &[View]) -> Result<Checked, Broken> {
    hold("agreement", agreement(views))?;
    hold("finality", finality(views))?;
    hold("accountability", accountability(scenario, views))?;
    // They agree, so the longest chain is that of all, and the states of the others lie on the way.
    let longest = views.iter().max_by_key(|view| view.blocks.len());
    let longest = longest.ok_or(Broken { property: "liveness", reason: "nobody is left".into() })?;
    let replayed = replay(&scenario.genesis, &longest.blocks);
    let replayed = replayed.map_err(|reason| Broken { property: "validity", reason })?;
    hold("conservation", conservation(&replayed, views))?;
    for view in views {
        let own = if view.blocks.len() == longest.blocks.len() {
            replayed.clone()
        } else {
            let replayed = replay(&scenario.genesis, &view.blocks);
            replayed.map_err(|reason| Broken { property: "validity", reason })?
        };
        hold("state", state(&own, view))?;
    }
    let punished = slashing(scenario, &replayed);
    let punished = punished.map_err(|reason| Broken { property: "slashing", reason })?;
    Ok(Checked { punished, changed: replayed.changed })
}

fn hash(view: &View, number: usize) -> Option<B256> {
    view.blocks.get(number).map(|block| block.header.hash)
}

/// No two honest validators finalise different blocks at one height.
pub(crate) fn agreement(views: &[View]) -> Result<(), String> {
    for (one, other) in views.iter().zip(views.iter().skip(1)) {
        for number in 0..one.blocks.len().min(other.blocks.len()) {
            let (left, right) = (hash(one, number), hash(other, number));
            if left != right {
                let (one, other) = (one.member, other.member);
                return Err(format!(
                    "block {number} is {left:?} to member {one} and {right:?} to member {other}"
                ));
            }
        }
    }
    Ok(())
}

/// What was shown as final stays.
pub(crate) fn finality(views: &[View]) -> Result<(), String> {
    for view in views {
        for (number, shown) in &view.shown {
            let now = usize::try_from(*number).ok().and_then(|number| hash(view, number));
            // The newest may have been shown while the views were taken.
            if now != Some(*shown) && *number < view.blocks.len() as u64 {
                return Err(format!(
                    "member {} showed block {number} as {shown}, which is {now:?} now",
                    view.member
                ));
            }
        }
    }
    Ok(())
}

/// Nobody honest signs votes that contradict each other.
pub(crate) fn accountability(scenario: &Scenario, views: &[View]) -> Result<(), String> {
    let signs_twice =
        |kind: &Byzantine| matches!(kind, Byzantine::Conflicting | Byzantine::Nullifying | Byzantine::Twins);
    if scenario.byzantine.values().any(signs_twice) {
        return Ok(());
    }
    match views.iter().find(|view| view.faults > 0) {
        Some(view) => Err(format!("member {} saw {} contradicting votes", view.member, view.faults)),
        None => Ok(()),
    }
}

/// Validators that keep to the rules keep their stakes; how many others were slashed for voting twice.
pub(crate) fn slashing(scenario: &Scenario, replayed: &Replayed) -> Result<u64, String> {
    let mut punished = 0;
    for (member, seat) in scenario.genesis.validators.iter().enumerate() {
        let staker = staker(scenario, replayed, seat.account)?;
        if scenario.byzantine.contains_key(&member) {
            punished += u64::from(staker.jailedUntil == u64::MAX);
        } else if staker.jailedUntil != 0 || staker.stake != draw::stake(member) {
            return Err(format!("member {member} keeps to the rules and has {staker:?}"));
        }
    }
    Ok(punished)
}

pub(crate) fn staker(scenario: &Scenario, replayed: &Replayed, account: Address) -> Result<Staker, String> {
    let env = BlockEnv {
        chain_id: scenario.genesis.chain_id,
        number: replayed.totals.len() as u64,
        timestamp: 0,
        beneficiary: Address::ZERO,
        gas_limit: scenario.genesis.gas_limit,
        base_fee: 0,
        prevrandao: B256::ZERO,
        parent_hash: B256::ZERO,
    };
    let data = IStaking::stakerCall { account }.abi_encode().into();
    let request = CallRequest { to: Some(STAKING), data, ..CallRequest::default() };
    let outcome = call(&env, &request, &replayed.state).map_err(|error| error.to_string())?;
    IStaking::stakerCall::abi_decode_returns(&outcome.output).map_err(|error| error.to_string())
}

/// The balances add up to the supply.
pub(crate) fn conservation(replayed: &Replayed, views: &[View]) -> Result<(), String> {
    for (number, total) in replayed.totals.iter().enumerate() {
        if *total != SUPPLY {
            return Err(format!("after block {number} the balances add up to {total} wei, not to {SUPPLY}"));
        }
    }
    for view in views {
        let total = view.state.total();
        if total != SUPPLY {
            return Err(format!("the store of member {} holds {total} wei, not {SUPPLY}", view.member));
        }
    }
    Ok(())
}

/// A store has the root of its head and the accounts that executing the chain again gives.
pub(crate) fn state(replayed: &Replayed, view: &View) -> Result<(), String> {
    let member = view.member;
    let head = view.blocks.last().ok_or_else(|| format!("member {member} has no block"))?;
    let (number, expected) = (head.header.header.number, head.header.header.state_root);
    if view.state.root != expected {
        let root = view.state.root;
        return Err(format!(
            "the store of member {member} has the root {root}, block {number} says {expected}"
        ));
    }
    let expected: BTreeMap<Address, AccountState> =
        replayed.state.accounts().map(|(address, account)| (*address, *account)).collect();
    if view.state.accounts != expected {
        let differs = |address: &&Address| view.state.accounts.get(*address) != expected.get(*address);
        let address = expected.keys().chain(view.state.accounts.keys()).find(differs);
        return Err(format!("after block {number} member {member} holds another account at {address:?}"));
    }
    Ok(())
}
