//! Settlement: posts, verdicts, challenges and claims.

use alloy_primitives::{B256, U256};
use openledger_types::abi::{BatchPost, BatchStatus, ChallengeStatus, Charge, ISettlement, StakeRole};
use openledger_types::addresses::SETTLEMENT;
use openledger_types::batch::{
    Payout, PayoutKind, payout_leaf, payout_tree, verdict_commitment, verdict_digest,
};

use super::cast::{DEVELOPER, MEMBERS, OPERATORS, VALIDATORS, VERIFIERS};
use super::{History, Operation, Posted};
use crate::{Storage, escrow, params, settlement, staking};

pub(super) const OPERATIONS: &[Operation] = &[
    ("settlement.post", 8, post),
    ("settlement.draw", 1, |h| {
        let batch = with_status(h, BatchStatus::Posted)?;
        let from = h.anyone();
        h.send(from, SETTLEMENT, ISettlement::drawCall { batch: batch.id });
        Some(())
    }),
    ("settlement.commitVerdict", 34, |h| {
        let batch = with_status(h, BatchStatus::Posted)?;
        let (round, opened_at) = asked(h, batch.id)?;
        let window = params::get_u64(&mut h.storage, "verify_window").ok()?;
        if h.storage.block.number > opened_at + window && h.draws.chance(95) {
            return None;
        }
        if settlement::seed(&mut h.storage, batch.id).ok()?.is_zero() && h.storage.block.number <= opened_at {
            h.advance(1);
        }
        let free = without_verdict(h, &batch);
        if free.is_empty() && h.draws.chance(70) {
            return None;
        }
        let verifier = h.mostly(&free);
        let agrees = batch.right == h.draws.chance(90);
        let registered = staking::staker(&mut h.storage, h.cast.account(verifier)).ok()?.registeredAt;
        let digest = digest(h, batch.id, agrees)?;
        let (account, salt) = (h.account(verifier), salt(verifier));
        let commitment = verdict_commitment(account, registered, batch.id, digest, trace(verifier), salt);
        let call = ISettlement::commitVerdictCall { batch: batch.id, commitment };
        if h.send(verifier, SETTLEMENT, call).is_some() {
            let posted = h.batches.iter_mut().find(|posted| posted.id == batch.id)?;
            if posted.verdicts.insert((round, verifier), agrees).is_some() {
                h.violate("a verifier committed twice to one batch");
            }
        }
        Some(())
    }),
    ("settlement.revealVerdict", 40, |h| {
        let batch = with_status(h, BatchStatus::Posted)?;
        let (round, _) = asked(h, batch.id)?;
        let mut committed = committed_in(&batch, round);
        if h.draws.chance(90) {
            committed.retain(|member| !is_revealed(h, batch.id, *member));
        }
        // Somebody has to be silent to be punished for it.
        if h.has_seen("event Finalised") && !h.has_seen("settlement.punish") && h.draws.chance(75) {
            committed.retain(|member| *member != VERIFIERS[0]);
        }
        let verifier = h.draws.pick(&committed)?;
        let honest = h.draws.chance(95);
        let digest = digest(h, batch.id, batch.verdicts[&(round, verifier)] == honest)?;
        let call = ISettlement::revealVerdictCall {
            batch: batch.id,
            digest,
            trace: trace(verifier),
            salt: salt(verifier),
        };
        let done = h.send(verifier, SETTLEMENT, call).is_some();
        h.require(!done || honest, || "a verdict was revealed that was not committed".into());
        Some(())
    }),
    ("settlement.finalise", 18, |h| {
        let batch = with_status(h, BatchStatus::Posted)?;
        let (round, _) = asked(h, batch.id)?;
        let committed = committed_in(&batch, round);
        let revealed = committed.iter().filter(|member| is_revealed(h, batch.id, **member)).count();
        // Who finalises while nobody has said anything jumps over the windows.
        if revealed < 2.min(committed.len()).max(1) && h.draws.chance(90) {
            return None;
        }
        let from = h.anyone();
        h.send(from, SETTLEMENT, ISettlement::finaliseCall { batch: batch.id });
        Some(())
    }),
    ("settlement.claim", 18, |h| {
        let (batch, line) = line(h)?;
        let (call, payout) = claim(&batch, line)?;
        let before = h.storage.balance(payout.account).ok()?;
        let from = h.anyone();
        if h.send(from, SETTLEMENT, call).is_some() {
            let got = h.storage.balance(payout.account).ok()? - before;
            h.require(got == payout.amount, || format!("a line of {} paid {got}", payout.amount));
            claimed(h, batch.id, line);
        }
        Some(())
    }),
    ("settlement.claimAndStake", 6, |h| {
        let (batch, line) = line(h)?;
        let (call, payout) = claim(&batch, line)?;
        let owner = h.cast.member(payout.account)?;
        let from = h.mostly(&[owner]);
        let validator = h.mostly(VALIDATORS);
        let validator = h.account(validator);
        let ISettlement::claimCall { batch: id, index, role, amount, proof, .. } = call;
        let call = ISettlement::claimAndStakeCall { batch: id, index, role, amount, proof, validator };
        if h.send(from, SETTLEMENT, call).is_some() {
            h.require(from == owner, || "somebody else staked a payout".into());
            h.delegations.insert((payout.account, validator));
            claimed(h, id, line);
        }
        Some(())
    }),
    ("settlement.challenge", 4, |h| {
        if !h.has_seen("event Finalised") && h.draws.chance(80) {
            return None;
        }
        let batch = with_status(h, BatchStatus::Posted)?;
        let from = h.anyone();
        let mut bond = params::get(&mut h.storage, params::param_name("challenge_bond")).ok()?;
        if h.draws.chance(10) {
            bond += U256::ONE;
        }
        let call = ISettlement::challengeCall { batch: batch.id };
        if let Some(challenge) = h.call(from, SETTLEMENT, bond, call) {
            h.challenges.push(challenge);
        }
        Some(())
    }),
    ("settlement.appeal", 30, |h| {
        let batch = with_status(h, BatchStatus::Posted)?;
        let (round, _) = asked(h, batch.id)?;
        let drawn = params::get_u64(&mut h.storage, "verifiers_per_batch").ok()? << (2 * round);
        let all = (VERIFIERS.len() + VALIDATORS.len()) as u64;
        if (drawn >= all || round >= settlement::MAX_APPEALS) && h.draws.chance(97) {
            return None;
        }
        let spoken = committed_in(&batch, round);
        let heard = spoken.iter().any(|member| is_revealed(h, batch.id, *member));
        // Who appeals before anybody was heard jumps over the windows.
        if !heard && h.draws.chance(90) {
            return None;
        }
        let from = h.mostly(&[batch.operator, VERIFIERS[0], VALIDATORS[0]]);
        let first = params::get(&mut h.storage, params::param_name("appeal_bond")).ok()?;
        let mut bond = first << (2 * round);
        if h.draws.chance(8) {
            bond += U256::ONE;
        }
        h.call(from, SETTLEMENT, bond, ISettlement::appealCall { batch: batch.id });
        Some(())
    }),
    ("settlement.claimVerdict", 12, |h| {
        let status = if h.draws.chance(30) { BatchStatus::Refused } else { BatchStatus::Finalised };
        let batch = with_status(h, status)?;
        let unpaid: Vec<_> = batch
            .verdicts
            .keys()
            .map(|(_, member)| *member)
            .filter(|member| !h.paid_verdicts.contains(&(batch.id, *member)) || h.draws.chance(10))
            .collect();
        let member = h.draws.pick(&unpaid)?;
        let (from, verifier) = (h.anyone(), h.account(member));
        let call = ISettlement::claimVerdictCall { batch: batch.id, verifier };
        if h.send(from, SETTLEMENT, call).is_some() && !h.paid_verdicts.insert((batch.id, member)) {
            h.violate(format!("verdicts of {verifier} on batch {} are paid twice", batch.id));
        }
        Some(())
    }),
    ("settlement.bisect", 30, |h| {
        let (challenge, read) = with_turn(h, ChallengeStatus::Bisecting)?;
        let batch = h.batches.iter().find(|batch| batch.id == read.batch)?.operator;
        let (from, state) = (h.mostly(&[batch]), h.draws.hash());
        h.send(from, SETTLEMENT, ISettlement::bisectCall { challenge, state });
        Some(())
    }),
    ("settlement.choose", 30, |h| {
        let (challenge, read) = with_turn(h, ChallengeStatus::Choosing)?;
        let challenger = h.cast.member(read.challenger)?;
        let (from, agrees) = (h.mostly(&[challenger]), h.draws.chance(50));
        h.send(from, SETTLEMENT, ISettlement::chooseCall { challenge, agrees });
        Some(())
    }),
    ("settlement.commitStep", 30, |h| {
        let (challenge, read) = with_turn(h, ChallengeStatus::Judging)?;
        let right = h.batches.iter().find(|batch| batch.id == read.batch)?.right;
        let free: Vec<_> = VERIFIERS
            .iter()
            .chain(VALIDATORS)
            .copied()
            .filter(|member| !h.step_verdicts.contains_key(&(challenge, *member)))
            .collect();
        let verifier = h.mostly(&free);
        let upheld = right == h.draws.chance(90);
        let account = h.account(verifier);
        let registered = staking::staker(&mut h.storage, account).ok()?.registeredAt;
        let commitment = settlement::step_commitment(
            account,
            registered,
            challenge,
            upheld,
            trace(verifier),
            salt(verifier),
        );
        let done = h.send(verifier, SETTLEMENT, ISettlement::commitStepCall { challenge, commitment });
        if done.is_some() && h.step_verdicts.insert((challenge, verifier), upheld).is_some() {
            h.violate("a verifier committed twice to one step");
        }
        Some(())
    }),
    ("settlement.revealStep", 34, |h| {
        let (challenge, _) = with_turn(h, ChallengeStatus::Judging)?;
        let committed: Vec<_> =
            h.step_verdicts.iter().filter(|((id, _), _)| *id == challenge).map(|(k, v)| (k.1, *v)).collect();
        let (verifier, upheld) = h.draws.pick(&committed)?;
        let call =
            ISettlement::revealStepCall { challenge, upheld, trace: trace(verifier), salt: salt(verifier) };
        h.send(verifier, SETTLEMENT, call);
        Some(())
    }),
    ("settlement.resolve", 10, |h| {
        let turns = [ChallengeStatus::Bisecting, ChallengeStatus::Choosing, ChallengeStatus::Judging];
        let turn = turns[h.draws.below(3) as usize];
        let (challenge, read) = with_turn(h, turn)?;
        let heard = !(read.upheldStake + read.refutedStake).is_zero();
        let committed = h.step_verdicts.keys().any(|(id, _)| *id == challenge);
        let waits_for_silence = committed && !h.has_seen("settlement.punishStep") && h.draws.chance(40);
        // Who resolves while somebody can move jumps over their time.
        if !heard && !waits_for_silence && h.draws.chance(90) {
            return None;
        }
        let from = h.anyone();
        h.send(from, SETTLEMENT, ISettlement::resolveCall { challenge });
        Some(())
    }),
    ("settlement.claimStep", 6, |h| {
        let ended = [ChallengeStatus::OperatorWon, ChallengeStatus::ChallengerWon];
        let status = ended[h.draws.below(2) as usize];
        let (challenge, _) = with_turn(h, status)?;
        let spoken: Vec<_> =
            h.step_verdicts.keys().filter(|(id, _)| *id == challenge).map(|(_, member)| *member).collect();
        let member = h.draws.pick(&spoken)?;
        let (from, verifier) = (h.anyone(), h.account(member));
        let call = ISettlement::claimStepCall { challenge, verifier };
        if h.send(from, SETTLEMENT, call).is_some() && !h.paid_steps.insert((challenge, member)) {
            h.violate(format!("a verdict of {verifier} on a step of challenge {challenge} is paid twice"));
        }
        Some(())
    }),
    ("settlement.punishStep", 8, |h| {
        let at_fault: Vec<_> = h
            .step_verdicts
            .keys()
            .copied()
            .filter(|(challenge, member)| {
                let account = h.cast.account(*member);
                h.storage.probe(|storage| settlement::punish_step(storage, *challenge, account).is_ok())
            })
            .collect();
        let all: Vec<_> = h.step_verdicts.keys().copied().collect();
        let blamed = if at_fault.is_empty() && h.draws.chance(10) { all } else { at_fault };
        let (challenge, member) = h.draws.pick(&blamed)?;
        let (verifier, from) = (h.account(member), h.anyone());
        h.send(from, SETTLEMENT, ISettlement::punishStepCall { challenge, verifier });
        Some(())
    }),
    ("settlement.punish", 16, |h| {
        let mut all: Vec<(U256, usize)> = Vec::new();
        for batch in &h.batches {
            all.extend(batch.verdicts.keys().map(|(_, member)| (batch.id, *member)));
        }
        let mut at_fault = all.clone();
        at_fault.retain(|(batch, member)| {
            let account = h.cast.account(*member);
            h.storage.probe(|storage| settlement::punish(storage, *batch, account).is_ok())
        });
        // Mostly somebody who did something; sometimes anybody who spoke.
        let blamed = if at_fault.is_empty() || h.draws.chance(5) {
            if h.draws.chance(92) {
                return None;
            }
            all
        } else {
            at_fault
        };
        let (batch, member) = h.draws.pick(&blamed)?;
        let (verifier, from) = (h.account(member), h.anyone());
        h.send(from, SETTLEMENT, ISettlement::punishCall { batch, verifier });
        Some(())
    }),
];

/// Charges keys of an operator, mostly within cap and deposit; sometimes the payout tree promises more than the fees.
fn post(h: &mut History<'_>) -> Option<()> {
    let operator = h.mostly(OPERATORS);
    let mut keys: Vec<_> = h.keys.iter().filter(|key| key.operator == operator).cloned().collect();
    if keys.is_empty() || h.draws.chance(3) {
        keys = h.keys.clone();
    }
    let mut charges: Vec<Charge> = Vec::new();
    for _ in 0..=h.draws.below(3) {
        let key = h.draws.recent(&keys)?;
        if charges.iter().any(|charge| charge.key == key.key) {
            continue;
        }
        let spent = escrow::authorisation(&mut h.storage, key.key).ok()?.spent;
        let deposit = escrow::balance_of(&mut h.storage, h.cast.account(key.payer)).ok()?;
        let within = key.cap.saturating_sub(spent).min(deposit) / U256::from(3);
        let wanted = h.amount() / U256::from(5);
        let amount = if h.draws.chance(85) { wanted.min(within) } else { wanted * U256::from(9) };
        charges.push(Charge { key: key.key, amount });
    }
    let fees = charges.iter().fold(U256::ZERO, |sum, charge| sum + charge.amount);
    // Some settle before a change of the numbers and post after it, or too late.
    let now = h.storage.block.timestamp;
    let settled_at = match h.storage.block.number % 8 {
        0 => now.saturating_sub(90_000),
        1..4 => now.saturating_sub(40_000),
        _ => now,
    };
    let parts = params::fee_split_at(&mut h.storage, settled_at).ok()?.split(fees);
    let totals = parts.totals(parts.contributors / U256::from(4));
    let half = totals.contributors / U256::from(2);
    let [first, second, third] = [(); 3].map(|()| h.draws.below(MEMBERS as u64) as usize);
    let payout = |role, member, amount| Payout { role, account: h.cast.account(member), amount };
    let mut payouts = vec![
        payout(PayoutKind::Contributor, first, half),
        payout(PayoutKind::Contributor, second, totals.contributors - half),
        payout(PayoutKind::Base, third, totals.base),
        payout(PayoutKind::Operator, operator, totals.operator),
        payout(PayoutKind::Developer, DEVELOPER, totals.developer),
    ];
    let greedy = h.draws.chance(12);
    if greedy {
        payouts[0].amount += h.amount();
    }
    let adapters = h.data.adapters.clone();
    let batch = BatchPost {
        epoch: h.draws.below(1_000_000),
        adapter: h.draws.recent(&adapters)?,
        receiptsRoot: h.draws.hash(),
        receipts: 1 + h.draws.below(2) as u32,
        steps: 1 + h.draws.below(2) as u32,
        fees,
        totals,
        payoutsRoot: payout_tree(&payouts).root(),
        payouts: payouts.len() as u32,
        fileHash: h.draws.hash(),
        settledAt: settled_at,
        charges,
    };
    // What the history lacks: a batch that is paid, then one that is refuted.
    let chance = match (h.has_seen("event Finalised"), h.has_seen("event Slashed")) {
        (false, _) => 95,
        (true, false) => 10,
        _ => 65,
    };
    let right = h.draws.chance(chance);
    if let Some(id) = h.send(operator, SETTLEMENT, ISettlement::postCall { batch }) {
        h.batches.push(Posted { id, operator, payouts, right, verdicts: Default::default() });
    }
    Some(())
}

fn without_verdict(h: &mut History<'_>, batch: &Posted) -> Vec<usize> {
    let round = asked(h, batch.id).map_or(0, |(round, _)| round);
    let not_drawn = settlement::seed(&mut h.storage, batch.id).is_ok_and(|seed| seed.is_zero());
    if not_drawn {
        // Whoever looks whether it is assigned draws.
        let from = h.anyone();
        h.send(from, SETTLEMENT, ISettlement::drawCall { batch: batch.id });
    }
    let free = VERIFIERS.iter().chain(VALIDATORS).copied();
    free.filter(|member| {
        let account = h.cast.account(*member);
        let active = [StakeRole::Verifier, StakeRole::Validator]
            .iter()
            .any(|role| staking::is_active(&mut h.storage, account, *role).unwrap_or_default());
        let assigned = settlement::is_assigned(&mut h.storage, batch.id, account).unwrap_or_default();
        active && assigned && !batch.verdicts.contains_key(&(round, *member))
    })
    .collect()
}

/// Who has committed to a panel.
fn committed_in(batch: &Posted, round: u32) -> Vec<usize> {
    batch.verdicts.keys().filter(|(of, _)| *of == round).map(|(_, member)| *member).collect()
}

/// The panel that is asked, and the block since which it is.
fn asked(h: &mut History<'_>, batch: U256) -> Option<(u32, u64)> {
    let read = settlement::batch(&mut h.storage, batch).ok()?;
    let appeal = settlement::appeal_of(&mut h.storage, batch, read.round).ok()?;
    Some((read.round, if read.round == 0 { read.postedAt } else { appeal.openedAt }))
}

fn is_revealed(h: &mut History<'_>, batch: U256, member: usize) -> bool {
    let account = h.cast.account(member);
    settlement::verdict(&mut h.storage, batch, account).is_ok_and(|(_, digest)| !digest.is_zero())
}

/// A batch that is so far.
fn with_status(h: &mut History<'_>, status: BatchStatus) -> Option<Posted> {
    let found: Vec<_> = h
        .batches
        .clone()
        .into_iter()
        .filter(|batch| settlement::batch(&mut h.storage, batch.id).is_ok_and(|read| read.status == status))
        .collect();
    h.draws.recent(&found)
}

fn with_turn(
    h: &mut History<'_>,
    status: ChallengeStatus,
) -> Option<(U256, openledger_types::abi::Challenge)> {
    let found: Vec<_> = h
        .challenges
        .clone()
        .into_iter()
        .filter_map(|id| Some((id, settlement::challenge_of(&mut h.storage, id).ok()?)))
        .filter(|(_, read)| read.status == status)
        .collect();
    h.draws.pick(&found)
}

fn salt(verifier: usize) -> B256 {
    B256::from(U256::from(verifier + 1))
}

/// What a verifier met on the way; one in three has not been there.
fn trace(verifier: usize) -> B256 {
    if verifier.is_multiple_of(3) { salt(verifier) } else { B256::ZERO }
}

fn digest(h: &mut History<'_>, batch: U256, agrees: bool) -> Option<B256> {
    let read = settlement::batch(&mut h.storage, batch).ok()?;
    let digest = verdict_digest(read.receiptsRoot, read.payoutsRoot, read.fileHash);
    Some(if agrees { digest } else { !digest })
}

/// A line of a finalised batch, mostly one that is not paid.
fn line(h: &mut History<'_>) -> Option<(Posted, usize)> {
    let batch = with_status(h, BatchStatus::Finalised)?;
    let unpaid: Vec<_> =
        (0..batch.payouts.len()).filter(|line| !h.claimed.contains(&(batch.id, *line))).collect();
    let all: Vec<_> = (0..batch.payouts.len()).collect();
    let line = if h.draws.chance(80) { h.draws.pick(&unpaid) } else { None };
    let line = line.or_else(|| h.draws.pick(&all))?;
    Some((batch, line))
}

fn claim(batch: &Posted, line: usize) -> Option<(ISettlement::claimCall, Payout)> {
    let payout = batch.payouts[line];
    let proof = payout_tree(&batch.payouts).proof(payout_leaf(line, &payout))?;
    let call = ISettlement::claimCall {
        batch: batch.id,
        index: U256::from(line),
        account: payout.account,
        role: payout.role.into(),
        amount: payout.amount,
        proof,
    };
    Some((call, payout))
}

fn claimed(h: &mut History<'_>, batch: U256, line: usize) {
    if !h.claimed.insert((batch, line)) {
        h.violate(format!("line {line} of batch {batch} is paid twice"));
    }
}
