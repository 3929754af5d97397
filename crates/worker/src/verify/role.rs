//! The verifier's role, driven by the chain.
//!
//! | what the chain shows | what the role does |
//! |---|---|
//! | a batch is posted | draws the seed if nobody has; forms its opinion if it is assigned, commits to it |
//! | nobody can commit any more | reveals |
//! | the windows are over | finalises, whatever the end |
//! | a drawn panel decided otherwise than this re-execution | appeals, where the odds pay ([`Appellant`]) |
//! | what was decided is appealed | begins again with the larger panel |
//! | the batch is decided | has everybody punished who was silent, agreed with what is refuted, or agreed without the work; is paid for its verdict |
//! | a dispute is at one step | executes that step again, commits, reveals |
//! | a dispute has ended | is paid for its verdict on the step; has everybody punished who gave one without the work |
//!
//! # What always holds
//! - Everything follows from the chain, the wallet and what is recomputed: a role that was killed begins again at any block before the oldest
//!   open batch and says the same.
//! - A file that is not to be had is waited for until half of the verify window is over, and called withheld then; the state before a
//!   disputed step as long, and computed then.
//! - Nothing is revealed that the role has not computed itself.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use openledger_client::{Client, ClientError, Filter, Follow, Wallet};
use openledger_types::abi::{Batch, BatchStatus, Challenge, ChallengeStatus, ISettlement};
use openledger_types::addresses::SETTLEMENT;
use openledger_types::batch::{WITHHELD, panel_trace};

use super::{Opinion, Verdict, batch};
use crate::appeal::{Appellant, Standing};
use crate::contribute::contributor_secret;
use crate::dispute::{self, Judgement};
use crate::{Folders, Machine, Progress, Result, WorkerError};

/// What the role did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// It fixed the seed of a batch.
    Drew(U256),
    /// It committed to this verdict on a batch.
    Committed(U256, Verdict),
    /// It revealed its verdict on a batch.
    Revealed(U256),
    /// It brought a batch to its end.
    Finalised(U256, BatchStatus),
    /// It had a verifier of a batch slashed by so many wei.
    Punished(U256, Address, U256),
    /// It was paid so many wei for its verdicts on a batch.
    Paid(U256, U256),
    /// It committed to whether the step that a challenge is about is right.
    StepCommitted(U256, bool),
    /// It revealed that.
    StepRevealed(U256),
    /// It was paid so many wei for its verdict on the step of a challenge.
    StepPaid(U256, U256),
    /// It had a judge of a challenge slashed by so many wei.
    StepPunished(U256, Address, U256),
    /// It asked the panel of this round about a batch that a smaller one decided otherwise than it found.
    Appealed(U256, u32),
}

/// How far a verdict is.
enum Given {
    /// Others are waited for.
    Waiting,
    /// Something was sent.
    Acted(Act),
    /// It is revealed, now or before.
    Revealed(Option<Act>),
    /// The batch is not this verifier's, or it is too late.
    NotOurs,
}

/// One verifier.
#[derive(Debug)]
pub struct Verifier {
    client: Client,
    folders: Folders,
    machine: Machine,
    wallet: Wallet,
    progress: Progress,
    follow: Follow,
    /// With the opinion given to the panel of a round, which a seed of its own samples.
    batches: BTreeMap<U256, Option<(u32, Opinion)>>,
    /// Whether a file that is not to be had is waited for.
    patient: bool,
    /// By challenge, what its step is.
    steps: BTreeMap<U256, Option<Judgement>>,
    appellant: Appellant,
}

impl Verifier {
    /// A verifier that looks at the chain from block `from` on and never appeals.
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
            ISettlement::Appealed::SIGNATURE_HASH,
            ISettlement::Challenged::SIGNATURE_HASH,
        ]);
        let follow = client.follow(filter, from);
        let (batches, steps) = (BTreeMap::new(), BTreeMap::new());
        let appellant = Appellant::new(client.clone(), wallet.clone(), U256::ZERO);
        Self { client, folders, machine, wallet, progress, follow, batches, patient: true, steps, appellant }
    }

    /// Appeals what a drawn panel decides otherwise than this verifier finds, with at most so many wei in bonds at a time.
    #[must_use]
    pub fn appealing(mut self, most: U256) -> Self {
        self.appellant = Appellant::new(self.client.clone(), self.wallet.clone(), most);
        self
    }

    /// Waits for the next blocks and does what is due. What fails is tried again with the blocks after them.
    ///
    /// # Errors
    /// [`WorkerError::Chain`], and failures of the machine.
    pub async fn next(&mut self) -> Result<Vec<Act>> {
        let step = self.follow.next().await?;
        for posted in step.events::<ISettlement::Posted>() {
            self.batches.entry(posted.data.batch).or_default();
        }
        for appealed in step.events::<ISettlement::Appealed>() {
            self.batches.entry(appealed.data.batch).or_default();
        }
        for challenged in step.events::<ISettlement::Challenged>() {
            self.steps.entry(challenged.data.challenge).or_default();
        }
        let mut acts = Vec::new();
        for challenge in self.steps.keys().copied().collect::<Vec<_>>() {
            if self.attend_step(challenge, &mut acts).await? {
                self.steps.remove(&challenge);
            }
        }
        for batch in self.batches.keys().copied().collect::<Vec<_>>() {
            if self.attend(batch, &mut acts).await? {
                self.batches.remove(&batch);
            }
        }
        Ok(acts)
    }

    /// What is due for a batch; true if nothing will be any more.
    async fn attend(&mut self, batch: U256, acts: &mut Vec<Act>) -> Result<bool> {
        let posted = self.client.settlement().batch(batch).await?;
        if posted.status != BatchStatus::Posted {
            self.appellant.forget(batch);
            self.punish(batch, &posted, acts).await?;
            let verifier = self.wallet.address();
            let call = ISettlement::claimVerdictCall { batch, verifier };
            if let Some(paid) = self.try_for::<ISettlement::VerdictPaid, _>(&call).await? {
                acts.push(Act::Paid(batch, paid.amount));
            }
            return Ok(true);
        }
        match self.give(batch, &posted).await? {
            Given::Acted(act) => acts.push(act),
            Given::Revealed(act) => acts.extend(act),
            Given::Waiting => {}
            // Whoever is not assigned has nothing to do with it until it is appealed.
            Given::NotOurs if !matches!(self.batches.get(&batch), Some(Some(_))) => return Ok(true),
            Given::NotOurs => {}
        }
        if let Some(Some((_, opinion))) = self.batches.get(&batch) {
            let is_right = opinion.is_right();
            if let Some(round) = self.appellant.consider(batch, &posted, is_right, U256::ZERO).await? {
                acts.push(Act::Appealed(batch, round));
                return Ok(false);
            }
        }
        self.finalise(batch, acts).await?;
        Ok(false)
    }

    /// One step towards a revealed verdict.
    async fn give(&mut self, batch: U256, posted: &Batch) -> Result<Given> {
        let settlement = self.client.settlement();
        let verifier = self.wallet.address();
        let verdict = settlement.call(&ISettlement::verdictCall { batch, verifier }).await?;
        if !verdict.digest.is_zero() {
            return Ok(Given::Revealed(None));
        }
        if verdict.commitment.is_zero() {
            let asked = ISettlement::appealOfCall { batch, round: posted.round };
            // Who asks a panel is no part of it.
            if settlement.call(&asked).await?.appellant == verifier {
                return Ok(Given::NotOurs);
            }
            if self.client.block_number().await? <= posted.postedAt {
                return Ok(Given::Waiting);
            }
            if settlement.call(&ISettlement::seedCall { batch }).await?.is_zero() {
                let drawn = settlement.transact(&self.wallet, &ISettlement::drawCall { batch }).await;
                return Ok(if first(drawn.map(drop))? {
                    Given::Acted(Act::Drew(batch))
                } else {
                    Given::Waiting
                });
            }
            if !settlement.call(&ISettlement::isAssignedCall { batch, verifier }).await? {
                return Ok(Given::NotOurs);
            }
        }
        let Some(opinion) = self.opinion(batch, posted).await? else { return Ok(Given::Waiting) };
        let Opinion { digest, trace, verdict: said } = opinion;
        let (salt, trace) = (self.salt(batch, posted.round), panel_trace(trace, posted.round));
        let settlement = self.client.settlement();
        if verdict.commitment.is_zero() {
            let committed = settlement.commit_verdict(&self.wallet, batch, digest, trace, salt).await;
            return Ok(if sent(committed)? {
                Given::Acted(Act::Committed(batch, said))
            } else {
                Given::NotOurs
            });
        }
        match settlement.reveal_verdict(&self.wallet, batch, digest, trace, salt).await {
            Err(error) if error.decode_revert::<ISettlement::WindowOpen>().is_some() => Ok(Given::Waiting),
            revealed => Ok(if sent(revealed.map(drop))? {
                Given::Revealed(Some(Act::Revealed(batch)))
            } else {
                Given::NotOurs
            }),
        }
    }

    /// The opinion, once there is one.
    async fn opinion(&mut self, batch: U256, posted: &Batch) -> Result<Option<Opinion>> {
        if let Some(Some((round, opinion))) = self.batches.get(&batch)
            && *round == posted.round
        {
            return Ok(Some(opinion.clone()));
        }
        let sample = batch::sample(&self.client, batch, posted).await?;
        let Self { client, folders, machine, progress, .. } = self;
        let opinion = Box::pin(Opinion::form(client, folders, machine, batch, sample, progress)).await?;
        if self.patient && opinion.digest == WITHHELD && self.may_yet_come(batch, posted).await? {
            return Ok(None);
        }
        self.batches.insert(batch, Some((posted.round, opinion.clone())));
        Ok(Some(opinion))
    }

    /// Whether a file that is not to be had is waited for.
    async fn may_yet_come(&self, batch: U256, posted: &Batch) -> Result<bool> {
        let opened_at = Standing::load(&self.client, batch, posted).await?.opened_at;
        Ok(self.client.block_number().await? < opened_at.saturating_add(self.patience().await?))
    }

    /// For how many blocks of a verify window what is not to be had is waited for.
    async fn patience(&self) -> Result<u64> {
        let window = self.client.params().get("verify_window").await?;
        Ok(u64::try_from(window).unwrap_or(u64::MAX) / 2)
    }

    /// What only this wallet can say of a batch and round, or a challenge, beforehand.
    fn salt(&self, number: U256, round: u32) -> B256 {
        let parts = [contributor_secret(&self.wallet), B256::from(number), B256::from(U256::from(round))];
        keccak256(parts.concat())
    }

    async fn finalise(&self, batch: U256, acts: &mut Vec<Act>) -> Result<()> {
        let finalised = self.client.settlement().finalise(&self.wallet, batch).await;
        if first(finalised.map(drop))? {
            acts.push(Act::Finalised(batch, self.client.settlement().batch(batch).await?.status));
        }
        Ok(())
    }

    async fn punish(&self, batch: U256, posted: &Batch, acts: &mut Vec<Act>) -> Result<()> {
        let of = |event: ISettlement::VerdictCommitted| event.verifier;
        for verifier in self.others(batch, posted.postedAt, of).await? {
            let call = ISettlement::punishCall { batch, verifier };
            // One call for each fault: who spoke on several panels may have several.
            while let Some(punished) = self.try_for::<ISettlement::Punished, _>(&call).await? {
                acts.push(Act::Punished(batch, verifier, punished.amount));
            }
        }
        Ok(())
    }

    async fn punish_judges(&self, id: U256, challenge: &Challenge, acts: &mut Vec<Act>) -> Result<()> {
        let posted = self.client.settlement().batch(challenge.batch).await?;
        let of = |event: ISettlement::StepCommitted| event.verifier;
        for verifier in self.others(id, posted.postedAt, of).await? {
            let call = ISettlement::punishStepCall { challenge: id, verifier };
            if let Some(punished) = self.try_for::<ISettlement::StepPunished, _>(&call).await? {
                acts.push(Act::StepPunished(id, verifier, punished.amount));
            }
        }
        Ok(())
    }

    /// Who else committed to a verdict on a batch or challenge, by the events of a kind since a block.
    async fn others<E: SolEvent>(
        &self,
        number: U256,
        since: u64,
        of: impl Fn(E) -> Address,
    ) -> Result<BTreeSet<Address>> {
        let head = self.client.block_number().await?;
        let filter = Filter::new().topic1(B256::from(number));
        let committed = self.client.settlement().events::<E>(filter, since, head).await?;
        let mut others: BTreeSet<Address> = committed.into_iter().map(|event| of(event.data)).collect();
        others.remove(&self.wallet.address());
        Ok(others)
    }

    /// Sends what anybody may send; the event that it promises if the chain took it.
    async fn try_for<E: SolEvent, C: SolCall>(&self, call: &C) -> Result<Option<E>> {
        match self.client.settlement().transact_for::<E, _>(&self.wallet, call).await {
            Ok(event) => Ok(Some(event)),
            Err(error) => first(Err(error)).map(|_| None),
        }
    }

    /// What is due for a challenge; true if nothing will be any more.
    async fn attend_step(&mut self, challenge: U256, acts: &mut Vec<Act>) -> Result<bool> {
        let open = self.client.settlement().call(&ISettlement::challengeOfCall { id: challenge }).await?;
        match open.status {
            ChallengeStatus::Bisecting | ChallengeStatus::Choosing => return Ok(false),
            ChallengeStatus::Judging => {}
            _ => {
                let call = ISettlement::claimStepCall { challenge, verifier: self.wallet.address() };
                if let Some(paid) = self.try_for::<ISettlement::StepPaid, _>(&call).await? {
                    acts.push(Act::StepPaid(challenge, paid.amount));
                }
                self.punish_judges(challenge, &open, acts).await?;
                return Ok(true);
            }
        }
        let judgement = match self.steps.get(&challenge) {
            Some(Some(judgement)) => *judgement,
            _ => {
                let left = open.deadline.saturating_sub(self.client.block_number().await?);
                let patient = left > self.patience().await?;
                let Self { client, folders, machine, progress, .. } = self;
                let judged = dispute::judge(client, folders, machine, &open, patient, progress);
                let Some(judgement) = Box::pin(judged).await? else { return Ok(false) };
                self.steps.insert(challenge, Some(judgement));
                judgement
            }
        };
        let salt = self.salt(challenge, 0);
        let Judgement { upheld, trace } = judgement;
        let reveal = ISettlement::revealStepCall { challenge, upheld, trace, salt };
        match self.client.settlement().transact(&self.wallet, &reveal).await {
            Ok(_) => {
                acts.push(Act::StepRevealed(challenge));
                return Ok(false);
            }
            Err(error)
                if error.decode_revert::<ISettlement::WindowOpen>().is_some()
                    || error.decode_revert::<ISettlement::VerdictExists>().is_some() =>
            {
                return Ok(false);
            }
            Err(error) if error.decode_revert::<ISettlement::NoVerdict>().is_some() => {}
            // Also one that the end of the challenge has overtaken: what it earned is still to be claimed.
            Err(error) => return first(Err(error)),
        }
        let committed = dispute::commit_step(&self.client, &self.wallet, challenge, judgement, salt).await;
        if sent(committed)? {
            acts.push(Act::StepCommitted(challenge, judgement.upheld));
            return Ok(false);
        }
        Ok(true)
    }
}

/// Whether the chain took it; false if it refused: it is too early or too late, or not for this account.
fn sent(result: Result<(), ClientError>) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(ClientError::Reverted { message, .. }) => {
            tracing::debug!(%message, "the chain refused");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the chain took what anybody may send; false also if somebody else was first.
fn first(result: Result<(), ClientError>) -> Result<bool> {
    match result {
        Err(ClientError::Failed { .. }) => Ok(false),
        result => sent(result),
    }
}

/// The verifier's role for one batch alone: an opinion, committed and revealed. Run again after a kill it goes on where it was.
///
/// # Errors
/// [`WorkerError::Chain`], and failures of the machine; a file that is withheld or damaged makes a verdict against the batch.
pub async fn judge(
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    wallet: &Wallet,
    batch: U256,
    progress: &Progress,
) -> Result<Verdict> {
    let head = client.block_number().await?;
    let (c, f, m) = (client.clone(), folders.clone(), machine.clone());
    let mut role = Verifier::new(c, f, m, wallet.clone(), progress.clone(), head);
    role.patient = false;
    let deadline = tokio::time::Instant::now() + client.config().confirm_timeout;
    loop {
        let posted = client.settlement().batch(batch).await?;
        match Box::pin(role.give(batch, &posted)).await? {
            Given::Revealed(_) => {
                let opinion = Box::pin(role.opinion(batch, &posted)).await?;
                return Ok(opinion.expect("nothing is waited for").verdict);
            }
            Given::NotOurs => {
                let what = format!("batch {batch}");
                let got = format!("{} may not, or it is too late", wallet.address());
                return Err(WorkerError::mismatch(what, "a verifier who may give a verdict", got));
            }
            Given::Waiting if tokio::time::Instant::now() >= deadline => {
                let waited = client.config().confirm_timeout;
                let height = client.block_number().await? + 1;
                return Err(ClientError::NoBlock { height, waited }.into());
            }
            Given::Waiting => tokio::time::sleep(client.config().poll_interval).await,
            Given::Acted(_) => {}
        }
    }
}
