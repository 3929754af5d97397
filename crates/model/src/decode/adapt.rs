use super::step::Step;
use crate::{Config, LoraLayout, Target, kernel};

/// An adapter as rows use it.
#[derive(Clone, Copy)]
pub(crate) struct Adapted<'a> {
    pub(crate) layout: &'a LoraLayout,
    /// `A` of every block where the layout has it; in place of `B` its transpose, `rank x out`.
    pub(crate) theta: &'a [f32],
    pub(crate) scale: f32,
}

impl Adapted<'_> {
    /// Parameters as [`Self::theta`] has them.
    pub(crate) fn turn(config: &Config, layout: &LoraLayout, theta: &[f32]) -> Vec<f32> {
        let mut turned = theta.to_vec();
        let rank = layout.rank();
        for block in layout.blocks() {
            let (_, output) = block.target.dims(config);
            let (from, to) = (&theta[block.b.clone()], &mut turned[block.b.clone()]);
            for (r, row) in to.chunks_exact_mut(output).enumerate() {
                for (o, y) in row.iter_mut().enumerate() {
                    *y = from[o * rank + r];
                }
            }
        }
        turned
    }
}

impl Step<'_> {
    /// `y += B (s A n)` for the rows whose adapter has the target: columns `first..` of rows `ld` apart.
    pub(super) fn adapt(
        &self,
        layer: usize,
        target: Target,
        n: &[f32],
        y: &mut [f32],
        ld: usize,
        first: usize,
    ) {
        let config = &self.model.config;
        let (input, output) = target.dims(config);
        let mut low = Vec::new();
        for sequence in &self.sequences {
            let Some(adapted) = sequence.adapter else { continue };
            let Some(block) = adapted.layout.find(layer, target) else { continue };
            let (a, b) = (&adapted.theta[block.a.clone()], &adapted.theta[block.b.clone()]);
            low.resize(adapted.layout.rank(), 0.0);
            for row in sequence.rows.clone() {
                kernel::low_rank(
                    a,
                    b,
                    adapted.scale,
                    &n[row * input..][..input],
                    &mut low,
                    &mut y[row * ld + first..][..output],
                );
            }
        }
    }
}
