//! Who has to leave when the pool is full.
//!
//! First what no block could take at present: what waits for a missing nonce or a lower base fee, the youngest first.
//! Then the accounts with the lowest tips, each losing its last transactions first, so that no gap arises. A newcomer
//! pushes out only what pays less than itself, and nothing unless a block could take it. One pass over the pool frees
//! several places, so that a full pool is not looked through for every arrival; and once nobody pays less than some
//! tip, newcomers with that tip are refused without a look.

use super::{Inner, PoolLimits, tip};
use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256};

/// A pass frees this part of the pool, if as much pays less than the newcomer.
const PART: usize = 64;

/// What wants to come in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newcomer {
    pub(super) sender: Address,
    /// What it pays above the base fee, per gas.
    pub(super) tip: u128,
    /// Whether a block could take it now.
    pub(super) ready: bool,
    /// 0 for what replaces another.
    pub(super) slots: usize,
    pub(super) bytes: usize,
}

impl Inner {
    /// Makes room for a newcomer if there is none; false if it may not have any.
    pub(super) fn make_room(&mut self, limits: &PoolLimits, newcomer: &Newcomer) -> bool {
        let fits = |inner: &Self| {
            inner.places.len() + newcomer.slots <= limits.total
                && inner.bytes.saturating_add(newcomer.bytes) <= limits.bytes
        };
        if fits(self) {
            return true;
        }
        if !newcomer.ready || self.floor.is_some_and(|floor| newcomer.tip <= floor) {
            return false;
        }
        let enough = (limits.total / PART).max(1);
        for (removed, hash) in self.victims(newcomer).into_iter().enumerate() {
            if removed >= enough && fits(self) {
                break;
            }
            self.remove(hash);
        }
        let fits = fits(self);
        if !fits {
            self.floor = Some(newcomer.tip);
        }
        fits
    }

    /// What may leave for a newcomer, in the order of leaving.
    fn victims(&self, newcomer: &Newcomer) -> Vec<B256> {
        let base_fee = u128::from(self.base_fee);
        let mut unready = Vec::new();
        let mut cheap = Vec::new();
        for (address, account) in &self.accounts {
            if *address == newcomer.sender {
                continue;
            }
            let ready: Vec<_> = account
                .consecutive()
                .take_while(|waiting| waiting.transaction.max_fee_per_gas() >= base_fee)
                .collect();
            let rest = account.waiting.values().skip(ready.len());
            unready.extend(rest.map(|waiting| (u64::MAX - waiting.arrival, waiting.hash)));

            // What a block holds that is not final yet stays; what follows the cheapest leaves before it.
            let open =
                ready.iter().rposition(|waiting| waiting.included.is_some()).map_or(0, |last| last + 1);
            let open = &ready[open..];
            let tips = open.iter().map(|waiting| tip(waiting, self.base_fee));
            let Some((cheapest, lowest)) = tips.enumerate().min_by_key(|(_, tip)| *tip) else { continue };
            if lowest < newcomer.tip {
                let last_first = open[cheapest..].iter().rev();
                cheap.extend(
                    last_first.enumerate().map(|(order, waiting)| ((lowest, *address, order), waiting.hash)),
                );
            }
        }
        unready.sort_unstable();
        cheap.sort_unstable();
        unready.into_iter().map(|(_, hash)| hash).chain(cheap.into_iter().map(|(_, hash)| hash)).collect()
    }
}
