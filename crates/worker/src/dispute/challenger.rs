use alloy_primitives::U256;
use openledger_client::{Client, Wallet};
use openledger_corpus::blob::Blobs;
use openledger_types::abi::{Challenge, ChallengeStatus, ISettlement};
use openledger_types::batch::BatchFile;

use super::defender::{is_over, resolve_when_due};
use super::{States, show_state};
use crate::claim::load_batch;
use crate::verify::{Checked, Difference, Posted, check_batch, load_or_withheld};
use crate::{Folders, Machine, Progress, Result};

/// Why a batch can be challenged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The batch.
    pub batch: U256,
    /// The states that follow from its file.
    pub states: States,
    /// The step that is denied, and every state after it.
    pub false_step: u32,
}

impl Case {
    /// Executes all of a posted batch again. The first false step with its difference makes a case; `None` if there is none, or the file is not
    /// to be had, about which verdicts decide.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain), and failures of the machine.
    pub async fn find(
        client: &Client,
        folders: &Folders,
        machine: &Machine,
        batch: U256,
        progress: &Progress,
    ) -> Result<Option<(Self, Difference)>> {
        let Some(Ok(file)) = load_or_withheld(client, folders, batch).await? else { return Ok(None) };
        let posted = Posted::load(client, batch, file.clone()).await?;
        match Box::pin(check_batch(client, folders, machine, posted, None, progress)).await? {
            Checked::Equal { .. } => Ok(None),
            Checked::Different { step: Some(answer), difference } => {
                let states = States::of_answers(&client.settlement().batch(batch).await?, &file);
                let false_step = u32::try_from(answer).unwrap_or(u32::MAX);
                Ok(Some((Self { batch, states, false_step }, difference)))
            }
            Checked::Different { step: None, difference } => {
                let case = Self::against_settlement(client, folders, machine, batch, &file, progress).await?;
                Ok(Some((case, difference)))
            }
        }
    }

    /// The case against how the answers of a batch are settled: its first step that is not right or, where all others are, the payouts.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain), [`WorkerError::Corpus`](crate::WorkerError::Corpus), failures of the machine.
    pub async fn against_settlement(
        client: &Client,
        folders: &Folders,
        machine: &Machine,
        batch: U256,
        file: &BatchFile,
        progress: &Progress,
    ) -> Result<Self> {
        let posted = client.settlement().batch(batch).await?;
        let states = States::load(client, folders, machine, &posted, file, progress).await?;
        Ok(Self { batch, false_step: states.false_settlement(), states })
    }
}

/// The challenger's side of one challenge.
#[derive(Debug)]
pub struct Challenger {
    client: Client,
    folders: Folders,
    machine: Machine,
    wallet: Wallet,
    challenge: U256,
    case: Case,
}

impl Challenger {
    /// Challenges the batch with the bond in force, which is paid.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain) with the settlement module's reason.
    pub async fn open(
        client: &Client,
        folders: &Folders,
        machine: &Machine,
        wallet: &Wallet,
        case: Case,
    ) -> Result<Self> {
        let bond = client.params().get("challenge_bond").await?;
        let call = ISettlement::challengeCall { batch: case.batch };
        let challenged =
            client.settlement().pay_for::<ISettlement::Challenged, _>(wallet, &call, bond).await?;
        Ok(Self::of(client, folders, machine, wallet, challenged.challenge, case))
    }

    /// Goes on with a challenge that this wallet has opened.
    pub fn of(
        client: &Client,
        folders: &Folders,
        machine: &Machine,
        wallet: &Wallet,
        challenge: U256,
        case: Case,
    ) -> Self {
        let (client, folders, machine) = (client.clone(), folders.clone(), machine.clone());
        Self { client, folders, machine, wallet: wallet.clone(), challenge, case }
    }

    /// Its number.
    pub fn challenge(&self) -> U256 {
        self.challenge
    }

    /// Makes the move that is due, if one is, and returns how the challenge stood before it.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain).
    pub async fn next(&self) -> Result<ChallengeStatus> {
        let settlement = self.client.settlement();
        let id = self.challenge;
        let challenge = settlement.call(&ISettlement::challengeOfCall { id }).await?;
        match challenge.status {
            ChallengeStatus::Choosing => {
                let middle = challenge.low.midpoint(challenge.high);
                let right = self.case.states.after(middle) == Some(challenge.middleState);
                let agrees = right && middle <= self.case.false_step;
                settlement.transact(&self.wallet, &ISettlement::chooseCall { challenge: id, agrees }).await?;
            }
            status if is_over(status) => {}
            ChallengeStatus::Judging => {
                self.show(&challenge).await?;
                resolve_when_due(&self.client, &self.wallet, id).await?;
            }
            _ => resolve_when_due(&self.client, &self.wallet, id).await?,
        }
        Ok(challenge.status)
    }

    /// Shows judges the state before the step if it is one of the settlement.
    async fn show(&self, challenge: &Challenge) -> Result<()> {
        let blobs = Blobs::open(self.folders.corpus())?;
        let file = load_batch(&self.client, &blobs, challenge.batch).await?;
        let silent = Progress::silent();
        show_state(&self.client, &self.folders, &self.machine, challenge, file, &silent).await
    }

    /// Plays to the end, which the chain's windows bound.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn play(&self, progress: &Progress) -> Result<ChallengeStatus> {
        loop {
            let height = self.client.block_number().await?;
            let status = self.next().await?;
            if is_over(status) {
                return Ok(status);
            }
            progress.report("challenge", height, height + 1, format!("{status:?}"));
            self.client.wait_for_block(height + 1).await?;
        }
    }
}
