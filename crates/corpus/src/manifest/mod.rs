//! What a Datanet version is made of, and the file that a contributor commits to.
//!
//! Both are JSON blobs: fields in the order of the structs, integers and hex only, no spaces. One value has one encoding, and bytes that parse but are not that encoding are
//! refused, so that the content hash names the content.
//!
//! A [`DatanetManifest`] lists every accepted record of a version in the order of commitment, with its cluster. It names everything it depends
//! on: the records as blobs, and in `against` the manifests of the other Datanets whose records it was compared with, because
//! duplicates are found across the whole network. [`DatanetManifest::verify`] makes it again from those.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    blob::Blobs,
    cluster::{ClusterItem, Clustering, MAX_RECORDS, OrderKey, cluster},
    error::{CorpusError, Result},
    license::{License, LicenseClass},
    merkle::records_root,
    record::{Record, RecordLimits, within},
};

mod contribution;

pub use contribution::{ContributionFile, MAX_CONTRIBUTION_BYTES, MAX_CONTRIBUTION_RECORDS};

/// The largest manifest that is read: [`MAX_RECORDS`] entries of some 400 bytes, and as much again for clusters.
pub const MAX_MANIFEST_BYTES: u64 = 128 * 1024 * 1024;
/// The most Datanets a manifest is compared with.
pub const MAX_AGAINST: usize = 1_024;
const FORMAT: &str = "openledger-datanet/1";
const MAX_NAME: usize = 128;

/// One version of a Datanet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatanetManifest {
    /// Name and number of this format.
    pub format: String,
    /// The Datanet's number on chain.
    pub datanet: u64,
    /// Its name.
    pub name: String,
    /// SPDX expression.
    pub license: String,
    /// The version, from 1.
    pub version: u32,
    /// Content hash of the manifest of the version before.
    pub previous: Option<B256>,
    /// Content hashes of the manifests of other Datanets that this one was compared with, ascending.
    pub against: Vec<B256>,
    /// Merkle root over the record hashes.
    pub records_root: B256,
    /// The clusters that records of this version belong to, in the order in which their first record here was committed.
    pub clusters: Vec<ManifestCluster>,
    /// The records, in the order of commitment.
    pub entries: Vec<ManifestEntry>,
}

/// A cluster, as far as it reaches into this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestCluster {
    /// Hash of the record that founded it, here or in another Datanet.
    pub founder: B256,
    /// Who committed that record: whom the cluster pays.
    pub owner: Address,
}

/// A record of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// Its hash on chain.
    pub record: B256,
    /// Content hash of its encoding.
    pub blob: B256,
    /// Who committed it.
    pub contributor: Address,
    /// When.
    pub order: OrderKey,
    /// Its cluster, as an index into `clusters`.
    pub cluster: u32,
    /// Whether it is the first of its cluster in this version: the one that is trained on.
    pub canonical: bool,
}

/// A record with its place on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedRecord {
    /// The record.
    pub record: Record,
    /// Who committed it.
    pub contributor: Address,
    /// When.
    pub order: OrderKey,
}

/// What a manifest is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestDraft {
    /// The Datanet's number on chain.
    pub datanet: u64,
    /// Its name.
    pub name: String,
    /// SPDX expression.
    pub license: String,
    /// The version, from 1.
    pub version: u32,
    /// Content hash of the manifest of the version before.
    pub previous: Option<B256>,
    /// Content hashes of the current manifests of the other Datanets.
    pub against: Vec<B256>,
    /// The accepted records, in any order.
    pub records: Vec<CommittedRecord>,
}

impl ManifestDraft {
    /// Stores the records and makes the manifest of them; it is stored by [`DatanetManifest::store`].
    ///
    /// # Errors
    /// Those of [`Record::check`] and [`cluster`], [`CorpusError::LicenseNotAllowed`] for a record stricter than the Datanet (a permissive
    /// one is always accepted), [`CorpusError::DuplicateRecord`], [`CorpusError::TooLarge`], and those of reading `against`.
    pub fn build(mut self, blobs: &Blobs) -> Result<DatanetManifest> {
        self.records.sort_by_key(|committed| committed.order);
        self.against.sort_unstable();
        self.against.dedup();
        self.check()?;
        let mut entries = Vec::with_capacity(self.records.len());
        for CommittedRecord { record, contributor, order } in &self.records {
            let blob = blobs.put(&record.encode())?;
            let record = record.hash();
            let contributor = *contributor;
            entries.push(ManifestEntry {
                record,
                blob,
                contributor,
                order: *order,
                cluster: 0,
                canonical: false,
            });
        }
        let mut manifest = DatanetManifest {
            format: FORMAT.to_owned(),
            datanet: self.datanet,
            name: self.name,
            license: self.license,
            version: self.version,
            previous: self.previous,
            against: self.against,
            records_root: records_root(&entries.iter().map(|entry| entry.record).collect::<Vec<_>>()),
            clusters: Vec::new(),
            entries,
        };
        let elsewhere = manifest.elsewhere(blobs)?;
        manifest.assign_clusters(&self.records, &elsewhere)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<()> {
        within("Datanet name (bytes)", self.name.len(), MAX_NAME)?;
        within("records of a version", self.records.len(), MAX_RECORDS)?;
        within("Datanets to compare with", self.against.len(), MAX_AGAINST)?;
        let widest = License::from_str(&self.license)?.class().max(LicenseClass::Permissive);
        let mut hashes = BTreeSet::new();
        for CommittedRecord { record, .. } in &self.records {
            record.check(&RecordLimits::default())?;
            License::from_str(&record.source.license)?.require_at_most(widest)?;
            if !hashes.insert(record.hash()) {
                return Err(CorpusError::DuplicateRecord { hash: record.hash() });
            }
        }
        Ok(())
    }
}

impl DatanetManifest {
    /// Stores the manifest; its content hash.
    ///
    /// # Errors
    /// [`CorpusError::Io`].
    pub fn store(&self, blobs: &Blobs) -> Result<B256> {
        blobs.put(&canonical_json(self))
    }

    /// Reads a manifest by its content hash, without checking what it says.
    ///
    /// # Errors
    /// Those of [`Blobs::get`], [`CorpusError::Malformed`].
    pub fn load(blobs: &Blobs, hash: B256) -> Result<Self> {
        let manifest: Self = parse_canonical("Datanet manifest", &blobs.get(hash, MAX_MANIFEST_BYTES)?)?;
        if manifest.format != FORMAT {
            let reason = format!("its format is {:?}, expected {FORMAT:?}", manifest.format);
            return Err(CorpusError::Malformed { what: "Datanet manifest", reason });
        }
        within("records of a version", manifest.entries.len(), MAX_RECORDS)?;
        Ok(manifest)
    }

    /// Reads every record, in the order of the entries, each checked against both its hashes.
    ///
    /// # Errors
    /// Those of [`Blobs::get`] and [`Record::decode`], [`CorpusError::ManifestMismatch`] for a record with another hash.
    pub fn records(&self, blobs: &Blobs) -> Result<Vec<Record>> {
        let limits = RecordLimits::default();
        self.entries
            .iter()
            .enumerate()
            .map(|(at, entry)| {
                let record = Record::decode(&blobs.get(entry.blob, limits.encoded_bytes())?, &limits)?;
                expect(&format!("entries[{at}].record"), &record.hash(), &entry.record)?;
                Ok(record)
            })
            .collect()
    }

    /// Makes the manifest again from the records and the manifests it names, and compares: every blob, the root, every cluster. Returns the records, in the order
    /// of the entries.
    ///
    /// # Errors
    /// [`CorpusError::ManifestMismatch`] naming the first field that differs, and those of [`Self::records`] and [`ManifestDraft::build`].
    pub fn verify(&self, blobs: &Blobs) -> Result<Vec<Record>> {
        let records = self.records(blobs)?;
        let committed = records.iter().zip(&self.entries).map(|(record, entry)| CommittedRecord {
            record: record.clone(),
            contributor: entry.contributor,
            order: entry.order,
        });
        let draft = ManifestDraft {
            datanet: self.datanet,
            name: self.name.clone(),
            license: self.license.clone(),
            version: self.version,
            previous: self.previous,
            against: self.against.clone(),
            records: committed.collect(),
        };
        self.compare(&draft.build(blobs)?)?;
        Ok(records)
    }

    /// The entries to train on, one for each cluster, with their positions.
    pub fn canonical_entries(&self) -> impl Iterator<Item = (usize, &ManifestEntry)> {
        self.entries.iter().enumerate().filter(|(_, entry)| entry.canonical)
    }

    /// Whom the cluster of an entry pays.
    ///
    /// # Panics
    /// If the entry is not of this manifest, or the manifest was not verified.
    pub fn owner(&self, entry: &ManifestEntry) -> Address {
        self.clusters[entry.cluster as usize].owner
    }

    /// When the founder of each cluster was committed, here or in another Datanet, in the order of `clusters`: what names the
    /// contribution whose right the cluster pays.
    ///
    /// # Errors
    /// Those of [`Self::load`]; [`CorpusError::ManifestMismatch`] for a founder that stands nowhere.
    pub fn founders(&self, blobs: &Blobs) -> Result<Vec<OrderKey>> {
        let mut earliest: BTreeMap<B256, OrderKey> = BTreeMap::new();
        let mut note = |entries: &[ManifestEntry]| {
            for ManifestEntry { record, order, .. } in entries {
                let known = earliest.entry(*record).or_insert(*order);
                *known = (*known).min(*order);
            }
        };
        note(&self.entries);
        for hash in &self.against {
            note(&Self::load(blobs, *hash)?.entries);
        }
        let founder = |cluster: &ManifestCluster| {
            earliest.get(&cluster.founder).copied().ok_or_else(|| CorpusError::ManifestMismatch {
                what: "founder of a cluster".to_owned(),
                expected: "a record of this manifest or of those it was compared with".to_owned(),
                got: cluster.founder.to_string(),
            })
        };
        self.clusters.iter().map(founder).collect()
    }

    fn compare(&self, made: &Self) -> Result<()> {
        expect("format", &made.format, &self.format)?;
        expect("against", &made.against, &self.against)?;
        expect("records_root", &made.records_root, &self.records_root)?;
        for (at, (made, said)) in made.entries.iter().zip(&self.entries).enumerate() {
            let field = |name: &str| format!("entries[{at}].{name}");
            expect(&field("record"), &made.record, &said.record)?;
            expect(&field("blob"), &made.blob, &said.blob)?;
            expect(&field("order"), &made.order, &said.order)?;
            expect(&field("cluster"), &made.cluster, &said.cluster)?;
            expect(&field("canonical"), &made.canonical, &said.canonical)?;
        }
        expect("number of clusters", &made.clusters.len(), &self.clusters.len())?;
        for (at, (made, said)) in made.clusters.iter().zip(&self.clusters).enumerate() {
            expect(&format!("clusters[{at}].founder"), &made.founder, &said.founder)?;
            expect(&format!("clusters[{at}].owner"), &made.owner, &said.owner)?;
        }
        Ok(())
    }

    /// The entries of the other Datanets with their records, leaving out what is in this version too.
    fn elsewhere(&self, blobs: &Blobs) -> Result<Vec<(ManifestEntry, Record)>> {
        let mut seen: BTreeSet<OrderKey> = self.entries.iter().map(|entry| entry.order).collect();
        let mut all = Vec::new();
        for hash in &self.against {
            let other = Self::load(blobs, *hash)?;
            let records = other.records(blobs)?;
            let pairs = other.entries.into_iter().zip(records);
            all.extend(pairs.filter(|(entry, _)| seen.insert(entry.order)));
            within("records of all Datanets", all.len() + self.entries.len(), MAX_RECORDS)?;
        }
        Ok(all)
    }

    fn assign_clusters(
        &mut self,
        own: &[CommittedRecord],
        elsewhere: &[(ManifestEntry, Record)],
    ) -> Result<()> {
        let here = own.iter().map(|committed| (committed.record.text.as_str(), committed.order));
        let there = elsewhere.iter().map(|(entry, record)| (record.text.as_str(), entry.order));
        let items: Vec<_> = here.chain(there).map(|(text, order)| ClusterItem { text, order }).collect();
        let Clustering { cluster: found, owner, .. } = cluster(&items)?;
        let mut numbers = vec![None; owner.len()];
        // Our own records come first among those clustered; a founder beyond them stands elsewhere.
        let ours: Vec<(B256, Address)> =
            self.entries.iter().map(|entry| (entry.record, entry.contributor)).collect();
        for (entry, network) in self.entries.iter_mut().zip(found) {
            let number = &mut numbers[network as usize];
            entry.canonical = number.is_none();
            entry.cluster = *number.get_or_insert(self.clusters.len() as u32);
            if entry.canonical {
                let at = owner[network as usize];
                let (founder, owner) = ours.get(at).copied().unwrap_or_else(|| {
                    let (entry, _) = &elsewhere[at - ours.len()];
                    (entry.record, entry.contributor)
                });
                self.clusters.push(ManifestCluster { founder, owner });
            }
        }
        Ok(())
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, got: &T) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    Err(CorpusError::ManifestMismatch {
        what: what.to_owned(),
        expected: format!("{expected:?}"),
        got: format!("{got:?}"),
    })
}

/// The one encoding of a value of this module.
fn canonical_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value)
        .expect("values of this module have string keys only and cannot fail to serialise")
}

/// Reads bytes that [`canonical_json`] could have written.
fn parse_canonical<T: Serialize + DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T> {
    let value: T = serde_json::from_slice(bytes)
        .map_err(|error| CorpusError::Malformed { what, reason: error.to_string() })?;
    if canonical_json(&value) != bytes {
        return Err(CorpusError::Malformed {
            what,
            reason: "it is valid JSON but not the canonical encoding".into(),
        });
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
