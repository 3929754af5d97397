//! What the engine's tasks and the handle share: the pool, the index, recent states, blocks that are not final yet and
//! the finalised head.

use crate::{
    Block, ChainError,
    accounts::Accounts,
    executor::{BlockHashes, CodeCache},
    faults::Evidence,
    index::{Index, IndexedHeader},
    pool::Pool,
    recent::Recent,
    refused::Refused,
    senders::Senders,
    state::{self, Entries, Key, Value},
};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header, proofs};
use alloy_primitives::{Address, B256, keccak256};
use commonware_codec::Encode;
use commonware_cryptography::ed25519;
use openledger_execution::{BlockEnv, BlockOutcome, Genesis, next_base_fee};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, RwLock, atomic::AtomicU64},
};
use tokio::sync::broadcast;

/// New heads that a slow subscriber may be behind before it misses some.
const HEADS_QUEUED: usize = 256;

/// A block that was executed and is not final yet.
#[derive(Debug)]
pub(crate) struct Executed {
    pub(crate) parent: B256,
    pub(crate) entries: Entries,
    pub(crate) senders: Vec<Address>,
    pub(crate) outcome: BlockOutcome,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) genesis: Genesis,
    pub(crate) genesis_block: Block,
    /// What genesis allots, written by block one.
    pub(crate) genesis_entries: Entries,
    /// Whose the keys are that have led: what a key's owner is never changes.
    owners: Mutex<BTreeMap<ed25519::PublicKey, Address>>,
    pub(crate) pool: Pool,
    pub(crate) index: Arc<Index>,
    pub(crate) recent: Recent,
    pub(crate) codes: CodeCache,
    pub(crate) senders: Senders,
    pub(crate) accounts: Accounts,
    /// Blocks that were voted against.
    pub(crate) refused: Refused,
    /// Double votes that are not punished yet.
    pub(crate) evidence: Evidence,
    /// Contradicting votes that consensus found.
    pub(crate) faults: AtomicU64,
    pending: Mutex<BTreeMap<(u64, B256), Arc<Executed>>>,
    head: RwLock<Arc<IndexedHeader>>,
    heads: broadcast::Sender<Arc<IndexedHeader>>,
}

impl Ledger {
    pub(crate) fn new(
        genesis: Genesis,
        genesis_block: Block,
        pool: Pool,
        index: Arc<Index>,
    ) -> Result<Self, ChainError> {
        let writes =
            genesis.state_writes().map_err(|error| ChainError::Genesis { reason: error.to_string() })?;
        let head = indexed(&genesis_block);
        Ok(Self {
            genesis_entries: state::entries(&writes),
            genesis,
            genesis_block,
            owners: Mutex::default(),
            pool,
            index,
            recent: Recent::default(),
            codes: CodeCache::default(),
            senders: Senders::default(),
            accounts: Accounts::default(),
            refused: Refused::default(),
            evidence: Evidence::default(),
            faults: AtomicU64::new(0),
            pending: Mutex::default(),
            head: RwLock::new(Arc::new(head)),
            heads: broadcast::channel(HEADS_QUEUED).0,
        })
    }

    /// The finalised head.
    pub(crate) fn head(&self) -> Arc<IndexedHeader> {
        self.head.read().expect("no code panics with this lock").clone()
    }

    /// Moves the head and tells those who listen.
    pub(crate) fn set_head(&self, head: IndexedHeader) {
        let head = Arc::new(head);
        *self.head.write().expect("no code panics with this lock") = head.clone();
        // Nobody may be listening.
        drop(self.heads.send(head));
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<IndexedHeader>> {
        self.heads.subscribe()
    }

    pub(crate) fn remember(&self, number: u64, hash: B256, executed: Executed) {
        self.pending
            .lock()
            .expect("no code panics with this lock")
            .insert((number, hash), Arc::new(executed));
    }

    pub(crate) fn executed(&self, number: u64, hash: B256) -> Option<Arc<Executed>> {
        self.pending.lock().expect("no code panics with this lock").get(&(number, hash)).cloned()
    }

    /// Forgets blocks at or below a finalised height.
    pub(crate) fn forget(&self, number: u64) {
        let mut pending = self.pending.lock().expect("no code panics with this lock");
        *pending = pending.split_off(&(number + 1, B256::ZERO));
    }

    /// Hashes of the ancestors of a block at `number` with this parent: those that are not final yet through their
    /// parents, the others from the index.
    pub(crate) fn block_hashes(self: &Arc<Self>, number: u64, parent: B256) -> BlockHashes {
        let ledger = self.clone();
        Arc::new(move |wanted| {
            let mut height = number.checked_sub(1)?;
            let mut hash = parent;
            while height > wanted {
                let Some(executed) = ledger.executed(height, hash) else {
                    return ledger.index.header(wanted).ok().flatten().map(|header| header.hash);
                };
                hash = executed.parent;
                height -= 1;
            }
            (height == wanted).then_some(hash)
        })
    }

    /// Whose a key is, if it was asked for before.
    pub(crate) fn owner(&self, key: &ed25519::PublicKey) -> Option<Address> {
        self.owners.lock().expect("no code panics with this lock").get(key).copied()
    }

    /// Keeps whose a key is.
    pub(crate) fn keep_owner(&self, key: ed25519::PublicKey, account: Address) {
        self.owners.lock().expect("no code panics with this lock").insert(key, account);
    }

    /// The environment that a block with this seal executes in; its leader's account is paid for it.
    pub(crate) fn env(
        &self,
        parent: &Block,
        context: &crate::block::Context,
        timestamp: u64,
        beneficiary: Address,
    ) -> BlockEnv {
        let above = parent.header();
        BlockEnv {
            chain_id: self.genesis.chain_id,
            number: above.number + 1,
            timestamp,
            beneficiary,
            gas_limit: self.genesis.gas_limit,
            base_fee: base_fee_after(above),
            prevrandao: randomness(parent.hash(), context),
            parent_hash: parent.hash(),
        }
    }

    /// The environment that a finalised block was executed in.
    pub(crate) fn env_of(&self, header: &Header) -> BlockEnv {
        BlockEnv {
            chain_id: self.genesis.chain_id,
            number: header.number,
            timestamp: header.timestamp,
            beneficiary: header.beneficiary,
            gas_limit: header.gas_limit,
            base_fee: header.base_fee_per_gas.unwrap_or_default(),
            prevrandao: header.mix_hash,
            parent_hash: header.parent_hash,
        }
    }

    /// What a block at `number` writes: its own entries, after those of genesis for the first.
    pub(crate) fn all_entries(&self, number: u64, own: Entries) -> Entries {
        if number == 1 { self.genesis_entries.iter().cloned().chain(own).collect() } else { own }
    }

    /// Values at the genesis block, before block one has written them.
    pub(crate) fn genesis_values(&self, keys: &[Key]) -> Vec<Option<Value>> {
        keys.iter()
            .map(|key| {
                self.genesis_entries
                    .iter()
                    .rev()
                    .find(|(known, _)| known == key)
                    .and_then(|(_, value)| value.clone())
            })
            .collect()
    }
}

/// The header with what the index keeps beside it.
pub(crate) fn indexed(block: &Block) -> IndexedHeader {
    IndexedHeader { hash: block.hash(), header: block.header().clone(), size: block.encoded_size() as u64 }
}

/// The base fee of the block after `header`.
pub(crate) fn base_fee_after(header: &Header) -> u64 {
    let base_fee = header.base_fee_per_gas.unwrap_or_default();
    // Genesis states the fee of the first block, not of a block that stood empty before it.
    if header.number == 0 { base_fee } else { next_base_fee(header.gas_used, header.gas_limit, base_fee) }
}

/// `PREVRANDAO`: fixed by the parent and the round, so nobody knows it before the parent is built. The builder of the
/// parent can try several parents; with a single validator that is the validator itself.
fn randomness(parent: B256, context: &crate::block::Context) -> B256 {
    keccak256([parent.as_slice(), &context.round.encode()].concat())
}

/// The header that a block must have; both sides of consensus make it here, so a valid block is one that is equal.
pub(crate) fn header(
    env: &BlockEnv,
    seal: &crate::block::Seal,
    state_root: B256,
    transactions_root: B256,
    outcome: &BlockOutcome,
) -> Header {
    Header {
        parent_hash: env.parent_hash,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: env.beneficiary,
        state_root,
        transactions_root,
        receipts_root: proofs::calculate_receipt_root(&outcome.receipts),
        logs_bloom: outcome.logs_bloom,
        number: env.number,
        gas_limit: env.gas_limit,
        gas_used: outcome.gas_used,
        timestamp: env.timestamp,
        extra_data: seal.commitment(),
        mix_hash: env.prevrandao,
        base_fee_per_gas: Some(env.base_fee),
        ..Header::default()
    }
}
