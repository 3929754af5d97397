//! Accounts at the finalised head that were asked for, so that admission to the pool need not ask the engine.

use alloy_primitives::Address;
use openledger_execution::{AccountState, StateWrites};
use std::{collections::HashMap, sync::Mutex};

/// Accounts kept, some 10 MiB; when there are more all are forgotten.
const KEPT: usize = 65_536;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    head: u64,
    known: HashMap<Address, AccountState>,
}

impl Accounts {
    /// An account at the head, or if it is not known the head to read it at.
    pub(crate) fn get(&self, address: Address) -> Result<AccountState, u64> {
        let inner = self.inner.lock().expect("no code panics with this lock");
        inner.known.get(&address).copied().ok_or(inner.head)
    }

    /// Notes what was read at a height, unless the head has moved on.
    pub(crate) fn put(&self, height: u64, address: Address, account: AccountState) {
        let mut inner = self.inner.lock().expect("no code panics with this lock");
        if inner.head == height {
            if inner.known.len() >= KEPT {
                inner.known.clear();
            }
            inner.known.insert(address, account);
        }
    }

    /// Moves to a new head, whose block wrote `writes`.
    pub(crate) fn advance(&self, head: u64, writes: &StateWrites) {
        let mut inner = self.inner.lock().expect("no code panics with this lock");
        inner.head = head;
        for (address, account) in &writes.accounts {
            if let Some(known) = inner.known.get_mut(address) {
                *known = account.unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Address = Address::repeat_byte(1);

    fn nonce(nonce: u64) -> AccountState {
        AccountState { nonce, ..AccountState::default() }
    }

    #[test]
    fn a_known_account_follows_the_head_and_a_late_read_does_not_count() {
        let accounts = Accounts::default();
        assert_eq!(accounts.get(ADDRESS), Err(0));
        accounts.advance(1, &StateWrites::default());
        accounts.put(0, ADDRESS, nonce(1));
        assert_eq!(accounts.get(ADDRESS), Err(1));
        accounts.put(1, ADDRESS, nonce(2));
        assert_eq!(accounts.get(ADDRESS), Ok(nonce(2)));
        let writes = StateWrites { accounts: [(ADDRESS, Some(nonce(3)))].into(), ..StateWrites::default() };
        accounts.advance(2, &writes);
        assert_eq!(accounts.get(ADDRESS), Ok(nonce(3)));
    }
}
