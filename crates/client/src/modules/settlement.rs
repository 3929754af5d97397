use alloy_primitives::{B256, U256};
use openledger_types::abi::{Batch, BatchPost, ISettlement};
use openledger_types::batch::Payout;
use openledger_types::batch::verdict_commitment;

use super::{Module, Settlement};
use crate::error::ClientError;
use crate::events::event_in;
use crate::wallet::Wallet;

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finalisation {
    /// Its payouts can be claimed.
    Finalised {
        /// Its fees, wei.
        fees: U256,
        /// What of them was burnt, wei.
        burnt: U256,
    },
    /// Its payers were refunded.
    Refused {
        /// Verdicts that agreed.
        agree: u32,
        /// Verdicts that did not.
        disagree: u32,
    },
}

impl Module<'_, Settlement> {
    /// Posts a batch and returns its number.
    ///
    /// # Errors
    /// As [`Module::transact_for`], as every transaction here.
    pub async fn post(&self, wallet: &Wallet, batch: BatchPost) -> Result<U256, ClientError> {
        Ok(self.transact_for::<ISettlement::Posted, _>(wallet, &ISettlement::postCall { batch }).await?.batch)
    }

    /// Commits to a verdict on a batch, bound to the wallet, the height at which it registered as a verifier and the batch.
    ///
    /// # Errors
    /// As [`Module::transact_for`].
    pub async fn commit_verdict(
        &self,
        wallet: &Wallet,
        batch: U256,
        digest: B256,
        trace: B256,
        salt: B256,
    ) -> Result<(), ClientError> {
        let registered_at = self.client.staking().staker(wallet.address()).await?.registeredAt;
        let commitment = verdict_commitment(wallet.address(), registered_at, batch, digest, trace, salt);
        let call = ISettlement::commitVerdictCall { batch, commitment };
        self.transact_for::<ISettlement::VerdictCommitted, _>(wallet, &call).await.map(drop)
    }

    /// Reveals a verdict and returns whether it agrees with the batch.
    ///
    /// # Errors
    /// As [`Module::transact_for`].
    pub async fn reveal_verdict(
        &self,
        wallet: &Wallet,
        batch: U256,
        digest: B256,
        trace: B256,
        salt: B256,
    ) -> Result<bool, ClientError> {
        let call = ISettlement::revealVerdictCall { batch, digest, trace, salt };
        Ok(self.transact_for::<ISettlement::VerdictRevealed, _>(wallet, &call).await?.agrees)
    }

    /// Ends a batch, by its verdicts.
    ///
    /// # Errors
    /// As [`Module::transact_for`].
    pub async fn finalise(&self, wallet: &Wallet, batch: U256) -> Result<Finalisation, ClientError> {
        let receipt = self.transact(wallet, &ISettlement::finaliseCall { batch }).await?;
        if let Some(event) = event_in::<ISettlement::Finalised>(&receipt, self.address()) {
            return Ok(Finalisation::Finalised { fees: event.data.fees, burnt: event.data.burnt });
        }
        if let Some(event) = event_in::<ISettlement::Refused>(&receipt, self.address()) {
            return Ok(Finalisation::Refused { agree: event.data.agree, disagree: event.data.disagree });
        }
        let event = "Finalised(uint256,uint256,uint256) or Refused(uint256,uint32,uint32)";
        Err(ClientError::NoEvent { hash: receipt.transaction_hash, event })
    }

    /// Has a payout paid to its account; any wallet may. `proof` is that of
    /// [`payout_tree`](openledger_types::batch::payout_tree) for payout number `index`.
    ///
    /// # Errors
    /// As [`Module::transact_for`].
    pub async fn claim(
        &self,
        wallet: &Wallet,
        batch: U256,
        index: usize,
        payout: &Payout,
        proof: Vec<B256>,
    ) -> Result<(), ClientError> {
        let Payout { role, account, amount } = *payout;
        let index = U256::from(index);
        let call = ISettlement::claimCall { batch, index, account, role: role.into(), amount, proof };
        self.transact_for::<ISettlement::Claimed, _>(wallet, &call).await.map(drop)
    }

    /// A batch.
    ///
    /// # Errors
    /// As [`Module::call`], as every read here.
    pub async fn batch(&self, id: U256) -> Result<Batch, ClientError> {
        self.call(&ISettlement::batchCall { id }).await
    }

    /// Whether a payout of a batch is claimed.
    ///
    /// # Errors
    /// As [`Module::call`].
    pub async fn claimed(&self, batch: U256, index: usize) -> Result<bool, ClientError> {
        self.call(&ISettlement::claimedCall { batch, index: U256::from(index) }).await
    }
}
