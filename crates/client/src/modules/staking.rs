use alloy_primitives::{Address, U256};
use openledger_types::abi::{IStaking, StakeRole, Staker};

use super::{Module, Staking};
use crate::error::ClientError;
use crate::send::TxReceipt;
use crate::wallet::Wallet;

impl Module<'_, Staking> {
    /// Stakes wei for a role, or adds to the stake.
    ///
    /// # Errors
    /// As [`Module::pay`].
    pub async fn stake(
        &self,
        wallet: &Wallet,
        role: StakeRole,
        amount: U256,
    ) -> Result<TxReceipt, ClientError> {
        self.pay(wallet, &IStaking::stakeCall { role }, amount).await
    }

    /// The role and stake of an account.
    ///
    /// # Errors
    /// As [`Module::call`].
    pub async fn staker(&self, account: Address) -> Result<Staker, ClientError> {
        self.call(&IStaking::stakerCall { account }).await
    }

    /// Whether an account is bonded in a role with at least the least stake.
    ///
    /// # Errors
    /// As [`Module::call`].
    pub async fn is_active(&self, account: Address, role: StakeRole) -> Result<bool, ClientError> {
        self.call(&IStaking::isActiveCall { account, role }).await
    }
}
