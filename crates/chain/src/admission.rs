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
use std::sync::Arc;
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
        let transaction = Recovered::new_unchecked(transaction, sender);
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
        let snapshot =
            Snapshot { number: head, ledger: self.ledger.clone(), requests: self.requests.clone() };
        let account = snapshot.account(address).map_err(|error| PoolError::Unavailable(error.to_string()))?;
        self.ledger.accounts.put(head, address, account);
        Ok(account)
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
