//! A receipt or a batch recomputed from nothing but chain and corpus.
//!
//! What is compared, in this order, so that what costs least and says most comes first:
//! 1. *Statement*: the answer is field by field the one in the posted batch file; its documents have the hashes that the
//!    receipt states; the operator signed it.
//! 2. *Chain*: adapter, base model, Datanets, prices and fee are those on chain; the batch's roots, sums and totals are
//!    those posted.
//! 3. *Execution*: prompt, tokens, text, explained nats, estimate and spans of the answer, made again.
//! 4. *Payout*: weights, one replay of the training run (which recomputes every gradient of the transcript), credits and
//!    payouts of the batch, made again.
//!
//! The first difference ends it and is named with its field.

mod difference;
mod execution;
mod statement;

#[cfg(test)]
mod tests;

pub use difference::{Difference, first_difference};

use alloy_primitives::{B256, U256};
use openledger_client::{Client, Wallet};
use openledger_corpus::blob::Blobs;
use openledger_types::abi::ISettlement;
use openledger_types::batch::{BatchFile, panel_trace, payout_tree, receipts_root, verdict_digest};
use openledger_types::receipt::{Answer, encode_document};

use crate::claim::load_batch;
use crate::error::compute;
use crate::lineage::Lineage;
use crate::operator::AnswerStore;
use crate::payees::Payees;
use crate::settle::{Terms, batch_file, posted_batch};
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
    if let Some((_, file)) = &posted {
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
    statement::on_chain(client, answer).await
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
    if let Some(difference) = check_statement(client, folders, answer).await? {
        return Ok(Verdict::Different(difference));
    }
    let blobs = Blobs::open(folders.corpus())?;
    let posted = batch_of(client, &blobs, answer).await?;
    let only = answer.receipt.sequence as usize;
    match posted {
        Some((id, file)) => {
            let checked = verify_file(client, folders, machine, id, file, Some(only), progress).await?;
            Ok(match checked {
                Checked::Equal { .. } => Verdict::Equal { batch: Some(id) },
                Checked::Different(difference) => Verdict::Different(difference),
            })
        }
        None => {
            let lineage = Lineage::load(client, &blobs, answer.receipt.adapter).await?;
            let (machine, answer, progress) = (machine.clone(), answer.clone(), progress.clone());
            let difference = compute(move || {
                let run = lineage.run(&machine, &progress)?;
                execution::Executor::new(&machine, &lineage, &blobs, &run)?.check(&answer, "")
            })
            .await?;
            Ok(difference.map_or(Verdict::Equal { batch: None }, Verdict::Different))
        }
    }
}

/// What came of recomputing a batch file.
enum Checked {
    /// It is what it says; `trace` is what stands in no file ([`batch_file`]).
    Equal {
        /// The hash.
        trace: B256,
    },
    Different(Difference),
}

/// Recomputes a posted batch: every answer of it, or the answer `only` and the payouts of all.
async fn verify_file(
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    id: U256,
    file: BatchFile,
    only: Option<usize>,
    progress: &Progress,
) -> Result<Checked> {
    if let Some(difference) = statement::batch(client, id, &file).await? {
        return Ok(Checked::Different(difference));
    }
    for (at, answer) in file.answers.iter().enumerate() {
        let checked = match statement::documents(answer, file.chain_id) {
            Some(difference) => Some(difference),
            None => statement::on_chain(client, answer).await?,
        };
        if let Some(difference) = checked {
            return Ok(Checked::Different(difference.within(&format!("answers[{at}]"))));
        }
    }
    let blobs = Blobs::open(folders.corpus())?;
    let lineage = Lineage::load(client, &blobs, file.adapter).await?;
    let terms = Terms::load(client).await?;
    let payees = Payees::load(client, &lineage, &file.answers).await?;
    let (machine, progress) = (machine.clone(), progress.clone());
    compute(move || {
        let run = lineage.run(&machine, &progress)?;
        let executor = match execution::Executor::new(&machine, &lineage, &blobs, &run) {
            Err(WorkerError::Mismatch { what, expected, got }) => {
                return Ok(Checked::Different(Difference::new(what, expected, got)));
            }
            executor => executor?,
        };
        for (at, answer) in file.answers.iter().enumerate() {
            progress.report("re-execution of answers", at as u64, file.answers.len() as u64, "");
            if only.is_none_or(|only| only == at)
                && let Some(difference) = executor.check(answer, &format!("answers[{at}]."))?
            {
                return Ok(Checked::Different(difference));
            }
        }
        progress.report("re-execution of answers", file.answers.len() as u64, file.answers.len() as u64, "");
        let transcript = lineage.transcript(&blobs, &run)?;
        match batch_file(&lineage, &terms, &payees, &run, transcript, file.answers.clone(), None, &progress) {
            Ok((made, trace)) => {
                Ok(first_difference("", &made, &file).map_or(Checked::Equal { trace }, Checked::Different))
            }
            Err(WorkerError::Influence(
                error @ openledger_attribution::influence::Error::FalseStep { .. },
            )) => {
                let expected = "the gradients that the run has";
                Ok(Checked::Different(Difference::new("transcript", expected, error)))
            }
            Err(error) => Err(error),
        }
    })
    .await
}

/// The verifier's role for one posted batch: fetches the file, re-executes all of it, commits to the digest it computed and to
/// the trace of its work, and reveals both in a later block. Run again after a kill it goes on where it was.
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
    let blobs = Blobs::open(folders.corpus())?;
    let checked = match load_batch(client, &blobs, batch).await {
        Ok(file) => verify_file(client, folders, machine, batch, file, None, progress).await?,
        Err(error @ (WorkerError::Corpus(_) | WorkerError::Document { .. })) => {
            Checked::Different(Difference::new("batch file", "the file that the batch names", error))
        }
        Err(error) => return Err(error),
    };
    let posted = client.settlement().batch(batch).await?;
    // Whoever finds a difference states a digest that is not the posted one; which one it is says nothing more.
    let (verdict, digest, trace) = match checked {
        Checked::Equal { trace } => {
            let digest = verdict_digest(posted.receiptsRoot, posted.payoutsRoot, posted.fileHash);
            (Verdict::Equal { batch: Some(batch) }, digest, panel_trace(trace, posted.round))
        }
        Checked::Different(difference) => (Verdict::Different(difference), B256::ZERO, B256::ZERO),
    };
    let salt = alloy_primitives::keccak256(
        [
            crate::contribute::contributor_secret(wallet),
            B256::from(batch),
            B256::from(alloy_primitives::U256::from(posted.round)),
        ]
        .concat(),
    );
    let (committed, revealed) = {
        let call = ISettlement::verdictCall { batch, verifier: wallet.address() };
        let verdict = client.settlement().call(&call).await?;
        (!verdict.commitment.is_zero(), !verdict.digest.is_zero())
    };
    if !committed {
        client.settlement().commit_verdict(wallet, batch, digest, trace, salt).await?;
    }
    if !revealed {
        reveal_when_due(client, wallet, batch, digest, trace, salt).await?;
    }
    Ok(verdict)
}

/// A verdict is revealed in a later block than it was committed in.
async fn reveal_when_due(
    client: &Client,
    wallet: &Wallet,
    batch: U256,
    digest: B256,
    trace: B256,
    salt: B256,
) -> Result<()> {
    let deadline = tokio::time::Instant::now() + client.config().confirm_timeout;
    loop {
        match client.settlement().reveal_verdict(wallet, batch, digest, trace, salt).await {
            Err(error)
                if error.decode_revert::<ISettlement::WindowOpen>().is_some()
                    && tokio::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(client.config().poll_interval).await;
            }
            result => {
                result?;
                return Ok(());
            }
        }
    }
}

/// The hash that names a batch file, and its roots, as its own content gives them.
fn roots(file: &BatchFile) -> (B256, U256, B256, B256) {
    let (receipts, fees) = receipts_root(file.chain_id, &file.answers);
    let payouts = payout_tree(&file.payouts).root();
    (receipts, fees, payouts, openledger_corpus::blob::content_hash(&encode_document(file)))
}
