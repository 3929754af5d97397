//! Disputes over a batch, bisected over the chain to one step that one re-execution decides.
//!
//! A batch of `n` receipts, of an adapter that was trained in `T` steps, is a computation of `2 n + T + 1` steps over one state ([`States`]):
//! the state before the first is named by the file, step `i < n` executes answer `i` again and takes it into the state, the others are those of
//! the [settlement](crate::settler): an answer's gradient, one step of the replay, or the payouts. The state after the last is the posted digest.
//!
//! | role | whose move | what it does |
//! |---|---|---|
//! | [`Defender`] | the operator's, while bisecting | states the state halfway, as its file and its replay give it |
//! | [`Challenger`] | the challenger's, while choosing | agrees as long as that is the state and no step before it is false |
//! | both | the judges', once one step of a settlement is left | put the state before it, on which they agree, into the corpus |
//! | [`Verifier`](crate::verify::Verifier) | the judges', once one step is left | executes that step again ([`judge`]) |
//!
//! Whoever waits for a move that does not come in time ends the challenge by it.
//!
//! # Why the loser is who lied
//! Let `s` be the first false step of the batch. The challenger agrees with the states after up to `s` steps and denies every other state. So
//! the step that is left either is `s`, or goes from a state of the batch to one that does not follow from it, and a judge who executes it finds it
//! false. Where no step is false, the operator's states are the batch's and a challenger can only deny what a judge finds right.

mod challenger;
mod defender;
mod states;

pub use challenger::{Case, Challenger};
pub use defender::Defender;
pub use states::States;

use alloy_primitives::{B256, U256};
use openledger_attribution::influence::ReplayState;
use openledger_client::{Client, ClientError, Wallet};
use openledger_corpus::CorpusError;
use openledger_corpus::blob::Blobs;
use openledger_types::abi::{Challenge, ISettlement};
use openledger_types::batch::{BatchFile, challenge_step, step_commitment};
use openledger_types::receipt::document_hash;

use crate::settler::{settlement_steps, settling};
use crate::verify::{Difference, check_answer_at, check_payouts, load_or_withheld};
use crate::{Folders, Machine, Progress, Result, WorkerError};

/// What the hash of a judge's trace begins with.
const TRACE_DOMAIN: &[u8] = b"openledger-step-trace/1";
/// The largest state of a replay that is fetched: 2²⁸ bytes are eleven million parameters.
const MAX_STATE_BYTES: u64 = 1 << 28;

/// What a judge says of the step that a challenge has come down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the step is right.
    pub upheld: bool,
    /// What stands nowhere: BLAKE3 of `TRACE_DOMAIN`, the state before the step and, of a right step, the bytes that it gives (an answer's
    /// hash of logits, a state of the replay), or of a false one what should stand where. Zero where the step is not shown.
    pub trace: B256,
}

impl Judgement {
    /// Of a step that is not shown.
    const UNSEEN: Self = Self { upheld: false, trace: B256::ZERO };

    fn new(before: B256, met: &Result<Vec<u8>, Difference>) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(TRACE_DOMAIN).update(before.as_slice());
        match met {
            Ok(bytes) => hasher.update(bytes),
            Err(Difference { field, expected, .. }) => {
                hasher.update(field.as_bytes()).update(&[0]).update(expected.as_bytes())
            }
        };
        Self { upheld: met.is_ok(), trace: B256::from(*hasher.finalize().as_bytes()) }
    }
}

/// Executes the step that a challenge has come down to again, from the state that both sides agree on. It is false if the file is not to be
/// had. `None` while `patient` if that state is not in the corpus yet; without patience it is computed.
///
/// # Errors
/// [`WorkerError::Chain`], and failures of the machine.
pub async fn judge(
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    challenge: &Challenge,
    patient: bool,
    progress: &Progress,
) -> Result<Option<Judgement>> {
    let Some(Ok(file)) = load_or_withheld(client, folders, challenge.batch).await? else {
        return Ok(Some(Judgement::UNSEEN));
    };
    let (low, low_state, after) = (challenge.low, challenge.lowState, challenge.highState);
    let said = move |met| Some(Judgement::new(low_state, &met));
    let posted = client.settlement().batch(challenge.batch).await?;
    if low < posted.receipts {
        let at = low as usize;
        let logits = match check_answer_at(client, folders, machine, &file, at, progress).await? {
            Ok(logits) => logits,
            Err(difference) => return Ok(said(Err(difference))),
        };
        let made = challenge_step(low_state, document_hash(&file.answers[at]));
        let different = Difference::between("state after the step", made, after);
        return Ok(said(different.map_or_else(|| Ok(logits.to_vec()), Err)));
    }
    let counted = Difference::between("answers.length", posted.receipts as usize, file.answers.len());
    if let Some(difference) = counted {
        return Ok(said(Err(difference)));
    }
    let step = (low - posted.receipts) as usize;
    let before = if step == 0 {
        let answered = States::of_answers(&posted, &file).after(low).unwrap_or_default();
        if let Some(difference) = Difference::between("state after the answers", answered, low_state) {
            return Ok(said(Err(difference)));
        }
        None
    } else {
        match fetch(folders, low_state)? {
            None if patient => return Ok(None),
            found => Some(found),
        }
    };
    if challenge.high == posted.receipts + posted.steps
        && let Some(difference) = check_payouts(client, challenge.batch, &file).await?
    {
        return Ok(said(Err(difference)));
    }
    let blobs = Blobs::open(folders.corpus())?;
    let file = (file, posted.settledAt);
    let work = settling(client, folders, machine, file, progress, move |settler, transcript, file| {
        let steps = settlement_steps(file.answers.len(), settler.run.steps());
        if let Some(difference) = Difference::between("batch.steps", steps, posted.steps) {
            return Ok(said(Err(difference)));
        }
        let (parameters, records) = (settler.run.layout().len(), settler.run.records());
        let before = match before {
            None => None,
            Some(Some(bytes)) => match ReplayState::decode(&bytes, parameters, records) {
                None => {
                    let expected = "a state of the replay";
                    return Ok(said(Err(Difference::new("state before the step", expected, low_state))));
                }
                state => state,
            },
            // Nobody has shown the state that both agree on: it is the one that follows from the batch, or none.
            Some(None) => {
                let own = settler.lineage.transcript(&blobs, settler.run)?;
                match settler.state_after(own, file, step)?.filter(|state| state.hash() == low_state) {
                    None => return Ok(Some(Judgement::UNSEEN)),
                    state => state,
                }
            }
        };
        Ok(said(settler.check_step(transcript, file, step, before, after)?))
    });
    Box::pin(work).await
}

/// Puts the state before the step of a settlement that a challenge has come down to into the corpus, for its judges, if it is there not yet
/// and follows from the batch.
pub(crate) async fn show_state(
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    challenge: &Challenge,
    file: BatchFile,
    progress: &Progress,
) -> Result<()> {
    let posted = client.settlement().batch(challenge.batch).await?;
    let receipts = posted.receipts;
    let blobs = Blobs::open(folders.corpus())?;
    if challenge.low <= receipts || blobs.exists(challenge.lowState) {
        return Ok(());
    }
    let step = (challenge.low - receipts) as usize;
    let file = (file, posted.settledAt);
    let work = settling(client, folders, machine, file, progress, move |settler, transcript, file| {
        if let Some(state) = settler.state_after(transcript, file, step)? {
            blobs.put(&state.encode())?;
        }
        Ok(())
    });
    Box::pin(work).await
}

fn fetch(folders: &Folders, state: B256) -> Result<Option<Vec<u8>>> {
    match Blobs::open(folders.corpus())?.get(state, MAX_STATE_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(CorpusError::BlobMissing { .. } | CorpusError::BlobCorrupt { .. }) => Ok(None),
        Err(error) => Err(WorkerError::Corpus(error)),
    }
}

/// Commits to a judgement of the step.
pub(crate) async fn commit_step(
    client: &Client,
    wallet: &Wallet,
    challenge: U256,
    Judgement { upheld, trace }: Judgement,
    salt: B256,
) -> Result<(), ClientError> {
    let verifier = wallet.address();
    let registered_at = client.staking().staker(verifier).await?.registeredAt;
    let commitment = step_commitment(verifier, registered_at, challenge, upheld, trace, salt);
    let call = ISettlement::commitStepCall { challenge, commitment };
    client.settlement().transact(wallet, &call).await.map(drop)
}
