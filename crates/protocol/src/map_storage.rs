//! A storage in memory: builds the genesis state and carries the tests.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, LogData, U256, keccak256};

use crate::dispatch::dispatch;
use crate::error::{ModuleError, Result, revert_text};
use crate::storage::{Block, Call, Storage};

/// Slots, balances and logs in memory, without a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapStorage {
    /// The block that operations run in.
    pub block: Block,
    /// Slots that are not zero.
    pub slots: BTreeMap<(Address, U256), U256>,
    /// Balances that are not zero, wei.
    pub balances: BTreeMap<Address, U256>,
    /// Logs with the module that left them.
    pub logs: Vec<(Address, LogData)>,
    /// Hashes of earlier blocks; any other is the hash of its number.
    pub hashes: BTreeMap<u64, B256>,
    /// What held before each write of the calls that are under way, the latest last.
    undo: Vec<Undo>,
    /// How many calls are under way.
    depth: u32,
}

/// What held before a write.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Undo {
    Slot((Address, U256), Option<U256>),
    Balance(Address, Option<U256>),
}

impl MapStorage {
    /// Nothing, in this block.
    pub const fn new(block: Block) -> Self {
        Self {
            block,
            slots: BTreeMap::new(),
            balances: BTreeMap::new(),
            logs: Vec::new(),
            hashes: BTreeMap::new(),
            undo: Vec::new(),
            depth: 0,
        }
    }

    /// Calls a module as a transaction would: value first, and everything undone if it fails.
    ///
    /// # Errors
    /// Those of the module; a revert if the caller has less than the value.
    pub fn call(&mut self, module: Address, caller: Address, value: U256, data: &[u8]) -> Result<Bytes> {
        let call = Call { caller, value, is_static: false };
        self.kept_if(Result::is_ok, |storage| {
            storage.transfer(caller, module, value)?;
            dispatch(storage, module, &call, data).unwrap_or_else(|| Err(no_module(module)))
        })
    }

    /// Does something and undoes it: slots, balances, logs and the block are what they were.
    pub fn probe<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        self.kept_if(|_| false, run)
    }

    /// Does something and undoes it unless `keep` says of its result that it stays.
    fn kept_if<T>(&mut self, keep: impl FnOnce(&T) -> bool, run: impl FnOnce(&mut Self) -> T) -> T {
        let (block, logs, writes) = (self.block, self.logs.len(), self.undo.len());
        self.depth = self.depth.saturating_add(1);
        let result = run(self);
        self.depth = self.depth.saturating_sub(1);
        if !keep(&result) {
            self.block = block;
            self.logs.truncate(logs);
            for undo in self.undo.drain(writes..).rev() {
                match undo {
                    Undo::Slot(key, value) => restore(&mut self.slots, key, value),
                    Undo::Balance(key, value) => restore(&mut self.balances, key, value),
                }
            }
        }
        if self.depth == 0 {
            self.undo.clear();
        }
        result
    }

    /// Calls a module where nothing may change.
    ///
    /// # Errors
    /// Those of the module.
    pub fn view(&mut self, module: Address, caller: Address, data: &[u8]) -> Result<Bytes> {
        let call = Call { caller, value: U256::ZERO, is_static: true };
        dispatch(self, module, &call, data).unwrap_or_else(|| Err(no_module(module)))
    }

    fn set_balance(&mut self, account: Address, balance: U256) {
        let before = self.balances.insert(account, balance);
        if self.depth != 0 {
            self.undo.push(Undo::Balance(account, before));
        }
    }

    /// The sum of all balances.
    pub fn total_balance(&self) -> U256 {
        self.balances.values().fold(U256::ZERO, |sum, balance| sum.saturating_add(*balance))
    }
}

fn restore<K: Ord>(map: &mut BTreeMap<K, U256>, key: K, value: Option<U256>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn no_module(address: Address) -> ModuleError {
    ModuleError::System(format!("there is no module at {address}"))
}

impl Storage for MapStorage {
    fn sload(&mut self, account: Address, slot: U256) -> Result<U256> {
        Ok(self.slots.get(&(account, slot)).copied().unwrap_or_default())
    }

    fn sstore(&mut self, account: Address, slot: U256, value: U256) -> Result<()> {
        let key = (account, slot);
        let before = if value.is_zero() { self.slots.remove(&key) } else { self.slots.insert(key, value) };
        if self.depth != 0 {
            self.undo.push(Undo::Slot(key, before));
        }
        Ok(())
    }

    fn balance(&mut self, account: Address) -> Result<U256> {
        Ok(self.balances.get(&account).copied().unwrap_or_default())
    }

    fn transfer(&mut self, from: Address, to: Address, amount: U256) -> Result<()> {
        let left = self.balance(from)?.checked_sub(amount);
        self.set_balance(from, left.ok_or_else(|| revert_text("insufficient balance for the transfer"))?);
        let grown = self.balance(to)?.checked_add(amount);
        self.set_balance(to, grown.expect("the sum of all balances fits a word"));
        Ok(())
    }

    fn emit(&mut self, account: Address, log: LogData) -> Result<()> {
        self.logs.push((account, log));
        Ok(())
    }

    fn charge(&mut self, _gas: u64) -> Result<()> {
        Ok(())
    }

    fn block_hash(&mut self, number: u64) -> Result<B256> {
        Ok(self.hashes.get(&number).copied().unwrap_or_else(|| keccak256(number.to_be_bytes())))
    }

    fn block(&self) -> Block {
        self.block
    }
}
