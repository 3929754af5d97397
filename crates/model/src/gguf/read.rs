use std::{borrow::Cow, ops::Range};

use super::{ALIGNMENT, MAGIC, blocks::Kind};
use crate::Error;

const MAX_ENTRIES: u64 = 4096;
const MAX_TENSORS: u64 = 16_384;
const MAX_STRING: u64 = 1 << 20;
const MAX_ARRAY: u64 = 1 << 21;
const MAX_DIMS: u32 = 4;

/// A metadata value; numbers keep only what is asked for here.
#[derive(Debug, PartialEq)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Signeds(Vec<i64>),
    /// An array that nothing here asks for.
    Other,
}

struct Tensor {
    name: String,
    /// Innermost first.
    dims: Vec<usize>,
    kind: Kind,
    bytes: Range<usize>,
}

/// Elements of a tensor as a file has them, rows of whole blocks.
pub(crate) struct Matrix<'a> {
    pub(crate) kind: Kind,
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// A parsed file.
pub(crate) struct File<'a> {
    bytes: &'a [u8],
    entries: Vec<(String, Value)>,
    tensors: Vec<Tensor>,
}

impl<'a> File<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader { bytes, at: 0 };
        if r.take(4)? != MAGIC {
            return Err(Error::Gguf { offset: 0, problem: "it does not start with `GGUF`".into() });
        }
        let version = r.u32()?;
        if !(2..=3).contains(&version) {
            return Err(r.error(format!("version {version}, expected 2 or 3")));
        }
        let tensor_count = r.count("tensors", MAX_TENSORS)?;
        let entry_count = r.count("metadata entries", MAX_ENTRIES)?;
        let mut entries = Vec::new();
        for _ in 0..entry_count {
            let key = r.text()?;
            let kind = r.u32()?;
            let value = r.value(kind)?;
            entries.push((key, value));
        }
        let mut table = Vec::new();
        for _ in 0..tensor_count {
            table.push(r.tensor()?);
        }
        let alignment = match entries.iter().find(|(k, _)| k == "general.alignment") {
            None => ALIGNMENT,
            Some((_, Value::Unsigned(a))) if a.is_power_of_two() && *a <= 1 << 16 => *a as usize,
            Some(_) => {
                return Err(Error::Metadata {
                    key: "general.alignment",
                    problem: "not a power of two up to 65536".into(),
                });
            }
        };
        let start = r.at.next_multiple_of(alignment);
        let mut tensors = Vec::new();
        for (name, dims, kind, offset) in table {
            let problem = |problem: String| Error::Tensor { name: name.clone(), problem };
            let Some(kind) = Kind::from_code(kind) else {
                return Err(problem(format!(
                    "type {kind} is not read here (F32, F16, BF16, Q4_0, Q4_1, Q8_0 and Q4_K are)"
                )));
            };
            let size = kind
                .bytes(&dims)
                .ok_or_else(|| problem(format!("shape {dims:?} does not fill whole blocks")))?;
            let begin = usize::try_from(offset).ok().and_then(|o| start.checked_add(o));
            let range = begin.and_then(|b| Some(b..b.checked_add(size)?)).filter(|r| r.end <= bytes.len());
            let Some(range) = range else {
                return Err(problem(format!(
                    "its {size} bytes at {offset} reach beyond the end of the file"
                )));
            };
            tensors.push(Tensor { name, dims, kind, bytes: range });
        }
        Ok(Self { bytes, entries, tensors })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    pub(crate) fn has_tensor(&self, name: &str) -> bool {
        self.tensors.iter().any(|t| t.name == name)
    }

    /// Shape of a tensor, innermost dimension first.
    pub(crate) fn dims(&self, name: &str) -> Result<&[usize], Error> {
        Ok(&self.find(name)?.dims)
    }

    fn find(&self, name: &str) -> Result<&Tensor, Error> {
        self.tensors
            .iter()
            .find(|t| t.name == name)
            .ok_or_else(|| Error::Tensor { name: name.into(), problem: "missing".into() })
    }

    /// The elements of a vector of the given length, each rounded at most once to `f32`.
    pub(crate) fn vector(&self, name: &str, width: usize) -> Result<Vec<f32>, Error> {
        let matrix = self.tensor(name, &[width])?;
        Ok(matrix.kind.decode(&matrix.bytes))
    }

    /// A tensor of the given shape, all of whose values are finite.
    pub(crate) fn tensor(&self, name: &str, dims: &[usize]) -> Result<Matrix<'a>, Error> {
        let t = self.find(name)?;
        if t.dims != dims {
            return Err(Error::Tensor {
                name: name.into(),
                problem: format!("shape {:?}, expected {dims:?}", t.dims),
            });
        }
        let bytes = &self.bytes[t.bytes.clone()];
        if !t.kind.finite(bytes) {
            return Err(Error::Tensor {
                name: name.into(),
                problem: "holds values that are not finite".into(),
            });
        }
        Ok(Matrix { kind: t.kind, bytes: bytes.into() })
    }

    pub(crate) fn unsigned(&self, key: &'static str) -> Result<usize, Error> {
        match self.get(key) {
            Some(Value::Unsigned(x)) => usize::try_from(*x).ok(),
            Some(Value::Signed(x)) => usize::try_from(*x).ok(),
            Some(_) => None,
            None => return Err(Error::Metadata { key, problem: "missing".into() }),
        }
        .ok_or_else(|| Error::Metadata { key, problem: "not an unsigned number".into() })
    }

    pub(crate) fn float(&self, key: &'static str) -> Result<f32, Error> {
        match self.get(key) {
            Some(Value::Float(x)) => Ok(*x as f32),
            Some(_) => Err(Error::Metadata { key, problem: "not a float".into() }),
            None => Err(Error::Metadata { key, problem: "missing".into() }),
        }
    }

    pub(crate) fn text(&self, key: &'static str) -> Result<&str, Error> {
        match self.get(key) {
            Some(Value::Text(x)) => Ok(x),
            Some(_) => Err(Error::Metadata { key, problem: "not a string".into() }),
            None => Err(Error::Metadata { key, problem: "missing".into() }),
        }
    }

    pub(crate) fn texts(&self, key: &'static str) -> Result<&[String], Error> {
        match self.get(key) {
            Some(Value::Texts(x)) => Ok(x),
            Some(_) => Err(Error::Metadata { key, problem: "not an array of strings".into() }),
            None => Err(Error::Metadata { key, problem: "missing".into() }),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Header = (String, Vec<usize>, u32, u64);

impl<'a> Reader<'a> {
    fn error(&self, problem: String) -> Error {
        Error::Gguf { offset: self.at, problem }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..n) else {
            return Err(self.error(format!("{n} bytes wanted, {} left", rest.len())));
        };
        self.at += n;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        Ok(self.take(N)?.try_into().expect("as many bytes as asked for"))
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn count(&mut self, what: &str, limit: u64) -> Result<u64, Error> {
        let count = self.u64()?;
        if count > limit {
            Err(self.error(format!("{count} {what}, the limit is {limit}")))
        } else {
            Ok(count)
        }
    }

    fn text(&mut self) -> Result<String, Error> {
        let length = self.count("bytes of text", MAX_STRING)?;
        let start = self.at;
        let bytes = self.take(length as usize)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(e) => Err(Error::Gguf { offset: start, problem: format!("text is not UTF-8: {e}") }),
        }
    }

    fn value(&mut self, kind: u32) -> Result<Value, Error> {
        Ok(match kind {
            0 => Value::Unsigned(u64::from(self.array::<1>()?[0])),
            1 => Value::Signed(i64::from(i8::from_le_bytes(self.array()?))),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.array()?))),
            3 => Value::Signed(i64::from(i16::from_le_bytes(self.array()?))),
            4 => Value::Unsigned(u64::from(self.u32()?)),
            5 => Value::Signed(i64::from(i32::from_le_bytes(self.array()?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.array()?))),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 => self.list()?,
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => return Err(self.error(format!("metadata type {other} does not exist"))),
        })
    }

    fn list(&mut self) -> Result<Value, Error> {
        let kind = self.u32()?;
        let count = self.count("array elements", MAX_ARRAY)?;
        match kind {
            8 => {
                let mut texts = Vec::new();
                for _ in 0..count {
                    texts.push(self.text()?);
                }
                Ok(Value::Texts(texts))
            }
            5 => {
                let bytes = self.take(count as usize * 4)?;
                let words = bytes.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                Ok(Value::Signeds(words.map(i64::from).collect()))
            }
            0 | 1 | 7 => self.take(count as usize).map(|_| Value::Other),
            2 | 3 => self.take(count as usize * 2).map(|_| Value::Other),
            4 | 6 => self.take(count as usize * 4).map(|_| Value::Other),
            10..=12 => self.take(count as usize * 8).map(|_| Value::Other),
            other => Err(self.error(format!("arrays of type {other} are not read here"))),
        }
    }

    fn tensor(&mut self) -> Result<Header, Error> {
        let name = self.text()?;
        let count = self.u32()?;
        if count == 0 || count > MAX_DIMS {
            return Err(
                self.error(format!("tensor `{name}` has {count} dimensions, accepted are 1 to {MAX_DIMS}"))
            );
        }
        let mut dims = Vec::new();
        for _ in 0..count {
            let dim = self.u64()?;
            match usize::try_from(dim) {
                Ok(d) if d > 0 => dims.push(d),
                _ => return Err(self.error(format!("tensor `{name}` has a dimension of {dim}"))),
            }
        }
        Ok((name, dims, self.u32()?, self.u64()?))
    }
}
