//! What is paid evenly over time to those who hold a stake, by stake and second.
//!
//! An income `c` that meets `r` still to be paid until `u` is paid with it until `now + (r (u − now) + c · P) / (r + c)`, `P`
//! seconds being how long an income lasts, so that adding a wei puts nothing off. What is paid in a second is divided by the
//! stake of that second, by an accumulator per wei of stake with its remainder carried: who comes just before an income gets
//! a second's part for a second's stake, and nothing is lost to rounding. While nobody is there nothing is paid, and who
//! comes first is paid what waits over `P` seconds from then on. All amounts are scaled by whoever keeps the stream.

use alloy_primitives::U256;

use crate::error::Result;
use crate::layout::{Slot, place};
use crate::math::{add, div_rem, mul, sub};
use crate::storage::Storage;

place! {
    pub(crate) struct Stream {
        /// What is still to be paid.
        0: left: Slot<U256>,
        /// Unix seconds until which it was paid, and when all of it is.
        1: times: Slot<(u64, u64)>,
        /// Paid per wei of stake since the beginning.
        2: per_stake: Slot<U256>,
        /// What the last division left.
        3: carry: Slot<U256>,
    }
}

/// A stream as it is by now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    /// What is still to be paid.
    pub(crate) left: U256,
    /// Paid per wei of stake since the beginning.
    pub(crate) per_stake: U256,
    carry: U256,
}

impl Stream {
    /// What it is by now if `total` wei have been at stake since the last [`Self::release`].
    pub(crate) fn flow(&self, storage: &mut dyn Storage, total: U256) -> Result<Flow> {
        let (left, carry) = (self.left.get(storage)?, self.carry.get(storage)?);
        let per_stake = self.per_stake.get(storage)?;
        if total.is_zero() {
            return Ok(Flow { left, per_stake, carry });
        }
        let (last, until) = self.times.get(storage)?;
        let now = storage.block().timestamp;
        let paid = if left.is_zero() || now <= last {
            U256::ZERO
        } else if now >= until {
            left
        } else {
            let (passed, span) = (now.saturating_sub(last), until.saturating_sub(last));
            div_rem(mul(left, U256::from(passed))?, U256::from(span))?.0
        };
        let (grown, carry) = div_rem(add(paid, carry)?, total)?;
        Ok(Flow { left: sub(left, paid)?, per_stake: add(per_stake, grown)?, carry })
    }

    /// Brings it to now, before the stake or the income changes; returns what was paid per wei of stake.
    pub(crate) fn release(&self, storage: &mut dyn Storage, total: U256) -> Result<U256> {
        let Flow { left, per_stake, carry } = self.flow(storage, total)?;
        if !total.is_zero() {
            self.left.set(storage, left)?;
            self.per_stake.set(storage, per_stake)?;
            self.carry.set(storage, carry)?;
            let (last, until) = self.times.get(storage)?;
            let now = storage.block().timestamp.max(last);
            self.times.set(storage, (now, until))?;
        }
        Ok(per_stake)
    }

    /// Adds an income, which lasts `period` seconds.
    pub(crate) fn add(
        &self,
        storage: &mut dyn Storage,
        total: U256,
        income: U256,
        period: u64,
    ) -> Result<()> {
        if income.is_zero() {
            return Ok(());
        }
        self.release(storage, total)?;
        let now = storage.block().timestamp;
        let left = self.left.get(storage)?;
        let (_, until) = self.times.get(storage)?;
        let all = add(left, income)?;
        let rest = mul(left, U256::from(until.saturating_sub(now)))?;
        let weighted = add(rest, mul(income, U256::from(period))?)?;
        // At most the longer of the two, so 64 bits hold it; a second at least, in which it is paid.
        let seconds = div_rem(weighted, all)?.0.saturating_to::<u64>().max(1);
        self.left.set(storage, all)?;
        self.times.set(storage, (now, now.saturating_add(seconds)))
    }

    /// Starts to pay what came in while nobody was there, now that somebody is.
    pub(crate) fn restart(&self, storage: &mut dyn Storage, period: u64) -> Result<()> {
        if self.left.get(storage)?.is_zero() {
            return Ok(());
        }
        let now = storage.block().timestamp;
        self.times.set(storage, (now, now.saturating_add(period)))
    }

    /// What it holds beside what was paid: still to be paid, and carried.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn held(&self, storage: &mut dyn Storage) -> Result<U256> {
        add(self.left.get(storage)?, self.carry.get(storage)?)
    }
}
