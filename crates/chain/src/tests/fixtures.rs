//! A small chain: one funded account, as many validators as asked for.

use crate::{
    Block, ChainConfig, ChainHandle, ConsensusKey, PoolLimits, engine, index::Index, ledger::Ledger,
    pool::Pool,
};
use alloy_consensus::{Header, SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use openledger_execution::{Election, Genesis, Governance, ValidatorSeat};
use openledger_types::amount::SUPPLY;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) const CHAIN_ID: u64 = 20_260;
pub(crate) const WAIT: Duration = Duration::from_secs(30);

pub(crate) fn account(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(number)).expect("a small number is a valid key")
}

pub(crate) fn validator_key(number: u8) -> ConsensusKey {
    ConsensusKey::from_bytes([number; 32])
}

pub(crate) fn genesis(validators: u8) -> Genesis {
    Genesis {
        chain_id: CHAIN_ID,
        timestamp: 1_700_000_000,
        gas_limit: 30_000_000,
        base_fee: 1_000_000_000,
        alloc: BTreeMap::from([(account(1).address(), SUPPLY)]),
        validators: (1..=validators)
            .map(|number| ValidatorSeat {
                account: Address::repeat_byte(0x70 + number),
                consensus_key: validator_key(number).public_hex(),
            })
            .collect(),
        election: Election::default(),
        stakes: Vec::new(),
        vesting: Vec::new(),
        params: BTreeMap::new(),
        governance: Governance::default(),
    }
}

pub(crate) fn config(folder: &Path) -> ChainConfig {
    let mut config = ChainConfig::new(folder, genesis(1), validator_key(1));
    config.heartbeat = Duration::from_millis(300);
    config.block_interval = Duration::from_millis(10);
    config
}

pub(crate) fn transfer(from: &PrivateKeySigner, nonce: u64, to: Address, value: u64) -> TxEnvelope {
    call(from, nonce, TxKind::Call(to), U256::from(value), Bytes::new(), 21_000)
}

pub(crate) fn call(
    from: &PrivateKeySigner,
    nonce: u64,
    to: TxKind,
    value: U256,
    input: Bytes,
    gas_limit: u64,
) -> TxEnvelope {
    sign(
        from,
        TxEip1559 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to,
            value,
            input,
            ..TxEip1559::default()
        },
    )
}

pub(crate) fn sign(from: &PrivateKeySigner, transaction: TxEip1559) -> TxEnvelope {
    let signature = from.sign_hash_sync(&transaction.signature_hash()).expect("a local key signs");
    transaction.into_signed(signature).into()
}

/// Waits for something to become true.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < WAIT, "waited {WAIT:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the chain has finalised a transaction, and returns its block.
pub(crate) fn included(chain: &ChainHandle, hash: B256) -> u64 {
    eventually("a transaction to be final", || chain.place(hash).expect("the index answers")).0
}

/// A block without transactions that belongs to no chain.
pub(crate) fn empty_block(number: u64) -> Block {
    let genesis = engine::genesis_block(&genesis(1), validator_key(1).public());
    // Nothing of the genesis file is in it, so that the vector of a block changes only with the form of blocks.
    let header = Header { number, mix_hash: B256::repeat_byte(5), ..genesis.header().clone() };
    Block::new(header, genesis.seal().clone(), Vec::new())
}

/// What the tasks of a node share, with an index in a folder that is gone with the test's process.
pub(crate) fn ledger(genesis: Genesis) -> Arc<Ledger> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let index = Index::open(&folder.path().join("index.redb"), genesis.hash()).expect("a new index opens");
    let block = engine::genesis_block(&genesis, validator_key(1).public());
    let pool = Pool::new(PoolLimits::default(), genesis.base_fee);
    Arc::new(Ledger::new(genesis, block, pool, Arc::new(index)).expect("the genesis is good"))
}
