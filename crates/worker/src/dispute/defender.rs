use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{B256, U256};
use alloy_sol_types::SolEvent;
use openledger_client::{Client, ClientError, Filter, Follow, Wallet};
use openledger_corpus::blob::Blobs;
use openledger_types::abi::{Batch, BatchStatus, ChallengeStatus, ISettlement};
use openledger_types::addresses::SETTLEMENT;
use openledger_types::amount::ppm_of;

use super::{States, show_state};
use crate::appeal::Appellant;
use crate::claim::load_batch;
use crate::verify::Opinion;
use crate::{Folders, Machine, Progress, Result};

/// The operator's side of every challenge of its batches, and of every panel that finds against one.
#[derive(Debug)]
pub struct Defender {
    client: Client,
    folders: Folders,
    machine: Machine,
    wallet: Wallet,
    progress: Progress,
    follow: Follow,
    open: BTreeSet<U256>,
    /// Own batches that are undecided, and whether they are right once that was looked at.
    batches: BTreeMap<U256, Option<bool>>,
    appellant: Appellant,
}

impl Defender {
    /// An operator who looks at the chain from block `from` on and never appeals.
    pub fn new(
        client: Client,
        folders: Folders,
        machine: Machine,
        wallet: Wallet,
        progress: Progress,
        from: u64,
    ) -> Self {
        let filter = Filter::new().address(SETTLEMENT).event_signature(vec![
            ISettlement::Posted::SIGNATURE_HASH,
            ISettlement::Challenged::SIGNATURE_HASH,
        ]);
        let follow = client.follow(filter, from);
        let appellant = Appellant::new(client.clone(), wallet.clone(), U256::ZERO);
        let (open, batches) = (BTreeSet::new(), BTreeMap::new());
        Self { client, folders, machine, wallet, progress, follow, open, batches, appellant }
    }

    /// Appeals what a drawn panel finds against a batch that is right, with at most so many wei in bonds at a time.
    #[must_use]
    pub fn appealing(mut self, most: U256) -> Self {
        self.appellant = Appellant::new(self.client.clone(), self.wallet.clone(), most);
        self
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
        for posted in step.events::<ISettlement::Posted>() {
            if posted.data.operator == self.wallet.address() {
                self.batches.entry(posted.data.batch).or_default();
            }
        }
        for batch in self.batches.keys().copied().collect::<Vec<_>>() {
            self.appeal(batch).await?;
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

    /// Asks a larger panel about an own batch if a drawn one finds against it, and it is right when it is executed again.
    async fn appeal(&mut self, batch: U256) -> Result<()> {
        let posted = self.client.settlement().batch(batch).await?;
        if posted.status != BatchStatus::Posted {
            self.batches.remove(&batch);
            self.appellant.forget(batch);
            return Ok(());
        }
        // As if it were right: whether it is costs a replay.
        let at_stake = self.at_stake(&posted).await?;
        let (appellant, known) = (&mut self.appellant, self.batches.get(&batch).copied().flatten());
        if known == Some(false) || !appellant.would(batch, &posted, true, at_stake).await? {
            return Ok(());
        }
        if known.is_none() {
            let Self { client, folders, machine, progress, .. } = self;
            let opinion = Box::pin(Opinion::form(client, folders, machine, batch, None, progress)).await?;
            self.batches.insert(batch, Some(opinion.is_right()));
            if !opinion.is_right() {
                tracing::warn!(%batch, verdict = ?opinion.verdict, "an own batch is not right");
                return Ok(());
            }
        }
        if let Some(round) = self.appellant.consider(batch, &posted, true, at_stake).await? {
            tracing::info!(%batch, round, "appealed what was found against an own batch");
        }
        Ok(())
    }

    /// What the operator loses with a batch that is refuted, wei: the slash, and its part of the fees.
    async fn at_stake(&self, posted: &Batch) -> Result<U256> {
        let slash = u32::try_from(self.client.params().get("operator_slash").await?).unwrap_or(0);
        let stake = self.client.staking().staker(self.wallet.address()).await?.stake;
        Ok(ppm_of(stake, slash) + posted.totals.operator)
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
                // What follows from the file costs nothing.
                let states = if middle <= posted.receipts {
                    States::of_answers(&posted, &file)
                } else {
                    let Self { client, folders, machine, progress, .. } = self;
                    States::load(client, folders, machine, &posted, &file, progress).await?
                };
                let state = states.after(middle).unwrap_or(B256::ZERO);
                let call = ISettlement::bisectCall { challenge: id, state };
                settlement.transact(&self.wallet, &call).await?;
            }
            status if is_over(status) => {}
            ChallengeStatus::Judging => {
                let blobs = Blobs::open(self.folders.corpus())?;
                let file = load_batch(&self.client, &blobs, challenge.batch).await?;
                let Self { client, folders, machine, progress, .. } = self;
                show_state(client, folders, machine, &challenge, file, progress).await?;
                resolve_when_due(&self.client, &self.wallet, id).await?;
            }
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
