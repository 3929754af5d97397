//! Files in a folder, and what safetensors of them hold.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::{Dtype, View};

use crate::{Error, gguf::Kind};

/// The bytes of a file that is not larger than `limit`.
pub(crate) fn read(dir: &Path, file: &str, limit: u64) -> Result<Vec<u8>, Error> {
    let path = checked(dir, file, limit)?;
    fs::read(&path).map_err(Error::io(&path))
}

/// The path of a file that is not too large.
fn checked(dir: &Path, file: &str, limit: u64) -> Result<PathBuf, Error> {
    let path = dir.join(file);
    let got = fs::metadata(&path).map_err(Error::io(&path))?.len();
    if got > limit { Err(Error::FileTooLarge { path, got, limit }) } else { Ok(path) }
}

/// The bytes of a file of weights, without a copy.
#[expect(unsafe_code, reason = "weights are read once, from where the system holds them, without a copy")]
pub(crate) fn map(dir: &Path, file: &str, limit: u64) -> Result<Mmap, Error> {
    let path = checked(dir, file, limit)?;
    let file = fs::File::open(&path).map_err(Error::io(&path))?;
    // SAFETY: weights are written once. Were they changed while they are read, their numbers would be others or the
    // process would be stopped by the system; bytes are read as numbers and every offset is checked against the length.
    unsafe { Mmap::map(&file) }.map_err(Error::io(&path))
}

/// The kind of numbers, where it is one that is read.
pub(crate) fn kind(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F32 => Kind::F32,
        Dtype::F16 => Kind::F16,
        Dtype::BF16 => Kind::Bf16,
        _ => return None,
    })
}

/// A tensor to be written in F32, whose values are made when it is its turn.
pub(crate) struct Floats<'a> {
    shape: Vec<usize>,
    values: Box<dyn Fn() -> Vec<f32> + 'a>,
}

impl<'a> Floats<'a> {
    pub(crate) fn new(shape: Vec<usize>, values: impl Fn() -> Vec<f32> + 'a) -> Self {
        Self { shape, values: Box::new(values) }
    }
}

impl View for Floats<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        (self.values)().into_iter().flat_map(f32::to_le_bytes).collect()
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * 4
    }
}
