//! Starting a validator.

use crate::{
    ChainError, ChainHandle, Checkpoint, ConsensusKey, PoolLimits,
    admission::Admission,
    disk,
    engine::{self, Controls, Outside, Settings},
    epochs::Configured,
    format, gossip,
    handle::Inner,
    index::Index,
    journal::Journal,
    key,
    ledger::Ledger,
    lock::FolderLock,
    network::Membership,
    pacing::Pace,
    pool::Pool,
};
use commonware_cryptography::ed25519;
use commonware_runtime::{Runner as _, tokio as runtime};
use openledger_execution::Genesis;
use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc::sync_channel},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for the engine.
const REQUESTS: usize = 1024;
/// Stack of a thread that polls the engine's tasks, which are large: what systems give a process.
pub(crate) const STACK_BYTES: usize = 8 * 1024 * 1024;
/// Threads of the engine's runtime.
const THREADS: usize = 2;
/// What a node keeps of its files in memory unless told otherwise: the state of a million accounts fits.
pub const DEFAULT_CACHE: NonZeroUsize = NonZeroUsize::new(256 << 20).expect("more than nothing");

/// What a validator, or a node that follows without voting, is started with.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// Where blocks, state and index live. Made if missing; one process at a time.
    pub data_dir: PathBuf,
    /// What the chain starts from. A folder belongs to one genesis.
    pub genesis: Genesis,
    /// The key of this node. It votes in every epoch in which it has a seat, and follows in the others.
    pub signer: ConsensusKey,
    /// Whether to follow without ever voting: the blocks and their certificates are taken from the validators and checked,
    /// and every block is executed, as a validator does it.
    pub follow: bool,
    /// Where this node listens for the others. A single validator whom nobody joins may let the system choose (port 0).
    pub listen: SocketAddr,
    /// Where other validators listen, by public key in hex: all others of the genesis for one of them, and for whoever
    /// joins later some that run. Where those elected since are, the state says. Empty for a single validator.
    pub peers: BTreeMap<String, SocketAddr>,
    /// Where the nodes listen that may follow without having registered a key, by public key in hex.
    pub followers: BTreeMap<String, SocketAddr>,
    /// What a new folder starts from instead of executing the chain from its first block: the state is fetched from the nodes
    /// of `peers`, which have to know this one. A folder that holds a chain goes on with that.
    pub checkpoint: Option<Checkpoint>,
    /// Least time from one block to the next while transactions wait.
    pub block_interval: Duration,
    /// Time after which a block is made although no transaction waits.
    pub heartbeat: Duration,
    /// How many transactions may wait.
    pub pool: PoolLimits,
    /// Bytes of the files of state and blocks that are kept in memory. What a block reads beyond them comes from the disk, one
    /// read after another.
    pub cache: NonZeroUsize,
}

impl ChainConfig {
    /// A single validator on this machine: blocks at most every 50 ms under load, one a second when idle.
    pub fn new(data_dir: impl Into<PathBuf>, genesis: Genesis, signer: ConsensusKey) -> Self {
        Self {
            data_dir: data_dir.into(),
            genesis,
            signer,
            follow: false,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            peers: BTreeMap::new(),
            followers: BTreeMap::new(),
            checkpoint: None,
            block_interval: Duration::from_millis(50),
            heartbeat: Duration::from_secs(1),
            pool: PoolLimits::default(),
            cache: DEFAULT_CACHE,
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

    format::check(&folder)?;

    let Members { leader, mut configured } = members(&config)?;
    let genesis_block = engine::genesis_block(&config.genesis, leader);
    let index = Arc::new(Index::open(&folder.join("index.redb"), config.genesis.hash())?);
    let elected = index.last_validators(1)?.first().map_or(0, |(_, keys)| keys.len());
    configured.make_room(elected.max(config.genesis.validators.len()));
    let (journal, waiting) = Journal::open(&folder.join("waiting-transactions"))?;
    let pool = Pool::new(config.pool, config.genesis.base_fee);
    let namespace = namespace(&config.genesis);
    let ledger = Arc::new(Ledger::new(config.genesis, genesis_block, pool, index)?);
    let membership = Membership { signer: config.signer, configured, follows: config.follow, namespace };
    let settings = Settings {
        pace: Pace { interval: config.block_interval, heartbeat: config.heartbeat },
        cache: config.cache,
        checkpoint: config.checkpoint,
    };

    let (requests, received) = mpsc::channel(REQUESTS);
    let (shutdown, stop) = oneshot::channel();
    let (ready, is_ready) = sync_channel(1);
    let (news, told) = mpsc::channel(gossip::QUEUED);
    let (news, told) = if membership.configured.is_alone() { (None, None) } else { (Some(news), Some(told)) };
    let admission = Admission { ledger: ledger.clone(), requests: requests.clone() };
    let outside = Outside { requests: received, admission, news: told };
    let controls = Controls { ready, shutdown: stop };
    let thread = std::thread::Builder::new()
        .name("chain".into())
        .stack_size(STACK_BYTES)
        .spawn({
            let (ledger, folder) = (ledger.clone(), folder.clone());
            move || {
                // Held until the last task has ended.
                let _lock = lock;
                run(&folder, ledger, membership, settings, outside, controls)
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

/// What the signatures of a chain are bound to.
pub(crate) fn namespace(genesis: &Genesis) -> Vec<u8> {
    genesis.vote_domain()
}

/// Runs the engine to its end. Its storage reports damage by panicking, which becomes an error here.
fn run(
    folder: &Path,
    ledger: Arc<Ledger>,
    membership: Membership,
    settings: Settings,
    outside: Outside,
    controls: Controls,
) -> Result<(), ChainError> {
    let engine = |reason| match disk::probe(folder) {
        Ok(()) => ChainError::Engine { folder: folder.to_owned(), reason },
        Err(source) => ChainError::Storage { folder: folder.to_owned(), source, reason },
    };
    let config = runtime::Config::new()
        .with_storage_directory(folder.join("engine"))
        .with_worker_threads(THREADS)
        .with_thread_stack_size(STACK_BYTES)
        .with_tcp_nodelay(Some(true));
    let ran = catch_unwind(AssertUnwindSafe(|| {
        runtime::Runner::new(config)
            .start(|context| engine::run(context, ledger, membership, settings, outside, controls))
    }));
    match ran {
        Ok(outcome) => outcome.map_err(engine),
        Err(panic) => Err(engine(panic_text(panic.as_ref()))),
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked without a message").to_owned()
}

/// Who takes part.
#[derive(Debug)]
struct Members {
    /// The validator that block zero names.
    leader: ed25519::PublicKey,
    configured: Configured,
}

fn members(config: &ChainConfig) -> Result<Members, ChainError> {
    let mut seats = BTreeSet::new();
    for seat in &config.genesis.validators {
        let key = key::parse(&seat.consensus_key).ok_or_else(|| ChainError::Genesis {
            reason: format!("{:?} is not an ed25519 public key in hex", seat.consensus_key),
        })?;
        if !seats.insert(key) {
            return Err(ChainError::Genesis {
                reason: format!("the validator {} has two seats", seat.consensus_key),
            });
        }
    }
    let leader = seats.first().cloned();
    let leader = leader.ok_or_else(|| ChainError::Genesis { reason: "there is no validator".into() })?;
    match (seats.contains(&config.signer.public()), config.follow) {
        // Whoever is elected later finds the chain through somebody who runs it.
        (false, false) if config.peers.is_empty() => {
            let (key, validators) = (config.signer.public_hex(), seats.len());
            return Err(ChainError::NotAValidator { key, validators });
        }
        (true, true) => return Err(ChainError::Seated { key: config.signer.public_hex() }),
        _ => {}
    }
    let configured = addresses(config, &seats)?;
    // The engine would end without a word if it could not listen.
    TcpListener::bind(config.listen)
        .map_err(|source| ChainError::Listen { address: config.listen, source })?;
    Ok(Members { leader, configured })
}

type Addresses = BTreeMap<ed25519::PublicKey, SocketAddr>;

/// Where every node of the configuration listens, each at an address of its own that others can reach.
fn addresses(config: &ChainConfig, seats: &BTreeSet<ed25519::PublicKey>) -> Result<Configured, ChainError> {
    let wrong = |key: &str, address, reason| ChainError::Address { key: key.to_owned(), address, reason };
    let parse = |text: &String, address: &SocketAddr| {
        let reason = "the key is not an ed25519 public key in hex";
        key::parse(text).map(|key| (key, *address)).ok_or_else(|| wrong(text, *address, reason))
    };
    let all = |listed: &BTreeMap<String, SocketAddr>| -> Result<Addresses, ChainError> {
        listed.iter().map(|(text, address)| parse(text, address)).collect()
    };
    let own = (config.signer.public(), config.listen);
    let (mut peers, mut followers) = (all(&config.peers)?, all(&config.followers)?);
    peers.remove(&own.0);
    followers.remove(&own.0);

    if let Some((key, address)) = followers.iter().find(|(key, _)| seats.contains(*key)) {
        return Err(wrong(&key::hex(key), *address, "a validator of the genesis does not only follow"));
    }
    let founder = seats.contains(&own.0);
    if let Some(key) = seats.iter().find(|key| founder && **key != own.0 && !peers.contains_key(*key)) {
        return Err(ChainError::NoAddress { key: key::hex(key) });
    }
    let alone = peers.len() + followers.len() == 0;
    let mut taken = BTreeSet::new();
    for (key, address) in [(&own.0, &own.1)].into_iter().chain(&peers).chain(&followers) {
        let wrong = |reason| Err(wrong(&key::hex(key), *address, reason));
        if !alone && address.port() == 0 {
            return wrong("the others have to know the port");
        }
        if *key != config.signer.public() && address.ip().is_unspecified() {
            return wrong("that stands for every address of a machine; name one that this machine can reach");
        }
        if !taken.insert(*address) {
            return wrong("another node has that address");
        }
    }
    Ok(Configured { own, peers, followers, room: NonZeroUsize::MIN })
}

#[cfg(test)]
mod tests;
