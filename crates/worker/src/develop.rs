//! An adapter from a Datanet version.
//!
//! Base, manifest, seed, run, transcript, publication; after a kill at any moment the same call goes on where it was: the
//! chain says what is committed and published, the transcript how far the run is.

use std::path::PathBuf;
use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use openledger_attribution::influence::Index;
use openledger_client::{Client, Filter, Wallet};
use openledger_corpus::blob::Blobs;
use openledger_model::Adapter;
use openledger_serve::{AdapterLimits, Adapters};
use openledger_train::{
    DatanetVersion, Metrics, Options, Recipe, Run, TrainManifest, Trained, TrainingSet, Trial, adapter_hash,
    save_adapter, train, trial, trial_seed,
};
use openledger_types::abi::{DatanetRef, IModels};

use crate::error::compute;
use crate::lineage::{self, Lineage};
use crate::operator::{Estimate, Evidence, EvidenceSource, ServeError, ServedAdapter};
use crate::sources::{ChainPermissions, Library, Sources};
use crate::{Folders, Machine, Progress, Result, WorkerError, contribute, spans};

/// What an adapter costs, wei per token.
#[derive(Debug, Clone, Copy)]
pub struct Prices {
    /// Per prompt token.
    pub input: U256,
    /// Per completion token.
    pub output: U256,
}

/// What is to be developed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Number of the Datanet whose newest version is trained on.
    pub datanet: U256,
    /// How, for at most as many steps as it says.
    pub recipe: Recipe,
    /// Comparisons on held-out records without a better one after which a trial before the run stops; the run then has the number of steps that was
    /// best. Without it the run has the recipe's.
    pub patience: Option<u32>,
    /// What the adapter will cost.
    pub prices: Prices,
}

/// A trained and published adapter.
#[derive(Debug, Clone)]
pub struct Developed {
    /// Number on chain.
    pub id: U256,
    /// Loss of every step's batch before the step, nats per token.
    pub losses: Vec<f64>,
    /// The adapter beside its base on the records that were held out, if any were.
    pub held_out: Option<Metrics>,
}

/// Registers a base model by its file's hash, or finds it registered.
///
/// # Errors
/// [`WorkerError::Chain`].
pub async fn register_base(
    client: &Client,
    wallet: &Wallet,
    name: &str,
    license: &str,
    file_hash: B256,
) -> Result<U256> {
    match client.models().base_by_hash(file_hash).await? {
        Some(base) => Ok(base),
        None => Ok(client.models().register_base(wallet, name, license, file_hash).await?),
    }
}

/// Trains an adapter on the newest version of a Datanet and publishes it. The same base, version and recipe give the adapter
/// that is there.
///
/// # Errors
/// [`WorkerError::NoVersion`], [`WorkerError::Train`], [`WorkerError::Chain`].
pub async fn develop(
    client: &Client,
    folders: &Folders,
    wallet: &Wallet,
    machine: &Machine,
    plan: Plan,
    progress: &Progress,
) -> Result<Developed> {
    let Plan { datanet, mut recipe, patience, prices } = plan;
    let blobs = Blobs::open(folders.corpus())?;
    let newest =
        contribute::newest_version(client, &blobs, datanet).await?.ok_or(WorkerError::NoVersion(datanet))?;
    let version =
        DatanetVersion { datanet, version: newest.number, manifest_hash: newest.version.manifestHash };
    let draft = TrainManifest::new(machine.base_hash, vec![version.clone()], recipe.clone())?;
    let set = lineage::training_set(client, &blobs, &draft).await?;
    if let Some(patience) = patience {
        let (folders, machine, set, progress) =
            (folders.clone(), machine.clone(), set.clone(), progress.clone());
        recipe.steps =
            compute(move || tried_steps(&folders, &machine, &draft, patience, &set, &progress)).await?;
        recipe.optimiser.warmup_steps = recipe.optimiser.warmup_steps.min(recipe.steps);
    }
    let manifest = TrainManifest::new(machine.base_hash, vec![version], recipe)?;
    let manifest_hash = blobs.put(&manifest.encode())?;
    let base = client.models().base_by_hash(machine.base_hash).await?.ok_or_else(|| {
        WorkerError::mismatch("base model", "one that is registered on chain", machine.base_hash)
    })?;
    // Whoever committed it first is its developer; that may be somebody else.
    let seed = match client.models().seed(manifest_hash).await? {
        Some(seed) => seed,
        None => client.models().commit_training(wallet, manifest_hash).await?,
    };
    let published = published_adapter(client, manifest_hash, wallet.address()).await?;
    let base_name = client.models().base(base).await?.name;
    let trained = {
        let (folders, machine, manifest, progress) =
            (folders.clone(), machine.clone(), manifest.clone(), progress.clone());
        compute(move || fit(&folders, &machine, &manifest, &base_name, seed, &set, &progress)).await?
    };
    let id = match published {
        Some(id) => id,
        None => {
            let call = IModels::publishAdapterCall {
                base,
                manifestHash: manifest_hash,
                adapterHash: trained.adapter_hash,
                transcriptHash: trained.transcript_hash,
                datanets: vec![DatanetRef { datanet, version: newest.number }],
                inputPrice: prices.input,
                outputPrice: prices.output,
            };
            client.models().publish_adapter(wallet, &call).await?
        }
    };
    Ok(Developed { id, losses: trained.losses, held_out: trained.held_out })
}

/// What was noted of an adapter that was trained here: how it does beside its base on held-out records.
pub fn held_out(folders: &Folders, manifest_hash: B256) -> Option<Metrics> {
    fitted_before(&folders.adapter(manifest_hash).join("done.json")).ok()??.held_out
}

/// The number of steps that a trial finds best, noted so that a kill costs no second trial.
fn tried_steps(
    folders: &Folders,
    machine: &Machine,
    draft: &TrainManifest,
    patience: u32,
    set: &TrainingSet,
    progress: &Progress,
) -> Result<u32> {
    let folder = folders.unfinished();
    let path = folder.join(format!("trial-{}-{patience}.json", draft.hash()));
    if let Ok(text) = std::fs::read(&path)
        && let Ok(steps) = serde_json::from_slice(&text)
    {
        return Ok(steps);
    }
    let run = lineage::prepare(machine, draft, trial_seed(draft), set, progress)?;
    let mut report = |step: openledger_train::Progress| {
        if let openledger_train::Progress::Step { done, total, loss } = step {
            progress.report("on trial", done as u64, total as u64, format!("loss {loss:.3} nats/token"));
        }
    };
    let Trial { steps, .. } = trial(&run, patience, &mut report)?;
    let partial = path.with_extension("partial");
    std::fs::create_dir_all(&folder).map_err(WorkerError::io("create the folder", &folder))?;
    std::fs::write(&partial, steps.to_string()).map_err(WorkerError::io("write", &partial))?;
    std::fs::rename(&partial, &path).map_err(WorkerError::io("rename to", &path))?;
    Ok(steps)
}

/// The adapter that a developer published from a manifest.
async fn published_adapter(client: &Client, manifest_hash: B256, developer: Address) -> Result<Option<U256>> {
    let head = client.block_number().await?;
    let filter = Filter::new().topic2(developer.into_word());
    let events = client.models().events::<IModels::AdapterPublished>(filter, 0, head).await?;
    Ok(events
        .into_iter()
        .find(|event| event.data.manifestHash == manifest_hash)
        .map(|event| event.data.adapter))
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Fitted {
    adapter_hash: B256,
    transcript_hash: B256,
    losses: Vec<f64>,
    #[serde(default)]
    held_out: Option<Metrics>,
}

/// Trains, or finishes what the transcript began, and stores what serving and attribution need.
fn fit(
    folders: &Folders,
    machine: &Machine,
    manifest: &TrainManifest,
    base_name: &str,
    seed: B256,
    set: &TrainingSet,
    progress: &Progress,
) -> Result<Fitted> {
    let folder = folders.adapter(manifest.hash());
    std::fs::create_dir_all(&folder).map_err(WorkerError::io("create the folder", &folder))?;
    let (transcript, done) = (folder.join("transcript"), folder.join("done.json"));
    if let Some(fitted) = fitted_before(&done)? {
        return Ok(fitted);
    }
    let run = lineage::prepare(machine, manifest, seed, set, progress)?;
    let mut report = |step: openledger_train::Progress| {
        if let openledger_train::Progress::Step { done, total, loss } = step {
            progress.report("training", done as u64, total as u64, format!("loss {loss:.3} nats/token"));
        }
    };
    let options = Options { transcript: Some(&transcript), weights: None, keep_gradients: true };
    let trained = train(&run, options, &mut report)?;
    save_adapter(&peft_path(&folder), &run, &trained.state.theta, base_name)?;
    Index::of_run(&run, &trained)?.save(&index_path(&folder))?;
    let lora = openledger_model::Lora { config: run.lora(), theta: &trained.state.theta };
    let held_out = run.held_out()?.map(|records| records.compare(lora)).transpose()?;
    let blobs = Blobs::open(folders.corpus())?;
    let fitted = Fitted {
        adapter_hash: adapter_hash(run.lora(), &trained.state.theta),
        transcript_hash: blobs.put_file(&transcript)?,
        losses: trained.losses,
        held_out,
    };
    let text = serde_json::to_vec(&fitted).expect("a plain structure becomes JSON");
    // Last of all: whoever finds this file finds everything that it stands for.
    let partial = folder.join("done.partial");
    std::fs::write(&partial, text).map_err(WorkerError::io("write", &partial))?;
    std::fs::rename(&partial, &done).map_err(WorkerError::io("rename to", &done))?;
    // The corpus holds it now.
    std::fs::remove_file(&transcript).map_err(WorkerError::io("remove", &transcript))?;
    Ok(fitted)
}

fn fitted_before(done: &std::path::Path) -> Result<Option<Fitted>> {
    let text = match std::fs::read(done) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(WorkerError::io("read", done)(error)),
    };
    // A file that cannot be read stands for nothing; the run is finished again from its transcript.
    Ok(serde_json::from_slice(&text).ok())
}

fn index_path(folder: &std::path::Path) -> PathBuf {
    folder.join("estimate-index")
}

/// What the operator serves: the adapter, registered with the worker's own files where they are there and else made again from the transcript,
/// and its evidence.
///
/// # Errors
/// [`WorkerError::Mismatch`] if what the transcript gives is not the adapter on chain.
pub async fn serve(
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    lineage: &Lineage,
    registry: &Adapters,
    name: String,
    progress: &Progress,
) -> Result<ServedAdapter> {
    let published = published_at(client, lineage.id).await?;
    let library = Library::of(lineage, &Blobs::open(folders.corpus())?)?;
    let permissions = Arc::new(ChainPermissions::new(client.clone(), library.clone()));
    let sources = Sources { library, permissions };
    let (folders, machine, lineage_, progress) =
        (folders.clone(), machine.clone(), lineage.clone(), progress.clone());
    let registry = registry.clone();
    let (adapter, evidence) = compute(move || {
        let blobs = Blobs::open(folders.corpus())?;
        let folder = folders.adapter(lineage_.adapter.manifestHash);
        if kept(&folders, &machine, &lineage_).is_some() && Index::load(&index_path(&folder)).is_ok() {
            registry.register(lineage_.adapter.adapterHash, peft_path(&folder))?;
            return Ok((None, from_files(&folders, &machine, &lineage_)?));
        }
        let run = lineage_.run(&machine, &progress)?;
        let (adapter, evidence) = remake(&machine, &lineage_, &blobs, &run)?;
        Ok((Some(Arc::new(adapter)), EvidenceSource::held(evidence)))
    })
    .await?;
    Ok(ServedAdapter {
        id: lineage.id,
        name,
        base_hash: lineage.base_hash,
        adapter_hash: lineage.adapter.adapterHash,
        datanets_root: lineage.datanets_root,
        input_price: lineage.adapter.inputPrice,
        output_price: lineage.adapter.outputPrice,
        developer: lineage.adapter.developer,
        created_at: published,
        adapter,
        evidence,
        sources: Some(sources),
    })
}

/// The adapter of a lineage: out of the worker's own files where they are there and hold it, else made again from the transcript.
///
/// # Errors
/// [`WorkerError::Corpus`] if the transcript is missing, [`WorkerError::Mismatch`] if it ends in another adapter.
pub async fn adapter(
    folders: &Folders,
    machine: &Machine,
    lineage: &Lineage,
    progress: &Progress,
) -> Result<Adapter> {
    let (folders, machine, lineage, progress) =
        (folders.clone(), machine.clone(), lineage.clone(), progress.clone());
    compute(move || {
        if let Some(adapter) = kept(&folders, &machine, &lineage) {
            return Ok(adapter);
        }
        let run = lineage.run(&machine, &progress)?;
        Ok(again(&machine, &lineage, &Blobs::open(folders.corpus())?, &run)?.0)
    })
    .await
}

/// The adapter as the worker's own files have it.
fn kept(folders: &Folders, machine: &Machine, lineage: &Lineage) -> Option<Adapter> {
    let peft = peft_path(&folders.adapter(lineage.adapter.manifestHash));
    let adapter = openledger_model::load_peft(&peft, machine.model.config()).ok()?;
    (hash_of(&adapter) == lineage.adapter.adapterHash).then_some(adapter)
}

fn peft_path(folder: &std::path::Path) -> PathBuf {
    folder.join("peft")
}

/// The adapters of a base model by their content hash, read when they are asked for.
///
/// # Errors
/// [`WorkerError::Serve`] when the system refuses a thread.
pub fn registry(machine: &Machine, limits: AdapterLimits) -> Result<Adapters> {
    Ok(Adapters::start(machine.model.config().clone(), limits, hash_of)?)
}

fn hash_of(adapter: &Adapter) -> B256 {
    adapter_hash(adapter.config(), adapter.theta())
}

/// Adapter and evidence from lineage and transcript alone.
pub(crate) fn remake(
    machine: &Machine,
    lineage: &Lineage,
    blobs: &Blobs,
    run: &Run,
) -> Result<(Adapter, Evidence)> {
    let (adapter, trained) = again(machine, lineage, blobs, run)?;
    Ok((adapter, evidence(machine, lineage, Index::of_run(run, &trained)?)?))
}

/// The adapter that the transcript ends in, with the run that it tells of.
fn again(machine: &Machine, lineage: &Lineage, blobs: &Blobs, run: &Run) -> Result<(Adapter, Trained)> {
    let trained = repeat(lineage, blobs, run)?;
    let adapter = Adapter::new(machine.model.config(), run.lora().clone(), trained.state.theta.clone())?;
    let got = hash_of(&adapter);
    if got != lineage.adapter.adapterHash {
        return Err(WorkerError::mismatch(
            "adapter that the transcript ends in",
            lineage.adapter.adapterHash,
            got,
        ));
    }
    Ok((adapter, trained))
}

/// The run as its transcript tells it, with each record's gradient at its last visit computed anew.
fn repeat(lineage: &Lineage, blobs: &Blobs, run: &Run) -> Result<Trained> {
    drop(lineage.transcript(blobs, run)?);
    let path = blobs.path(lineage.adapter.transcriptHash);
    let options = Options { transcript: Some(&path), weights: None, keep_gradients: true };
    Ok(train(run, options, &mut |_step| ())?)
}

fn evidence(machine: &Machine, lineage: &Lineage, index: Index) -> Result<Evidence> {
    let estimate = Estimate::Fisher { index, records: owners(lineage) };
    Ok(Evidence { estimate, spans: Some(spans::build(machine, lineage)?) })
}

/// The evidence as the worker's own files have it, opened when an answer needs it. The span index is made now if it is not there.
fn from_files(folders: &Folders, machine: &Machine, lineage: &Lineage) -> Result<EvidenceSource> {
    let spans = spans::Files::make(folders, machine, lineage)?;
    let path = index_path(&folders.adapter(lineage.adapter.manifestHash));
    let bytes = std::fs::metadata(&path).map_err(WorkerError::io("read", &path))?.len();
    let records = owners(lineage);
    Ok(EvidenceSource::opened(bytes, move || {
        let failed = |error: WorkerError| ServeError::Attribution(error.to_string());
        let index = Index::load(&path).map_err(|error| failed(error.into()))?;
        let estimate = Estimate::Fisher { index, records: records.clone() };
        Ok(Evidence { estimate, spans: Some(spans.open().map_err(failed)?) })
    }))
}

/// Hash and contributor of each record.
fn owners(lineage: &Lineage) -> Vec<(B256, Address)> {
    lineage.set.records().iter().map(|record| (record.record, record.contributor)).collect()
}

/// When an adapter was published, unix seconds.
async fn published_at(client: &Client, id: U256) -> Result<u64> {
    let head = client.block_number().await?;
    let filter = Filter::new().topic1(B256::from(id));
    let events = client.models().events::<IModels::AdapterPublished>(filter, 0, head).await?;
    let Some(event) = events.first() else { return Ok(0) };
    Ok(client.header(event.block).await?.map_or(0, |header| header.timestamp))
}
