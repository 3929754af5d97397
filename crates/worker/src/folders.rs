//! Where a worker keeps its things.

use std::path::{Path, PathBuf};

use alloy_primitives::B256;

/// The folders of one worker. Everything in them can be rebuilt from chain and corpus, except `corpus` itself and answers
/// that are not settled yet.
#[derive(Debug, Clone)]
pub struct Folders {
    root: PathBuf,
}

impl Folders {
    /// The folders below `root`; none is created before it is needed.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Content-addressed blobs: contribution files, manifests, transcripts, adapters, batch files.
    pub fn corpus(&self) -> PathBuf {
        self.root.join("corpus")
    }

    /// Base models as fetched from their packages.
    pub fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// Answers by receipt id.
    pub fn answers(&self) -> PathBuf {
        self.root.join("answers")
    }

    /// The span index of a Datanet version in the tokens of a base model, which the adapters trained on it share.
    pub fn spans(&self, manifest_hash: B256, base_hash: B256) -> PathBuf {
        self.root.join("spans").join(format!("{}-{}", hex(manifest_hash), hex(base_hash)))
    }

    /// What one adapter needs for serving: parameters in PEFT form, estimate index.
    pub fn adapter(&self, manifest_hash: B256) -> PathBuf {
        self.root.join("adapters").join(hex(manifest_hash))
    }

    /// The states of an own batch's settlement, by the hash of its file.
    pub fn states(&self, file_hash: B256) -> PathBuf {
        self.root.join("states").join(hex(file_hash))
    }

    /// Unfinished work that a restart continues.
    pub fn unfinished(&self) -> PathBuf {
        self.root.join("unfinished")
    }

    /// The root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn hex(hash: B256) -> String {
    alloy_primitives::hex::encode(hash)
}
