//! Files in a folder, and what safetensors of them hold.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, View, tensor::TensorView};
use serde::de::DeserializeOwned;

use crate::{
    Error,
    gguf::{Kind, Matrix},
};

/// What a file of JSON that is not larger than `limit` says.
pub(crate) fn json<T: DeserializeOwned>(dir: &Path, file: &'static str, limit: u64) -> Result<T, Error> {
    serde_json::from_slice(&read(dir, file, limit)?)
        .map_err(|e| Error::Checkpoint { file, problem: e.to_string() })
}

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

/// The tensors of files that nobody has taken yet.
#[derive(Default)]
pub(crate) struct Tensors<'a> {
    left: BTreeMap<String, TensorView<'a>>,
}

impl<'a> Tensors<'a> {
    /// Those of one more file.
    pub(crate) fn add(&mut self, file: &'static str, bytes: &'a [u8]) -> Result<(), Error> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|e| Error::Checkpoint { file, problem: e.to_string() })?;
        self.left.extend(tensors.tensors());
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.left.len()
    }

    /// A tensor, which has this shape, a kind of numbers that is read and no value that is not finite.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Matrix<'a>, Error> {
        let refused = |problem| Error::Tensor { name: name.to_owned(), problem };
        let tensor = self.left.remove(name).ok_or_else(|| refused("it is missing".into()))?;
        if tensor.shape() != shape {
            return Err(refused(format!("shape {:?}, expected {shape:?}", tensor.shape())));
        }
        let kind = kind(tensor.dtype())
            .ok_or_else(|| refused(format!("{:?}; F32, F16 and BF16 are read", tensor.dtype())))?;
        if !kind.finite(tensor.data()) {
            return Err(refused("a value is not finite".into()));
        }
        Ok(Matrix { kind, bytes: Cow::Borrowed(tensor.data()) })
    }

    /// Whatever nobody asked for would be left out of what is computed; only what may be `unread` is.
    pub(crate) fn all_read(&self, unread: impl Fn(&str) -> bool, model: &str) -> Result<(), Error> {
        match self.left.keys().find(|name| !unread(name)) {
            None => Ok(()),
            Some(name) => Err(Error::Tensor {
                name: name.clone(),
                problem: format!("{model} does not have it, so it is not computed here"),
            }),
        }
    }
}

/// The kind of numbers, where it is one that is read.
fn kind(dtype: Dtype) -> Option<Kind> {
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
