//! The node's folder: the genesis file, the validator's key, and where the validators of a network are.
//!
//! ```text
//! <home>/node/genesis.json     what the chain starts from; plain, to be shared with other validators
//! <home>/node/validator.key    the secret that votes, 64 hex digits, readable by its owner alone
//! <home>/node/network.json     where this validator and its peers listen; none for a single validator
//! <home>/node/chain/           blocks, state and index, made by the chain
//! ```

use crate::{Network, NodeError, network};
use alloy_primitives::{Address, U256, hex};
use openledger_chain::ConsensusKey;
use openledger_execution::{Election, Genesis, GenesisStake, GenesisVesting, Governance, ValidatorSeat};
use openledger_types::amount::SUPPLY;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Chain id of networks that choose none.
pub const DEFAULT_CHAIN_ID: u64 = 20_260;
/// Largest genesis file that is read: a hundred thousand entries are below 20 MB.
pub const MAX_GENESIS_BYTES: u64 = 64 * 1024 * 1024;
/// 64 hex digits and a line end, with room for a carriage return.
const MAX_KEY_BYTES: u64 = 80;

/// What a new genesis says.
#[derive(Clone, Debug)]
pub struct GenesisOptions {
    /// Chain id (EIP-155).
    pub chain_id: u64,
    /// Unix seconds; now if none.
    pub timestamp: Option<u64>,
    /// Gas of a block.
    pub gas_limit: u64,
    /// Base fee of the first block, wei per gas.
    pub base_fee: u64,
    /// Wei by account.
    pub alloc: BTreeMap<Address, U256>,
    /// Stakes bonded from the start.
    pub stakes: Vec<GenesisStake>,
    /// Vesting schedules, in the order of their numbers.
    pub vesting: Vec<GenesisVesting>,
    /// Governed numbers that differ from their defaults.
    pub params: BTreeMap<String, U256>,
    /// How the chain is governed.
    pub governance: Governance,
    /// How validators are elected.
    pub election: Election,
    /// The account that is paid for this validator's blocks.
    pub validator: Address,
    /// The account that holds what `alloc`, `stakes` and `vesting` leave of the supply.
    pub remainder: Address,
}

impl GenesisOptions {
    /// A local network whose whole supply belongs to one account, which also has the validator's income. A block has
    /// room for three of the largest transactions (EIP-7825), and fees start at 1 gwei.
    pub fn new(owner: Address) -> Self {
        Self {
            chain_id: DEFAULT_CHAIN_ID,
            timestamp: None,
            gas_limit: 60_000_000,
            base_fee: 1_000_000_000,
            alloc: BTreeMap::new(),
            stakes: Vec::new(),
            vesting: Vec::new(),
            params: BTreeMap::new(),
            governance: Governance::default(),
            election: Election::default(),
            validator: owner,
            remainder: owner,
        }
    }
}

/// A folder that is set up.
#[derive(Clone, Debug)]
pub struct Home {
    /// What the chain starts from.
    pub genesis: Genesis,
    /// The validator's key.
    pub key: ConsensusKey,
    /// Where the validators are; `None` for a single one.
    pub network: Option<Network>,
    /// Where the chain keeps its data.
    pub chain: PathBuf,
}

impl Home {
    /// Reads a folder that [`init`] or [`init_network`] has set up.
    ///
    /// # Errors
    /// [`NodeError::Missing`] or [`NodeError::Damaged`] naming the file.
    pub fn open(home: &Path) -> Result<Self, NodeError> {
        let paths = Paths::new(home);
        let genesis = read_genesis(&paths.genesis)?.ok_or(NodeError::Missing { path: paths.genesis })?;
        let key = read_key(&paths.key)?.ok_or(NodeError::Missing { path: paths.key })?;
        Ok(Self { genesis, key, network: network::read(&paths.network)?, chain: paths.chain })
    }
}

/// One node of a network that is laid out on one machine.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its folder.
    pub home: PathBuf,
    /// The account that is paid for its blocks; none for a node that only follows.
    pub account: Option<Address>,
    /// Where it answers clients.
    pub http: SocketAddr,
    /// Where it listens for the other nodes.
    pub listen: SocketAddr,
}

pub(crate) struct Paths {
    folder: PathBuf,
    genesis: PathBuf,
    key: PathBuf,
    pub(crate) network: PathBuf,
    chain: PathBuf,
}

impl Paths {
    pub(crate) fn new(home: &Path) -> Self {
        let folder = home.join("node");
        Self {
            genesis: folder.join("genesis.json"),
            key: folder.join("validator.key"),
            network: folder.join("network.json"),
            chain: folder.join("chain"),
            folder,
        }
    }
}

/// Sets a folder up for a single validator. What is there already stays as it is, so this may be repeated, also after
/// having been killed in the middle; `options` count only when there is no genesis yet.
///
/// # Errors
/// [`NodeError`] naming the file that cannot be read or written, or what the supply does not suffice for.
pub fn init(home: &Path, options: &GenesisOptions) -> Result<Home, NodeError> {
    let paths = Paths::new(home);
    let (found, key) = prepare(&paths)?;
    let genesis = match found {
        Some(genesis) => genesis,
        None => {
            let seat = ValidatorSeat { account: options.validator, consensus_key: key.public_hex() };
            let genesis = make_genesis(options, vec![seat])?;
            write_json(&paths.genesis, &genesis)?;
            genesis
        }
    };
    Ok(Home { genesis, key, network: network::read(&paths.network)?, chain: paths.chain })
}

/// Sets folders up for nodes that form one network: a key each, one genesis with a seat for each that has an account, and
/// each other's addresses. May be repeated like [`init`], also with more nodes that follow; keys and genesis stay as they
/// are, addresses become those given. `options.validator` does not count, since each member names its own account.
///
/// # Errors
/// [`NodeError`] naming the file that cannot be read or written, or why these folders are not one network.
pub fn init_network(members: &[Member], options: &GenesisOptions) -> Result<Genesis, NodeError> {
    let mut genesis: Option<(PathBuf, Genesis)> = None;
    let mut keys = Vec::new();
    for member in members {
        let paths = Paths::new(&member.home);
        let (found, key) = prepare(&paths)?;
        keys.push(key.public_hex());
        match (&genesis, found) {
            (Some((first, known)), Some(found)) if found.hash() != known.hash() => {
                let reason =
                    format!("{} and {} belong to different chains", first.display(), paths.genesis.display());
                return Err(NodeError::Genesis { reason });
            }
            (None, Some(found)) => genesis = Some((paths.genesis, found)),
            _ => {}
        }
    }
    let seats: Vec<_> = members
        .iter()
        .zip(&keys)
        .filter_map(|(member, key)| {
            Some(ValidatorSeat { account: member.account?, consensus_key: key.clone() })
        })
        .collect();
    let genesis = match genesis {
        Some((path, genesis)) => {
            check_seats(&path, &genesis, &seats)?;
            genesis
        }
        None => make_genesis(options, seats)?,
    };
    for (member, key) in members.iter().zip(&keys) {
        let paths = Paths::new(&member.home);
        let others = |seated: bool| {
            let others = members.iter().zip(&keys).filter(|(_, other)| *other != key);
            let wanted = others.filter(|(other, _)| other.account.is_some() == seated);
            wanted.map(|(other, key)| (key.clone(), other.listen)).collect()
        };
        let network = Network {
            http: member.http,
            listen: member.listen,
            peers: others(true),
            followers: others(false),
            follow: member.account.is_none(),
        };
        write_json(&paths.network, &network)?;
        if read_genesis(&paths.genesis)?.is_none() {
            write_json(&paths.genesis, &genesis)?;
        }
    }
    Ok(genesis)
}

/// Sets a folder up for a node that joins the running network of a genesis file: a key of its own, a copy of the genesis, and
/// where it listens and whom it asks. May be repeated like [`init`]; key and genesis stay as they are, `network` becomes that
/// given.
///
/// # Errors
/// [`NodeError`] naming the file that is missing, damaged or cannot be written, or that the folder is of another chain.
pub fn join(home: &Path, genesis: &Path, network: &Network) -> Result<Home, NodeError> {
    let given = read_genesis(genesis)?.ok_or_else(|| NodeError::Missing { path: genesis.to_owned() })?;
    given.state_writes().map_err(|error| NodeError::Genesis { reason: error.to_string() })?;
    let paths = Paths::new(home);
    let (found, key) = prepare(&paths)?;
    if found.as_ref().is_some_and(|found| found.hash() != given.hash()) {
        let (own, other) = (paths.genesis.display(), genesis.display());
        return Err(NodeError::Genesis { reason: format!("{own} and {other} belong to different chains") });
    }
    write_json(&paths.network, network)?;
    if found.is_none() {
        write_json(&paths.genesis, &given)?;
    }
    Ok(Home { genesis: given, key, network: Some(network.clone()), chain: paths.chain })
}

/// The folder with a key in it, and the genesis if there is one.
fn prepare(paths: &Paths) -> Result<(Option<Genesis>, ConsensusKey), NodeError> {
    fs::create_dir_all(&paths.folder)
        .map_err(|source| NodeError::File { path: paths.folder.clone(), source })?;
    let genesis = read_genesis(&paths.genesis)?;
    let key = match (read_key(&paths.key)?, &genesis) {
        (Some(key), _) => key,
        // A new key would not be among the validators of that genesis.
        (None, Some(_)) => return Err(NodeError::Missing { path: paths.key.clone() }),
        (None, None) => {
            let key = ConsensusKey::generate()
                .map_err(|source| NodeError::File { path: paths.key.clone(), source })?;
            write_new(&paths.key, format!("{}\n", hex::encode(key.to_bytes())).as_bytes(), true)?;
            key
        }
    };
    Ok((genesis, key))
}

/// Whether a genesis has these seats and no other.
fn check_seats(path: &Path, genesis: &Genesis, seats: &[ValidatorSeat]) -> Result<(), NodeError> {
    let keys = |seats: &[ValidatorSeat]| -> BTreeSet<String> {
        seats.iter().map(|seat| seat.consensus_key.clone()).collect()
    };
    let (seated, given) = (keys(&genesis.validators), keys(seats));
    if seated == given {
        return Ok(());
    }
    let reason = format!(
        "the network of {} has {} validators, and the {} folders given are not theirs; a network keeps the validators of \
         its genesis",
        path.display(),
        seated.len(),
        given.len()
    );
    Err(NodeError::Genesis { reason })
}

fn make_genesis(options: &GenesisOptions, validators: Vec<ValidatorSeat>) -> Result<Genesis, NodeError> {
    let allotted = options.alloc.values().copied();
    let staked = options.stakes.iter().map(|stake| stake.amount);
    let vesting = options.vesting.iter().map(|entry| entry.amount);
    let given = allotted.chain(staked).chain(vesting).try_fold(U256::ZERO, U256::checked_add);
    let rest = given.and_then(|given| SUPPLY.checked_sub(given)).ok_or_else(|| NodeError::Genesis {
        reason: format!("more is allotted, staked and vesting than the supply of {SUPPLY} wei"),
    })?;
    let mut alloc = options.alloc.clone();
    *alloc.entry(options.remainder).or_default() += rest;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let genesis = Genesis {
        chain_id: options.chain_id,
        timestamp: options.timestamp.unwrap_or(now),
        gas_limit: options.gas_limit,
        base_fee: options.base_fee,
        alloc,
        validators,
        election: options.election.clone(),
        stakes: options.stakes.clone(),
        vesting: options.vesting.clone(),
        params: options.params.clone(),
        governance: options.governance.clone(),
    };
    // What is written has to start.
    genesis.state_writes().map_err(|error| NodeError::Genesis { reason: error.to_string() })?;
    Ok(genesis)
}

fn read_genesis(path: &Path) -> Result<Option<Genesis>, NodeError> {
    read_json(path, MAX_GENESIS_BYTES)
}

/// A JSON file of at most `limit` bytes, `None` if there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<Option<T>, NodeError> {
    let Some(bytes) = read(path, limit)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| NodeError::Damaged { path: path.to_owned(), reason: error.to_string() })
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), NodeError> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|error| NodeError::Damaged { path: path.to_owned(), reason: error.to_string() })?;
    write_new(path, &text, false)
}

fn read_key(path: &Path) -> Result<Option<ConsensusKey>, NodeError> {
    let Some(bytes) = read(path, MAX_KEY_BYTES)? else { return Ok(None) };
    let secret = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| hex::decode(text.trim()).ok())
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let secret = secret.ok_or_else(|| NodeError::Damaged {
        path: path.to_owned(),
        reason: "it does not hold 64 hex digits".into(),
    })?;
    Ok(Some(ConsensusKey::from_bytes(secret)))
}

/// The whole file, `None` if there is none.
fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, NodeError> {
    let failed = |source| NodeError::File { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        let reason = format!("it is larger than {limit} bytes");
        return Err(NodeError::Damaged { path: path.to_owned(), reason });
    }
    Ok(Some(bytes))
}

/// Writes a file that is there wholly or not at all, whenever the process is killed.
fn write_new(path: &Path, bytes: &[u8], secret: bool) -> Result<(), NodeError> {
    let failed = |source| NodeError::File { path: path.to_owned(), source };
    let partial = path.with_extension("partial");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    let mut file = options.open(&partial).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&partial, path).map_err(failed)?;
    if let Some(folder) = path.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}
