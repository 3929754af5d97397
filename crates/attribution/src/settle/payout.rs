use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, I256, Sign, U256};
use openledger_types::abi::RoleTotals;
use openledger_types::addresses::TREASURY;
use openledger_types::batch::{AnswerWeight, ClusterCredit, Payout, PayoutKind};
use openledger_types::shares::apportion;
use openledger_types::split::FeeParts;

use super::{MAX_SCORE_PICONATS, SettleError, Weights};

/// Most clusters of a Datanet version that a settlement takes.
const MAX_CLUSTERS: usize = 1 << 22;

const PICONATS_PER_NAT: u64 = 1_000_000_000_000;

/// One accepted cluster with what the replay found for it. Clusters that training never saw have score 0 and take
/// part in the base pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterScore {
    /// Number of the cluster in the Datanet version.
    pub cluster: u32,
    /// Salted hash of the record that stands for it.
    pub record: B256,
    /// Whom its credit is paid to; nobody (zero) for a cluster that was withdrawn or taken down.
    pub contributor: Address,
    /// How much text stands in it, in any unit that is the same for all: its part of the base pool.
    pub length: u64,
    /// Sum over its records of the weighted influence, piconats.
    pub score_piconats: i128,
    /// What it has as a source of the answers, wei ([`super::among_sources`]).
    pub retrieved_wei: U256,
}

/// A settled epoch: what the batch file holds of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// How each answer entered, in the order given.
    pub weights: Vec<AnswerWeight>,
    /// By cluster, in the order of their numbers.
    pub credits: Vec<ClusterCredit>,
    /// The fees by role; `contributors` holds influence and base pool together.
    pub parts: FeeParts,
    /// How much of the contributors' part is the base pool.
    pub base: U256,
    /// Who can claim what, sorted by role, then account.
    pub payouts: Vec<Payout>,
}

impl Settlement {
    /// The totals by role that the batch posts; they add up to the fees.
    pub fn totals(&self) -> RoleTotals {
        self.parts.totals(self.base)
    }
}

/// Settles an epoch (rules 5 to 10 of the module). `clusters` are all accepted clusters, in any order; `developers` share the
/// developer's part by these weights.
///
/// # Errors
/// [`SettleError::TooMany`], [`SettleError::DuplicateCluster`], [`SettleError::ClusterScore`],
/// [`SettleError::Retrieved`], [`SettleError::NoDevelopers`].
pub fn settle(
    weights: Weights,
    clusters: &[ClusterScore],
    operator: Address,
    developers: &[(Address, u32)],
) -> Result<Settlement, SettleError> {
    let clusters = in_order(clusters)?;
    let influence: Vec<_> =
        clusters.iter().map(|c| influence_wei(c.score_piconats, weights.reference)).collect();
    let raw: Vec<_> = clusters
        .iter()
        .zip(&influence)
        .map(|(c, influence)| if c.contributor.is_zero() { I256::ZERO } else { *influence })
        .collect();
    let paid = pay(&raw, weights.cluster_cap, weights.cap);
    let retrieved = retrieved(&clusters, &weights)?;
    let base = weights.parts.contributors - sum(&paid) - sum(&retrieved);
    let lengths: Vec<_> = clusters
        .iter()
        .map(|c| if c.contributor.is_zero() { U256::ZERO } else { U256::from(c.length) })
        .collect();
    let base_parts = apportion(base, &lengths);

    let parts: Vec<_> = developers.iter().map(|(_, part)| U256::from(*part)).collect();
    if sum(&parts).is_zero() {
        return Err(SettleError::NoDevelopers);
    }
    let mut accounts = Accounts::default();
    for (((cluster, paid), retrieved), base) in clusters.iter().zip(&paid).zip(&retrieved).zip(&base_parts) {
        accounts.add(PayoutKind::Contributor, cluster.contributor, *paid + *retrieved);
        accounts.add(PayoutKind::Base, cluster.contributor, *base);
    }
    // All of it where every cluster is gone, else nothing.
    accounts.add(PayoutKind::Base, TREASURY, base - sum(&base_parts));
    accounts.add(PayoutKind::Operator, operator, weights.parts.operator);
    for ((developer, _), amount) in developers.iter().zip(apportion(weights.parts.developer, &parts)) {
        accounts.add(PayoutKind::Developer, *developer, amount);
    }

    let credits = clusters
        .iter()
        .zip(influence)
        .zip(paid)
        .zip(retrieved)
        .map(|(((cluster, influence_wei), paid), retrieved_wei)| ClusterCredit {
            cluster: cluster.cluster,
            record: cluster.record,
            contributor: cluster.contributor,
            influence_wei,
            paid,
            retrieved_wei,
        })
        .collect();
    Ok(Settlement {
        weights: weights.answers,
        credits,
        parts: weights.parts,
        base,
        payouts: accounts.payouts(),
    })
}

/// What each cluster is paid as a source.
fn retrieved(clusters: &[ClusterScore], weights: &Weights) -> Result<Vec<U256>, SettleError> {
    let limit = weights.answers.iter().fold(U256::ZERO, |sum, answer| sum + answer.retrieved_wei);
    let mut left = limit;
    for cluster in clusters {
        left = left.checked_sub(cluster.retrieved_wei).ok_or(SettleError::Retrieved { limit })?;
    }
    let paid = |c: &ClusterScore| if c.contributor.is_zero() { U256::ZERO } else { c.retrieved_wei };
    Ok(clusters.iter().map(paid).collect())
}

/// The clusters by number, each checked.
fn in_order(clusters: &[ClusterScore]) -> Result<Vec<ClusterScore>, SettleError> {
    if clusters.len() > MAX_CLUSTERS {
        return Err(SettleError::TooMany { what: "clusters", got: clusters.len(), limit: MAX_CLUSTERS });
    }
    let mut sorted = clusters.to_vec();
    sorted.sort_unstable_by_key(|c| c.cluster);
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].cluster == pair[1].cluster) {
        return Err(SettleError::DuplicateCluster { cluster: pair[0].cluster });
    }
    match sorted.iter().find(|c| c.score_piconats.unsigned_abs() > MAX_SCORE_PICONATS.unsigned_abs()) {
        Some(c) => Err(SettleError::ClusterScore {
            cluster: c.cluster,
            got: c.score_piconats,
            limit: MAX_SCORE_PICONATS,
        }),
        None => Ok(sorted),
    }
}

/// `score * reference / 10^12`, toward zero. At most 10^9 nats times 10^33 wei a nat (the supply at a floor of one
/// micronat): 140 bits.
fn influence_wei(score_piconats: i128, reference: U256) -> I256 {
    let magnitude = U256::from(score_piconats.unsigned_abs()) * reference / U256::from(PICONATS_PER_NAT);
    let sign = if score_piconats < 0 { Sign::Negative } else { Sign::Positive };
    I256::checked_from_sign_and_abs(sign, magnitude).expect("140 bits and a sign fit 256 bits")
}

fn pay(influence: &[I256], cluster_cap: U256, cap: U256) -> Vec<U256> {
    let raw: Vec<_> =
        influence.iter().map(|i| if i.is_negative() { U256::ZERO } else { i.unsigned_abs() }).collect();
    let mut paid = if sum(&raw) <= cap { raw } else { apportion(cap, &raw) };
    paid.iter_mut().for_each(|paid| *paid = (*paid).min(cluster_cap));
    paid
}

fn sum(amounts: &[U256]) -> U256 {
    amounts.iter().fold(U256::ZERO, |sum, amount| sum + *amount)
}

/// Amounts by role and account.
#[derive(Default)]
struct Accounts(BTreeMap<(PayoutKind, Address), U256>);

impl Accounts {
    fn add(&mut self, role: PayoutKind, account: Address, amount: U256) {
        *self.0.entry((role, account)).or_default() += amount;
    }

    fn payouts(self) -> Vec<Payout> {
        self.0
            .into_iter()
            .filter(|(_, amount)| !amount.is_zero())
            .map(|((role, account), amount)| Payout { role, account, amount })
            .collect()
    }
}
