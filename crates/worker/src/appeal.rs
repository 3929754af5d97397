//! Appeals: who knows better than a drawn panel asks a larger one, where it pays.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use alloy_primitives::U256;
use openledger_client::{Client, ClientError, Wallet};
use openledger_types::abi::{Batch, ISettlement, IStaking};
use openledger_types::amount::ppm_of;

use crate::Result;

/// By how many times the bond of an appeal is larger than that of the one before it.
const GROWTH: u64 = 4;

/// What the panels that were asked so far say of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether it would be paid.
    pub pays: bool,
    /// The stake behind that, of the panel that had the last word, wei; zero where none had.
    pub stake: U256,
    /// The block since which the last panel is asked.
    pub opened_at: u64,
}

impl Standing {
    /// How a batch stands.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain).
    pub async fn load(client: &Client, batch: U256, posted: &Batch) -> Result<Self> {
        let mut standing = Self { pays: false, stake: U256::ZERO, opened_at: posted.postedAt };
        for round in (0..=posted.round).rev() {
            let asked = client.settlement().call(&ISettlement::appealOfCall { batch, round }).await?;
            if round == posted.round && round > 0 {
                standing.opened_at = asked.openedAt;
            }
            if asked.agreeStake != asked.disagreeStake {
                standing.pays = asked.agreeStake > asked.disagreeStake;
                standing.stake = asked.agreeStake.max(asked.disagreeStake);
                break;
            }
        }
        Ok(standing)
    }
}

/// Whether an appeal is worth its bond, all in wei.
///
/// Of all stake, `against` is known to say the opposite; nothing is known of the rest. Who took up a bet at these odds would win `gain` with
/// probability `(all − against) / all` and lose `bond` otherwise. Against half of all stake or more nobody wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Odds {
    /// What is lost if the appeal is in vain.
    pub bond: U256,
    /// What is won if it is not, beside the bond.
    pub gain: U256,
    /// The stake behind what is contested.
    pub against: U256,
    /// All stake.
    pub all: U256,
}

impl Odds {
    /// Whether it is.
    pub fn pay(&self) -> bool {
        let Self { bond, gain, against, all } = *self;
        let rest = all.saturating_sub(against);
        against < rest && rest.saturating_mul(gain) > against.saturating_mul(bond)
    }
}

/// Who appeals by itself.
#[derive(Debug)]
pub struct Appellant {
    client: Client,
    wallet: Wallet,
    most: U256,
    /// The bonds that lie with undecided batches, wei.
    laid: BTreeMap<U256, U256>,
}

impl Appellant {
    /// One that has at most so many wei in bonds at a time; with zero it never appeals.
    pub fn new(client: Client, wallet: Wallet, most: U256) -> Self {
        Self { client, wallet, most, laid: BTreeMap::new() }
    }

    /// Appeals if a panel has decided otherwise than what the caller knows of a batch, which is whether it is right, and the odds pay: beside the
    /// prize the caller would win `at_stake` wei. Returns the round that is asked then.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain).
    pub async fn consider(
        &mut self,
        batch: U256,
        posted: &Batch,
        is_right: bool,
        at_stake: U256,
    ) -> Result<Option<u32>> {
        let Some(bond) = self.offer(batch, posted, is_right, at_stake).await? else { return Ok(None) };
        match appeal(&self.client, &self.wallet, batch, bond).await {
            Ok(round) => {
                *self.laid.entry(batch).or_default() += bond;
                Ok(Some(round))
            }
            // Somebody was first, everybody was asked, a challenge is open, or it is too late.
            Err(ClientError::Reverted { message, .. }) => {
                tracing::debug!(%batch, %message, "no appeal");
                Ok(None)
            }
            Err(ClientError::Failed { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether [`Self::consider`] would appeal, as far as is known before it is tried.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain).
    pub async fn would(&self, batch: U256, posted: &Batch, is_right: bool, at_stake: U256) -> Result<bool> {
        Ok(self.offer(batch, posted, is_right, at_stake).await?.is_some())
    }

    /// The bond of an appeal that pays.
    async fn offer(
        &self,
        batch: U256,
        posted: &Batch,
        is_right: bool,
        at_stake: U256,
    ) -> Result<Option<U256>> {
        if self.most.is_zero() {
            return Ok(None);
        }
        let client = &self.client;
        let standing = Standing::load(client, batch, posted).await?;
        let window = async |name| client.params().get_at(name, posted.settledAt).await;
        let windows = window("verify_window").await? + window("reveal_window").await?;
        let heard = U256::from(standing.opened_at) + windows;
        if standing.pays == is_right || U256::from(client.block_number().await?) <= heard {
            return Ok(None);
        }
        let bond = bond(client, posted.round).await?;
        let laid = self.laid.values().fold(U256::ZERO, |sum, bond| sum + *bond);
        if laid + bond > self.most || client.balance(self.wallet.address()).await? <= bond {
            return Ok(None);
        }
        let slash = u32::try_from(client.params().get("verifier_slash").await?).unwrap_or(0);
        let prize = ppm_of(standing.stake, slash).min(bond);
        let at_post = IStaking::getPastTotalSupplyCall { timepoint: U256::from(posted.postedAt) };
        let all = client.staking().call(&at_post).await?;
        let odds = Odds { bond, gain: prize + at_stake, against: standing.stake, all };
        Ok(odds.pay().then_some(bond))
    }

    /// Notes that a batch is decided, and its bonds with it.
    pub fn forget(&mut self, batch: U256) {
        self.laid.remove(&batch);
    }
}

/// The bond of an appeal against the panel of a round, wei.
///
/// # Errors
/// As [`Client::call`].
pub async fn bond(client: &Client, round: u32) -> Result<U256, ClientError> {
    Ok(client.params().get("appeal_bond").await? * U256::from(GROWTH.saturating_pow(round)))
}

/// Asks a larger panel about a batch; returns its round.
///
/// # Errors
/// [`ClientError`] with the settlement module's reason.
pub async fn appeal(client: &Client, wallet: &Wallet, batch: U256, bond: U256) -> Result<u32, ClientError> {
    let call = ISettlement::appealCall { batch };
    let appealed = client.settlement().pay_for::<ISettlement::Appealed, _>(wallet, &call, bond).await?;
    Ok(appealed.round)
}
