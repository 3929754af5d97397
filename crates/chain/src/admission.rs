//! What a transaction has to pass before it waits in the pool, whoever sent it.

use crate::{
    MAX_TRANSACTION_BYTES, PoolError, engine::Request, handle::Snapshot, ledger::Ledger, pool::Origin,
};
use alloy_consensus::{
    Transaction, TxEnvelope, TxType, transaction::Recovered, transaction::SignerRecoverable,
};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::Address;
use openledger_execution::{AccountState, MAX_TRANSACTION_GAS};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::mpsc;

/// EIP-3860.
const MAX_INIT_CODE_BYTES: usize = 49_152;

/// Takes transactions into the pool.
#[derive(Clone)]
pub(crate) struct Admission {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) requests: mpsc::Sender<Request>,
}

impl Admission {
    /// Checks a transaction and takes it into the pool. May wait for the engine, so not from an asynchronous task.
    ///
    /// # Errors
    /// [`PoolError`] says why not.
    pub(crate) fn admit(
        &self,
        transaction: TxEnvelope,
        origin: Origin,
    ) -> Result<Arc<Recovered<TxEnvelope>>, PoolError> {
        self.enter(self.check(transaction)?, origin)
    }

    /// Checks what the transaction alone tells, and recovers its sender.
    ///
    /// # Errors
    /// Those of [`PoolError`] that do not depend on the state.
    pub(crate) fn check(&self, transaction: TxEnvelope) -> Result<Recovered<TxEnvelope>, PoolError> {
        let ledger = &self.ledger;
        let rules =
            AdmissionRules { chain_id: ledger.genesis.chain_id, block_gas_limit: ledger.genesis.gas_limit };
        check(&transaction, &rules)?;
        let hash = *transaction.tx_hash();
        if ledger.pool.knows(hash) {
            return Err(PoolError::AlreadyKnown);
        }
        let sender = match ledger.senders.get(hash) {
            Some(sender) => sender,
            None => {
                let recovered = transaction.recover_signer();
                let sender = recovered.map_err(|_unrecoverable| PoolError::InvalidSender)?;
                ledger.senders.put(hash, sender);
                sender
            }
        };
        Ok(Recovered::new_unchecked(transaction, sender))
    }

    /// Reads the accounts of the senders, so that [`enter`](Self::enter) has them at hand.
    ///
    /// # Errors
    /// [`PoolError::Unavailable`] if the engine has stopped or its storage fails.
    pub(crate) async fn prepare(&self, transactions: &[Recovered<TxEnvelope>]) -> Result<(), PoolError> {
        let accounts = &self.ledger.accounts;
        let mut missing: BTreeSet<Address> =
            transactions.iter().map(|transaction| transaction.signer()).collect();
        loop {
            let mut head = 0;
            missing.retain(|sender| accounts.get(*sender).map_err(|at| head = at).is_err());
            if missing.is_empty() {
                return Ok(());
            }
            let senders: Vec<Address> = missing.iter().copied().collect();
            let found = self.snapshot(head).accounts(&senders).await;
            let found = found.map_err(|error| PoolError::Unavailable(error.to_string()))?;
            // What was read of an older head than the newest does not count, and is read again.
            for (sender, account) in senders.into_iter().zip(found) {
                accounts.put(head, sender, account);
            }
        }
    }

    /// Takes a checked transaction into the pool. May wait for the engine as [`admit`](Self::admit) does.
    ///
    /// # Errors
    /// Those of [`PoolError`] that depend on the account and on what waits.
    pub(crate) fn enter(
        &self,
        transaction: Recovered<TxEnvelope>,
        origin: Origin,
    ) -> Result<Arc<Recovered<TxEnvelope>>, PoolError> {
        let (ledger, sender) = (&self.ledger, transaction.signer());
        let transaction = ledger.pool.insert(transaction, self.newest(sender)?, origin)?;
        // A block that used the nonce may have become final since the account was read.
        ledger.pool.advance(sender, self.newest(sender)?.nonce);
        Ok(transaction)
    }

    /// An account at the head.
    fn newest(&self, address: Address) -> Result<AccountState, PoolError> {
        let head = match self.ledger.accounts.get(address) {
            Ok(account) => return Ok(account),
            Err(head) => head,
        };
        let account = self
            .snapshot(head)
            .account(address)
            .map_err(|error| PoolError::Unavailable(error.to_string()))?;
        self.ledger.accounts.put(head, address, account);
        Ok(account)
    }

    fn snapshot(&self, number: u64) -> Snapshot {
        Snapshot { number, ledger: self.ledger.clone(), requests: self.requests.clone() }
    }
}

/// What a transaction is checked against before it may wait.
#[derive(Clone, Copy, Debug)]
struct AdmissionRules {
    chain_id: u64,
    block_gas_limit: u64,
}

/// Checks what can be said of a transaction without the state.
///
/// # Errors
/// Those of [`PoolError`] that depend on the transaction alone.
fn check(transaction: &TxEnvelope, rules: &AdmissionRules) -> Result<(), PoolError> {
    if transaction.tx_type() == TxType::Eip4844 {
        return Err(PoolError::TypeNotSupported);
    }
    let size = transaction.encode_2718_len();
    if size > MAX_TRANSACTION_BYTES {
        return Err(PoolError::Oversized { got: size, limit: MAX_TRANSACTION_BYTES });
    }
    match transaction.chain_id() {
        None => return Err(PoolError::NotReplayProtected),
        Some(got) if got != rules.chain_id => {
            return Err(PoolError::InvalidChainId { got, expected: rules.chain_id });
        }
        Some(_) => {}
    }
    let limit = rules.block_gas_limit.min(MAX_TRANSACTION_GAS);
    if transaction.gas_limit() > limit {
        return Err(PoolError::ExceedsBlockGasLimit { got: transaction.gas_limit(), limit });
    }
    let tip = transaction.max_priority_fee_per_gas().unwrap_or_default();
    if tip > transaction.max_fee_per_gas() {
        return Err(PoolError::TipAboveMax { tip, max: transaction.max_fee_per_gas() });
    }
    if transaction.is_create() && transaction.input().len() > MAX_INIT_CODE_BYTES {
        return Err(PoolError::InitCodeTooLarge {
            got: transaction.input().len(),
            limit: MAX_INIT_CODE_BYTES,
        });
    }
    let want = intrinsic_gas(transaction);
    if transaction.gas_limit() < want {
        return Err(PoolError::IntrinsicGas { got: transaction.gas_limit(), want });
    }
    Ok(())
}

/// What a transaction costs before anything is executed: EIP-2028, 2930, 3860, 7623 and 7702.
fn intrinsic_gas(transaction: &TxEnvelope) -> u64 {
    let data = transaction.input();
    let zeros = data.iter().filter(|byte| **byte == 0).count() as u64;
    let tokens = zeros + (data.len() as u64 - zeros) * 4;
    let creation = if transaction.is_create() { 32_000 + 2 * data.len().div_ceil(32) as u64 } else { 0 };
    let access = transaction
        .access_list()
        .map_or(0, |list| list.0.iter().map(|item| 2_400 + 1_900 * item.storage_keys.len() as u64).sum());
    let authorisations = transaction.authorization_list().map_or(0, |list| 25_000 * list.len() as u64);
    (21_000 + tokens * 4 + creation + access + authorisations).max(21_000 + tokens * 10)
}

#[cfg(test)]
mod tests;
