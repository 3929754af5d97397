//! Acceptance: who decides over a contribution, by when, and what becomes of its bond.
//!
//! | policy | accepts | rejects |
//! |---|---|---|
//! | owner | the owner | the owner |
//! | curators | the vote, carried out by anybody | the vote; without one the owner decides |
//! | open | anybody once the period is over, the owner before | the owner during the period |
//!
//! A contribution is decided under the policy of its reveal. Curators vote with what they had at stake on the Datanet before
//! the reveal. A vote is over with the period, or once one side has more than half of all stake on the Datanet; a tie rejects.
//! The bond goes back with an acceptance, a rejection or a withdrawal, and is burnt with a rejection as spam: nobody gains by
//! calling a contribution spam.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{Acceptance, Ballot, ContributionStatus, Decision, IDatanets, Policy};
use openledger_types::addresses::{BURN, DATANETS};
use openledger_types::amount::ONE_OPEN;

use super::{ALL, CONTRIBUTIONS, MAX_REASON, curation, known, need_owner, owner_of, rights};
use crate::error::{Result, revert};
use crate::layout::{Mapping, Slot};
use crate::math::{add, half, sum};
use crate::params;
use crate::storage::{Storage, emit};

/// Highest bond of a contribution, wei: 1,000 OPEN.
pub const MAX_BOND: U256 = ONE_OPEN.wrapping_mul(U256::from_limbs([1_000, 0, 0, 0]));
/// Shortest period of a policy, seconds.
pub const MIN_PERIOD: u64 = 60;
/// Longest period of a policy, seconds: 30 days.
pub const MAX_PERIOD: u64 = 30 * 86_400;
/// Period of a Datanet whose owner set none, seconds: three days.
const DEFAULT_PERIOD: u64 = 3 * 86_400;

/// By contribution, then curator: true once the vote was slashed.
const SLASHED: Mapping<U256, Mapping<Address, Slot<bool>>> = Mapping::new(DATANETS, 14);
/// By contribution, then curator.
const VOTES: Mapping<U256, Mapping<Address, Slot<Ballot>>> = Mapping::new(DATANETS, 6);

/// Says how a Datanet takes contributions in from now on.
///
/// # Errors
/// `UnknownDatanet`, `NotOwner`, `InvalidPolicy`.
pub fn set_policy(storage: &mut dyn Storage, caller: Address, datanet: U256, policy: &Policy) -> Result<()> {
    need_owner(storage, caller, datanet)?;
    let Policy { acceptance, bond, period } = *policy;
    if bond > MAX_BOND || !(MIN_PERIOD..=MAX_PERIOD).contains(&period) {
        let (least, most) = (MIN_PERIOD, MAX_PERIOD);
        return Err(revert(IDatanets::InvalidPolicy { bond, bondLimit: MAX_BOND, period, least, most }));
    }
    ALL.at(datanet).policy.set(storage, (acceptance, period, half(bond)?))?;
    emit(storage, DATANETS, &IDatanets::PolicySet { datanet, acceptance, bond, period })
}

/// How a Datanet takes contributions in.
///
/// # Errors
/// `UnknownDatanet`.
pub fn policy(storage: &mut dyn Storage, datanet: U256) -> Result<Policy> {
    owner_of(storage, datanet)?;
    let (acceptance, period, bond) = ALL.at(datanet).policy.get(storage)?;
    let period = if period == 0 { DEFAULT_PERIOD } else { period };
    Ok(Policy { acceptance, bond: U256::from(bond), period })
}

/// Takes a contribution in.
///
/// # Errors
/// `UnknownContribution`, `NotOwner`, `NotPending`, `NotYours` if curators decide.
pub fn accept(storage: &mut dyn Storage, caller: Address, contribution: U256) -> Result<()> {
    need_decider(storage, caller, contribution)?;
    take_in(storage, contribution)
}

/// Refuses a contribution, with the reason that its contributor sees; as spam, its bond is burnt.
///
/// # Errors
/// `InvalidReason` if empty or too long, `UnknownContribution`, `NotOwner`, `NotPending`, `NotYours` if curators decide,
/// `PeriodOver` under the open policy.
pub fn reject(
    storage: &mut dyn Storage,
    caller: Address,
    contribution: U256,
    reason: &str,
    spam: bool,
) -> Result<()> {
    check_reason(reason)?;
    need_decider(storage, caller, contribution)?;
    let Decision { acceptance, until, .. } = decision(storage, contribution)?;
    if acceptance == Acceptance::Open && storage.block().timestamp > until {
        return Err(revert(IDatanets::PeriodOver { since: until }));
    }
    turn_down(storage, contribution, reason, spam)
}

pub(super) fn check_reason(reason: &str) -> Result<()> {
    if reason.is_empty() || reason.len() > MAX_REASON {
        let (length, limit) = (U256::from(reason.len()), U256::from(MAX_REASON));
        return Err(revert(IDatanets::InvalidReason { length, limit }));
    }
    Ok(())
}

/// Votes as a curator.
///
/// # Errors
/// `UnknownContribution`, `NotPending`, `NotYours` unless curators decide, `PeriodOver`, `AlreadyVoted`, `NotCurator` unless
/// since before the reveal.
pub fn vote(storage: &mut dyn Storage, curator: Address, contribution: U256, ballot: Ballot) -> Result<()> {
    let Decision { acceptance, revealedAt, until, .. } = pending(storage, contribution)?;
    if acceptance != Acceptance::Curators || ballot == Ballot::None {
        return Err(revert(IDatanets::NotYours { contribution, acceptance }));
    }
    if storage.block().timestamp > until {
        return Err(revert(IDatanets::PeriodOver { since: until }));
    }
    let voted = VOTES.at(contribution).at(curator);
    if voted.get(storage)? != Ballot::None {
        return Err(revert(IDatanets::AlreadyVoted { curator }));
    }
    let datanet = CONTRIBUTIONS.at(contribution).datanet.get(storage)?;
    let stake = curation::stake_before(storage, datanet, curator, revealedAt)?;
    if stake.is_zero() {
        return Err(revert(IDatanets::NotCurator { account: curator }));
    }
    voted.set(storage, ballot)?;
    let slots = CONTRIBUTIONS.at(contribution);
    let (mut accept, mut reject) = slots.votes.get(storage)?;
    let mut spam = slots.spam.get(storage)?;
    let side = match ballot {
        Ballot::Accept => &mut accept,
        Ballot::Spam => &mut spam,
        _ => &mut reject,
    };
    *side = half(add(U256::from(*side), stake)?)?;
    slots.votes.set(storage, (accept, reject))?;
    slots.spam.set(storage, spam)?;
    emit(storage, DATANETS, &IDatanets::Voted { contribution, curator, ballot, stake })
}

/// Slashes a curator who voted to take in what was taken down. What is taken is burnt: nobody gains from another's fault.
///
/// # Errors
/// `UnknownContribution`, `NothingToSlash`.
pub fn slash_curator(storage: &mut dyn Storage, contribution: U256, curator: Address) -> Result<U256> {
    let (_, _, status) = known(storage, contribution)?;
    let accepted = VOTES.at(contribution).at(curator).get(storage)? == Ballot::Accept;
    let slashed = SLASHED.at(contribution).at(curator);
    if status != ContributionStatus::TakenDown || !accepted || slashed.get(storage)? {
        return Err(revert(IDatanets::NothingToSlash { contribution, curator }));
    }
    slashed.set(storage, true)?;
    let datanet = CONTRIBUTIONS.at(contribution).datanet.get(storage)?;
    let part = params::get_ppm(storage, "curator_slash")?;
    let amount = curation::slash(storage, datanet, curator, part)?;
    emit(storage, DATANETS, &IDatanets::CuratorSlashed { contribution, curator, amount })?;
    Ok(amount)
}

/// Carries out what the policy and the votes come to.
///
/// # Errors
/// `UnknownContribution`, `NotPending`, `OwnerDecides`, `PeriodOpen`.
pub fn decide(storage: &mut dyn Storage, contribution: U256) -> Result<()> {
    let decision = pending(storage, contribution)?;
    let Decision { acceptance, until, acceptStake, rejectStake, spamStake, .. } = decision;
    let over = storage.block().timestamp > until;
    match acceptance {
        Acceptance::Open if over => take_in(storage, contribution),
        Acceptance::Open => Err(revert(IDatanets::PeriodOpen { until })),
        Acceptance::Curators => {
            let against = add(rejectStake, spamStake)?;
            let cast = add(acceptStake, against)?;
            if over && cast.is_zero() {
                return Err(revert(IDatanets::OwnerDecides { contribution }));
            }
            let datanet = CONTRIBUTIONS.at(contribution).datanet.get(storage)?;
            let majority = curation::total_stake(storage, datanet)?.wrapping_shr(1);
            if !over && acceptStake.max(against) <= majority {
                return Err(revert(IDatanets::PeriodOpen { until }));
            }
            if acceptStake > against {
                return take_in(storage, contribution);
            }
            turn_down(storage, contribution, "the curators' vote", spamStake > cast.wrapping_shr(1))
        }
        _ => Err(revert(IDatanets::OwnerDecides { contribution })),
    }
}

/// The decision over a contribution so far.
///
/// # Errors
/// `UnknownContribution`.
pub fn decision(storage: &mut dyn Storage, contribution: U256) -> Result<Decision> {
    known(storage, contribution)?;
    let slots = CONTRIBUTIONS.at(contribution);
    let (_, acceptance, revealed_at, until, _) = slots.records.get(storage)?;
    let (accept, reject) = slots.votes.get(storage)?;
    Ok(Decision {
        acceptance,
        bond: U256::from(slots.bond.get(storage)?),
        revealedAt: revealed_at,
        until,
        acceptStake: U256::from(accept),
        rejectStake: U256::from(reject),
        spamStake: U256::from(slots.spam.get(storage)?),
    })
}

/// The decision over a contribution that is not decided.
fn pending(storage: &mut dyn Storage, contribution: U256) -> Result<Decision> {
    let (_, _, status) = known(storage, contribution)?;
    if status != ContributionStatus::Pending {
        return Err(revert(IDatanets::NotPending { contribution, status }));
    }
    decision(storage, contribution)
}

/// Refuses unless the caller is the owner and the owner decides.
fn need_decider(storage: &mut dyn Storage, caller: Address, contribution: U256) -> Result<()> {
    known(storage, contribution)?;
    let datanet = CONTRIBUTIONS.at(contribution).datanet.get(storage)?;
    need_owner(storage, caller, datanet)?;
    let Decision { acceptance, until, acceptStake, rejectStake, spamStake, .. } =
        pending(storage, contribution)?;
    let cast = sum([acceptStake, rejectStake, spamStake])?;
    let left_to_owner = storage.block().timestamp > until && cast.is_zero();
    if acceptance == Acceptance::Curators && !left_to_owner {
        return Err(revert(IDatanets::NotYours { contribution, acceptance }));
    }
    Ok(())
}

fn take_in(storage: &mut dyn Storage, contribution: U256) -> Result<()> {
    let contributor = close(storage, contribution, ContributionStatus::Accepted)?;
    return_bond(storage, contribution, contributor)?;
    rights::mint(storage, contribution, contributor)?;
    let datanet = CONTRIBUTIONS.at(contribution).datanet.get(storage)?;
    emit(storage, DATANETS, &IDatanets::Accepted { datanet, contribution })
}

fn turn_down(storage: &mut dyn Storage, contribution: U256, reason: &str, spam: bool) -> Result<()> {
    let contributor = close(storage, contribution, ContributionStatus::Rejected)?;
    if spam {
        let slots = CONTRIBUTIONS.at(contribution);
        let amount = U256::from(slots.bond.get(storage)?);
        slots.bond.set(storage, 0)?;
        storage.transfer(DATANETS, BURN, amount)?;
        emit(storage, DATANETS, &IDatanets::BondBurnt { contribution, contributor, amount })?;
    } else {
        return_bond(storage, contribution, contributor)?;
    }
    let datanet = CONTRIBUTIONS.at(contribution).datanet.get(storage)?;
    let reason = reason.to_owned();
    emit(storage, DATANETS, &IDatanets::Rejected { datanet, contribution, reason })
}

/// Ends the waiting of a contribution; returns its contributor.
pub(super) fn close(
    storage: &mut dyn Storage,
    contribution: U256,
    status: ContributionStatus,
) -> Result<Address> {
    let slots = CONTRIBUTIONS.at(contribution);
    let (contributor, committed_at, _) = slots.contributor.get(storage)?;
    slots.contributor.set(storage, (contributor, committed_at, status))?;
    Ok(contributor)
}

pub(super) fn return_bond(storage: &mut dyn Storage, contribution: U256, contributor: Address) -> Result<()> {
    let slots = CONTRIBUTIONS.at(contribution);
    let amount = U256::from(slots.bond.get(storage)?);
    if amount.is_zero() {
        return Ok(());
    }
    slots.bond.set(storage, 0)?;
    storage.transfer(DATANETS, contributor, amount)?;
    emit(storage, DATANETS, &IDatanets::BondReturned { contribution, contributor, amount })
}
