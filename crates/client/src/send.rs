//! Transactions: fee, nonce, sending, confirmation.

use std::time::Duration;

use alloy_consensus::TxEip1559;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U128, U256};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_sol_types::SolCall;
use tokio::time::{Instant, sleep};

use crate::client::{Client, call_request, refused_by};
use crate::error::ClientError;
use crate::wallet::Wallet;

/// A transaction as it stands in a block: its logs, gas and status. Not the receipt of an answer.
pub type TxReceipt = TransactionReceipt;

/// Most gas of one transaction (EIP-7825).
const MAX_GAS: u64 = 1 << 24;
/// How often a transaction is signed anew because another process used the nonce first.
const NONCE_ATTEMPTS: u32 = 5;

/// What gas costs now, wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// What the newest block charged.
    pub base: u128,
    /// What goes to the proposer.
    pub priority: u128,
    /// The most a transaction sent now offers: twice the base fee, which six full blocks cannot exceed, and the priority fee.
    pub max: u128,
}

impl Client {
    /// What gas costs now.
    ///
    /// # Errors
    /// Those of every read ([`Client::block_number`]).
    pub async fn fees(&self) -> Result<Fees, ClientError> {
        let header = self.latest_header().await?;
        let base = header
            .base_fee_per_gas
            .map(u128::from)
            .ok_or_else(|| self.malformed("eth_getBlockByNumber", "the newest block has no base fee"))?;
        let priority: u128 = self.request::<_, U128>("eth_maxPriorityFeePerGas", ()).await?.to();
        Ok(Fees { base, priority, max: base.saturating_mul(2).saturating_add(priority) })
    }

    /// Sends a transaction, unless running it without sending shows that it would fail.
    ///
    /// Sends of one account take turns, each with the nonce after those that wait for a block, so that any number of
    /// tasks may send at once through clones of one client. The order among them is theirs to keep.
    ///
    /// # Errors
    /// [`ClientError::Reverted`] with the module's reason and [`ClientError::InsufficientFunds`], when nothing was sent;
    /// [`ClientError::Refused`] if the node does not take it; those of every read.
    pub async fn send(
        &self,
        wallet: &Wallet,
        to: impl Into<TxKind>,
        value: U256,
        data: Bytes,
    ) -> Result<B256, ClientError> {
        let (from, to) = (wallet.address(), to.into());
        let gas_limit = self.gas(from, to, value, data.clone()).await?;
        let fees = self.fees().await?;
        let tx = TxEip1559 {
            chain_id: self.chain_id(),
            nonce: 0,
            gas_limit,
            max_fee_per_gas: fees.max,
            max_priority_fee_per_gas: fees.priority,
            to,
            value,
            access_list: AccessList::default(),
            input: data,
        };
        self.submit(wallet, tx).await
    }

    /// Sends a transaction and waits until a block holds it, for [`ClientConfig::confirm_timeout`](crate::ClientConfig).
    ///
    /// # Errors
    /// Those of [`Client::send`] and of [`Client::confirm`].
    pub async fn send_and_confirm(
        &self,
        wallet: &Wallet,
        to: impl Into<TxKind>,
        value: U256,
        data: Bytes,
    ) -> Result<TxReceipt, ClientError> {
        let to = to.into();
        let hash = self.send(wallet, to, value, data.clone()).await?;
        let receipt = self.confirm(hash, self.config().confirm_timeout).await?;
        if receipt.status() {
            return Ok(receipt);
        }
        Err(self.reason_of(&receipt, to, value, data).await)
    }

    /// Sends a call of a contract or module and waits until a block holds it.
    ///
    /// # Errors
    /// As [`Client::send_and_confirm`].
    pub async fn transact<C: SolCall>(
        &self,
        wallet: &Wallet,
        to: Address,
        call: &C,
        value: U256,
    ) -> Result<TxReceipt, ClientError> {
        self.send_and_confirm(wallet, to, value, call.abi_encode().into()).await
    }

    /// The receipt of a transaction, if a block holds it.
    ///
    /// # Errors
    /// Those of every read ([`Client::block_number`]).
    pub async fn tx_receipt(&self, hash: B256) -> Result<Option<TxReceipt>, ClientError> {
        self.request("eth_getTransactionReceipt", (hash,)).await
    }

    /// Waits until a block holds a transaction. Its receipt may say that it failed there.
    ///
    /// # Errors
    /// [`ClientError::NotConfirmed`] if none does in time, and those of every read.
    pub async fn confirm(&self, hash: B256, timeout: Duration) -> Result<TxReceipt, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(receipt) = self.tx_receipt(hash).await? {
                return Ok(receipt);
            }
            if Instant::now() >= deadline {
                return Err(ClientError::NotConfirmed { hash, waited: timeout });
            }
            sleep(self.config().poll_interval).await;
        }
    }

    /// Gas for a transaction: what the node finds it to need in the next block, and a quarter more, because the state
    /// may change before it is included.
    async fn gas(&self, from: Address, to: TxKind, value: U256, data: Bytes) -> Result<u64, ClientError> {
        let request = call_request(Some(from), to, value, data);
        match self.request::<_, U64>("eth_estimateGas", (request, "pending")).await {
            Ok(gas) => {
                let gas: u64 = gas.to();
                Ok(gas.saturating_add(gas / 4).min(MAX_GAS.max(gas)))
            }
            Err(error) if says(&error, &["insufficient funds"]) => {
                Err(self.insufficient(from, value, error).await)
            }
            Err(error) => Err(refused_by(to, error)),
        }
    }

    async fn submit(&self, wallet: &Wallet, mut tx: TxEip1559) -> Result<B256, ClientError> {
        let lane = self.lane(wallet.address());
        let _turn = lane.lock().await;
        let mut attempt = 1;
        loop {
            tx.nonce = self.next_nonce(wallet.address()).await?;
            let (hash, raw) = wallet.sign_transaction(tx.clone());
            let error = match self.request::<_, B256>("eth_sendRawTransaction", (raw,)).await {
                Ok(_) => {
                    tracing::debug!(%hash, from = %wallet.address(), nonce = tx.nonce, "sent");
                    return Ok(hash);
                }
                Err(error) => error,
            };
            if says(&error, &["insufficient funds"]) {
                let fee = U256::from(tx.gas_limit) * U256::from(tx.max_fee_per_gas);
                return Err(self.insufficient(wallet.address(), tx.value.saturating_add(fee), error).await);
            }
            // Another process sends for the same account and was first. `already known` is such a case too: the lane
            // gives every send its own nonce, so an equal transaction is another one, never this one sent twice.
            let outrun = says(&error, &["nonce too low", "underpriced", "already known"]);
            if !outrun || attempt == NONCE_ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
            sleep(self.config().poll_interval).await;
        }
    }

    /// Says what is missing; if the balance cannot be read, the node's own words do.
    async fn insufficient(&self, account: Address, needed_wei: U256, error: ClientError) -> ClientError {
        match self.balance(account).await {
            Ok(balance_wei) => ClientError::InsufficientFunds { account, balance_wei, needed_wei },
            Err(_) => error,
        }
    }

    /// Why a transaction failed in its block, found by running it again on the state before that block.
    async fn reason_of(&self, receipt: &TxReceipt, to: TxKind, value: U256, data: Bytes) -> ClientError {
        let hash = receipt.transaction_hash;
        let block = receipt.block_number.unwrap_or_default();
        let request = call_request(Some(receipt.from), to, value, data);
        let before = format!("{:#x}", block.saturating_sub(1));
        let again = self.request::<_, Bytes>("eth_call", (request, before)).await;
        match again.map_err(|error| refused_by(to, error)) {
            Err(ClientError::Reverted { module, name, mut message, raw }) => {
                message.push_str(&format!("; its fee is spent by transaction {hash}"));
                ClientError::Reverted { module, name, message, raw }
            }
            _ => ClientError::Failed { hash, block, gas_used: receipt.gas_used },
        }
    }
}

/// Whether the node refused with one of these phrases, which are geth's.
fn says(error: &ClientError, phrases: &[&str]) -> bool {
    match error {
        ClientError::Refused { message, .. } => {
            let message = message.to_ascii_lowercase();
            phrases.iter().any(|phrase| message.contains(phrase))
        }
        _ => false,
    }
}
