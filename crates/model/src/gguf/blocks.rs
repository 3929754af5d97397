/// Element types of tensors, with their code in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F16,
    Bf16,
    /// 32 values: an `f16` scale `d`, then nibbles `q` (the low ones first): `(q - 8) d`.
    Q4_0,
    /// 32 values: `f16` `d` and `m`, then nibbles: `q d + m`.
    Q4_1,
    /// 32 values: `f16` `d`, then signed bytes: `q d`.
    Q8_0,
    /// 256 values in eight blocks of 32: `f16` `d` and `m`, eight scales `s` and minima `n` of six bits, then nibbles, those of two blocks in the same bytes: `q d s - m n`.
    Q4K,
}

const BLOCK: usize = 32;

impl Kind {
    pub(super) fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Elements and bytes of one block.
    pub(crate) fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (BLOCK, 18),
            Self::Q4_1 => (BLOCK, 20),
            Self::Q8_0 => (BLOCK, 34),
            Self::Q4K => (8 * BLOCK, 144),
        }
    }

    /// Bytes of a tensor; none when a row is no whole number of blocks or the size overflows.
    pub(super) fn bytes(self, dims: &[usize]) -> Option<usize> {
        let (elements, size) = self.block();
        if !dims.first()?.is_multiple_of(elements) {
            return None;
        }
        let total = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
        (total / elements).checked_mul(size)
    }

    /// Whether every value is finite: then every float and half of the blocks is.
    pub(crate) fn finite(self, bytes: &[u8]) -> bool {
        let (_, size) = self.block();
        bytes.chunks_exact(size).all(|block| {
            let is = |at: usize| half(block[at], block[at + 1]).is_finite();
            match self {
                Self::F32 => f32::from_le_bytes([block[0], block[1], block[2], block[3]]).is_finite(),
                Self::Bf16 => u16::from_le_bytes([block[0], block[1]]) & 0x7f80 != 0x7f80,
                Self::F16 | Self::Q4_0 | Self::Q8_0 => is(0),
                Self::Q4_1 | Self::Q4K => is(0) && is(2),
            }
        })
    }

    /// Values of whole blocks. Products `q d` and `q d s` are exact in `f32` (21 bits at most), so each value is rounded at most once, when `m` is added.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let (elements, size) = self.block();
        let mut out = Vec::with_capacity(bytes.len() / size * elements);
        for block in bytes.chunks_exact(size) {
            let d = || half(block[0], block[1]);
            match self {
                Self::F32 => out.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]])),
                Self::F16 => out.push(d()),
                Self::Bf16 => {
                    out.push(f32::from_bits(u32::from(u16::from_le_bytes([block[0], block[1]])) << 16))
                }
                Self::Q4_0 => {
                    let d = d();
                    out.extend(block[2..].iter().map(|q| (f32::from(q & 15) - 8.0) * d));
                    out.extend(block[2..].iter().map(|q| (f32::from(q >> 4) - 8.0) * d));
                }
                Self::Q4_1 => {
                    let (d, m) = (d(), half(block[2], block[3]));
                    out.extend(block[4..].iter().map(|q| f32::from(q & 15) * d + m));
                    out.extend(block[4..].iter().map(|q| f32::from(q >> 4) * d + m));
                }
                Self::Q8_0 => {
                    let d = d();
                    out.extend(block[2..].iter().map(|q| f32::from(*q as i8) * d));
                }
                Self::Q4K => {
                    let (d, m) = (d(), half(block[2], block[3]));
                    let (small, quants) = block[4..].split_at(12);
                    for (pair, quants) in quants.chunks_exact(BLOCK).enumerate() {
                        for (j, shift) in [(2 * pair, 0), (2 * pair + 1, 4)] {
                            let (s, n) = six_bits(small, j);
                            let (d, m) = (d * f32::from(s), m * f32::from(n));
                            out.extend(quants.iter().map(|q| f32::from(q >> shift & 15) * d - m));
                        }
                    }
                }
            }
        }
        out
    }
}

/// Scale and minimum `j` of eight, as [`Kind::Q4K`] packs them into twelve bytes: the first four in the low bits of bytes `j` and `j + 4`, whose upper two bits the
/// last four take beside a nibble of byte `j + 4`.
fn six_bits(packed: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        (packed[j + 4] & 15 | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4)
    }
}

/// The nearest IEEE half, ties to even; infinite beyond the largest.
pub(crate) fn to_half(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    if magnitude >= 0x477f_f000 {
        return sign | 0x7c00;
    }
    if magnitude < 0x3880_0000 {
        // Subnormal: adding 0.5 leaves multiples of 2^-24 in the low bits, rounded by the addition.
        return sign | (f32::from_bits(magnitude) + 0.5).to_bits() as u16;
    }
    let odd = magnitude >> 13 & 1;
    sign | ((magnitude + 0xfff + odd - (112 << 23)) >> 13) as u16
}

/// An IEEE half in `f32`, exactly.
pub(crate) fn half(low: u8, high: u8) -> f32 {
    let bits = u16::from_le_bytes([low, high]);
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10 & 31);
    let fraction = u32::from(bits & 1023);
    match exponent {
        // Subnormal: fraction · 2^-24, exact in f32.
        0 => f32::from_bits(sign | (fraction as f32 * f32::from_bits(103 << 23)).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}
