//! The answers of an epoch to a batch.
//!
//! [`batch_file`] is a pure function of the adapter's lineage, the transcript and the answers: the operator calls it to post,
//! a verifier to check, and both get the same bytes.

use alloy_primitives::{Address, B256, U256};
use openledger_attribution::influence::{Objective, ReplayOptions, answer_gradient, replay};
use openledger_attribution::settle::{AnswerFee, ClusterScore, Rules, piconats, settle, weights};
use openledger_client::{Client, Wallet};
use openledger_corpus::blob::Blobs;
use openledger_corpus::cluster::normalised_length;
use openledger_model::Lora;
use openledger_train::{Run, Trajectory, Transcript};
use openledger_types::abi::{BatchPost, Charge, ISettlement};
use openledger_types::batch::{BatchFile, payout_tree, receipts_root};
use openledger_types::receipt::{Answer, Receipt, encode_document};
use openledger_types::split::FeeSplit;

use crate::claim::load_batch;
use crate::error::compute;
use crate::lineage::Lineage;
use crate::payees::Payees;
use crate::{Folders, Machine, Progress, Result, WorkerError};

/// What the hash of a trace begins with.
const TRACE_DOMAIN: &[u8] = b"openledger-settlement-trace/1";

/// What a batch is settled under.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The chain.
    pub chain_id: u64,
    /// Governed numbers.
    pub rules: Rules,
}

impl Terms {
    /// The terms in force, from the chain.
    ///
    /// # Errors
    /// [`WorkerError::Chain`], or [`WorkerError::Mismatch`] for a governed number out of its range.
    pub async fn load(client: &Client) -> Result<Self> {
        let ppm = async |name: &str| -> Result<u32> {
            let value = client.params().get(name).await?;
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
        Ok(Self { chain_id: client.chain_id(), rules: Rules { split, floor_micronats, cluster_cap_ppm } })
    }
}

/// Settles answers of one adapter and epoch: weights, one replay, payouts. The same bytes on any machine.
///
/// The hash beside it is the settlement's part of what a verifier reveals as the [trace](crate::verify::Opinion::trace) of its work: BLAKE3
/// of `TRACE_DOMAIN`, the bits of every answer's gradient in order, and those of every record's score as the replay gives it. Neither stands
/// in the file, where scores are rounded.
///
/// `checkpoint` is where an interrupted replay is kept and continued from.
///
/// # Errors
/// [`WorkerError::Influence`] naming the first step of the transcript that does not follow from the run, and the errors of
/// the parts.
#[expect(clippy::too_many_arguments, reason = "a pure function of everything that decides over a batch")]
pub fn batch_file(
    lineage: &Lineage,
    terms: &Terms,
    payees: &Payees,
    run: &Run,
    transcript: Transcript,
    answers: Vec<Answer>,
    checkpoint: Option<&std::path::Path>,
    progress: &Progress,
) -> Result<(BatchFile, B256)> {
    let mut trajectory = Trajectory::new(run, transcript, None)?;
    let theta = trajectory.last().theta.clone();
    let mut fees = Vec::with_capacity(answers.len());
    let mut gradients = Vec::with_capacity(answers.len());
    for (done, answer) in answers.iter().enumerate() {
        progress.report("answers' gradients", done as u64, answers.len() as u64, "");
        let lora = Lora { config: run.lora(), theta: &theta };
        let gradient = answer_gradient(
            run.model(),
            run.pool(),
            lora,
            &answer.request.prompt_tokens,
            &answer.response.tokens,
        )?;
        fees.push(AnswerFee { fee: answer.receipt.fee, explained_micronats: gradient.explained_micronats() });
        gradients.push(gradient.gradient);
    }
    progress.report("answers' gradients", answers.len() as u64, answers.len() as u64, "");
    let weights = weights(&fees, &terms.rules)?;
    let mut objective = Objective::new(run.layout().len());
    for (ppb, gradient) in weights.ppb.iter().zip(&gradients) {
        objective.add(*ppb, gradient)?;
    }
    let mut report = |done: usize, total: usize| {
        progress.report("replay of the training run", done as u64, total as u64, "steps");
    };
    let options = ReplayOptions { weights: None, checkpoint };
    let scores = replay(&mut trajectory, &objective, options, &mut report)?;
    let trace = trace(&gradients, &scores);
    let clusters = lineage
        .set
        .records()
        .iter()
        .zip(&payees.contributors)
        .zip(scores)
        .map(|((record, payee), score)| {
            Ok(ClusterScore {
                cluster: record.cluster,
                record: record.record,
                contributor: *payee,
                length: normalised_length(&record.text),
                score_piconats: piconats(score)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let (operator, epoch) =
        answers.first().map_or((Address::ZERO, 0), |a| (a.receipt.operator, a.receipt.epoch));
    let settlement = settle(weights, &clusters, operator, &payees.developers)?;
    let file = BatchFile {
        chain_id: terms.chain_id,
        operator,
        epoch,
        adapter: lineage.id,
        answers,
        weights: settlement.weights,
        credits: settlement.credits,
        parts: settlement.parts,
        base: settlement.base,
        payouts: settlement.payouts,
    };
    Ok((file, trace))
}

fn trace(gradients: &[Vec<f32>], scores: &[f64]) -> B256 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(TRACE_DOMAIN);
    for part in gradients.iter().flat_map(|gradient| gradient.chunks(512)) {
        hasher.update(&part.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
    }
    hasher.update(&scores.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
    B256::from(*hasher.finalize().as_bytes())
}

/// Settles and posts the unsettled answers of an epoch. Posting twice gives the batch that is there.
///
/// # Errors
/// Those of [`batch_file`], and [`WorkerError::Chain`] with the settlement module's reason.
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
    let file = {
        let (machine, lineage, progress) = (machine.clone(), lineage.clone(), progress.clone());
        let (blobs, checkpoint) = (Blobs::open(folders.corpus())?, checkpoint.clone());
        compute(move || {
            let run = lineage.run(&machine, &progress)?;
            let transcript = lineage.transcript(&blobs, &run)?;
            let checkpoint = Some(checkpoint.as_path());
            let settled =
                batch_file(&lineage, &terms, &payees, &run, transcript, answers, checkpoint, &progress)?;
            Ok(settled.0)
        })
        .await?
    };
    let file_hash = blobs.put(&encode_document(&file))?;
    let batch = client.settlement().post(wallet, post_of(&file, file_hash)).await?;
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

/// The post of a batch whose file has this hash.
///
/// # Panics
/// For more answers or payouts than 32 bits count, which no batch file has.
pub fn post_of(file: &BatchFile, file_hash: B256) -> BatchPost {
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
        fees,
        totals: file.parts.totals(file.base),
        payoutsRoot: payout_tree(&file.payouts).root(),
        payouts: count(file.payouts.len()),
        fileHash: file_hash,
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
