use std::collections::BTreeSet;

use alloy_primitives::{B256, U256};
use alloy_sol_types::SolEvent;
use openledger_client::{Client, ClientError, Filter, Follow, Wallet};
use openledger_corpus::blob::Blobs;
use openledger_types::abi::{ChallengeStatus, ISettlement};
use openledger_types::addresses::SETTLEMENT;

use super::States;
use crate::claim::load_batch;
use crate::{Folders, Result};

/// The operator's side of every challenge of its batches.
#[derive(Debug)]
pub struct Defender {
    client: Client,
    folders: Folders,
    wallet: Wallet,
    follow: Follow,
    open: BTreeSet<U256>,
}

impl Defender {
    /// An operator who looks at the chain from block `from` on.
    pub fn new(client: Client, folders: Folders, wallet: Wallet, from: u64) -> Self {
        let filter =
            Filter::new().address(SETTLEMENT).event_signature(ISettlement::Challenged::SIGNATURE_HASH);
        let follow = client.follow(filter, from);
        Self { client, folders, wallet, follow, open: BTreeSet::new() }
    }

    /// Waits for the next blocks and makes the moves that are due; returns the challenges that ended with how they did.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain), [`WorkerError::Corpus`](crate::WorkerError::Corpus) if the file of an own batch is gone.
    pub async fn next(&mut self) -> Result<Vec<(U256, ChallengeStatus)>> {
        let step = self.follow.next().await?;
        for challenged in step.events::<ISettlement::Challenged>() {
            let operator = self.client.settlement().batch(challenged.data.batch).await?.operator;
            if operator == self.wallet.address() {
                self.open.insert(challenged.data.challenge);
            }
        }
        let mut ended = Vec::new();
        for challenge in self.open.clone() {
            let status = self.attend(challenge).await?;
            if is_over(status) {
                self.open.remove(&challenge);
                ended.push((challenge, status));
            }
        }
        Ok(ended)
    }

    /// Makes every move that is due until it is dropped; what fails is said and tried again.
    pub async fn run(mut self) {
        loop {
            match self.next().await {
                Ok(ended) => {
                    for (challenge, status) in ended {
                        tracing::info!(%challenge, ?status, "a challenge of an own batch ended");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a challenge could not be answered; the next block tries again");
                    tokio::time::sleep(self.client.config().poll_interval).await;
                }
            }
        }
    }

    async fn attend(&self, id: U256) -> Result<ChallengeStatus> {
        let settlement = self.client.settlement();
        let challenge = settlement.call(&ISettlement::challengeOfCall { id }).await?;
        match challenge.status {
            ChallengeStatus::Bisecting => {
                let blobs = Blobs::open(self.folders.corpus())?;
                let file = load_batch(&self.client, &blobs, challenge.batch).await?;
                let posted = settlement.batch(challenge.batch).await?;
                let middle = challenge.low.midpoint(challenge.high);
                let state = States::of(&posted, &file).after(middle).unwrap_or(B256::ZERO);
                let call = ISettlement::bisectCall { challenge: id, state };
                settlement.transact(&self.wallet, &call).await?;
            }
            status if is_over(status) => {}
            _ => resolve_when_due(&self.client, &self.wallet, id).await?,
        }
        Ok(challenge.status)
    }
}

pub(super) fn is_over(status: ChallengeStatus) -> bool {
    use ChallengeStatus as S;
    matches!(status, S::OperatorWon | S::ChallengerWon | S::Undecided)
}

/// Ends a challenge if its window is over.
pub(super) async fn resolve_when_due(client: &Client, wallet: &Wallet, challenge: U256) -> Result<()> {
    match client.settlement().transact(wallet, &ISettlement::resolveCall { challenge }).await {
        // The other side may have been first.
        Ok(_) | Err(ClientError::Failed { .. }) => Ok(()),
        Err(error)
            if error.decode_revert::<ISettlement::WindowOpen>().is_some()
                || error.decode_revert::<ISettlement::WrongChallengeStatus>().is_some() =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
