use std::ops::Range;

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::x86;
use super::{BLOCK, Bits, Blocks, COLUMNS, Quantised, pack::Part, portable};
use crate::kernel::{Isa, isa};

/// What a kernel works on: one panel and some rows.
///
/// # Safety contract of the kernels
/// `scales` and `quants` hold `blocks` blocks of a panel; `values`, `row_scales`, `sums` and `biases` hold `blocks` blocks of every row, rows after each other; `y + r * ldy`
/// holds sixteen readable and writable floats for every row `r`, which nobody else accesses meanwhile.
pub(super) struct Tile {
    pub(super) blocks: usize,
    pub(super) scales: *const u8,
    pub(super) quants: *const u8,
    pub(super) values: *const i8,
    pub(super) row_scales: *const f32,
    pub(super) sums: *const f32,
    pub(super) biases: *const i32,
    pub(super) y: *mut f32,
    pub(super) ldy: usize,
    /// Whether chains start from what `y` holds.
    pub(super) load: bool,
}

#[derive(Clone, Copy)]
struct Output(*mut f32);
// SAFETY: threads write disjoint columns of the matrix that `product` borrows uniquely until all are done.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

/// Which kernel runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl Path {
    fn chosen() -> Self {
        #[cfg(target_arch = "x86_64")]
        match isa() {
            Isa::Avx512 if is_x86_feature_detected!("avx512vnni") => return Self::Vnni,
            Isa::Avx512 | Isa::Avx2 => return Self::Avx2,
            Isa::Portable => {}
        }
        Self::Portable
    }

    /// Most rows of a tile: what the registers hold.
    fn rows(self) -> usize {
        match self {
            Self::Portable => 1,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 4,
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => 12,
        }
    }
}

/// `Y = X · Wᵀ`, or `Y += X · Wᵀ` as a continuation of the chain, with rows of `Y` `ldy` apart. The outputs are shared among `split` tasks of the current pool.
///
/// # Panics
/// When `x` or `y` does not fit the weights.
pub(crate) fn product(split: usize, x: &Quantised, w: &Blocks, y: &mut [f32], ldy: usize, accumulate: bool) {
    if x.rows == 0 {
        return;
    }
    let outputs = w.outputs();
    assert!(
        outputs <= ldy && (x.rows - 1) * ldy + outputs <= y.len(),
        "Y holds {} rows of {outputs}",
        x.rows
    );
    assert_eq!(x.blocks(), w.inputs.div_ceil(BLOCK), "blocks of a row");
    let panels: usize = w.parts.iter().map(Part::panels).sum();
    let job = Job { x, w, y: Output(y.as_mut_ptr()), ldy, accumulate, path: Path::chosen() };
    let chunks = split.min(panels).max(1);
    if chunks == 1 {
        job.run(0..panels);
    } else {
        (0..chunks).into_par_iter().for_each(|i| job.run(panels * i / chunks..panels * (i + 1) / chunks));
    }
}

struct Job<'a> {
    x: &'a Quantised,
    w: &'a Blocks,
    y: Output,
    ldy: usize,
    accumulate: bool,
    path: Path,
}

impl Job<'_> {
    /// Panels counted over all parts.
    fn run(&self, panels: Range<usize>) {
        let (mut first_panel, mut first_output) = (0, 0);
        for part in &self.w.parts {
            let own = panels.start.max(first_panel)..panels.end.min(first_panel + part.panels());
            for panel in own {
                let i = panel - first_panel;
                self.panel(part, i, first_output + i * COLUMNS, (part.outputs - i * COLUMNS).min(COLUMNS));
            }
            first_panel += part.panels();
            first_output += part.outputs;
        }
    }

    fn panel(&self, part: &Part, i: usize, first: usize, width: usize) {
        let blocks = self.x.blocks();
        let (scales, quants) = part.panel(i).split_at(part.head_bytes());
        let most = self.path.rows();
        let count = self.x.rows.div_ceil(most);
        for t in 0..count {
            let (row, end) = (self.x.rows * t / count, self.x.rows * (t + 1) / count);
            let mut tile = Tile {
                blocks,
                scales: scales.as_ptr(),
                quants: quants.as_ptr(),
                values: self.x.values[row * blocks * BLOCK..].as_ptr(),
                row_scales: self.x.scales[row * blocks..].as_ptr(),
                sums: self.x.sums[row * blocks..].as_ptr(),
                biases: self.x.biases[row * blocks..].as_ptr(),
                y: self.y.0.wrapping_add(row * self.ldy + first),
                ldy: self.ldy,
                load: self.accumulate,
            };
            if width == COLUMNS {
                // SAFETY: `product` checked the sizes of the operands; only this task writes these columns.
                unsafe { call(self.path, part.bits, end - row, &tile) };
                continue;
            }
            let mut copy = [0f32; 12 * COLUMNS];
            let (y, ldy) = (tile.y, tile.ldy);
            tile.y = copy.as_mut_ptr();
            tile.ldy = COLUMNS;
            for r in 0..end - row {
                for c in 0..width {
                    // SAFETY: `product` checked that Y holds these elements.
                    copy[r * COLUMNS + c] = unsafe { *y.wrapping_add(r * ldy + c) };
                }
            }
            // SAFETY: as for a whole panel; Y is the copy, which has 16 columns and as many rows as the widest tile.
            unsafe { call(self.path, part.bits, end - row, &tile) };
            for r in 0..end - row {
                for c in 0..width {
                    // SAFETY: `product` checked that Y holds these elements, and only this task writes them.
                    unsafe { *y.wrapping_add(r * ldy + c) = copy[r * COLUMNS + c] };
                }
            }
        }
    }
}

/// Calls the kernel compiled for as many rows as the tile has.
#[cfg(target_arch = "x86_64")]
macro_rules! rows {
    ($kernel:ident, $rows:expr, $bits:expr, $tile:expr, [$($m:literal)*]) => {
        match ($rows, $bits) {
            $(
                // SAFETY: the caller keeps the contract of `Tile`, and the instruction set was detected.
                ($m, Bits::Four) => unsafe { x86::$kernel::<$m, true>($tile) },
                // SAFETY: as above.
                ($m, Bits::Eight) => unsafe { x86::$kernel::<$m, false>($tile) },
            )*
            _ => unreachable!("tiles have at most as many rows as the widest kernel"),
        }
    };
}

/// # Safety
/// As [`Tile`] demands; the machine has what `path` needs.
unsafe fn call(path: Path, bits: Bits, rows: usize, tile: &Tile) {
    match path {
        // SAFETY: the caller keeps the contract of `Tile`.
        Path::Portable => unsafe { portable::row(bits, tile) },
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => rows!(avx2, rows, bits, tile, [1 2 3 4]),
        #[cfg(target_arch = "x86_64")]
        Path::Vnni => rows!(vnni, rows, bits, tile, [1 2 3 4 5 6 7 8 9 10 11 12]),
    }
}
