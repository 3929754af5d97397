use std::{
    ops::Deref,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    gguf::{Kind, Matrix, half, to_half},
    kernel::{BLOCK, Bits, Blocks, Panels, Part},
};

/// A linear map `y = W x`: blocks of integers for serving; exact floats, packed for `x Wᵀ` and for `dy W`, once somebody needs them.
pub(crate) struct Linear {
    serving: Blocks,
    exact: Vec<Exact>,
    forward: OnceLock<Panels>,
    backward: OnceLock<Panels>,
    /// Floats are made when they are needed and not kept.
    quantised: AtomicBool,
}

/// Exact floats, packed: kept, or made for one use. They are the same numbers.
pub(crate) enum Floats<'a> {
    Kept(&'a Panels),
    Made(Panels),
}

impl Deref for Floats<'_> {
    type Target = Panels;

    fn deref(&self) -> &Panels {
        match self {
            Self::Kept(panels) => panels,
            Self::Made(panels) => panels,
        }
    }
}

/// Where the exact weights of a part come from.
enum Exact {
    /// Its blocks. `Q4_0` is decoded as `(q - 8) d`.
    Blocks { centred: bool },
    /// The file's own bytes, since the blocks were made from them by rounding.
    File(Stored),
}

/// Rows of a matrix as a file has them.
pub(crate) struct Stored {
    kind: Kind,
    width: usize,
    bytes: Vec<u8>,
}

impl Stored {
    pub(crate) fn new(matrix: &Matrix<'_>, width: usize) -> Self {
        Self { kind: matrix.kind, width, bytes: matrix.bytes.to_vec() }
    }

    pub(crate) fn row(&self, i: usize, out: &mut [f32]) {
        let (elements, size) = self.kind.block();
        let bytes = self.width / elements * size;
        out.copy_from_slice(&self.kind.decode(&self.bytes[i * bytes..(i + 1) * bytes]));
    }
}

impl Linear {
    /// Stacks matrices of the same input width: the rows of each (`out x in`) follow those of the one before.
    pub(crate) fn stack(input: usize, matrices: &[Matrix<'_>]) -> Self {
        let (parts, exact) = matrices.iter().map(|m| pack(input, m)).unzip();
        let serving = Blocks::new(input, parts);
        let (forward, backward, quantised) = (OnceLock::new(), OnceLock::new(), AtomicBool::new(false));
        Self { serving, exact, forward, backward, quantised }
    }

    /// The integers that serving computes with.
    pub(crate) fn serving(&self) -> &Blocks {
        &self.serving
    }

    pub(crate) fn forward(&self) -> Floats<'_> {
        if self.is_quantised() { Floats::Made(self.packed()) } else { Floats::Kept(self.kept_forward()) }
    }

    pub(crate) fn backward(&self) -> Floats<'_> {
        if self.is_quantised() {
            let (input, output) = (self.serving.inputs(), self.serving.outputs());
            let mut panels = Panels::zeros(output, input);
            let mut row = vec![0.0; input];
            for i in 0..output {
                self.row(i, &mut row);
                panels.set_step(i, &row);
            }
            return Floats::Made(panels);
        }
        Floats::Kept(self.backward.get_or_init(|| self.kept_forward().transposed()))
    }

    fn kept_forward(&self) -> &Panels {
        self.forward.get_or_init(|| self.packed())
    }

    fn packed(&self) -> Panels {
        let (input, output) = (self.serving.inputs(), self.serving.outputs());
        let mut panels = Panels::zeros(input, output);
        let mut row = vec![0.0; input];
        for i in 0..output {
            self.row(i, &mut row);
            panels.set_rows(i, &row);
        }
        panels
    }

    /// From now on no floats are kept that are not kept already.
    pub(super) fn keep_quantised(&self) {
        self.quantised.store(true, Ordering::Relaxed);
    }

    fn is_quantised(&self) -> bool {
        self.quantised.load(Ordering::Relaxed)
    }

    pub(super) fn lacks_forward(&self) -> bool {
        !self.is_quantised() && self.forward.get().is_none()
    }

    pub(super) fn lacks_backward(&self) -> bool {
        !self.is_quantised() && self.backward.get().is_none()
    }

    /// Row `i` of `W`, each weight rounded at most once from what the file says.
    pub(crate) fn row(&self, mut i: usize, out: &mut [f32]) {
        for (part, exact) in self.serving.parts().iter().zip(&self.exact) {
            if i < part.outputs() {
                return match exact {
                    Exact::Blocks { centred } => part.row(i, *centred, out),
                    Exact::File(stored) => stored.row(i, out),
                };
            }
            i -= part.outputs();
        }
    }

    /// Rows `first..first + count` of `W`, row-major.
    pub(crate) fn rows(&self, first: usize, count: usize) -> Vec<f32> {
        let input = self.serving.inputs();
        let mut out = vec![0.0; count * input];
        for (i, row) in out.chunks_exact_mut(input).enumerate() {
            self.row(first + i, row);
        }
        out
    }
}

/// Blocks that hold a matrix exactly where its kind has such; else eight bits made from its values.
fn pack(input: usize, matrix: &Matrix<'_>) -> (Part, Exact) {
    let (elements, size) = matrix.kind.block();
    let output = matrix.bytes.len() / size * elements / input;
    let whole = input.is_multiple_of(BLOCK);
    let half_at = |block: &[u8], at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
    let times_minus_8 = |block: &[u8]| to_half(-8.0 * half(block[0], block[1]));
    let fits = |block: &[u8]| times_minus_8(block) & 0x7c00 != 0x7c00;
    let bits = match matrix.kind {
        Kind::Q4_1 if whole => Some(Bits::Four),
        Kind::Q4_0 if whole && matrix.bytes.chunks_exact(size).all(fits) => Some(Bits::Four),
        Kind::Q8_0 if whole => Some(Bits::Eight),
        _ => None,
    };
    let Some(bits) = bits else {
        let part = Part::from_rows(&matrix.kind.decode(&matrix.bytes), input);
        return (part, Exact::File(Stored::new(matrix, input)));
    };
    let mut part = Part::zeros(bits, input, output);
    let blocks = input / BLOCK;
    for (i, block) in matrix.bytes.chunks_exact(size).enumerate() {
        let (row, at) = (i / blocks, i % blocks);
        match matrix.kind {
            Kind::Q4_1 => part.put(row, at, half_at(block, 0), half_at(block, 2), &block[4..]),
            Kind::Q4_0 => part.put(row, at, half_at(block, 0), times_minus_8(block), &block[2..]),
            _ => {
                let mut bytes = [0; BLOCK];
                for (to, from) in bytes.iter_mut().zip(&block[2..]) {
                    *to = from ^ 0x80;
                }
                part.put(row, at, half_at(block, 0), 0, &bytes);
            }
        }
    }
    (part, Exact::Blocks { centred: matrix.kind == Kind::Q4_0 })
}
