//! Everything an adapter was made from, loaded from chain and corpus and checked against their hashes.

use alloy_primitives::{Address, B256, U256};
use openledger_client::Client;
use openledger_corpus::blob::Blobs;
use openledger_corpus::manifest::DatanetManifest;
use openledger_corpus::merkle::records_root;
use openledger_train::{Run, TrainManifest, TrainingRecord, TrainingSet, Transcript};
use openledger_types::abi::Adapter;

use crate::{Machine, Progress, Result, WorkerError};

/// A manifest lists records by hash; the largest Datanet that one machine trains on stays far below this.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// What an adapter was made from.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// Number of the adapter.
    pub id: U256,
    /// What the chain says of it.
    pub adapter: Adapter,
    /// SHA-256 of the base model's file.
    pub base_hash: B256,
    /// The training manifest.
    pub manifest: TrainManifest,
    /// The seed: from the manifest and the block that holds its commitment.
    pub seed: B256,
    /// What it was trained on: the record that stands for each cluster, in the order of the clusters.
    pub set: TrainingSet,
    /// The contribution that founded each of these clusters: whose right is paid.
    pub contributions: Vec<U256>,
    /// How many of these clusters are each Datanet's, in the order of the manifest.
    pub clusters: Vec<usize>,
    /// Merkle root over the hashes of the Datanet version manifests.
    pub datanets_root: B256,
}

impl Lineage {
    /// Loads the lineage of a published adapter.
    ///
    /// # Errors
    /// [`WorkerError::Chain`] if there is no such adapter, [`WorkerError::Corpus`] if a blob is missing or damaged,
    /// [`WorkerError::Mismatch`] if chain and corpus disagree.
    pub async fn load(client: &Client, blobs: &Blobs, id: U256) -> Result<Self> {
        let adapter = client.models().adapter(id).await?;
        let base_hash = client.models().base(adapter.base).await?.fileHash;
        let manifest = TrainManifest::decode(&blobs.get(adapter.manifestHash, MAX_MANIFEST_BYTES)?)?;
        if manifest.base_sha256 != base_hash {
            return Err(WorkerError::mismatch(
                "base model of the training manifest",
                base_hash,
                manifest.base_sha256,
            ));
        }
        let refs: Vec<(U256, u32)> = adapter.datanets.iter().map(|d| (d.datanet, d.version)).collect();
        let named: Vec<(U256, u32)> = manifest.datanets.iter().map(|d| (d.datanet, d.version)).collect();
        if refs != named {
            return Err(WorkerError::mismatch(
                "Datanets of the training manifest",
                format!("{refs:?}"),
                format!("{named:?}"),
            ));
        }
        let seed = client
            .models()
            .seed(adapter.manifestHash)
            .await?
            .ok_or(WorkerError::NotCommitted(adapter.manifestHash))?;
        let set = training_set(client, blobs, &manifest).await?;
        let founders = founding_contributions(blobs, &manifest)?;
        let clusters = founders.iter().map(Vec::len).collect();
        let contributions = founders.into_iter().flatten().collect();
        let datanets_root = datanets_root(&manifest);
        Ok(Self { id, adapter, base_hash, manifest, seed, set, contributions, clusters, datanets_root })
    }

    /// The run made ready on a machine that holds the base model.
    ///
    /// # Errors
    /// [`WorkerError::Mismatch`] if the machine holds another base model, [`WorkerError::Train`].
    pub fn run(&self, machine: &Machine, progress: &Progress) -> Result<Run> {
        if machine.base_hash != self.base_hash {
            return Err(WorkerError::mismatch("base model in memory", self.base_hash, machine.base_hash));
        }
        prepare(machine, &self.manifest, self.seed, &self.set, progress)
    }

    /// The transcript of the run.
    ///
    /// # Errors
    /// [`WorkerError::Corpus`] if it is missing or damaged, [`WorkerError::Train`] if it is of another run.
    pub fn transcript(&self, blobs: &Blobs, run: &Run) -> Result<Transcript> {
        blobs.verify(self.adapter.transcriptHash)?;
        let path = blobs.path(self.adapter.transcriptHash);
        Ok(Transcript::open_for(&path, &run.header(None)?)?)
    }

    /// Owner of each training record, by index.
    pub fn owner(&self, record: usize) -> Address {
        self.set.records()[record].contributor
    }
}

/// Makes a run ready, telling how far the frozen layers are.
pub(crate) fn prepare(
    machine: &Machine,
    manifest: &TrainManifest,
    seed: B256,
    set: &TrainingSet,
    progress: &Progress,
) -> Result<Run> {
    let mut report = |step: openledger_train::Progress| {
        if let openledger_train::Progress::Prefixes { done, total } = step {
            progress.report("frozen layers", done as u64, total as u64, "records");
        }
    };
    let (model, pool) = (machine.model.clone(), machine.pool.clone());
    Ok(Run::prepare(model, &machine.tokenizer, pool, manifest, seed, set, &mut report)?)
}

/// The root that a receipt states over the Datanet versions an adapter was trained on.
pub(crate) fn datanets_root(manifest: &TrainManifest) -> B256 {
    records_root(&manifest.datanets.iter().map(|d| d.manifest_hash).collect::<Vec<_>>())
}

/// The records that a training manifest names, from the corpus, checked against the chain.
pub(crate) async fn training_set(
    client: &Client,
    blobs: &Blobs,
    manifest: &TrainManifest,
) -> Result<TrainingSet> {
    let mut records = Vec::new();
    let mut first_cluster = 0;
    for named in &manifest.datanets {
        let version = client.datanets().version(named.datanet, named.version).await?;
        if version.manifestHash != named.manifest_hash {
            return Err(WorkerError::mismatch(
                format!("manifest of Datanet {} version {}", named.datanet, named.version),
                version.manifestHash,
                named.manifest_hash,
            ));
        }
        let datanet = DatanetManifest::load(blobs, named.manifest_hash)?;
        let texts = datanet.verify(blobs)?;
        if datanet.records_root != version.recordsRoot {
            let (expected, got) = (version.recordsRoot, datanet.records_root);
            return Err(WorkerError::mismatch("records root of the Datanet version", expected, got));
        }
        for (at, entry) in datanet.canonical_entries() {
            records.push(TrainingRecord {
                record: entry.record,
                cluster: first_cluster + entry.cluster,
                contributor: datanet.owner(entry),
                name: texts[at].source.name.clone(),
                text: texts[at].text.clone(),
            });
        }
        first_cluster +=
            u32::try_from(datanet.clusters.len()).expect("a manifest keeps the limit of clusters");
    }
    records.sort_by_key(|record| record.cluster);
    Ok(TrainingSet::new(records)?)
}

/// The contribution that founded each cluster of a training manifest, by Datanet, in the order of the training set.
fn founding_contributions(blobs: &Blobs, manifest: &TrainManifest) -> Result<Vec<Vec<U256>>> {
    let of = |hash| {
        let founders = DatanetManifest::load(blobs, hash)?.founders(blobs)?;
        Ok(founders.into_iter().map(|order| U256::from(order.contribution)).collect())
    };
    manifest.datanets.iter().map(|named| of(named.manifest_hash)).collect()
}
