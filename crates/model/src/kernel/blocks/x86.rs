use std::arch::x86_64::*;

use super::{BLOCK, Bits, product::Tile};

/// How far ahead of what is computed memory is asked for. A panel is a few kilobytes of two streams (scales, integers), too short for the machine to see
/// where they go on; one row of inputs would wait for memory most of its time.
const AHEAD: usize = 1024;

/// Asks for the bytes of a block, which lie one after the other over all blocks of a panel and over all panels. It is a hint: an address that nobody has
/// does nothing.
#[inline(always)]
fn ask(t: &Tile, block: usize, bits: Bits) {
    let bytes = bits.scales() + bits.quants();
    for line in 0..bytes.div_ceil(64) {
        // SAFETY: every x86-64 machine has the instruction, and it accesses nothing.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(t.scales.wrapping_add(block * bytes + AHEAD + 64 * line).cast());
        }
    }
}

/// `R` rows by one panel.
///
/// # Safety
/// As [`Tile`] demands; the machine has AVX-512 (F, BW) with VNNI.
#[expect(clippy::needless_range_loop, reason = "the same index addresses registers and rows")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn vnni<const R: usize, const FOUR: bool>(t: &Tile) {
    let bits = if FOUR { Bits::Four } else { Bits::Eight };
    let low = _mm512_set1_epi8(15);
    let mut acc = [_mm512_setzero_ps(); R];
    if t.load {
        for r in 0..R {
            // SAFETY: the rows of Y are readable.
            acc[r] = unsafe { _mm512_loadu_ps(t.y.wrapping_add(r * t.ldy)) };
        }
    }
    let (mut scales, mut quants) = (t.scales, t.quants);
    for b in 0..t.blocks {
        ask(t, b, bits);
        let mut sums = [_mm512_setzero_si512(); R];
        if !FOUR {
            for r in 0..R {
                // SAFETY: every row has a bias for every block.
                sums[r] = _mm512_set1_epi32(unsafe { *t.biases.wrapping_add(r * t.blocks + b) });
            }
        }
        for group in 0..2 {
            let mut w = [_mm512_setzero_si512(); 4];
            for (v, w) in w.iter_mut().enumerate() {
                let vector = if FOUR { v } else { 4 * group + v };
                // SAFETY: the integers of this block are readable.
                let bytes = unsafe { _mm512_loadu_si512(quants.wrapping_add(64 * vector).cast()) };
                *w = match (FOUR, group) {
                    (true, 0) => _mm512_and_si512(bytes, low),
                    (true, _) => _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), low),
                    _ => bytes,
                };
            }
            for v in 0..4 {
                for r in 0..R {
                    let at = (r * t.blocks + b) * BLOCK + 16 * group + 4 * v;
                    // SAFETY: every row has 32 values for every block.
                    let x = unsafe { t.values.wrapping_add(at).cast::<i32>().read_unaligned() };
                    sums[r] = _mm512_dpbusd_epi32(sums[r], w[v], _mm512_set1_epi32(x));
                }
            }
        }
        // SAFETY: the scales of this block are readable.
        let d = _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(scales.cast()) });
        let m = if FOUR {
            // SAFETY: the minima follow the scales.
            _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(scales.wrapping_add(32).cast()) })
        } else {
            d
        };
        for r in 0..R {
            // SAFETY: every row has a scale and a sum for every block.
            let (e, es) = unsafe {
                (*t.row_scales.wrapping_add(r * t.blocks + b), *t.sums.wrapping_add(r * t.blocks + b))
            };
            let s = _mm512_mul_ps(_mm512_set1_ps(e), _mm512_cvtepi32_ps(sums[r]));
            acc[r] = _mm512_fmadd_ps(d, s, acc[r]);
            if FOUR {
                acc[r] = _mm512_fmadd_ps(m, _mm512_set1_ps(es), acc[r]);
            }
        }
        scales = scales.wrapping_add(bits.scales());
        quants = quants.wrapping_add(bits.quants());
    }
    for r in 0..R {
        // SAFETY: the rows of Y are writable.
        unsafe { _mm512_storeu_ps(t.y.wrapping_add(r * t.ldy), acc[r]) };
    }
}

/// `R` rows by one panel, in two halves of eight columns.
///
/// Four bits: two products of 15 · 127 at most, eight times added, stay below 2^15. Eight bits: the sign of a weight goes to the input, so that a pair is at most
/// 2 · 128 · 127, which does not saturate either.
///
/// # Safety
/// As [`Tile`] demands; the machine has AVX2, FMA and F16C.
#[expect(clippy::needless_range_loop, reason = "the same index addresses registers and rows")]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn avx2<const R: usize, const FOUR: bool>(t: &Tile) {
    let bits = if FOUR { Bits::Four } else { Bits::Eight };
    let (low, ones, top) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1), _mm256_set1_epi8(-128));
    for half in 0..2 {
        let y = t.y.wrapping_add(8 * half);
        let mut acc = [_mm256_setzero_ps(); R];
        if t.load {
            for r in 0..R {
                // SAFETY: the rows of Y are readable.
                acc[r] = unsafe { _mm256_loadu_ps(y.wrapping_add(r * t.ldy)) };
            }
        }
        for b in 0..t.blocks {
            if half == 0 {
                ask(t, b, bits);
            }
            let quants = t.quants.wrapping_add(b * bits.quants() + 32 * half);
            let scales = t.scales.wrapping_add(b * bits.scales() + 16 * half);
            let mut sums = [_mm256_setzero_si256(); R];
            for v in 0..BLOCK / 4 {
                let vector = if FOUR { v % 4 } else { v };
                // SAFETY: the integers of this block are readable.
                let bytes = unsafe { _mm256_loadu_si256(quants.wrapping_add(64 * vector).cast()) };
                let w = match (FOUR, v / 4) {
                    (true, 0) => _mm256_and_si256(bytes, low),
                    (true, _) => _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low),
                    _ => _mm256_xor_si256(bytes, top),
                };
                for r in 0..R {
                    let at = (r * t.blocks + b) * BLOCK + 4 * v;
                    // SAFETY: every row has 32 values for every block.
                    let x = _mm256_set1_epi32(unsafe {
                        t.values.wrapping_add(at).cast::<i32>().read_unaligned()
                    });
                    sums[r] = if FOUR {
                        _mm256_add_epi16(sums[r], _mm256_maddubs_epi16(w, x))
                    } else {
                        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
                        _mm256_add_epi32(sums[r], _mm256_madd_epi16(pairs, ones))
                    };
                }
            }
            // SAFETY: the scales of this block are readable.
            let d = _mm256_cvtph_ps(unsafe { _mm_loadu_si128(scales.cast()) });
            let m = if FOUR {
                // SAFETY: the minima follow the scales.
                _mm256_cvtph_ps(unsafe { _mm_loadu_si128(scales.wrapping_add(32).cast()) })
            } else {
                d
            };
            for r in 0..R {
                // SAFETY: every row has a scale and a sum for every block.
                let (e, es) = unsafe {
                    (*t.row_scales.wrapping_add(r * t.blocks + b), *t.sums.wrapping_add(r * t.blocks + b))
                };
                let sum = if FOUR { _mm256_madd_epi16(sums[r], ones) } else { sums[r] };
                let s = _mm256_mul_ps(_mm256_set1_ps(e), _mm256_cvtepi32_ps(sum));
                acc[r] = _mm256_fmadd_ps(d, s, acc[r]);
                if FOUR {
                    acc[r] = _mm256_fmadd_ps(m, _mm256_set1_ps(es), acc[r]);
                }
            }
        }
        for r in 0..R {
            // SAFETY: the rows of Y are writable.
            unsafe { _mm256_storeu_ps(y.wrapping_add(r * t.ldy), acc[r]) };
        }
    }
}
