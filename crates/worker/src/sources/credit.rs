use alloy_primitives::{B256, U256};
use openledger_attribution::retrieval::{self, Context};
use openledger_attribution::settle::among_sources;
use openledger_model::Pages;
use openledger_serve::Engine;
use openledger_types::batch::AnswerWeight;
use openledger_types::receipt::Answer;

use crate::{Result, WorkerError};

/// Most memory for the keys and values of one context.
const PAGE_BYTES: usize = 4 << 30;
/// What the hash of the work begins with.
const WORK_DOMAIN: &[u8] = b"openledger-sources/1";

/// What sources did for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credited {
    /// By source, nanonats, signed.
    pub nanonats: Vec<i64>,
    /// What stands in no document: BLAKE3 of `WORK_DOMAIN` and the bits of every subset's `log p`. Only who computed all of them knows it.
    pub work: B256,
}

/// Credits the sources of an answer, on the threads of `engine`.
///
/// # Errors
/// [`WorkerError::Retrieval`] when context and answer do not fit the model; [`WorkerError::Mismatch`] for a credit that is no finite number.
pub fn credit(engine: &Engine, context: &Context, answer: &[u32]) -> Result<Credited> {
    let pages = Pages::new(engine.model().config(), PAGE_BYTES)?;
    // Every subset is computed, so nothing is drawn.
    let credit = retrieval::credit(engine.model(), None, engine.pool(), &pages, (context, answer), [0; 32])?;
    let nanonats = credit.nats.iter().map(|nats| nanonats(*nats)).collect::<Result<_>>()?;
    let mut work = blake3::Hasher::new();
    work.update(WORK_DOMAIN);
    for value in &credit.values {
        work.update(&value.to_le_bytes());
    }
    Ok(Credited { nanonats, work: B256::from(*work.finalize().as_bytes()) })
}

/// What each source of an answer has of what settlement gives its sources, wei.
pub fn paid(answer: &Answer, weight: &AnswerWeight) -> Vec<U256> {
    let did: Vec<i64> = answer.attribution.sources.iter().map(|credit| credit.nanonats).collect();
    among_sources(weight.retrieved_wei, &did)
}

fn nanonats(nats: f64) -> Result<i64> {
    let rounded = (nats * 1e9).round_ties_even();
    // Far beyond what any answer has: 10^9 nats.
    if rounded.is_nan() || rounded.abs() > 1e18 {
        return Err(WorkerError::mismatch("credit of a source", "a finite number of nats", nats));
    }
    Ok(rounded as i64)
}
