//! The state of an interrupted replay.
//!
//! ```text
//! "OLREPLAY"  32 key  u64 steps left  u64 P  u64 n  3P f64 adjoint (θ, m, v)  n f64 credits  32 BLAKE3 of all before
//! ```
//!
//! Little-endian. It is a cache: any file that does not fit is as good as none.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
};

use alloy_primitives::B256;
use openledger_train::{Run, Transcript};

use super::{
    Adjoint, Objective,
    error::{Error, Result},
};

const MAGIC: &[u8] = b"OLREPLAY";
const HEAD: usize = 8 + 32 + 24;

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

pub(super) struct Checkpoint {
    pub(super) steps_left: usize,
    pub(super) adjoint: Adjoint,
    pub(super) credits: Vec<f64>,
}

impl Checkpoint {
    /// Where a replay begins: after the last step.
    pub(super) fn end_of(run: &Run, objective: &Objective) -> Self {
        Self {
            steps_left: run.steps(),
            adjoint: Adjoint::new(objective.gradient().to_vec()),
            credits: vec![0.0; run.records()],
        }
    }

    pub(super) fn save(&self, path: &Path, key: &Key) -> Result<()> {
        let mut bytes =
            Vec::with_capacity(HEAD + 8 * (3 * self.adjoint.theta.len() + self.credits.len()) + 32);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(key.0.as_slice());
        for n in [self.steps_left, self.adjoint.theta.len(), self.credits.len()] {
            bytes.extend_from_slice(&(n as u64).to_le_bytes());
        }
        for part in [&self.adjoint.theta, &self.adjoint.m, &self.adjoint.v, &self.credits] {
            bytes.extend(part.iter().flat_map(|x| x.to_le_bytes()));
        }
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        write_atomic(path, &bytes)
    }

    pub(super) fn load(path: &Path, key: &Key, parameters: usize, records: usize) -> Option<Self> {
        let size = HEAD + 8 * (3 * parameters + records) + 32;
        let file = File::open(path).ok()?;
        let mut bytes = Vec::new();
        file.take(size as u64 + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() != size || !bytes.starts_with(MAGIC) || bytes[8..40] != key.0[..] {
            return None;
        }
        let (body, hash) = bytes.split_at(size - 32);
        if blake3::hash(body).as_bytes() != hash {
            return None;
        }
        let number =
            |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().expect("eight bytes")) as usize;
        if number(48) != parameters || number(56) != records {
            return None;
        }
        let floats: Vec<f64> = body[HEAD..]
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes(b.try_into().expect("a chunk of eight bytes")))
            .collect();
        let part = |i: usize| floats[i * parameters..(i + 1) * parameters].to_vec();
        Some(Self {
            steps_left: number(40),
            adjoint: Adjoint { theta: part(0), m: part(1), v: part(2) },
            credits: floats[3 * parameters..].to_vec(),
        })
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
