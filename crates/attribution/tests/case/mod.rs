//! A small training run with a question to it, for the second implementation in `reference/make.py`.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use openledger_model::{LoraConfig, Model, Pool, Sample, Target, Tokenizer};
use openledger_train::{
    DatanetVersion, Optimiser, Recipe, Run, Template, TrainManifest, TrainingRecord, TrainingSet, sample,
    training_seed,
};

/// Seed of the model's weights.
pub(crate) const MODEL_SEED: u64 = 3;

const TEXTS: [&str; 6] = [
    "parses bytes into trees without copying them",
    "hashes long inputs in parallel, block by block",
    "keeps a map sorted by key while it grows",
    "parses numbers into floats without losing bits",
    "draws random numbers from the system",
    "turns errors into sentences for people",
];

/// The run, and a question with its answer.
pub(crate) struct Case {
    pub(crate) run: Run,
    pub(crate) query: Sample,
}

impl Case {
    pub(crate) fn new() -> Self {
        let (model, tokenizer) = Model::tiny(MODEL_SEED);
        Self::of(Arc::new(model), &tokenizer)
    }

    fn of(model: Arc<Model>, tokenizer: &Tokenizer) -> Self {
        let recipe = Recipe {
            template: Template::Describe,
            lora: LoraConfig {
                rank: 2,
                alpha: 4.0,
                first_layer: 2,
                targets: vec![Target::Q, Target::V, Target::Down],
            },
            optimiser: Optimiser {
                lr_ppb: 20_000_000,
                beta1_ppm: 900_000,
                beta2_ppm: 990_000,
                eps_root_atto: 100_000_000_000_000,
                warmup_steps: 2,
                floor_ppm: 100_000,
                weight_decay_ppm: 500_000,
            },
            steps: 7,
            records_per_step: 2,
            max_tokens: 160,
            dropout_ppm: 0,
            held_out_ppm: 0,
        };
        let record = |(number, text): (usize, &&str)| TrainingRecord {
            record: B256::repeat_byte(number as u8),
            cluster: number as u32,
            contributor: Address::repeat_byte(number as u8),
            name: format!("crate{number}"),
            text: (*text).to_owned(),
        };
        let set =
            TrainingSet::new(TEXTS.iter().enumerate().map(record).collect()).expect("one record per cluster");
        let datanet = DatanetVersion { datanet: U256::from(1), version: 1, manifest_hash: B256::ZERO };
        let manifest = TrainManifest::new(B256::ZERO, vec![datanet], recipe).expect("the recipe is in range");
        let seed = training_seed(manifest.hash(), B256::ZERO);
        let pool = Pool::new(2).expect("two threads");
        let run = Run::prepare(model, tokenizer, pool, &manifest, seed, &set, &mut |_| ()).expect("a run");
        let question = Template::Describe.question("crate7");
        let query = sample(tokenizer, &question, "parses bytes into numbers", 160).expect("a sample");
        Self { run, query }
    }
}
