//! The protocol's modules as precompiles at their addresses.
//!
//! A module's slots, balance and logs are those of its account, kept by the EVM's journal: reverts, proofs and
//! `eth_getStorageAt` need nothing of their own. It pays what a contract would: every cold and warm slot, every slot
//! written with its refund, every log and account, six gas per word of call data. Delegated calls, in which the module's
//! code would run on another account's storage, are refused.

use std::sync::LazyLock;

use alloy_evm::EvmInternals;
use alloy_evm::precompiles::{DynPrecompile, PrecompileInput};
use alloy_primitives::{Address, B256, Log, LogData, U256};
use openledger_protocol::{Block, Call, ModuleError, Result, Storage, dispatch, revert_text};
use openledger_types::addresses::MODULES;
use revm::Database as _;
use revm::context_interface::cfg::GasParams;
use revm::precompile::{PrecompileError, PrecompileHalt, PrecompileId, PrecompileOutput, PrecompileResult};

use crate::env::SPEC;

/// Names of the modules, in the order of [`MODULES`].
const NAMES: [&str; MODULES.len()] =
    ["open", "datanets", "models", "escrow", "settlement", "staking", "params", "channels"];

/// Gas per word of call data: what copying it costs.
const INPUT_WORD_GAS: u64 = 6;

/// Gas of a log before its topics and data.
const LOG_GAS: u64 = 375;

/// Gas of the hash of an earlier block: that of `BLOCKHASH`.
const BLOCK_HASH_GAS: u64 = 20;

/// Least gas that must be left before a slot is written (EIP-2200).
const WRITE_STIPEND: u64 = 2_300;

static GAS: LazyLock<GasParams> = LazyLock::new(|| GasParams::new_spec(SPEC));

/// Every module with its address.
pub(crate) fn modules() -> impl Iterator<Item = (Address, DynPrecompile)> {
    MODULES.into_iter().zip(NAMES).map(|(module, name)| {
        let id = PrecompileId::Custom(name.into());
        (module, DynPrecompile::new_stateful(id, move |input| run(module, input)))
    })
}

fn run(module: Address, input: PrecompileInput<'_>) -> PrecompileResult {
    let (limit, reservoir, data) = (input.gas, input.reservoir, input.data);
    let direct = input.is_direct_call();
    let call = Call { caller: input.caller, value: input.value, is_static: input.is_static };
    let mut storage = EvmStorage::new(input.internals, limit)?;
    let words = u64::try_from(data.len().div_ceil(32)).unwrap_or(u64::MAX);
    let result = storage.charge(INPUT_WORD_GAS.saturating_mul(words)).and_then(|()| {
        if !direct {
            return Err(revert_text("a module cannot be called by DELEGATECALL or CALLCODE"));
        }
        dispatch(&mut storage, module, &call, data).expect("a precompile is installed for modules only")
    });
    let EvmStorage { gas_left, refunded, .. } = storage;
    let used = limit.saturating_sub(gas_left);
    match result {
        Ok(output) => {
            let mut output = PrecompileOutput::new(used, output, reservoir);
            output.gas_refunded = refunded;
            Ok(output)
        }
        Err(ModuleError::Revert(data)) => Ok(PrecompileOutput::revert(used, data, reservoir)),
        Err(ModuleError::OutOfGas) => Ok(PrecompileOutput::halt(PrecompileHalt::OutOfGas, reservoir)),
        Err(ModuleError::System(error)) => Err(PrecompileError::Fatal(error)),
    }
}

/// The journal of the EVM as a module's storage, at the EVM's prices.
struct EvmStorage<'a> {
    internals: EvmInternals<'a>,
    block: Block,
    gas_left: u64,
    refunded: i64,
}

impl<'a> EvmStorage<'a> {
    fn new(internals: EvmInternals<'a>, gas: u64) -> std::result::Result<Self, PrecompileError> {
        let small = |number: U256| {
            u64::try_from(number).map_err(|error| PrecompileError::Fatal(format!("block: {error}")))
        };
        let block = Block {
            number: small(internals.block_number())?,
            timestamp: small(internals.block_timestamp())?,
            chain_id: internals.chain_id(),
            randomness: internals.block_env().prevrandao().unwrap_or_default(),
        };
        Ok(Self { internals, block, gas_left: gas, refunded: 0 })
    }

    /// Loads an account at the price of EIP-2929; its balance, and whether it is empty.
    fn load(&mut self, account: Address) -> Result<(U256, bool)> {
        let loaded = self.internals.load_account(account).map_err(system)?;
        let (balance, empty, cold) = (loaded.data.info.balance, loaded.data.is_empty(), loaded.is_cold);
        let additional = if cold { GAS.cold_account_additional_cost() } else { 0 };
        self.charge(GAS.warm_storage_read_cost().saturating_add(additional))?;
        Ok((balance, empty))
    }
}

fn system(error: impl std::fmt::Display) -> ModuleError {
    ModuleError::System(error.to_string())
}

impl Storage for EvmStorage<'_> {
    fn sload(&mut self, account: Address, slot: U256) -> Result<U256> {
        let loaded = self.internals.sload(account, slot).map_err(system)?;
        let additional = if loaded.is_cold { GAS.cold_storage_additional_cost() } else { 0 };
        self.charge(GAS.warm_storage_read_cost().saturating_add(additional))?;
        Ok(loaded.data)
    }

    fn sstore(&mut self, account: Address, slot: U256, value: U256) -> Result<()> {
        if self.gas_left <= WRITE_STIPEND {
            return Err(ModuleError::OutOfGas);
        }
        let stored = self.internals.sstore(account, slot, value).map_err(system)?;
        let dynamic = GAS.sstore_dynamic_gas(true, &stored.data, stored.is_cold);
        self.charge(GAS.sstore_static_gas().saturating_add(dynamic))?;
        self.refunded = self.refunded.saturating_add(GAS.sstore_refund(true, &stored.data));
        Ok(())
    }

    fn balance(&mut self, account: Address) -> Result<U256> {
        Ok(self.load(account)?.0)
    }

    fn transfer(&mut self, from: Address, to: Address, amount: U256) -> Result<()> {
        if amount.is_zero() {
            return Ok(());
        }
        let (_, empty) = self.load(to)?;
        let creation = if empty { GAS.new_account_cost(true, true) } else { 0 };
        self.charge(GAS.transfer_value_cost().saturating_add(creation))?;
        match self.internals.transfer(from, to, amount).map_err(system)? {
            None => Ok(()),
            Some(_) => Err(revert_text("insufficient balance for the transfer")),
        }
    }

    fn emit(&mut self, account: Address, log: LogData) -> Result<()> {
        let topics = u8::try_from(log.topics().len()).map_err(system)?;
        let bytes = u64::try_from(log.data.len()).map_err(system)?;
        self.charge(LOG_GAS.saturating_add(GAS.log_cost(topics, bytes)))?;
        self.internals.log(Log { address: account, data: log });
        Ok(())
    }

    fn charge(&mut self, gas: u64) -> Result<()> {
        match self.gas_left.checked_sub(gas) {
            Some(left) => {
                self.gas_left = left;
                Ok(())
            }
            None => {
                self.gas_left = 0;
                Err(ModuleError::OutOfGas)
            }
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256> {
        self.charge(BLOCK_HASH_GAS)?;
        self.internals.db_mut().block_hash(number).map_err(system)
    }

    fn block(&self) -> Block {
        self.block
    }
}
