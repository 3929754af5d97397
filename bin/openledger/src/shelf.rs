//! PEFT folders that are served while they are there.
//!
//! A folder that is new is read, named by the hash of what it holds, linked to a place of its own and served under its name; one that was replaced is served
//! as the new adapter from then on, while answers under way keep the old; one that is gone is served no longer. What the links of an old adapter hold stays for a while, for
//! requests that were accepted and have not begun.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::{B256, U256};
use anyhow::{Context, Result, ensure};
use openledger_model::load_peft;
use openledger_train::adapter_hash;
use openledger_worker::operator::{Estimate, Evidence, EvidenceSource, Operator, ServedAdapter};

/// The files of an adapter.
const FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
/// Most adapters; each costs a look at two files a second.
const MAX_ADAPTERS: usize = 10_000;
/// Longest name.
const MAX_NAME: usize = 128;
/// How long an adapter that nobody can ask for any more can still be loaded.
const LINGER: Duration = Duration::from_secs(60);

/// What is served out of folders.
pub(crate) struct Shelf {
    operator: Operator,
    base_hash: B256,
    /// Where the adapters lie by their hashes.
    links: PathBuf,
    named: Vec<(String, PathBuf)>,
    folder: Option<PathBuf>,
    shown: BTreeMap<String, Shown>,
    gone: Vec<(Instant, B256)>,
    next: u64,
}

/// What became of a folder as it was.
struct Shown {
    stamp: Stamp,
    id: U256,
    /// `None` if it could not be used.
    hash: Option<B256>,
}

/// Tells a replaced file from the one before: device, inode, length and time of its last change.
type Stamp = [(u64, u64, u64, i64, i64); FILES.len()];

/// What a look at the folders changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Served(String),
    Ended(String),
    Refused(String, String),
}

impl Shelf {
    /// Folders with the names they are served under, and a folder whose folders are served under their own.
    pub(crate) fn new(
        operator: Operator,
        base_hash: B256,
        links: PathBuf,
        named: Vec<(String, PathBuf)>,
        folder: Option<PathBuf>,
    ) -> Self {
        // The base has the first number.
        let next = 2;
        Self { operator, base_hash, links, named, folder, shown: BTreeMap::new(), gone: Vec::new(), next }
    }

    /// Looks at all folders and serves what is there now.
    pub(crate) fn look(&mut self) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        let there = self.there()?;
        let gone: Vec<String> =
            self.shown.keys().filter(|name| !there.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(shown) = self.shown.remove(&name)
                && let Some(hash) = shown.hash
            {
                self.operator.retire(shown.id);
                self.gone.push((Instant::now(), hash));
                changes.push(Change::Ended(name));
            }
        }
        for (name, path) in there {
            // A folder that is being written or taken away has not all files; the next look sees what became of it.
            let Ok(stamp) = stamp(&path) else { continue };
            let before = self.shown.get(&name);
            if before.is_some_and(|shown| shown.stamp == stamp) {
                continue;
            }
            let (id, old) = match before {
                Some(shown) => (shown.id, shown.hash),
                None => (U256::from(self.next), None),
            };
            self.next += u64::from(before.is_none());
            let hash = match self.show(&name, &path, id) {
                Ok(hash) => {
                    changes.push(Change::Served(name.clone()));
                    Some(hash)
                }
                Err(error) => {
                    changes.push(Change::Refused(name.clone(), format!("{error:#}")));
                    None
                }
            };
            if hash.is_none() && old.is_some() {
                self.operator.retire(id);
            }
            self.gone.extend(old.filter(|old| Some(*old) != hash).map(|old| (Instant::now(), old)));
            self.shown.insert(name, Shown { stamp, id, hash });
        }
        self.forget()?;
        Ok(changes)
    }

    /// The folders that are there, by name.
    fn there(&self) -> Result<BTreeMap<String, PathBuf>> {
        let mut there: BTreeMap<String, PathBuf> = self.named.iter().cloned().collect();
        let Some(folder) = &self.folder else { return Ok(there) };
        let failed = || format!("cannot list {}", folder.display());
        for entry in fs::read_dir(folder).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if check_name(name).is_ok() && path.is_dir() {
                there.entry(name.to_owned()).or_insert(path);
            }
        }
        ensure!(
            there.len() <= MAX_ADAPTERS,
            "{} has {} adapters; the limit is {MAX_ADAPTERS}",
            folder.display(),
            there.len()
        );
        Ok(there)
    }

    /// Begins to serve what a folder holds.
    fn show(&self, name: &str, path: &Path, id: U256) -> Result<B256> {
        // Linked first and then read, so that what has the hash is what is kept.
        let partial = self.links.join("partial");
        let failed = || format!("cannot link {} to {}", path.display(), partial.display());
        remove(&partial).and_then(|()| fs::create_dir_all(&partial)).with_context(failed)?;
        FILES.iter().try_for_each(|file| link(&path.join(file), &partial.join(file))).with_context(failed)?;
        let adapter = load_peft(&partial, self.operator.engine().model().config())?;
        let hash = adapter_hash(adapter.config(), adapter.theta());
        let place = self.links.join(hash.to_string());
        if !place.exists() {
            fs::rename(&partial, &place).with_context(|| format!("cannot create {}", place.display()))?;
        }
        self.operator.registry().register(hash, place)?;
        self.operator.serve(unattributed(&self.operator, self.base_hash, id, name.to_owned(), hash))?;
        Ok(hash)
    }

    /// Forgets adapters that nobody can ask for and who asked has begun.
    fn forget(&mut self) -> Result<()> {
        let (over, lingering) =
            std::mem::take(&mut self.gone).into_iter().partition(|(since, _)| since.elapsed() > LINGER);
        self.gone = lingering;
        let over: Vec<(Instant, B256)> = over;
        for (_, hash) in over {
            let used = self.shown.values().any(|shown| shown.hash == Some(hash))
                || self.gone.iter().any(|(_, other)| *other == hash);
            if !used && self.operator.registry().unregister(hash) {
                let place = self.links.join(hash.to_string());
                fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
            }
        }
        Ok(())
    }
}

/// Whether adapters can have this name, which is also that of a folder.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    ensure!(
        !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('.') && name.chars().all(plain),
        "'{name}' is no name of an adapter: 1 to {MAX_NAME} letters, digits, '.', '_' and '-', not beginning with '.'"
    );
    Ok(())
}

/// An adapter whose training is not known here: its answers cost nothing and are attributed to nobody.
pub(crate) fn unattributed(
    operator: &Operator,
    base_hash: B256,
    id: U256,
    name: String,
    adapter_hash: B256,
) -> ServedAdapter {
    ServedAdapter {
        id,
        name,
        base_hash,
        adapter_hash,
        datanets_root: B256::ZERO,
        input_price: U256::ZERO,
        output_price: U256::ZERO,
        developer: operator.address(),
        created_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        adapter: None,
        evidence: EvidenceSource::held(Evidence { estimate: Estimate::None, spans: None }),
        sources: None,
    }
}

fn stamp(folder: &Path) -> std::io::Result<Stamp> {
    let mut stamp = Stamp::default();
    for (stamp, file) in stamp.iter_mut().zip(FILES) {
        let m = fs::metadata(folder.join(file))?;
        *stamp = (m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec());
    }
    Ok(stamp)
}

/// The same bytes under another name, without a copy where the system can.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::hard_link(from, to).or_else(|_other_device| fs::copy(from, to).map(drop))
}

/// Removes a folder if it is there.
fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
