use std::sync::Arc;

use alloy_primitives::B256;
use openledger_model::{
    Dropout, Grad, Lora, LoraConfig, LoraLayout, Model, Pool, Prefix, Record, Sample, Tokenizer, init,
};

use crate::{
    Coefficients, Error, Header, HeldOut, Progress, Recipe, Result, Step, TrainManifest, TrainingSet,
    batches, held_out, sample,
};

/// Sequences whose prefixes are computed between two reports of progress; enough to share the weights among.
const PREFIXES_AT_ONCE: usize = 8;

/// A run made ready: what training and replay share.
///
/// It holds the samples of every record, the batches that the seed gave, and for each record that some batch takes the hidden states entering the first adapted
/// layer. Those layers below are frozen, so they are computed once.
pub struct Run {
    model: Arc<Model>,
    pool: Pool,
    manifest: TrainManifest,
    manifest_hash: B256,
    seed: B256,
    layout: LoraLayout,
    batches: Vec<Vec<u32>>,
    held_out: Vec<u32>,
    samples: Vec<Sample>,
    prefixes: Vec<Option<Prefix>>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("manifest", &self.manifest_hash)
            .field("seed", &self.seed)
            .field("records", &self.samples.len())
            .field("parameters", &self.layout.len())
            .finish_non_exhaustive()
    }
}

impl Run {
    /// Tokenises the records and computes the prefixes of those that the run will visit.
    ///
    /// `model` must be the file that the manifest names; whoever loaded it has compared the hash.
    ///
    /// # Errors
    /// [`Error::Recipe`] or [`Error::Format`] for the manifest, [`Error::TooFewTokens`], [`Error::Model`].
    pub fn prepare(
        model: Arc<Model>,
        tokenizer: &Tokenizer,
        pool: Pool,
        manifest: &TrainManifest,
        seed: B256,
        set: &TrainingSet,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        manifest.validate()?;
        let recipe = &manifest.recipe;
        let layout = LoraLayout::new(model.config(), &recipe.lora)?;
        let samples = samples(tokenizer, recipe, set)?;
        let held_out = held_out(seed, samples.len(), recipe.held_out_ppm);
        let trained: Vec<u32> =
            (0..samples.len() as u32).filter(|record| held_out.binary_search(record).is_err()).collect();
        let mut batches =
            batches(seed, trained.len(), recipe.steps as usize, recipe.records_per_step as usize);
        batches.iter_mut().flatten().for_each(|record| *record = trained[*record as usize]);
        let mut visited: Vec<usize> = batches.iter().flatten().map(|&r| r as usize).collect();
        visited.sort_unstable();
        visited.dedup();
        let mut prefixes = vec![None; samples.len()];
        for (done, part) in visited.chunks(PREFIXES_AT_ONCE).enumerate() {
            progress(Progress::Prefixes { done: done * PREFIXES_AT_ONCE, total: visited.len() });
            let tokens: Vec<&[u32]> = part.iter().map(|&r| samples[r].tokens.as_slice()).collect();
            for (&record, prefix) in
                part.iter().zip(model.prefixes(&pool, recipe.lora.first_layer, &tokens)?)
            {
                prefixes[record] = Some(prefix);
            }
        }
        progress(Progress::Prefixes { done: visited.len(), total: visited.len() });
        let manifest_hash = manifest.hash();
        Ok(Self {
            model,
            pool,
            manifest: manifest.clone(),
            manifest_hash,
            seed,
            layout,
            batches,
            held_out,
            samples,
            prefixes,
        })
    }

    /// The base model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The threads it computes on.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What it is made from.
    #[must_use]
    pub fn manifest(&self) -> &TrainManifest {
        &self.manifest
    }

    /// What is adapted.
    #[must_use]
    pub fn lora(&self) -> &LoraConfig {
        &self.manifest.recipe.lora
    }

    /// Where parameters lie.
    #[must_use]
    pub fn layout(&self) -> &LoraLayout {
        &self.layout
    }

    /// Number of records, visited or not.
    #[must_use]
    pub fn records(&self) -> usize {
        self.samples.len()
    }

    /// Number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.batches.len()
    }

    /// The records of a step, in the order in which their gradients are added.
    ///
    /// # Panics
    /// When the run has no such step, as all methods that take one.
    #[must_use]
    pub fn batch(&self, step: usize) -> &[u32] {
        &self.batches[step]
    }

    /// The last step that takes each record, if one does.
    #[must_use]
    pub fn last_visits(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.records()];
        for (step, batch) in self.batches.iter().enumerate() {
            for &record in batch {
                last[record as usize] = Some(step);
            }
        }
        last
    }

    /// The records that are not trained on, with what comparing with the base on them needs; `None` if there are none.
    ///
    /// # Errors
    /// [`Error::Model`].
    pub fn held_out(&self) -> Result<Option<HeldOut>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let samples = self.held_out.iter().map(|&r| self.samples[r as usize].clone()).collect();
        HeldOut::new(self.model.clone(), self.pool.clone(), self.lora().first_layer, samples).map(Some)
    }

    /// A record's sample.
    #[must_use]
    pub fn sample(&self, record: usize) -> &Sample {
        &self.samples[record]
    }

    /// A record with its prefix, if the run visits it.
    #[must_use]
    pub fn record(&self, record: usize) -> Option<Record<'_>> {
        self.prefixes[record].as_ref().map(|prefix| Record::new(prefix, &self.samples[record]))
    }

    /// The parameters it starts from.
    #[must_use]
    pub fn initial(&self) -> Vec<f32> {
        init(self.model.config(), &self.layout, self.seed.0)
    }

    /// The factors of a step.
    #[must_use]
    pub fn coefficients(&self, step: usize) -> Coefficients {
        self.manifest.recipe.optimiser.coefficients(step, self.steps())
    }

    /// `1 / N` of a step: one over the target tokens of its batch, whatever the records weigh.
    #[must_use]
    pub fn mean_factor(&self, step: usize) -> f32 {
        let targets: usize = self.batches[step].iter().map(|&r| self.samples[r as usize].targets.len()).sum();
        1.0 / targets as f32
    }

    /// Losses and gradients of records that the run visits, with nothing dropped.
    ///
    /// # Errors
    /// [`Error::Model`].
    ///
    /// # Panics
    /// When the run does not visit one of them.
    pub fn gradients(&self, theta: &[f32], records: &[u32]) -> Result<Vec<Grad>> {
        let records: Vec<Record<'_>> = records.iter().map(|&r| self.visited(r)).collect();
        Ok(self.model.nll_grad_batch(&self.pool, Lora { config: self.lora(), theta }, &records)?)
    }

    /// Losses and gradients of records of a step, with what the step drops.
    ///
    /// # Errors
    /// [`Error::Model`].
    ///
    /// # Panics
    /// As [`Self::taken`].
    pub fn step_gradients(&self, step: usize, theta: &[f32], records: &[u32]) -> Result<Vec<Grad>> {
        let records: Vec<Record<'_>> = records.iter().map(|&r| self.taken(step, r)).collect();
        Ok(self.model.nll_grad_batch(&self.pool, Lora { config: self.lora(), theta }, &records)?)
    }

    /// A record as a step takes it. Where the recipe drops entries, the key of a record's mask is the first eight bytes, little-endian, of
    /// `BLAKE3(key = seed, "dropout" ‖ u64-le(step) ‖ u64-le(record))`.
    ///
    /// # Panics
    /// When the run does not visit it.
    #[must_use]
    pub fn taken(&self, step: usize, record: u32) -> Record<'_> {
        let ppm = self.manifest.recipe.dropout_ppm;
        let dropout = (ppm > 0).then(|| Dropout { ppm, key: self.dropout_key(step, record) });
        Record { dropout, ..self.visited(record) }
    }

    fn dropout_key(&self, step: usize, record: u32) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed.0);
        hasher
            .update(b"dropout")
            .update(&(step as u64).to_le_bytes())
            .update(&u64::from(record).to_le_bytes());
        let hash = hasher.finalize();
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has more than eight bytes"))
    }

    fn visited(&self, record: u32) -> Record<'_> {
        self.record(record as usize)
            .expect("a record of a batch is visited, and what is visited has a prefix")
    }

    /// Loss and gradient of a batch from those of its records: `Σ (wᵢ / N) ∇nllᵢ`, records in batch order, each product and sum rounded to `f32`.
    ///
    /// `parts` yields `(weight, loss, gradient)`; leaving out a record of weight zero gives the same bits as adding it.
    #[must_use]
    pub fn combine<'a>(&self, step: usize, parts: impl IntoIterator<Item = (f32, f64, &'a [f32])>) -> Step {
        let mut sum = Step { loss: 0.0, gradient: vec![0.0; self.layout.len()] };
        self.accumulate(step, &mut sum, parts);
        sum
    }

    /// [`Self::combine`] in parts: the records of a batch, however they are cut, add up to the same bits.
    pub(crate) fn accumulate<'a>(
        &self,
        step: usize,
        sum: &mut Step,
        parts: impl IntoIterator<Item = (f32, f64, &'a [f32])>,
    ) {
        let mean = self.mean_factor(step);
        for (weight, nll, part) in parts {
            let factor = weight * mean;
            sum.loss += f64::from(factor) * nll;
            for (sum, &x) in sum.gradient.iter_mut().zip(part) {
                *sum += factor * x;
            }
        }
    }

    /// The header of its transcript.
    ///
    /// # Errors
    /// [`Error::Length`] when there is not one weight per record, [`Error::Weight`] when one is negative or not finite.
    pub fn header(&self, weights: Option<&[f32]>) -> Result<Header> {
        Ok(Header {
            manifest: self.manifest_hash,
            seed: self.seed,
            weights: self.weights_hash(weights)?,
            parameters: self.layout.len() as u64,
            steps: self.steps() as u64,
        })
    }

    fn weights_hash(&self, weights: Option<&[f32]>) -> Result<B256> {
        let Some(weights) = weights else { return Ok(B256::ZERO) };
        if weights.len() != self.records() {
            return Err(Error::Length { what: "weights", got: weights.len(), expected: self.records() });
        }
        if let Some(record) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(Error::Weight { record, got: weights[record] });
        }
        if weights.iter().all(|&w| w == 1.0) {
            return Ok(B256::ZERO);
        }
        let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        Ok(B256::from(*blake3::hash(&bytes).as_bytes()))
    }
}

fn samples(tokenizer: &Tokenizer, recipe: &Recipe, set: &TrainingSet) -> Result<Vec<Sample>> {
    let limit = recipe.max_tokens as usize;
    let make = |(index, record): (usize, &crate::TrainingRecord)| {
        let sample = sample(tokenizer, &recipe.template.question(&record.name), &record.text, limit)?;
        if sample.targets.is_empty() {
            return Err(Error::TooFewTokens { record: index, question: sample.targets.start, limit });
        }
        Ok(sample)
    };
    set.records().iter().enumerate().map(make).collect()
}
