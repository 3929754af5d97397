use super::{BLOCK, COLUMNS};
use crate::{
    gguf::{half, to_half},
    kernel::lines::Lines,
};

/// Width of the integers of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bits {
    /// With a scale and a minimum for each block.
    Four,
    /// With a scale for each block.
    Eight,
}

impl Bits {
    /// Halves of a block of one column.
    fn halves(self) -> usize {
        match self {
            Self::Four => 2,
            Self::Eight => 1,
        }
    }

    /// Bytes of the integers of a block of all columns of a panel.
    pub(super) fn quants(self) -> usize {
        match self {
            Self::Four => COLUMNS * BLOCK / 2,
            Self::Eight => COLUMNS * BLOCK,
        }
    }

    /// Bytes of the halves of a block of all columns of a panel.
    pub(super) fn scales(self) -> usize {
        self.halves() * COLUMNS * 2
    }
}

/// Outputs of one kind. A panel holds sixteen of them: for each block sixteen scales (then sixteen minima); after all of these, on a cache line, for each block the
/// integers, four consecutive inputs of one output to a 32-bit lane. Four bits: the low halves of the bytes are inputs 0..16 of the block, the high ones 16..32.
pub(crate) struct Part {
    pub(super) bits: Bits,
    pub(super) outputs: usize,
    blocks: usize,
    data: Lines,
}

impl Part {
    pub(crate) fn zeros(bits: Bits, inputs: usize, outputs: usize) -> Self {
        let mut part = Self { bits, outputs, blocks: inputs.div_ceil(BLOCK), data: Lines::default() };
        part.data = Lines::zeros(part.panels() * part.panel_bytes());
        part
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(super) fn panels(&self) -> usize {
        self.outputs.div_ceil(COLUMNS)
    }

    /// Bytes before the integers of a panel.
    pub(super) fn head_bytes(&self) -> usize {
        (self.blocks * self.bits.scales()).next_multiple_of(64)
    }

    fn panel_bytes(&self) -> usize {
        self.head_bytes() + self.blocks * self.bits.quants()
    }

    pub(super) fn panel(&self, i: usize) -> &[u8] {
        &self.data[i * self.panel_bytes()..][..self.panel_bytes()]
    }

    /// Puts a block: its scale and minimum (zero for eight bits) as bits of halves; 16 bytes of two integers each, or 32 bytes.
    pub(crate) fn put(&mut self, output: usize, block: usize, d: u16, m: u16, quants: &[u8]) {
        let (bits, head, size) = (self.bits, self.head_bytes(), self.panel_bytes());
        let column = output % COLUMNS;
        let panel = &mut self.data[output / COLUMNS * size..][..size];
        let (scales, all) = panel.split_at_mut(head);
        let scales = &mut scales[block * bits.scales()..];
        for (i, half) in [d, m].iter().take(bits.halves()).enumerate() {
            scales[(i * COLUMNS + column) * 2..][..2].copy_from_slice(&half.to_le_bytes());
        }
        let own = &mut all[block * bits.quants()..][..bits.quants()];
        for (i, word) in quants.chunks_exact(4).enumerate() {
            own[(i * COLUMNS + column) * 4..][..4].copy_from_slice(word);
        }
    }

    /// Scale, minimum and integers of a block: 16 bytes of two, or 32 bytes.
    fn get(&self, output: usize, block: usize) -> (f32, f32, [u8; BLOCK]) {
        let (scales, all) = self.panel(output / COLUMNS).split_at(self.head_bytes());
        let column = output % COLUMNS;
        let scales = &scales[block * self.bits.scales()..];
        let read = |i: usize| {
            let at = (i * COLUMNS + column) * 2;
            half(scales[at], scales[at + 1])
        };
        let m = if self.bits == Bits::Four { read(1) } else { 0.0 };
        let own = &all[block * self.bits.quants()..][..self.bits.quants()];
        let mut quants = [0; BLOCK];
        for (i, word) in quants.chunks_exact_mut(4).take(own.len() / 64).enumerate() {
            word.copy_from_slice(&own[(i * COLUMNS + column) * 4..][..4]);
        }
        (read(0), m, quants)
    }

    /// The weights of one output, each rounded at most once. With `centred`, four bits are decoded as `(q - 8) d`, which is the same but for the sign of a zero.
    pub(crate) fn row(&self, output: usize, centred: bool, out: &mut [f32]) {
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let (d, m, quants) = self.get(output, block);
            for (i, x) in out.iter_mut().enumerate() {
                *x = match (self.bits, centred) {
                    (Bits::Eight, _) => f32::from((quants[i] ^ 0x80) as i8) * d,
                    (Bits::Four, false) => f32::from(quants[i % 16] >> (i / 16 * 4) & 15) * d + m,
                    (Bits::Four, true) => (f32::from(quants[i % 16] >> (i / 16 * 4) & 15) - 8.0) * d,
                };
            }
        }
    }

    /// Eight bits from rows of floats: `d` is the largest magnitude of a block over 127 as a half, `q` the nearest integer to `w / d`, at most 127.
    pub(crate) fn from_rows(rows: &[f32], inputs: usize) -> Self {
        let mut part = Self::zeros(Bits::Eight, inputs, rows.len() / inputs);
        for (output, row) in rows.chunks_exact(inputs).enumerate() {
            for (block, weights) in row.chunks(BLOCK).enumerate() {
                let largest = weights.iter().fold(0f32, |a, w| a.max(w.abs()));
                let bits = to_half(largest / 127.0);
                let [low, high] = bits.to_le_bytes();
                let d = half(low, high);
                let mut quants = [0x80; BLOCK];
                for (q, w) in quants.iter_mut().zip(weights) {
                    let rounded = if d > 0.0 { (w / d).round_ties_even().clamp(-127.0, 127.0) } else { 0.0 };
                    *q = (rounded as i8) as u8 ^ 0x80;
                }
                part.put(output, block, bits, 0, &quants);
            }
        }
        part
    }
}

/// The weights of a linear map: parts with the same inputs, their outputs one after the other.
pub(crate) struct Blocks {
    pub(super) inputs: usize,
    pub(super) parts: Vec<Part>,
}

impl Blocks {
    pub(crate) fn new(inputs: usize, parts: Vec<Part>) -> Self {
        Self { inputs, parts }
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    pub(crate) fn outputs(&self) -> usize {
        self.parts.iter().map(|p| p.outputs).sum()
    }

    /// Bytes that a product reads.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(|p| p.data.len()).sum()
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }
}
