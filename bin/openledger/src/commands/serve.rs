//! A base with adapters out of PEFT folders, without a chain.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::U256;
use anyhow::{Context, Result};
use openledger_client::{ApiKey, Wallet};
use openledger_gateway::Gateway;
use openledger_model::{Adapter, LoraConfig, LoraLayout, Pool, Target, init, load_peft};
use openledger_serve::{AdapterLimits, Engine, Scheduler};
use openledger_train::adapter_hash;
use openledger_types::split::FeeSplit;
use openledger_worker::operator::{Limits, Operator, Settings};
use openledger_worker::{Machine, develop};
use serde_json::json;

use crate::args::ServeArgs;
use crate::base::Base;
use crate::home::Home;
use crate::local::write_secret;
use crate::shelf::{Change, Shelf, unattributed};
use crate::show::Show;
use crate::unpaid::Unpaid;

/// Receipts are of no chain.
const NO_CHAIN: u64 = 0;
/// Number of the base among what is served.
const BASE: U256 = U256::from_limbs([1, 0, 0, 0]);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// How long an answer can be found again by its receipt.
const KEPT: Duration = Duration::from_secs(600);
/// How long requests under way may take to end.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) async fn run(home: &Home, threads: usize, args: ServeArgs, show: &Show) -> Result<()> {
    let base = match &args.base {
        Some(path) => Base::at(path, None, String::new())?,
        None => Base::of(home)?,
    };
    let machine = show.step("loading the base model", base.load(home, threads, &show.progress())).await?;
    for (name, path) in &args.named {
        load_peft(path, machine.model.config())
            .with_context(|| format!("cannot serve {name} from {}", path.display()))?;
    }
    let folder = args.adapters.unwrap_or_else(|| home.imported());
    for folder in [&folder, &home.served()] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    // Nothing of an earlier run is settled anywhere.
    std::fs::remove_dir_all(home.served())
        .with_context(|| format!("cannot empty {}", home.served().display()))?;
    let key = kept_key(home)?;
    let operator = operator(home, &machine, &key)?;
    operator.serve(bare(&operator, &machine, base.name())?)?;
    let links = home.served().join("adapters");
    let shelf = Shelf::new(operator.clone(), machine.base_hash, links, args.named, Some(folder.clone()));
    let mut shelf = look(shelf, show).await?;
    let gateway = Gateway::serve(operator.clone(), args.gateway).await?;
    let models: Vec<String> = operator.adapters().iter().map(|adapter| adapter.name.clone()).collect();
    show.line(format!(
        "OpenAI-compatible endpoint at http://{}/v1, models: {}\n\
         API key {}\n\
         adapters in {} are served, replaced and ended as they come, change and go; answers cost nothing and are attributed to nobody\n\
         interrupt with Ctrl-C",
        gateway.address(),
        models.join(", "),
        key.reveal(),
        folder.display()
    ));
    show.result(&json!({
        "gateway": format!("http://{}", gateway.address()), "api_key": key.reveal(), "models": models,
        "adapters": folder,
    }));
    let mut signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("cannot listen for signals")?;
    let (mut looks, mut clear) = (tokio::time::interval(BETWEEN_LOOKS), tokio::time::interval(KEPT));
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = signal.recv() => break,
            _ = looks.tick() => shelf = look(shelf, show).await?,
            _ = clear.tick() => forget_answers(home, &operator)?,
        }
    }
    show.line("stopping");
    Ok(gateway.shutdown(GRACE).await?)
}

async fn look(mut shelf: Shelf, show: &Show) -> Result<Shelf> {
    let (shelf, changes) = tokio::task::spawn_blocking(move || {
        let changes = shelf.look();
        (shelf, changes)
    })
    .await
    .context("looking at the adapters ended unexpectedly")?;
    match changes {
        Ok(changes) => {
            for change in changes {
                show.line(match change {
                    Change::Served(name) => format!("{name} is served"),
                    Change::Ended(name) => format!("{name} is gone"),
                    Change::Refused(name, why) => format!("{name} is not served: {why}"),
                });
            }
        }
        // What is served stays; the next look tries again.
        Err(error) => show.error(&error),
    }
    Ok(shelf)
}

fn operator(home: &Home, machine: &Machine, key: &ApiKey) -> Result<Operator> {
    // Steps have threads of their own; what else is computed on this machine keeps to the machine's.
    let steps = Pool::new(machine.pool.threads())?;
    let engine = Engine::new(machine.model.clone(), machine.tokenizer.clone(), steps);
    let scheduler = Scheduler::start(engine, machine.pool.clone(), Default::default())?;
    let registry = develop::registry(machine, AdapterLimits::default())?;
    let wallet = Wallet::random();
    let unpaid = Unpaid { key: key.hash(), operator: wallet.address() };
    let settings = Settings {
        chain_id: NO_CHAIN,
        split: FeeSplit::GENESIS,
        folder: home.served().join("answers"),
        limits: Limits::default(),
    };
    Ok(Operator::open(settings, wallet, scheduler, registry, Arc::new(unpaid))?)
}

/// The base itself: an adapter that changes nothing.
fn bare(
    operator: &Operator,
    machine: &Machine,
    name: &str,
) -> Result<openledger_worker::operator::ServedAdapter> {
    let shape = machine.model.config();
    let lora = LoraConfig { rank: 1, alpha: 1.0, first_layer: shape.layers - 1, targets: vec![Target::Q] };
    // Every adapter begins as nothing: its B is zero.
    let theta = init(shape, &LoraLayout::new(shape, &lora)?, [0; 32]);
    let hash = adapter_hash(&lora, &theta);
    let mut served = unattributed(operator, machine.base_hash, BASE, name.to_owned(), hash);
    served.adapter = Some(Arc::new(Adapter::new(shape, lora, theta)?));
    Ok(served)
}

/// Lets go of answers that are old; there is no batch that they wait for.
fn forget_answers(home: &Home, operator: &Operator) -> Result<()> {
    for over in operator.end_epoch() {
        if over.epoch < operator.epoch() {
            operator.mark_posted(over.epoch, over.adapter, U256::ZERO)?;
        }
    }
    let settled: PathBuf = home.served().join("answers/settled");
    let failed = || format!("cannot empty {}", settled.display());
    for file in std::fs::read_dir(&settled).with_context(failed)? {
        std::fs::remove_file(file.with_context(failed)?.path()).with_context(failed)?;
    }
    Ok(())
}

/// The key of this home folder, made when there is none.
fn kept_key(home: &Home) -> Result<ApiKey> {
    let path = home.serving_key_file();
    if let Ok(text) = std::fs::read_to_string(&path) {
        return text.trim().parse().with_context(|| format!("{} holds no API key", path.display()));
    }
    let key = ApiKey::generate();
    write_secret(&path, key.reveal())?;
    Ok(key)
}
