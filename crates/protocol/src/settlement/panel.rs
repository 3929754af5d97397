//! Panels: who is asked about a batch, and what their verdicts add up to.
//!
//! Panel 0 is asked when the batch is posted; every [appeal](super::appeal) asks a larger one. A panel of round `r` has
//! `verifiers_per_batch · 4ʳ` members on average, that of the last round everybody; where there are no more to ask, all are
//! assigned. A panel says what more of the stake behind its verdicts says: their stake-weighted median, which splitting a
//! stake does not move. A panel in which both sides weigh the same, or nobody spoke, leaves what the one before it said.

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::BatchStatus;
use openledger_types::addresses::SETTLEMENT;
use openledger_types::batch::MAX_APPEALS;

use crate::error::Result;
use crate::layout::{Mapping, Slot, Word, place};
use crate::params;
use crate::storage::Storage;

/// By how many times a panel is larger than the one before it.
pub(super) const GROWTH: u64 = 4;

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) status: BatchStatus,
    /// Block of the post.
    pub(super) posted_at: u64,
    /// Of the panel that is asked, or was last.
    pub(super) round: u32,
    /// Verifiers who were bonded at the post.
    pub(super) verifiers: u32,
    /// Verifiers and validators who were.
    pub(super) eligible: u32,
    /// Unix seconds of the governed numbers that hold for it.
    pub(super) settled_at: u64,
}

impl Word for Stage {
    const BITS: usize = <(BatchStatus, u64, u32, u32, u32, u64)>::BITS;

    fn pack(self) -> U256 {
        let Self { status, posted_at, round, verifiers, eligible, settled_at } = self;
        (status, posted_at, round, verifiers, eligible, settled_at).pack()
    }

    fn unpack(word: U256) -> Self {
        let (status, posted_at, round, verifiers, eligible, settled_at) = Word::unpack(word);
        Self { status, posted_at, round, verifiers, eligible, settled_at }
    }
}

/// How many of a panel have spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Block since which it is asked.
    pub(super) opened_at: u64,
    /// Verdicts revealed that agree.
    pub(super) agree: u32,
    /// Verdicts revealed that do not.
    pub(super) disagree: u32,
    /// Commitments of verifiers who were bonded at the post.
    pub(super) verifiers_committed: u32,
    /// Commitments, of verifiers and validators.
    pub(super) committed: u32,
}

impl Word for Tally {
    const BITS: usize = <(u64, u32, u32, u32, u32)>::BITS;

    fn pack(self) -> U256 {
        (self.opened_at, self.agree, self.disagree, self.verifiers_committed, self.committed).pack()
    }

    fn unpack(word: U256) -> Self {
        let (opened_at, agree, disagree, verifiers_committed, committed) = Word::unpack(word);
        Self { opened_at, agree, disagree, verifiers_committed, committed }
    }
}

place! {
    pub(super) struct PanelSlots {
        0: tally: Slot<Tally>,
        /// Stake behind verdicts that agree and that do not, wei.
        1: stakes: Slot<(u128, u128)>,
        /// Seed of the draw; zero before it.
        2: seed: Slot<B256>,
        /// The most stake behind one trace of the verdicts that agree, and the stake behind all traces with that much, wei.
        3: leading: Slot<(u128, u128)>,
        /// Who appealed to it; whether the decision that this contests would have paid the batch.
        4: appeal: Slot<(Address, bool)>,
        /// The appeal's bond, and what of a won appeal's prize is not yet paid, wei.
        5: bond: Slot<(u128, u128)>,
    }
}

/// By batch, then round.
const PANELS: Mapping<U256, Mapping<u32, PanelSlots>> = Mapping::new(SETTLEMENT, 9);

/// A panel of a batch.
pub(super) fn panel(batch: U256, round: u32) -> PanelSlots {
    PANELS.at(batch).at(round)
}

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is paid.
    Pays,
    /// It is refused, and its operator slashed.
    Refuted,
    /// It is refused: as much stake says one as the other, or nobody spoke.
    Unheard,
}

/// What the panels up to a round say, and which of them had the last word.
pub(super) fn decision(storage: &mut dyn Storage, batch: U256, round: u32) -> Result<(Decision, u32)> {
    for round in (0..=round).rev() {
        let (agree, disagree) = panel(batch, round).stakes.get(storage)?;
        if agree != disagree {
            let decision = if agree > disagree { Decision::Pays } else { Decision::Refuted };
            return Ok((decision, round));
        }
    }
    Ok((Decision::Unheard, 0))
}

/// How many a panel has on average; nothing if it is everybody.
pub(super) fn wanted(storage: &mut dyn Storage, stage: &Stage) -> Result<Option<u64>> {
    let first = params::get_u64_at(storage, "verifiers_per_batch", stage.settled_at)?;
    let wanted = first.saturating_mul(GROWTH.saturating_pow(stage.round));
    let everybody = stage.round >= MAX_APPEALS || u64::from(stage.eligible) <= wanted;
    Ok((!everybody).then_some(wanted))
}

/// True if everybody who was bonded at the post is assigned, without a draw.
pub(super) fn all_assigned(storage: &mut dyn Storage, stage: &Stage) -> Result<bool> {
    Ok(wanted(storage, stage)?.is_none())
}

/// True if every verifier bonded at the post has committed, so that nobody else needs to be waited for.
pub(super) fn commits_closed_early(storage: &mut dyn Storage, stage: &Stage, tally: &Tally) -> Result<bool> {
    let everybody = stage.verifiers > 0 && tally.verifiers_committed >= stage.verifiers;
    Ok(everybody && all_assigned(storage, stage)?)
}

/// True if moreover every commitment is revealed.
pub(super) fn is_complete(storage: &mut dyn Storage, stage: &Stage, tally: &Tally) -> Result<bool> {
    let revealed = tally.agree.saturating_add(tally.disagree) >= tally.committed;
    Ok(revealed && commits_closed_early(storage, stage, tally)?)
}

/// The last block in which verdicts can be committed.
pub(super) fn commit_until(storage: &mut dyn Storage, stage: &Stage, tally: &Tally) -> Result<u64> {
    let window = params::get_u64_at(storage, "verify_window", stage.settled_at)?;
    Ok(tally.opened_at.saturating_add(window))
}

/// The last block in which verdicts can be revealed.
pub(super) fn reveal_until(storage: &mut dyn Storage, stage: &Stage, tally: &Tally) -> Result<u64> {
    let commit_until = commit_until(storage, stage, tally)?;
    Ok(commit_until.saturating_add(params::get_u64_at(storage, "reveal_window", stage.settled_at)?))
}
