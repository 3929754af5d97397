use alloy_primitives::B256;
use openledger_types::abi::Batch;
use openledger_types::batch::{BatchFile, challenge_start, challenge_step, verdict_digest};
use openledger_types::receipt::document_hash;

/// The states of a batch as its file gives them, by how many steps are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct States {
    receipts: u32,
    /// From before the first answer to after the last one of the file.
    answers: Vec<B256>,
    settled: B256,
}

impl States {
    /// The states of a posted batch.
    pub fn of(posted: &Batch, file: &BatchFile) -> Self {
        let mut state = challenge_start(posted.fileHash);
        let mut answers = Vec::with_capacity(file.answers.len() + 1);
        answers.push(state);
        for answer in &file.answers {
            state = challenge_step(state, document_hash(answer));
            answers.push(state);
        }
        let settled = verdict_digest(posted.receiptsRoot, posted.payoutsRoot, posted.fileHash);
        Self { receipts: posted.receipts, answers, settled }
    }

    /// The state after so many steps; `None` if the file does not give it.
    pub fn after(&self, steps: u32) -> Option<B256> {
        if steps > self.receipts { Some(self.settled) } else { self.answers.get(steps as usize).copied() }
    }

    /// The number of the step that settles all answers.
    pub fn settlement(&self) -> u32 {
        self.receipts
    }
}
