//! The EVM's view of the state within a block: what was read from the parent's state under what was written since.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::map::AddressMap;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::state::{Account, AccountInfo};

use crate::env::BlockEnv;
use crate::error::ExecutionError;
use crate::overrides::Overrides;
use crate::state::{AccountState, StateError, StateReader, StateWrites};

/// Writes of a block over the state of its parent.
///
/// # Invariants
/// The sum of all balances less [`Overlay::destroyed`] never changes by a commit.
pub(crate) struct Overlay<'a> {
    state: &'a dyn StateReader,
    /// Number of the block that is executed, and the hash of the one below.
    number: u64,
    parent_hash: B256,
    writes: StateWrites,
    /// Accounts of which no slot is read from the state.
    emptied: BTreeSet<Address>,
    block_hashes: BTreeMap<u64, B256>,
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
            number: env.number,
            parent_hash: env.parent_hash,
            writes: StateWrites::default(),
            emptied: BTreeSet::new(),
            block_hashes: BTreeMap::new(),
            destroyed: U256::ZERO,
            failure: None,
        }
    }

    /// An overlay in which the accounts and block hashes of a call's overrides stand already.
    pub(crate) fn with_overrides(
        env: &BlockEnv,
        state: &'a dyn StateReader,
        overrides: &Overrides,
    ) -> Result<Self, StateError> {
        let mut overlay = Self::new(env, state);
        overlay.block_hashes.clone_from(&overrides.block.block_hashes);
        for (address, wanted) in &overrides.accounts {
            let mut account = state.account(*address)?.unwrap_or_default();
            account.balance = wanted.balance.unwrap_or(account.balance);
            account.nonce = wanted.nonce.unwrap_or(account.nonce);
            if let Some(code) = &wanted.code {
                account.code_hash = keccak256(code);
                overlay.writes.codes.insert(account.code_hash, code.clone());
            }
            overlay.writes.accounts.insert(*address, Some(account));
            let slots = wanted.storage.iter().map(|(slot, value)| ((*address, *slot), *value));
            overlay.writes.storage.extend(slots);
            if wanted.only_these_slots {
                overlay.emptied.insert(*address);
            }
        }
        Ok(overlay)
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

    /// Sets a slot outside any transaction.
    pub(crate) fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        self.writes.storage.insert((address, slot), value);
    }

    /// Moves wei outside any transaction; false, and nothing is moved, if `from` has less.
    pub(crate) fn move_wei(&mut self, from: Address, to: Address, amount: U256) -> Result<bool, StateError> {
        let mut account = self.account(from)?.unwrap_or_default();
        let Some(left) = account.balance.checked_sub(amount) else { return Ok(false) };
        account.balance = left;
        self.writes.accounts.insert(from, (!account.is_empty()).then_some(account));
        self.credit(to, amount)?;
        Ok(true)
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

    pub(crate) fn slot(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        match self.writes.storage.get(&(address, slot)) {
            Some(value) => Ok(*value),
            None if self.emptied.contains(&address) => Ok(U256::ZERO),
            None => self.state.storage(address, slot),
        }
    }

    pub(crate) fn hash_of_block(&self, number: u64) -> Result<B256, StateError> {
        if let Some(hash) = self.block_hashes.get(&number) {
            return Ok(*hash);
        }
        // A call whose block number is overridden can ask for blocks that do not exist.
        if number >= self.number {
            return Ok(B256::ZERO);
        }
        if number.checked_add(1) == Some(self.number) {
            return Ok(self.parent_hash);
        }
        self.state.block_hash(number)
    }

    fn remember<T>(&mut self, result: Result<T, StateError>) -> Result<T, StateError> {
        if let Err(error) = &result {
            self.failure = Some(error.clone());
        }
        result
    }
}

fn info(AccountState { nonce, balance, code_hash }: AccountState) -> AccountInfo {
    AccountInfo {
        nonce,
        balance,
        code_hash: if code_hash.is_zero() { KECCAK_EMPTY } else { code_hash },
        code: None,
        ..AccountInfo::default()
    }
}

/// What the tracers read beside the EVM.
impl revm::DatabaseRef for Overlay<'_> {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        Ok(self.account(address)?.map(info))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StateError> {
        if hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        Bytecode::new_raw_checked(self.code(hash)?)
            .map_err(|error| StateError::Backend(format!("code {hash} is malformed: {error}")))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.slot(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        self.hash_of_block(number)
    }
}

impl revm::Database for Overlay<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let account = self.basic_ref(address);
        self.remember(account)
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        let code = self.code_by_hash_ref(hash);
        self.remember(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        let value = self.slot(address, slot);
        self.remember(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        let hash = self.hash_of_block(number);
        self.remember(hash)
    }
}
