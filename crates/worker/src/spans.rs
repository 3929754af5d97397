//! The span indexes of an adapter: one shard for each Datanet version that it was trained on, built once for all adapters trained on that and
//! mapped from its file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use openledger_attribution::spans::{Shard, Shards, SpanIndex};

use crate::lineage::Lineage;
use crate::{Folders, Machine, Result, WorkerError};

/// The shards in memory, made from the lineage alone.
///
/// # Errors
/// [`WorkerError::Spans`], [`WorkerError::Model`] for a text that cannot be tokenised.
pub(crate) fn build(machine: &Machine, lineage: &Lineage) -> Result<Shards> {
    let shard =
        |(datanet, records)| Ok(Shard { version: datanet as u64, index: index(machine, lineage, records)? });
    Ok(Shards::new(ranges(lineage).into_iter().map(shard).collect::<Result<Vec<_>>>()?)?)
}

/// The index files of an adapter, with the hashes of what was written.
#[derive(Debug, Clone)]
pub(crate) struct Files(Vec<(u64, PathBuf, B256)>);

impl Files {
    /// The files, made where they are not there or not what was written.
    ///
    /// # Errors
    /// As [`build`], and [`WorkerError::Io`].
    pub(crate) fn make(folders: &Folders, machine: &Machine, lineage: &Lineage) -> Result<Self> {
        let mut files = Vec::with_capacity(lineage.clusters.len());
        for (datanet, records) in ranges(lineage) {
            let named = &lineage.manifest.datanets[datanet];
            let path = folders.spans(named.manifest_hash, lineage.base_hash);
            let hash = match written(&path) {
                Some(hash) => hash,
                None => write(&path, &index(machine, lineage, records)?)?,
            };
            files.push((datanet as u64, path, hash));
        }
        Ok(Self(files))
    }

    /// Maps the files.
    ///
    /// # Errors
    /// [`WorkerError::Spans`] for one that is not what was written.
    pub(crate) fn open(&self) -> Result<Shards> {
        let open = |(version, path, hash): &(u64, PathBuf, B256)| {
            Ok(Shard { version: *version, index: SpanIndex::open(path, *hash)? })
        };
        Ok(Shards::new(self.0.iter().map(open).collect::<Result<Vec<_>>>()?)?)
    }
}

/// The records of each Datanet, by its place in the manifest.
fn ranges(lineage: &Lineage) -> Vec<(usize, Range<usize>)> {
    let mut first = 0;
    let range = |(datanet, clusters): (usize, &usize)| {
        let records = first..first + clusters;
        first = records.end;
        (datanet, records)
    };
    lineage.clusters.iter().enumerate().map(range).filter(|(_, records)| !records.is_empty()).collect()
}

fn index(machine: &Machine, lineage: &Lineage, records: Range<usize>) -> Result<SpanIndex> {
    let tokens = lineage.set.records()[records]
        .iter()
        .map(|record| Ok((record.record, record.contributor, machine.tokenizer.encode(&record.text)?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(SpanIndex::build(&tokens)?)
}

/// The hash of the file, if it is there and what was written.
fn written(path: &Path) -> Option<B256> {
    let hash: B256 = std::fs::read_to_string(hash_path(path)).ok()?.parse().ok()?;
    SpanIndex::open(path, hash).ok().map(|_index| hash)
}

fn write(path: &Path, index: &SpanIndex) -> Result<B256> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(WorkerError::io("create the folder", folder))?;
    }
    let hash = index.save(path)?;
    let name = hash_path(path);
    std::fs::write(&name, hash.to_string()).map_err(WorkerError::io("write", &name))?;
    Ok(hash)
}

fn hash_path(path: &Path) -> PathBuf {
    path.with_extension("hash")
}
