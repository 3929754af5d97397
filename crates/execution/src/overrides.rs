//! What a simulated call sees instead of the state and block it runs on, as `eth_call` takes it.

use std::collections::{BTreeMap, BTreeSet};

use alloy_evm::EvmEnv;
use alloy_evm::precompiles::PrecompilesMap;
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::context_interface::block::BlobExcessGasAndPrice;

/// Replacements for the length of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Accounts.
    pub accounts: BTreeMap<Address, AccountOverride>,
    /// The block.
    pub block: BlockOverrides,
}

/// What an account has instead; `None` leaves what the state holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Wei.
    pub balance: Option<U256>,
    /// Nonce.
    pub nonce: Option<u64>,
    /// Code. On the address of a precompile or module it takes its place.
    pub code: Option<Bytes>,
    /// Slots.
    pub storage: BTreeMap<U256, U256>,
    /// True if every slot that `storage` does not name is zero.
    pub only_these_slots: bool,
    /// Where the precompile or module of this address answers instead.
    pub move_precompile_to: Option<Address>,
}

/// What the block tells instead; `None` leaves what the header says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockOverrides {
    /// `NUMBER`.
    pub number: Option<u64>,
    /// `TIMESTAMP`, unix seconds.
    pub timestamp: Option<u64>,
    /// `GASLIMIT`.
    pub gas_limit: Option<u64>,
    /// `COINBASE`.
    pub beneficiary: Option<Address>,
    /// `PREVRANDAO`.
    pub prevrandao: Option<B256>,
    /// `BASEFEE`, wei per gas.
    pub base_fee: Option<u64>,
    /// `BLOBBASEFEE`, wei per gas.
    pub blob_base_fee: Option<u128>,
    /// `BLOCKHASH` by number.
    pub block_hashes: BTreeMap<u64, B256>,
}

impl BlockOverrides {
    pub(crate) fn apply(&self, env: &mut EvmEnv) {
        let block = &mut env.block_env;
        if let Some(number) = self.number {
            block.number = U256::from(number);
            block.slot_num = number;
        }
        if let Some(timestamp) = self.timestamp {
            block.timestamp = U256::from(timestamp);
        }
        block.gas_limit = self.gas_limit.unwrap_or(block.gas_limit);
        block.beneficiary = self.beneficiary.unwrap_or(block.beneficiary);
        block.prevrandao = self.prevrandao.or(block.prevrandao);
        block.basefee = self.base_fee.unwrap_or(block.basefee);
        if let Some(price) = self.blob_base_fee {
            block.blob_excess_gas_and_price =
                Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: price });
        }
    }
}

/// Why overrides cannot be applied. The texts are geth's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// There is no precompile to move.
    #[error("account {0} is not a precompile")]
    NotAPrecompile(Address),
    /// A precompile is moved to an account that is overridden as well.
    #[error("account {0} is already overridden")]
    AlreadyOverridden(Address),
}

/// Takes away and moves the precompiles that the overrides replace.
pub(crate) fn apply_to_precompiles(
    accounts: &BTreeMap<Address, AccountOverride>,
    map: &mut PrecompilesMap,
) -> Result<(), OverrideError> {
    let mut moves = Vec::new();
    let mut taken = BTreeSet::new();
    for (address, account) in accounts {
        let Some(target) = account.move_precompile_to else { continue };
        if map.get(address).is_none() {
            return Err(OverrideError::NotAPrecompile(*address));
        }
        if accounts.contains_key(&target) || !taken.insert(target) {
            return Err(OverrideError::AlreadyOverridden(target));
        }
        moves.push((*address, target));
    }
    map.move_precompiles(moves).map_err(|error| match error {
        alloy_evm::precompiles::MovePrecompileError::NotAPrecompile(address) => {
            OverrideError::NotAPrecompile(address)
        }
    })?;
    for (address, _) in accounts.iter().filter(|(_, account)| account.code.is_some()) {
        map.apply_precompile(address, |_| None);
    }
    Ok(())
}
