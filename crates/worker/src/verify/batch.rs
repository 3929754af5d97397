//! A posted batch made again.

use alloy_primitives::{B256, U256, keccak256};
use openledger_client::Client;
use openledger_corpus::CorpusError;
use openledger_corpus::blob::Blobs;
use openledger_types::abi::{Batch, ISettlement};
use openledger_types::batch::{
    BatchFile, WITHHELD, payout_tree, receipts_root, sampled_receipts, verdict_digest,
};
use openledger_types::receipt::encode_document;

use super::execution::Executor;
use super::sources::Sourcing;
use super::statement::{self, OnChain};
use super::{Difference, Verdict, fault, first_difference};
use crate::claim::load_batch;
use crate::error::compute;
use crate::lineage::Lineage;
use crate::payees::Payees;
use crate::settle::Terms;
use crate::settler::{Settler, settlement_steps};
use crate::{Folders, Machine, Progress, Result, WorkerError};

/// What the hash of a trace begins with.
const TRACE_DOMAIN: &[u8] = b"openledger-trace/2";

/// Whose hash is the digest of who found a difference: a zero on chain is a verdict that is not revealed.
const DIFFERENT: &[u8] = b"different";

/// What a verifier says of a batch, and what it says it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opinion {
    /// In words.
    pub verdict: Verdict,
    /// The digest of the posted roots if they are what was recomputed; `keccak256("different")` for a batch that differs, [`WITHHELD`] for a file that is not there.
    pub digest: B256,
    /// What stands in no file: BLAKE3 of `TRACE_DOMAIN`, the number of each answer that was executed again with the hash of its
    /// [logits](openledger_serve::Reexecution::logits) and sources' credit, and the [trace of the settlement](crate::settler::Settled::trace). Zero with any other digest than the posted one.
    pub trace: B256,
}

impl Opinion {
    /// Whether the batch is what it says.
    pub fn is_right(&self) -> bool {
        matches!(self.verdict, Verdict::Equal { .. })
    }

    /// Recomputes a posted batch, of which the receipts `sample` are executed again, or all.
    ///
    /// # Errors
    /// [`WorkerError::Chain`], and failures of the machine; a file that is damaged or false makes an opinion against the batch.
    pub async fn form(
        client: &Client,
        folders: &Folders,
        machine: &Machine,
        batch: U256,
        sample: Option<Vec<usize>>,
        progress: &Progress,
    ) -> Result<Self> {
        let Some(file) = load_or_withheld(client, folders, batch).await? else {
            let difference = Difference::new("batch file", "the file that the batch names", "nothing");
            return Ok(Self { verdict: Verdict::Different(difference), digest: WITHHELD, trace: B256::ZERO });
        };
        let checked = match file {
            Ok(file) => {
                let posted = Posted::load(client, batch, file).await?;
                check_batch(client, folders, machine, posted, sample, progress).await?
            }
            Err(difference) => Checked::Different { step: None, difference },
        };
        Ok(match checked {
            Checked::Equal { trace } => {
                let posted = client.settlement().batch(batch).await?;
                let digest = verdict_digest(posted.receiptsRoot, posted.payoutsRoot, posted.fileHash);
                Self { verdict: Verdict::Equal { batch: Some(batch) }, digest, trace }
            }
            // Whoever finds a difference states a digest that is not the posted one; which one it is says nothing more.
            Checked::Different { difference, .. } => {
                let digest = keccak256(DIFFERENT);
                Self { verdict: Verdict::Different(difference), digest, trace: B256::ZERO }
            }
        })
    }
}

/// What came of recomputing a batch file.
pub(crate) enum Checked {
    /// It is what it says.
    Equal {
        /// See [`Opinion::trace`].
        trace: B256,
    },
    /// It is not.
    Different {
        /// The answer that is false, if one is; else what they are settled to.
        step: Option<usize>,
        /// The first difference.
        difference: Difference,
    },
}

impl Checked {
    fn settlement(difference: Difference) -> Self {
        Self::Different { step: None, difference }
    }

    fn answer(at: usize, difference: Difference) -> Self {
        Self::Different { step: Some(at), difference: difference.within(&format!("answers[{at}]")) }
    }
}

/// The file of a batch, or what is wrong with its bytes; `None` if it is not to be had.
pub(crate) async fn load_or_withheld(
    client: &Client,
    folders: &Folders,
    batch: U256,
) -> Result<Option<Result<BatchFile, Difference>>> {
    let blobs = Blobs::open(folders.corpus())?;
    match load_batch(client, &blobs, batch).await {
        Ok(file) => Ok(Some(Ok(file))),
        Err(WorkerError::Corpus(CorpusError::BlobMissing { .. } | CorpusError::BlobCorrupt { .. })) => {
            Ok(None)
        }
        Err(error @ (WorkerError::Corpus(CorpusError::TooLarge { .. }) | WorkerError::Document { .. })) => {
            let expected = "a batch file in its canonical encoding and within the limits";
            Ok(Some(Err(Difference::new("batch file", expected, error))))
        }
        Err(error) => Err(error),
    }
}

/// The receipts of a batch that are executed again; `None` stands for all. With more than are sampled, the draw must have been made.
///
/// # Errors
/// [`WorkerError::Chain`].
pub(super) async fn sample(client: &Client, batch: U256, posted: &Batch) -> Result<Option<Vec<usize>>> {
    let receipts = posted.receipts;
    let count = client.params().get_at("sampled_receipts", posted.settledAt).await?;
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if receipts <= count {
        return Ok(None);
    }
    let seed = client.settlement().call(&ISettlement::seedCall { batch }).await?;
    let mut sample: Vec<usize> =
        sampled_receipts(seed, receipts, count).into_iter().map(|receipt| receipt as usize).collect();
    sample.sort_unstable();
    sample.dedup();
    Ok(Some(sample))
}

/// A posted batch with its file and what the chain says of its adapter.
pub(crate) struct Posted {
    pub(super) id: U256,
    pub(super) file: BatchFile,
    pub(super) chain: OnChain,
}

impl Posted {
    pub(crate) async fn load(client: &Client, id: U256, file: BatchFile) -> Result<Self> {
        let chain = OnChain::load(client, file.adapter).await?;
        Ok(Self { id, file, chain })
    }
}

/// What the last step of a settlement compares beside the file: roots, sums and charges as posted.
pub(crate) async fn check_payouts(client: &Client, id: U256, file: &BatchFile) -> Result<Option<Difference>> {
    match statement::batch(client, id, file).await? {
        None => statement::charges(client, id, file).await,
        difference => Ok(difference),
    }
}

/// Recomputes a posted batch with its file: the answers of `sample`, or all, and the payouts.
pub(crate) async fn check_batch(
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    posted: Posted,
    sample: Option<Vec<usize>>,
    progress: &Progress,
) -> Result<Checked> {
    let Posted { id, file, mut chain } = posted;
    if let Some(difference) = statement::batch(client, id, &file).await? {
        return Ok(Checked::settlement(difference));
    }
    for (at, answer) in file.answers.iter().enumerate() {
        let checked = match statement::documents(answer, file.chain_id) {
            Some(difference) => Some(difference),
            None => chain.check(client, answer).await?,
        };
        if let Some(difference) = checked {
            return Ok(Checked::answer(at, difference));
        }
    }
    if let Some(difference) = statement::charges(client, id, &file).await? {
        return Ok(Checked::settlement(difference));
    }
    let blobs = Blobs::open(folders.corpus())?;
    let lineage = Lineage::load(client, &blobs, file.adapter).await?;
    let steps = settlement_steps(file.answers.len(), lineage.manifest.recipe.steps as usize);
    let posted = client.settlement().batch(id).await?;
    if let Some(difference) = Difference::between("batch.steps", steps, posted.steps) {
        return Ok(Checked::settlement(difference));
    }
    let terms = Terms::at(client, posted.settledAt).await?;
    let payees = Payees::load(client, &lineage, &file.answers).await?;
    let sample = sample.unwrap_or_else(|| (0..file.answers.len()).collect());
    let sampled = sample.iter().filter_map(|at| file.answers.get(*at));
    let sourcing = Sourcing::load(client, &blobs, &lineage, sampled).await?;
    let (machine, progress) = (machine.clone(), progress.clone());
    compute(move || {
        let run = lineage.run(&machine, &progress)?;
        let executor = match Executor::new(&machine, &lineage, &blobs, &run, sourcing) {
            Err(WorkerError::Mismatch { what, expected, got }) => {
                return Ok(Checked::settlement(Difference::new(what, expected, got)));
            }
            executor => executor?,
        };
        let mut trace = blake3::Hasher::new();
        trace.update(TRACE_DOMAIN);
        for (done, at) in sample.iter().enumerate() {
            progress.report("re-execution of answers", done as u64, sample.len() as u64, "");
            let Some(answer) = file.answers.get(*at) else { continue };
            match executor.check(answer, "")? {
                Ok(logits) => {
                    trace.update(&(*at as u64).to_le_bytes());
                    trace.update(logits.as_slice());
                }
                Err(difference) => return Ok(Checked::answer(*at, difference)),
            }
        }
        progress.report("re-execution of answers", sample.len() as u64, sample.len() as u64, "");
        let transcript = lineage.transcript(&blobs, &run)?;
        let (lineage, terms, payees, run, progress) = (&lineage, &terms, &payees, &run, &progress);
        let settler = Settler { lineage, terms, payees, run, progress };
        match settler.settle(transcript, file.answers.clone(), None) {
            Ok(made) => {
                trace.update(made.trace.as_slice());
                let trace = B256::from(*trace.finalize().as_bytes());
                Ok(first_difference("", &made.file, &file)
                    .map_or(Checked::Equal { trace }, Checked::settlement))
            }
            Err(error) => fault::of_the_batch(error).map(Checked::settlement),
        }
    })
    .await
}

/// Recomputes one answer of a posted batch: the hash of its [logits](openledger_serve::Reexecution::logits), or what differs.
pub(crate) async fn check_answer_at(
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    file: &BatchFile,
    at: usize,
    progress: &Progress,
) -> Result<Result<B256, Difference>> {
    let Some(answer) = file.answers.get(at) else {
        let expected = format!("at least {}", at + 1);
        return Ok(Err(Difference::new("answers.length", expected, file.answers.len())));
    };
    if let Some(difference) = statement::place(file, at, answer)
        .or_else(|| statement::documents(answer, file.chain_id).map(|d| d.within(&format!("answers[{at}]"))))
    {
        return Ok(Err(difference));
    }
    if let Some(difference) = OnChain::load(client, file.adapter).await?.check(client, answer).await? {
        return Ok(Err(difference.within(&format!("answers[{at}]"))));
    }
    let blobs = Blobs::open(folders.corpus())?;
    let lineage = Lineage::load(client, &blobs, file.adapter).await?;
    let sourcing = Sourcing::load(client, &blobs, &lineage, [answer]).await?;
    let (machine, progress, answer) = (machine.clone(), progress.clone(), answer.clone());
    compute(move || {
        let run = lineage.run(&machine, &progress)?;
        let executor = Executor::new(&machine, &lineage, &blobs, &run, sourcing)?;
        executor.check(&answer, &format!("answers[{at}]."))
    })
    .await
}

/// The hash that names a batch file, and its roots, as its own content gives them.
pub(super) fn roots(file: &BatchFile) -> (B256, U256, B256, B256) {
    let (receipts, fees) = receipts_root(file.chain_id, &file.answers);
    let payouts = payout_tree(&file.payouts).root();
    (receipts, fees, payouts, openledger_corpus::blob::content_hash(&encode_document(file)))
}
