//! The main job from beginning to end on real data.
//!
//! Every step looks first at what is there (on chain, in the corpus, on disk) and does what is left, so the same command goes
//! on where a kill ended it, and a second run reuses what it has and pays for new answers.

mod people;
mod report;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, U256};
use anyhow::{Context, Result, bail};
use openledger_client::{ApiKey, Client};
use openledger_corpus::blob::Blobs;
use openledger_gateway::Gateway;
use openledger_types::abi::{BatchStatus, IDatanets, Modality};
use openledger_types::amount::format_open;
use openledger_worker::Machine;
use openledger_worker::contribute::{Published, accept_pending, contribute, publish_version};
use openledger_worker::develop::{Developed, Plan, Prices, develop, register_base};
use openledger_worker::operator::Limits;
use openledger_worker::verify::Verdict;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::args::DemoArgs;
use crate::base::Base;
use crate::commands::{Question, TERMS, ask, cited};
use crate::connection::Connection;
use crate::home::Home;
use crate::local::{CURATOR, DEVELOPER, Local, PAYER, open, write_secret};
use crate::show::Show;
use crate::stack::{Stack, model_name};
use people::Person;

/// Name and licence of the Datanet. Each record keeps its crate's own licence; the Datanet accepts permissive ones.
const DATANET: &str = "Rust crate docs";
const LICENSE: &str = "MIT OR Apache-2.0";
/// Ten-thousandths of an OPEN per token.
const TENTH_OF_A_MILLI_OPEN: u64 = 100_000_000_000_000;
/// What the payer deposits, and the most that the API key may spend, OPEN.
const DEPOSIT: u64 = 50;
/// Most tokens of an answer.
const ANSWER_TOKENS: u32 = 48;
/// Days that the API key lasts.
const KEY_SECONDS: u64 = 30 * 86_400;

/// What a run must remember over a kill: whom it asked about and what everybody had before.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    balances: Vec<(Address, U256)>,
}

pub(crate) async fn run(home: &Home, threads: usize, args: &DemoArgs, show: &Show) -> Result<()> {
    let base = Base::choose(home, args.tiny)?;
    let local = Local::open(home)?;
    let connection = show
        .step("a chain with one validator", async {
            let connection = Connection::start(home, &local, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
            let client = &connection.client;
            show.line(format!(
                "  chain {} at height {}, JSON-RPC at {}",
                client.chain_id(),
                client.block_number().await?,
                client.url()
            ));
            anyhow::Ok(connection)
        })
        .await?;
    let outcome = on_chain(home, &local, &connection.client, &base, threads, args, show).await;
    connection.close().await?;
    outcome
}

async fn on_chain(
    home: &Home,
    local: &Local,
    client: &Client,
    base: &Base,
    threads: usize,
    args: &DemoArgs,
    show: &Show,
) -> Result<()> {
    let people =
        show.step("a Datanet with real contributors", contributors(home, local, client, show)).await?;
    let published =
        show.step("one version, duplicates clustered", publish(home, local, client, &people, show)).await?;
    let machine = show.step("the base model", base_model(home, local, client, base, threads, show)).await?;
    let developed = show
        .step("an adapter, trained on it", train(home, local, client, base, &machine, &published, show))
        .await?;
    let stack = Stack::open(home, local, client, machine, Limits::default(), show.progress()).await?;
    let key = show.step("a payer deposits and authorises", pay_in(home, local, client, &stack, show)).await?;
    let before = before(home, client, &stack, &people).await?;
    if stack.unfinished().await?.is_empty() {
        let model = model_name(client, developed.id).await?;
        show.step("questions, answered and paid", ask_all(&stack, &people, &model, &key, args, show)).await?;
        show.step("the epoch ends: one replay gives the exact credit", stack.post_pending()).await?;
    }
    let batches = stack.unfinished().await?;
    let Some(batch) = batches.last().copied() else { bail!("no batch was posted") };
    if client.settlement().batch(batch).await?.status == BatchStatus::Posted {
        let verdict = show.step("a verifier re-executes all of it", stack.judge(batch)).await?;
        stack.finalise(batch).await?;
        if let Verdict::Different(difference) = verdict {
            bail!("the verifier found a difference, the payers are refunded: {difference}");
        }
        show.line("  equal; the batch is final");
    }
    for batch in &batches {
        show.step("everybody's payouts are claimed", stack.claim(*batch)).await?;
    }
    let file = stack.file(batch).await?;
    forget_before(home)?;
    report::print(home, client, &people, &file, batch, &before.balances, show).await
}

/// The people behind the crates that cargo downloaded, each with their own key, contribute what they wrote.
async fn contributors(home: &Home, local: &Local, client: &Client, show: &Show) -> Result<Vec<Person>> {
    let people = people::find(local)?;
    let curator = local.funded(client, CURATOR).await?;
    let datanet = match find_datanet(client, curator.address()).await? {
        Some(datanet) => datanet,
        None => client.datanets().create(&curator, DATANET, LICENSE, Modality::Text, TERMS).await?,
    };
    show.line(format!("  Datanet {datanet} \"{DATANET}\", {LICENSE}"));
    let blobs = Blobs::open(home.worker().corpus())?;
    for person in &people {
        local.fund(client, person.wallet.address(), open(1)).await?;
    }
    // All at once, as people would: everybody waits for the block after their commitment anyway.
    let mut contributions = JoinSet::new();
    for person in &people {
        let (client, corpus) = (client.clone(), home.worker().corpus());
        let (wallet, records) = (person.wallet.clone(), person.records.clone());
        contributions.spawn(async move {
            contribute(&client, &Blobs::open(corpus)?, &wallet, datanet, records).await
        });
    }
    while let Some(contribution) = contributions.join_next().await {
        contribution.context("a contribution ended unexpectedly")??;
    }
    accept_pending(client, &blobs, &curator, datanet).await?;
    for person in &people {
        show.line(format!(
            "  {:<24} {:>3} records from {}",
            person.name,
            person.records.len(),
            person.crates.join(", ")
        ));
    }
    Ok(people)
}

async fn find_datanet(client: &Client, owner: Address) -> Result<Option<U256>> {
    let count = client.datanets().call(&IDatanets::datanetCountCall {}).await?;
    let mut id = U256::from(1);
    while id <= count {
        let datanet = client.datanets().datanet(id).await?;
        if datanet.owner == owner && datanet.name == DATANET {
            return Ok(Some(id));
        }
        id += U256::from(1);
    }
    Ok(None)
}

async fn publish(
    home: &Home,
    local: &Local,
    client: &Client,
    people: &[Person],
    show: &Show,
) -> Result<(U256, Published)> {
    let curator = local.wallet(CURATOR)?;
    let datanet = find_datanet(client, curator.address()).await?.context("the Datanet was created above")?;
    let blobs = Blobs::open(home.worker().corpus())?;
    let published = publish_version(client, &blobs, &curator, datanet).await?;
    let (records, clusters) = (published.version.records, published.version.clusters);
    show.line(format!(
        "  version {}: {records} records of {} contributors in {clusters} clusters; {} near-duplicates earn nothing",
        published.number,
        people.len(),
        records - clusters
    ));
    Ok((datanet, published))
}

async fn base_model(
    home: &Home,
    local: &Local,
    client: &Client,
    base: &Base,
    threads: usize,
    show: &Show,
) -> Result<Machine> {
    let machine = base.load(home, threads, &show.progress()).await?;
    let developer = local.funded(client, DEVELOPER).await?;
    let id = register_base(client, &developer, base.name(), base.license(), machine.base_hash).await?;
    show.line(format!("  base model {id}: {}, SHA-256 {}", base.name(), machine.base_hash));
    Ok(machine)
}

async fn train(
    home: &Home,
    local: &Local,
    client: &Client,
    base: &Base,
    machine: &Machine,
    (datanet, _): &(U256, Published),
    show: &Show,
) -> Result<Developed> {
    let developer = local.wallet(DEVELOPER)?;
    let prices =
        Prices { input: U256::from(TENTH_OF_A_MILLI_OPEN), output: U256::from(3 * TENTH_OF_A_MILLI_OPEN) };
    let (folders, progress) = (home.worker(), show.progress());
    let plan =
        Plan { datanet: *datanet, recipe: base.recipe(machine.model.config()), patience: None, prices };
    let developed = develop(client, &folders, &developer, machine, plan, &progress).await?;
    let quarter = (developed.losses.len() / 4).max(1);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (&developed.losses[..quarter], &developed.losses[developed.losses.len() - quarter..]);
    show.line(format!(
        "  adapter {}: {} steps, loss {:.3} in the first quarter, {:.3} in the last, nats per token",
        developed.id,
        developed.losses.len(),
        mean(first),
        mean(last)
    ));
    Ok(developed)
}

/// Deposit and API key: an authorisation on chain for this operator, with a cap.
async fn pay_in(
    home: &Home,
    local: &Local,
    client: &Client,
    stack: &Stack<'_>,
    show: &Show,
) -> Result<String> {
    let payer = local.wallet(PAYER)?;
    local.fund(client, payer.address(), open(4 * DEPOSIT)).await?;
    if client.escrow().balance(payer.address()).await? < open(DEPOSIT) / U256::from(2) {
        client.escrow().deposit(&payer, open(DEPOSIT)).await?;
    }
    let deposit = client.escrow().balance(payer.address()).await?;
    let key = match std::fs::read_to_string(home.api_key_file()) {
        Ok(text) => text.trim().parse::<ApiKey>()?,
        Err(_missing) => {
            let key = ApiKey::generate();
            write_secret(&home.api_key_file(), key.reveal())?;
            key
        }
    };
    if client.escrow().authorisation(key.hash()).await?.payer.is_zero() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let operator = stack.operator.address();
        client.escrow().authorise(&payer, &key, operator, open(DEPOSIT), now + KEY_SECONDS).await?;
    }
    show.line(format!(
        "  {} has deposited {} OPEN; the API key in {} lets the operator charge at most {DEPOSIT} OPEN",
        payer.address(),
        format_open(deposit),
        home.api_key_file().display()
    ));
    Ok(key.reveal().to_owned())
}

/// Asks through the OpenAI-compatible endpoint. Answers that an interrupted run has already paid for are not asked again.
async fn ask_all(
    stack: &Stack<'_>,
    people: &[Person],
    model: &str,
    key: &str,
    args: &DemoArgs,
    show: &Show,
) -> Result<()> {
    let questions = args.questions;
    let gateway = Gateway::serve(stack.operator.clone(), SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    show.line(format!("  POST http://{}/v1/chat/completions, model {model}", gateway.address()));
    let answered: usize = stack.operator.pending().iter().map(|pending| pending.answers).sum();
    let progress = show.progress();
    for number in answered..questions as usize {
        progress.report("answers", number as u64, u64::from(questions), "");
        let prompt = people[number % people.len()].question(number / people.len());
        let question = Question {
            model,
            prompt: &prompt,
            max_tokens: ANSWER_TOKENS,
            temperature: 0.0,
            sources: args.sources,
        };
        let completion = ask(gateway.address(), key, &question).await?;
        let extra = &completion["openledger"];
        show.line(format!("\n  Q {prompt}"));
        show.line(format!(
            "  A {}",
            completion["choices"][0]["message"]["content"].as_str().unwrap_or_default().trim()
        ));
        show.line(format!(
            "    {} OPEN, receipt {}",
            extra["fee_open"].as_str().unwrap_or_default(),
            extra["receipt"].as_str().unwrap_or_default()
        ));
        for citation in completion["choices"][0]["citations"].as_array().into_iter().flatten() {
            show.line(format!("    source {}", cited(citation)));
        }
        report::estimate(extra, people, show);
    }
    progress.report("answers", u64::from(questions), u64::from(questions), "");
    gateway.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

/// What everybody had before the answers of this run, also when the run was interrupted since.
async fn before(home: &Home, client: &Client, stack: &Stack<'_>, people: &[Person]) -> Result<Before> {
    let path = home.root().join("demo-before.json");
    let asked = !stack.operator.pending().is_empty() || !stack.unfinished().await?.is_empty();
    if asked
        && let Ok(text) = std::fs::read(&path)
        && let Ok(before) = serde_json::from_slice(&text)
    {
        return Ok(before);
    }
    let mut balances = Vec::with_capacity(people.len());
    for person in people {
        let account = person.wallet.address();
        balances.push((account, client.balance(account).await?));
    }
    let before = Before { balances };
    std::fs::write(&path, serde_json::to_vec(&before)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(before)
}

fn forget_before(home: &Home) -> Result<()> {
    let path = home.root().join("demo-before.json");
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
}
