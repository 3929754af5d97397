//! Who votes in the next epoch, shown by a block of this one to somebody who keeps no state.
//!
//! A light client believes the validators of the genesis, which vote in epochs 0 and 1. The state of a block of epoch `e - 1`
//! names those of epoch `e`, so with such a block, proven by validators that are known, the next ones are:
//!
//! ```text
//! genesis ─► epochs 0, 1 ─ block of epoch 1 ─► epoch 2 ─ block of epoch 2 ─► epoch 3 …
//! ```
//!
//! The store proves its newest state alone, so every node notes the handover to an epoch while the one before it runs.

use crate::{
    ChainError,
    engine::MarshalHandle,
    index::IndexedHeader,
    ledger::Ledger,
    proof::{self, EntryProof, Finality, SlotProof, StateProof},
    runtime::Runtime,
    state::{self, Databases},
};
use alloy_primitives::{B256, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use commonware_consensus::types::{Epocher, FixedEpocher, Height};
use openledger_execution::validator_set_slots;
use openledger_types::addresses::STAKING;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// The first epoch whose validators the genesis does not name.
const FIRST: u64 = 2;

/// The validators of an epoch with what shows that they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The epoch in which they vote.
    pub epoch: u64,
    /// Their keys in the order of their seats.
    pub validators: Vec<B256>,
    /// The staking module in a block of an earlier epoch, with the slots that name the epoch, the number of seats and the
    /// hash of the keys.
    pub proof: StateProof,
}

/// What is kept of one; the rest is in the index.
#[derive(Clone, Debug, RlpDecodable, RlpEncodable)]
pub(crate) struct Stored {
    finality: Finality,
    /// Of the account and of the two slots.
    entries: Vec<EntryProof>,
}

impl Stored {
    /// The number of the block whose state it is.
    pub(crate) fn number(&self) -> Option<u64> {
        self.finality.headers.first().map(|header| header.number)
    }

    /// What it says of an epoch; `None` if something is missing.
    pub(crate) fn handover(
        self,
        epoch: u64,
        validators: Vec<B256>,
        block: IndexedHeader,
    ) -> Option<Handover> {
        let mut entries = self.entries.into_iter();
        let account_proof = entries.next()?;
        let value = |entry: &EntryProof| state::value(&entry.value);
        let account = Some(state::decode_account(&value(&account_proof)?));
        let slots = validator_set_slots(epoch)
            .into_iter()
            .zip(entries)
            .map(|(slot, proof)| Some(SlotProof { slot, value: state::decode_slot(&value(&proof)?), proof }));
        let slots = slots.collect::<Option<Vec<_>>>()?;
        let proof = StateProof { block, finality: self.finality, account, account_proof, slots };
        Some(Handover { epoch, validators, proof })
    }
}

/// Notes the handover to every epoch while the one before it runs.
pub(crate) async fn note<E: Runtime>(
    ledger: Arc<Ledger>,
    databases: Databases<E>,
    marshal: MarshalHandle,
    epocher: FixedEpocher,
) {
    let mut heads = ledger.subscribe();
    let mut noted = None;
    loop {
        let head = ledger.head().header.number;
        let next = epocher.containing(Height::new(head)).map(|bounds| bounds.epoch().get() + 1);
        if let Some(next) = next.filter(|next| *next >= FIRST && noted != Some(*next)) {
            match note_one(&ledger, &databases, &marshal, next, head).await {
                Ok(true) => noted = Some(next),
                // Not yet; the next head is another occasion.
                Ok(false) => {}
                Err(reason) => tracing::warn!(epoch = next, reason, "the handover is not noted"),
            }
        }
        if let Err(RecvError::Closed) = heads.recv().await {
            return;
        }
    }
}

/// Whether the handover to an epoch is noted now.
async fn note_one<E: Runtime>(
    ledger: &Ledger,
    databases: &Databases<E>,
    marshal: &MarshalHandle,
    next: u64,
    head: u64,
) -> Result<bool, String> {
    let failed = |error: ChainError| error.to_string();
    if ledger.index.handover(next).map_err(failed)?.is_some() {
        return Ok(true);
    }
    let slots = validator_set_slots(next);
    let keys: Vec<_> = std::iter::once(state::account_key(STAKING))
        .chain(slots.iter().map(|slot| state::slot_key(STAKING, *slot)))
        .collect();
    let proven = proof::prove(databases, &keys).await?;
    let named = proven.entries.get(1).and_then(|(value, _)| value.as_ref()).map(state::decode_slot);
    if named.map(|word| word & U256::from(u64::MAX)) != Some(U256::from(next)) {
        return Ok(false);
    }
    let Some(block) = ledger.index.with_root(proven.root, head).map_err(failed)? else { return Ok(false) };
    let Some(finality) = proof::finality(marshal, block.header.number).await else { return Ok(false) };
    let entries = proven.entries.into_iter().map(|(_, entry)| entry).collect();
    ledger.index.put_handover(next, &Stored { finality, entries }).map_err(failed)?;
    Ok(true)
}
