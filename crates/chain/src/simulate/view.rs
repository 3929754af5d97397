//! What an honest member holds at the end of a run.

use super::member::{Honest, State};
use crate::{
    IndexedBlock, RefusedBlock,
    state::{self, Key},
};
use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, U256};
use commonware_cryptography::ed25519::PublicKey;
use commonware_glue::simulate::{property::Property, tracker::ProgressTracker};
use openledger_execution::AccountState;
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::{Arc, Mutex},
};

/// The view of one honest member.
#[derive(Clone, Debug)]
pub struct View {
    /// Its number.
    pub member: usize,
    /// Its finalised blocks, from genesis on.
    pub blocks: Vec<IndexedBlock>,
    /// What its store holds.
    pub state: StateAt,
    /// What it showed as final, also before it crashed: hash by height.
    pub shown: BTreeMap<u64, B256>,
    /// Contradicting votes that it has seen since it last started.
    pub faults: u64,
    /// Blocks that it has voted against since then, with the reasons.
    pub refused: Vec<RefusedBlock>,
}

/// The content of a state store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateAt {
    /// Root over everything in it.
    pub root: B256,
    /// Every account that genesis, a block or the scenario names.
    pub accounts: BTreeMap<Address, AccountState>,
}

impl StateAt {
    /// The sum of all balances.
    pub fn total(&self) -> U256 {
        self.accounts.values().fold(U256::ZERO, |sum, account| sum.saturating_add(account.balance))
    }
}

impl View {
    async fn of(member: &Honest) -> Result<Self, String> {
        let ledger = &member.ledger;
        let failed = |error: crate::ChainError| error.to_string();
        let store = member.store.upgrade().ok_or_else(|| format!("member {} does not run", member.number))?;
        let database = store.read().await;
        let root = crate::block::hash(&database.root());
        let last = ledger.index.last().map_err(failed)?.unwrap_or_default();
        let mut blocks = Vec::new();
        let mut named: BTreeSet<Address> = member.accounts.as_ref().clone();
        for number in 0..=last {
            let missing = || format!("member {} has no block {number} below {last}", member.number);
            let block = ledger.index.block(number).map_err(failed)?.ok_or_else(missing)?;
            named.insert(block.header.header.beneficiary);
            for transaction in &block.transactions {
                named.insert(transaction.signer());
                named.extend(transaction.to());
            }
            let receipts = ledger.index.receipts(number).map_err(failed)?.unwrap_or_default();
            named.extend(receipts.iter().filter_map(|receipt| receipt.outcome.contract_address));
            blocks.push(block);
            // The index may be a block ahead of the state.
            if blocks.last().is_some_and(|block| block.header.header.state_root == root) {
                break;
            }
        }
        let keys: Vec<Key> = named.iter().map(|address| state::account_key(*address)).collect();
        let keys: Vec<&Key> = keys.iter().collect();
        let values = database.get_many(&keys).await.map_err(|error| error.to_string())?;
        let accounts = named
            .into_iter()
            .zip(values)
            .filter_map(|(address, value)| Some((address, state::decode_account(&value?))))
            .collect();
        let shown = member.shown.lock().expect("no code panics with this lock").clone();
        let faults = ledger.faults.load(std::sync::atomic::Ordering::Relaxed);
        let refused = ledger.refused.last();
        Ok(Self { member: member.number, blocks, state: StateAt { root, accounts }, shown, faults, refused })
    }
}

/// Collects the views once a run is over.
#[derive(Clone)]
pub(super) struct Collect {
    pub(super) views: Arc<Mutex<Vec<View>>>,
}

impl Property<PublicKey, State> for Collect {
    fn name(&self) -> &str {
        "views"
    }

    fn check<'a>(
        &'a self,
        _tracker: &'a ProgressTracker<PublicKey>,
        states: &'a [&'a State],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            for member in states.iter().filter_map(|state| state.honest()) {
                let view = View::of(member).await?;
                self.views.lock().expect("no code panics with this lock").push(view);
            }
            Ok(())
        })
    }
}
