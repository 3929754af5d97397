//! The state at each of the last finalised blocks, as what their successors overwrote.
//!
//! The store holds only the newest state. Before a block is applied, the entries that it is about to overwrite are
//! kept here. A reader at height `n` takes an entry from the store and then asks whether a block above `n` overwrote
//! it: since the old entry is noted before the store changes, the answer is right whether the block is applied before,
//! during or after the read.

use crate::state::{Key, Value};
use std::{collections::BTreeMap, sync::RwLock};

/// Heights below the head that stay readable, as in geth.
pub(crate) const KEPT: u64 = 128;

/// What recent blocks overwrote.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    overwritten: RwLock<BTreeMap<u64, BTreeMap<Key, Option<Value>>>>,
}

impl Recent {
    /// Notes what the block at `number` is about to overwrite.
    pub(crate) fn note(&self, number: u64, old: BTreeMap<Key, Option<Value>>) {
        let mut overwritten = self.overwritten.write().expect("no code panics with this lock");
        overwritten.insert(number, old);
        while overwritten.len() as u64 > KEPT {
            overwritten.pop_first();
        }
    }

    /// Corrects values that were read from the store to those at height `number`; `None` if that height is too old.
    ///
    /// A height with nothing above it noted is the head, whatever its number.
    pub(crate) fn at(
        &self,
        number: u64,
        keys: &[Key],
        mut values: Vec<Option<Value>>,
    ) -> Option<Vec<Option<Value>>> {
        let overwritten = self.overwritten.read().expect("no code panics with this lock");
        if overwritten.keys().next().is_some_and(|oldest| number + 1 < *oldest) {
            return None;
        }
        for (key, value) in keys.iter().zip(&mut values) {
            let old = overwritten.range(number + 1..).find_map(|(_, old)| old.get(key));
            if let Some(old) = old {
                value.clone_from(old);
            }
        }
        Some(values)
    }

    /// The oldest readable height if the head is `head`.
    pub(crate) fn oldest(&self, head: u64) -> u64 {
        let overwritten = self.overwritten.read().expect("no code panics with this lock");
        overwritten.keys().next().map_or(head, |oldest| (oldest - 1).min(head))
    }
}

#[cfg(test)]
mod tests;
