//! The node's folder: the genesis file and the validator's key.
//!
//! ```text
//! <home>/node/genesis.json     what the chain starts from; plain, to be shared with other validators
//! <home>/node/validator.key    the secret that votes, 64 hex digits, readable by its owner alone
//! <home>/node/chain/           blocks, state and index, made by the chain
//! ```

use crate::NodeError;
use alloy_primitives::{Address, U256, hex};
use openledger_chain::ConsensusKey;
use openledger_execution::{Genesis, GenesisStake, ValidatorSeat};
use openledger_types::amount::SUPPLY;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Chain id of networks that choose none.
pub const DEFAULT_CHAIN_ID: u64 = 20_260;
/// Largest genesis file that is read: a hundred thousand entries are below 20 MB.
const MAX_GENESIS_BYTES: u64 = 64 * 1024 * 1024;
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
    /// Governed numbers that differ from their defaults.
    pub params: BTreeMap<String, U256>,
    /// The account that is paid for this validator's blocks.
    pub validator: Address,
    /// The account that holds what `alloc` and `stakes` leave of the supply.
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
            params: BTreeMap::new(),
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
    /// Where the chain keeps its data.
    pub chain: PathBuf,
}

impl Home {
    /// Reads a folder that [`init`] has set up.
    ///
    /// # Errors
    /// [`NodeError::Missing`] or [`NodeError::Damaged`] naming the file.
    pub fn open(home: &Path) -> Result<Self, NodeError> {
        let paths = Paths::new(home);
        let genesis = read_genesis(&paths.genesis)?.ok_or(NodeError::Missing { path: paths.genesis })?;
        let key = read_key(&paths.key)?.ok_or(NodeError::Missing { path: paths.key })?;
        Ok(Self { genesis, key, chain: paths.chain })
    }
}

struct Paths {
    folder: PathBuf,
    genesis: PathBuf,
    key: PathBuf,
    chain: PathBuf,
}

impl Paths {
    fn new(home: &Path) -> Self {
        let folder = home.join("node");
        Self {
            genesis: folder.join("genesis.json"),
            key: folder.join("validator.key"),
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
    fs::create_dir_all(&paths.folder)
        .map_err(|source| NodeError::File { path: paths.folder.clone(), source })?;
    let genesis = read_genesis(&paths.genesis)?;
    let key = match (read_key(&paths.key)?, &genesis) {
        (Some(key), _) => key,
        // A new key would not be among the validators of that genesis.
        (None, Some(_)) => return Err(NodeError::Missing { path: paths.key }),
        (None, None) => {
            let key = ConsensusKey::generate()
                .map_err(|source| NodeError::File { path: paths.key.clone(), source })?;
            write_new(&paths.key, format!("{}\n", hex::encode(key.to_bytes())).as_bytes(), true)?;
            key
        }
    };
    let genesis = match genesis {
        Some(genesis) => genesis,
        None => {
            let genesis = make_genesis(options, &key)?;
            let text = serde_json::to_vec_pretty(&genesis).map_err(|error| NodeError::Damaged {
                path: paths.genesis.clone(),
                reason: error.to_string(),
            })?;
            write_new(&paths.genesis, &text, false)?;
            genesis
        }
    };
    Ok(Home { genesis, key, chain: paths.chain })
}

fn make_genesis(options: &GenesisOptions, key: &ConsensusKey) -> Result<Genesis, NodeError> {
    let allotted = options.alloc.values().copied();
    let staked = options.stakes.iter().map(|stake| stake.amount);
    let given = allotted.chain(staked).try_fold(U256::ZERO, U256::checked_add);
    let rest = given.and_then(|given| SUPPLY.checked_sub(given)).ok_or_else(|| NodeError::Genesis {
        reason: format!("more is allotted and staked than the supply of {SUPPLY} wei"),
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
        validators: vec![ValidatorSeat { account: options.validator, consensus_key: key.public_hex() }],
        stakes: options.stakes.clone(),
        params: options.params.clone(),
    };
    // What is written has to start.
    genesis.state_writes().map_err(|error| NodeError::Genesis { reason: error.to_string() })?;
    Ok(genesis)
}

fn read_genesis(path: &Path) -> Result<Option<Genesis>, NodeError> {
    let Some(bytes) = read(path, MAX_GENESIS_BYTES)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| NodeError::Damaged { path: path.to_owned(), reason: error.to_string() })
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
