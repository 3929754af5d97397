use alloy_primitives::B256;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::blob::content_hash;

const WIDTH: usize = 5;

/// A text as sets of shingles.
#[derive(Debug, Clone)]
pub(super) struct Shingles {
    /// Hash of the normalised text.
    pub(super) normalised: B256,
    /// Hashes of all runs of five characters, sorted, each once.
    pub(super) set: Vec<u64>,
    /// The same of the text with its words in the order of the alphabet.
    pub(super) words: Vec<u64>,
}

impl Shingles {
    pub(super) fn of(text: &str) -> Self {
        let normal = normalise(text);
        if normal.is_empty() {
            // Nothing but punctuation: such texts are equal or unrelated.
            return Self { normalised: content_hash(text.as_bytes()), set: Vec::new(), words: Vec::new() };
        }
        let mut words: Vec<&str> = normal.split(' ').collect();
        words.sort_unstable();
        Self {
            normalised: content_hash(normal.as_bytes()),
            set: runs(&normal),
            words: runs(&words.join(" ")),
        }
    }
}

/// Hashes of all runs of five characters, sorted, each once.
fn runs(normal: &str) -> Vec<u64> {
    let chars: Vec<char> = normal.chars().collect();
    let mut set: Vec<u64> = chars.windows(WIDTH.min(chars.len())).map(shingle).collect();
    set.sort_unstable();
    set.dedup();
    set
}

/// Compatibility decomposition (NFKD) without marks and what is never seen, lower case, letters and digits only, one space between words.
pub(super) fn normalise(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.nfkd().filter(|c| !is_combining_mark(*c) && !is_ignorable(*c)) {
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

/// The Unicode property `Default_Ignorable_Code_Point`: soft hyphens, joiners, marks of direction, selectors of variants, tags.
const fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
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
