//! What shows the state to somebody who trusts the validators alone: `openledger_getProof` an account and slots of it,
//! `openledger_getHandovers` the validators of later epochs.

use super::{
    blocks,
    calls::storage_key,
    error::{self, Answer},
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, Bytes, FixedBytes, U64, U256};
use openledger_chain::{Certificate, ChainHandle, EntryProof, Handover, StateProof};
use openledger_types::addresses::STAKING;
use serde_json::{Value, json};

/// Slots of one request, as geth allows them.
const MAX_SLOTS: usize = 1024;
/// Epochs of one request: with a hundred validators each, below a megabyte.
const MAX_HANDOVERS: u64 = 64;

pub(super) fn proof(chain: &ChainHandle, address: Address, slots: &[String], id: BlockId) -> Answer<Value> {
    if slots.len() > MAX_SLOTS {
        return Err(error::invalid(format!("too many slots (max {MAX_SLOTS})")));
    }
    let slots = slots.iter().map(|slot| storage_key(slot)).collect::<Answer<Vec<U256>>>()?;
    let wanted = match id {
        BlockId::Number(BlockNumberOrTag::Number(_) | BlockNumberOrTag::Earliest) | BlockId::Hash(_) => {
            Some(blocks::existing(chain, id)?)
        }
        BlockId::Number(_) => None,
    };
    let proof = chain.prove(address, &slots, wanted).map_err(error::chain)?;
    Ok(state(address, &proof))
}

/// The validators of `count` epochs from `first` on, as far as they are noted here.
pub(super) fn handovers(chain: &ChainHandle, first: u64, count: u64) -> Answer<Vec<Value>> {
    if count > MAX_HANDOVERS {
        return Err(error::invalid(format!("too many epochs (max {MAX_HANDOVERS})")));
    }
    let found = chain.handovers(first..first.saturating_add(count)).map_err(error::chain)?;
    let answer = |handover: Handover| {
        json!({
            "epoch": U64::from(handover.epoch),
            "validators": handover.validators,
            "proof": state(STAKING, &handover.proof),
        })
    };
    Ok(found.into_iter().map(answer).collect())
}

fn state(address: Address, proof: &StateProof) -> Value {
    let account = proof.account.unwrap_or_default();
    let headers = proof.finality.headers.iter().map(|header| Bytes::from(alloy_rlp::encode(header)));
    let storage = proof
        .slots
        .iter()
        .map(|slot| json!({ "key": slot.slot, "value": slot.value, "proof": entry(&slot.proof) }));
    json!({
        "address": address,
        "block": { "number": U64::from(proof.block.header.number), "hash": proof.block.hash },
        "headers": headers.collect::<Vec<_>>(),
        "certificate": certificate(&proof.finality.certificate),
        "nonce": U64::from(account.nonce),
        "balance": account.balance,
        "codeHash": account.code_hash,
        "accountProof": entry(&proof.account_proof),
        "storageProof": storage.collect::<Vec<_>>(),
    })
}

fn certificate(certificate: &Certificate) -> Value {
    let signatures = certificate
        .signatures
        .iter()
        .map(|vote| json!({ "signer": U64::from(vote.signer), "signature": vote.signature }));
    json!({
        "epoch": U64::from(certificate.epoch),
        "view": U64::from(certificate.view),
        "parentView": U64::from(certificate.parent_view),
        "block": certificate.block,
        "signatures": signatures.collect::<Vec<_>>(),
    })
}

fn entry(entry: &EntryProof) -> Value {
    json!({
        "key": entry.key,
        "value": entry.value,
        "nextKey": entry.next_key,
        "location": U64::from(entry.location),
        "leaves": U64::from(entry.leaves),
        "inactivePeaks": U64::from(entry.inactive_peaks),
        "chunk": FixedBytes::from(entry.chunk),
        "partialChunk": entry.partial_chunk,
        "logRoot": entry.log_root,
        "digests": entry.digests,
    })
}
