//! Dropout before the `A` of an adapted map, as PEFT has it.
//!
//! Entry `(t, j)` of what the map reads, row `t` of the sequence and column `j` of `in`, is dropped if the upper 32 bits of
//!
//! ```text
//! mix(mix(key + (7 l + τ + 1) φ) + (t · in + j + 1) φ)      mod 2⁶⁴
//! ```
//!
//! are below `⌊p 2³² / 10⁶⌋`, with layer `l`, the map's place `τ` among [`Target::ALL`], the probability `p` in millionths, `φ = 0x9e3779b97f4a7c15` and `mix` the
//! finaliser of SplitMix64. What is left is multiplied by `10⁶ / (10⁶ − p)`. It is a function of the key and of where the entry is alone, so the backward pass and tangents have
//! the same mask.

use super::Pass;
use crate::{Target, kernel::Buf};

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Which entries of what an adapter reads are dropped in one pass over one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropout {
    /// Probability in millionths, at most [`Self::MAX_PPM`].
    pub ppm: u32,
    /// Names the mask.
    pub key: u64,
}

impl Dropout {
    /// Largest probability, in millionths.
    pub const MAX_PPM: u32 = 900_000;

    /// Drops entries of the rows of one plane.
    fn apply(self, layer: usize, target: Target, width: usize, rows: &mut [f32]) {
        let place = (Target::ALL.len() * layer + target as usize + 1) as u64;
        let mut counter = mix(self.key.wrapping_add(place.wrapping_mul(STEP)));
        let below = (u64::from(self.ppm) << 32) / 1_000_000;
        let rest = (1e6 / (1e6 - f64::from(self.ppm))) as f32;
        debug_assert_eq!(rows.len() % width, 0, "whole rows");
        for x in rows {
            counter = counter.wrapping_add(STEP);
            *x = if mix(counter) >> 32 < below { 0.0 } else { *x * rest };
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Pass<'_> {
    /// What the `A` of an adapted map reads (all planes), where something of it is dropped.
    pub(super) fn dropped(&self, layer: usize, target: Target, n: &[f32]) -> Option<Buf> {
        self.sequences.iter().any(|s| s.dropout.is_some()).then(|| {
            let mut seen = Buf::scratch_copy(n);
            self.drop_entries(layer, target, &mut seen);
            seen
        })
    }

    /// Drops entries of a stack of rows (all planes).
    pub(super) fn drop_entries(&self, layer: usize, target: Target, stack: &mut [f32]) {
        let (width, _) = target.dims(&self.model.config);
        for plane in stack.chunks_mut(self.rows() * width) {
            for sequence in &self.sequences {
                if let Some(dropout) = sequence.dropout {
                    let rows = sequence.rows.start * width..sequence.rows.end * width;
                    dropout.apply(layer, target, width, &mut plane[rows]);
                }
            }
        }
    }
}
