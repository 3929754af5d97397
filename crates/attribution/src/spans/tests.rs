mod edits;
mod file;
mod matches;
mod oracle;
mod order;
mod shards;

use alloy_primitives::{Address, B256};

use super::*;

/// What an index is built from.
type Source = (B256, Address, Vec<u32>);

fn source(number: u8, tokens: &[u32]) -> Source {
    (B256::repeat_byte(number), Address::repeat_byte(number), tokens.to_vec())
}

fn sources(records: &[Vec<u32>]) -> Vec<Source> {
    records.iter().enumerate().map(|(i, tokens)| source(u8::try_from(i + 1).unwrap(), tokens)).collect()
}

/// Tokens as words of their own.
fn numbers(tokens: &[u32]) -> String {
    tokens.iter().map(|token| format!(" {token}")).collect()
}

/// A generator of small numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(n)).unwrap()
    }

    fn tokens(&mut self, length: usize, alphabet: u32) -> Vec<u32> {
        (0..length).map(|_| self.below(alphabet)).collect()
    }
}
