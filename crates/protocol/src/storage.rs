//! What a module sees of the world.

use alloy_primitives::{Address, B256, LogData, U256};
use alloy_sol_types::SolEvent;

use crate::error::{Result, revert_text};

/// The block that an operation runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its time, unix seconds.
    pub timestamp: u64,
    /// Chain that it is of (EIP-155).
    pub chain_id: u64,
    /// Randomness that nobody knew before its parent was made.
    pub randomness: B256,
}

/// Who calls, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Account or contract that calls.
    pub caller: Address,
    /// Wei sent along; the module's account has received them already.
    pub value: U256,
    /// True where nothing may change (`STATICCALL`).
    pub is_static: bool,
}

impl Call {
    /// Refuses value: for operations that read.
    ///
    /// # Errors
    /// Reverts if value was sent.
    pub fn view(&self) -> Result<()> {
        if self.value.is_zero() { Ok(()) } else { Err(revert_text("this function takes no value")) }
    }

    /// Refuses value and static calls: for operations that write.
    ///
    /// # Errors
    /// Reverts if value was sent or nothing may change.
    pub fn write(&self) -> Result<()> {
        self.view()?;
        self.pay()
    }

    /// Refuses static calls: for operations that write and take value.
    ///
    /// # Errors
    /// Reverts if nothing may change.
    pub fn pay(&self) -> Result<()> {
        if self.is_static {
            Err(revert_text("this function writes; it cannot be called statically"))
        } else {
            Ok(())
        }
    }
}

/// Slots, balances and logs. What an operation did is undone by whoever called it if it fails.
pub trait Storage {
    /// The value of a slot.
    ///
    /// # Errors
    /// [`OutOfGas`](crate::ModuleError::OutOfGas), or the state failed.
    fn sload(&mut self, account: Address, slot: U256) -> Result<U256>;

    /// Sets a slot.
    ///
    /// # Errors
    /// [`OutOfGas`](crate::ModuleError::OutOfGas), or the state failed.
    fn sstore(&mut self, account: Address, slot: U256, value: U256) -> Result<()>;

    /// Wei of an account.
    ///
    /// # Errors
    /// [`OutOfGas`](crate::ModuleError::OutOfGas), or the state failed.
    fn balance(&mut self, account: Address) -> Result<U256>;

    /// Moves wei. Runs no code of the receiver.
    ///
    /// # Errors
    /// Reverts if `from` has less; [`OutOfGas`](crate::ModuleError::OutOfGas), or the state failed.
    fn transfer(&mut self, from: Address, to: Address, amount: U256) -> Result<()>;

    /// Leaves a log of `account`.
    ///
    /// # Errors
    /// [`OutOfGas`](crate::ModuleError::OutOfGas).
    fn emit(&mut self, account: Address, log: LogData) -> Result<()>;

    /// Charges gas for work that touches no state.
    ///
    /// # Errors
    /// [`OutOfGas`](crate::ModuleError::OutOfGas).
    fn charge(&mut self, gas: u64) -> Result<()>;

    /// Hash of an earlier block, of the last 256.
    ///
    /// # Errors
    /// [`OutOfGas`](crate::ModuleError::OutOfGas), or the state failed.
    fn block_hash(&mut self, number: u64) -> Result<B256>;

    /// The block.
    fn block(&self) -> Block;
}

/// Leaves a typed log of a module.
pub(crate) fn emit(storage: &mut dyn Storage, module: Address, event: &impl SolEvent) -> Result<()> {
    storage.emit(module, event.encode_log_data())
}
