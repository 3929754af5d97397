/// How many are put in order at first: most draws fall among the likeliest few.
const FIRST: usize = 64;

/// Weighted tokens by weight descending, then id ascending, put in order only as far as they are looked at.
pub(crate) struct Order {
    weights: Vec<(u64, u32)>,
    sorted: usize,
}

impl Order {
    pub(crate) fn new(weights: Vec<(u64, u32)>) -> Self {
        Self { weights, sorted: 0 }
    }

    /// Keeps the first `count`.
    pub(crate) fn truncate(&mut self, count: usize) {
        if count < self.weights.len() {
            self.weights.select_nth_unstable_by(count, before);
            self.weights.truncate(count);
            self.sorted = 0;
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        self.weights.iter().map(|(weight, _)| weight).sum()
    }

    pub(crate) fn get(&mut self, at: usize) -> Option<(u64, u32)> {
        if at >= self.sorted {
            let end = (at + 1).max(2 * self.sorted).max(FIRST).min(self.weights.len());
            let rest = &mut self.weights[self.sorted..];
            let count = end - self.sorted;
            if count < rest.len() {
                rest.select_nth_unstable_by(count, before);
            }
            rest[..count].sort_unstable_by(before);
            self.sorted = end;
        }
        self.weights.get(at).copied()
    }
}

fn before(a: &(u64, u32), b: &(u64, u32)) -> std::cmp::Ordering {
    b.0.cmp(&a.0).then(a.1.cmp(&b.1))
}
