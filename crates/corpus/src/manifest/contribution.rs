use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use super::{canonical_json, parse_canonical};
use crate::{
    blob::Blobs,
    error::{CorpusError, Result},
    merkle::records_root,
    record::{Record, RecordLimits, within},
};

/// The largest contribution that is read.
pub const MAX_CONTRIBUTION_BYTES: u64 = 64 * 1024 * 1024;
/// The most records of one contribution.
pub const MAX_CONTRIBUTION_RECORDS: usize = 50_000;
const FORMAT: &str = "openledger-contribution/1";

/// What a contributor hands to a Datanet. On chain stand its content hash and the Merkle root over its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContributionFile {
    /// Name and number of this format.
    pub format: String,
    /// The Datanet's number on chain.
    pub datanet: u64,
    /// Who contributes.
    pub contributor: Address,
    /// What.
    pub records: Vec<Record>,
}

impl ContributionFile {
    /// Checks the records and makes a contribution of them.
    ///
    /// # Errors
    /// Those of [`Record::check`], [`CorpusError::EmptyText`] for no records, [`CorpusError::TooLarge`], [`CorpusError::DuplicateRecord`].
    pub fn new(datanet: u64, contributor: Address, records: Vec<Record>) -> Result<Self> {
        let file = Self { format: FORMAT.to_owned(), datanet, contributor, records };
        file.check()?;
        Ok(file)
    }

    /// Stores the file and each of its records; its content hash.
    ///
    /// # Errors
    /// [`CorpusError::TooLarge`], [`CorpusError::Io`].
    pub fn store(&self, blobs: &Blobs) -> Result<B256> {
        let bytes = canonical_json(self);
        within("contribution (bytes)", bytes.len(), MAX_CONTRIBUTION_BYTES as usize)?;
        for record in &self.records {
            blobs.put(&record.encode())?;
        }
        blobs.put(&bytes)
    }

    /// Reads a contribution by its content hash and checks it.
    ///
    /// # Errors
    /// Those of [`Blobs::get`] and [`Self::new`], [`CorpusError::Malformed`].
    pub fn load(blobs: &Blobs, hash: B256) -> Result<Self> {
        let file: Self = parse_canonical("contribution", &blobs.get(hash, MAX_CONTRIBUTION_BYTES)?)?;
        if file.format != FORMAT {
            let reason = format!("its format is {:?}, expected {FORMAT:?}", file.format);
            return Err(CorpusError::Malformed { what: "contribution", reason });
        }
        file.check()?;
        Ok(file)
    }

    /// The hashes of the records, in their order.
    pub fn record_hashes(&self) -> Vec<B256> {
        self.records.iter().map(Record::hash).collect()
    }

    /// The Merkle root that is committed to.
    pub fn records_root(&self) -> B256 {
        records_root(&self.record_hashes())
    }

    fn check(&self) -> Result<()> {
        within("records of a contribution", self.records.len(), MAX_CONTRIBUTION_RECORDS)?;
        if self.records.is_empty() {
            return Err(CorpusError::EmptyText);
        }
        self.records.iter().try_for_each(|record| record.check(&RecordLimits::default()))?;
        let mut hashes = self.record_hashes();
        hashes.sort_unstable();
        match hashes.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(CorpusError::DuplicateRecord { hash: pair[0] }),
            None => Ok(()),
        }
    }
}
