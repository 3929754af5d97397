/// Element types of tensors, with their code in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F16,
    Bf16,
    /// 32 values: an `f16` scale `d`, then nibbles `q` (the low ones first): `(q - 8) d`.
    Q4_0,
    /// 32 values: `f16` `d` and `m`, then nibbles: `q d + m`.
    Q4_1,
    /// 32 values: `f16` `d`, then signed bytes: `q d`.
    Q8_0,
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
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Elements and bytes of one block.
    fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (BLOCK, 18),
            Self::Q4_1 => (BLOCK, 20),
            Self::Q8_0 => (BLOCK, 34),
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

    /// Values of whole blocks. A product `q d` is exact in `f32` (15 bits at most), so each value is rounded at most once, when `m` is added.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
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
            }
        }
        out
    }
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
