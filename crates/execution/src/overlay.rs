//! The EVM's view of the state within a block: what was read from the parent's state under what was written since.

use std::fmt;

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::map::AddressMap;
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::bytecode::Bytecode;
use revm::state::{Account, AccountInfo};

use crate::env::BlockEnv;
use crate::error::ExecutionError;
use crate::state::{AccountState, StateError, StateReader, StateWrites};

/// Writes of a block over the state of its parent.
///
/// # Invariants
/// The sum of all balances less [`Overlay::destroyed`] never changes by a commit.
pub(crate) struct Overlay<'a> {
    state: &'a dyn StateReader,
    parent: Option<(u64, B256)>,
    writes: StateWrites,
    destroyed: U256,
    failure: Option<StateError>,
}

impl fmt::Debug for Overlay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").field("writes", &self.writes).finish_non_exhaustive()
    }
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(env: &BlockEnv, state: &'a dyn StateReader) -> Self {
        Self {
            state,
            parent: env.number.checked_sub(1).map(|number| (number, env.parent_hash)),
            writes: StateWrites::default(),
            destroyed: U256::ZERO,
            failure: None,
        }
    }

    /// The failure of the state behind the last error of the EVM, which carries only its text.
    pub(crate) fn take_failure(&mut self) -> Option<StateError> {
        self.failure.take()
    }

    pub(crate) fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        match self.writes.accounts.get(&address) {
            Some(account) => Ok(*account),
            None => self.state.account(address),
        }
    }

    /// Takes over what a transaction changed.
    ///
    /// # Errors
    /// If the state fails, or the transaction has made value.
    pub(crate) fn commit(&mut self, changes: AddressMap<Account>) -> Result<(), ExecutionError> {
        let mut before = U256::ZERO;
        let mut after = U256::ZERO;
        let mut touched: Vec<_> = changes.into_iter().filter(|(_, account)| account.is_touched()).collect();
        touched.sort_unstable_by_key(|(address, _)| *address);
        for (address, account) in touched {
            let old = self.account(address)?;
            before = before.saturating_add(old.map(|account| account.balance).unwrap_or_default());
            let new = self.commit_account(address, account);
            after = after.saturating_add(new.map(|account| account.balance).unwrap_or_default());
            if new != old {
                self.writes.accounts.insert(address, new);
            }
        }
        // The EVM drops the base fee, and the balance of a contract that destroys itself in its first transaction.
        let lost = before.checked_sub(after).ok_or_else(|| {
            ExecutionError::Internal(format!("a transaction turned {before} wei into {after}"))
        })?;
        self.destroyed = self.destroyed.saturating_add(lost);
        Ok(())
    }

    fn commit_account(&mut self, address: Address, account: Account) -> Option<AccountState> {
        // Since Cancun only a contract of the same transaction can be destroyed, so it has no slots to delete.
        if account.is_selfdestructed() {
            return None;
        }
        let info = account.info;
        let new = AccountState { nonce: info.nonce, balance: info.balance, code_hash: info.code_hash };
        if new.is_empty() {
            return None;
        }
        if let Some(code) = info.code.filter(|code| !code.is_empty())
            && self.account(address).ok().flatten().is_none_or(|old| old.code_hash != new.code_hash)
        {
            self.writes.codes.insert(new.code_hash, code.original_bytes());
        }
        let changed = account.storage.into_iter().filter(|(_, slot)| slot.is_changed());
        self.writes.storage.extend(changed.map(|(slot, value)| ((address, slot), value.present_value())));
        Some(new)
    }

    /// Credits an account outside any transaction.
    pub(crate) fn credit(&mut self, address: Address, amount: U256) -> Result<(), StateError> {
        if amount.is_zero() {
            return Ok(());
        }
        let mut account = self.account(address)?.unwrap_or_default();
        account.balance = account.balance.saturating_add(amount);
        self.writes.accounts.insert(address, Some(account));
        Ok(())
    }

    /// Wei that transactions have taken out of existence so far.
    pub(crate) const fn destroyed(&self) -> U256 {
        self.destroyed
    }

    pub(crate) fn into_writes(self) -> StateWrites {
        self.writes
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        match self.writes.codes.get(&hash) {
            Some(code) => Ok(code.clone()),
            None => self.state.code(hash),
        }
    }

    fn remember<T>(&mut self, result: Result<T, StateError>) -> Result<T, StateError> {
        if let Err(error) = &result {
            self.failure = Some(error.clone());
        }
        result
    }
}

impl revm::Database for Overlay<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let account = self.account(address);
        let account = self.remember(account)?;
        Ok(account.map(|AccountState { nonce, balance, code_hash }| AccountInfo {
            nonce,
            balance,
            code_hash: if code_hash.is_zero() { KECCAK_EMPTY } else { code_hash },
            code: None,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        if hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        let code = self.code(hash).and_then(|code| {
            Bytecode::new_raw_checked(code)
                .map_err(|error| StateError::Backend(format!("code {hash} is malformed: {error}")))
        });
        self.remember(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        if let Some(value) = self.writes.storage.get(&(address, slot)) {
            return Ok(*value);
        }
        let value = self.state.storage(address, slot);
        self.remember(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        if let Some((parent, hash)) = self.parent
            && parent == number
        {
            return Ok(hash);
        }
        let hash = self.state.block_hash(number);
        self.remember(hash)
    }
}
