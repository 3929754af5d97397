//! What is promised and owed beyond what the chain knows: pure state behind one lock.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256};
use openledger_types::addresses::ESCROW;
use openledger_types::receipt::Receipt;

use super::{PaymentProblem, PaymentRequired, Standing};

/// The answers of one epoch and adapter are one batch.
pub(super) type BatchKey = (u64, U256);

/// An amount held back for an answer that is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) key: B256,
    pub(super) payer: Address,
    pub(super) amount: U256,
}

/// One stored answer that no posted batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsettled {
    pub(super) id: B256,
    pub(super) key: B256,
    pub(super) payer: Address,
    pub(super) fee: U256,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    epoch: u64,
    /// Counts posted batches: a standing that was looked up before a change is stale.
    settled: u64,
    /// Reserved and unsettled together, by key.
    keys: BTreeMap<B256, U256>,
    /// The same by payer, who may have several keys.
    payers: BTreeMap<Address, U256>,
    /// The same of all.
    unpaid: U256,
    /// By epoch and adapter, in the order of the sequence numbers.
    batches: BTreeMap<BatchKey, Vec<Unsettled>>,
    posted: BTreeSet<BatchKey>,
}

/// Why nothing was reserved.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotReserved {
    /// A batch was posted since the standing was looked up: look it up again.
    Stale,
    /// The key does not cover the amount.
    Payment(Box<PaymentRequired>),
    /// The operator would risk more unpaid work than it wants to.
    AtRisk {
        /// Reserved and unsettled of all payers, wei.
        unpaid: U256,
    },
}

/// What a reservation is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) operator: Address,
    pub(super) key: B256,
    pub(super) amount: U256,
    /// Unix seconds.
    pub(super) now: u64,
    /// The most that may be reserved and unsettled of all payers together, wei.
    pub(super) risk: U256,
}

impl Ledger {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Epochs only go forward.
    pub(super) fn raise_epoch(&mut self, epoch: u64) -> u64 {
        self.epoch = self.epoch.max(epoch);
        self.epoch
    }

    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// Holds an amount back, if the key and its payer cover it beside all that is held already.
    pub(super) fn reserve(
        &mut self,
        settled_at_lookup: u64,
        standing: &Standing,
        wanted: Wanted,
    ) -> Result<Hold, NotReserved> {
        if settled_at_lookup != self.settled {
            return Err(NotReserved::Stale);
        }
        let Wanted { operator, key, amount, now, risk } = wanted;
        let refuse = |problem, available_wei, payer| {
            Err(NotReserved::Payment(Box::new(PaymentRequired {
                problem,
                needed_wei: amount,
                available_wei,
                escrow: ESCROW,
                key,
                operator,
                payer,
            })))
        };
        let Some(authorisation) = &standing.authorisation else {
            return refuse(PaymentProblem::UnknownKey, U256::ZERO, None);
        };
        let payer = authorisation.payer;
        let problem = if authorisation.operator != operator {
            Some(PaymentProblem::OtherOperator { authorised: authorisation.operator })
        } else if authorisation.revokedAt != 0 {
            Some(PaymentProblem::Revoked { at: authorisation.revokedAt })
        } else if now >= authorisation.expiresAt {
            Some(PaymentProblem::Expired { at: authorisation.expiresAt })
        } else {
            None
        };
        if let Some(problem) = problem {
            return refuse(problem, U256::ZERO, Some(payer));
        }
        let held = |held: Option<&U256>| held.copied().unwrap_or_default();
        let of_cap =
            authorisation.cap.saturating_sub(authorisation.spent).saturating_sub(held(self.keys.get(&key)));
        let of_deposit = standing.balance.saturating_sub(held(self.payers.get(&payer)));
        if of_deposit < amount {
            return refuse(PaymentProblem::DepositTooSmall, of_deposit.min(of_cap), Some(payer));
        }
        if of_cap < amount {
            return refuse(PaymentProblem::CapTooSmall, of_cap, Some(payer));
        }
        if self.unpaid.saturating_add(amount) > risk {
            return Err(NotReserved::AtRisk { unpaid: self.unpaid });
        }
        self.hold(key, payer, amount);
        Ok(Hold { key, payer, amount })
    }

    pub(super) fn release(&mut self, hold: &Hold) {
        self.let_go(hold.key, hold.payer, hold.amount);
    }

    /// The number that the next answer of an epoch and adapter gets.
    pub(super) fn next_sequence(&self, batch: BatchKey) -> usize {
        self.batches.get(&batch).map_or(0, Vec::len)
    }

    /// Takes up a stored answer. The caller stored it under [`Self::next_sequence`] and still holds its reservation.
    pub(super) fn record(&mut self, id: B256, receipt: &Receipt) {
        let unsettled = Unsettled { id, key: receipt.key, payer: receipt.payer, fee: receipt.fee };
        self.hold(unsettled.key, unsettled.payer, unsettled.fee);
        self.batches.entry((receipt.epoch, receipt.adapter)).or_default().push(unsettled);
    }

    /// Lets go of the answers of a posted batch, whose fees the chain has charged.
    pub(super) fn post(&mut self, batch: BatchKey) -> Vec<B256> {
        self.settled += 1;
        self.posted.insert(batch);
        let answers = self.batches.remove(&batch).unwrap_or_default();
        for answer in &answers {
            self.let_go(answer.key, answer.payer, answer.fee);
        }
        answers.into_iter().map(|answer| answer.id).collect()
    }

    pub(super) fn is_posted(&self, batch: BatchKey) -> bool {
        self.posted.contains(&batch)
    }

    /// Every batch with unsettled answers.
    pub(super) fn batches(&self) -> &BTreeMap<BatchKey, Vec<Unsettled>> {
        &self.batches
    }

    /// Reserved and unsettled of a key.
    pub(super) fn held(&self, key: B256) -> U256 {
        self.keys.get(&key).copied().unwrap_or_default()
    }

    /// Reserved and unsettled of all payers.
    pub(super) fn unpaid(&self) -> U256 {
        self.unpaid
    }

    fn hold(&mut self, key: B256, payer: Address, amount: U256) {
        // Every amount was compared with a deposit, and there are no more than 2^90 wei.
        *self.keys.entry(key).or_default() += amount;
        *self.payers.entry(payer).or_default() += amount;
        self.unpaid += amount;
    }

    fn let_go(&mut self, key: B256, payer: Address, amount: U256) {
        lower(&mut self.keys, key, amount);
        lower(&mut self.payers, payer, amount);
        self.unpaid = self.unpaid.checked_sub(amount).expect("what is let go was held");
    }
}

/// Lowers an amount, and forgets it at zero so that the map holds only who owes something.
fn lower<K: Ord>(amounts: &mut BTreeMap<K, U256>, key: K, by: U256) {
    if let std::collections::btree_map::Entry::Occupied(mut entry) = amounts.entry(key) {
        let left = entry.get().checked_sub(by).expect("what is let go was held");
        if left.is_zero() {
            entry.remove();
        } else {
            entry.insert(left);
        }
    }
}
