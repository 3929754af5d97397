//! The worker with its operator: what `demo`, `up`, `chat` and `settle` have in common.

use std::sync::Arc;

use alloy_primitives::U256;
use anyhow::{Context, Result};
use openledger_client::Client;
use openledger_corpus::blob::Blobs;
use openledger_model::Pool;
use openledger_serve::{AdapterLimits, Engine, Scheduler};
use openledger_types::abi::{BatchStatus, IModels, ISettlement, StakeRole};
use openledger_types::batch::{BatchFile, Payout};
use openledger_worker::claim::{claim_batch, load_batch};
use openledger_worker::dispute::Defender;
use openledger_worker::lineage::Lineage;
use openledger_worker::operator::{Limits, Operator, Settings};
use openledger_worker::settle::{self, Terms};
use openledger_worker::verify::{self, Verdict};
use openledger_worker::{Machine, Progress, develop};

use crate::home::Home;
use crate::local::{self, Local};

/// A serving worker.
pub(crate) struct Stack<'a> {
    pub(crate) home: &'a Home,
    pub(crate) local: &'a Local,
    pub(crate) client: Client,
    pub(crate) machine: Machine,
    pub(crate) operator: Operator,
    progress: Progress,
}

/// A batch that was brought to its end.
pub(crate) struct Settled {
    pub(crate) id: U256,
    pub(crate) file: BatchFile,
    pub(crate) verdict: Verdict,
    pub(crate) claimed: Vec<Payout>,
}

impl<'a> Stack<'a> {
    /// Stakes operator and verifier and serves every adapter on chain that was trained on this machine's base model and whose data is in
    /// this corpus.
    pub(crate) async fn open(
        home: &'a Home,
        local: &'a Local,
        client: &Client,
        machine: Machine,
        limits: Limits,
        progress: Progress,
    ) -> Result<Self> {
        let wallet = local.staked(client, local::OPERATOR, StakeRole::Operator, "operator_stake").await?;
        // Only who was bonded when a batch was posted may judge it.
        local.staked(client, local::VERIFIER, StakeRole::Verifier, "verifier_stake").await?;
        // Steps have threads of their own; what else is computed on this machine keeps to the machine's.
        let steps = Pool::new(machine.pool.threads())?;
        let engine = Engine::new(machine.model.clone(), machine.tokenizer.clone(), steps);
        let scheduler = Scheduler::start(engine, machine.pool.clone(), Default::default())?;
        let registry = develop::registry(&machine, AdapterLimits::default())?;
        let settings = Settings {
            chain_id: client.chain_id(),
            split: Terms::load(client).await?.rules.split,
            folder: home.worker().answers(),
            limits,
        };
        let operator = Operator::open(settings, wallet, scheduler, registry, Arc::new(client.clone()))?;
        let stack = Self { home, local, client: client.clone(), machine, operator, progress };
        stack.serve_all().await?;
        stack.take_note_of_posted().await?;
        Ok(stack)
    }

    async fn serve_all(&self) -> Result<()> {
        let blobs = Blobs::open(self.home.worker().corpus())?;
        let count = self.client.models().call(&IModels::adapterCountCall {}).await?;
        let mut id = U256::from(1);
        while id <= count {
            let adapter = self.client.models().adapter(id).await?;
            let base = self.client.models().base(adapter.base).await?;
            let here = blobs.exists(adapter.manifestHash) && blobs.exists(adapter.transcriptHash);
            if !adapter.retired && base.fileHash == self.machine.base_hash && here {
                let lineage = Lineage::load(&self.client, &blobs, id).await?;
                let name = model_name(&self.client, id).await?;
                let folders = self.home.worker();
                let served = develop::serve(
                    &self.client,
                    &folders,
                    &self.machine,
                    &lineage,
                    self.operator.registry(),
                    name,
                    &self.progress,
                )
                .await?;
                self.operator.serve(served)?;
            }
            id += U256::from(1);
        }
        Ok(())
    }

    /// A kill between posting a batch and noting it leaves its answers pending here; the chain knows better.
    async fn take_note_of_posted(&self) -> Result<()> {
        for pending in self.operator.pending() {
            let call = ISettlement::batchOfCall {
                operator: self.operator.address(),
                epoch: pending.epoch,
                adapter: pending.adapter,
            };
            let batch = self.client.settlement().call(&call).await?;
            if !batch.is_zero() {
                self.operator.set_epoch(pending.epoch + 1);
                self.operator.mark_posted(pending.epoch, pending.adapter, batch)?;
            }
        }
        Ok(())
    }

    /// Ends the epoch and posts a batch for each adapter that answered in it.
    pub(crate) async fn post_pending(&self) -> Result<Vec<U256>> {
        let blobs = Blobs::open(self.home.worker().corpus())?;
        let wallet = self.local.wallet(local::OPERATOR)?;
        let mut posted = Vec::new();
        for pending in self.operator.end_epoch() {
            let answers = self.operator.answers(pending.epoch, pending.adapter)?;
            let lineage = Lineage::load(&self.client, &blobs, pending.adapter).await?;
            let folders = self.home.worker();
            let (batch, _) = settle::post(
                &self.client,
                &folders,
                &wallet,
                &self.machine,
                &lineage,
                answers,
                &self.progress,
            )
            .await?;
            self.operator.mark_posted(pending.epoch, pending.adapter, batch)?;
            posted.push(batch);
        }
        Ok(posted)
    }

    /// The batches of this operator that are not at their end: not final, or not claimed.
    pub(crate) async fn unfinished(&self) -> Result<Vec<U256>> {
        let count = self.client.settlement().call(&ISettlement::batchCountCall {}).await?;
        let mut unfinished = Vec::new();
        let mut id = U256::from(1);
        while id <= count {
            let batch = self.client.settlement().batch(id).await?;
            let claimable = batch.totals.contributors
                + batch.totals.base
                + batch.totals.operator
                + batch.totals.developer;
            let open = batch.status == BatchStatus::Posted
                || (batch.status == BatchStatus::Finalised && batch.claimed < claimable);
            if batch.operator == self.operator.address() && open {
                unfinished.push(id);
            }
            id += U256::from(1);
        }
        Ok(unfinished)
    }

    /// The verifier's role for a batch.
    pub(crate) async fn judge(&self, batch: U256) -> Result<Verdict> {
        let wallet = self.local.wallet(local::VERIFIER)?;
        let folders = self.home.worker();
        let judge = verify::judge(&self.client, &folders, &self.machine, &wallet, batch, &self.progress);
        Ok(Box::pin(judge).await?)
    }

    /// The operator's side of every challenge of its batches, and of panels that find against one, with at most so many wei in bonds of appeals;
    /// it ends only by being dropped.
    pub(crate) fn defend(&self, most: U256) -> Result<impl Future<Output = ()> + Send + 'static> {
        let wallet = self.local.wallet(local::OPERATOR)?;
        let (client, folders, machine) = (self.client.clone(), self.home.worker(), self.machine.clone());
        let defender = Defender::new(client, folders, machine, wallet, self.progress.clone(), 0);
        Ok(defender.appealing(most).run())
    }

    /// Finalises a batch that was judged.
    pub(crate) async fn finalise(&self, batch: U256) -> Result<()> {
        if self.client.settlement().batch(batch).await?.status == BatchStatus::Posted {
            let wallet = self.local.wallet(local::OPERATOR)?;
            self.client.settlement().finalise(&wallet, batch).await?;
        }
        Ok(())
    }

    /// Claims every payout of a final batch for whom it belongs to; the operator pays the gas, as any relayer may.
    pub(crate) async fn claim(&self, batch: U256) -> Result<Vec<Payout>> {
        if self.client.settlement().batch(batch).await?.status != BatchStatus::Finalised {
            return Ok(Vec::new());
        }
        let file = self.file(batch).await?;
        let wallet = self.local.wallet(local::OPERATOR)?;
        Ok(claim_batch(&self.client, &wallet, &file, batch, None).await?)
    }

    /// The file of a batch.
    pub(crate) async fn file(&self, batch: U256) -> Result<BatchFile> {
        let blobs = Blobs::open(self.home.worker().corpus())?;
        Ok(load_batch(&self.client, &blobs, batch).await?)
    }

    /// Posts what is pending and brings every batch to its end.
    pub(crate) async fn settle(&self) -> Result<Vec<Settled>> {
        self.post_pending().await?;
        let mut settled = Vec::new();
        for id in self.unfinished().await? {
            let verdict = match self.client.settlement().batch(id).await?.status {
                BatchStatus::Posted => self.judge(id).await?,
                _ => Verdict::Equal { batch: Some(id) },
            };
            self.finalise(id).await?;
            let claimed = self.claim(id).await?;
            settled.push(Settled { id, file: self.file(id).await?, verdict, claimed });
        }
        Ok(settled)
    }
}

/// How an adapter is called: the first Datanet it was trained on and its number.
pub(crate) async fn model_name(client: &Client, id: U256) -> Result<String> {
    let adapter = client.models().adapter(id).await?;
    let first = adapter.datanets.first().context("an adapter is trained on some Datanet")?;
    let datanet = client.datanets().datanet(first.datanet).await?;
    let words: Vec<String> = datanet
        .name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    Ok(format!("{}-{id}", words.join("-")))
}
