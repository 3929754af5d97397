//! What a block is to the engine: how one is built, when one is valid, and what happens once it is final.
//!
//! # Order of a finalised block
//! 1. `capture`: the entries that it overwrites are noted, and the block with its receipts is made durable in the index.
//! 2. The engine applies the state and makes it durable.
//! 3. `finalized`: the head moves, listeners are told, the pool follows.
//!
//! A crash between two of these repeats them from the first, which gives the same content again.
//!
//! # Time
//! A header's timestamp counts seconds, and blocks come faster, so a block may carry its parent's timestamp but never
//! an earlier one. It may be at most [`MAX_STEP`] after its parent's, which bounds what a false clock can do; after a
//! longer stop the chain's time catches up over several blocks.

use crate::{
    Block,
    block::{self, Context, MAX_BLOCK_TRANSACTION_BYTES, MAX_EVIDENCE, Seal},
    executor::{self, Reader, Remote},
    ledger::{self, Executed, Ledger},
    refused::{self, RefusedBlock},
    runtime::Runtime,
    senders::Senders,
    state::{self, Databases, Key, Sealed, Value},
};
use alloy_consensus::{
    Transaction, TxEnvelope, proofs, transaction::Recovered, transaction::SignerRecoverable,
};
use alloy_primitives::{Address, B256};
use commonware_consensus::{marshal::ancestry::Ancestry, simplex::scheme::ed25519::Scheme};
use commonware_cryptography::ed25519::PublicKey;
use commonware_glue::stateful::{
    self, Finality, Input, Proposed,
    db::{DatabaseSet, Merkleized as _, Unmerkleized as _},
};
use commonware_runtime::Clock;
use commonware_storage::qmdb::sync::Target;
use commonware_utils::non_empty_range;
use futures::{StreamExt, future::pending};
use openledger_execution::{
    BlockEnv, BlockOutcome, ExecutionError, Turn, build_block_with, execute_block_with, key_owner,
};
use openledger_types::abi::DoubleSign;
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};
use tracing::{debug, warn};

/// The longest that a block's time may be after its parent's. Block one may be any time after genesis.
pub(crate) const MAX_STEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Signatures that are worth a thread: some milliseconds.
const LEAST_RECOVERED: usize = 128;
/// How long transactions are taken into a block: the others execute it too before the leader's time is over, and a machine that
/// is slow today must still have blocks.
const BUILDING: Duration = Duration::from_secs(1);

/// The application that the engine drives.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) ledger: Arc<Ledger>,
}

impl App {
    /// The time for a block on `parent`, by the local clock.
    fn timestamp(&self, clock: &impl Clock, parent: &Block) -> u64 {
        let now = clock.current().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let earliest = parent.header().timestamp;
        if parent.number() == 0 {
            now.max(earliest)
        } else {
            now.clamp(earliest, earliest + MAX_STEP.as_secs())
        }
    }

    /// Whether a block may carry `timestamp` after `parent`.
    fn may_follow(parent: &Block, timestamp: u64) -> bool {
        let earliest = parent.header().timestamp;
        timestamp >= earliest && (parent.number() == 0 || timestamp - earliest <= MAX_STEP.as_secs())
    }

    /// The batch that a block on `parent` executes over.
    fn base<E: Runtime>(&self, batch: state::Batch<E>, parent: &Block) -> state::Batch<E> {
        if parent.number() == 0 { state::write(batch, &self.ledger.genesis_entries) } else { batch }
    }

    /// The account that is paid for the blocks of a leader: whose key it is, as the state of the parent says.
    async fn beneficiary<E: Runtime>(&self, batch: &state::Batch<E>, leader: &PublicKey) -> Option<Address> {
        if let Some(owner) = self.ledger.owner(leader) {
            return Some(owner);
        }
        let key = B256::from_slice(leader.as_ref());
        let (codes, hashes) = (self.ledger.codes.clone(), Arc::new(|_| None));
        let read = move |state: &Reader<Remote>| key_owner(state, key);
        let owner = executor::run(batch, codes, hashes, BTreeSet::new(), read).await;
        let owner = owner.expect("the state store can be read")?;
        self.ledger.keep_owner(leader.clone(), owner);
        Some(owner)
    }

    /// Hashes the changes of a block.
    async fn seal<E: Runtime>(
        batch: state::Batch<E>,
        context: Context,
        entries: &state::Entries,
        evidence: Vec<DoubleSign>,
    ) -> (Sealed<E>, B256, Seal) {
        let sealed =
            state::write(batch, entries).merkleize().await.expect("the state store can hash what it read");
        let state_range = non_empty_range!(sealed.sync_boundary(), sealed.bounds().tip.size);
        let (root, log_root) = (block::hash(&sealed.root()), sealed.ops_root());
        (sealed, root, Seal { context, log_root, state_range, evidence })
    }

    /// Recovers the senders and executes on a thread of its own.
    ///
    /// # Errors
    /// Why the block is invalid.
    ///
    /// # Panics
    /// If execution itself fails, which says nothing about the block: voting against it would be for good.
    async fn execute<E: Runtime>(
        &self,
        batch: &state::Batch<E>,
        env: BlockEnv,
        turn: Turn,
        evidence: Vec<DoubleSign>,
        transactions: Vec<TxEnvelope>,
    ) -> Result<(Vec<Address>, BlockOutcome), String> {
        let ledger = self.ledger.clone();
        let recovered = E::compute(move || recover(&ledger.senders, transactions)).await?;
        let hashes = self.ledger.block_hashes(env.number, env.parent_hash);
        let needed = executor::needed(recovered.iter());
        let number = env.number;
        let executed = executor::run(batch, self.ledger.codes.clone(), hashes, needed, move |reader| {
            let outcome = execute_block_with(&env, turn, &evidence, &recovered, reader)?;
            Ok::<_, ExecutionError>((recovered.iter().map(|tx| tx.signer()).collect(), outcome))
        });
        executed.await.map_err(|error| match error {
            ExecutionError::InvalidTransaction { .. } | ExecutionError::InvalidEvidence { .. } => {
                error.to_string()
            }
            error => panic!("block {number} cannot be executed: {error}"),
        })
    }

    /// Executes `block` on `parent` and compares everything that its header says.
    async fn check<E: Runtime>(
        &self,
        block: &Block,
        parent: &Block,
        batch: state::Batch<E>,
    ) -> Result<Sealed<E>, String> {
        let header = block.header();
        if !Self::may_follow(parent, header.timestamp) {
            return Err(format!(
                "its time {} cannot follow its parent's {}",
                header.timestamp,
                parent.header().timestamp
            ));
        }
        let context = block.seal().context.clone();
        let batch = self.base(batch, parent);
        let beneficiary = self
            .beneficiary(&batch, &context.leader)
            .await
            .ok_or_else(|| format!("the key of its leader {} is nobody's", context.leader))?;
        let env = self.ledger.env(parent, &context, header.timestamp, beneficiary);
        let evidence = block.seal().evidence.clone();
        let (senders, outcome) = self
            .execute(&batch, env, block.seal().turn(), evidence.clone(), block.transactions().to_vec())
            .await?;
        let entries = state::entries(&outcome.writes);
        let (sealed, root, seal) = Self::seal(batch, context, &entries, evidence).await;
        // Decoding has compared the root of the transactions.
        let expected = ledger::header(&env, &seal, root, header.transactions_root, &outcome);
        if let Some(difference) = refused::difference(header, &expected) {
            return Err(difference);
        }
        self.remember(block, senders, entries, outcome);
        Ok(sealed)
    }

    fn remember(&self, block: &Block, senders: Vec<Address>, entries: state::Entries, outcome: BlockOutcome) {
        let number = block.number();
        self.ledger.pool.included(number, block.transaction_hashes());
        let entries = self.ledger.all_entries(number, entries);
        let parent = block.header().parent_hash;
        self.ledger.remember(number, block.hash(), Executed { parent, entries, senders, outcome });
    }
}

/// The transactions with their senders: those that are not known are recovered, on all cores.
///
/// # Errors
/// If a signature does not recover.
pub(crate) fn recover(
    senders: &Senders,
    transactions: Vec<TxEnvelope>,
) -> Result<Vec<Recovered<TxEnvelope>>, String> {
    let mut found = senders.get_all(transactions.iter().map(|transaction| *transaction.tx_hash()));
    let missing: Vec<_> =
        transactions.iter().zip(&mut found).filter(|(_, sender)| sender.is_none()).collect();
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let part = missing.len().div_ceil(cores).max(LEAST_RECOVERED);
    let mut missing = missing.into_iter().peekable();
    thread::scope(|scope| {
        while missing.peek().is_some() {
            let part: Vec<_> = missing.by_ref().take(part).collect();
            let work = move || {
                for (transaction, sender) in part {
                    *sender = transaction.recover_signer().ok();
                    if let Some(sender) = sender {
                        senders.put(*transaction.tx_hash(), *sender);
                    }
                }
            };
            // The last part, usually the only one, needs no thread.
            if missing.peek().is_some() {
                scope.spawn(work);
            } else {
                work();
            }
        }
    });
    transactions
        .into_iter()
        .zip(found)
        .map(|(transaction, sender)| Some(Recovered::new_unchecked(transaction, sender?)))
        .collect::<Option<_>>()
        .ok_or_else(|| "a signature does not recover".to_owned())
}

impl<E: Runtime> stateful::Application<E> for App {
    type SigningScheme = Scheme;
    type Context = Context;
    type Block = Block;
    type Databases = Databases<E>;
    type Captured = ();
    type Provider = ();
    type Input = ();

    fn sync_targets(block: &Block) -> <Databases<E> as DatabaseSet<E>>::SyncTargets {
        Target::new(block.seal().log_root, block.seal().state_range.clone())
    }

    async fn genesis(&mut self) -> Block {
        self.ledger.genesis_block.clone()
    }

    async fn propose(
        &mut self,
        (clock, context): (E, Context),
        ancestry: impl Ancestry<Block>,
        batch: state::Batch<E>,
        _input: Input<(), ()>,
    ) -> Option<Proposed<Self, E>> {
        let mut ancestry = ancestry;
        let parent = ancestry.next().await?.inner().clone();
        let timestamp = self.timestamp(&clock, &parent);
        let batch = self.base(batch, &parent);
        let beneficiary = self.beneficiary(&batch, &context.leader).await?;
        let env = self.ledger.env(&parent, &context, timestamp, beneficiary);
        let candidates = self.ledger.pool.candidates(env.base_fee, MAX_BLOCK_TRANSACTION_BYTES);
        let hashes = self.ledger.block_hashes(env.number, env.parent_hash);
        let mut gas = 0;
        let likely = candidates.iter().take_while(|transaction| {
            gas += transaction.gas_limit();
            gas <= env.gas_limit
        });
        let needed = executor::needed(likely.map(Arc::as_ref));
        let evidence = self.ledger.evidence.some(MAX_EVIDENCE);
        let shown = evidence.clone();
        let turn = block::turn(&context);
        let until = clock.current() + BUILDING;
        let built = executor::run(&batch, self.ledger.codes.clone(), hashes, needed, move |reader| {
            let candidates =
                candidates.into_iter().map(Arc::unwrap_or_clone).take_while(|_| clock.current() < until);
            build_block_with(&env, turn, evidence, candidates, reader).map_err(|error| error.to_string())
        })
        .await;
        let built = match built {
            Ok(built) => built,
            Err(error) => {
                warn!(number = env.number, %error, "no block could be built");
                return None;
            }
        };
        for (hash, reason) in &built.rejected {
            debug!(%hash, %reason, "transaction left out");
        }
        self.ledger.pool.rejected(&built.rejected);
        // What proves nothing here proves nothing later; what was punished on another branch is shown again by who saw it.
        self.ledger.evidence.forget(shown.iter().filter(|double| !built.evidence.contains(double)));

        let entries = state::entries(&built.outcome.writes);
        let (merkleized, root, seal) = Self::seal(batch, context, &entries, built.evidence).await;
        let (transactions, senders): (Vec<_>, Vec<_>) =
            built.included.into_iter().map(|transaction| transaction.into_parts()).unzip();
        let transactions_root = proofs::calculate_transaction_root(&transactions);
        let header = ledger::header(&env, &seal, root, transactions_root, &built.outcome);
        let block = Block::new(header, seal, transactions);
        self.remember(&block, senders, entries, built.outcome);
        Some(Proposed { block, merkleized })
    }

    async fn process(
        &mut self,
        _context: (E, Context),
        ancestry: impl Ancestry<Block>,
        batch: state::Batch<E>,
        _finality: Finality,
    ) -> Option<Sealed<E>> {
        let mut ancestry = ancestry;
        let (Some(block), Some(parent)) = (ancestry.next().await, ancestry.next().await) else {
            // Only an engine that is being stopped has no ancestors to give; that says nothing about the block.
            return pending().await;
        };
        let (block, parent) = (block.inner().clone(), parent.inner().clone());
        match self.check(&block, &parent, batch).await {
            Ok(sealed) => Some(sealed),
            Err(reason) => {
                let (number, hash) = (block.number(), block.hash());
                warn!(number, %hash, reason, "block refused");
                self.ledger.refused.add(RefusedBlock { number, hash, reason });
                None
            }
        }
    }

    async fn capture(
        &mut self,
        _context: (E, Context),
        block: &Block,
        _batch: &Sealed<E>,
        readers: <Databases<E> as DatabaseSet<E>>::Readers,
    ) {
        let number = block.number();
        let executed = self
            .ledger
            .executed(number, block.hash())
            .expect("a block is executed in this process before it is applied");
        let keys: Vec<&Key> = executed.entries.iter().map(|(key, _)| key).collect();
        let values = readers.read().await.get_many(&keys).await.expect("the state store can be read");
        let old: BTreeMap<Key, Option<Value>> = keys.into_iter().copied().zip(values).collect();
        self.ledger.recent.note(number, old);

        let (ledger, block) = (self.ledger.clone(), block.clone());
        E::compute(move || ledger.index.put(&block, &executed.senders, &executed.outcome))
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    async fn finalized(
        &mut self,
        _context: (E, Context),
        block: &Block,
        (): (),
        _readers: <Databases<E> as DatabaseSet<E>>::Readers,
    ) {
        let executed = self
            .ledger
            .executed(block.number(), block.hash())
            .expect("a block is executed in this process before it is applied");
        let base_fee = ledger::base_fee_after(block.header());
        self.ledger.accounts.advance(block.number(), &executed.outcome.writes);
        // The head first: who submits looks at it after the pool has the transaction, and so cannot miss this block.
        self.ledger.set_head(ledger::indexed(block));
        self.ledger.pool.finalised(block, &executed.senders, base_fee);
        self.ledger.evidence.forget(&block.seal().evidence);
        self.ledger.forget(block.number());
        debug!(number = block.number(), transactions = block.transactions().len(), "block finalised");
    }
}
