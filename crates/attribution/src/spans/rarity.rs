//! How many bits a span takes if tokens are drawn one by one.

use super::SEPARATOR;
use super::log2::{FRACTION_BITS, log2_q32};
use super::view::View;

/// How often each token stands in one text or several.
#[derive(Debug, Clone)]
pub(super) struct TokenCounts(Vec<u64>);

impl TokenCounts {
    pub(super) fn none() -> Self {
        Self(vec![0; usize::from(SEPARATOR)])
    }

    pub(super) fn of(view: View<'_>) -> Self {
        let mut counts = Self::none();
        for unit in view.text().filter(|unit| *unit != SEPARATOR) {
            counts.0[usize::from(unit)] += 1;
        }
        counts
    }

    pub(super) fn add(&mut self, others: &Self) {
        for (count, other) in self.0.iter_mut().zip(&others.0) {
            *count += other;
        }
    }
}

/// `-log2(count / tokens)` of each token, units of 2⁻³² bit; 0 for what never occurs.
#[derive(Debug, Clone)]
pub(super) struct Rarity(Vec<u64>);

impl Rarity {
    pub(super) fn new(counts: &TokenCounts) -> Self {
        let tokens: u64 = counts.0.iter().sum();
        let all = log2_q32(tokens);
        let bits = |count: &u64| if *count == 0 { 0 } else { all.saturating_sub(log2_q32(*count)) };
        Self(counts.0.iter().map(bits).collect())
    }

    /// Of tokens together, thousandths of a bit, rounded down.
    pub(super) fn millibits(&self, tokens: &[u32]) -> u64 {
        let sum: u64 = tokens.iter().map(|token| self.of(*token)).sum();
        u64::try_from((u128::from(sum) * 1000) >> FRACTION_BITS).expect("2^13 tokens of at most 31 bits each")
    }

    /// Of one token, thousandths of a bit, rounded down.
    pub(super) fn token_millibits(&self, token: u32) -> i64 {
        i64::try_from((u128::from(self.of(token)) * 1000) >> FRACTION_BITS).expect("at most 31 bits")
    }

    fn of(&self, token: u32) -> u64 {
        self.0.get(token as usize).copied().unwrap_or(0)
    }
}
