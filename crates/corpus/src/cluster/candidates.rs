use std::collections::HashMap;

use alloy_primitives::B256;

use super::{
    MIN_CONTAINED,
    shingles::{Shingles, mix},
};

/// Bands of the MinHash signature: records that agree in one band are compared.
pub const BANDS: usize = 48;
/// MinHash values in a band.
pub const ROWS: usize = 2;

/// Of two sets with Jaccard one third 32 of the 96 minima agree on average; 10 is almost five standard deviations below.
const AGREEING: usize = 10;

/// The sets seen so far, to be asked which of them a new one should be compared with.
pub(super) struct Index<'a> {
    sets: &'a [Shingles],
    exact: HashMap<B256, u32>,
    running: Similar,
    words: Similar,
    shingles: Vec<Vec<Ranked>>,
    whole: Postings,
    prefixes: Postings,
    hits: Vec<u32>,
}

/// A shingle of one set: its rank by rarity among all shingles of all sets, the rarest first.
type Ranked = u32;

impl<'a> Index<'a> {
    /// An empty index over sets that will be asked about and inserted in the order given.
    pub(super) fn new(sets: &'a [Shingles]) -> Self {
        let (shingles, kinds) = rank(sets);
        Self {
            sets,
            exact: HashMap::new(),
            running: Similar::new(sets.iter().map(|set| set.set.as_slice())),
            words: Similar::new(sets.iter().map(|set| set.words.as_slice())),
            shingles,
            whole: Postings::new(kinds),
            prefixes: Postings::new(kinds),
            hits: vec![0; sets.len()],
        }
    }

    /// The first set with the same normalised text.
    pub(super) fn equal(&self, at: usize) -> Option<u32> {
        self.exact.get(&self.sets[at].normalised).copied()
    }

    /// The inserted sets that set `at` may be similar to, contain or lie in, ascending, and for each whether it may be similar.
    pub(super) fn offers(&mut self, at: usize) -> Vec<(u32, bool)> {
        let mut offers: Vec<_> = self.containing(at).into_iter().map(|other| (other, false)).collect();
        offers.extend(self.contained(at).into_iter().map(|other| (other, false)));
        if !self.sets[at].set.is_empty() {
            offers.extend(self.running.to(at).into_iter().map(|other| (other, true)));
            offers.extend(self.words.to(at).into_iter().map(|other| (other, true)));
        }
        offers.sort_unstable_by_key(|(other, similar)| (*other, !similar));
        offers.dedup_by_key(|(other, _)| *other);
        offers
    }

    /// Remembers the text of set `at`, so that equal ones find it.
    pub(super) fn insert_text(&mut self, at: usize) {
        self.exact.entry(self.sets[at].normalised).or_insert(at as u32);
    }

    /// Lets later sets be compared with set `at`.
    pub(super) fn insert_set(&mut self, at: usize) {
        if self.sets[at].set.is_empty() {
            return;
        }
        self.running.insert(at);
        self.words.insert(at);
        let ranked = &self.shingles[at];
        self.whole.insert(ranked, at as u32);
        if ranked.len() >= MIN_CONTAINED {
            self.prefixes.insert(&ranked[..prefix(ranked.len())], at as u32);
        }
    }

    /// Inserted sets in which four fifths of set `at` may lie.
    fn containing(&mut self, at: usize) -> Vec<u32> {
        let ranked = &self.shingles[at];
        if ranked.len() < MIN_CONTAINED {
            return Vec::new();
        }
        let needed = |_| needed_hits(ranked.len());
        count(&mut self.hits, &self.whole, &ranked[..prefix(ranked.len())], needed)
    }

    /// Inserted sets of which four fifths may lie in set `at`.
    fn contained(&mut self, at: usize) -> Vec<u32> {
        let (sets, ranked) = (self.sets, &self.shingles[at]);
        let needed = |other: u32| needed_hits(sets[other as usize].set.len());
        count(&mut self.hits, &self.prefixes, ranked, needed)
    }
}

/// Which sets may be similar to which, by MinHash.
struct Similar {
    bands: HashMap<(u8, u64), Vec<u32>>,
    signatures: Vec<Signature>,
}

impl Similar {
    fn new<'a>(sets: impl Iterator<Item = &'a [u64]>) -> Self {
        Self { bands: HashMap::new(), signatures: sets.map(Signature::of).collect() }
    }

    fn insert(&mut self, at: usize) {
        for key in self.signatures[at].bands() {
            self.bands.entry(key).or_default().push(at as u32);
        }
    }

    /// Inserted sets that agree with set `at` in a band and in enough minima.
    fn to(&self, at: usize) -> Vec<u32> {
        let signature = &self.signatures[at];
        let mut similar: Vec<u32> =
            signature.bands().filter_map(|key| self.bands.get(&key)).flatten().copied().collect();
        similar.sort_unstable();
        similar.dedup();
        similar.retain(|other| signature.agrees(&self.signatures[*other as usize]));
        similar
    }
}

/// How many of the shingles of a prefix must be found: a tenth of the set.
fn needed_hits(size: usize) -> u32 {
    (size / 10) as u32
}

/// How many of its rarest shingles a set is looked up by. Whoever holds `⌈4n/5⌉` of `n` misses `n − ⌈4n/5⌉` at most, so that of this many at
/// least [`needed_hits`] are found.
fn prefix(size: usize) -> usize {
    size - (4 * size).div_ceil(5) + needed_hits(size) as usize
}

/// The sets that hold at least `needed` of `shingles`.
fn count(
    hits: &mut [u32],
    postings: &Postings,
    shingles: &[Ranked],
    needed: impl Fn(u32) -> u32,
) -> Vec<u32> {
    let mut found = Vec::new();
    for other in shingles.iter().flat_map(|shingle| postings.of(*shingle)) {
        if hits[*other as usize] == 0 {
            found.push(*other);
        }
        hits[*other as usize] += 1;
    }
    found.retain(|other| std::mem::take(&mut hits[*other as usize]) >= needed(*other));
    found
}

/// Which sets hold a shingle.
struct Postings {
    lists: Vec<Vec<u32>>,
}

impl Postings {
    fn new(kinds: usize) -> Self {
        Self { lists: vec![Vec::new(); kinds] }
    }

    fn insert(&mut self, shingles: &[Ranked], at: u32) {
        for shingle in shingles {
            self.lists[*shingle as usize].push(at);
        }
    }

    fn of(&self, shingle: Ranked) -> &[u32] {
        &self.lists[shingle as usize]
    }
}

/// The shingles of each set as ranks, rarest first, and how many kinds there are.
fn rank(sets: &[Shingles]) -> (Vec<Vec<Ranked>>, usize) {
    let mut postings: Vec<(u64, u32)> = sets
        .iter()
        .enumerate()
        .flat_map(|(at, set)| set.set.iter().map(move |shingle| (*shingle, at as u32)))
        .collect();
    postings.sort_unstable();
    let mut runs: Vec<&[(u64, u32)]> = postings.chunk_by(|a, b| a.0 == b.0).collect();
    runs.sort_by_key(|run| run.len());
    let mut ranked: Vec<Vec<Ranked>> = sets.iter().map(|set| Vec::with_capacity(set.set.len())).collect();
    for (rank, run) in runs.iter().enumerate() {
        for (_, at) in *run {
            ranked[*at as usize].push(rank as Ranked);
        }
    }
    (ranked, runs.len())
}

/// The minima of [`BANDS`] times [`ROWS`] hash functions over a set.
struct Signature([u32; BANDS * ROWS]);

impl Signature {
    fn of(set: &[u64]) -> Self {
        let mut minima = [u64::MAX; BANDS * ROWS];
        for shingle in set {
            // Shingles are mixed already; a multiplication by an odd number and an offset permute them anew for each function.
            for (minimum, (factor, offset)) in minima.iter_mut().zip(&FUNCTIONS) {
                *minimum = (*minimum).min(shingle.wrapping_mul(*factor).wrapping_add(*offset));
            }
        }
        // The minimum of n values is some 2⁶⁴/n: it is the low half that tells minima apart.
        Self(minima.map(|minimum| mix(minimum) as u32))
    }

    /// One key for each band.
    fn bands(&self) -> impl Iterator<Item = (u8, u64)> {
        let rows =
            |band: &[u32]| band.iter().fold(0, |hash, row| mix(hash ^ u64::from(*row)).wrapping_add(1));
        self.0.chunks_exact(ROWS).zip(0..).map(move |(band, number)| (number, rows(band)))
    }

    /// Whether so many minima agree that the Jaccard of the sets may be one third.
    fn agrees(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).filter(|(a, b)| a == b).count() >= AGREEING
    }
}

static FUNCTIONS: [(u64, u64); BANDS * ROWS] = functions();

/// Multipliers and offsets from the SplitMix64 sequence with seed 0.
const fn functions() -> [(u64, u64); BANDS * ROWS] {
    let mut all = [(0, 0); BANDS * ROWS];
    let mut state = 0_u64;
    let mut index = 0;
    while index < all.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let factor = mix(state) | 1;
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        all[index] = (factor, mix(state));
        index += 1;
    }
    all
}
