//! The state with its proof: asked of any node, believed for the validators of the genesis alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256, hex};
use anyhow::{Context, Result, ensure};
use openledger_client::Client;
use openledger_client::light::{Proven, StateProof, Trust};
use openledger_node::Genesis;
use openledger_types::amount::format_open;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::args::{ChainCommand, ProveArgs};
use crate::connection::Endpoints;
use crate::home::Home;
use crate::show::Show;

/// Where a node answers unless told otherwise.
const DEFAULT_RPC: &str = "http://127.0.0.1:8545";
/// Largest file that is read as a proof: 1,024 slots and 128 headers are below 8 MB.
const MAX_PROOF_BYTES: u64 = 16 << 20;
/// Largest file that is read as a genesis, as a node reads it.
const MAX_GENESIS_BYTES: u64 = 64 << 20;
/// Slots of one proof, as a node gives them.
const MAX_SLOTS: usize = 1024;
/// How often `follow` asks for a new head.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn run(home: &Home, command: ChainCommand, show: &Show) -> Result<()> {
    match command {
        ChainCommand::Prove(args) => prove(home, args, show).await,
        ChainCommand::Check { file, genesis } => check(&file, &genesis, show),
        ChainCommand::Follow { account, genesis, rpc } => {
            follow(home, account, &genesis, rpc.as_deref(), show).await
        }
    }
}

async fn prove(home: &Home, args: ProveArgs, show: &Show) -> Result<()> {
    let ProveArgs { account, slots, rpc, out } = args;
    ensure!(
        slots.len() <= MAX_SLOTS,
        "{} slots are asked for; one proof has at most {MAX_SLOTS}",
        slots.len()
    );
    let client = connect(home, rpc.as_deref()).await?;
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

fn check(file: &Path, genesis: &Path, show: &Show) -> Result<()> {
    let believed = Believed::read(genesis)?;
    let proof: StateProof =
        read_json(file, MAX_PROOF_BYTES, "a proof: the JSON that `openledger chain prove` gives")?;
    let proven = believed.check(&proof)?;
    let names = believed.signers(&proof);
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
    let by = format!("{} of {} validators", names.len(), believed.genesis.validators.len());
    row("final by".into(), if later == 0 { by } else { format!("{by}, in the block {later} above it") });
    for (key, account) in &names {
        row("  signed".into(), format!("{key}, paid to {account}"));
    }
    show.result(&describe(&proof, &proven, &names));
    Ok(())
}

async fn follow(home: &Home, account: Address, genesis: &Path, rpc: Option<&str>, show: &Show) -> Result<()> {
    let believed = Believed::read(genesis)?;
    let client = connect(home, rpc).await?;
    show.line(format!(
        "{account} by {}, believing the validators of {}; interrupt with Ctrl-C",
        client.url(),
        genesis.display()
    ));
    let mut last: Option<(u64, B256)> = None;
    loop {
        let proof = client.proof(account, &[]).await?;
        ensure!(
            proof.address == account,
            "asked for {account}, the node answers with a proof of {}",
            proof.address
        );
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
            let names = believed.signers(&proof);
            show.line(format!(
                "block {number} {hash}  {} OPEN, nonce {}, {} of {} validators, {} s old",
                format_open(proof.balance),
                proof.nonce,
                names.len(),
                believed.genesis.validators.len(),
                age(&proven)
            ));
            show.result(&describe(&proof, &proven, &names));
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// The node given, the one that `openledger up` runs on the home folder, or the one at the usual port.
async fn connect(home: &Home, rpc: Option<&str>) -> Result<Client> {
    let url = match rpc {
        Some(url) => url.to_owned(),
        None => Endpoints::read(home).map_or_else(|| DEFAULT_RPC.to_owned(), |endpoints| endpoints.rpc),
    };
    Client::connect(&url)
        .await
        .with_context(|| format!("no node answers at {url}; start one, or name one with --rpc"))
}

/// The last epoch whose validators the genesis names; later ones are elected.
const LAST_EPOCH_OF_GENESIS: u64 = 1;

/// A genesis and what follows from it: which signatures make a block final.
struct Believed {
    genesis: Genesis,
    /// Public key and account of the validators, in the order of their votes.
    seats: BTreeMap<[u8; 32], Address>,
}

impl Believed {
    fn read(path: &Path) -> Result<Self> {
        let genesis: Genesis =
            read_json(path, MAX_GENESIS_BYTES, "a genesis: a node keeps its own in node/genesis.json")?;
        let mut seats = BTreeMap::new();
        for seat in &genesis.validators {
            let key: [u8; 32] =
                hex::decode(&seat.consensus_key).ok().and_then(|key| key.try_into().ok()).with_context(
                    || format!("{}: '{}' is not a public key", path.display(), seat.consensus_key),
                )?;
            seats.insert(key, seat.account);
        }
        ensure!(!seats.is_empty(), "{} names no validators", path.display());
        Ok(Self { genesis, seats })
    }

    fn check(&self, proof: &StateProof) -> Result<Proven> {
        let epoch = proof.certificate.epoch.to::<u64>();
        ensure!(
            epoch <= LAST_EPOCH_OF_GENESIS,
            "not believed: the block was made final by validators elected for epoch {epoch}, and a genesis names those of epochs 0 \
             to {LAST_EPOCH_OF_GENESIS} alone"
        );
        let keys: Vec<_> = self.seats.keys().copied().collect();
        let trust = Trust::new(self.genesis.chain_id, self.genesis.hash(), epoch, &keys)?;
        proof.check(&trust).context("not believed")
    }

    /// Key and account of those who signed a proof that was checked.
    fn signers(&self, proof: &StateProof) -> Vec<(String, Address)> {
        let seats: Vec<_> = self.seats.iter().collect();
        let places = proof.certificate.signatures.iter().map(|vote| vote.signer.to::<usize>());
        places
            .filter_map(|place| seats.get(place).map(|(key, account)| (hex::encode(key), **account)))
            .collect()
    }
}

fn describe(proof: &StateProof, proven: &Proven, signers: &[(String, Address)]) -> Value {
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
