//! Validators in the state: what the end of an epoch elects, and what consensus reads of it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use alloy_primitives::{Address, B256, LogData, U256};
pub use openledger_protocol::staking::downtime::Turn;
use openledger_protocol::staking::{downtime, evidence, keys, seats};
use openledger_protocol::{Block, ModuleError, Result as ModuleResult, Storage, revert_text};
use openledger_types::abi::{DoubleSign, Seat};

use crate::env::BlockEnv;
use crate::error::ExecutionError;
use crate::overlay::Overlay;
use crate::state::{StateError, StateReader};

/// The domain of the signature by which a key proves that it is held, and what it signs beside it, for an account of a chain.
pub fn key_proof(chain_id: u64, account: Address) -> (&'static [u8], Vec<u8>) {
    (keys::PROOF_DOMAIN, keys::proof_message(chain_id, account))
}

/// An account that has registered a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The account.
    pub account: Address,
    /// The ed25519 key of its node.
    pub key: B256,
    /// Where its node listens; `None` if it has not said so.
    pub address: Option<SocketAddr>,
}

/// Counts the views that were passed over before a block.
pub(crate) fn pass_over(env: &BlockEnv, overlay: &mut Overlay<'_>, turn: Turn) -> Result<(), ExecutionError> {
    downtime::pass_over(&mut SystemStorage { env, overlay }, turn)
        .map_err(|error| ExecutionError::Internal(format!("missed views cannot be counted: {error}")))
}

/// Punishes who was absent and elects validators if the block is the last of its epoch. It pays no gas and leaves no log: it
/// belongs to no transaction.
pub(crate) fn end_block(env: &BlockEnv, overlay: &mut Overlay<'_>, turn: Turn) -> Result<(), ExecutionError> {
    seats::end_block(&mut SystemStorage { env, overlay }, turn)
        .map_err(|error| ExecutionError::Internal(format!("the election of validators failed: {error}")))
}

/// Punishes a double vote; false, and nothing is changed, if it may not be punished. It leaves no log.
pub(crate) fn punish(
    env: &BlockEnv,
    overlay: &mut Overlay<'_>,
    double: &DoubleSign,
) -> Result<bool, ExecutionError> {
    // It refuses before it writes.
    match evidence::submit(&mut SystemStorage { env, overlay }, double) {
        Ok(_account) => Ok(true),
        Err(ModuleError::Revert(_)) => Ok(false),
        Err(error) => Err(ExecutionError::Internal(format!("a double vote cannot be punished: {error}"))),
    }
}

/// The seats of an epoch of consensus; none if its set is not elected yet or no longer kept.
///
/// # Errors
/// Those of the state.
pub fn validator_set(state: &dyn StateReader, epoch: u64) -> Result<Vec<Seat>, StateError> {
    read(state, |storage| seats::of(storage, epoch))
}

/// Numbers of the slots of the staking module that show the seats of an epoch to a light client; see [`seats::shown_by`].
pub fn validator_set_slots(epoch: u64) -> [U256; 2] {
    seats::shown_by(epoch)
}

/// Everybody with a key, in no particular order.
///
/// # Errors
/// Those of the state.
pub fn candidates(state: &dyn StateReader) -> Result<Vec<Candidate>, StateError> {
    read(state, |storage| {
        let mut found = Vec::new();
        for account in keys::candidates(storage)? {
            let Some((key, address)) = keys::of(storage, account)? else { continue };
            let ip = IpAddr::V6(Ipv6Addr::from(address.ip.0)).to_canonical();
            let address = (address.port != 0).then(|| SocketAddr::new(ip, address.port));
            found.push(Candidate { account, key, address });
        }
        Ok(found)
    })
}

/// Whose a consensus key is or was.
///
/// # Errors
/// Those of the state.
pub fn key_owner(state: &dyn StateReader, key: B256) -> Result<Option<Address>, StateError> {
    let owner = read(state, |storage| keys::owner(storage, key))?;
    Ok((!owner.is_zero()).then_some(owner))
}

/// Reads something of a module.
fn read<T>(
    state: &dyn StateReader,
    query: impl FnOnce(&mut dyn Storage) -> ModuleResult<T>,
) -> Result<T, StateError> {
    let env = BlockEnv {
        chain_id: 0,
        number: 0,
        timestamp: 0,
        beneficiary: Address::ZERO,
        gas_limit: 0,
        base_fee: 0,
        prevrandao: B256::ZERO,
        parent_hash: B256::ZERO,
    };
    let mut overlay = Overlay::new(&env, state);
    query(&mut SystemStorage { env: &env, overlay: &mut overlay })
        .map_err(|error| StateError::Backend(error.to_string()))
}

/// The state between the last transaction of a block and its end, without a price.
struct SystemStorage<'a, 's> {
    env: &'a BlockEnv,
    overlay: &'a mut Overlay<'s>,
}

fn system(error: StateError) -> ModuleError {
    ModuleError::System(error.to_string())
}

impl Storage for SystemStorage<'_, '_> {
    fn sload(&mut self, account: Address, slot: U256) -> ModuleResult<U256> {
        self.overlay.slot(account, slot).map_err(system)
    }

    fn sstore(&mut self, account: Address, slot: U256, value: U256) -> ModuleResult<()> {
        if self.sload(account, slot)? != value {
            self.overlay.set_slot(account, slot, value);
        }
        Ok(())
    }

    fn balance(&mut self, account: Address) -> ModuleResult<U256> {
        Ok(self.overlay.account(account).map_err(system)?.unwrap_or_default().balance)
    }

    fn transfer(&mut self, from: Address, to: Address, amount: U256) -> ModuleResult<()> {
        if self.overlay.move_wei(from, to, amount).map_err(system)? {
            Ok(())
        } else {
            Err(revert_text("insufficient balance for the transfer"))
        }
    }

    fn emit(&mut self, _account: Address, _log: LogData) -> ModuleResult<()> {
        Ok(())
    }

    fn charge(&mut self, _gas: u64) -> ModuleResult<()> {
        Ok(())
    }

    fn block_hash(&mut self, number: u64) -> ModuleResult<B256> {
        self.overlay.hash_of_block(number).map_err(system)
    }

    fn block(&self) -> Block {
        Block {
            number: self.env.number,
            timestamp: self.env.timestamp,
            chain_id: self.env.chain_id,
            randomness: self.env.prevrandao,
        }
    }
}
