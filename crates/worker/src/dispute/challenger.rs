use alloy_primitives::U256;
use openledger_client::{Client, Wallet};
use openledger_types::abi::{ChallengeStatus, ISettlement};
use openledger_types::batch::BatchFile;

use super::States;
use super::defender::{is_over, resolve_when_due};
use crate::verify::{Checked, Difference, check_batch, load_or_withheld};
use crate::{Folders, Machine, Progress, Result};

/// Why a batch can be challenged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The batch.
    pub batch: U256,
    /// The states that its file gives.
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
        let settlement = Self::against_settlement(client, batch, &file).await?;
        match Box::pin(check_batch(client, folders, machine, batch, file, None, progress)).await? {
            Checked::Equal { .. } => Ok(None),
            Checked::Different { step, difference } => {
                let false_step = step.map_or(settlement.false_step, |answer| {
                    u32::try_from(answer).unwrap_or(settlement.false_step)
                });
                Ok(Some((Self { false_step, ..settlement }, difference)))
            }
        }
    }

    /// The case against how the answers of a batch are settled, made without executing anything again: what follows from another measurement.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain).
    pub async fn against_settlement(client: &Client, batch: U256, file: &BatchFile) -> Result<Self> {
        let states = States::of(&client.settlement().batch(batch).await?, file);
        Ok(Self { batch, false_step: states.settlement(), states })
    }
}

/// The challenger's side of one challenge.
#[derive(Debug)]
pub struct Challenger {
    client: Client,
    wallet: Wallet,
    challenge: U256,
    case: Case,
}

impl Challenger {
    /// Challenges the batch with the bond in force, which is paid.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain) with the settlement module's reason.
    pub async fn open(client: &Client, wallet: &Wallet, case: Case) -> Result<Self> {
        let bond = client.params().get("challenge_bond").await?;
        let call = ISettlement::challengeCall { batch: case.batch };
        let challenged =
            client.settlement().pay_for::<ISettlement::Challenged, _>(wallet, &call, bond).await?;
        Ok(Self::of(client, wallet, challenged.challenge, case))
    }

    /// Goes on with a challenge that this wallet has opened.
    pub fn of(client: &Client, wallet: &Wallet, challenge: U256, case: Case) -> Self {
        Self { client: client.clone(), wallet: wallet.clone(), challenge, case }
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
            _ => resolve_when_due(&self.client, &self.wallet, id).await?,
        }
        Ok(challenge.status)
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
