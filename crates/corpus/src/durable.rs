//! Files that are either there in full or not there at all, whenever the process dies.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::Duration,
};

use tempfile::{NamedTempFile, TempDir};

use crate::error::{IoContext, Result};

/// A temporary file this old belongs to no running writer.
pub(crate) const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// How the names of temporary files start.
const TEMPORARY: &str = ".tmp";

/// A new temporary file in `dir`, removed unless it is persisted.
pub(crate) fn temporary(dir: &Path) -> Result<NamedTempFile> {
    tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(dir).at("create a temporary file in", dir)
}

/// A new temporary folder in `dir`, removed when it is dropped.
pub(crate) fn temporary_dir(dir: &Path) -> Result<TempDir> {
    tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(dir).at("create a temporary folder in", dir)
}

/// Makes the names in `dir` survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    // Only Unix lets a folder be opened and synced; elsewhere the rename itself is journalled.
    if cfg!(unix) {
        File::open(dir).and_then(|folder| folder.sync_all()).at("sync folder", dir)?;
    }
    Ok(())
}

/// Writes `bytes` to `dest` through a synced temporary file in `tmp` (same file system) and a rename.
pub(crate) fn write_atomic(tmp: &Path, dest: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = temporary(tmp)?;
    file.write_all(bytes).at("write", file.path())?;
    persist(file, dest)
}

/// Syncs `file` and gives it its final name.
pub(crate) fn persist(file: NamedTempFile, dest: &Path) -> Result<()> {
    file.as_file().sync_all().at("sync", file.path())?;
    file.persist(dest).map_err(|failed| failed.error).at("rename a finished file to", dest)?;
    match dest.parent() {
        Some(dir) => sync_dir(dir),
        None => Ok(()),
    }
}

/// Creates `dir` and makes its name survive a power cut.
pub(crate) fn create_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).at("create folder", dir)?;
    match dir.parent() {
        Some(parent) if parent.is_dir() => sync_dir(parent),
        _ => Ok(()),
    }
}

/// Removes the temporary files and folders in `dir` that are older than `age`: what a killed process left.
pub(crate) fn sweep(dir: &Path, age: Duration) -> Result<()> {
    for entry in fs::read_dir(dir).at("list folder", dir)? {
        let entry = entry.at("list folder", dir)?;
        let modified = entry.metadata().and_then(|meta| meta.modified()).ok();
        let old = modified.and_then(|time| time.elapsed().ok()).is_some_and(|elapsed| elapsed >= age);
        if old && entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.at("remove stale", &path)?;
        }
    }
    Ok(())
}
