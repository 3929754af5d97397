//! Whether the disk takes what the chain writes: the engine's panics do not always say that it does not.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Bytes written to find out. A disk with less room is as good as full.
const PROBE_BYTES: usize = 64 * 1024;

/// Writes a file in the folder and removes it.
///
/// # Errors
/// Why the disk does not take it.
pub(crate) fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join("disk-probe");
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&[0x5a; PROBE_BYTES])?;
        file.sync_all()
    });
    // What could not be made is not there to be removed.
    let removed = if path.exists() { fs::remove_file(&path) } else { Ok(()) };
    written.and(removed)
}
