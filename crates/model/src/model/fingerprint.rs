use std::{fs::File, io, path::Path};

use sha2::{Digest, Sha256};

use super::MAX_FILE;
use crate::{Error, hub};

/// SHA-256 that names a checkpoint: a GGUF file's own; of a folder, that of what `sha256sum` prints of the files that [`crate::Model::load_safetensors`] reads, by
/// name: a line with the hash in hex, two spaces and the name for each.
///
/// # Errors
/// [`Error::Io`], [`Error::FileTooLarge`]; [`Error::Checkpoint`] for an index of shards that cannot be used.
pub fn checkpoint_sha256(path: &Path) -> Result<[u8; 32], Error> {
    if !path.is_dir() {
        return file(path);
    }
    let mut names = hub::files(path)?;
    names.sort_unstable();
    let mut lines = String::new();
    for name in names {
        let hash: String = file(&path.join(&name))?.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push_str(&format!("{hash}  {name}\n"));
    }
    Ok(Sha256::digest(lines).into())
}

fn file(path: &Path) -> Result<[u8; 32], Error> {
    let mut from = File::open(path).map_err(Error::io(path))?;
    let got = from.metadata().map_err(Error::io(path))?.len();
    if got > MAX_FILE {
        return Err(Error::FileTooLarge { path: path.into(), got, limit: MAX_FILE });
    }
    let mut hash = Sha256::new();
    io::copy(&mut from, &mut hash).map_err(Error::io(path))?;
    Ok(hash.finalize().into())
}
