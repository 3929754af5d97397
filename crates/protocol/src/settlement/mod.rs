//! Settlement: from a batch of receipts to money that its earners can claim.
//!
//! ```text
//! post ──> Posted ──(verdicts: commit, then reveal; challenges)──> finalise ──> Finalised ──> claim …
//!                                                                     └──────> Refused: the payers have their money back
//! ```
//!
//! - **Post.** An active operator posts an epoch of one adapter: roots, the sum of the fees, what each role gets and what
//!   each key is charged. Charges and totals both add up to the fees; every role's total is what the governed split gives
//!   it, less at most one wei per receipt for rounding down, and the treasury has what that leaves. The charges are taken
//!   from escrow now; what a key that ended too long ago should have paid comes out of the operator's stake. That stake
//!   stays until the batch is decided. The post names a time of the epoch before it: the governed numbers of that time hold for
//!   the batch until it is decided, its split, panels, sample, windows and pay, whatever is changed meanwhile.
//! - **Verify.** The draw (`sampling`) assigns verifiers and validators who were bonded when the batch was posted. They commit
//!   to the digest of the roots that they computed themselves. The commit window ends after `verify_window` blocks, or,
//!   where all are assigned, with the commitment of the last verifier who was bonded at the post. Then everybody who
//!   committed reveals, until `reveal_window` blocks after the verify window. No digest is public while anybody can still
//!   commit, so a copier has nothing to copy. A commitment is bound to (verifier, block of its registration, batch), and its
//!   reveal is in a later block. Whoever cannot fetch the file says so with the digest `WITHHELD`, which agrees with nothing.
//! - **Appeal.** What a drawn panel decided can be [appealed](appeal) to a larger one.
//! - **Challenge.** While the batch is posted anyone with a bond can [dispute](challenge) it down to one step.
//! - **Finalise.** After both windows and, where a panel was drawn, `appeal_window`; or once every verifier bonded at the post
//!   has committed and every commitment is revealed. A verdict weighs its own stake, at the commitment: the decision is the
//!   stake-weighted median of the verdicts, which splitting a stake does not move. With more stake agreeing than disagreeing,
//!   and `challenge_window` blocks after the verdicts or the last challenge, the batch is *Finalised*: validators, treasury
//!   and burn are paid, the rest is claimable. Otherwise, also if nobody verified it, it is *Refused* and the payers are
//!   refunded; an operator whom verdicts or a challenge refuted is slashed.
//! - **Pay for verdicts.** Verdicts that were right share `verifier_share` of the validators' part, or of the operator's slash.
//! - **Claim.** A Merkle proof pays an account, whoever sends it, once per index; the account itself can have it staked.
//!
//! # Invariants
//! The module's balance is the fees of posted batches, what finalised ones still owe, what verdicts have still to be paid, and
//! the bonds of open challenges and appeals, and what judges of ended challenges have still to be paid. A
//! batch never pays out more than it charged, whatever its payout root says.

mod appeal;
mod challenge;
mod decide;
mod dispatch;
mod judges;
mod panel;
mod pay;
mod sampling;
#[cfg(test)]
mod tests;
mod totals;
mod verdict;

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolValue;
use openledger_types::abi::{
    Batch, BatchPost, BatchStatus, Charge, ISettlement, PayoutRole, RoleTotals, StakeRole,
};
use openledger_types::addresses::{ESCROW, SETTLEMENT, STAKING};
use openledger_types::merkle;

pub use appeal::{appeal, appeal_of};
#[cfg(test)]
pub(crate) use challenge::bond_held;
pub use challenge::{bisect, challenge, challenge_count, challenge_of, choose, resolve};
pub use decide::{finalise, punish};
pub(crate) use dispatch::dispatch;
pub use judges::{claim_step, commit_step, punish_step, reveal_step};
pub use openledger_types::batch::{MAX_APPEALS, step_commitment};
pub use pay::claim_verdict;
pub use sampling::{draw, is_assigned, seed};
pub use verdict::{commit_verdict, reveal_verdict, verdict};

use crate::dispatch::next_id;
use crate::error::{Result, overflow, revert};
use crate::layout::{List, Mapping, Slot, place};
use crate::math::{add, half, sub, sum};
use crate::storage::{Storage, emit};
use crate::{escrow, models, params, staking};
use decide::Dispute;
use panel::{Stage, Tally, panel};
use verdict::VerdictSlots;

/// Most receipts of a batch.
pub const MAX_RECEIPTS: u32 = 1_000_000;
/// Most steps of a settlement: one per receipt, one per step of the longest training run, one for the payouts.
pub const MAX_STEPS: u32 = 2_000_001;
/// Most keys that a batch charges: a post with that many fits the gas of one transaction.
pub const MAX_CHARGES: usize = 256;
/// Most payouts of a batch.
pub const MAX_PAYOUTS: u32 = 100_000;
/// Most hashes of a proof: a tree over [`MAX_PAYOUTS`] is 17 deep.
pub const MAX_PROOF: usize = 32;
/// Gas of one level of a proof: keccak256 of two words.
const PROOF_STEP_GAS: u64 = 42;

place! {
    struct BatchSlots {
        /// Operator, epoch, receipts.
        0: operator: Slot<(Address, u64, u32)>,
        1: stage: Slot<Stage>,
        2: adapter: Slot<U256>,
        3: receipts_root: Slot<B256>,
        4: payouts_root: Slot<B256>,
        5: file_hash: Slot<B256>,
        /// Fees, and what of them was claimed, wei.
        6: fees: Slot<(u128, u128)>,
        7: contributors_base: Slot<(u128, u128)>,
        8: operator_developer: Slot<(u128, u128)>,
        9: validators_treasury: Slot<(u128, u128)>,
        /// Burnt part, wei; how many payouts there are; how many steps the settlement has.
        10: burn: Slot<(u128, u32, u32)>,
        11: keys: List<B256>,
        12: amounts: List<u128>,
        /// Wei that the operator paid of the fees.
        13: forfeited: Slot<u128>,
        14: dispute: Slot<Dispute>,
        /// What verdicts have still to be paid, wei, and the stake behind those, wei.
        15: pot: Slot<(u128, u128)>,
    }
}

const BATCH_COUNT: Slot<U256> = Slot::new(SETTLEMENT, 0);
const BATCHES: Mapping<U256, BatchSlots> = Mapping::new(SETTLEMENT, 1);
/// By operator, epoch, adapter.
const BY_EPOCH: Mapping<Address, Mapping<u64, Mapping<U256, Slot<U256>>>> = Mapping::new(SETTLEMENT, 2);
/// By batch, round, verifier.
const VERDICTS: Mapping<U256, Mapping<u32, Mapping<Address, VerdictSlots>>> = Mapping::new(SETTLEMENT, 3);
/// One bit per payout: by batch, then 256 payouts at a time.
const CLAIMED: Mapping<U256, Mapping<U256, Slot<U256>>> = Mapping::new(SETTLEMENT, 4);
/// Stake behind the verdicts that agree, wei: by batch, round, trace.
const TRACES: Mapping<U256, Mapping<u32, Mapping<B256, Slot<U256>>>> = Mapping::new(SETTLEMENT, 8);

/// Posts a batch and charges its payers.
///
/// # Errors
/// `NotOperator`, `EmptyBatch`, `TooMany`, `UnknownAdapter`, `AdapterRetired` longer ago than the grace,
/// `EpochAlreadyPosted`, `SettledAtOutOfRange`, `FeesMismatch`, `DuplicateCharge`, `TotalsMismatch`, `SplitOutOfBounds`, and those of a charge.
pub fn post(storage: &mut dyn Storage, operator: Address, post: &BatchPost) -> Result<U256> {
    if !staking::is_active(storage, operator, StakeRole::Operator)? {
        return Err(revert(ISettlement::NotOperator { caller: operator }));
    }
    check_shape(post)?;
    check_adapter(storage, post.adapter)?;
    let by_epoch = BY_EPOCH.at(operator).at(post.epoch).at(post.adapter);
    if !by_epoch.get(storage)?.is_zero() {
        return Err(revert(ISettlement::EpochAlreadyPosted { epoch: post.epoch, adapter: post.adapter }));
    }
    check_time(storage, post.settledAt)?;
    let split = params::fee_split_at(storage, post.settledAt)?;
    totals::check(post.fees, &post.totals, post.receipts, &split)?;

    let id = next_id(BATCH_COUNT.get(storage)?)?;
    BATCH_COUNT.set(storage, id)?;
    by_epoch.set(storage, id)?;
    store(storage, id, operator, post)?;
    collect(storage, id, operator, post)?;
    staking::lock(storage, operator)?;
    emit(
        storage,
        SETTLEMENT,
        &ISettlement::Posted {
            batch: id,
            operator,
            adapter: post.adapter,
            epoch: post.epoch,
            receiptsRoot: post.receiptsRoot,
            payoutsRoot: post.payoutsRoot,
            fileHash: post.fileHash,
            fees: post.fees,
        },
    )?;
    Ok(id)
}

/// Takes the fees from the keys, and what cannot be collected any more from the operator's stake.
fn collect(storage: &mut dyn Storage, id: U256, operator: Address, post: &BatchPost) -> Result<()> {
    let mut amounts = Vec::with_capacity(post.charges.len());
    for Charge { key, amount } in &post.charges {
        amounts.push(half(escrow::charge(storage, operator, *key, *amount, id)?)?);
    }
    let collected = sum(amounts.iter().copied().map(U256::from))?;
    let forfeited = sub(post.fees, collected)?;
    let slots = BATCHES.at(id);
    slots.keys.init(storage, post.charges.iter().map(|charge| charge.key))?;
    slots.amounts.init(storage, amounts)?;
    slots.forfeited.set(storage, half(forfeited)?)?;
    storage.transfer(ESCROW, SETTLEMENT, collected)?;
    if !forfeited.is_zero() {
        staking::forfeit(storage, operator, forfeited)?;
        storage.transfer(STAKING, SETTLEMENT, forfeited)?;
    }
    Ok(())
}

fn check_shape(post: &BatchPost) -> Result<()> {
    // Who is owed nothing need not be paid.
    let pays_nobody = post.payouts == 0 && !post.fees.is_zero();
    if post.receipts == 0 || post.steps == 0 || pays_nobody || post.charges.is_empty() {
        return Err(revert(ISettlement::EmptyBatch {}));
    }
    for (what, count, limit) in [
        ("receipts", U256::from(post.receipts), U256::from(MAX_RECEIPTS)),
        ("steps", U256::from(post.steps), U256::from(MAX_STEPS)),
        ("payouts", U256::from(post.payouts), U256::from(MAX_PAYOUTS)),
        ("charges", U256::from(post.charges.len()), U256::from(MAX_CHARGES)),
    ] {
        if count > limit {
            return Err(revert(ISettlement::TooMany { what: what.to_owned(), count, limit }));
        }
    }
    let mut keys = BTreeSet::new();
    if let Some(charge) = post.charges.iter().find(|charge| !keys.insert(charge.key)) {
        return Err(revert(ISettlement::DuplicateCharge { key: charge.key }));
    }
    let charges = sum(post.charges.iter().map(|charge| charge.amount))?;
    if charges != post.fees {
        return Err(revert(ISettlement::FeesMismatch { fees: post.fees, charges }));
    }
    Ok(())
}

/// Refuses numbers of the future, and of more than an epoch ago.
fn check_time(storage: &mut dyn Storage, settled_at: u64) -> Result<()> {
    let most = storage.block().timestamp;
    let least = most.saturating_sub(params::epoch_seconds(storage)?);
    if settled_at < least || settled_at > most {
        return Err(revert(ISettlement::SettledAtOutOfRange { settledAt: settled_at, least, most }));
    }
    Ok(())
}

fn check_adapter(storage: &mut dyn Storage, adapter: U256) -> Result<()> {
    let (_, retired_at) = models::developer_of(storage, adapter)?;
    if retired_at == 0 {
        return Ok(());
    }
    let grace = params::get_u64(storage, "settle_grace")?;
    if storage.block().timestamp > retired_at.saturating_add(grace) {
        return Err(revert(ISettlement::AdapterRetired { adapter }));
    }
    Ok(())
}

fn store(storage: &mut dyn Storage, id: U256, operator: Address, post: &BatchPost) -> Result<()> {
    let slots = BATCHES.at(id);
    let totals = &post.totals;
    let now = storage.block().number;
    let verifiers = staking::bonded(storage, StakeRole::Verifier)?;
    let eligible = verifiers.saturating_add(staking::bonded(storage, StakeRole::Validator)?);
    let stage = Stage {
        status: BatchStatus::Posted,
        posted_at: now,
        round: 0,
        verifiers,
        eligible,
        settled_at: post.settledAt,
    };
    panel(id, 0).tally.set(storage, Tally { opened_at: now, ..Tally::default() })?;
    slots.operator.set(storage, (operator, post.epoch, post.receipts))?;
    slots.stage.set(storage, stage)?;
    slots.adapter.set(storage, post.adapter)?;
    slots.receipts_root.set(storage, post.receiptsRoot)?;
    slots.payouts_root.set(storage, post.payoutsRoot)?;
    slots.file_hash.set(storage, post.fileHash)?;
    slots.fees.set(storage, (half(post.fees)?, 0))?;
    slots.contributors_base.set(storage, (half(totals.contributors)?, half(totals.base)?))?;
    slots.operator_developer.set(storage, (half(totals.operator)?, half(totals.developer)?))?;
    slots.validators_treasury.set(storage, (half(totals.validators)?, half(totals.treasury)?))?;
    slots.burn.set(storage, (half(totals.burn)?, post.payouts, post.steps))
}

/// One line of the payout tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayoutClaim {
    /// Its position.
    pub index: U256,
    /// Who is paid.
    pub account: Address,
    /// For what.
    pub role: PayoutRole,
    /// How much, wei.
    pub amount: U256,
}

impl PayoutClaim {
    /// `keccak256(keccak256(abi.encode(index, account, role, amount)))`.
    pub fn leaf(&self) -> B256 {
        merkle::leaf(&(self.index, self.account, U256::from(self.role as u8), self.amount).abi_encode())
    }
}

/// Pays a line of the payout tree to its account.
///
/// # Errors
/// `UnknownBatch`, `WrongStatus` unless finalised, `TooMany` hashes in the proof, `AlreadyClaimed`, `InvalidProof`,
/// `TotalsMismatch` if the tree pays more than the batch owes.
pub fn claim(storage: &mut dyn Storage, id: U256, line: &PayoutClaim, proof: &[B256]) -> Result<()> {
    take_line(storage, id, line, proof)?;
    storage.transfer(SETTLEMENT, line.account, line.amount)
}

/// Delegates the caller's own line of the payout tree to a validator.
///
/// # Errors
/// Those of [`claim`] and of [`delegate_stake`](staking::delegate_stake).
pub fn claim_and_stake(
    storage: &mut dyn Storage,
    id: U256,
    line: &PayoutClaim,
    proof: &[B256],
    validator: Address,
) -> Result<()> {
    take_line(storage, id, line, proof)?;
    storage.transfer(SETTLEMENT, STAKING, line.amount)?;
    staking::delegate_stake(storage, line.account, validator, line.amount)
}

/// Marks a line as paid; the caller moves the amount.
fn take_line(storage: &mut dyn Storage, id: U256, line: &PayoutClaim, proof: &[B256]) -> Result<()> {
    let slots = BATCHES.at(id);
    let stage = known(storage, id)?;
    need_status(id, &stage, BatchStatus::Finalised)?;
    if proof.len() > MAX_PROOF {
        let (count, limit) = (U256::from(proof.len()), U256::from(MAX_PROOF));
        return Err(revert(ISettlement::TooMany { what: "proof".to_owned(), count, limit }));
    }
    let PayoutClaim { index, account, role, amount } = *line;
    if claimed(storage, id, index)? {
        return Err(revert(ISettlement::AlreadyClaimed { index }));
    }
    let root = slots.payouts_root.get(storage)?;
    let steps = u64::try_from(proof.len()).map_err(|_too_many| overflow())?.saturating_add(4);
    storage.charge(PROOF_STEP_GAS.saturating_mul(steps))?;
    if index >= U256::from(slots.burn.get(storage)?.1) || !merkle::verify(root, line.leaf(), proof) {
        return Err(revert(ISettlement::InvalidProof { root }));
    }
    let (fees, paid) = slots.fees.get(storage)?;
    let totals = role_totals(storage, id)?;
    let claimable = sum([totals.contributors, totals.base, totals.operator, totals.developer])?;
    let paid = add(U256::from(paid), amount)?;
    if paid > claimable {
        return Err(revert(ISettlement::TotalsMismatch { fees: claimable, totals: paid }));
    }
    slots.fees.set(storage, (fees, half(paid)?))?;
    let (word, bit) = bitmap_place(index);
    let bits = CLAIMED.at(id).at(word).get(storage)?;
    CLAIMED.at(id).at(word).set(storage, bits | bit)?;
    emit(storage, SETTLEMENT, &ISettlement::Claimed { batch: id, index, account, role, amount })
}

/// Batches so far.
///
/// # Errors
/// Those of the storage.
pub fn batch_count(storage: &mut dyn Storage) -> Result<U256> {
    BATCH_COUNT.get(storage)
}

/// A batch.
///
/// # Errors
/// `UnknownBatch`.
pub fn batch(storage: &mut dyn Storage, id: U256) -> Result<Batch> {
    let slots = BATCHES.at(id);
    let stage = known(storage, id)?;
    let (operator, epoch, receipts) = slots.operator.get(storage)?;
    let (fees, claimed) = slots.fees.get(storage)?;
    let asked = panel(id, stage.round);
    let tally = asked.tally.get(storage)?;
    let (agree_stake, disagree_stake) = asked.stakes.get(storage)?;
    let (_, payouts, steps) = slots.burn.get(storage)?;
    Ok(Batch {
        operator,
        epoch,
        adapter: slots.adapter.get(storage)?,
        receiptsRoot: slots.receipts_root.get(storage)?,
        receipts,
        steps,
        fees: U256::from(fees),
        totals: role_totals(storage, id)?,
        payoutsRoot: slots.payouts_root.get(storage)?,
        payouts,
        fileHash: slots.file_hash.get(storage)?,
        status: stage.status,
        postedAt: stage.posted_at,
        agree: tally.agree,
        disagree: tally.disagree,
        claimed: U256::from(claimed),
        agreeStake: U256::from(agree_stake),
        disagreeStake: U256::from(disagree_stake),
        forfeited: U256::from(slots.forfeited.get(storage)?),
        round: stage.round,
        pot: U256::from(slots.pot.get(storage)?.0),
        settledAt: stage.settled_at,
    })
}

/// The batch of an operator, epoch and adapter; 0 if there is none.
///
/// # Errors
/// Those of the storage.
pub fn batch_of(storage: &mut dyn Storage, operator: Address, epoch: u64, adapter: U256) -> Result<U256> {
    BY_EPOCH.at(operator).at(epoch).at(adapter).get(storage)
}

/// True if a line of the payout tree has been paid.
///
/// # Errors
/// Those of the storage.
pub fn claimed(storage: &mut dyn Storage, id: U256, index: U256) -> Result<bool> {
    let (word, bit) = bitmap_place(index);
    Ok(!(CLAIMED.at(id).at(word).get(storage)? & bit).is_zero())
}

fn bitmap_place(index: U256) -> (U256, U256) {
    let bit: usize = (index & U256::from(0xff)).wrapping_to();
    (index.wrapping_shr(8), U256::ONE.wrapping_shl(bit))
}

fn role_totals(storage: &mut dyn Storage, id: U256) -> Result<RoleTotals> {
    let slots = BATCHES.at(id);
    let (contributors, base) = slots.contributors_base.get(storage)?;
    let (operator, developer) = slots.operator_developer.get(storage)?;
    let (validators, treasury) = slots.validators_treasury.get(storage)?;
    let burn = slots.burn.get(storage)?.0;
    Ok(RoleTotals {
        contributors: U256::from(contributors),
        base: U256::from(base),
        operator: U256::from(operator),
        developer: U256::from(developer),
        validators: U256::from(validators),
        treasury: U256::from(treasury),
        burn: U256::from(burn),
    })
}

fn known(storage: &mut dyn Storage, id: U256) -> Result<Stage> {
    let stage = BATCHES.at(id).stage.get(storage)?;
    if stage.status == BatchStatus::None {
        return Err(revert(ISettlement::UnknownBatch { batch: id }));
    }
    Ok(stage)
}

fn need_status(id: U256, stage: &Stage, status: BatchStatus) -> Result<()> {
    if stage.status == status {
        Ok(())
    } else {
        Err(revert(ISettlement::WrongStatus { batch: id, status: stage.status }))
    }
}

/// What a batch could still pay, or give back: the part of the module's balance that it accounts for.
///
/// # Errors
/// `UnknownBatch`.
pub fn held(storage: &mut dyn Storage, id: U256) -> Result<U256> {
    let Batch { status, totals, fees, claimed, pot, .. } = batch(storage, id)?;
    match status {
        BatchStatus::Posted => {
            let stage = known(storage, id)?;
            add(fees, appeal::bonds_held(storage, id, &stage)?)
        }
        BatchStatus::Finalised => {
            let owed = sum([totals.contributors, totals.base, totals.operator, totals.developer, pot])?;
            sub(owed, claimed)
        }
        _ => Ok(pot),
    }
}
