//! What is trained on, and what is asked.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use openledger_corpus::cluster::{ClusterItem, OrderKey, cluster, matching};
use openledger_corpus::crates_source::{
    SourceContributor, SurveyOptions, lock_packages, registry_sources, survey,
};
use openledger_corpus::package::{PipOptions, SMOLLM2_135M_INSTRUCT};
use openledger_model::{LoraConfig, Model, Pool, Sample, Target, Tokenizer};
use openledger_train::{
    DatanetVersion, HeldOut, Optimiser, Recipe, Run, Template, TrainManifest, TrainingRecord, TrainingSet,
    sample,
};
use openledger_types::{Address, B256, U256};
use sha2::{Digest, Sha256};

use super::Options;
use crate::Common;
use crate::report::note;
use crate::stats::SplitMix;

/// Contributors of the full run: more than the demo's eight, so that ranks among them say something.
const CONTRIBUTORS: usize = 20;
/// Records of each: half the demo's, so that a run is about as large as the demo's.
const RECORDS_EACH: usize = 8;
/// Crates of each, as in the demo.
const CRATES_EACH: usize = 4;
/// Held-out texts of each: 60 queries in all.
const QUERIES_EACH: usize = 3;
/// How many more records are surveyed to find those; some repeat what is trained on.
const SPARE_EACH: usize = 12;
/// A full run with fewer queries says too little.
const MIN_QUERIES: usize = 50;

/// Somebody whose records can be left out.
pub(crate) struct Contributor {
    /// As people know them.
    pub(crate) name: String,
    /// Whom their records belong to.
    pub(crate) address: Address,
}

/// A held-out text.
pub(crate) struct Query {
    /// Whose it is, as an index.
    pub(crate) contributor: usize,
    /// The question before it.
    pub(crate) question: String,
    /// The text.
    pub(crate) text: String,
}

/// Everything that a measurement is made of.
pub(crate) struct Scenario {
    /// `crates` or `tiny`.
    pub(crate) name: &'static str,
    /// Base model.
    pub(crate) model: Arc<Model>,
    /// Its tokenizer.
    pub(crate) tokenizer: Tokenizer,
    /// What the run is.
    pub(crate) manifest: TrainManifest,
    /// Seed of the run.
    pub(crate) seed: B256,
    /// What is trained on.
    pub(crate) set: TrainingSet,
    /// Who can be left out.
    pub(crate) contributors: Vec<Contributor>,
    /// What is asked.
    pub(crate) queries: Vec<Query>,
}

impl Scenario {
    /// Names the run by everything that it depends on, the arithmetic of this build included (as the bits of its first batch): 64
    /// hex digits.
    pub(crate) fn key(&self, run: &Run) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.manifest.hash().as_slice());
        hasher.update(self.seed.as_slice());
        for query in &self.queries {
            hasher.update(query.question.as_bytes());
            hasher.update(query.text.as_bytes());
        }
        for grad in run.gradients(&run.initial(), run.batch(0))? {
            hasher.update(&grad.loss.to_le_bytes());
            hasher.update(&grad.grad.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
        }
        Ok(hasher.finalize().to_string())
    }

    /// The training run, prefixes computed.
    pub(crate) fn prepare(&self, pool: &Pool) -> Result<Run> {
        self.prepare_with(pool, self.seed)
    }

    /// The same with another seed.
    pub(crate) fn prepare_with(&self, pool: &Pool, seed: B256) -> Result<Run> {
        self.prepare_run(pool, seed, &self.set)
    }

    /// The same with other records.
    pub(crate) fn prepare_set(&self, pool: &Pool, set: &TrainingSet) -> Result<Run> {
        self.prepare_run(pool, self.seed, set)
    }

    fn prepare_run(&self, pool: &Pool, seed: B256, set: &TrainingSet) -> Result<Run> {
        let (model, tokenizer) = (self.model.clone(), &self.tokenizer);
        Ok(Run::prepare(model, tokenizer, pool.clone(), &self.manifest, seed, set, &mut |_| ())?)
    }

    /// The queries as samples with their prefixes.
    pub(crate) fn held_out(&self, pool: &Pool) -> Result<HeldOut> {
        self.held_out_of(self.queries.iter(), pool)
    }

    /// The same of any queries.
    pub(crate) fn held_out_of<'a>(
        &self,
        queries: impl Iterator<Item = &'a Query>,
        pool: &Pool,
    ) -> Result<HeldOut> {
        let recipe = &self.manifest.recipe;
        let samples: Vec<Sample> = queries
            .map(|q| sample(&self.tokenizer, &q.question, &q.text, recipe.max_tokens as usize))
            .collect::<Result<_, _>>()?;
        ensure!(
            samples.iter().all(|s| !s.targets.is_empty()),
            "a question fills the limit of {} tokens, so that nothing of its answer is left",
            recipe.max_tokens
        );
        Ok(HeldOut::new(self.model.clone(), pool.clone(), recipe.lora.first_layer, samples)?)
    }

    /// The contributor of every record, as an index.
    pub(crate) fn owners(&self) -> Vec<usize> {
        let owner = |record: &TrainingRecord| {
            self.contributors
                .iter()
                .position(|c| c.address == record.contributor)
                .expect("every record was made for a contributor")
        };
        self.set.records().iter().map(owner).collect()
    }
}

/// The demo's kind of data and its recipe on the real base.
pub(crate) fn crates(common: &Common, options: &Options) -> Result<Scenario> {
    let path = match &options.model {
        Some(path) => path.clone(),
        None => {
            SMOLLM2_135M_INSTRUCT.ensure(&common.home.join("base"), &PipOptions::default(), &mut |_| ())?
        }
    };
    note(format!("base model {}", path.display()));
    let (model, tokenizer) = Model::load_gguf(&path)?;
    let recipe = recipe(options, Recipe::demo())?;
    let cargo_home = match &options.cargo_home {
        Some(folder) => folder.clone(),
        None => std::env::home_dir().context("no home folder; give --cargo-home")?.join(".cargo"),
    };
    let sources = |records_each| -> Result<Vec<SourceContributor>> {
        Ok(survey(&SurveyOptions {
            roots: registry_sources(&cargo_home)?,
            only: Some(lock_packages(include_str!("../../../Cargo.lock"))?),
            contributors: CONTRIBUTORS,
            crates_each: CRATES_EACH,
            min_records_each: 8,
            records_each,
            stock_each: 1,
            secret: B256::ZERO,
        })?)
    };
    let trained = sources(RECORDS_EACH)?;
    let spare = sources(RECORDS_EACH + SPARE_EACH)?;
    let contributors = contributors(trained.iter().map(|c| c.name.clone()));
    let set = training_set(&trained, &contributors)?;
    let queries = held_out_records(&trained, &spare, recipe.template);
    ensure!(
        queries.len() >= MIN_QUERIES,
        "only {} held-out texts were found, at least {MIN_QUERIES} are needed; fetch the crates with `cargo fetch`",
        queries.len()
    );
    let manifest = manifest(sha256(&path)?, &set, recipe)?;
    let seed = openledger_train::training_seed(manifest.hash(), B256::ZERO);
    note(format!(
        "{} records of {} contributors, {} queries",
        set.records().len(),
        contributors.len(),
        queries.len()
    ));
    Ok(Scenario {
        name: "crates",
        model: Arc::new(model),
        tokenizer,
        manifest,
        seed,
        set,
        contributors,
        queries,
    })
}

fn recipe(options: &Options, default: Recipe) -> Result<Recipe> {
    match &options.recipe {
        Some(path) => {
            serde_json::from_reader(open(path)?).with_context(|| format!("reading {}", path.display()))
        }
        None => Ok(default),
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("opening {}", path.display()))
}

fn sha256(path: &Path) -> Result<B256> {
    let mut hasher = Sha256::new();
    io::copy(&mut open(path)?, &mut hasher).with_context(|| format!("reading {}", path.display()))?;
    Ok(B256::from_slice(&hasher.finalize()))
}

/// A manifest whose only Datanet version is named by the records and clusters themselves.
fn manifest(base: B256, set: &TrainingSet, recipe: Recipe) -> Result<TrainManifest> {
    let mut hasher = blake3::Hasher::new();
    for record in set.records() {
        hasher.update(record.record.as_slice());
        hasher.update(&record.cluster.to_le_bytes());
    }
    let manifest_hash = B256::from(*hasher.finalize().as_bytes());
    Ok(TrainManifest::new(
        base,
        vec![DatanetVersion { datanet: U256::ONE, version: 1, manifest_hash }],
        recipe,
    )?)
}

fn contributors(names: impl Iterator<Item = String>) -> Vec<Contributor> {
    names
        .map(|name| Contributor {
            address: Address::from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..20]),
            name,
        })
        .collect()
}

/// One record per near-duplicate cluster, the first contributor's and then the first.
fn training_set(sources: &[SourceContributor], contributors: &[Contributor]) -> Result<TrainingSet> {
    let records: Vec<_> = (0_u32..)
        .zip(sources)
        .flat_map(|(owner, source)| {
            (0_u32..).zip(&source.records).map(move |(index, record)| (owner, index, record))
        })
        .collect();
    let items: Vec<_> = records
        .iter()
        .map(|(owner, index, record)| ClusterItem {
            text: &record.text,
            order: OrderKey { block: 0, contribution: u64::from(*owner), record: *index },
        })
        .collect();
    let clusters = cluster(&items)?;
    let canonical = records.iter().enumerate().filter(|(at, _)| clusters.is_owner(*at));
    Ok(TrainingSet::new(
        canonical
            .map(|(at, (owner, _, record))| TrainingRecord {
                record: record.hash(),
                cluster: clusters.cluster[at],
                contributor: contributors[*owner as usize].address,
                name: record.source.name.clone(),
                text: record.text.clone(),
            })
            .collect(),
    )?)
}

/// Of each contributor, texts that match nothing that is trained on, spread over what there is.
fn held_out_records(
    trained: &[SourceContributor],
    spare: &[SourceContributor],
    template: Template,
) -> Vec<Query> {
    let known: Vec<&str> = trained.iter().flat_map(|c| &c.records).map(|r| r.text.as_str()).collect();
    let mut queries = Vec::new();
    for (contributor, source) in trained.iter().enumerate() {
        let more = spare.iter().filter(|s| s.name == source.name).flat_map(|s| &s.records);
        let fresh: Vec<_> = more.filter(|r| known.iter().all(|k| matching(k, &r.text).is_none())).collect();
        let step = (fresh.len() / QUERIES_EACH).max(1);
        queries.extend(fresh.into_iter().step_by(step).take(QUERIES_EACH).map(|record| Query {
            contributor,
            question: template.question(&record.source.name),
            text: record.text.clone(),
        }));
    }
    queries
}

const TINY_CONTRIBUTORS: usize = 6;
const TINY_RECORDS_EACH: usize = 6;
const TINY_QUERIES_EACH: usize = 4;
/// Words that each made-up contributor brings in; few enough to be learned, enough that texts are not near-duplicates of each other.
const TINY_WORDS_EACH: usize = 12;
const TINY_SEED: u64 = 20_260;

/// The tiny model on made-up contributors: each writes with words of their own, words shared with the next one, and words
/// that everybody uses.
pub(crate) fn tiny(options: &Options) -> Result<Scenario> {
    let (model, tokenizer) = Model::tiny(TINY_SEED);
    let recipe = recipe(options, tiny_recipe())?;
    let mut random = SplitMix(TINY_SEED);
    let contributors = contributors((0..TINY_CONTRIBUTORS).map(|c| format!("contributor {c}")));
    let words: Vec<String> =
        (0..(TINY_CONTRIBUTORS + 1) * TINY_WORDS_EACH + 8).map(|_| word(&mut random)).collect();
    let (common, own) = words.split_at(8);
    let mut records = Vec::new();
    let mut queries = Vec::new();
    for (number, contributor) in contributors.iter().enumerate() {
        let vocabulary = &own[number * TINY_WORDS_EACH..(number + 2) * TINY_WORDS_EACH];
        for index in 0..TINY_RECORDS_EACH + TINY_QUERIES_EACH {
            let name = vocabulary[index % 2].clone();
            let text = text(&mut random, vocabulary, common);
            if index < TINY_RECORDS_EACH {
                let cluster = u32::try_from(records.len()).expect("a few dozen records");
                let record = B256::from(*blake3::hash(text.as_bytes()).as_bytes());
                records.push(TrainingRecord {
                    record,
                    cluster,
                    contributor: contributor.address,
                    name,
                    text,
                });
            } else {
                queries.push(Query { contributor: number, question: recipe.template.question(&name), text });
            }
        }
    }
    let set = TrainingSet::new(records)?;
    let manifest = manifest(B256::from(U256::from(TINY_SEED)), &set, recipe)?;
    let seed = openledger_train::training_seed(manifest.hash(), B256::ZERO);
    Ok(Scenario {
        name: "tiny",
        model: Arc::new(model),
        tokenizer,
        manifest,
        seed,
        set,
        contributors,
        queries,
    })
}

fn tiny_recipe() -> Recipe {
    Recipe {
        template: Template::Describe,
        lora: LoraConfig {
            rank: 4,
            alpha: 8.0,
            first_layer: 2,
            targets: vec![Target::Q, Target::V, Target::O, Target::Up, Target::Down],
        },
        optimiser: Optimiser {
            lr_ppb: 4_000_000,
            beta1_ppm: 900_000,
            beta2_ppm: 990_000,
            eps_root_atto: 16_000_000_000_000,
            warmup_steps: 5,
            floor_ppm: 100_000,
            weight_decay_ppm: 0,
        },
        steps: 45,
        records_per_step: 4,
        max_tokens: 160,
        dropout_ppm: 0,
        held_out_ppm: 0,
    }
}

fn word(random: &mut SplitMix) -> String {
    let letter = |random: &mut SplitMix, of: &[u8]| char::from(of[random.below(of.len())]);
    (0..2 + random.below(2))
        .flat_map(|_| [letter(random, b"bcdfghklmnprstvz"), letter(random, b"aeiou")])
        .collect()
}

fn text(random: &mut SplitMix, own: &[String], common: &[String]) -> String {
    let words: Vec<&str> = (0..12)
        .map(|_| {
            let of = if random.below(10) < 7 { own } else { common };
            of[random.below(of.len())].as_str()
        })
        .collect();
    words.join(" ") + "."
}
