//! The linear datamodeling score: whether sums of scores rank what leaving out random sets really does.

use crate::stats::{Interval, SplitMix, interval_of, mean, spearman};

const RESAMPLES: usize = 500;
/// Seed of the intervals.
const RESAMPLE_SEED: u64 = 3;

/// Subsets of one size with what became of the queries without them.
pub(crate) struct Drawn {
    /// `5pct` or `50pct_new_seed`.
    pub(crate) name: String,
    pub(crate) dropped: Vec<Vec<usize>>,
    /// By query and subset: nats.
    pub(crate) losses: Vec<Vec<f64>>,
}

impl Drawn {
    /// Spearman's correlation over the subsets, averaged over the queries; the interval resamples queries and subsets together.
    pub(crate) fn score(&self, scores_by_query: &[Vec<f64>]) -> Interval {
        let predicted: Vec<Vec<f64>> = scores_by_query
            .iter()
            .map(|scores| self.dropped.iter().map(|s| s.iter().map(|r| scores[*r]).sum()).collect())
            .collect();
        let over = |queries: &[usize], subsets: &[usize]| {
            let pick = |row: &[f64]| subsets.iter().map(|s| row[*s]).collect::<Vec<_>>();
            let each = queries.iter().map(|q| spearman(&pick(&predicted[*q]), &pick(&self.losses[*q])));
            mean(&each.collect::<Vec<_>>())
        };
        let (queries, subsets) = (predicted.len(), self.dropped.len());
        let all = |n: usize| (0..n).collect::<Vec<_>>();
        let mut random = SplitMix(RESAMPLE_SEED);
        let mut resample = |n: usize| (0..n).map(|_| random.below(n)).collect::<Vec<_>>();
        let resampled = (0..RESAMPLES).map(|_| over(&resample(queries), &resample(subsets))).collect();
        interval_of(over(&all(queries), &all(subsets)), resampled)
    }
}

/// `subsets` sets of `percent` of the candidates, rounded up, each drawn without replacement and sorted.
pub(crate) fn draw(candidates: &[usize], percent: usize, subsets: usize, seed: u64) -> Vec<Vec<usize>> {
    let size = (candidates.len() * percent).div_ceil(100);
    let mut random = SplitMix(seed + percent as u64);
    (0..subsets)
        .map(|_| {
            let mut left = candidates.to_vec();
            let mut taken: Vec<usize> =
                (0..size).map(|_| left.swap_remove(random.below(left.len()))).collect();
            taken.sort_unstable();
            taken
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_truth_is_ranked_perfectly_and_its_opposite_not() {
        let scores = vec![vec![1.0, 2.0, 4.0, 8.0], vec![3.0, -1.0, 0.5, 0.25]];
        let dropped = vec![vec![0], vec![1], vec![0, 2], vec![3, 1]];
        let losses: Vec<Vec<f64>> = scores
            .iter()
            .map(|s| dropped.iter().map(|d| d.iter().map(|r| s[*r]).sum::<f64>() + 7.0).collect())
            .collect();
        let drawn = Drawn { name: "x".into(), dropped, losses };
        assert!((drawn.score(&scores).mean - 1.0).abs() < 1e-12);
        let opposite: Vec<Vec<f64>> = scores.iter().map(|s| s.iter().map(|x| -x).collect()).collect();
        assert!((drawn.score(&opposite).mean + 1.0).abs() < 1e-12);
    }
}
