//! Which records each step takes.
//!
//! The records of a run are one endless stream: a permutation of all of them for epoch 0, then one for epoch 1, and so on; step `t` takes the
//! next `records_per_step` of it. A permutation is a Fisher–Yates shuffle from the top: for `i` from `n − 1` down to 1, swap `i` with a number drawn from `0..=i`.
//! Draws for epoch `e` come from the 64-bit little-endian words of `BLAKE3-XOF(key = seed, "order" ‖ u64-le(e))`; a word `x` gives the upper half
//! of the 128-bit product `x · (i + 1)`, and is skipped when the lower half is below `2⁶⁴ mod (i + 1)`, which leaves every number equally likely.

use alloy_primitives::B256;

#[cfg(test)]
mod tests;

/// Which of so many records are held out: the first of the permutation of an epoch that no run reaches, ascending. At least one record is left to train on.
#[must_use]
pub fn held_out(seed: B256, records: usize, held_out_ppm: u32) -> Vec<u32> {
    let count = (records as u64 * u64::from(held_out_ppm) / 1_000_000) as usize;
    let mut held_out = permutation(seed, u64::MAX, records);
    held_out.truncate(count.min(records - 1));
    held_out.sort_unstable();
    held_out
}

/// Record indices of every step.
#[must_use]
pub fn batches(seed: B256, records: usize, steps: usize, records_per_step: usize) -> Vec<Vec<u32>> {
    let mut batches = Vec::with_capacity(steps);
    let mut epoch = 0;
    let mut stream = Vec::new().into_iter();
    for _ in 0..steps {
        let mut batch = Vec::with_capacity(records_per_step);
        while batch.len() < records_per_step {
            match stream.next() {
                Some(record) => batch.push(record),
                None => {
                    stream = permutation(seed, epoch, records).into_iter();
                    epoch += 1;
                }
            }
        }
        batches.push(batch);
    }
    batches
}

/// # Panics
/// When there are no records, for then a batch could never fill, or more than 2³², which [`crate::TrainingSet`] excludes.
fn permutation(seed: B256, epoch: u64, records: usize) -> Vec<u32> {
    assert!(records > 0, "a run has at least one record");
    let mut order: Vec<u32> =
        (0..u32::try_from(records).expect("a training set is limited to fewer records")).collect();
    let mut words = Words::new(seed, epoch);
    for i in (1..records).rev() {
        let j = words.below(i as u64 + 1) as usize;
        order.swap(i, j);
    }
    order
}

struct Words(blake3::OutputReader);

impl Words {
    fn new(seed: B256, epoch: u64) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&seed.0);
        hasher.update(b"order");
        hasher.update(&epoch.to_le_bytes());
        Self(hasher.finalize_xof())
    }

    fn below(&mut self, bound: u64) -> u64 {
        let reject = bound.wrapping_neg() % bound;
        loop {
            let mut word = [0; 8];
            self.0.fill(&mut word);
            let product = u128::from(u64::from_le_bytes(word)) * u128::from(bound);
            if product as u64 >= reject {
                return (product >> 64) as u64;
            }
        }
    }
}
