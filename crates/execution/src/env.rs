//! The block that is executed, as the header states it, and the price of its successor's gas.

use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
use alloy_evm::EvmEnv;
use alloy_primitives::{Address, B256, U256};
use revm::context::CfgEnv;
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::hardfork::SpecId;

/// The rules of the EVM. Osaka: transactions of at most 16,777,216 gas (EIP-7825), P-256 precompile, CLZ.
pub const SPEC: SpecId = SpecId::OSAKA;

/// The most gas one transaction may ask for (EIP-7825).
pub const MAX_TRANSACTION_GAS: u64 = revm::primitives::eip7825::TX_GAS_LIMIT_CAP;

/// What a block tells its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEnv {
    /// Chain id that transactions must be signed for.
    pub chain_id: u64,
    /// Number of the block.
    pub number: u64,
    /// Unix seconds.
    pub timestamp: u64,
    /// Who is paid the priority fees.
    pub beneficiary: Address,
    /// The most gas of all its transactions together.
    pub gas_limit: u64,
    /// Wei per gas that go to [`BURN`](openledger_types::addresses::BURN).
    pub base_fee: u64,
    /// Randomness of the block.
    pub prevrandao: B256,
    /// Hash of its parent.
    pub parent_hash: B256,
}

impl BlockEnv {
    /// The environment as the EVM wants it.
    pub(crate) fn evm_env(&self) -> EvmEnv {
        let cfg_env = CfgEnv::new_with_spec(SPEC).with_chain_id(self.chain_id);
        let block_env = revm::context::BlockEnv {
            number: U256::from(self.number),
            beneficiary: self.beneficiary,
            timestamp: U256::from(self.timestamp),
            gas_limit: self.gas_limit,
            basefee: self.base_fee,
            difficulty: U256::ZERO,
            prevrandao: Some(self.prevrandao),
            // There are no blobs; BLOBBASEFEE answers the least price, 1.
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 }),
            slot_num: self.number,
        };
        EvmEnv { cfg_env, block_env }
    }
}

/// The base fee after a block that used `parent_gas_used` of `parent_gas_limit` at `parent_base_fee` (EIP-1559 with
/// Ethereum's constants: target half the limit, an eighth of change at most).
pub fn next_base_fee(parent_gas_used: u64, parent_gas_limit: u64, parent_base_fee: u64) -> u64 {
    calc_next_block_base_fee(parent_gas_used, parent_gas_limit, parent_base_fee, BaseFeeParams::ethereum())
}
