//! The home folder: what lies where.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::env_vars;

/// The folder that holds everything of one installation.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
    /// The node to talk to instead of the folder's own.
    rpc: Option<String>,
}

impl Home {
    /// The folder given, or `openledger` in the platform's data folder. It is created if it does not exist.
    pub(crate) fn open(given: Option<&Path>) -> Result<Self> {
        let root = match given {
            Some(root) => root.to_owned(),
            None => data_folder()?.join("openledger"),
        };
        std::fs::create_dir_all(&root)
            .with_context(|| format!("cannot create the home folder {}", root.display()))?;
        let root =
            root.canonicalize().with_context(|| format!("cannot open the home folder {}", root.display()))?;
        Ok(Self { root, rpc: None })
    }

    /// The same folder with the node at `rpc` to talk to, if one is given.
    pub(crate) fn with_rpc(self, rpc: Option<String>) -> Self {
        Self { rpc, ..self }
    }

    /// The node to talk to instead of the folder's own.
    pub(crate) fn rpc(&self) -> Option<&str> {
        self.rpc.as_deref()
    }

    /// The folder itself; the node keeps `node` and `chain` in it.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Encrypted keys.
    pub(crate) fn keystore(&self) -> PathBuf {
        self.root.join("keystore")
    }

    /// The password of keys made on this machine without a person at the keyboard.
    pub(crate) fn password_file(&self) -> PathBuf {
        self.root.join("keystore-password")
    }

    /// The payer's API key.
    pub(crate) fn api_key_file(&self) -> PathBuf {
        self.root.join("api-key")
    }

    /// The API key of `openledger serve`.
    pub(crate) fn serving_key_file(&self) -> PathBuf {
        self.root.join("serving-key")
    }

    /// Adapters that were trained elsewhere, as PEFT folders by their names.
    pub(crate) fn imported(&self) -> PathBuf {
        self.root.join("imported")
    }

    /// What `openledger serve` keeps while it runs.
    pub(crate) fn served(&self) -> PathBuf {
        self.root.join("served")
    }

    /// Where a running `openledger up` says how to reach it.
    pub(crate) fn endpoints_file(&self) -> PathBuf {
        self.root.join("endpoints.json")
    }

    /// What the worker keeps.
    pub(crate) fn worker(&self) -> openledger_worker::Folders {
        openledger_worker::Folders::new(&self.root)
    }
}

fn data_folder() -> Result<PathBuf> {
    if let Some(folder) = env_vars::read(env_vars::XDG_DATA_HOME) {
        return Ok(folder.into());
    }
    match env_vars::read(env_vars::HOME) {
        Some(folder) => Ok(Path::new(&folder).join(".local/share")),
        None => bail!("neither XDG_DATA_HOME nor HOME is set; name the home folder with --home DIR"),
    }
}
