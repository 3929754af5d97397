//! The settlement of a batch, as a whole and step by step.
//!
//! Of `n` answers and a training run of `T` steps it has `n + T + 1` steps over one state, a [`ReplayState`] named by the hash of its bytes:
//!
//! | step | what it does | costs |
//! |---|---|---|
//! | `i < n` | adds answer `i` to the objective: `ω_i ∇ log p_i`, with the weight that the file's weights give | one gradient |
//! | `n + j`, `j < T` | takes the replay back through training step `T − 1 − j` | one dual pass over its batch |
//! | `n + T` | makes credits, parts and payouts of the replay's scores | integers |
//!
//! The weight of an answer depends on what the file says that all others are worth, so step `i` is right if that says of answer `i` what
//! its gradient gives; where every step is right, weights and states are those of [`Settler::settle`].

use std::path::Path;

use alloy_primitives::{Address, B256, U256};
use openledger_attribution::influence::{
    AnswerGradient, Objective, ReplayOptions, ReplayState, answer_gradient, replay_hashed, replay_step,
};
use openledger_attribution::settle::{AnswerFee, ClusterScore, Weights, piconats, settle, weights};
use openledger_client::Client;
use openledger_corpus::blob::Blobs;
use openledger_corpus::cluster::normalised_length;
use openledger_model::Lora;
use openledger_train::{Run, Trajectory, Transcript};
use openledger_types::batch::BatchFile;
use openledger_types::receipt::Answer;

use crate::error::compute;
use crate::lineage::Lineage;
use crate::payees::Payees;
use crate::settle::Terms;
use crate::sources::paid;
use crate::verify::{Difference, fault, first_difference};
use crate::{Folders, Machine, Progress, Result};

/// What the hash of a trace begins with.
const TRACE_DOMAIN: &[u8] = b"openledger-settlement-trace/1";

/// Everything that decides how answers of one adapter are settled. What it makes is the same on any machine.
#[derive(Debug, Clone, Copy)]
pub struct Settler<'a> {
    /// The adapter.
    pub lineage: &'a Lineage,
    /// Governed numbers.
    pub terms: &'a Terms,
    /// Who is paid.
    pub payees: &'a Payees,
    /// The training run.
    pub run: &'a Run,
    /// Who hears how far it is.
    pub progress: &'a Progress,
}

/// A batch that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The file.
    pub file: BatchFile,
    /// The settlement's part of what a verifier reveals as the [trace](crate::verify::Opinion::trace) of its work: BLAKE3 of `TRACE_DOMAIN`, the
    /// bits of every answer's gradient in order, and those of every record's score as the replay gives it. Neither stands in the file, where
    /// scores are rounded.
    pub trace: B256,
    /// The state after each step but the last.
    pub states: Vec<B256>,
}

/// How many steps the settlement of so many answers of an adapter has that was trained in so many.
pub fn settlement_steps(answers: usize, training: usize) -> u32 {
    u32::try_from(answers + training + 1).unwrap_or(u32::MAX)
}

impl Settler<'_> {
    /// Settles answers: weights, one replay of the training run backwards, payouts. `checkpoint` is where an interrupted replay is kept and
    /// continued from.
    ///
    /// # Errors
    /// [`WorkerError::Influence`](crate::WorkerError::Influence) naming the first step of the transcript that does not follow from the run, and
    /// the errors of the parts.
    pub fn settle(
        &self,
        transcript: Transcript,
        answers: Vec<Answer>,
        checkpoint: Option<&Path>,
    ) -> Result<Settled> {
        let mut trajectory = Trajectory::new(self.run, transcript, None)?;
        let (mut fees, mut gradients) = (Vec::new(), Vec::new());
        for (done, answer) in answers.iter().enumerate() {
            self.progress.report("answers' gradients", done as u64, answers.len() as u64, "");
            let gradient = self.gradient(&trajectory, answer)?;
            fees.push(fee(answer, gradient.explained_micronats()));
            gradients.push(gradient.gradient);
        }
        self.progress.report("answers' gradients", answers.len() as u64, answers.len() as u64, "");
        let weights = weights(&fees, &self.terms.rules)?;
        let mut objective = Objective::new(self.run.layout().len());
        let mut states = Vec::new();
        for (ppb, gradient) in weights.ppb.iter().zip(&gradients) {
            objective.add(*ppb, gradient)?;
            states.push(ReplayState::end_of(self.run, &objective).hash());
        }
        let options = ReplayOptions { weights: None, checkpoint };
        let mut report = |done: usize, total: usize| self.report(done, total);
        let scores = replay_hashed(&mut trajectory, &objective, options, &mut states, &mut report)?;
        let trace = trace(&gradients, &scores);
        Ok(Settled { file: self.file(answers, weights, &scores)?, trace, states })
    }

    /// The states of a posted settlement after its steps but the last, as far as they are right.
    ///
    /// # Errors
    /// Failures of the machine; what the batch is at fault for is a step that is not right.
    pub fn states(&self, transcript: Transcript, file: &BatchFile) -> Result<Vec<B256>> {
        let mut states = Vec::new();
        self.walk(transcript, file, usize::MAX, &mut |state| states.push(state.hash()))?;
        Ok(states)
    }

    /// The state after so many steps of a posted settlement; `None` if one of them is not right.
    ///
    /// # Errors
    /// As [`Self::states`].
    pub fn state_after(
        &self,
        transcript: Transcript,
        file: &BatchFile,
        steps: usize,
    ) -> Result<Option<ReplayState>> {
        let (mut done, mut last) = (0, None);
        self.walk(transcript, file, steps, &mut |state| {
            done += 1;
            last = (done == steps).then(|| state.clone());
        })?;
        Ok(last)
    }

    /// Executes one step of a posted settlement again, from the state before it, which the first step has none of. Gives the bytes of the
    /// state that the step makes, or reads if it makes the payouts, or what is not right.
    ///
    /// # Errors
    /// As [`Self::states`].
    pub fn check_step(
        &self,
        transcript: Transcript,
        file: &BatchFile,
        step: usize,
        before: Option<ReplayState>,
        after: B256,
    ) -> Result<Result<Vec<u8>, Difference>> {
        match self.try_check_step(transcript, file, step, before, after) {
            Err(error) => fault::of_the_batch(error).map(Err),
            checked => checked,
        }
    }

    fn try_check_step(
        &self,
        transcript: Transcript,
        file: &BatchFile,
        step: usize,
        before: Option<ReplayState>,
        after: B256,
    ) -> Result<Result<Vec<u8>, Difference>> {
        let (answers, training) = (file.answers.len(), self.run.steps());
        let start = || ReplayState::end_of(self.run, &Objective::new(self.run.layout().len()));
        let mut state = before.unwrap_or_else(start);
        let left = (answers + training).saturating_sub(step.max(answers));
        if state.steps_left != left {
            return Ok(Err(Difference::new("state before the step (steps left)", left, state.steps_left)));
        }
        let Some(claimed) = self.claimed(file)? else { return Ok(Err(miscounted(file))) };
        if step == answers + training {
            let made = self.file(file.answers.clone(), claimed, &state.credits)?;
            return Ok(first_difference("", &made, file).map_or_else(|| Ok(state.encode()), Err));
        }
        let mut trajectory = Trajectory::new(self.run, transcript, None)?;
        if step < answers {
            let gradient = self.gradient(&trajectory, &file.answers[step])?;
            if let Some(difference) = misclaimed(file, &claimed, step, &gradient) {
                return Ok(Err(difference));
            }
            let mut objective = Objective::from_gradient(state.adjoint.theta);
            objective.add(claimed.ppb[step], &gradient.gradient)?;
            state = ReplayState::end_of(self.run, &objective);
        } else {
            replay_step(&mut trajectory, &mut state)?;
        }
        let different = Difference::between("state after the step", state.hash(), after);
        Ok(different.map_or_else(|| Ok(state.encode()), Err))
    }

    /// Goes through at most so many steps, as far as they are right.
    fn walk(
        &self,
        transcript: Transcript,
        file: &BatchFile,
        steps: usize,
        each: &mut dyn FnMut(&ReplayState),
    ) -> Result<()> {
        match self.try_walk(transcript, file, steps, each) {
            Err(error) => fault::of_the_batch(error).map(drop),
            walked => walked,
        }
    }

    fn try_walk(
        &self,
        transcript: Transcript,
        file: &BatchFile,
        steps: usize,
        each: &mut dyn FnMut(&ReplayState),
    ) -> Result<()> {
        let mut trajectory = Trajectory::new(self.run, transcript, None)?;
        let Some(claimed) = self.claimed(file)? else { return Ok(()) };
        let mut objective = Objective::new(self.run.layout().len());
        for (at, answer) in file.answers.iter().enumerate().take(steps) {
            let gradient = self.gradient(&trajectory, answer)?;
            if misclaimed(file, &claimed, at, &gradient).is_some() {
                return Ok(());
            }
            objective.add(claimed.ppb[at], &gradient.gradient)?;
            each(&ReplayState::end_of(self.run, &objective));
        }
        let mut state = ReplayState::end_of(self.run, &objective);
        let training = steps.saturating_sub(file.answers.len()).min(self.run.steps());
        for done in 0..training {
            self.report(done, training);
            replay_step(&mut trajectory, &mut state)?;
            each(&state);
        }
        Ok(())
    }

    fn gradient(&self, trajectory: &Trajectory<'_>, answer: &Answer) -> Result<AnswerGradient> {
        let lora = Lora { config: self.run.lora(), theta: &trajectory.last().theta };
        let (prompt, said) = (&answer.request.prompt_tokens, &answer.response.tokens);
        Ok(answer_gradient(self.run.model(), self.run.pool(), lora, prompt, said)?)
    }

    /// The weights that follow from what a file says its answers are worth; `None` if it does not say it of all.
    fn claimed(&self, file: &BatchFile) -> Result<Option<Weights>> {
        if file.weights.len() != file.answers.len() {
            return Ok(None);
        }
        let said = file.answers.iter().zip(&file.weights);
        let fees: Vec<_> = said.map(|(answer, weight)| fee(answer, weight.explained_micronats)).collect();
        Ok(Some(weights(&fees, &self.terms.rules)?))
    }

    fn file(&self, answers: Vec<Answer>, weights: Weights, scores: &[f64]) -> Result<BatchFile> {
        let records = self.lineage.set.records().iter();
        let clusters = records
            .zip(&self.payees.contributors)
            .zip(scores)
            .zip(self.retrieved(&answers, &weights))
            .map(|(((record, payee), score), retrieved_wei)| {
                Ok(ClusterScore {
                    cluster: record.cluster,
                    record: record.record,
                    contributor: *payee,
                    length: normalised_length(&record.text),
                    score_piconats: piconats(*score)?,
                    retrieved_wei,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let (operator, epoch) =
            answers.first().map_or((Address::ZERO, 0), |a| (a.receipt.operator, a.receipt.epoch));
        let settlement = settle(weights, &clusters, operator, &self.payees.developers)?;
        Ok(BatchFile {
            chain_id: self.terms.chain_id,
            operator,
            epoch,
            adapter: self.lineage.id,
            answers,
            weights: settlement.weights,
            credits: settlement.credits,
            parts: settlement.parts,
            base: settlement.base,
            payouts: settlement.payouts,
        })
    }

    /// What each cluster has as a source of the answers, wei. A source that is no record of the adapter's Datanets has nothing, and nobody has it instead.
    fn retrieved(&self, answers: &[Answer], weights: &Weights) -> Vec<U256> {
        let records = self.lineage.set.records();
        let mut by_cluster = vec![U256::ZERO; records.len()];
        for (answer, weight) in answers.iter().zip(&weights.answers) {
            let Some(retrieval) = &answer.request.retrieval else { continue };
            let credits = &answer.attribution.sources;
            for ((source, credit), part) in retrieval.sources.iter().zip(credits).zip(paid(answer, weight)) {
                let at = source.cluster as usize;
                if credit.record == source.record
                    && records.get(at).is_some_and(|record| record.record == source.record)
                {
                    by_cluster[at] += part;
                }
            }
        }
        by_cluster
    }

    fn report(&self, done: usize, total: usize) {
        self.progress.report("replay of the training run", done as u64, total as u64, "steps");
    }
}

/// Does something with what settles a batch, with the governed numbers of a time in unix seconds, on a thread of its own.
///
/// # Errors
/// [`WorkerError::Chain`](crate::WorkerError::Chain), [`WorkerError::Corpus`](crate::WorkerError::Corpus), and those of the work.
pub(crate) async fn settling<T: Send + 'static>(
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    (file, settled_at): (BatchFile, u64),
    progress: &Progress,
    work: impl FnOnce(&Settler<'_>, Transcript, &BatchFile) -> Result<T> + Send + 'static,
) -> Result<T> {
    let blobs = Blobs::open(folders.corpus())?;
    let lineage = Lineage::load(client, &blobs, file.adapter).await?;
    let terms = Terms::at(client, settled_at).await?;
    let payees = Payees::load(client, &lineage, &file.answers).await?;
    let (machine, progress) = (machine.clone(), progress.clone());
    compute(move || {
        let run = lineage.run(&machine, &progress)?;
        let transcript = lineage.transcript(&blobs, &run)?;
        let (lineage, terms, payees, run, progress) = (&lineage, &terms, &payees, &run, &progress);
        work(&Settler { lineage, terms, payees, run, progress }, transcript, &file)
    })
    .await
}

fn fee(answer: &Answer, explained_micronats: i64) -> AnswerFee {
    let retrieved_micronats = answer.attribution.retrieved_micronats();
    AnswerFee { fee: answer.receipt.fee, explained_micronats, retrieved_micronats }
}

fn miscounted(file: &BatchFile) -> Difference {
    Difference::new("weights.length", file.answers.len(), file.weights.len())
}

/// What a file says otherwise of an answer's worth than its gradient and the weights that follow from the file.
fn misclaimed(
    file: &BatchFile,
    claimed: &Weights,
    at: usize,
    gradient: &AnswerGradient,
) -> Option<Difference> {
    let (said, explained) = (&file.weights[at], gradient.explained_micronats());
    Difference::between(&format!("weights[{at}].explained_micronats"), explained, said.explained_micronats)
        .or_else(|| first_difference(&format!("weights[{at}]"), &claimed.answers[at], said))
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
