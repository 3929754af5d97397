//! The transfers that every system is given.

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex, keccak256};
use anyhow::Result;
use openledger_client::Wallet;

use crate::stats::SplitMix;

/// Chain id of `openledger testnet`; `anvil` is given it too.
pub(super) const CHAIN_ID: u64 = 20_260;
/// What a transfer may pay for gas: more than full blocks can raise the base fee to in a run.
const MAX_FEE_PER_GAS: u128 = 1_000_000_000_000;
const TIP_PER_GAS: u128 = 1_000_000_000;
/// Gas of a transfer.
pub(super) const TRANSFER_GAS: u64 = 21_000;
/// Addresses that are paid.
const RECIPIENTS: usize = 10_000;
const SEED: u64 = 1;

/// Signed transfers of many accounts.
pub(super) struct Transfers {
    wallets: Vec<Wallet>,
    /// By account, in the order of nonces.
    raw: Vec<Vec<Bytes>>,
}

impl Transfers {
    pub(super) fn sign(accounts: usize, each: usize) -> Result<Self> {
        let mut random = SplitMix(SEED);
        let wallets =
            (0..accounts).map(|number| wallet(&format!("account {number}"))).collect::<Result<Vec<_>>>()?;
        let raw = wallets
            .iter()
            .map(|wallet| {
                let to = (0..each as u64).map(|nonce| (nonce, recipient(random.below(RECIPIENTS))));
                to.map(|(nonce, to)| transfer(wallet, nonce, to, U256::ONE)).collect()
            })
            .collect();
        Ok(Self { wallets, raw })
    }

    pub(super) fn len(&self) -> usize {
        self.raw.iter().map(Vec::len).sum()
    }

    /// Who has to have OPEN.
    pub(super) fn accounts(&self) -> Vec<Address> {
        self.wallets.iter().map(Wallet::address).collect()
    }

    /// All transfers: first everybody's first, then everybody's second.
    pub(super) fn rounds(&self) -> impl Iterator<Item = &Bytes> {
        let longest = self.raw.iter().map(Vec::len).max().unwrap_or(0);
        (0..longest).flat_map(|nonce| self.raw.iter().filter_map(move |transfers| transfers.get(nonce)))
    }

    /// The transfers for connection `number` of `all`, as hex: every account keeps to one connection.
    pub(super) fn of_connection(&self, number: usize, all: usize) -> Vec<String> {
        let mine: Vec<_> = self.raw.iter().skip(number).step_by(all).collect();
        let longest = mine.iter().map(|transfers| transfers.len()).max().unwrap_or(0);
        (0..longest)
            .flat_map(|nonce| mine.iter().filter_map(move |transfers| transfers.get(nonce)))
            .map(hex::encode_prefixed)
            .collect()
    }
}

/// A key that everybody can make; it never holds anything of value.
pub(super) fn wallet(name: &str) -> Result<Wallet> {
    Ok(Wallet::from_private_key(&keccak256(format!("openledger bench {name}")).to_string())?)
}

/// A signed transfer as `eth_sendRawTransaction` takes it.
pub(super) fn transfer(from: &Wallet, nonce: u64, to: Address, value: U256) -> Bytes {
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: TRANSFER_GAS,
        max_fee_per_gas: MAX_FEE_PER_GAS,
        max_priority_fee_per_gas: TIP_PER_GAS,
        to: TxKind::Call(to),
        value,
        ..TxEip1559::default()
    };
    from.sign_transaction(transaction).1
}

fn recipient(number: usize) -> Address {
    Address::from_word(keccak256(format!("openledger bench recipient {number}")))
}
