use super::{BLOCK, Bits, COLUMNS, product::Tile};
use crate::gguf::half;

/// One row and one panel.
///
/// # Safety
/// As [`Tile`] demands for one row.
pub(super) unsafe fn row(bits: Bits, t: &Tile) {
    let y = t.y.cast::<[f32; COLUMNS]>();
    // SAFETY: the row of Y is readable.
    let mut acc = if t.load { unsafe { y.read_unaligned() } } else { [0.0; COLUMNS] };
    for b in 0..t.blocks {
        // SAFETY: the blocks of the panel and of the row are readable.
        let (scales, quants, values, e, es) = unsafe {
            (
                std::slice::from_raw_parts(t.scales.wrapping_add(b * bits.scales()), bits.scales()),
                std::slice::from_raw_parts(t.quants.wrapping_add(b * bits.quants()), bits.quants()),
                &*t.values.wrapping_add(b * BLOCK).cast::<[i8; BLOCK]>(),
                *t.row_scales.wrapping_add(b),
                *t.sums.wrapping_add(b),
            )
        };
        let mut sums = [0i32; COLUMNS];
        for (i, lanes) in quants.chunks_exact(4 * COLUMNS).enumerate() {
            for (sum, bytes) in sums.iter_mut().zip(lanes.chunks_exact(4)) {
                for (j, q) in bytes.iter().enumerate() {
                    let k = 4 * i + j;
                    *sum += match bits {
                        Bits::Four => {
                            i32::from(q & 15) * i32::from(values[k])
                                + i32::from(q >> 4) * i32::from(values[k + 16])
                        }
                        Bits::Eight => i32::from((q ^ 0x80) as i8) * i32::from(values[k]),
                    };
                }
            }
        }
        let scale = |i: usize| half(scales[2 * i], scales[2 * i + 1]);
        for (c, acc) in acc.iter_mut().enumerate() {
            *acc = scale(c).mul_add(e * sums[c] as f32, *acc);
            if bits == Bits::Four {
                *acc = scale(COLUMNS + c).mul_add(es, *acc);
            }
        }
    }
    // SAFETY: the row of Y is writable.
    unsafe { y.write_unaligned(acc) };
}
