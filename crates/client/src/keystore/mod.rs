//! A folder of encrypted keys, one file each: Web3 Secret Storage, version 3.
//!
//! The files are those of geth, ethers, MetaMask and Foundry, and theirs can be put here. A key's name is the name of its
//! file without `.json`. A file is written whole and readable by its owner alone before it gets its name, and a name
//! that is taken is never overwritten.
//!
//! Deriving a key from a password is slow on purpose, about a second and 256 MiB for [`Strength::Standard`]: in async
//! code call [`Keystore::create`], [`Keystore::import`] and [`Keystore::unlock`] from a blocking task.

mod error;
mod secret;

pub use error::KeystoreError;
pub use secret::Strength;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use alloy_primitives::Address;

use crate::wallet::Wallet;
use secret::SecretFile;

/// Longest name of a key. Geth's own file names have 77 characters.
const MAX_NAME: usize = 100;
/// Largest file that is read as a key; real ones have about 500 bytes.
const MAX_FILE: u64 = 64 * 1024;
/// Most files of a folder that are looked at.
const MAX_FILES: usize = 10_000;

/// One key of a folder, as known without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What it is unlocked by.
    pub name: String,
    /// Its account, where the file states it (Foundry's files do not).
    pub address: Option<Address>,
}

/// A folder of encrypted keys.
#[derive(Debug, Clone)]
pub struct Keystore {
    dir: PathBuf,
}

impl Keystore {
    /// Opens a folder, made for its owner alone if it does not exist.
    ///
    /// # Errors
    /// [`KeystoreError::Io`] if it cannot be made.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, KeystoreError> {
        let dir = dir.into();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&dir).map_err(KeystoreError::io("make the folder", &dir))?;
        Ok(Self { dir })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeystoreError::InvalidName`], [`KeystoreError::NameTaken`] or [`KeystoreError::Io`].
    pub fn create(&self, name: &str, password: &str, strength: Strength) -> Result<Wallet, KeystoreError> {
        self.check_free(name)?;
        let wallet = Wallet::random();
        self.store(name, &wallet, password, strength)?;
        Ok(wallet)
    }

    /// Stores a private key that exists already: 64 hexadecimal digits.
    ///
    /// # Errors
    /// As [`Keystore::create`], and [`KeystoreError::Key`] if the digits are no key.
    pub fn import(
        &self,
        name: &str,
        private_key: &str,
        password: &str,
        strength: Strength,
    ) -> Result<Wallet, KeystoreError> {
        self.check_free(name)?;
        let wallet = Wallet::from_private_key(private_key)?;
        self.store(name, &wallet, password, strength)?;
        Ok(wallet)
    }

    /// Decrypts a key.
    ///
    /// # Errors
    /// [`KeystoreError::UnknownName`] with the known ones, [`KeystoreError::WrongPassword`], or
    /// [`KeystoreError::Malformed`] if the file is not a keystore or asks for more work than any real one.
    pub fn unlock(&self, name: &str, password: &str) -> Result<Wallet, KeystoreError> {
        let path = self.find(name)?;
        let file = read(&path)?;
        let secret = file.decrypt(&path, password)?;
        let wallet = Wallet::from_secret(&secret)?;
        match file.address {
            Some(stated) if stated != wallet.address() => {
                Err(KeystoreError::AddressMismatch { path, stated, got: wallet.address() })
            }
            _ => Ok(wallet),
        }
    }

    /// The account of a key, without its password.
    ///
    /// # Errors
    /// [`KeystoreError::UnknownName`], or [`KeystoreError::Malformed`] if the file does not state it.
    pub fn address(&self, name: &str) -> Result<Address, KeystoreError> {
        let path = self.find(name)?;
        let address = read(&path)?.address;
        address.ok_or_else(|| KeystoreError::malformed(&path, "it does not state its address; unlock it"))
    }

    /// The file of a key: already encrypted, so copying it exports the key.
    ///
    /// # Errors
    /// [`KeystoreError::UnknownName`] with the known ones.
    pub fn find(&self, name: &str) -> Result<PathBuf, KeystoreError> {
        check_name(name)?;
        let candidates = [self.path_of(name), self.dir.join(name)];
        candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| KeystoreError::UnknownName {
            name: name.to_owned(),
            dir: self.dir.clone(),
            known: self.list().unwrap_or_default().into_iter().map(|account| account.name).collect(),
        })
    }

    /// Every key by name. Files that are no keystores are left out.
    ///
    /// # Errors
    /// [`KeystoreError::Io`] if the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Account>, KeystoreError> {
        let entries = fs::read_dir(&self.dir).map_err(KeystoreError::io("read the folder", &self.dir))?;
        let mut accounts = Vec::new();
        for entry in entries.take(MAX_FILES) {
            let entry = entry.map_err(KeystoreError::io("read the folder", &self.dir))?;
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str() else { continue };
            let name = file_name.strip_suffix(".json").unwrap_or(file_name);
            if check_name(name).is_err() || !entry.path().is_file() {
                continue;
            }
            if let Ok(file) = read(&entry.path()) {
                accounts.push(Account { name: name.to_owned(), address: file.address });
            }
        }
        accounts.sort_by(|a, b| a.name.cmp(&b.name));
        accounts.dedup_by(|a, b| a.name == b.name);
        Ok(accounts)
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    fn check_free(&self, name: &str) -> Result<(), KeystoreError> {
        match self.find(name) {
            Ok(path) => Err(KeystoreError::NameTaken { name: name.to_owned(), path }),
            Err(KeystoreError::UnknownName { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }

    fn store(
        &self,
        name: &str,
        wallet: &Wallet,
        password: &str,
        strength: Strength,
    ) -> Result<(), KeystoreError> {
        let path = self.path_of(name);
        let json = SecretFile::encrypt(wallet, password, strength).to_json();
        let at = |action| KeystoreError::io(action, &path);
        // Made for its owner alone, which is the default of temporary files.
        let mut temporary = tempfile::Builder::new()
            .prefix(".new-key-")
            .tempfile_in(&self.dir)
            .map_err(at("write a file beside"))?;
        temporary.write_all(json.as_bytes()).map_err(at("write"))?;
        temporary.as_file().sync_all().map_err(at("write"))?;
        temporary.persist_noclobber(&path).map_err(|error| {
            if error.error.kind() == std::io::ErrorKind::AlreadyExists {
                KeystoreError::NameTaken { name: name.to_owned(), path: path.clone() }
            } else {
                at("write")(error.error)
            }
        })?;
        // The name is durable only once the folder is.
        #[cfg(unix)]
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(at("write"))?;
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), KeystoreError> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let named = !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(valid);
    if named && !name.starts_with('.') && !name.ends_with(".json") {
        Ok(())
    } else {
        Err(KeystoreError::InvalidName { name: name.to_owned(), limit: MAX_NAME })
    }
}

fn read(path: &Path) -> Result<SecretFile, KeystoreError> {
    let at = |action| KeystoreError::io(action, path);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(at("read"))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(at("read"))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(KeystoreError::malformed(path, "it is larger than any keystore"));
    }
    SecretFile::from_json(&bytes).map_err(|error| KeystoreError::malformed(path, error.to_string()))
}

#[cfg(test)]
mod tests;
