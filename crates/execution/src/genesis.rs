//! The state before the first block.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolInterface;
use openledger_protocol::open::{self, VestingError};
use openledger_protocol::params::{self, ParamError};
use openledger_protocol::staking::{evidence, keys};
use openledger_protocol::{Block, MapStorage, ModuleError, staking};
use openledger_types::abi::IStaking::IStakingErrors;
use openledger_types::abi::{Seat, StakeRole, Vesting};
use openledger_types::addresses::{GOVERNOR, MODULES, OPEN, STAKING, TREASURY};
use openledger_types::amount::{ONE_OPEN, SUPPLY};
use serde::{Deserialize, Serialize};

use crate::predeploys;
use crate::state::{AccountState, StateWrites};

/// Code of a module's account: one byte that no contract can be deployed with (EIP-3541). Solidity refuses to call an
/// account without code.
const MODULE_CODE: Bytes = Bytes::from_static(&[0xef]);

/// Most blocks of a window of governance: about a year.
const MAX_BLOCKS: u64 = 31_536_000;
/// Longest timelock and epoch: 30 days.
const MAX_SECONDS: u64 = 2_592_000;

/// Fewest blocks of an epoch of consensus: the first one has the genesis block, too.
const LEAST_EPOCH_BLOCKS: u64 = 4;

/// Most entries of each list of a genesis.
const MAX_ENTRIES: usize = 100_000;

/// A validator of the first two epochs.
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

/// How the chain is governed from its start. Blocks count as the clock of votes (ERC-6372); the genesis of a trial network
/// shortens them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Governance {
    /// Who may cancel what waits in the timelock, and nothing else; nobody if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardian: Option<Address>,
    /// Blocks from a proposal to the snapshot of votes, at least 1: who borrows stake in one block has no vote.
    pub voting_delay: u64,
    /// Blocks in which votes are cast.
    pub voting_period: u32,
    /// Blocks that are left for votes at least after the quorum is reached.
    pub late_quorum_extension: u64,
    /// Votes of who may propose, wei.
    pub proposal_threshold: U256,
    /// Part of all stake that has to vote for or abstain, percent.
    pub quorum_percent: u8,
    /// Seconds from a decision to its execution.
    pub timelock_seconds: u64,
    /// Seconds of an epoch of governed numbers.
    pub epoch_seconds: u64,
}

impl Default for Governance {
    /// At a block a second: a day, a week and two days; a timelock of 48 hours.
    fn default() -> Self {
        Self {
            guardian: None,
            voting_delay: 86_400,
            voting_period: 604_800,
            late_quorum_extension: 172_800,
            proposal_threshold: U256::from(100_000).saturating_mul(ONE_OPEN),
            quorum_percent: 10,
            timelock_seconds: 172_800,
            epoch_seconds: params::EPOCH_SECONDS,
        }
    }
}

/// How validators come to their seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Election {
    /// Blocks of an epoch of consensus; at its end the validators of the epoch after the next are elected.
    pub epoch_blocks: u64,
    /// With fewer candidates than this the old validators stay. Below four, a single fault stops the chain.
    pub least_seats: u32,
}

impl Default for Election {
    /// At a block a second, an hour.
    fn default() -> Self {
        Self { epoch_blocks: 3_600, least_seats: 4 }
    }
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
    /// Validators of the first two epochs. An account has one seat.
    pub validators: Vec<ValidatorSeat>,
    /// How later ones are elected.
    #[serde(default)]
    pub election: Election,
    /// Stakes that are bonded from the start. With `alloc` and `vesting` they add up to the supply.
    #[serde(default)]
    pub stakes: Vec<GenesisStake>,
    /// Vesting schedules, in the order of their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vesting: Vec<GenesisVesting>,
    /// Governed numbers that differ from their defaults, by name.
    #[serde(default)]
    pub params: BTreeMap<String, U256>,
    /// How it is governed.
    #[serde(default)]
    pub governance: Governance,
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
    /// The governance may not be so.
    #[error("governance.{name} is {got}; it may be from {least} to {most}")]
    Governance {
        /// Name of the field.
        name: &'static str,
        /// The value that was given.
        got: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// The election may not be so.
    #[error("election.{name} is {got}; it may be from {least} to {most}")]
    Election {
        /// Name of the field.
        name: &'static str,
        /// The value that was given.
        got: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// A validator may not have its seat.
    #[error("the seat of {account} with the consensus key {key:?} is refused: {reason}")]
    Seat {
        /// Who should have it.
        account: Address,
        /// The key that should vote.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A contract of the genesis could not be deployed.
    #[error("deploying {contract} at genesis failed: {reason}")]
    Predeploy {
        /// Its name.
        contract: &'static str,
        /// What the EVM says.
        reason: String,
    },
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

    /// What the votes of the chain's validators are bound to, so that they count on no other.
    pub fn vote_domain(&self) -> Vec<u8> {
        evidence::vote_domain(self.chain_id, self.hash())
    }

    /// The state before the first block, as writes over nothing.
    ///
    /// # Errors
    /// [`GenesisError`] says which rule the genesis breaks.
    pub fn state_writes(&self) -> Result<StateWrites, GenesisError> {
        self.check_lengths()?;
        self.check_ranges()?;
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
            let predeploys = [GOVERNOR, predeploys::CREATE2_DEPLOYER, predeploys::MULTICALL3];
            if MODULES.contains(address) || predeploys.contains(address) {
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
        predeploys::deploy(self, writes)
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
        params::init_governor(&mut storage, TREASURY).map_err(ParamError::from)?;
        params::init_epoch(&mut storage, self.governance.epoch_seconds).map_err(ParamError::from)?;
        for GenesisStake { account, role, amount } in &self.stakes {
            staking::stake(&mut storage, *account, (*role).into(), *amount)
                .map_err(|error| GenesisError::Stake { account: *account, reason: stake_reason(&error) })?;
        }
        self.init_seats(&mut storage)?;
        for GenesisVesting { account, amount, start, cliff, end } in &self.vesting {
            let (beneficiary, amount, released) = (*account, *amount, U256::ZERO);
            let (start, cliff, end) = (*start, *cliff, *end);
            let schedule = Vesting { beneficiary, amount, released, start, cliff, end };
            open::add_vesting(&mut storage, &schedule)?;
        }
        Ok(storage.slots)
    }

    /// Registers the validators' keys and gives them the seats of the first epochs.
    fn init_seats(&self, storage: &mut MapStorage) -> Result<(), GenesisError> {
        let mut first = Vec::new();
        for ValidatorSeat { account, consensus_key } in &self.validators {
            let refuse =
                |reason| GenesisError::Seat { account: *account, key: consensus_key.clone(), reason };
            let key: B256 = consensus_key
                .parse()
                .map_err(|_malformed| refuse("the key is not 32 bytes in hex".to_owned()))?;
            keys::init(storage, *account, key).map_err(|error| refuse(stake_reason(&error)))?;
            first.push(Seat { account: *account, key });
        }
        let Election { epoch_blocks, least_seats } = self.election;
        evidence::init(storage, self.hash()).map_err(ParamError::from)?;
        staking::seats::init(storage, epoch_blocks, least_seats, &first).map_err(ParamError::from)?;
        Ok(())
    }

    fn check_ranges(&self) -> Result<(), GenesisError> {
        let Governance {
            voting_delay,
            voting_period,
            late_quorum_extension,
            quorum_percent,
            timelock_seconds,
            epoch_seconds,
            ..
        } = self.governance;
        for (name, got, least, most) in [
            ("voting_delay", voting_delay, 1, MAX_BLOCKS),
            ("voting_period", u64::from(voting_period), 1, MAX_BLOCKS),
            ("late_quorum_extension", late_quorum_extension, 1, MAX_BLOCKS),
            ("quorum_percent", u64::from(quorum_percent), 1, 100),
            ("timelock_seconds", timelock_seconds, 1, MAX_SECONDS),
            ("epoch_seconds", epoch_seconds, 1, MAX_SECONDS),
        ] {
            if got < least || got > most {
                return Err(GenesisError::Governance { name, got, least, most });
            }
        }
        let Election { epoch_blocks, least_seats } = self.election;
        for (name, got, least, most) in [
            ("epoch_blocks", epoch_blocks, LEAST_EPOCH_BLOCKS, MAX_BLOCKS),
            ("least_seats", u64::from(least_seats), 1, u64::from(keys::MAX_CANDIDATES)),
        ] {
            if got < least || got > most {
                return Err(GenesisError::Election { name, got, least, most });
            }
        }
        Ok(())
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
