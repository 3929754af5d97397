//! The answers of an epoch to a batch.
//!
//! The batch is a pure function of the adapter's lineage, the transcript and the answers ([`Settler`]): the operator calls it to post,
//! a verifier to check, and both get the same bytes.

use alloy_primitives::{B256, U256};
use openledger_attribution::settle::Rules;
use openledger_client::{Client, Wallet};
use openledger_corpus::blob::Blobs;
use openledger_types::abi::{BatchPost, Charge, ISettlement};
use openledger_types::batch::{BatchFile, payout_tree, receipts_root};
use openledger_types::receipt::{Answer, Receipt, encode_document};
use openledger_types::split::FeeSplit;

use crate::claim::load_batch;
use crate::error::compute;
use crate::lineage::Lineage;
use crate::payees::Payees;
use crate::settler::{Settler, settlement_steps};
use crate::{Folders, Machine, Progress, Result, WorkerError};

/// What a batch is settled under.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The chain.
    pub chain_id: u64,
    /// Unix seconds of the governed numbers.
    pub settled_at: u64,
    /// Governed numbers.
    pub rules: Rules,
}

impl Terms {
    /// The terms of the newest block.
    ///
    /// # Errors
    /// As [`Self::at`].
    pub async fn load(client: &Client) -> Result<Self> {
        Self::at(client, client.latest_header().await?.timestamp).await
    }

    /// The terms of a time that has passed, unix seconds: the same for everybody who asks later.
    ///
    /// # Errors
    /// [`WorkerError::Chain`], or [`WorkerError::Mismatch`] for a governed number out of its range.
    pub async fn at(client: &Client, settled_at: u64) -> Result<Self> {
        let ppm = async |name: &str| -> Result<u32> {
            let value = client.params().get_at(name, settled_at).await?;
            u32::try_from(value).map_err(|_size| WorkerError::mismatch(name, "at most 1000000", value))
        };
        let split = FeeSplit {
            contributors_ppm: ppm("contributors_ppm").await?,
            operator_ppm: ppm("operator_ppm").await?,
            developer_ppm: ppm("developer_ppm").await?,
            validators_ppm: ppm("validators_ppm").await?,
            treasury_ppm: ppm("treasury_ppm").await?,
            burn_ppm: ppm("burn_ppm").await?,
        };
        let floor_micronats = u64::from(ppm("influence_floor_micronats").await?);
        let cluster_cap_ppm = ppm("cluster_cap").await?;
        let rules = Rules { split, floor_micronats, cluster_cap_ppm };
        Ok(Self { chain_id: client.chain_id(), settled_at, rules })
    }
}

/// Settles and posts the unsettled answers of an epoch. Posting twice gives the batch that is there.
///
/// # Errors
/// Those of [`Settler::settle`], and [`WorkerError::Chain`] with the settlement module's reason.
pub async fn post(
    client: &Client,
    folders: &Folders,
    wallet: &Wallet,
    machine: &Machine,
    lineage: &Lineage,
    answers: Vec<Answer>,
    progress: &Progress,
) -> Result<(U256, BatchFile)> {
    let blobs = Blobs::open(folders.corpus())?;
    if let Some(posted) = posted_before(client, &blobs, &answers).await? {
        return Ok(posted);
    }
    let terms = Terms::load(client).await?;
    let payees = Payees::load(client, lineage, &answers).await?;
    let checkpoint = checkpoint_path(folders, terms.chain_id, &answers)?;
    let settled = {
        let (machine, lineage, progress) = (machine.clone(), lineage.clone(), progress.clone());
        let (blobs, checkpoint) = (Blobs::open(folders.corpus())?, checkpoint.clone());
        compute(move || {
            let run = lineage.run(&machine, &progress)?;
            let transcript = lineage.transcript(&blobs, &run)?;
            let (lineage, terms, payees, run, progress) = (&lineage, &terms, &payees, &run, &progress);
            let settler = Settler { lineage, terms, payees, run, progress };
            settler.settle(transcript, answers, Some(checkpoint.as_path()))
        })
        .await?
    };
    let file = settled.file;
    let file_hash = blobs.put(&encode_document(&file))?;
    keep_states(folders, file_hash, &settled.states)?;
    let post = post_of(&file, file_hash, lineage.manifest.recipe.steps as usize, terms.settled_at);
    let batch = client.settlement().post(wallet, post).await?;
    if checkpoint.exists() {
        std::fs::remove_file(&checkpoint).map_err(WorkerError::io("remove", &checkpoint))?;
    }
    Ok((batch, file))
}

/// The batch that was posted before a kill, if one was.
async fn posted_before(
    client: &Client,
    blobs: &Blobs,
    answers: &[Answer],
) -> Result<Option<(U256, BatchFile)>> {
    let Some(first) = answers.first() else { return Ok(None) };
    match posted_batch(client, &first.receipt).await? {
        Some(batch) => Ok(Some((batch, load_batch(client, blobs, batch).await?))),
        None => Ok(None),
    }
}

/// The batch on chain of a receipt's operator, epoch and adapter.
pub(crate) async fn posted_batch(client: &Client, receipt: &Receipt) -> Result<Option<U256>> {
    let call = ISettlement::batchOfCall {
        operator: receipt.operator,
        epoch: receipt.epoch,
        adapter: receipt.adapter,
    };
    let batch = client.settlement().call(&call).await?;
    Ok((!batch.is_zero()).then_some(batch))
}

/// Keeps what an operator states if its settlement is disputed: a replay may take longer than a move.
fn keep_states(folders: &Folders, file_hash: B256, states: &[B256]) -> Result<()> {
    let path = folders.states(file_hash);
    let parent = path.parent().expect("it is below a root");
    std::fs::create_dir_all(parent).map_err(WorkerError::io("create the folder", parent))?;
    std::fs::write(&path, states.concat()).map_err(WorkerError::io("write", &path))
}

/// The states of a settlement that was made here; `None` if none was.
pub(crate) fn kept_states(folders: &Folders, file_hash: B256, steps: u32) -> Option<Vec<B256>> {
    let bytes = std::fs::read(folders.states(file_hash)).ok()?;
    let whole = bytes.len() == 32 * (steps as usize).saturating_sub(1);
    whole.then(|| bytes.chunks_exact(32).map(B256::from_slice).collect())
}

/// The post of a batch whose file has this hash, of an adapter that was trained in so many steps, settled with the governed numbers of a time
/// in unix seconds.
///
/// # Panics
/// For more answers or payouts than 32 bits count, which no batch file has.
pub fn post_of(file: &BatchFile, file_hash: B256, training: usize, settled_at: u64) -> BatchPost {
    let (receipts_root, fees) = receipts_root(file.chain_id, &file.answers);
    let count = |n: usize| u32::try_from(n).expect("a batch file keeps the limit of answers");
    let mut charges: Vec<Charge> = Vec::new();
    for answer in &file.answers {
        let receipt = &answer.receipt;
        match charges.iter_mut().find(|charge| charge.key == receipt.key) {
            Some(charge) => charge.amount += receipt.fee,
            None => charges.push(Charge { key: receipt.key, amount: receipt.fee }),
        }
    }
    BatchPost {
        epoch: file.epoch,
        adapter: file.adapter,
        receiptsRoot: receipts_root,
        receipts: count(file.answers.len()),
        steps: settlement_steps(file.answers.len(), training),
        fees,
        totals: file.parts.totals(file.base),
        payoutsRoot: payout_tree(&file.payouts).root(),
        payouts: count(file.payouts.len()),
        fileHash: file_hash,
        settledAt: settled_at,
        charges,
    }
}

/// One replay's state is kept under a name that depends on all of its answers, so that it is never continued for others.
fn checkpoint_path(folders: &Folders, chain_id: u64, answers: &[Answer]) -> Result<std::path::PathBuf> {
    let folder = folders.unfinished();
    std::fs::create_dir_all(&folder).map_err(WorkerError::io("create the folder", &folder))?;
    let (root, _) = receipts_root(chain_id, answers);
    Ok(folder.join(format!("replay-{}", alloy_primitives::hex::encode(root))))
}
