//! Bytes named by their content.
//!
//! A blob is the file `xx/yyyy…` whose name is the BLAKE3 hash of its bytes, `xx` being the first two hex digits. It is written to `tmp/`, synced and renamed,
//! so a name that exists is complete; reading checks the hash nevertheless, because disks rot. [`Refs`] gives names to hashes, one small
//! file each, replaced the same way.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use alloy_primitives::{B256, hex};

use crate::{
    durable,
    error::{CorpusError, IoContext, Result},
};

const COPY_BUFFER: usize = 64 * 1024;
/// A pointer file holds `0x`, 64 hex digits and a line feed.
const REF_BYTES: u64 = 67;

/// The content hash of `bytes`, which is the name of their blob.
pub fn content_hash(bytes: &[u8]) -> B256 {
    B256::from(*blake3::hash(bytes).as_bytes())
}

/// A folder of blobs.
#[derive(Debug, Clone)]
pub struct Blobs {
    root: PathBuf,
}

impl Blobs {
    /// Opens the folder, creating it if need be.
    ///
    /// # Errors
    /// [`CorpusError::Io`] when it cannot be created or listed.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let root = dir.as_ref().to_owned();
        durable::create_dir(&root)?;
        let blobs = Self { root };
        durable::create_dir(&blobs.tmp())?;
        durable::sweep(&blobs.tmp(), durable::STALE)?;
        Ok(blobs)
    }

    /// Stores `bytes` and returns their name. Storing what is there already costs one read, and replaces it if it was damaged.
    ///
    /// # Errors
    /// [`CorpusError::Io`].
    pub fn put(&self, bytes: &[u8]) -> Result<B256> {
        let hash = content_hash(bytes);
        let path = self.path(hash);
        if fs::read(&path).is_ok_and(|stored| stored == bytes) {
            return Ok(hash);
        }
        self.make_shard(&path)?;
        durable::write_atomic(&self.tmp(), &path, bytes)?;
        Ok(hash)
    }

    /// Stores a copy of a file of any size and returns its name.
    ///
    /// # Errors
    /// [`CorpusError::Io`].
    pub fn put_file(&self, source: &Path) -> Result<B256> {
        let mut reader = File::open(source).at("open", source)?;
        let tmp = self.tmp();
        let mut copy = durable::temporary(&tmp)?;
        let hash = copy_hashing(&mut reader, source, |chunk| copy.write_all(chunk).at("write", &tmp))?;
        let path = self.path(hash);
        if path.is_file() && self.verify(hash).is_ok() {
            return Ok(hash);
        }
        self.make_shard(&path)?;
        durable::persist(copy, &path)?;
        Ok(hash)
    }

    /// The bytes of a blob of at most `limit` bytes, checked against their name.
    ///
    /// # Errors
    /// [`CorpusError::BlobMissing`], [`CorpusError::TooLarge`], [`CorpusError::BlobCorrupt`] naming the file, [`CorpusError::Io`].
    pub fn get(&self, hash: B256, limit: u64) -> Result<Vec<u8>> {
        let path = self.path(hash);
        let file = self.open_blob(hash, &path)?;
        let len = file.metadata().at("read the size of", &path)?.len();
        if len > limit {
            return Err(CorpusError::TooLarge { what: "blob (bytes)", got: len, limit });
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).at("read", &path)?;
        let got = content_hash(&bytes);
        if got != hash {
            return Err(CorpusError::BlobCorrupt { expected: hash, got, path });
        }
        Ok(bytes)
    }

    /// Checks a blob of any size against its name without holding it in memory.
    ///
    /// # Errors
    /// As [`Self::get`], without a limit.
    pub fn verify(&self, hash: B256) -> Result<()> {
        let path = self.path(hash);
        let mut file = self.open_blob(hash, &path)?;
        let got = copy_hashing(&mut file, &path, |_| Ok(()))?;
        if got == hash { Ok(()) } else { Err(CorpusError::BlobCorrupt { expected: hash, got, path }) }
    }

    /// Erases a blob, as a withdrawal asks for; whether it was there.
    ///
    /// # Errors
    /// [`CorpusError::Io`].
    pub fn remove(&self, hash: B256) -> Result<bool> {
        let path = self.path(hash);
        match fs::remove_file(&path) {
            Ok(()) => path.parent().map_or(Ok(()), durable::sync_dir).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).at("remove", &path),
        }
    }

    /// Where a blob lies, whether or not it is there.
    pub fn path(&self, hash: B256) -> PathBuf {
        let name = hex::encode(hash);
        self.root.join(&name[..2]).join(&name[2..])
    }

    /// Whether a blob of this name is stored; its content is checked when it is read.
    pub fn exists(&self, hash: B256) -> bool {
        self.path(hash).is_file()
    }

    fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn make_shard(&self, path: &Path) -> Result<()> {
        durable::create_dir(path.parent().expect("a blob path has its shard as parent"))
    }

    fn open_blob(&self, hash: B256, path: &Path) -> Result<File> {
        File::open(path).or_else(|error| match error.kind() {
            ErrorKind::NotFound => Err(CorpusError::BlobMissing { hash, path: path.to_owned() }),
            _ => Err(error).at("open", path),
        })
    }
}

/// Reads to the end, handing each piece to `sink`, and returns the hash of all.
fn copy_hashing(
    reader: &mut impl Read,
    path: &Path,
    mut sink: impl FnMut(&[u8]) -> Result<()>,
) -> Result<B256> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; COPY_BUFFER];
    loop {
        match reader.read(&mut buffer).at("read", path)? {
            0 => return Ok(B256::from(*hasher.finalize().as_bytes())),
            n => {
                hasher.update(&buffer[..n]);
                sink(&buffer[..n])?;
            }
        }
    }
}

/// Names for hashes, each replaced as a whole.
#[derive(Debug, Clone)]
pub struct Refs {
    root: PathBuf,
}

impl Refs {
    /// Opens the folder, creating it if need be.
    ///
    /// # Errors
    /// [`CorpusError::Io`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let refs = Self { root: dir.as_ref().to_owned() };
        durable::create_dir(&refs.root)?;
        durable::create_dir(&refs.tmp())?;
        durable::sweep(&refs.tmp(), durable::STALE)?;
        Ok(refs)
    }

    /// Points `name` at `hash`; durable when it returns.
    ///
    /// # Errors
    /// [`CorpusError::BadRefName`], [`CorpusError::Io`].
    pub fn set(&self, name: &str, hash: B256) -> Result<()> {
        durable::write_atomic(&self.tmp(), &self.path(name)?, format!("{hash}\n").as_bytes())
    }

    /// What `name` points at, if it was set.
    ///
    /// # Errors
    /// [`CorpusError::BadRefName`], [`CorpusError::BadRef`] when the file holds something else, [`CorpusError::Io`].
    pub fn get(&self, name: &str) -> Result<Option<B256>> {
        read_ref(&self.path(name)?)
    }

    /// Forgets `name`; whether it was set.
    ///
    /// # Errors
    /// [`CorpusError::BadRefName`], [`CorpusError::Io`].
    pub fn remove(&self, name: &str) -> Result<bool> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Ok(()) => durable::sync_dir(&self.root).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).at("remove", &path),
        }
    }

    /// All names with what they point at, sorted.
    ///
    /// # Errors
    /// [`CorpusError::BadRef`], [`CorpusError::Io`].
    pub fn list(&self) -> Result<BTreeMap<String, B256>> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(&self.root).at("list folder", &self.root)? {
            let path = entry.at("list folder", &self.root)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if is_ref_name(name)
                && path.is_file()
                && let Some(hash) = read_ref(&path)?
            {
                all.insert(name.to_owned(), hash);
            }
        }
        Ok(all)
    }

    fn tmp(&self) -> PathBuf {
        self.root.join(".tmp")
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        if !is_ref_name(name) {
            return Err(CorpusError::BadRefName { name: name.chars().take(160).collect() });
        }
        Ok(self.root.join(name))
    }
}

fn is_ref_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn read_ref(path: &Path) -> Result<Option<B256>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at("open", path),
    };
    let mut bytes = Vec::new();
    file.take(REF_BYTES + 1).read_to_end(&mut bytes).at("read", path)?;
    let hash = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.strip_suffix('\n'))
        .and_then(|text| text.strip_prefix("0x"))
        .and_then(|digits| digits.parse().ok());
    hash.map(Some).ok_or_else(|| CorpusError::BadRef { path: path.to_owned() })
}

#[cfg(test)]
mod tests;
