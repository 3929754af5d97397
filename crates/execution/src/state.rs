//! What execution reads and what it leaves behind.

use std::collections::BTreeMap;
use std::fmt;

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::{Address, B256, Bytes, U256};

/// An account as the state holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountState {
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Wei.
    pub balance: U256,
    /// keccak256 of the code; that of nothing for an account without code.
    pub code_hash: B256,
}

impl Default for AccountState {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK_EMPTY }
    }
}

impl AccountState {
    /// True if EIP-161 says that such an account is not kept.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK_EMPTY
    }
}

/// One thing that a state can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKey {
    /// An account.
    Account(Address),
    /// A storage slot of an account.
    Storage(Address, U256),
    /// Code by its hash.
    Code(B256),
    /// The hash of a block by its number.
    BlockHash(u64),
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(address) => write!(f, "account {address}"),
            Self::Storage(address, slot) => write!(f, "slot {slot:#x} of {address}"),
            Self::Code(hash) => write!(f, "code {hash}"),
            Self::BlockHash(number) => write!(f, "hash of block {number}"),
        }
    }
}

/// Why a state could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The view does not hold this key although the state behind it may: load it and run again.
    #[error("{0} is not loaded")]
    Missing(StateKey),
    /// The store failed.
    #[error("the state could not be read: {0}")]
    Backend(String),
}

impl revm::database_interface::DBErrorMarker for StateError {}

/// A state to execute on: that after the parent block.
///
/// An absent account is `None`, an absent slot zero, absent code or an unknown block hash an error of the backend.
pub trait StateReader: Send {
    /// The account at `address`, `None` if there is none.
    ///
    /// # Errors
    /// If the state cannot answer.
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError>;

    /// The value of a storage slot.
    ///
    /// # Errors
    /// If the state cannot answer.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError>;

    /// The code with this hash.
    ///
    /// # Errors
    /// If the state cannot answer.
    fn code(&self, hash: B256) -> Result<Bytes, StateError>;

    /// The hash of one of the last 256 blocks. Never asked for the parent, whose hash the [`BlockEnv`](crate::BlockEnv)
    /// holds.
    ///
    /// # Errors
    /// If the state cannot answer.
    fn block_hash(&self, number: u64) -> Result<B256, StateError>;
}

impl<T: StateReader + ?Sized + Sync> StateReader for &T {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        (**self).account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        (**self).storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        (**self).code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        (**self).block_hash(number)
    }
}

/// What a block changes. Ordered, so that every node writes the same bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateWrites {
    /// Accounts after the block; `None` deletes.
    pub accounts: BTreeMap<Address, Option<AccountState>>,
    /// Slots after the block; zero deletes.
    pub storage: BTreeMap<(Address, U256), U256>,
    /// New code by its keccak256.
    pub codes: BTreeMap<B256, Bytes>,
}

impl StateWrites {
    /// True if nothing changes.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.storage.is_empty() && self.codes.is_empty()
    }

    /// Lays `later` over these writes.
    pub fn extend(&mut self, later: Self) {
        self.accounts.extend(later.accounts);
        self.storage.extend(later.storage);
        self.codes.extend(later.codes);
    }
}

/// A whole state in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapState {
    accounts: BTreeMap<Address, AccountState>,
    storage: BTreeMap<(Address, U256), U256>,
    codes: BTreeMap<B256, Bytes>,
    block_hashes: BTreeMap<u64, B256>,
}

impl MapState {
    /// The state that these writes make out of nothing.
    pub fn new(writes: StateWrites) -> Self {
        let mut state = Self::default();
        state.apply(writes);
        state
    }

    /// Applies what a block changed.
    pub fn apply(&mut self, writes: StateWrites) {
        for (address, account) in writes.accounts {
            match account {
                Some(account) => self.accounts.insert(address, account),
                None => self.accounts.remove(&address),
            };
        }
        for (key, value) in writes.storage {
            if value.is_zero() {
                self.storage.remove(&key);
            } else {
                self.storage.insert(key, value);
            }
        }
        self.codes.extend(writes.codes);
    }

    /// Remembers the hash of a block.
    pub fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// Every account, in the order of addresses.
    pub fn accounts(&self) -> impl Iterator<Item = (&Address, &AccountState)> {
        self.accounts.iter()
    }

    /// The sum of all balances: the genesis supply, whatever was executed.
    pub fn total_balance(&self) -> U256 {
        self.accounts.values().fold(U256::ZERO, |sum, account| sum.saturating_add(account.balance))
    }
}

impl StateReader for MapState {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        Ok(self.accounts.get(&address).copied())
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        Ok(self.storage.get(&(address, slot)).copied().unwrap_or_default())
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        self.codes.get(&hash).cloned().ok_or_else(|| StateError::Backend(format!("there is no code {hash}")))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.block_hashes
            .get(&number)
            .copied()
            .ok_or_else(|| StateError::Backend(format!("there is no hash of block {number}")))
    }
}
