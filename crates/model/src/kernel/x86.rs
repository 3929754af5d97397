use std::arch::x86_64::{
    __m256, __m512, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::{PANEL, gemm::Tile};

/// `MR` rows by `NP` panels, two vectors a panel.
///
/// # Safety
/// As [`Tile`] demands for `NP` panels; the machine has AVX-512.
#[expect(clippy::needless_range_loop, reason = "the same indices address registers, rows of C and panels")]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn tile512<const MR: usize, const NP: usize>(t: &Tile) {
    let mut acc: [[[__m512; 2]; NP]; MR] = [[[_mm512_setzero_ps(); 2]; NP]; MR];
    if t.load {
        for m in 0..MR {
            for p in 0..NP {
                let c = t.c.wrapping_add(m * t.ldc + p * PANEL);
                // SAFETY: the tile's rows of C are readable.
                acc[m][p] = unsafe { [_mm512_loadu_ps(c), _mm512_loadu_ps(c.wrapping_add(16))] };
            }
        }
    }
    let (mut a, mut b) = (t.a, t.b);
    for _ in 0..t.k {
        let mut columns = [[_mm512_setzero_ps(); 2]; NP];
        for (p, column) in columns.iter_mut().enumerate() {
            let b = b.wrapping_add(p * t.panel_step);
            // SAFETY: this row of B is readable in every panel of the tile.
            *column = unsafe { [_mm512_loadu_ps(b), _mm512_loadu_ps(b.wrapping_add(16))] };
        }
        for m in 0..MR {
            // SAFETY: packed A holds `MR` elements for each of the `k` steps.
            let x = _mm512_set1_ps(unsafe { *a.wrapping_add(m) });
            for p in 0..NP {
                acc[m][p][0] = _mm512_fmadd_ps(x, columns[p][0], acc[m][p][0]);
                acc[m][p][1] = _mm512_fmadd_ps(x, columns[p][1], acc[m][p][1]);
            }
        }
        a = a.wrapping_add(MR);
        b = b.wrapping_add(t.b_step);
    }
    for m in 0..MR {
        for p in 0..NP {
            let c = t.c.wrapping_add(m * t.ldc + p * PANEL);
            // SAFETY: the tile's rows of C are writable.
            unsafe {
                _mm512_storeu_ps(c, acc[m][p][0]);
                _mm512_storeu_ps(c.wrapping_add(16), acc[m][p][1]);
            }
        }
    }
}

/// `MR` rows by one panel, in two halves of two vectors, since there are only sixteen registers.
///
/// # Safety
/// As [`Tile`] demands; the machine has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn tile256<const MR: usize>(t: &Tile) {
    for half in 0..2 {
        let first = half * 16;
        let mut acc: [[__m256; 2]; MR] = [[_mm256_setzero_ps(); 2]; MR];
        if t.load {
            for (m, row) in acc.iter_mut().enumerate() {
                let c = t.c.wrapping_add(m * t.ldc + first);
                // SAFETY: the tile's rows of C are readable.
                *row = unsafe { [_mm256_loadu_ps(c), _mm256_loadu_ps(c.wrapping_add(8))] };
            }
        }
        let (mut a, mut b) = (t.a, t.b.wrapping_add(first));
        for _ in 0..t.k {
            // SAFETY: this row of B is readable.
            let columns = unsafe { [_mm256_loadu_ps(b), _mm256_loadu_ps(b.wrapping_add(8))] };
            for (m, row) in acc.iter_mut().enumerate() {
                // SAFETY: packed A holds `MR` elements for each of the `k` steps.
                let x = _mm256_set1_ps(unsafe { *a.wrapping_add(m) });
                row[0] = _mm256_fmadd_ps(x, columns[0], row[0]);
                row[1] = _mm256_fmadd_ps(x, columns[1], row[1]);
            }
            a = a.wrapping_add(MR);
            b = b.wrapping_add(t.b_step);
        }
        for (m, row) in acc.iter().enumerate() {
            let c = t.c.wrapping_add(m * t.ldc + first);
            // SAFETY: the tile's rows of C are writable.
            unsafe {
                _mm256_storeu_ps(c, row[0]);
                _mm256_storeu_ps(c.wrapping_add(8), row[1]);
            }
        }
    }
}
