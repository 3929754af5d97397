//! A receipt or a batch recomputed from nothing but chain and corpus.
//!
//! What is compared, in this order, so that what costs least and says most comes first:
//! 1. *Statement*: the answer is field by field the one in the posted batch file; its documents have the hashes that the
//!    receipt states; the operator signed it.
//! 2. *Chain*: adapter, base model, Datanets, prices and fee are those on chain; the batch's roots, sums and totals are
//!    those posted.
//! 3. *Execution*: sources, prompt, tokens, text, explained nats, estimate and spans of the answer, made again.
//! 4. *Payout*: weights, one replay of the training run (which recomputes every gradient of the transcript), credits and
//!    payouts of the batch, made again.
//!
//! The first difference ends it and is named with its field.
//!
//! Of a batch of more receipts than `sampled_receipts`, those are executed again that the seed of the draw samples, which nobody knew when
//! the batch was posted; everything else is compared for all of them.

mod batch;
mod difference;
mod execution;
pub(crate) mod fault;
mod role;
mod sources;
mod statement;

#[cfg(test)]
mod tests;

pub use batch::Opinion;
pub(crate) use batch::{Checked, Posted, check_answer_at, check_batch, check_payouts, load_or_withheld};
pub use difference::{Difference, first_difference};
pub use role::{Act, Verifier, judge};

use alloy_primitives::{B256, U256};
use openledger_client::Client;
use openledger_corpus::blob::Blobs;
use openledger_types::abi::ISettlement;
use openledger_types::batch::BatchFile;
use openledger_types::receipt::Answer;

use crate::claim::load_batch;
use crate::error::compute;
use crate::lineage::Lineage;
use crate::operator::AnswerStore;
use crate::settle::posted_batch;
use crate::{Folders, Machine, Progress, Result, WorkerError};

/// What came of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is equal.
    Equal {
        /// The batch that settles it; `None` while none is posted, when no payout could be compared.
        batch: Option<U256>,
    },
    /// Something is not.
    Different(Difference),
}

/// The posted batch that holds an answer of this operator, epoch and adapter, with its file.
async fn batch_of(client: &Client, blobs: &Blobs, answer: &Answer) -> Result<Option<(U256, BatchFile)>> {
    match posted_batch(client, &answer.receipt).await? {
        Some(id) => Ok(Some((id, load_batch(client, blobs, id).await?))),
        None => Ok(None),
    }
}

/// Finds an answer by its receipt's id: in the files of posted batches, then among answers that are not settled yet.
///
/// # Errors
/// [`WorkerError::Corpus`] if a batch file is missing or damaged, [`WorkerError::Mismatch`] if there is no such receipt.
pub async fn find_answer(client: &Client, folders: &Folders, id: B256) -> Result<Answer> {
    let blobs = Blobs::open(folders.corpus())?;
    let count = client.settlement().call(&ISettlement::batchCountCall {}).await?;
    let mut batch = count;
    while !batch.is_zero() {
        let file = load_batch(client, &blobs, batch).await?;
        if let Some(answer) = file.answers.into_iter().find(|a| a.receipt.id(file.chain_id) == id) {
            return Ok(answer);
        }
        batch -= U256::from(1);
    }
    AnswerStore::read_only(&folders.answers(), client.chain_id()).read(id)?.ok_or_else(|| {
        WorkerError::mismatch("receipt", id, "nothing of that id in any batch or among unsettled answers")
    })
}

/// The cheap part: statement and chain. `None` means that nothing differs so far.
///
/// # Errors
/// [`WorkerError::Chain`], [`WorkerError::Corpus`].
pub async fn check_statement(
    client: &Client,
    folders: &Folders,
    answer: &Answer,
) -> Result<Option<Difference>> {
    let blobs = Blobs::open(folders.corpus())?;
    let posted = batch_of(client, &blobs, answer).await?;
    let mut chain = statement::OnChain::load(client, answer.receipt.adapter).await?;
    stated(client, answer, posted.as_ref().map(|(_, file)| file), &mut chain).await
}

async fn stated(
    client: &Client,
    answer: &Answer,
    posted: Option<&BatchFile>,
    chain: &mut statement::OnChain,
) -> Result<Option<Difference>> {
    if let Some(file) = posted {
        let at = answer.receipt.sequence as usize;
        let Some(stated) = file.answers.get(at) else {
            return Ok(Some(Difference::new(
                "receipt.sequence",
                format!("below {}", file.answers.len()),
                at,
            )));
        };
        if let Some(difference) = first_difference("", stated, answer) {
            return Ok(Some(difference));
        }
    }
    if let Some(difference) = statement::documents(answer, client.chain_id()) {
        return Ok(Some(difference));
    }
    chain.check(client, answer).await
}

/// Recomputes an answer and the payout of its batch.
///
/// # Errors
/// [`WorkerError::Chain`], [`WorkerError::Corpus`] and failures of the machine. What differs is a [`Verdict`], not an error.
pub async fn verify_answer(
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    answer: &Answer,
    progress: &Progress,
) -> Result<Verdict> {
    let blobs = Blobs::open(folders.corpus())?;
    let posted = batch_of(client, &blobs, answer).await?;
    let mut chain = statement::OnChain::load(client, answer.receipt.adapter).await?;
    let file = posted.as_ref().map(|(_, file)| file);
    if let Some(difference) = stated(client, answer, file, &mut chain).await? {
        return Ok(Verdict::Different(difference));
    }
    let only = answer.receipt.sequence as usize;
    match posted {
        Some((id, file)) => {
            let posted = Posted { id, file, chain };
            let checked = check_batch(client, folders, machine, posted, Some(vec![only]), progress).await?;
            Ok(match checked {
                Checked::Equal { .. } => Verdict::Equal { batch: Some(id) },
                Checked::Different { difference, .. } => Verdict::Different(difference),
            })
        }
        None => {
            let lineage = Lineage::load(client, &blobs, answer.receipt.adapter).await?;
            let sourcing = sources::Sourcing::load(client, &blobs, &lineage, [answer]).await?;
            let (machine, answer, progress) = (machine.clone(), answer.clone(), progress.clone());
            let difference = compute(move || {
                let run = lineage.run(&machine, &progress)?;
                let executor = execution::Executor::new(&machine, &lineage, &blobs, &run, sourcing)?;
                Ok(executor.check(&answer, "")?.err())
            })
            .await?;
            Ok(difference.map_or(Verdict::Equal { batch: None }, Verdict::Different))
        }
    }
}
