use std::{cell::RefCell, ops::Range};

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::x86;
use super::{Buf, Isa, PANEL, Panels, isa, portable};

/// Steps of `k` between putting accumulators down: a panel of this depth (72 KiB) stays in the second-level cache beside the packed rows.
const K_BLOCK: usize = 576;
/// Rows packed at once, so that they too stay in the second-level cache; a multiple of every kernel's rows.
const M_BLOCK: usize = 252;

/// The left-hand side: `A[m, k] = data[m * row + k * col]`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    data: &'a [f32],
    row: usize,
    col: usize,
}

impl<'a> Left<'a> {
    /// Rows of `data`, `ld` apart.
    pub(crate) fn rows(data: &'a [f32], ld: usize) -> Self {
        Self { data, row: ld, col: 1 }
    }

    /// The transpose of rows `ld` apart: `A[m, k] = data[k * ld + m]`.
    pub(crate) fn columns(data: &'a [f32], ld: usize) -> Self {
        Self { data, row: 1, col: ld }
    }
}

/// The right-hand side.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    data: &'a [f32],
    k_step: usize,
    panel_step: usize,
    padded: bool,
}

impl<'a> Right<'a> {
    /// `B[k, n] = data[k * ld + n]`.
    pub(crate) fn rows(data: &'a [f32], ld: usize) -> Self {
        Self { data, k_step: ld, panel_step: PANEL, padded: false }
    }

    /// Panels `depth` steps deep; a product may use fewer steps and fewer columns.
    pub(crate) fn panels(data: &'a [f32], depth: usize) -> Self {
        Self { data, k_step: PANEL, panel_step: depth * PANEL, padded: true }
    }
}

impl<'a> From<&'a Panels> for Right<'a> {
    fn from(panels: &'a Panels) -> Self {
        Self::panels(panels.data(), panels.k())
    }
}

/// What a kernel works on.
///
/// # Safety contract of the kernels
/// `a` holds `k` groups of `MR` floats; `b + i * b_step + p * panel_step` holds 32 readable floats for every step `i < k` and panel `p` of the tile; `c + m * ldc` holds
/// 32 writable floats for each panel, for every row `m < MR`, which nobody else accesses meanwhile.
pub(super) struct Tile {
    pub(super) k: usize,
    pub(super) a: *const f32,
    pub(super) b: *const f32,
    pub(super) b_step: usize,
    pub(super) panel_step: usize,
    pub(super) c: *mut f32,
    pub(super) ldc: usize,
    /// Whether accumulators start from C.
    pub(super) load: bool,
}

#[derive(Clone, Copy)]
struct Output(*mut f32);
// SAFETY: threads write disjoint columns of the matrix that `gemm` borrows uniquely until all are done.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// `m x n x k`.
pub(crate) type Size = (usize, usize, usize);

/// `C = A · B`, or `C += A · B` as a continuation of the chain, with rows of `C` `ldc` apart. The columns are shared among `split` tasks of the current pool.
///
/// # Panics
/// When an operand is too short for the size.
pub(crate) fn gemm(
    split: usize,
    (m, n, k): Size,
    a: Left<'_>,
    b: Right<'_>,
    c: &mut [f32],
    ldc: usize,
    accumulate: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(n <= ldc && (m - 1) * ldc + n <= c.len(), "C holds {m} rows of {n}");
    if k == 0 {
        if !accumulate {
            c.chunks_mut(ldc).take(m).for_each(|row| row[..n].fill(0.0));
        }
        return;
    }
    assert!((m - 1) * a.row + (k - 1) * a.col < a.data.len(), "A holds {m} x {k}");
    let panels = n.div_ceil(PANEL);
    let width = if b.padded { PANEL } else { n - (panels - 1) * PANEL };
    assert!((panels - 1) * b.panel_step + (k - 1) * b.k_step + width <= b.data.len(), "B holds {k} x {n}");

    let job = Job { size: (m, n, k), a, b, c: Output(c.as_mut_ptr()), ldc, accumulate, isa: isa() };
    let chunks = split.min(panels).max(1);
    if chunks == 1 {
        job.run(0..panels);
    } else {
        (0..chunks).into_par_iter().for_each(|i| job.run(panels * i / chunks..panels * (i + 1) / chunks));
    }
}

struct Job<'a> {
    size: Size,
    a: Left<'a>,
    b: Right<'a>,
    c: Output,
    ldc: usize,
    accumulate: bool,
    isa: Isa,
}

#[derive(Default)]
struct Scratch {
    left: Buf,
    tail: Buf,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Job<'_> {
    fn run(&self, panels: Range<usize>) {
        SCRATCH.with_borrow_mut(|scratch| {
            let (m, _, k) = self.size;
            for k0 in (0..k).step_by(K_BLOCK) {
                let depth = K_BLOCK.min(k - k0);
                for m0 in (0..m).step_by(M_BLOCK) {
                    self.block(scratch, &panels, k0..k0 + depth, m0..(m0 + M_BLOCK).min(m));
                }
            }
        });
    }

    fn block(&self, scratch: &mut Scratch, panels: &Range<usize>, ks: Range<usize>, ms: Range<usize>) {
        let n = self.size.1;
        let full = n / PANEL;
        let tiles = Tiles::new(ms.len(), rows_of(self.isa));
        let wide = match (self.isa, ms.len()) {
            (Isa::Avx512, 1..=3) => 4,
            (Isa::Avx512, 4..=6) => 2,
            _ => 1,
        };
        let left = if ms.len() == 1 && self.a.col == 1 {
            self.a.data[ms.start * self.a.row + ks.start..].as_ptr()
        } else {
            self.pack(&mut scratch.left, &tiles, &ks, ms.start);
            scratch.left.as_ptr()
        };
        let load = self.accumulate || ks.start > 0;
        let mut p = panels.start;
        while p < panels.end {
            let np = if p + wide <= panels.end.min(full) { wide } else { 1 };
            let partial = p >= full;
            let (b, b_step) = if partial && !self.b.padded {
                (self.tail(&mut scratch.tail, p, &ks), PANEL)
            } else {
                (self.b.data[p * self.b.panel_step + ks.start * self.b.k_step..].as_ptr(), self.b.k_step)
            };
            for (rows, offset) in tiles.iter() {
                let c = self.c.at((ms.start + offset) * self.ldc + p * PANEL);
                let tile = Tile {
                    k: ks.len(),
                    a: left.wrapping_add(offset * ks.len()),
                    b,
                    b_step,
                    panel_step: self.b.panel_step,
                    c,
                    ldc: self.ldc,
                    load,
                };
                if partial {
                    self.partial(tile, rows, n - p * PANEL);
                } else {
                    // SAFETY: `gemm` checked the sizes of the operands; the panels of the tile are whole, and only this task writes them.
                    unsafe { call(self.isa, rows, np, &tile) };
                }
            }
            p += np;
        }
    }

    /// Rows in tiles, each `k`-major: the kernel reads them from one stream.
    fn pack(&self, out: &mut Buf, tiles: &Tiles, ks: &Range<usize>, first: usize) {
        let depth = ks.len();
        if out.len() < tiles.rows * depth {
            out.resize(tiles.rows * depth);
        }
        for (rows, offset) in tiles.iter() {
            let tile = &mut out[offset * depth..(offset + rows) * depth];
            let base = (first + offset) * self.a.row + ks.start * self.a.col;
            if self.a.row == 1 {
                for (k, group) in tile.chunks_exact_mut(rows).enumerate() {
                    group.copy_from_slice(&self.a.data[base + k * self.a.col..][..rows]);
                }
            } else {
                let source = |m: usize| &self.a.data[base + m * self.a.row..][..depth];
                match rows {
                    12 => interleave::<12>(source, tile),
                    13 => interleave::<13>(source, tile),
                    14 => interleave::<14>(source, tile),
                    _ => {
                        for m in 0..rows {
                            for (group, x) in tile.chunks_exact_mut(rows).zip(source(m)) {
                                group[m] = *x;
                            }
                        }
                    }
                }
            }
        }
    }

    /// The last, partial panel of an unpacked right-hand side, padded with zeros.
    fn tail(&self, out: &mut Buf, p: usize, ks: &Range<usize>) -> *const f32 {
        let width = self.size.1 - p * PANEL;
        if out.len() < ks.len() * PANEL {
            out.resize(ks.len() * PANEL);
        }
        for (row, k) in out.chunks_exact_mut(PANEL).zip(ks.clone()) {
            row[..width].copy_from_slice(&self.b.data[k * self.b.k_step + p * PANEL..][..width]);
            row[width..].fill(0.0);
        }
        out.as_ptr()
    }

    /// A tile of which only `width` columns exist in C.
    fn partial(&self, mut tile: Tile, rows: usize, width: usize) {
        let mut copy = [0f32; 16 * PANEL];
        let (c, ldc) = (tile.c, tile.ldc);
        for m in 0..rows {
            for n in 0..width {
                // SAFETY: `gemm` checked that C holds these elements.
                copy[m * PANEL + n] = unsafe { *c.wrapping_add(m * ldc + n) };
            }
        }
        tile.c = copy.as_mut_ptr();
        tile.ldc = PANEL;
        // SAFETY: as for a whole tile; C is the copy, which has 32 columns.
        unsafe { call(self.isa, rows, 1, &tile) };
        for m in 0..rows {
            for n in 0..width {
                // SAFETY: `gemm` checked that C holds these elements, and only this task writes them.
                unsafe { *c.wrapping_add(m * ldc + n) = copy[m * PANEL + n] };
            }
        }
    }
}

/// Puts element `k` of each of `ROWS` rows side by side, sixteen `k` at a time so that what is written stays within a few cache lines.
fn interleave<'a, const ROWS: usize>(source: impl Fn(usize) -> &'a [f32], tile: &mut [f32]) {
    let rows: [&[f32]; ROWS] = std::array::from_fn(source);
    let (groups, _) = tile.as_chunks_mut::<ROWS>();
    for (i, groups) in groups.chunks_mut(16).enumerate() {
        for (m, row) in rows.iter().enumerate() {
            for (group, x) in groups.iter_mut().zip(&row[16 * i..]) {
                group[m] = *x;
            }
        }
    }
}

/// Rows of a kernel whose accumulators fill the registers of an instruction set.
fn rows_of(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 14,
        Isa::Avx2 => 6,
        Isa::Portable => 4,
    }
}

/// Rows shared as evenly as possible among the fewest tiles.
struct Tiles {
    rows: usize,
    count: usize,
}

impl Tiles {
    fn new(rows: usize, most: usize) -> Self {
        Self { rows, count: rows.div_ceil(most) }
    }

    /// Number of rows and first row of each tile.
    fn iter(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let at = |i: usize| self.rows * i / self.count;
        (0..self.count).map(move |i| (at(i + 1) - at(i), at(i)))
    }
}

/// Calls the kernel compiled for as many rows as the tile has; the expression names that number `ROWS`.
macro_rules! rows {
    ($rows:expr, [$($m:literal)*], $call:expr) => {
        match $rows {
            $($m => {
                const ROWS: usize = $m;
                // SAFETY: the caller keeps the contract of `Tile`, and the instruction set was detected.
                unsafe { $call }
            })*
            _ => unreachable!("tiles have at most as many rows as the widest kernel"),
        }
    };
}

/// # Safety
/// As [`Tile`] demands for `np` panels; the machine has `isa`.
unsafe fn call(isa: Isa, rows: usize, np: usize, tile: &Tile) {
    #[cfg(target_arch = "x86_64")]
    use x86::{tile256, tile512};
    match (isa, np) {
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, 4) => rows!(rows, [1 2 3], tile512::<ROWS, 4>(tile)),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, 2) => rows!(rows, [4 5 6], tile512::<ROWS, 2>(tile)),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, _) => rows!(rows, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], tile512::<ROWS, 1>(tile)),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, _) => rows!(rows, [1 2 3 4 5 6], tile256::<ROWS>(tile)),
        _ => rows!(rows, [1 2 3 4], portable::tile::<ROWS>(tile)),
    }
}
