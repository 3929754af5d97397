use alloy_primitives::B256;

use crate::blob::content_hash;

const WIDTH: usize = 5;

/// A text as the set of its shingles.
#[derive(Debug, Clone)]
pub(super) struct Shingles {
    /// Hash of the normalised text.
    pub(super) normalised: B256,
    /// Hashes of all runs of five characters, sorted, each once.
    pub(super) set: Vec<u64>,
}

impl Shingles {
    pub(super) fn of(text: &str) -> Self {
        let normal = normalise(text);
        if normal.is_empty() {
            // Nothing but punctuation: such texts are equal or unrelated.
            return Self { normalised: content_hash(text.as_bytes()), set: Vec::new() };
        }
        let chars: Vec<char> = normal.chars().collect();
        let mut set: Vec<u64> = chars.windows(WIDTH.min(chars.len())).map(shingle).collect();
        set.sort_unstable();
        set.dedup();
        Self { normalised: content_hash(normal.as_bytes()), set }
    }
}

/// Lower case, letters and digits only, one space between words.
pub(super) fn normalise(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.chars() {
        if c.is_alphanumeric() {
            if gap && !normal.is_empty() {
                normal.push(' ');
            }
            gap = false;
            normal.extend(c.to_lowercase());
        } else {
            gap = true;
        }
    }
    normal
}

/// Five characters of 21 bits, mixed into 64: different for different ASCII, as good as random otherwise.
fn shingle(chars: &[char]) -> u64 {
    let packed = chars.iter().fold(1_u128, |packed, c| packed << 21 | u128::from(u32::from(*c)));
    mix(packed as u64 ^ mix((packed >> 64) as u64))
}

/// The finaliser of SplitMix64, a bijection (Steele, Lea, Flood 2014).
pub(super) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Size of the intersection of two sorted sets.
pub(super) fn shared(a: &[u64], b: &[u64]) -> usize {
    let (mut i, mut j, mut common) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        common += usize::from(a[i] == b[j]);
        let (step_a, step_b) = (a[i] <= b[j], b[j] <= a[i]);
        i += usize::from(step_a);
        j += usize::from(step_b);
    }
    common
}
