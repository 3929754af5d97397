//! What a Datanet has to say to a question.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use openledger_attribution::retrieval::{Hit, Retriever};
use openledger_corpus::blob::Blobs;
use openledger_corpus::manifest::DatanetManifest;
use openledger_corpus::record::Record;
use openledger_model::{Encoder, Pool};

use crate::Result;

/// A record that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its hash on chain.
    pub hash: B256,
    /// Whom its cluster pays.
    pub owner: Address,
    /// The record.
    pub record: Record,
    /// Its ranks.
    pub hit: Hit,
}

/// The records of a version that have most to say to a question, best first, at most `count` and one of each cluster: by shared words, and by the meaning that an
/// encoder sees if there is one. Every record is read and embedded anew.
///
/// # Errors
/// [`crate::WorkerError::Corpus`] for a record that is missing or damaged, [`crate::WorkerError::Retrieval`] for a question that the encoder does not take.
pub fn search(
    pool: &Pool,
    encoder: Option<Arc<Encoder>>,
    blobs: &Blobs,
    manifest: &DatanetManifest,
    question: &str,
    count: usize,
) -> Result<Vec<Found>> {
    let records = manifest.records(blobs)?;
    let texts: Vec<&str> = records.iter().map(|record| record.text.as_str()).collect();
    let clusters = manifest.entries.iter().map(|entry| u64::from(entry.cluster)).collect();
    let hits = Retriever::new(pool, encoder, &texts, clusters)?.search(pool, question, count)?;
    let found = |hit: Hit| {
        let entry = &manifest.entries[hit.passage];
        Found { hash: entry.record, owner: manifest.owner(entry), record: records[hit.passage].clone(), hit }
    };
    Ok(hits.into_iter().map(found).collect())
}
