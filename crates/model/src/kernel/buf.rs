use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

use super::PANEL;

/// One cache line, so that vectors of rows start on one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Floats whose first element starts a cache line.
#[derive(Default)]
pub(crate) struct Buf {
    lines: Vec<Line>,
    len: usize,
    /// Whether the memory goes back to its thread's [`Spares`].
    lent: bool,
}

impl Buf {
    pub(crate) fn zeros(len: usize) -> Self {
        Self { lines: vec![Line([0.0; 16]); len.div_ceil(16)], len, lent: false }
    }

    /// Memory of an earlier computation on this thread, if there is some: fresh pages cost more than many a product. The contents are arbitrary numbers.
    pub(crate) fn scratch(len: usize) -> Self {
        let count = len.div_ceil(16);
        let mut lines = SPARES.with_borrow_mut(|s| s.take(count)).unwrap_or_default();
        lines.resize(count, Line([0.0; 16]));
        Self { lines, len, lent: true }
    }

    /// [`Self::scratch`] filled with zeros.
    pub(crate) fn scratch_zeros(len: usize) -> Self {
        let mut buf = Self::scratch(len);
        buf.fill(0.0);
        buf
    }

    /// [`Self::scratch`] with a copy of `source`.
    pub(crate) fn scratch_copy(source: &[f32]) -> Self {
        let mut buf = Self::scratch(source.len());
        buf.copy_from_slice(source);
        buf
    }

    /// Sets the length; new elements are zero.
    pub(crate) fn resize(&mut self, len: usize) {
        self.lines.resize(len.div_ceil(16), Line([0.0; 16]));
        self.len = len;
    }
}

impl Clone for Buf {
    fn clone(&self) -> Self {
        Self { lines: self.lines.clone(), len: self.len, lent: false }
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        if self.lent {
            let lines = std::mem::take(&mut self.lines);
            // A thread that is going away has no spares left to keep it in; the memory is then simply freed.
            drop(SPARES.try_with(|s| s.try_borrow_mut().map(|mut s| s.put(lines))));
        }
    }
}

/// Most memory a thread keeps, in cache lines: 256 MiB, about what a group of records takes.
const MOST_LINES: usize = 256 << 20 >> 6;

/// Memory that a thread keeps between computations.
#[derive(Default)]
struct Spares {
    free: Vec<Vec<Line>>,
    lines: usize,
}

thread_local! {
    static SPARES: RefCell<Spares> = RefCell::default();
}

impl Spares {
    /// The smallest spare that holds `count` lines without wasting more than it uses.
    fn take(&mut self, count: usize) -> Option<Vec<Line>> {
        let fits = |v: &Vec<Line>| (count..=2 * count).contains(&v.capacity());
        let (i, _) =
            self.free.iter().enumerate().filter(|(_, v)| fits(v)).min_by_key(|(_, v)| v.capacity())?;
        let lines = self.free.swap_remove(i);
        self.lines -= lines.capacity();
        Some(lines)
    }

    fn put(&mut self, lines: Vec<Line>) {
        self.lines += lines.capacity();
        self.free.push(lines);
        while self.lines > MOST_LINES || self.free.len() > 256 {
            self.lines -= self.free.remove(0).capacity();
        }
    }
}

impl Deref for Buf {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `Line` is `repr(C)` over sixteen floats without padding, and `len` is at most sixteen times the number of lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// A `K x N` right-hand side in column panels: `ceil(N / 32) x K x 32`, the last panel padded with zeros.
pub(crate) struct Panels {
    k: usize,
    n: usize,
    data: Buf,
}

impl std::fmt::Debug for Panels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Panels({} x {})", self.k, self.n)
    }
}

impl Clone for Panels {
    fn clone(&self) -> Self {
        Self { k: self.k, n: self.n, data: self.data.clone() }
    }
}

impl Panels {
    pub(crate) fn zeros(k: usize, n: usize) -> Self {
        Self { k, n, data: Buf::zeros(n.div_ceil(PANEL) * k * PANEL) }
    }

    /// Packs `B[k, n] = source[n * K + k]`: the rows of `source` (`N x K`) become columns, so that `X · B` is `X · sourceᵀ`.
    pub(crate) fn from_rows(source: &[f32], k: usize, n: usize) -> Self {
        let mut panels = Self::zeros(k, n);
        panels.set_rows(0, source);
        panels
    }

    /// Packs `B[k, n] = source[k * N + n]`.
    pub(crate) fn from_columns(source: &[f32], k: usize, n: usize) -> Self {
        let mut panels = Self::zeros(k, n);
        for (p, panel) in panels.data.chunks_exact_mut(k * PANEL).enumerate() {
            let width = PANEL.min(n - p * PANEL);
            for (i, row) in panel.chunks_exact_mut(PANEL).enumerate() {
                row[..width].copy_from_slice(&source[i * n + p * PANEL..][..width]);
            }
        }
        panels
    }

    /// Writes columns `first..` from the rows of `source`, each of length `K`.
    pub(crate) fn set_rows(&mut self, first: usize, source: &[f32]) {
        let k = self.k;
        for (j, row) in source.chunks_exact(k).enumerate() {
            let n = first + j;
            let panel = &mut self.data[n / PANEL * k * PANEL..][..k * PANEL];
            for (i, x) in row.iter().enumerate() {
                panel[i * PANEL + n % PANEL] = *x;
            }
        }
    }

    /// Writes step `k`, a row of `N`.
    pub(crate) fn set_step(&mut self, k: usize, row: &[f32]) {
        let panels = self.data.chunks_exact_mut(self.k * PANEL);
        for (panel, part) in panels.zip(row.chunks(PANEL)) {
            panel[k * PANEL..][..part.len()].copy_from_slice(part);
        }
    }

    /// The same matrix with the roles of `K` and `N` exchanged.
    pub(crate) fn transposed(&self) -> Self {
        let mut out = Self::zeros(self.n, self.k);
        let (k, n) = (self.k, self.n);
        for (q, panel) in out.data.chunks_exact_mut(n * PANEL).enumerate() {
            let width = PANEL.min(k - q * PANEL);
            for p in 0..n.div_ceil(PANEL) {
                let source = &self.data[p * k * PANEL + q * PANEL * PANEL..][..width * PANEL];
                for j in 0..PANEL.min(n - p * PANEL) {
                    for i in 0..width {
                        panel[(p * PANEL + j) * PANEL + i] = source[i * PANEL + j];
                    }
                }
            }
        }
        out
    }

    pub(crate) fn k(&self) -> usize {
        self.k
    }

    pub(crate) fn data(&self) -> &[f32] {
        &self.data
    }
}
