//! The state with its proof: asked of any node, believed for the validators of the genesis and those that they hand over to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256, hex};
use anyhow::{Context, Result, ensure};
use openledger_client::Client;
use openledger_client::light::{Handover, Proven, StateProof, Trust};
use openledger_node::{DEFAULT_HTTP, Genesis, MAX_GENESIS_BYTES};
use openledger_types::amount::format_open;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{ChainCommand, ProveArgs};
use crate::connection::Connection;
use crate::home::Home;
use crate::show::Show;

/// Largest file that is read as a proof: 1,024 slots and 128 headers are below 8 MB.
const MAX_PROOF_BYTES: u64 = 16 << 20;
/// Largest file that is read as handovers: some thousands of epochs.
const MAX_HANDOVERS_BYTES: u64 = 256 << 20;
/// Slots of one proof, as a node gives them.
const MAX_SLOTS: usize = 1024;
/// How often `follow` asks for a new head.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn run(home: &Home, command: ChainCommand, show: &Show) -> Result<()> {
    match command {
        ChainCommand::Prove(args) => prove(home, args, show).await,
        ChainCommand::Check { file, genesis, handovers } => {
            check(&file, &genesis, handovers.as_deref(), show)
        }
        ChainCommand::Handovers { out } => handovers(home, &out, show).await,
        ChainCommand::Follow { account, genesis } => follow(home, account, &genesis, show).await,
    }
}

async fn prove(home: &Home, args: ProveArgs, show: &Show) -> Result<()> {
    let ProveArgs { account, slots, out } = args;
    ensure!(
        slots.len() <= MAX_SLOTS,
        "{} slots are asked for; one proof has at most {MAX_SLOTS}",
        slots.len()
    );
    let client = connect(home).await?;
    let proof = client.proof(account, &slots).await?;
    let Some(out) = out else {
        show.document(&serde_json::to_value(&proof)?);
        return Ok(());
    };
    let mut text = serde_json::to_string_pretty(&proof)?;
    text.push('\n');
    std::fs::write(&out, text).with_context(|| format!("cannot write {}", out.display()))?;
    show.line(format!(
        "written to {}; check it with: openledger chain check {} --genesis GENESIS",
        out.display(),
        out.display()
    ));
    show.result(&json!({ "written": out }));
    Ok(())
}

async fn handovers(home: &Home, out: &Path, show: &Show) -> Result<()> {
    let client = connect(home).await?;
    let mut all: Vec<Handover> = Vec::new();
    loop {
        let next = all.last().map_or(FIRST_ELECTED, |last| last.epoch.to::<u64>() + 1);
        let more = client.handovers(next).await?;
        if more.is_empty() {
            break;
        }
        all.extend(more);
    }
    let text = serde_json::to_string(&all)?;
    std::fs::write(out, text).with_context(|| format!("cannot write {}", out.display()))?;
    let newest = all.last().map(|last| last.epoch.to::<u64>());
    show.line(match newest {
        Some(newest) => {
            format!("the validators of epochs {FIRST_ELECTED} to {newest} written to {}", out.display())
        }
        None => format!("no epoch has other validators than the genesis yet; {} is empty", out.display()),
    });
    show.result(&json!({ "written": out, "epochs": all.len(), "newest": newest }));
    Ok(())
}

fn check(file: &Path, genesis: &Path, handovers: Option<&Path>, show: &Show) -> Result<()> {
    let mut believed = Believed::read(genesis)?;
    if let Some(path) = handovers {
        let expected = "handovers: the JSON that `openledger chain handovers` writes";
        believed.hand_over(&read_json::<Vec<Handover>>(path, MAX_HANDOVERS_BYTES, expected)?)?;
    }
    let proof: StateProof =
        read_json(file, MAX_PROOF_BYTES, "a proof: the JSON that `openledger chain prove` gives")?;
    let proven = believed.check(&proof)?;
    let (names, seats) = believed.signers(&proof)?;
    let row = |what: String, value: String| show.line(format!("{what:<10}  {value}"));
    row("account".into(), proof.address.to_string());
    row("balance".into(), format!("{} OPEN", format_open(proof.balance)));
    row("nonce".into(), proof.nonce.to_string());
    row("code hash".into(), proof.code_hash.to_string());
    for slot in &proof.storage_proof {
        row(format!("slot {:#x}", slot.key), format!("{:#x}", slot.value));
    }
    row("block".into(), format!("number {}, {}", proven.header.number, proven.hash));
    row("made".into(), format!("{} s ago by its own time", age(&proven)));
    row("chain".into(), format!("id {}, genesis {}", believed.genesis.chain_id, believed.genesis.hash()));
    let later = proof.headers.len() - 1;
    let by = format!("{} of {seats} validators", names.len());
    row("final by".into(), if later == 0 { by } else { format!("{by}, in the block {later} above it") });
    for (key, account) in &names {
        let paid = account.map(|account| format!(", paid to {account}")).unwrap_or_default();
        row("  signed".into(), format!("{key}{paid}"));
    }
    show.result(&describe(&proof, &proven, &names));
    Ok(())
}

async fn follow(home: &Home, account: Address, genesis: &Path, show: &Show) -> Result<()> {
    let mut believed = Believed::read(genesis)?;
    let client = connect(home).await?;
    show.line(format!(
        "{account} by {}, believing the validators of {} and whom they hand over to; interrupt with Ctrl-C",
        client.url(),
        genesis.display()
    ));
    // From before the first line on, so that whoever waits for that can interrupt.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut last: Option<(u64, B256)> = None;
    loop {
        let proof = client.proof(account, &[]).await?;
        ensure!(
            proof.address == account,
            "asked for {account}, the node answers with a proof of {}",
            proof.address
        );
        while believed.trust.newest() < proof.certificate.epoch.to::<u64>() {
            let next = believed.trust.newest() + 1;
            let more = client.handovers(next).await?;
            ensure!(!more.is_empty(), "the node does not show the validators of epoch {next}; ask another");
            believed.hand_over(&more)?;
        }
        let proven = believed.check(&proof)?;
        let (number, hash) = (proven.header.number, proven.hash);
        if let Some((known, known_hash)) = last {
            ensure!(
                number != known || hash == known_hash,
                "two blocks {number} are final, {known_hash} and {hash}: more than a third of the validators \
                 contradict themselves"
            );
        }
        // A node may show an older state than before; that is no news.
        if last.is_none_or(|(known, _)| number > known) {
            last = Some((number, hash));
            let (names, seats) = believed.signers(&proof)?;
            show.line(format!(
                "block {number} {hash}  {} OPEN, nonce {}, {} of {seats} validators, {} s old",
                format_open(proof.balance),
                proof.nonce,
                names.len(),
                age(&proven)
            ));
            show.result(&describe(&proof, &proven, &names));
        }
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// The node that was named, the one of the home folder, or the one at the usual port; none of them need be trusted.
async fn connect(home: &Home) -> Result<Client> {
    if let Some(connection) = Connection::reach(home).await? {
        return Ok(connection.client);
    }
    let url = format!("http://{DEFAULT_HTTP}");
    Client::connect(&url)
        .await
        .with_context(|| format!("no node answers at {url}; start one, or name one with --rpc"))
}

/// The first epoch whose validators are elected; those before have the ones of the genesis.
const FIRST_ELECTED: u64 = 2;

/// Who signed a proof: public key and, where the genesis names it, account.
type Signers = Vec<(String, Option<Address>)>;

/// A genesis and what follows from it: which signatures make a block final.
struct Believed {
    genesis: Genesis,
    /// Account by public key, of the validators that the genesis names.
    accounts: BTreeMap<[u8; 32], Address>,
    trust: Trust,
}

impl Believed {
    fn read(path: &Path) -> Result<Self> {
        let genesis: Genesis =
            read_json(path, MAX_GENESIS_BYTES, "a genesis: a node keeps its own in node/genesis.json")?;
        let mut accounts = BTreeMap::new();
        for seat in &genesis.validators {
            let key: [u8; 32] =
                hex::decode(&seat.consensus_key).ok().and_then(|key| key.try_into().ok()).with_context(
                    || format!("{}: '{}' is not a public key", path.display(), seat.consensus_key),
                )?;
            accounts.insert(key, seat.account);
        }
        ensure!(!accounts.is_empty(), "{} names no validators", path.display());
        let keys: Vec<_> = accounts.keys().copied().collect();
        let trust = Trust::of_genesis(genesis.chain_id, genesis.hash(), &keys)?;
        Ok(Self { genesis, accounts, trust })
    }

    /// Believes the validators of the epochs that follow.
    fn hand_over(&mut self, handovers: &[Handover]) -> Result<()> {
        for handover in handovers {
            self.trust.hand_over(handover).context("not believed")?;
        }
        Ok(())
    }

    fn check(&self, proof: &StateProof) -> Result<Proven> {
        let (epoch, newest) = (proof.certificate.epoch.to::<u64>(), self.trust.newest());
        ensure!(
            epoch <= newest,
            "not believed: the block was made final by validators elected for epoch {epoch}, and those of epochs up to {newest} \
             are known; `openledger chain handovers` asks a node for what shows the others"
        );
        proof.check(&self.trust).context("not believed")
    }

    /// Key and account of those who signed a proof that was checked, and the validators in all.
    fn signers(&self, proof: &StateProof) -> Result<(Signers, usize)> {
        let keys = self.trust.keys(proof.certificate.epoch.to()).context("a proof was checked")?;
        let places = proof.certificate.signatures.iter().map(|vote| vote.signer.to::<usize>());
        let signers = places
            .filter_map(|place| keys.get(place))
            .map(|key| (hex::encode(key), self.accounts.get(key).copied()));
        Ok((signers.collect(), keys.len()))
    }
}

fn describe(proof: &StateProof, proven: &Proven, signers: &[(String, Option<Address>)]) -> Value {
    let slots: BTreeMap<_, _> =
        proof.storage_proof.iter().map(|slot| (format!("{:#x}", slot.key), slot.value)).collect();
    json!({
        "account": proof.address,
        "balance_wei": proof.balance.to_string(),
        "nonce": proof.nonce.to::<u64>(),
        "code_hash": proof.code_hash,
        "slots": slots,
        "block": { "number": proven.header.number, "hash": proven.hash, "timestamp": proven.header.timestamp },
        "signed_by": signers.iter().map(|(key, account)| json!({ "key": key, "account": account })).collect::<Vec<_>>(),
    })
}

/// Seconds since a block says that it was made. A proof shows that a state was final, not that no newer one is.
fn age(proven: &Proven) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    now.saturating_sub(proven.header.timestamp)
}

/// A JSON file of at most `limit` bytes; `-` is standard input.
fn read_json<T: DeserializeOwned>(path: &Path, limit: u64, expected: &str) -> Result<T> {
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?)
    };
    let mut bytes = Vec::new();
    reader
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(bytes.len() as u64 <= limit, "{} has more than {limit} bytes", path.display());
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not what is expected, {expected}", path.display()))
}
