use super::{PANEL, gemm::Tile};

/// Columns handled at once: few enough that accumulators of four rows stay in the registers of a machine with 32 of 128 bits.
const WIDE: usize = 16;

/// One tile of `MR` rows by one panel.
///
/// # Safety
/// As [`Tile`] demands.
pub(super) unsafe fn tile<const MR: usize>(t: &Tile) {
    for half in 0..PANEL / WIDE {
        let b = t.b.wrapping_add(half * WIDE);
        let c = t.c.wrapping_add(half * WIDE);
        let mut acc = [[0f32; WIDE]; MR];
        if t.load {
            for (m, row) in acc.iter_mut().enumerate() {
                // SAFETY: the tile's rows of C are readable.
                *row = unsafe { c.wrapping_add(m * t.ldc).cast::<[f32; WIDE]>().read_unaligned() };
            }
        }
        for k in 0..t.k {
            // SAFETY: row `k` of B and column `k` of the packed A are readable.
            let (b, a) = unsafe {
                (
                    b.wrapping_add(k * t.b_step).cast::<[f32; WIDE]>().read_unaligned(),
                    t.a.wrapping_add(k * MR).cast::<[f32; MR]>().read_unaligned(),
                )
            };
            for m in 0..MR {
                for n in 0..WIDE {
                    acc[m][n] = a[m].mul_add(b[n], acc[m][n]);
                }
            }
        }
        for (m, row) in acc.iter().enumerate() {
            // SAFETY: the tile's rows of C are writable.
            unsafe { c.wrapping_add(m * t.ldc).cast::<[f32; WIDE]>().write_unaligned(*row) };
        }
    }
}
