//! Fits an adapter on a base model and prints what the recipe does: the loss curve, held-out loss before and after, seconds per step.
//!
//! ```text
//! cargo run -p openledger-train --example fit -- base.gguf --lr 0.002 --eps-root 1e-6 --steps 60
//! ```
//!
//! It trains on the documentation of crates that cargo downloaded, or on the Markdown files of a folder; every tenth record is held out.
#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use alloy_primitives::{Address, B256, U256, keccak256};
use anyhow::{Context, Result, ensure};
use clap::Parser;
use openledger_corpus::crates_source::{SurveyOptions, registry_sources, survey};
use openledger_model::{Lora, LoraConfig, Model, Pool, Target};
use openledger_train::{
    DatanetVersion, HeldOut, Optimiser, Options, Progress, Recipe, Run, Template, TrainManifest,
    TrainingRecord, TrainingSet, adapter_hash, sample, save_adapter, train, training_seed,
};

#[derive(Parser)]
struct Arguments {
    /// Base model, a GGUF file.
    base: PathBuf,
    /// Where cargo keeps downloaded crates; the default is `.cargo` in the home folder.
    #[arg(long)]
    cargo_home: Option<PathBuf>,
    /// Train on the paragraphs of the Markdown files in this folder instead.
    #[arg(long)]
    folder: Option<PathBuf>,
    #[arg(long, default_value_t = 8)]
    contributors: usize,
    /// Records of each contributor.
    #[arg(long, default_value_t = 24)]
    records: usize,
    #[arg(long)]
    lr: Option<f64>,
    #[arg(long)]
    beta1: Option<f64>,
    #[arg(long)]
    beta2: Option<f64>,
    /// The stabiliser inside the root.
    #[arg(long)]
    eps_root: Option<f64>,
    #[arg(long)]
    warmup: Option<u32>,
    /// Learning rate at the end, as a part of the peak.
    #[arg(long)]
    floor: Option<f64>,
    /// Decoupled weight decay
    #[arg(long)]
    weight_decay: Option<f64>,
    #[arg(long)]
    steps: Option<u32>,
    #[arg(long)]
    records_per_step: Option<u32>,
    #[arg(long)]
    max_tokens: Option<u32>,
    #[arg(long)]
    rank: Option<usize>,
    #[arg(long)]
    alpha: Option<f32>,
    #[arg(long)]
    first_layer: Option<usize>,
    /// Such as `q_proj,v_proj`.
    #[arg(long, value_delimiter = ',')]
    targets: Option<Vec<Target>>,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Keep the transcript here, and continue it if it is there.
    #[arg(long)]
    transcript: Option<PathBuf>,
    /// Write the adapter for PEFT into this folder.
    #[arg(long)]
    save: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let recipe = recipe(&arguments)?;
    let texts = match &arguments.folder {
        Some(folder) => markdown(folder, arguments.records)?,
        None => documentation(&arguments)?,
    };
    let (held, kept): (Vec<_>, Vec<_>) = texts.into_iter().enumerate().partition(|(i, _)| i % 10 == 9);
    println!("{} records to train on, {} held out", kept.len(), held.len());

    let start = Instant::now();
    let (model, tokenizer) = Model::load(&arguments.base)?;
    let model = Arc::new(model);
    println!("model loaded in {:.1} s", start.elapsed().as_secs_f64());
    let pool = Pool::new(arguments.threads)?;
    let set = TrainingSet::new(kept.into_iter().map(|(i, text)| text.record(i)).collect())?;
    // A run needs a Datanet version by name; this data has none, and only the seed depends on it.
    let datanet = DatanetVersion { datanet: U256::ZERO, version: 1, manifest_hash: B256::ZERO };
    let manifest = TrainManifest::new(B256::ZERO, vec![datanet], recipe)?;
    println!("{}", String::from_utf8_lossy(&manifest.encode()));

    let clock = Clock::start();
    let run_seed = training_seed(manifest.hash(), B256::ZERO);
    let run =
        Run::prepare(Arc::clone(&model), &tokenizer, pool.clone(), &manifest, run_seed, &set, &mut |_| ())?;
    let tokens: usize =
        (0..run.steps()).flat_map(|t| run.batch(t)).map(|&r| run.sample(r as usize).tokens.len()).sum();
    println!(
        "prefixes in {clock}; {} parameters, {:.0} tokens a step",
        run.layout().len(),
        tokens as f64 / run.steps() as f64
    );

    let recipe = &manifest.recipe;
    let samples = held
        .iter()
        .map(|(_, t)| {
            sample(&tokenizer, &recipe.template.question(&t.name), &t.text, recipe.max_tokens as usize)
        })
        .collect::<Result<_, _>>()?;
    let held_out = HeldOut::new(Arc::clone(&model), pool, recipe.lora.first_layer, samples)?;
    let before = held_out.mean_loss(None)?;

    let clock = Clock::start();
    let options = Options { transcript: arguments.transcript.as_deref(), ..Options::default() };
    let trained = train(&run, options, &mut |progress| {
        if let Progress::Step { done, total, loss } = progress {
            println!("step {done:4} of {total}  loss {loss:.4}  {clock}");
        }
    })?;
    println!("trained in {clock}, {:.2} CPU seconds a step", clock.cpu() / run.steps() as f64);

    let theta = &trained.state.theta;
    let after = held_out.mean_loss(Some(Lora { config: run.lora(), theta }))?;
    let quarter = (run.steps() / 4).max(1);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (&trained.losses[..quarter], &trained.losses[run.steps() - quarter..]);
    let second = trained.state.v.iter().map(|&v| f64::from(v)).sum::<f64>() / theta.len() as f64;
    println!("training loss: {:.4} in the first quarter, {:.4} in the last", mean(first), mean(last));
    println!("held-out loss: {before:.4} base, {after:.4} with the adapter");
    println!("mean squared gradient: {second:.3e}");
    println!("adapter: {}", adapter_hash(run.lora(), theta));
    if let Some(folder) = &arguments.save {
        save_adapter(folder, &run, theta, "base")?;
    }
    Ok(())
}

fn recipe(a: &Arguments) -> Result<Recipe> {
    let mut recipe = Recipe::demo();
    let Recipe { lora, optimiser, .. } = &mut recipe;
    let LoraConfig { rank, alpha, first_layer, targets } = lora;
    let Optimiser { lr_ppb, beta1_ppm, beta2_ppm, eps_root_atto, warmup_steps, floor_ppm, weight_decay_ppm } =
        optimiser;
    let whole = |value: f64, unit: f64| (value * unit).round() as u64;
    let ppm = |value: f64| whole(value, 1e6) as u32;
    set(rank, a.rank);
    set(alpha, a.alpha);
    set(first_layer, a.first_layer);
    set(targets, a.targets.clone());
    set(lr_ppb, a.lr.map(|x| whole(x, 1e9)));
    set(beta1_ppm, a.beta1.map(ppm));
    set(beta2_ppm, a.beta2.map(ppm));
    set(eps_root_atto, a.eps_root.map(|x| whole(x, 1e18)));
    set(warmup_steps, a.warmup);
    set(floor_ppm, a.floor.map(ppm));
    set(weight_decay_ppm, a.weight_decay.map(ppm));
    set(&mut recipe.steps, a.steps);
    set(&mut recipe.records_per_step, a.records_per_step);
    set(&mut recipe.max_tokens, a.max_tokens);
    recipe.template = Template::Describe;
    recipe.validate()?;
    Ok(recipe)
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

struct Text {
    contributor: Address,
    name: String,
    text: String,
}

impl Text {
    fn record(self, cluster: usize) -> TrainingRecord {
        TrainingRecord {
            record: keccak256(self.text.as_bytes()),
            cluster: cluster as u32,
            contributor: self.contributor,
            name: self.name,
            text: self.text,
        }
    }
}

fn documentation(arguments: &Arguments) -> Result<Vec<Text>> {
    let cargo_home = match &arguments.cargo_home {
        Some(folder) => folder.clone(),
        None => std::env::home_dir().context("no home folder; give --cargo-home")?.join(".cargo"),
    };
    let sources = survey(&SurveyOptions {
        roots: registry_sources(&cargo_home)?,
        only: None,
        contributors: arguments.contributors,
        crates_each: 6,
        min_records_each: 6,
        records_each: arguments.records,
        stock_each: 1,
        secret: B256::ZERO,
    })?;
    let texts = sources.into_iter().flat_map(|source| {
        let contributor = Address::from_word(keccak256(source.key_label.as_bytes()));
        source.records.into_iter().map(move |r| Text { contributor, name: r.source.name, text: r.text })
    });
    Ok(texts.collect())
}

fn markdown(folder: &Path, records: usize) -> Result<Vec<Text>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut texts = Vec::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "md")) {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let whole = fs::read_to_string(file)?;
        let paragraphs = whole.split("\n\n").map(str::trim).filter(|p| p.len() > 200).take(records);
        let contributor = Address::from_word(keccak256(name.as_bytes()));
        texts.extend(paragraphs.map(|p| Text { contributor, name: name.clone(), text: p.into() }));
    }
    ensure!(
        texts.len() >= 10,
        "{} holds {} paragraphs of Markdown, 10 are needed",
        folder.display(),
        texts.len()
    );
    Ok(texts)
}

/// Wall time, and processor time where the system tells it.
struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_seconds() }
    }

    fn cpu(&self) -> f64 {
        cpu_seconds() - self.cpu
    }
}

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} s ({:.1} CPU s)", self.wall.elapsed().as_secs_f64(), self.cpu())
    }
}

/// User and system time of this process in seconds from Linux' process table, in hundredths; 0 elsewhere.
fn cpu_seconds() -> f64 {
    let Ok(stat) = fs::read_to_string("/proc/self/stat") else { return 0.0 };
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|x| x.parse::<f64>().ok()).sum::<f64>() / 100.0
}
