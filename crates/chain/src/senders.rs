//! Who signed which transaction, so that a signature is recovered once: at admission, or when the first block comes that
//! holds it. Recovery is nearly all that a transfer costs a validator.

use alloy_primitives::{Address, B256};
use std::{collections::HashMap, sync::Mutex};

/// Entries of one generation: what the pool holds by default. Two are kept, some 15 MiB.
const GENERATION: usize = 65_536;

/// Senders by transaction hash. The hash covers the signature, so that the sender follows from it.
#[derive(Debug, Default)]
pub(crate) struct Senders {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<B256, Address>,
    old: HashMap<B256, Address>,
}

impl Generations {
    fn get(&self, hash: B256) -> Option<Address> {
        self.young.get(&hash).or_else(|| self.old.get(&hash)).copied()
    }

    fn put(&mut self, hash: B256, sender: Address) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, sender);
    }
}

impl Senders {
    pub(crate) fn get(&self, hash: B256) -> Option<Address> {
        self.generations.lock().expect("no code panics with this lock").get(hash)
    }

    pub(crate) fn put(&self, hash: B256, sender: Address) {
        self.generations.lock().expect("no code panics with this lock").put(hash, sender);
    }

    /// The sender of each, where it is known.
    pub(crate) fn get_all(&self, hashes: impl Iterator<Item = B256>) -> Vec<Option<Address>> {
        let generations = self.generations.lock().expect("no code panics with this lock");
        hashes.map(|hash| generations.get(hash)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U256;

    #[test]
    fn the_newest_senders_are_known_and_memory_is_bounded() {
        let senders = Senders::default();
        let hash = |number: usize| B256::from(U256::from(number));
        let address = |number: usize| Address::from_word(hash(number));
        for number in 0..3 * GENERATION {
            senders.put(hash(number), address(number));
        }
        let last = 3 * GENERATION - 1;
        assert_eq!(senders.get(hash(last)), Some(address(last)));
        assert_eq!(senders.get(hash(last - GENERATION)), Some(address(last - GENERATION)));
        assert_eq!(senders.get_all([hash(0), hash(last)].into_iter()), [None, Some(address(last))]);
        let generations = senders.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }
}
