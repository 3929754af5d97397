//! Starting a validator.

use crate::{
    ChainError, ChainHandle, ConsensusKey, PoolLimits,
    admission::Admission,
    engine::{self, Controls, Membership},
    gossip,
    handle::Inner,
    index::Index,
    journal::Journal,
    key,
    ledger::Ledger,
    lock::FolderLock,
    pacing::Pace,
    pool::Pool,
};
use alloy_primitives::Address;
use commonware_cryptography::ed25519;
use commonware_runtime::{Runner as _, tokio as runtime};
use openledger_execution::Genesis;
use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{SocketAddr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc::sync_channel},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for the engine.
const REQUESTS: usize = 1024;
/// Threads of the engine's runtime.
const THREADS: usize = 2;

/// What a validator is started with.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// Where blocks, state and index live. Made if missing; one process at a time.
    pub data_dir: PathBuf,
    /// What the chain starts from. A folder belongs to one genesis.
    pub genesis: Genesis,
    /// The key of this validator, one of the genesis.
    pub signer: ConsensusKey,
    /// Where this validator listens for the others. A single validator may let the system choose (port 0).
    pub listen: SocketAddr,
    /// Where the other validators listen, by public key in hex. Empty for a single validator.
    pub peers: BTreeMap<String, SocketAddr>,
    /// Least time from one block to the next while transactions wait.
    pub block_interval: Duration,
    /// Time after which a block is made although no transaction waits.
    pub heartbeat: Duration,
    /// How many transactions may wait.
    pub pool: PoolLimits,
}

impl ChainConfig {
    /// A single validator on this machine: blocks at most every 50 ms under load, one a second when idle.
    pub fn new(data_dir: impl Into<PathBuf>, genesis: Genesis, signer: ConsensusKey) -> Self {
        Self {
            data_dir: data_dir.into(),
            genesis,
            signer,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            peers: BTreeMap::new(),
            block_interval: Duration::from_millis(50),
            heartbeat: Duration::from_secs(1),
            pool: PoolLimits::default(),
        }
    }
}

/// Starts a validator on threads of its own and returns once it can answer: after a crash, once it has recovered.
///
/// # Errors
/// [`ChainError`] names what is missing, wrong, in use or damaged.
pub fn start(config: ChainConfig) -> Result<ChainHandle, ChainError> {
    let folder = config.data_dir.clone();
    fs::create_dir_all(&folder).map_err(|source| ChainError::Io { path: folder.clone(), source })?;
    let lock = FolderLock::take(&folder)?;

    let (seats, addresses) = members(&config)?;
    let leader = seats
        .keys()
        .next()
        .cloned()
        .ok_or_else(|| ChainError::Genesis { reason: "there is no validator".into() })?;
    let genesis_block = engine::genesis_block(&config.genesis, leader);
    let index = Index::open(&folder.join("index.redb"), config.genesis.hash())?;
    let (journal, waiting) = Journal::open(&folder.join("waiting-transactions"))?;
    let pool = Pool::new(config.pool, config.genesis.base_fee);
    let namespace = format!("openledger-{}-{}", config.genesis.chain_id, config.genesis.hash()).into_bytes();
    let ledger = Arc::new(Ledger::new(config.genesis, genesis_block, seats, pool, index)?);
    let membership = Membership { signer: config.signer, listen: config.listen, addresses, namespace };
    let pace = Pace { interval: config.block_interval, heartbeat: config.heartbeat };

    let (requests, received) = mpsc::channel(REQUESTS);
    let (shutdown, stop) = oneshot::channel();
    let (ready, is_ready) = sync_channel(1);
    let (news, told) = match membership.addresses.len() {
        0 | 1 => (None, None),
        _ => {
            let (news, told) = mpsc::channel(gossip::QUEUED);
            (Some(news), Some(told))
        }
    };
    let admission = Admission { ledger: ledger.clone(), requests: requests.clone() };
    let controls = Controls { requests: received, ready, shutdown: stop, admission, news: told };
    let thread = std::thread::Builder::new()
        .name("chain".into())
        .spawn({
            let (ledger, folder) = (ledger.clone(), folder.clone());
            move || {
                // Held until the last task has ended.
                let _lock = lock;
                run(&folder, ledger, membership, pace, controls)
                    .inspect_err(|error| tracing::error!(%error, "the validator stopped"))
            }
        })
        .map_err(|source| ChainError::Io { path: folder, source })?;

    if is_ready.recv().is_err() {
        return Err(match thread.join() {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => ChainError::Stopped,
        });
    }
    let inner = Inner {
        ledger,
        requests,
        journal,
        news,
        shutdown: Mutex::new(Some(shutdown)),
        thread: Mutex::new(Some(thread)),
    };
    let handle = ChainHandle { inner: Arc::new(inner) };
    handle.resume(waiting);
    Ok(handle)
}

/// Runs the engine to its end. Its storage reports damage by panicking, which becomes an error here.
fn run(
    folder: &Path,
    ledger: Arc<Ledger>,
    membership: Membership,
    pace: Pace,
    controls: Controls,
) -> Result<(), ChainError> {
    let engine = |reason| ChainError::Engine { folder: folder.to_owned(), reason };
    let config = runtime::Config::new()
        .with_storage_directory(folder.join("engine"))
        .with_worker_threads(THREADS)
        .with_tcp_nodelay(Some(true));
    let ran = catch_unwind(AssertUnwindSafe(|| {
        runtime::Runner::new(config).start(|context| engine::run(context, ledger, membership, pace, controls))
    }));
    match ran {
        Ok(outcome) => outcome.map_err(engine),
        Err(panic) => Err(engine(panic_text(panic.as_ref()))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked without a message").to_owned()
}

type Members = (BTreeMap<ed25519::PublicKey, Address>, BTreeMap<ed25519::PublicKey, SocketAddr>);

/// Seats by key, and where each validator listens.
fn members(config: &ChainConfig) -> Result<Members, ChainError> {
    let mut seats = BTreeMap::new();
    for seat in &config.genesis.validators {
        let key = key::parse(&seat.consensus_key).ok_or_else(|| ChainError::Genesis {
            reason: format!("{:?} is not an ed25519 public key in hex", seat.consensus_key),
        })?;
        if seats.insert(key, seat.account).is_some() {
            return Err(ChainError::Genesis {
                reason: format!("the validator {} has two seats", seat.consensus_key),
            });
        }
    }
    let own = config.signer.public();
    if !seats.contains_key(&own) {
        return Err(ChainError::NotAValidator { key: config.signer.public_hex(), validators: seats.len() });
    }
    let addresses = addresses(config, &seats)?;
    // The engine would end without a word if it could not listen.
    TcpListener::bind(config.listen)
        .map_err(|source| ChainError::Listen { address: config.listen, source })?;
    Ok((seats, addresses))
}

/// Where every validator listens, each at an address of its own that others can reach.
fn addresses(
    config: &ChainConfig,
    seats: &BTreeMap<ed25519::PublicKey, Address>,
) -> Result<BTreeMap<ed25519::PublicKey, SocketAddr>, ChainError> {
    let mut known = BTreeMap::new();
    for (text, address) in &config.peers {
        let wrong = |reason| ChainError::Address { key: text.clone(), address: *address, reason };
        let key = key::parse(text).ok_or_else(|| wrong("the key is not an ed25519 public key in hex"))?;
        if !seats.contains_key(&key) {
            return Err(wrong("it is not among the validators of the genesis"));
        }
        known.insert(key, *address);
    }
    known.insert(config.signer.public(), config.listen);
    let mut taken = BTreeSet::new();
    for key in seats.keys() {
        let text = key::hex(key);
        let Some(address) = known.get(key).copied() else { return Err(ChainError::NoAddress { key: text }) };
        let own = *key == config.signer.public();
        let wrong = |reason| Err(ChainError::Address { key: text, address, reason });
        if seats.len() > 1 && address.port() == 0 {
            return wrong("the others have to know the port");
        }
        if !own && address.ip().is_unspecified() {
            return wrong("that stands for every address of a machine; name one that this machine can reach");
        }
        if !taken.insert(address) {
            return wrong("another validator has that address");
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests;
