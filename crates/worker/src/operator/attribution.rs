//! Which data an answer rests on, as far as it can be said at once.
//!
//! For an answer `y` to `x`, with `e = log p(y|x; base + adapter) − log p(y|x; base)` nats explained by the adapter and `s_u` the
//! estimated influence of unit `u` (a record, or all records of a contributor with exact tangents):
//!
//! - a contributor's weight is `Σ max(0, s_u)` over its units: clipped by unit before adding, so that dividing one's records
//!   over several names changes nothing;
//! - what belongs to nobody is `max(0, e − Σ weights)`; if `e ≤ 0` the adapter explained nothing and all of it belongs to nobody;
//! - what the sources of the answer did together, `r` nats, is divided among those that helped, in proportion to what each did;
//! - the shares are the weights, the sources' parts and the unattributed part in parts per million, which add up to a whole exactly.
//!
//! Influences are integers of nanonats from here on. It is a function of the adapter, the evidence, the prompt and the answer alone, so that a
//! verifier gets the same document bit for bit.

use std::{cmp::Reverse, collections::BTreeMap};

use alloy_primitives::{Address, B256, U256};
use openledger_attribution::influence::{Index, Tangents, answer_gradient};
use openledger_attribution::settle::among_sources;
use openledger_attribution::spans::Shards;
use openledger_model::Adapter;
use openledger_serve::Engine;
use openledger_types::receipt::{Attribution, ContributorShare, RecordInfluence, SourceCredit, Span, Tier};
use openledger_types::shares::{apportion, ppm_shares};

use super::ServeError;

/// Most records that an answer's attribution lists.
const LISTED_RECORDS: usize = 10;

/// What an adapter's answers are attributed with.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Whose data made an answer likely.
    pub estimate: Estimate,
    /// Where its words stand; `None` lists no spans.
    pub spans: Option<Shards>,
}

/// The tier of the estimate.
#[derive(Debug, Clone)]
pub enum Estimate {
    /// [`Tier::ExactTangents`]: one tangent for each contributor.
    Tangents {
        /// The tangents.
        tangents: Tangents,
        /// Whose they are, in the same order.
        contributors: Vec<Address>,
    },
    /// [`Tier::EmpiricalFisher`]: one score for each record.
    Fisher {
        /// The solved index.
        index: Index,
        /// Hash and contributor of each record of the training set, in its order.
        records: Vec<(B256, Address)>,
    },
    /// [`Tier::MatchOnly`]: no influence, for which no gradient is computed either.
    None,
}

/// The influence of the smallest thing that an estimate tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// The record, if it is one.
    pub record: Option<B256>,
    /// Whose it is.
    pub contributor: Address,
    /// How much it raised the answer's log-probability.
    pub influence_nanonats: i64,
}

/// Attributes an answer, on the threads of `engine`; `sources` are those of its prompt with what each did.
///
/// # Errors
/// [`ServeError::Attribution`] when the evidence is of another adapter or a score is no finite number.
pub fn attribute(
    engine: &Engine,
    adapter: &Adapter,
    evidence: &Evidence,
    salt: B256,
    prompt: &[u32],
    answer: &[u32],
    sources: Vec<SourceCredit>,
) -> Result<Attribution, ServeError> {
    let (explained, (tier, units)) = match &evidence.estimate {
        Estimate::None => (0, (Tier::MatchOnly, Vec::new())),
        estimate => {
            let gradient = answer_gradient(engine.model(), engine.pool(), adapter.lora(), prompt, answer)
                .map_err(failed)?;
            (gradient.explained_micronats(), estimate.units(&gradient.gradient)?)
        }
    };
    let decode = |tokens: &[u32]| engine.tokenizer().decode(tokens);
    let (spans, edited_spans) = match &evidence.spans {
        Some(index) => {
            (index.attribute(answer, decode).map_err(failed)?, index.edited(answer, decode).map_err(failed)?)
        }
        None => Default::default(),
    };
    Ok(Attribution { edited_spans, ..summarise(salt, tier, explained, &units, spans, sources) })
}

/// The document: units to shares, the most helpful records, verbatim spans.
pub fn summarise(
    salt: B256,
    tier: Tier,
    explained_micronats: i64,
    units: &[Unit],
    spans: Vec<Span>,
    mut sources: Vec<SourceCredit>,
) -> Attribution {
    let mut by_contributor: BTreeMap<Address, (i64, U256)> = BTreeMap::new();
    for unit in units.iter().filter(|unit| unit.influence_nanonats != 0) {
        let (influence, weight) = by_contributor.entry(unit.contributor).or_default();
        *influence = influence.saturating_add(unit.influence_nanonats);
        *weight += helped(unit.influence_nanonats);
    }
    let explained = helped(explained_micronats) * U256::from(1000);
    let mut weights: Vec<U256> = by_contributor
        .values()
        .map(|(_, weight)| if explained.is_zero() { U256::ZERO } else { *weight })
        .collect();
    // Estimates may add up to more than the adapter explained; beside sources they have no more than that, as in settlement.
    if !sources.is_empty() && weights.iter().fold(U256::ZERO, |sum, weight| sum + weight) > explained {
        weights = apportion(explained, &weights);
    }
    let claimed = weights.iter().fold(U256::ZERO, |sum, weight| sum + weight);
    let did: Vec<i64> = sources.iter().map(|source| source.nanonats).collect();
    let together = did.iter().map(|did| i128::from(*did)).sum::<i128>();
    weights.extend(among_sources(U256::from(u128::try_from(together).unwrap_or(0)), &did));
    let (mut shares, unattributed_ppm) = ppm_shares(&weights, explained.saturating_sub(claimed));
    for (source, share_ppm) in sources.iter_mut().zip(shares.split_off(by_contributor.len())) {
        source.share_ppm = share_ppm;
    }
    let mut contributors: Vec<ContributorShare> = by_contributor
        .into_iter()
        .zip(shares)
        .map(|((account, (influence_nanonats, _)), share_ppm)| ContributorShare {
            account,
            share_ppm,
            influence_nanonats,
        })
        .collect();
    contributors.sort_by_key(|c| (Reverse(c.share_ppm), Reverse(c.influence_nanonats), c.account));
    Attribution {
        salt,
        tier,
        explained_micronats,
        contributors,
        unattributed_ppm,
        records: most_helpful(units),
        spans,
        edited_spans: Vec::new(),
        sources,
    }
}

impl Estimate {
    fn units(&self, gradient: &[f32]) -> Result<(Tier, Vec<Unit>), ServeError> {
        match self {
            Self::Tangents { tangents, contributors } => {
                let gradient: Vec<f64> = gradient.iter().map(|x| f64::from(*x)).collect();
                let scores = tangents.scores(&gradient).map_err(failed)?;
                let whose = contributors.iter().map(|contributor| (None, *contributor));
                Ok((Tier::ExactTangents, units(&scores, contributors.len(), whose)?))
            }
            Self::Fisher { index, records } => {
                let scores = index.scores(gradient).map_err(failed)?;
                let whose = records.iter().map(|(record, contributor)| (Some(*record), *contributor));
                Ok((Tier::EmpiricalFisher, units(&scores, records.len(), whose)?))
            }
            Self::None => Ok((Tier::MatchOnly, Vec::new())),
        }
    }
}

fn units(
    scores: &[f64],
    expected: usize,
    whose: impl Iterator<Item = (Option<B256>, Address)>,
) -> Result<Vec<Unit>, ServeError> {
    if scores.len() != expected {
        return Err(failed(format!("the estimate has {} scores for {expected} units", scores.len())));
    }
    scores
        .iter()
        .zip(whose)
        .map(|(nats, (record, contributor))| {
            Ok(Unit { record, contributor, influence_nanonats: nanonats(*nats)? })
        })
        .collect()
}

fn nanonats(nats: f64) -> Result<i64, ServeError> {
    let rounded = (nats * 1e9).round_ties_even();
    // Far beyond what any answer has: 10^9 nats.
    if rounded.abs() > 1e18 || rounded.is_nan() {
        return Err(failed(format!("an influence of {nats} nats")));
    }
    Ok(rounded as i64)
}

fn helped(signed: i64) -> U256 {
    U256::from(u64::try_from(signed).unwrap_or(0))
}

fn most_helpful(units: &[Unit]) -> Vec<RecordInfluence> {
    let mut records: Vec<RecordInfluence> = units
        .iter()
        .filter(|unit| unit.influence_nanonats > 0)
        .filter_map(|unit| {
            Some(RecordInfluence {
                record: unit.record?,
                contributor: unit.contributor,
                influence_nanonats: unit.influence_nanonats,
            })
        })
        .collect();
    records.sort_by_key(|record| (Reverse(record.influence_nanonats), record.record));
    records.truncate(LISTED_RECORDS);
    records
}

fn failed(error: impl std::fmt::Display) -> ServeError {
    ServeError::Attribution(error.to_string())
}
