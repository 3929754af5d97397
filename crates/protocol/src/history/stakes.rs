//! Staking: roles, delegation and votes.

use alloy_primitives::U256;
use openledger_types::abi::{IStaking, StakeRole};
use openledger_types::addresses::STAKING;
use openledger_types::authorization::{Delegation as SignedDelegation, votes_domain};

use super::cast::{DEVELOPER, MEMBERS, OPERATORS, OWNER, PAYERS, VALIDATORS, VERIFIERS};
use super::money::parts;
use super::{History, Operation};
use crate::{params, staking};

pub(super) const OPERATIONS: &[Operation] = &[
    ("staking.stake", 3, |h| {
        let member = h.anyone();
        let (role, amount) = offer(h, member)?;
        h.call(member, STAKING, amount, IStaking::stakeCall { role });
        Some(())
    }),
    // Who fell below the least of its role makes it whole again.
    ("staking.stake (in jail)", 4, |h| {
        let member = jailed(h)?;
        let staker = staking::staker(&mut h.storage, h.cast.account(member)).ok()?;
        let least = least(h, staker.role)?;
        let amount = least.saturating_sub(staker.stake) + U256::from(1 + h.draws.below(1_000));
        h.call(member, STAKING, amount, IStaking::stakeCall { role: staker.role });
        Some(())
    }),
    ("staking.unjail", 4, |h| {
        let member = jailed(h)?;
        h.send(member, STAKING, IStaking::unjailCall {});
        Some(())
    }),
    ("staking.startUnbonding", 2, |h| {
        let member = h.mostly(&[OWNER, DEVELOPER, PAYERS[0], PAYERS[1]]);
        let staker = staking::staker(&mut h.storage, h.cast.account(member)).ok()?;
        if staker.role == StakeRole::None && h.draws.chance(90) {
            return None;
        }
        h.send(member, STAKING, IStaking::startUnbondingCall {});
        Some(())
    }),
    ("staking.unstake", 2, |h| {
        let leaving: Vec<_> = (0..MEMBERS)
            .filter(|member| {
                let account = h.cast.account(*member);
                staking::staker(&mut h.storage, account).is_ok_and(|staker| staker.unbondingAt != 0)
            })
            .collect();
        let member = h.draws.pick(&leaving)?;
        h.send(member, STAKING, IStaking::unstakeCall {});
        Some(())
    }),
    ("staking.claimReward", 1, |h| {
        let member = h.mostly(VALIDATORS);
        h.send(member, STAKING, IStaking::claimRewardCall {});
        Some(())
    }),
    ("staking.setCommission", 1, |h| {
        let member = h.mostly(VALIDATORS);
        let old = staking::staker(&mut h.storage, h.cast.account(member)).ok()?.commissionPpm;
        let ppm = if h.draws.chance(70) {
            old + h.draws.below(10_000) as u32
        } else {
            h.draws.below(600_000) as u32
        };
        h.send(member, STAKING, IStaking::setCommissionCall { ppm });
        Some(())
    }),
    ("staking.delegateStake", 4, |h| {
        let (from, validator, amount) = (h.anyone(), h.mostly(VALIDATORS), h.open(1, 3_000) + h.amount());
        let validator = h.account(validator);
        if h.call(from, STAKING, amount, IStaking::delegateStakeCall { validator }).is_some() {
            let delegator = h.account(from);
            h.delegations.insert((delegator, validator));
        }
        Some(())
    }),
    ("staking.undelegateStake", 2, |h| {
        let (from, validator) = delegation(h)?;
        let stake = staking::delegation(&mut h.storage, h.cast.account(from), validator).ok()?.stake;
        let amount = match h.draws.below(10) {
            0..4 => stake,
            4..8 => stake / U256::from(3),
            _ => stake + h.amount(),
        };
        h.send(from, STAKING, IStaking::undelegateStakeCall { validator, amount });
        Some(())
    }),
    ("staking.withdrawDelegation", 2, |h| {
        let (from, validator) = delegation(h)?;
        let leaving = staking::delegation(&mut h.storage, h.cast.account(from), validator).ok()?.leaving;
        if leaving.is_zero() && h.draws.chance(90) {
            return None;
        }
        h.send(from, STAKING, IStaking::withdrawDelegationCall { validator });
        Some(())
    }),
    ("staking.claimDelegationReward", 1, |h| {
        let (from, validator) = delegation(h)?;
        h.send(from, STAKING, IStaking::claimDelegationRewardCall { validator });
        Some(())
    }),
    ("staking.delegate", 1, |h| {
        let (from, to) = (h.anyone(), h.anyone());
        let delegatee = h.account(to);
        h.send(from, STAKING, IStaking::delegateCall { delegatee });
        Some(())
    }),
    ("staking.delegateBySig", 1, |h| {
        let (from, to, sender) = (h.anyone(), h.anyone(), h.anyone());
        let delegatee = h.account(to);
        let mut nonce = staking::nonces(&mut h.storage, h.cast.account(from)).ok()?;
        if h.draws.chance(15) {
            nonce += U256::ONE;
        }
        let expiry = U256::from(h.storage.block.timestamp + 100);
        let message = SignedDelegation { delegatee, nonce, expiry };
        let signature = h.signed(from, &message, &votes_domain(h.storage.block.chain_id));
        let (r, s, v) = parts(&signature);
        h.send(sender, STAKING, IStaking::delegateBySigCall { delegatee, nonce, expiry, v, r, s });
        Some(())
    }),
    ("staking.refreshVotes", 1, |h| {
        let (from, validator) = delegation(h)?;
        let (delegator, sender) = (h.account(from), h.anyone());
        h.send(sender, STAKING, IStaking::refreshVotesCall { delegator, validator });
        Some(())
    }),
];

fn delegation(h: &mut History<'_>) -> Option<(usize, alloy_primitives::Address)> {
    let all: Vec<_> = h.delegations.iter().copied().collect();
    let (delegator, validator) = h.draws.pick(&all)?;
    Some((h.cast.member(delegator)?, validator))
}

/// Somebody in jail who could come back.
fn jailed(h: &mut History<'_>) -> Option<usize> {
    let all: Vec<_> = (0..MEMBERS)
        .filter(|member| {
            let account = h.cast.account(*member);
            staking::staker(&mut h.storage, account)
                .is_ok_and(|staker| staker.jailedUntil != 0 && staker.unbondingAt == 0)
        })
        .collect();
    h.draws.pick(&all)
}

fn least(h: &mut History<'_>, role: StakeRole) -> Option<U256> {
    let name = match role {
        StakeRole::Validator => "validator_stake",
        StakeRole::Operator => "operator_stake",
        _ => "verifier_stake",
    };
    params::get(&mut h.storage, params::param_name(name)).ok()
}

/// The role that a member has or would take, and an amount that keeps it near the least, so that a slash is felt.
pub(super) fn offer(h: &mut History<'_>, member: usize) -> Option<(StakeRole, U256)> {
    let staker = staking::staker(&mut h.storage, h.cast.account(member)).ok()?;
    let role = if staker.role != StakeRole::None {
        staker.role
    } else if OPERATORS.contains(&member) {
        StakeRole::Operator
    } else if VALIDATORS.contains(&member) {
        StakeRole::Validator
    } else if VERIFIERS.contains(&member) || h.draws.chance(60) {
        StakeRole::Verifier
    } else {
        StakeRole::Validator
    };
    let least = least(h, role)?;
    let extra = U256::from(h.draws.below(12)) * least / U256::from(100);
    Some((role, least.saturating_sub(staker.stake) + extra + U256::from(h.draws.below(9))))
}
