//! The state before the first block.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolInterface;
use openledger_protocol::open::{self, VestingError};
use openledger_protocol::params::{self, ParamError};
use openledger_protocol::{Block, MapStorage, ModuleError, staking};
use openledger_types::abi::IStaking::IStakingErrors;
use openledger_types::abi::{StakeRole, Vesting};
use openledger_types::addresses::{MODULES, OPEN, STAKING};
use openledger_types::amount::SUPPLY;
use serde::{Deserialize, Serialize};

use crate::state::{AccountState, StateWrites};

/// Code of a module's account: one byte that no contract can be deployed with (EIP-3541). Solidity refuses to call an
/// account without code.
const MODULE_CODE: Bytes = Bytes::from_static(&[0xef]);

/// Most entries of each list of a genesis.
const MAX_ENTRIES: usize = 100_000;

/// A validator of the first epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorSeat {
    /// Who is paid for the seat.
    pub account: Address,
    /// Public key that votes, hex.
    pub consensus_key: String,
}

/// A stake that is bonded from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisStake {
    /// Who is bonded.
    pub account: Address,
    /// `validator`, `operator` or `verifier`.
    pub role: GenesisRole,
    /// Wei, beside what `alloc` gives to the account.
    pub amount: U256,
}

/// The role of a stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GenesisRole {
    /// Orders blocks.
    Validator,
    /// Serves answers.
    Operator,
    /// Re-executes answers.
    Verifier,
}

impl From<GenesisRole> for StakeRole {
    fn from(role: GenesisRole) -> Self {
        match role {
            GenesisRole::Validator => Self::Validator,
            GenesisRole::Operator => Self::Operator,
            GenesisRole::Verifier => Self::Verifier,
        }
    }
}

/// An allocation that becomes free with time: nothing before `cliff`, then linearly from `start` to `end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisVesting {
    /// Who is paid.
    pub account: Address,
    /// Wei, beside what `alloc` gives to the account.
    pub amount: U256,
    /// Unix seconds.
    pub start: u64,
    /// Unix seconds.
    pub cliff: u64,
    /// Unix seconds.
    pub end: u64,
}

/// What a chain starts from, as its JSON file says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Chain id (EIP-155).
    pub chain_id: u64,
    /// Unix seconds of the genesis block.
    pub timestamp: u64,
    /// Gas limit of a block.
    pub gas_limit: u64,
    /// Base fee of the first block, wei per gas.
    pub base_fee: u64,
    /// Wei by account.
    pub alloc: BTreeMap<Address, U256>,
    /// Validators of the first epoch.
    pub validators: Vec<ValidatorSeat>,
    /// Stakes that are bonded from the start. With `alloc` and `vesting` they add up to the supply.
    #[serde(default)]
    pub stakes: Vec<GenesisStake>,
    /// Vesting schedules, in the order of their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vesting: Vec<GenesisVesting>,
    /// Governed numbers that differ from their defaults, by name.
    #[serde(default)]
    pub params: BTreeMap<String, U256>,
    /// Who may schedule changes of governed numbers; nobody if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governor: Option<Address>,
}

/// Why a genesis is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Allocations and stakes are not the supply.
    #[error("alloc, stakes and vesting add up to {got} wei, not to the supply of {expected}")]
    Supply {
        /// What they add up to.
        got: U256,
        /// The supply.
        expected: U256,
    },
    /// An allocation to an account of the protocol.
    #[error("{0} is an account of the protocol; nothing can be allocated to it")]
    Reserved(Address),
    /// A governed number may not be so.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A stake may not be so.
    #[error("the stake of {account} is refused: {reason}")]
    Stake {
        /// Who should be bonded.
        account: Address,
        /// The error of the staking module.
        reason: String,
    },
    /// A vesting schedule may not be so.
    #[error(transparent)]
    Vesting(#[from] VestingError),
    /// A list is too long.
    #[error("{list} has {got} entries; the most is {limit}")]
    TooMany {
        /// Name of the list.
        list: &'static str,
        /// Its entries.
        got: usize,
        /// The most it may have.
        limit: usize,
    },
}

impl Genesis {
    /// keccak256 of the genesis as JSON, fields in their order and maps by key. Two nodes with the same hash start from
    /// the same state.
    pub fn hash(&self) -> B256 {
        keccak256(serde_json::to_vec(self).expect("maps with string keys and plain fields always encode"))
    }

    /// The state before the first block, as writes over nothing.
    ///
    /// # Errors
    /// [`GenesisError`] says which rule the genesis breaks.
    pub fn state_writes(&self) -> Result<StateWrites, GenesisError> {
        self.check_lengths()?;
        let staked = self.stakes.iter().fold(U256::ZERO, |sum, stake| sum.saturating_add(stake.amount));
        let vesting = self.vesting.iter().fold(U256::ZERO, |sum, entry| sum.saturating_add(entry.amount));
        let got = self
            .alloc
            .values()
            .fold(staked.saturating_add(vesting), |sum, amount| sum.saturating_add(*amount));
        if got != SUPPLY {
            return Err(GenesisError::Supply { got, expected: SUPPLY });
        }
        let mut writes = StateWrites::default();
        for (address, balance) in &self.alloc {
            if MODULES.contains(address) {
                return Err(GenesisError::Reserved(*address));
            }
            let account = AccountState { balance: *balance, ..AccountState::default() };
            if !account.is_empty() {
                writes.accounts.insert(*address, Some(account));
            }
        }
        let code_hash = keccak256(&MODULE_CODE);
        writes.codes.insert(code_hash, MODULE_CODE);
        for address in MODULES {
            let balance = match address {
                STAKING => staked,
                OPEN => vesting,
                _ => U256::ZERO,
            };
            writes.accounts.insert(address, Some(AccountState { nonce: 1, balance, code_hash }));
        }
        writes.storage = self.module_slots()?;
        Ok(writes)
    }

    /// The modules' slots: what their own operations leave behind in block 0.
    fn module_slots(&self) -> Result<BTreeMap<(Address, U256), U256>, GenesisError> {
        let mut storage = MapStorage::new(Block {
            number: 0,
            timestamp: self.timestamp,
            chain_id: self.chain_id,
            randomness: B256::ZERO,
        });
        params::init(&mut storage, self.params.iter().map(|(name, value)| (name.as_str(), *value)))?;
        if let Some(governor) = self.governor {
            params::init_governor(&mut storage, governor).map_err(ParamError::from)?;
        }
        for GenesisStake { account, role, amount } in &self.stakes {
            staking::stake(&mut storage, *account, (*role).into(), *amount)
                .map_err(|error| GenesisError::Stake { account: *account, reason: stake_reason(&error) })?;
        }
        for GenesisVesting { account, amount, start, cliff, end } in &self.vesting {
            let (beneficiary, amount, released) = (*account, *amount, U256::ZERO);
            let (start, cliff, end) = (*start, *cliff, *end);
            let schedule = Vesting { beneficiary, amount, released, start, cliff, end };
            open::add_vesting(&mut storage, &schedule)?;
        }
        Ok(storage.slots)
    }

    fn check_lengths(&self) -> Result<(), GenesisError> {
        for (list, got) in [
            ("alloc", self.alloc.len()),
            ("validators", self.validators.len()),
            ("stakes", self.stakes.len()),
            ("vesting", self.vesting.len()),
            ("params", self.params.len()),
        ] {
            if got > MAX_ENTRIES {
                return Err(GenesisError::TooMany { list, got, limit: MAX_ENTRIES });
            }
        }
        Ok(())
    }
}

fn stake_reason(error: &ModuleError) -> String {
    match error {
        ModuleError::Revert(data) => match IStakingErrors::abi_decode_validate(data) {
            Ok(error) => format!("{error:?}"),
            Err(_) => format!("reverted with {data}"),
        },
        other => other.to_string(),
    }
}
