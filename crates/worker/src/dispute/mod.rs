//! Disputes over a batch, bisected over the chain to one step that one re-execution decides.
//!
//! A batch of `n` receipts is a computation of `n + 1` steps over one state ([`States`]): the state before the first is named by the file,
//! step `i < n` executes answer `i` again and takes it into the state, step `n` settles all answers, and the state after it is the posted digest.
//!
//! | role | whose move | what it does |
//! |---|---|---|
//! | [`Defender`] | the operator's, while bisecting | states the state halfway, as its file gives it |
//! | [`Challenger`] | the challenger's, while choosing | agrees as long as that is the file's state and no step before it is false |
//! | [`Verifier`](crate::verify::Verifier) | the judges', once one step is left | executes that step again ([`is_right`]) |
//!
//! Whoever waits for a move that does not come in time ends the challenge by it.
//!
//! # Why the loser is who lied
//! Let `s` be the first false step of the batch. The challenger agrees with the file's states after up to `s` steps and denies every other state. So
//! the step that is left either is `s`, or goes from a state of the file to one that the file does not give, and a judge who executes it finds it
//! false. Where no step is false, the operator's states are the file's and a challenger can only deny what a judge finds right.

mod challenger;
mod defender;
mod states;

pub use challenger::{Case, Challenger};
pub use defender::Defender;
pub use states::States;

use alloy_primitives::{B256, U256};
use openledger_client::{Client, ClientError, Wallet};
use openledger_types::abi::{Challenge, ISettlement};
use openledger_types::batch::{challenge_step, step_commitment};
use openledger_types::receipt::document_hash;

use crate::verify::{Checked, check_answer_at, check_batch, load_or_withheld};
use crate::{Folders, Machine, Progress, Result};

/// Whether the step that a challenge has come down to is right: executed again from the state that both sides agree on. It is not if
/// the file is not to be had.
///
/// # Errors
/// [`WorkerError::Chain`](crate::WorkerError::Chain), and failures of the machine.
pub async fn is_right(
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    challenge: &Challenge,
    progress: &Progress,
) -> Result<bool> {
    let Some(Ok(file)) = load_or_withheld(client, folders, challenge.batch).await? else { return Ok(false) };
    let posted = client.settlement().batch(challenge.batch).await?;
    if challenge.low < posted.receipts {
        let at = challenge.low as usize;
        if check_answer_at(client, folders, machine, &file, at, progress).await?.is_some() {
            return Ok(false);
        }
        let after = challenge_step(challenge.lowState, document_hash(&file.answers[at]));
        return Ok(after == challenge.highState);
    }
    // What is settled are the answers that the state before holds.
    if States::of(&posted, &file).after(challenge.low) != Some(challenge.lowState) {
        return Ok(false);
    }
    let nothing_again = Some(Vec::new());
    let checked =
        check_batch(client, folders, machine, challenge.batch, file, nothing_again, progress).await?;
    Ok(matches!(checked, Checked::Equal { .. }))
}

/// Commits to whether the step is right, as a judge.
pub(crate) async fn commit_step(
    client: &Client,
    wallet: &Wallet,
    challenge: U256,
    upheld: bool,
    salt: B256,
) -> Result<(), ClientError> {
    let verifier = wallet.address();
    let registered_at = client.staking().staker(verifier).await?.registeredAt;
    let commitment = step_commitment(verifier, registered_at, challenge, upheld, salt);
    let call = ISettlement::commitStepCall { challenge, commitment };
    client.settlement().transact(wallet, &call).await.map(drop)
}
