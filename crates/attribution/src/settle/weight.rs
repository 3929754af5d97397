use alloy_primitives::U256;
use openledger_types::amount::{PPM, SUPPLY};
use openledger_types::batch::{AnswerWeight, MAX_ANSWERS};
use openledger_types::split::{FeeParts, FeeSplit};

use super::SettleError;

const MICRONATS_PER_NAT: u64 = 1_000_000;
const PPB: u64 = 1_000_000_000;

/// The governed numbers of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How a fee is split.
    pub split: FeeSplit,
    /// Least micronats that an answer counts for; positive.
    pub floor_micronats: u64,
    /// The most of what influence may claim in all that one cluster is paid, parts per million.
    pub cluster_cap_ppm: u32,
}

/// What an answer brings to the settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerFee {
    /// What was paid for it, wei.
    pub fee: U256,
    /// Its log-probability with the adapter less that without, micronats.
    pub explained_micronats: i64,
    /// Its log-probability with its sources less that without, micronats; 0 for an answer without sources.
    pub retrieved_micronats: i64,
}

/// How the answers of a batch enter its replay and its settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// By answer, in the order given: what the batch file says of each.
    pub answers: Vec<AnswerWeight>,
    /// By answer: its weight `ω` in the replay ([`crate::influence::Objective::add`]), parts per billion of
    /// [`Weights::reference`].
    pub ppb: Vec<u64>,
    /// `w_ref`: the largest price of a nat, wei.
    pub reference: U256,
    /// What influence may claim in all, wei.
    pub cap: U256,
    /// What one cluster may claim, wei.
    pub cluster_cap: U256,
    /// The fees by role.
    pub parts: FeeParts,
}

/// Prices the nats of every answer (rules 1 to 4 of the module).
///
/// # Errors
/// [`SettleError::Split`], [`SettleError::ZeroFloor`], [`SettleError::TooMany`], [`SettleError::Fees`].
pub fn weights(answers: &[AnswerFee], rules: &Rules) -> Result<Weights, SettleError> {
    rules.split.check()?;
    if rules.floor_micronats == 0 {
        return Err(SettleError::ZeroFloor);
    }
    if answers.len() > MAX_ANSWERS {
        return Err(SettleError::TooMany { what: "answers", got: answers.len(), limit: MAX_ANSWERS });
    }
    let mut parts = FeeParts::default();
    let mut fees = U256::ZERO;
    let mut weighted = Vec::with_capacity(answers.len());
    for (number, answer) in answers.iter().enumerate() {
        fees = fees
            .checked_add(answer.fee)
            .filter(|sum| *sum <= SUPPLY)
            .ok_or(SettleError::Fees { answer: number, limit: SUPPLY })?;
        let split = rules.split.split(answer.fee);
        weighted.push(weigh(split.contributors, answer, rules.floor_micronats));
        parts += split;
    }
    let reference = weighted.iter().map(|w| w.wei_per_nat).max().unwrap_or_default();
    let cap = weighted.iter().fold(U256::ZERO, |sum, w| sum + w.explained_wei);
    let ppb = weighted.iter().map(|w| parts_per_billion(w.wei_per_nat, reference)).collect();
    let cluster_cap = cap * U256::from(rules.cluster_cap_ppm) / U256::from(PPM);
    Ok(Weights { answers: weighted, ppb, reference, cap, cluster_cap, parts })
}

fn weigh(pool: U256, answer: &AnswerFee, floor_micronats: u64) -> AnswerWeight {
    let helped = |signed: i64| u64::try_from(signed).unwrap_or(0);
    let (by_adapter, by_sources) = (helped(answer.explained_micronats), helped(answer.retrieved_micronats));
    // Two numbers of 63 bits.
    let explained = by_adapter + by_sources;
    let of_pool = |part: u64, whole: u64| pool * U256::from(part) / U256::from(whole);
    let claimable = if explained >= floor_micronats { pool } else { of_pool(explained, floor_micronats) };
    let retrieved_wei = match by_sources {
        0 => U256::ZERO,
        sources => claimable * U256::from(sources) / U256::from(explained),
    };
    let wei_per_nat = match by_adapter {
        0 => U256::ZERO,
        _ => claimable * U256::from(MICRONATS_PER_NAT) / U256::from(explained.max(floor_micronats)),
    };
    AnswerWeight {
        explained_micronats: answer.explained_micronats,
        wei_per_nat,
        explained_wei: claimable - retrieved_wei,
        retrieved_micronats: answer.retrieved_micronats,
        retrieved_wei,
    }
}

fn parts_per_billion(wei_per_nat: U256, reference: U256) -> u64 {
    if reference.is_zero() {
        return 0;
    }
    u64::try_from(wei_per_nat * U256::from(PPB) / reference).expect("no weight is above the largest one")
}
