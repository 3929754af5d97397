//! Answers on the disk, one file each.
//!
//! ```text
//! unsettled/<receipt id>.json     answers that no posted batch holds
//! settled/<receipt id>.json       answers of posted batches
//! posted/<epoch>-<adapter>        number of the batch that was posted for this epoch and adapter
//! ```
//! A file is written beside its place, synchronised and renamed, so a name either has its whole content or does not exist. The mark in
//! `posted` decides: a kill between mark and moves leaves answers in `unsettled` that the next start moves.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use alloy_primitives::{B256, U256};
use openledger_types::receipt::{Answer, decode_document, document_hash, encode_document};

/// Largest file that is read: a conversation of the size limit, escaped, with its tokens and evidence.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// Most unsettled answers; a batch holds no more.
const MAX_UNSETTLED: usize = openledger_types::batch::MAX_ANSWERS;

const UNSETTLED: &str = "unsettled";
const SETTLED: &str = "settled";

/// Why the store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("{path} is damaged: {reason}; put it back from a copy, or move it away to go on without it", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },
    /// More answers than one batch holds are waiting for settlement.
    #[error("{limit} answers wait for settlement, which is the limit")]
    Full {
        /// Most answers.
        limit: usize,
    },
    /// The epoch is not over.
    #[error("epoch {epoch} is not over (it is {current}), so its batch cannot have been posted")]
    EpochOpen {
        /// The epoch named.
        epoch: u64,
        /// The epoch it is.
        current: u64,
    },
}

/// The folder of answers.
#[derive(Debug)]
pub struct AnswerStore {
    root: PathBuf,
    chain_id: u64,
}

/// What a store holds when it is opened.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Sorted by epoch, adapter and sequence.
    pub(super) unsettled: Vec<(B256, Answer)>,
    pub(super) posted: BTreeSet<(u64, U256)>,
}

impl AnswerStore {
    /// Opens the folder, finishes what a kill interrupted, and reads what is unsettled.
    pub(super) fn open(root: &Path, chain_id: u64) -> Result<(Self, Found), StoreError> {
        let store = Self { root: root.to_owned(), chain_id };
        for folder in [store.unsettled(), store.settled(), store.posted()] {
            fs::create_dir_all(&folder).map_err(at(&folder))?;
        }
        let posted = store.read_posted()?;
        let mut unsettled = Vec::new();
        for path in files(&store.unsettled())? {
            let (id, answer) = store.read_file(&path)?;
            if posted.contains(&(answer.receipt.epoch, answer.receipt.adapter)) {
                store.settle(id)?;
            } else if unsettled.len() < MAX_UNSETTLED {
                unsettled.push((id, answer));
            } else {
                return Err(StoreError::Full { limit: MAX_UNSETTLED });
            }
        }
        unsettled.sort_by_key(|(id, answer)| {
            (answer.receipt.epoch, answer.receipt.adapter, answer.receipt.sequence, *id)
        });
        store.check_sequences(&unsettled)?;
        Ok((store, Found { unsettled, posted }))
    }

    /// Where a folder of answers has the one with this receipt id, settled or not; for who only reads.
    pub fn find(root: &Path, id: B256) -> Option<PathBuf> {
        [UNSETTLED, SETTLED]
            .map(|folder| root.join(folder).join(file_name(id)))
            .into_iter()
            .find(|path| path.is_file())
    }

    /// Stores an answer; when this returns it survives a loss of power.
    pub(super) fn write(&self, id: B256, answer: &Answer) -> Result<(), StoreError> {
        write_durably(&self.unsettled(), &file_name(id), &encode_document(answer))
    }

    /// The folder as it is, for who only reads answers by their ids; its operator may be running.
    pub(crate) fn read_only(root: &Path, chain_id: u64) -> Self {
        Self { root: root.to_owned(), chain_id }
    }

    /// The answer with this receipt id, settled or not.
    pub(crate) fn read(&self, id: B256) -> Result<Option<Answer>, StoreError> {
        // Twice, as settling moves a file from the first folder to the second.
        for folder in [self.unsettled(), self.settled()] {
            let path = folder.join(file_name(id));
            match self.read_file(&path) {
                Ok((_id, answer)) => return Ok(Some(answer)),
                Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Remembers that a batch was posted, then moves its answers.
    pub(super) fn mark_posted(&self, epoch: u64, adapter: U256, batch: U256) -> Result<(), StoreError> {
        write_durably(&self.posted(), &format!("{epoch}-{adapter}"), batch.to_string().as_bytes())
    }

    pub(super) fn settle(&self, id: B256) -> Result<(), StoreError> {
        let (from, to) = (self.unsettled().join(file_name(id)), self.settled().join(file_name(id)));
        match fs::rename(&from, &to) {
            // It was moved before a kill, or by another call.
            Err(error) if error.kind() == io::ErrorKind::NotFound && to.exists() => Ok(()),
            moved => moved.map_err(at(&from)),
        }
    }

    fn read_posted(&self) -> Result<BTreeSet<(u64, U256)>, StoreError> {
        files(&self.posted())?
            .into_iter()
            .map(|path| {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let parsed = name
                    .split_once('-')
                    .and_then(|(epoch, adapter)| Some((epoch.parse().ok()?, adapter.parse().ok()?)));
                parsed.ok_or_else(|| StoreError::Damaged {
                    path: path.clone(),
                    reason: "its name is not an epoch and an adapter".into(),
                })
            })
            .collect()
    }

    fn read_file(&self, path: &Path) -> Result<(B256, Answer), StoreError> {
        let damaged = |reason: String| StoreError::Damaged { path: path.to_owned(), reason };
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut bytes))
            .map_err(at(path))?;
        if bytes.len() as u64 > MAX_ANSWER_BYTES {
            return Err(damaged(format!("it is longer than {MAX_ANSWER_BYTES} bytes")));
        }
        let answer: Answer = decode_document(&bytes).map_err(|error| damaged(error.to_string()))?;
        let id = answer.receipt.id(self.chain_id);
        if path.file_name().and_then(|name| name.to_str()) != Some(&file_name(id)) {
            return Err(damaged(format!("it holds receipt {id}")));
        }
        for (what, named, got) in [
            ("request", answer.receipt.requestHash, document_hash(&answer.request)),
            ("response", answer.receipt.responseHash, document_hash(&answer.response)),
            ("attribution", answer.receipt.attributionHash, document_hash(&answer.attribution)),
        ] {
            if named != got {
                return Err(damaged(format!("its {what} has hash {got}, the receipt says {named}")));
            }
        }
        Ok((id, answer))
    }

    fn check_sequences(&self, unsettled: &[(B256, Answer)]) -> Result<(), StoreError> {
        let mut batch = None;
        let mut next = 0u32;
        for (id, answer) in unsettled {
            let this = (answer.receipt.epoch, answer.receipt.adapter);
            if batch != Some(this) {
                (batch, next) = (Some(this), 0);
            }
            if answer.receipt.sequence != next {
                return Err(StoreError::Damaged {
                    path: self.unsettled().join(file_name(*id)),
                    reason: format!(
                        "it has sequence number {} of epoch {} and adapter {}, where {next} is missing or repeated",
                        answer.receipt.sequence, this.0, this.1
                    ),
                });
            }
            next += 1;
        }
        Ok(())
    }

    fn unsettled(&self) -> PathBuf {
        self.root.join(UNSETTLED)
    }

    fn settled(&self) -> PathBuf {
        self.root.join(SETTLED)
    }

    fn posted(&self) -> PathBuf {
        self.root.join("posted")
    }
}

fn file_name(id: B256) -> String {
    format!("{id}.json")
}

/// The finished files of a folder; what a kill left half written is removed.
fn files(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "part") {
            fs::remove_file(&path).map_err(at(&path))?;
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

fn write_durably(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let (part, path) = (folder.join(format!("{name}.part")), folder.join(name));
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(at(&part))?;
    fs::rename(&part, &path).map_err(at(&path))?;
    // The name itself is on the disk only when the folder is.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

fn at(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |source| StoreError::Io { path: path.to_owned(), source }
}
