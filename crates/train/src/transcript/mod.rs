//! The transcript of a run: the gradient of every batch, hash-chained.
//!
//! It is what lets anyone recompute every intermediate state without the model (`θ`, `m`, `v` are elementwise functions of the
//! gradients), and check any single step with it.
//!
//! # Format
//! All integers and floats little-endian; `P` is the number of parameters.
//!
//! ```text
//! header, 168 bytes
//!   8   "OLTRAIN" 0x01
//!   32  manifest hash
//!   32  seed
//!   32  BLAKE3 of the records' weights as f32; 32 zero bytes when every weight is 1
//!   8   u64 P
//!   8   u64 number of steps
//!   16  zero
//!   32  BLAKE3 of the bytes before
//! then for each step, 40 + 4 P bytes
//!   8   f64 loss of the batch
//!   4P  f32 gradient of the batch
//!   32  running hash: BLAKE3(previous running hash ‖ loss ‖ gradient); the first follows the header's hash
//! ```
//!
//! Steps are appended and synced one at a time, so a dying process can damage only the last one: a [`TranscriptWriter`] drops a last step that is
//! cut short or does not hash, and goes on from there. A [`Transcript`] is complete or refused, and an error names the step. The last running hash
//! names the whole run.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use alloy_primitives::B256;

use crate::{Error, Result, manifest::MAX_STEPS};

#[cfg(test)]
mod tests;

const MAGIC: [u8; 8] = *b"OLTRAIN\x01";
const HEADER_BYTES: usize = 168;
const HASH_BYTES: usize = 32;
/// 2²⁸ parameters are 1 GiB per step, beyond any LoRA that a CPU trains.
const MAX_PARAMETERS: u64 = 1 << 28;

/// Which run a transcript is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Hash of the training manifest.
    pub manifest: B256,
    /// Seed of the run.
    pub seed: B256,
    /// Hash of the records' weights; zero when every weight is 1.
    pub weights: B256,
    /// Number of parameters.
    pub parameters: u64,
    /// Number of steps.
    pub steps: u64,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..40].copy_from_slice(self.manifest.as_slice());
        out[40..72].copy_from_slice(self.seed.as_slice());
        out[72..104].copy_from_slice(self.weights.as_slice());
        out[104..112].copy_from_slice(&self.parameters.to_le_bytes());
        out[112..120].copy_from_slice(&self.steps.to_le_bytes());
        let hash = blake3::hash(&out[..HEADER_BYTES - HASH_BYTES]);
        out[HEADER_BYTES - HASH_BYTES..].copy_from_slice(hash.as_bytes());
        out
    }

    fn decode(path: &Path, bytes: &[u8; HEADER_BYTES]) -> Result<Self> {
        let problem = |problem: String| Error::Transcript { path: path.to_owned(), problem };
        let word = |at: usize| B256::from_slice(&bytes[at..at + 32]);
        let number =
            |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a range of eight bytes"));
        if bytes[..8] != MAGIC {
            return Err(problem("it does not begin with `OLTRAIN` and version 1".into()));
        }
        let header = Self {
            manifest: word(8),
            seed: word(40),
            weights: word(72),
            parameters: number(104),
            steps: number(112),
        };
        if header.parameters == 0 || header.parameters > MAX_PARAMETERS {
            return Err(problem(format!(
                "{} parameters, accepted is 1 to {MAX_PARAMETERS}",
                header.parameters
            )));
        }
        if header.steps == 0 || header.steps > MAX_STEPS {
            return Err(problem(format!("{} steps, accepted is 1 to {MAX_STEPS}", header.steps)));
        }
        if header.encode() != *bytes {
            return Err(problem("its header does not hash to what is stored with it".into()));
        }
        Ok(header)
    }

    /// The hash that the first step's running hash follows.
    fn hash(&self) -> B256 {
        B256::from_slice(&self.encode()[HEADER_BYTES - HASH_BYTES..])
    }

    fn step_bytes(&self) -> u64 {
        8 + 4 * self.parameters + HASH_BYTES as u64
    }

    fn offset(&self, step: u64) -> u64 {
        HEADER_BYTES as u64 + step * self.step_bytes()
    }

    fn expect_same(&self, path: &Path, expected: &Self) -> Result<()> {
        let other = |what, got: String, expected: String| Error::OtherRun {
            path: path.to_owned(),
            what,
            got,
            expected,
        };
        let words = [
            ("manifest", self.manifest, expected.manifest),
            ("seed", self.seed, expected.seed),
            ("hash of weights", self.weights, expected.weights),
        ];
        for (what, got, expected) in words {
            if got != expected {
                return Err(other(what, got.to_string(), expected.to_string()));
            }
        }
        let numbers = [
            ("number of parameters", self.parameters, expected.parameters),
            ("number of steps", self.steps, expected.steps),
        ];
        for (what, got, expected) in numbers {
            if got != expected {
                return Err(other(what, got.to_string(), expected.to_string()));
            }
        }
        Ok(())
    }
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Loss of the batch: `Σ wᵢ nllᵢ / N`, in nats per target token.
    pub loss: f64,
    /// Its gradient.
    pub gradient: Vec<f32>,
}

impl Step {
    fn encode(&self, previous: B256) -> (Vec<u8>, B256) {
        let mut bytes = Vec::with_capacity(8 + 4 * self.gradient.len() + HASH_BYTES);
        bytes.extend_from_slice(&self.loss.to_le_bytes());
        for x in &self.gradient {
            bytes.extend_from_slice(&x.to_le_bytes());
        }
        let running = chain(previous, &bytes);
        bytes.extend_from_slice(running.as_slice());
        (bytes, running)
    }

    fn decode(body: &[u8]) -> Self {
        let (loss, gradient) = body.split_at(8);
        let float = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("a chunk of four bytes"));
        Self {
            loss: f64::from_le_bytes(loss.try_into().expect("eight bytes before the gradient")),
            gradient: gradient.chunks_exact(4).map(float).collect(),
        }
    }
}

fn chain(previous: B256, body: &[u8]) -> B256 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous.as_slice());
    hasher.update(body);
    B256::from(*hasher.finalize().as_bytes())
}

/// A step as it lies in the file, not yet compared with its hash.
struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    fn read(file: &mut File, path: &Path, header: &Header, step: u64) -> Result<Self> {
        let mut bytes = vec![0; header.step_bytes() as usize];
        file.seek(SeekFrom::Start(header.offset(step))).map_err(Error::io(path))?;
        file.read_exact(&mut bytes).map_err(Error::io(path))?;
        Ok(Self { bytes })
    }

    fn body(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - HASH_BYTES]
    }

    fn check(&self, path: &Path, step: u64, previous: B256) -> Result<B256> {
        let got = chain(previous, self.body());
        let expected = B256::from_slice(&self.bytes[self.bytes.len() - HASH_BYTES..]);
        if got == expected {
            Ok(got)
        } else {
            Err(Error::TamperedStep { path: path.to_owned(), step: step as usize, got, expected })
        }
    }
}

fn read_header(file: &mut File, path: &Path) -> Result<Option<Header>> {
    let mut bytes = [0; HEADER_BYTES];
    file.seek(SeekFrom::Start(0)).map_err(Error::io(path))?;
    match file.read_exact(&mut bytes) {
        Ok(()) => Header::decode(path, &bytes).map(Some),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(Error::io(path)(e)),
    }
}

/// A complete transcript, every hash of it checked.
#[derive(Debug)]
pub struct Transcript {
    file: File,
    path: PathBuf,
    header: Header,
    /// Running hash after each step.
    running: Vec<B256>,
}

impl Transcript {
    /// Opens a transcript and checks all of it.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Transcript`] for a file of another kind, [`Error::Incomplete`], [`Error::TamperedStep`].
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let header = read_header(&mut file, path)?.ok_or_else(|| Error::Transcript {
            path: path.to_owned(),
            problem: format!("it is shorter than a header of {HEADER_BYTES} bytes"),
        })?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        let whole = (length - HEADER_BYTES as u64) / header.step_bytes();
        if whole < header.steps {
            return Err(Error::Incomplete {
                path: path.to_owned(),
                got: whole as usize,
                expected: header.steps as usize,
            });
        }
        if length != header.offset(header.steps) {
            return Err(Error::Transcript {
                path: path.to_owned(),
                problem: format!("{length} bytes, expected {}", header.offset(header.steps)),
            });
        }
        let mut running = Vec::with_capacity(header.steps as usize);
        let mut previous = header.hash();
        for step in 0..header.steps {
            previous = Frame::read(&mut file, path, &header, step)?.check(path, step, previous)?;
            running.push(previous);
        }
        Ok(Self { file, path: path.to_owned(), header, running })
    }

    /// As [`Self::open`], and of the run that `expected` describes.
    ///
    /// # Errors
    /// Those of [`Self::open`], and [`Error::OtherRun`].
    pub fn open_for(path: &Path, expected: &Header) -> Result<Self> {
        let transcript = Self::open(path)?;
        transcript.expect_of(expected)?;
        Ok(transcript)
    }

    /// Checks that it is of the run that `expected` describes.
    ///
    /// # Errors
    /// [`Error::OtherRun`].
    pub fn expect_of(&self, expected: &Header) -> Result<()> {
        self.header.expect_same(&self.path, expected)
    }

    /// Which run it is of.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The last running hash, which names the whole run.
    #[must_use]
    pub fn hash(&self) -> B256 {
        *self.running.last().expect("a transcript has at least one step")
    }

    /// Running hash after a step.
    ///
    /// # Panics
    /// When the run has no such step.
    #[must_use]
    pub fn running(&self, step: usize) -> B256 {
        self.running[step]
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a step, checking its hash again, for the file may have changed since it was opened.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::TamperedStep`].
    ///
    /// # Panics
    /// When the run has no such step.
    pub fn step(&mut self, step: usize) -> Result<Step> {
        let previous = if step == 0 { self.header.hash() } else { self.running[step - 1] };
        let frame = Frame::read(&mut self.file, &self.path, &self.header, step as u64)?;
        let got = frame.check(&self.path, step as u64, previous)?;
        if got != self.running[step] {
            return Err(Error::TamperedStep {
                path: self.path.clone(),
                step,
                got,
                expected: self.running[step],
            });
        }
        Ok(Step::decode(frame.body()))
    }
}

/// A transcript being written.
#[derive(Debug)]
pub struct TranscriptWriter {
    file: File,
    path: PathBuf,
    header: Header,
    running: B256,
    steps: u64,
}

impl TranscriptWriter {
    /// Creates a transcript, or opens the one that is there and hands every finished step of it to `each`, in order. A damaged last step is cut off.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Transcript`] or [`Error::OtherRun`] when the file is not of this run; [`Error::TamperedStep`] for a damaged step
    /// that is not the last; whatever `each` returns.
    pub fn open(
        path: &Path,
        header: Header,
        mut each: impl FnMut(usize, Step) -> Result<()>,
    ) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::io(path))?;
        match read_header(&mut file, path)? {
            Some(found) => found.expect_same(path, &header)?,
            None => begin(&mut file, path, &header)?,
        }
        let mut writer = Self { file, path: path.to_owned(), header, running: header.hash(), steps: 0 };
        let length = writer.file.metadata().map_err(Error::io(path))?.len();
        let whole = ((length - HEADER_BYTES as u64) / header.step_bytes()).min(header.steps);
        for step in 0..whole {
            let frame = Frame::read(&mut writer.file, path, &header, step)?;
            match frame.check(path, step, writer.running) {
                Ok(running) => writer.running = running,
                Err(_) if step + 1 == whole => break,
                Err(e) => return Err(e),
            }
            each(step as usize, Step::decode(frame.body()))?;
            writer.steps += 1;
        }
        if length != header.offset(writer.steps) {
            writer.file.set_len(header.offset(writer.steps)).map_err(Error::io(path))?;
            writer.file.sync_all().map_err(Error::io(path))?;
        }
        Ok(writer)
    }

    /// Steps written so far.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps as usize
    }

    /// The running hash so far.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.running
    }

    /// Appends a step and waits until it is on disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    ///
    /// # Panics
    /// When the run is complete or the gradient has another length than the header says.
    pub fn append(&mut self, step: &Step) -> Result<()> {
        assert!(self.steps < self.header.steps, "a run has as many steps as its header says");
        assert_eq!(
            step.gradient.len() as u64,
            self.header.parameters,
            "a gradient has one entry per parameter"
        );
        let (bytes, running) = step.encode(self.running);
        let at = SeekFrom::Start(self.header.offset(self.steps));
        self.file.seek(at).map_err(Error::io(&self.path))?;
        self.file.write_all(&bytes).map_err(Error::io(&self.path))?;
        self.file.sync_data().map_err(Error::io(&self.path))?;
        self.running = running;
        self.steps += 1;
        Ok(())
    }
}

fn begin(file: &mut File, path: &Path, header: &Header) -> Result<()> {
    let mut found = Vec::with_capacity(HEADER_BYTES);
    file.seek(SeekFrom::Start(0)).map_err(Error::io(path))?;
    file.take(HEADER_BYTES as u64).read_to_end(&mut found).map_err(Error::io(path))?;
    if !header.encode().starts_with(&found) {
        let problem = "it is shorter than a header and not the beginning of this run's".into();
        return Err(Error::Transcript { path: path.to_owned(), problem });
    }
    file.set_len(0).map_err(Error::io(path))?;
    file.seek(SeekFrom::Start(0)).map_err(Error::io(path))?;
    file.write_all(&header.encode()).map_err(Error::io(path))?;
    file.sync_all().map_err(Error::io(path))?;
    // Only Unix lets a folder be opened and synced; elsewhere the name itself is journalled.
    match path.parent() {
        Some(dir) if cfg!(unix) && dir.is_dir() => {
            File::open(dir).and_then(|folder| folder.sync_all()).map_err(Error::io(dir))
        }
        _ => Ok(()),
    }
}
