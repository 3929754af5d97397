//! PEFT folders that come, change and go, and the adapters that they hold.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_primitives::B256;
use anyhow::{Context, Result};
use openledger_model::{Adapter, Config, LoraConfig, LoraLayout, Target, init, save_peft};
use openledger_train::adapter_hash;

use crate::stats::SplitMix;

const VERSIONS: usize = 2;

/// Adapters as folders, of which some are where the server looks.
pub(super) struct Folders {
    served: PathBuf,
    stock: PathBuf,
    adapters: BTreeMap<B256, Arc<Adapter>>,
    /// The version of each name that is there.
    there: Vec<Option<usize>>,
    /// Added, replaced, removed.
    changes: [u32; 3],
}

/// How the adapter of a number is called.
pub(super) fn name(number: usize) -> String {
    format!("adapter-{number}")
}

impl Folders {
    /// All of them, half of them served.
    pub(super) fn new(shape: &Config, folder: &Path, names: usize) -> Result<Self> {
        let (served, stock) = (folder.join("adapters"), folder.join("stock"));
        fs::create_dir_all(&served)?;
        let mut adapters = BTreeMap::new();
        for number in 0..names * VERSIONS {
            let adapter = adapter(shape, number)?;
            save_peft(&stock.join(number.to_string()), shape, &adapter, "base")?;
            adapters.insert(adapter_hash(adapter.config(), adapter.theta()), Arc::new(adapter));
        }
        let mut this = Self { served, stock, adapters, there: vec![None; names], changes: [0; 3] };
        for name in 0..names / 2 {
            this.put(name, 0)?;
        }
        Ok(this)
    }

    /// Where the server looks.
    pub(super) fn served(&self) -> &Path {
        &self.served
    }

    /// The adapter that a hash names; none for the base.
    pub(super) fn adapter(&self, hash: B256) -> Option<Arc<Adapter>> {
        self.adapters.get(&hash).cloned()
    }

    /// How often adapters were added, replaced and removed.
    pub(super) fn changes(&self) -> [u32; 3] {
        self.changes
    }

    /// One change: an adapter comes, becomes its other version, or goes.
    pub(super) fn change(&mut self, dice: &mut SplitMix) -> Result<()> {
        let number = dice.below(self.there.len());
        match self.there[number] {
            None => {
                self.put(number, dice.below(VERSIONS))?;
                self.changes[0] += 1;
            }
            Some(version) if dice.below(3) > 0 => {
                self.put(number, (version + 1) % VERSIONS)?;
                self.changes[1] += 1;
            }
            Some(_) => {
                fs::rename(self.served.join(name(number)), self.served.join(".gone"))?;
                fs::remove_dir_all(self.served.join(".gone"))?;
                self.there[number] = None;
                self.changes[2] += 1;
            }
        }
        Ok(())
    }

    /// Puts a version where the server looks, as a user would copy it: file by file.
    fn put(&mut self, number: usize, version: usize) -> Result<()> {
        let (from, to) =
            (self.stock.join((number * VERSIONS + version).to_string()), self.served.join(name(number)));
        fs::create_dir_all(&to)?;
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            let partial = to.join(format!("{file}.partial"));
            fs::copy(from.join(file), &partial).with_context(|| format!("copying {}", partial.display()))?;
            fs::rename(&partial, to.join(file))?;
        }
        self.there[number] = Some(version);
        Ok(())
    }
}

/// Rank 8 on queries and values, with weights that move what is drawn.
fn adapter(shape: &Config, number: usize) -> Result<Adapter> {
    let config = LoraConfig { rank: 8, alpha: 16.0, first_layer: 0, targets: vec![Target::Q, Target::V] };
    let layout = LoraLayout::new(shape, &config)?;
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    let mut theta = init(shape, &layout, seed);
    // B starts at zero, where an adapter changes nothing.
    theta.iter_mut().filter(|x| **x == 0.0).for_each(|x| *x = 4e-3);
    Ok(Adapter::new(shape, config, theta)?)
}
