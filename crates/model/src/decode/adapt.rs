use crate::{Config, LoraLayout, Target, kernel};

/// Largest rank whose low row stands on the stack.
const MAX_RANK: usize = 256;

/// An adapter as rows use it.
#[derive(Clone, Copy)]
pub(crate) struct Adapted<'a> {
    pub(crate) layout: &'a LoraLayout,
    /// In bfloat16: `A` of every block where the layout has it, and in place of `B` its transpose, `rank x out`.
    pub(crate) theta: &'a [u16],
    pub(crate) scale: f32,
}

impl Adapted<'_> {
    /// Parameters as [`Self::theta`] has them, rounded to the nearest, ties to even.
    pub(crate) fn turn(config: &Config, layout: &LoraLayout, theta: &[f32]) -> Vec<u16> {
        let mut turned: Vec<u16> = theta.iter().map(|x| bfloat(*x)).collect();
        let rank = layout.rank();
        for block in layout.blocks() {
            let (_, output) = block.target.dims(config);
            let (from, to) = (&theta[block.b.clone()], &mut turned[block.b.clone()]);
            for (r, row) in to.chunks_exact_mut(output).enumerate() {
                for (o, y) in row.iter_mut().enumerate() {
                    *y = bfloat(from[o * rank + r]);
                }
            }
        }
        turned
    }

    /// `y += B (s A n)` for one row, where the target is adapted.
    pub(super) fn add(&self, config: &Config, layer: usize, target: Target, n: &[f32], y: &mut [f32]) {
        let Some(block) = self.layout.find(layer, target) else { return };
        debug_assert_eq!((n.len(), y.len()), target.dims(config));
        let mut low = [0.0; MAX_RANK];
        let (a, b) = (&self.theta[block.a.clone()], &self.theta[block.b.clone()]);
        kernel::low_rank(a, b, self.scale, n, &mut low[..self.layout.rank()], y);
    }
}

/// The nearest bfloat16 of a finite number, ties to even; the largest finite one beyond it.
fn bfloat(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    if rounded & 0x7f80 == 0x7f80 { (bits >> 16) as u16 } else { rounded as u16 }
}
