use alloy_primitives::B256;
use openledger_client::Client;
use openledger_types::abi::Batch;
use openledger_types::batch::{BatchFile, challenge_start, challenge_step, verdict_digest};
use openledger_types::receipt::document_hash;

use crate::settle::kept_states;
use crate::settler::{settlement_steps, settling};
use crate::{Folders, Machine, Progress, Result};

/// The states of a batch by how many steps are done, as far as its file gives them and its steps are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct States {
    receipts: u32,
    steps: u32,
    /// From before the first answer to after the last one of the file.
    answers: Vec<B256>,
    /// After each step of the settlement but the last, as far as they are right.
    settlement: Vec<B256>,
    settled: B256,
}

impl States {
    /// The states of a posted batch; those of its settlement are computed if they were not kept here.
    ///
    /// # Errors
    /// [`WorkerError::Chain`](crate::WorkerError::Chain), [`WorkerError::Corpus`](crate::WorkerError::Corpus), failures of the machine.
    pub async fn load(
        client: &Client,
        folders: &Folders,
        machine: &Machine,
        posted: &Batch,
        file: &BatchFile,
        progress: &Progress,
    ) -> Result<Self> {
        let settlement = match kept_states(folders, posted.fileHash, posted.steps) {
            Some(kept) => kept,
            None => {
                let steps = posted.steps;
                let is_whole = file.answers.len() == posted.receipts as usize;
                let known = (file.clone(), posted.settledAt);
                let work = settling(client, folders, machine, known, progress, move |settler, run, file| {
                    if !is_whole || steps != settlement_steps(file.answers.len(), settler.run.steps()) {
                        return Ok(Vec::new());
                    }
                    settler.states(run, file)
                });
                Box::pin(work).await?
            }
        };
        Ok(Self { settlement, ..Self::of_answers(posted, file) })
    }

    /// The states that follow from the file alone: all but those of the settlement.
    pub fn of_answers(posted: &Batch, file: &BatchFile) -> Self {
        let mut state = challenge_start(posted.fileHash);
        let mut answers = Vec::with_capacity(file.answers.len() + 1);
        answers.push(state);
        for answer in &file.answers {
            state = challenge_step(state, document_hash(answer));
            answers.push(state);
        }
        let settled = verdict_digest(posted.receiptsRoot, posted.payoutsRoot, posted.fileHash);
        Self { receipts: posted.receipts, steps: posted.steps, answers, settlement: Vec::new(), settled }
    }

    /// The state after so many steps; `None` if none follows from the file.
    pub fn after(&self, steps: u32) -> Option<B256> {
        if steps <= self.receipts {
            return self.answers.get(steps as usize).copied();
        }
        let settling = steps - self.receipts;
        if settling >= self.steps {
            return Some(self.settled);
        }
        self.settlement.get(settling as usize - 1).copied()
    }

    /// The first step of the settlement that is not right, which is its last if all others are.
    pub fn false_settlement(&self) -> u32 {
        let right = u32::try_from(self.settlement.len()).unwrap_or(u32::MAX);
        self.receipts.saturating_add(right)
    }
}
