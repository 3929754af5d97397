use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};

use crate::{Error, Result};

/// Transcripts count records in 32 bits and every one is held in memory; this is far above what a CPU fits in a day.
const MAX_RECORDS: usize = 1 << 20;

/// A record as training sees it: the canonical member of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingRecord {
    /// The record's salted hash.
    pub record: B256,
    /// Its cluster; one weight each.
    pub cluster: u32,
    /// Who owns the cluster.
    pub contributor: Address,
    /// Name of the work it is from; empty if it has none.
    pub name: String,
    /// The text.
    pub text: String,
}

/// What a run is trained on, in the order of the Datanet manifest. A record's position in it is its index everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingSet {
    records: Vec<TrainingRecord>,
}

impl TrainingSet {
    /// A set with one record per cluster.
    ///
    /// # Errors
    /// [`Error::Records`] for none or too many, [`Error::Cluster`] when a cluster appears twice.
    pub fn new(records: Vec<TrainingRecord>) -> Result<Self> {
        if records.is_empty() || records.len() > MAX_RECORDS {
            return Err(Error::Records { got: records.len(), limit: MAX_RECORDS });
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = records.iter().find(|r| !seen.insert(r.cluster)) {
            return Err(Error::Cluster { cluster: twice.cluster });
        }
        Ok(Self { records })
    }

    /// The records.
    #[must_use]
    pub fn records(&self) -> &[TrainingRecord] {
        &self.records
    }
}
