//! The accounts and the transactions that every system is given.

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex, keccak256};
use alloy_sol_types::{SolCall, sol};
use anyhow::Result;
use openledger_client::Wallet;
use openledger_types::abi::{IEscrow, IOpen};
use openledger_types::addresses::{ESCROW, OPEN};
use rayon::prelude::*;

use crate::stats::SplitMix;

/// Chain id of `openledger testnet`; `anvil` is given it too.
pub(super) const CHAIN_ID: u64 = 20_260;
/// What a transaction may pay for gas: more than full blocks can raise the base fee to in a run.
const MAX_FEE_PER_GAS: u128 = 10_000_000_000_000;
const TIP_PER_GAS: u128 = 1_000_000_000;
/// Gas of a transfer.
pub(super) const TRANSFER_GAS: u64 = 21_000;
/// Gas that any of the other calls can need.
pub(super) const CALL_GAS: u64 = 80_000;
/// Addresses that are paid.
const RECIPIENTS: usize = 10_000;
pub(super) const SEED: u64 = 1;

sol! {
    interface IErc20 {
        function transfer(address to, uint256 value) external returns (bool);
    }
}

/// What every transaction of a load does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    /// Pays a wei.
    Transfer,
    /// Pays a unit of this token.
    Erc20(Address),
    /// Pays a wei through the ERC-20 face of the coin, which is a module.
    Open,
    /// Deposits a wei in the module that holds what payers deposit.
    Deposit,
}

impl Action {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Erc20(_) => "erc20",
            Self::Open => "open",
            Self::Deposit => "deposit",
        }
    }

    /// Whether it calls what only `openledger` has.
    pub(super) const fn is_of_a_module(self) -> bool {
        matches!(self, Self::Open | Self::Deposit)
    }

    fn transaction(self, nonce: u64, to: Address) -> TxEip1559 {
        let one = U256::ONE;
        match self {
            Self::Transfer => call(nonce, to, one, Bytes::new(), TRANSFER_GAS),
            Self::Erc20(token) => {
                let input = IErc20::transferCall { to, value: one }.abi_encode();
                call(nonce, token, U256::ZERO, input.into(), CALL_GAS)
            }
            Self::Open => {
                let input = IOpen::transferCall { to, value: one }.abi_encode();
                call(nonce, OPEN, U256::ZERO, input.into(), CALL_GAS)
            }
            Self::Deposit => call(nonce, ESCROW, one, IEscrow::depositCall {}.abi_encode().into(), CALL_GAS),
        }
    }
}

/// Accounts that sign.
pub(super) struct Accounts {
    wallets: Vec<Wallet>,
    /// Nonce of everybody's next transaction.
    next: u64,
    random: SplitMix,
}

impl Accounts {
    pub(super) fn new(count: usize) -> Result<Self> {
        let wallets = (0..count).map(|number| wallet(&format!("account {number}"))).collect::<Result<_>>()?;
        Ok(Self { wallets, next: 0, random: SplitMix(SEED) })
    }

    pub(super) fn addresses(&self) -> Vec<Address> {
        self.wallets.iter().map(Wallet::address).collect()
    }

    /// Signs as many transactions of each account, after those that it has signed before.
    pub(super) fn sign(&mut self, action: Action, each: u64) -> Load {
        let nonces = self.next..self.next + each;
        let random = &mut self.random;
        let drawn: Vec<Vec<(u64, usize)>> = self
            .wallets
            .iter()
            .map(|_| nonces.clone().map(|nonce| (nonce, random.below(RECIPIENTS))).collect())
            .collect();
        let raw = self.wallets.par_iter().zip(drawn).map(|(wallet, drawn)| {
            let signed = drawn.into_iter().map(|(nonce, number)| {
                wallet.sign_transaction(action.transaction(nonce, recipient(number))).1
            });
            signed.collect()
        });
        let raw = raw.collect();
        self.next += each;
        Load { action, raw }
    }
}

/// Signed transactions of many accounts.
pub(super) struct Load {
    pub(super) action: Action,
    /// By account, in the order of nonces.
    raw: Vec<Vec<Bytes>>,
}

impl Load {
    pub(super) fn len(&self) -> usize {
        self.raw.iter().map(Vec::len).sum()
    }

    /// All transactions: first everybody's first, then everybody's second.
    pub(super) fn rounds(&self) -> impl Iterator<Item = &Bytes> {
        let longest = self.raw.iter().map(Vec::len).max().unwrap_or(0);
        (0..longest).flat_map(|nonce| self.raw.iter().filter_map(move |signed| signed.get(nonce)))
    }

    /// The transactions for connection `number` of `all`, as hex: every account keeps to one connection.
    pub(super) fn of_connection(&self, number: usize, all: usize) -> Vec<String> {
        let mine: Vec<_> = self.raw.iter().skip(number).step_by(all).collect();
        let longest = mine.iter().map(|signed| signed.len()).max().unwrap_or(0);
        (0..longest)
            .flat_map(|nonce| mine.iter().filter_map(move |signed| signed.get(nonce)))
            .map(hex::encode_prefixed)
            .collect()
    }
}

/// A key that everybody can make; it never holds anything of value.
pub(super) fn wallet(name: &str) -> Result<Wallet> {
    Ok(Wallet::from_private_key(&keccak256(format!("openledger bench {name}")).to_string())?)
}

/// A signed transfer as `eth_sendRawTransaction` takes it.
pub(super) fn transfer(from: &Wallet, nonce: u64, to: Address, value: U256) -> String {
    sign(from, call(nonce, to, value, Bytes::new(), TRANSFER_GAS))
}

/// A signed transaction as `eth_sendRawTransaction` takes it.
pub(super) fn sign(from: &Wallet, transaction: TxEip1559) -> String {
    hex::encode_prefixed(from.sign_transaction(transaction).1)
}

/// A call that is not signed yet.
pub(super) fn call(nonce: u64, to: Address, value: U256, input: Bytes, gas_limit: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit,
        max_fee_per_gas: MAX_FEE_PER_GAS,
        max_priority_fee_per_gas: TIP_PER_GAS,
        to: TxKind::Call(to),
        value,
        input,
        ..TxEip1559::default()
    }
}

pub(super) fn recipient(number: usize) -> Address {
    Address::from_word(keccak256(format!("openledger bench recipient {number}")))
}
