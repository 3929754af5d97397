//! Adapters on the disk.

use std::fs;
use std::path::PathBuf;

use alloy_primitives::B256;
use anyhow::{Context, Result};
use openledger_model::{Adapter, Config, LoraConfig, LoraLayout, Target, init, save_peft};
use openledger_serve::{AdapterLimits, Adapters, Engine, Scheduler};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Rank and targets of the adapters: 1.84 MB of F32 on the default base.
const RANK: usize = 8;
const TARGETS: [Target; 2] = [Target::Q, Target::V];
/// Adapters with weights of their own. Beyond them folders link the weights of another and have another scale, which is
/// another adapter all the same: it has its own hash, is read, checked and kept by itself.
const WEIGHTS: usize = 100;

/// So many adapters, all different.
pub(super) struct Shelf {
    folder: TempDir,
    shape: Config,
    hashes: Vec<B256>,
    bytes: u64,
}

impl Shelf {
    pub(super) fn new(engine: &Engine, count: usize) -> Result<Self> {
        let shape = engine.model().config().clone();
        let mut shelf = Self { folder: tempfile::tempdir()?, shape, hashes: Vec::new(), bytes: 0 };
        let mut weights = Vec::new();
        for at in 0..count {
            if at < WEIGHTS {
                let adapter = shelf.make(at)?;
                shelf.bytes = adapter.bytes() as u64;
                save_peft(&shelf.path(at), &shelf.shape, &adapter, "base")?;
                weights.push(weights_hash(&adapter));
            } else {
                shelf.link(at)?;
            }
            shelf.hashes.push(name(alpha(at), weights[at % WEIGHTS]));
        }
        Ok(shelf)
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The name of an adapter.
    pub(super) fn hash(&self, at: usize) -> B256 {
        self.hashes[at]
    }

    /// Memory of one.
    pub(super) fn adapter_bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the file of one.
    pub(super) fn file_bytes(&self) -> Result<u64> {
        Ok(fs::metadata(self.path(0).join("adapter_model.safetensors"))?.len())
    }

    /// The adapter of a name.
    pub(super) fn adapter(&self, hash: B256) -> Result<Adapter> {
        let at = self.hashes.iter().position(|known| *known == hash).context("no such adapter")?;
        self.make(at)
    }

    /// A registry with the first `count` of them, watched by the scheduler.
    pub(super) fn registry(
        &self,
        scheduler: &Scheduler,
        limits: AdapterLimits,
        count: usize,
    ) -> Result<Adapters> {
        let hash = |adapter: &Adapter| name(adapter.config().alpha, weights_hash(adapter));
        let registry = Adapters::start(self.shape.clone(), limits, hash)?;
        scheduler.watch(&registry);
        for at in 0..count {
            registry.register(self.hash(at), self.path(at))?;
        }
        Ok(registry)
    }

    fn path(&self, at: usize) -> PathBuf {
        self.folder.path().join(at.to_string())
    }

    fn make(&self, at: usize) -> Result<Adapter> {
        let config = LoraConfig { rank: RANK, alpha: alpha(at), first_layer: 0, targets: TARGETS.to_vec() };
        let layout = LoraLayout::new(&self.shape, &config)?;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&((at % WEIGHTS) as u64).to_le_bytes());
        let mut theta = init(&self.shape, &layout, seed);
        // B starts at zero, where an adapter changes nothing.
        theta.iter_mut().filter(|x| **x == 0.0).for_each(|x| *x = 2e-3);
        Ok(Adapter::new(&self.shape, config, theta)?)
    }

    fn link(&self, at: usize) -> Result<()> {
        const FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
        let (from, to) = (self.path(at % WEIGHTS), self.path(at));
        fs::create_dir(&to)?;
        let mut config: Value = serde_json::from_slice(&fs::read(from.join(FILES[0]))?)?;
        config["lora_alpha"] = json!(alpha(at));
        fs::write(to.join(FILES[0]), config.to_string())?;
        Ok(fs::hard_link(from.join(FILES[1]), to.join(FILES[1]))?)
    }
}

fn alpha(at: usize) -> f32 {
    16.0 + at as f32 / 1024.0
}

fn weights_hash(adapter: &Adapter) -> B256 {
    let bytes: Vec<u8> = adapter.theta().iter().flat_map(|x| x.to_le_bytes()).collect();
    B256::from(*blake3::hash(&bytes).as_bytes())
}

fn name(alpha: f32, weights: B256) -> B256 {
    B256::from(*blake3::hash(&[&alpha.to_le_bytes()[..], weights.as_slice()].concat()).as_bytes())
}
