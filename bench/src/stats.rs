//! Correlations, distances and intervals over small samples.

/// Ranks from 1, equal values sharing the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let tied = order[from..].iter().take_while(|i| values[**i] == values[order[from]]).count();
        let shared = from as f64 + (tied as f64 + 1.0) / 2.0;
        for index in &order[from..from + tied] {
            ranks[*index] = shared;
        }
        from += tied;
    }
    ranks
}

/// Pearson's correlation; 0 where one side does not vary, as it then predicts nothing.
pub(crate) fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - mean_a, y - mean_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa == 0.0 || bb == 0.0 { 0.0 } else { ab / (aa.sqrt() * bb.sqrt()) }
}

/// Spearman's rank correlation with ties: Pearson's of the ranks.
pub(crate) fn spearman(a: &[f64], b: &[f64]) -> f64 {
    pearson(&ranks(a), &ranks(b))
}

/// Whether both have their largest value in the same place (1) or not (0); the first place counts among equals.
pub(crate) fn top1(a: &[f64], b: &[f64]) -> f64 {
    f64::from(u8::from(largest(a) == largest(b)))
}

fn largest(values: &[f64]) -> Option<usize> {
    (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best })
}

/// The positive parts divided by their sum; equal parts if nothing is positive.
pub(crate) fn positive_shares(values: &[f64]) -> Vec<f64> {
    let sum: f64 = values.iter().map(|v| v.max(0.0)).sum();
    let equal = 1.0 / values.len() as f64;
    values.iter().map(|v| if sum > 0.0 { v.max(0.0) / sum } else { equal }).collect()
}

/// `1/2 Σ |a - b|`: which part of the money goes to somebody else.
pub(crate) fn total_variation(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).sum::<f64>() / 2.0
}

/// The arithmetic mean; 0 of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    /// The mean.
    pub(crate) mean: f64,
    /// Its 2.5th percentile over resamples.
    pub(crate) low: f64,
    /// Its 97.5th percentile over resamples.
    pub(crate) high: f64,
}

/// Resamples of a bootstrap: enough that the percentiles are steady to about a hundredth of the spread.
const RESAMPLES: usize = 2000;

/// The mean and its percentile bootstrap interval: means of as many values drawn with replacement.
pub(crate) fn bootstrap(values: &[f64], seed: u64) -> Interval {
    let mut random = SplitMix(seed);
    let means = (0..RESAMPLES)
        .map(|_| {
            let drawn: Vec<f64> = values.iter().map(|_| values[random.below(values.len())]).collect();
            mean(&drawn)
        })
        .collect();
    interval_of(mean(values), means)
}

/// A statistic with the middle 95 % of what it was over resamples.
pub(crate) fn interval_of(mean: f64, mut resampled: Vec<f64>) -> Interval {
    resampled.sort_by(f64::total_cmp);
    let at = |part: f64| resampled[(part * (resampled.len() - 1) as f64).round() as usize];
    Interval { mean, low: at(0.025), high: at(0.975) }
}

/// The SplitMix64 generator: what a seed gives is the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is positive; the bias is below `n / 2⁶⁴`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// A number in [-1, 1).
    pub(crate) fn signed(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

#[cfg(test)]
mod tests;
