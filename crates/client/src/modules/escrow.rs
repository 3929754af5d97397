use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::{Authorisation, IEscrow};

use super::{Escrow, Module};
use crate::api_key::ApiKey;
use crate::error::ClientError;
use crate::send::TxReceipt;
use crate::wallet::Wallet;

impl Module<'_, Escrow> {
    /// Deposits wei for the wallet's own account.
    ///
    /// # Errors
    /// As [`Module::pay`].
    pub async fn deposit(&self, wallet: &Wallet, amount: U256) -> Result<TxReceipt, ClientError> {
        self.pay(wallet, &IEscrow::depositCall {}, amount).await
    }

    /// Lets an operator charge the wallet's deposit for requests made with this API key: at most `cap` wei in all, for
    /// requests until `expires_at`, unix seconds. The chain learns the key's hash only.
    ///
    /// # Errors
    /// As [`Module::transact`].
    pub async fn authorise(
        &self,
        wallet: &Wallet,
        key: &ApiKey,
        operator: Address,
        cap: U256,
        expires_at: u64,
    ) -> Result<TxReceipt, ClientError> {
        let call = IEscrow::authoriseCall { key: key.hash(), operator, cap, expiresAt: expires_at };
        self.transact(wallet, &call).await
    }

    /// What can still be charged to a payer, wei.
    ///
    /// # Errors
    /// As [`Module::call`].
    pub async fn balance(&self, payer: Address) -> Result<U256, ClientError> {
        self.call(&IEscrow::balanceOfCall { payer }).await
    }

    /// The authorisation that an API key stands for, by the key's hash; all zeros if there is none.
    ///
    /// # Errors
    /// As [`Module::call`].
    pub async fn authorisation(&self, key: B256) -> Result<Authorisation, ClientError> {
        self.call(&IEscrow::authorisationCall { key }).await
    }
}
