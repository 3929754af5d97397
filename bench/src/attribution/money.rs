//! All queries settled as one epoch.

use anyhow::Result;
use openledger_attribution::settle::{
    AnswerFee, ClusterScore, Rules, Settlement, Weights, piconats, settle, weights,
};
use openledger_corpus::cluster::normalised_length;
use openledger_train::TrainingSet;
use openledger_types::batch::PayoutKind;
use openledger_types::split::FeeSplit;
use openledger_types::{Address, U256};

use super::scenario::Scenario;
use super::truth::Truth;
use crate::stats::positive_shares;

/// What every query pays: a hundredth of an OPEN.
pub(super) const FEE_WEI: u64 = 10_000_000_000_000_000;

/// As at genesis.
const RULES: Rules = Rules { split: FeeSplit::GENESIS, floor_micronats: 100_000, cluster_cap_ppm: 250_000 };

/// The queries as paid answers.
pub(crate) struct Epoch {
    /// What each counts for.
    pub(crate) weights: Weights,
}

impl Epoch {
    /// Every query pays the same; `explained` are their nats.
    pub(crate) fn of(explained: &[f64]) -> Result<Self> {
        let answers: Vec<_> = explained
            .iter()
            .map(|nats| AnswerFee {
                fee: U256::from(FEE_WEI),
                explained_micronats: (nats * 1e6).round() as i64,
                retrieved_micronats: 0,
            })
            .collect();
        Ok(Self { weights: weights(&answers, &RULES)? })
    }

    /// The queries' weights in the replay.
    pub(crate) fn omega(&self) -> impl Iterator<Item = f64> + '_ {
        self.weights.ppb.iter().map(|ppb| *ppb as f64 / 1e9)
    }

    /// The settlement of record scores.
    pub(crate) fn settlement(&self, set: &TrainingSet, scores: &[f64]) -> Result<Settlement> {
        let clusters = set.records().iter().zip(scores).map(|(record, score)| {
            Ok(ClusterScore {
                cluster: record.cluster,
                record: record.record,
                contributor: record.contributor,
                length: normalised_length(&record.text),
                score_piconats: piconats(*score)?,
                retrieved_wei: U256::ZERO,
            })
        });
        let clusters: Vec<_> = clusters.collect::<Result<_>>()?;
        Ok(settle(self.weights.clone(), &clusters, Address::ZERO, &[(Address::ZERO, 1)])?)
    }

    /// What influence pays each contributor, as parts of what it pays in all. Scores that are no nats are scaled to a largest
    /// of one nat first, which changes no proportion.
    pub(crate) fn paid_shares(&self, scenario: &Scenario, scores: &[f64], in_nats: bool) -> Result<Vec<f64>> {
        let largest = scores.iter().fold(0.0, |m: f64, s| m.max(s.abs()));
        let factor = if in_nats || largest == 0.0 { 1.0 } else { 1.0 / largest };
        let scaled: Vec<f64> = scores.iter().map(|s| s * factor).collect();
        let settlement = self.settlement(&scenario.set, &scaled)?;
        let paid = |address: Address| -> f64 {
            let to = |p: &&openledger_types::batch::Payout| {
                p.role == PayoutKind::Contributor && p.account == address
            };
            settlement.payouts.iter().filter(to).map(|p| f64::from(p.amount)).sum()
        };
        Ok(positive_shares(&scenario.contributors.iter().map(|c| paid(c.address)).collect::<Vec<_>>()))
    }

    /// What the contributors' LOCO differences would pay: positive parts of their weighted sums.
    pub(crate) fn loco_shares(&self, truth: &Truth) -> Vec<f64> {
        positive_shares(&self.over_queries(&truth.rises))
    }

    /// `Σ_q ω_q row_q`.
    pub(crate) fn over_queries(&self, rows: &[Vec<f64>]) -> Vec<f64> {
        let mut sum = vec![0.0; rows.first().map_or(0, Vec::len)];
        for (omega, row) in self.omega().zip(rows) {
            for (s, x) in sum.iter_mut().zip(row) {
                *s += omega * x;
            }
        }
        sum
    }
}
