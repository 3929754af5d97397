//! The history of an account by time: who it was, and since when.
//!
//! A change holds from the second after its block's time on, so that what a block reads of its own time or an earlier one
//! never changes again. Laid out as a dynamic array of packed (unix seconds, account).

use alloy_primitives::{Address, U256, keccak256};

use crate::error::Result;
use crate::layout::{Place, Slot};
use crate::math::{add, sub};
use crate::storage::Storage;

/// An account with every second in which it changed.
#[derive(Debug)]
pub(crate) struct Since {
    account: Address,
    slot: U256,
}

impl Place for Since {
    fn at(account: Address, slot: U256) -> Self {
        Self { account, slot }
    }
}

impl Since {
    fn length(&self) -> Slot<U256> {
        Slot::at(self.account, self.slot)
    }

    fn entry(&self, index: U256) -> Slot<(u64, Address)> {
        let first = U256::from_be_bytes(keccak256(self.slot.to_be_bytes::<32>()).0);
        Slot::at(self.account, first.wrapping_add(index))
    }

    /// Who it is now; nothing if it never was set.
    pub(crate) fn latest(&self, storage: &mut dyn Storage) -> Result<Option<Address>> {
        match self.length().get(storage)?.checked_sub(U256::ONE) {
            None => Ok(None),
            Some(last) => Ok(Some(self.entry(last).get(storage)?.1)),
        }
    }

    /// Sets who it is from now on.
    pub(crate) fn push(&self, storage: &mut dyn Storage, who: Address) -> Result<()> {
        let now = storage.block().timestamp;
        let length = self.length().get(storage)?;
        if let Some(last) = length.checked_sub(U256::ONE)
            && self.entry(last).get(storage)?.0 == now
        {
            return self.entry(last).set(storage, (now, who));
        }
        self.entry(length).set(storage, (now, who))?;
        self.length().set(storage, add(length, U256::ONE)?)
    }

    /// Who it was at a time, unix seconds: a binary search.
    pub(crate) fn at_time(&self, storage: &mut dyn Storage, time: u64) -> Result<Option<Address>> {
        // Entries below `low` are earlier than `time`, those from `high` on are not.
        let (mut low, mut high) = (U256::ZERO, self.length().get(storage)?);
        let mut found = None;
        while low < high {
            let middle = add(low, sub(high, low)?.wrapping_shr(1))?;
            let (since, who) = self.entry(middle).get(storage)?;
            if since < time {
                (low, found) = (add(middle, U256::ONE)?, Some(who));
            } else {
                high = middle;
            }
        }
        Ok(found)
    }
}
