//! The state of an interrupted replay.
//!
//! ```text
//! "OLREPLAY"  32 key  u64 h  32h hashes of the states so far  state  32 BLAKE3 of all before
//! ```
//!
//! Little-endian, the [state](super::ReplayState) as it is hashed. It is a cache: any file that does not fit is as good as none.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
};

use alloy_primitives::B256;
use openledger_train::{Run, Transcript};

use super::{
    Objective, ReplayState,
    error::{Error, Result},
};

const MAGIC: &[u8] = b"OLREPLAY";
const HEAD: usize = 8 + 32 + 8;

/// Which replay a checkpoint is of.
pub(super) struct Key(B256);

impl Key {
    pub(super) fn new(transcript: &Transcript, objective: &Objective) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(transcript.hash().as_slice());
        for part in objective.gradient().chunks(512) {
            let bytes: Vec<u8> = part.iter().flat_map(|x| x.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
        Self(B256::from(*hasher.finalize().as_bytes()))
    }
}

/// A state, and the hashes of those that led to it if they were wanted.
pub(super) struct Checkpoint {
    pub(super) state: ReplayState,
    pub(super) hashes: Vec<B256>,
}

impl Checkpoint {
    pub(super) fn save(&self, path: &Path, key: &Key) -> Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(key.0.as_slice());
        bytes.extend_from_slice(&(self.hashes.len() as u64).to_le_bytes());
        bytes.extend(self.hashes.iter().flat_map(|hash| hash.0));
        bytes.extend(self.state.encode());
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        write_atomic(path, &bytes)
    }

    /// The checkpoint in a file, with the hash of every state so far if `hashed`.
    pub(super) fn load(path: &Path, key: &Key, run: &Run, hashed: bool) -> Option<Self> {
        let (parameters, records) = (run.layout().len(), run.records());
        let most = HEAD + 32 * run.steps() + ReplayState::size(parameters, records) + 32;
        let file = File::open(path).ok()?;
        let mut bytes = Vec::new();
        file.take(most as u64 + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() < HEAD + 32 || !bytes.starts_with(MAGIC) || bytes[8..40] != key.0[..] {
            return None;
        }
        let (body, hash) = bytes.split_at(bytes.len() - 32);
        if blake3::hash(body).as_bytes() != hash {
            return None;
        }
        let count = u64::from_le_bytes(body[40..HEAD].try_into().expect("eight bytes"));
        let count = usize::try_from(count).ok().filter(|count| *count <= run.steps())?;
        let (hashes, state) = body[HEAD..].split_at_checked(32 * count)?;
        let state = ReplayState::decode(state, parameters, records)?;
        let done = run.steps().checked_sub(state.steps_left)?;
        let wanted = if hashed { done } else { 0 };
        let hashes: Vec<B256> = hashes.chunks_exact(32).map(B256::from_slice).collect();
        (count == wanted).then_some(Self { state, hashes })
    }
}

/// Writes a file that is there in full or not at all: a synced temporary beside it, then a rename.
pub(super) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary).map_err(Error::io(&temporary))?;
    file.write_all(bytes).map_err(Error::io(&temporary))?;
    file.sync_all().map_err(Error::io(&temporary))?;
    fs::rename(&temporary, path).map_err(Error::io(path))?;
    match path.parent() {
        // Only Unix lets a folder be opened and synced; elsewhere the rename itself is journalled.
        Some(dir) if cfg!(unix) && dir.is_dir() => {
            File::open(dir).and_then(|folder| folder.sync_all()).map_err(Error::io(dir))
        }
        _ => Ok(()),
    }
}
