//! Vectors of doubles on disk, so that an interrupted run goes on where it was.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const HASH_BYTES: usize = 32;

/// The vector kept at `path` if it is whole and has `length` entries; else what `compute` gives, which is kept.
pub(crate) fn vector(
    path: &Path,
    length: usize,
    compute: impl FnOnce() -> Result<Vec<f64>>,
) -> Result<Vec<f64>> {
    match kept(path, length) {
        Some(values) => Ok(values),
        None => {
            let values = compute()?;
            keep(path, &values)?;
            Ok(values)
        }
    }
}

/// The vector kept at `path` if it is whole and has `length` entries.
pub(crate) fn kept(path: &Path, length: usize) -> Option<Vec<f64>> {
    fs::read(path).ok().and_then(|bytes| decode(&bytes)).filter(|v| v.len() == length)
}

/// Keeps a vector.
pub(crate) fn keep(path: &Path, values: &[f64]) -> Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, encode(values)).with_context(|| format!("writing {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("writing {}", path.display()))
}

fn encode(values: &[f64]) -> Vec<u8> {
    let mut bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Vec<f64>> {
    let (body, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
    let (values, rest) = body.as_chunks::<8>();
    let whole = rest.is_empty() && blake3::hash(body).as_bytes() == hash;
    whole.then(|| values.iter().map(|b| f64::from_le_bytes(*b)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_or_altered_file_is_not_taken_for_a_vector() {
        let bytes = encode(&[1.0, -2.5]);
        assert_eq!(decode(&bytes), Some(vec![1.0, -2.5]));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        let mut altered = bytes;
        altered[3] ^= 1;
        assert_eq!(decode(&altered), None);
    }
}
