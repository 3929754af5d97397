//! The history of an amount by block or by time, as OpenZeppelin's `Checkpoints.Trace` keeps it: a dynamic array of packed
//! (key, value), from `keccak256(slot)` on.

use alloy_primitives::{Address, U256, keccak256};

use crate::error::Result;
use crate::layout::{Place, Slot};
use crate::math::{add, sub};
use crate::storage::Storage;

/// A value with every block, or every second, from which it changed.
#[derive(Debug)]
pub(crate) struct Trace {
    account: Address,
    slot: U256,
}

impl Place for Trace {
    fn at(account: Address, slot: U256) -> Self {
        Self { account, slot }
    }
}

impl Trace {
    /// The trace at the slot with this number.
    pub(crate) const fn new(account: Address, slot: u64) -> Self {
        Self { account, slot: U256::from_limbs([slot, 0, 0, 0]) }
    }

    fn length(&self) -> Slot<U256> {
        Slot::at(self.account, self.slot)
    }

    fn entry(&self, index: U256) -> Slot<(u64, u128)> {
        let first = U256::from_be_bytes(keccak256(self.slot.to_be_bytes::<32>()).0);
        Slot::at(self.account, first.wrapping_add(index))
    }

    /// The value now.
    pub(crate) fn latest(&self, storage: &mut dyn Storage) -> Result<u128> {
        let length = self.length().get(storage)?;
        match length.checked_sub(U256::ONE) {
            None => Ok(0),
            Some(last) => Ok(self.entry(last).get(storage)?.1),
        }
    }

    /// True if it never had a value.
    pub(crate) fn is_empty(&self, storage: &mut dyn Storage) -> Result<bool> {
        Ok(self.length().get(storage)?.is_zero())
    }

    /// Sets the value from this block on.
    pub(crate) fn push(&self, storage: &mut dyn Storage, value: u128) -> Result<()> {
        let now = storage.block().number;
        self.push_from(storage, now, value)
    }

    /// Sets the value from this key on, which no earlier one is above.
    pub(crate) fn push_from(&self, storage: &mut dyn Storage, key: u64, value: u128) -> Result<()> {
        let length = self.length().get(storage)?;
        if let Some(last) = length.checked_sub(U256::ONE)
            && self.entry(last).get(storage)?.0 == key
        {
            return self.entry(last).set(storage, (key, value));
        }
        self.entry(length).set(storage, (key, value))?;
        self.length().set(storage, add(length, U256::ONE)?)
    }

    /// The value at key `at`: a binary search.
    pub(crate) fn value_at(&self, storage: &mut dyn Storage, at: u64) -> Result<u128> {
        // Entries below `low` are not later than `at`, those from `high` on are.
        let (mut low, mut high) = (U256::ZERO, self.length().get(storage)?);
        let mut value = 0;
        while low < high {
            let middle = add(low, sub(high, low)?.wrapping_shr(1))?;
            let (key, entry) = self.entry(middle).get(storage)?;
            if key <= at {
                (low, value) = (add(middle, U256::ONE)?, entry);
            } else {
                high = middle;
            }
        }
        Ok(value)
    }
}
