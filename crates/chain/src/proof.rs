//! What shows to somebody who keeps no state that an entry is, or is not, in a final block.
//!
//! ```text
//! certificate ─ signed by the validators ─► hash of a header ─ parentHash … ─► header of the block ─ stateRoot ─► entry
//! ```
//!
//! The store proves its newest state alone, so a proof is made at the head. Usually the head has a certificate of its
//! own; where a later block's covers it, the headers up to that block go along.

use crate::{
    block,
    engine::MarshalHandle,
    index::IndexedHeader,
    runtime::Runtime,
    state::{CHUNK_BYTES, Databases, Key, Value},
};
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, FixedBytes, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use commonware_codec::Encode;
use commonware_consensus::{
    marshal::Identifier,
    simplex::{scheme::ed25519::Scheme, types::Finalization},
    types::Height,
};
use commonware_cryptography::keccak256::Digest;
use commonware_storage::{
    mmr,
    qmdb::{
        Error as StoreError,
        current::{ordered::proof::constant::ExclusionProof, proof::constant::OperationProof},
    },
};
use openledger_execution::AccountState;

/// Blocks between one that is final and the certificate that says so.
const MAX_HEADERS: u64 = 128;

/// The signatures that made a block final.
#[derive(Clone, Debug, PartialEq, Eq, RlpDecodable, RlpEncodable)]
pub struct Certificate {
    /// Epoch of the validators that signed.
    pub epoch: u64,
    /// View in which the block was proposed.
    pub view: u64,
    /// View of the block it was proposed on.
    pub parent_view: u64,
    /// Hash of the block.
    pub block: B256,
    /// In the order of the validators.
    pub signatures: Vec<Vote>,
}

/// A validator's signature on a final block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpDecodable, RlpEncodable)]
pub struct Vote {
    /// Place among the validators of the epoch, in the order of their public keys.
    pub signer: u32,
    /// Of ed25519.
    pub signature: FixedBytes<64>,
}

/// What shows that a block is final.
#[derive(Clone, Debug, PartialEq, Eq, RlpDecodable, RlpEncodable)]
pub struct Finality {
    /// The header of the block, then those of its successors up to the block of the certificate.
    pub headers: Vec<Header>,
    /// The certificate of the last of them.
    pub certificate: Certificate,
}

/// That one entry of the store is current under a root. It proves the value at its key, and that there is no key between
/// its own and the next.
#[derive(Clone, Debug, PartialEq, Eq, RlpDecodable, RlpEncodable)]
#[rlp(trailing)]
pub struct EntryProof {
    /// Key of the entry.
    pub key: B256,
    /// What is stored there.
    pub value: Bytes,
    /// The next key that has an entry; after the last comes the first.
    pub next_key: B256,
    /// Place of the operation that wrote the entry in the log.
    pub location: u64,
    /// Operations in the log.
    pub leaves: u64,
    /// Peaks at the start of the log without a current operation.
    pub inactive_peaks: u64,
    /// Which of the 256 operations around it are current.
    pub chunk: [u8; CHUNK_BYTES],
    /// Root of the log without the bits.
    pub log_root: B256,
    /// What is folded on the way to the root.
    pub digests: Vec<B256>,
    /// Hash of the bits of the last operations, if those do not fill a chunk.
    pub partial_chunk: Option<B256>,
}

/// An account and slots of it in a final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateProof {
    /// The block.
    pub block: IndexedHeader,
    /// That it is final.
    pub finality: Finality,
    /// The account, `None` if it has no entry.
    pub account: Option<AccountState>,
    /// The account's entry, or the one before it if it has none.
    pub account_proof: EntryProof,
    /// The slots that were asked for.
    pub slots: Vec<SlotProof>,
}

/// A slot in a final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// The slot.
    pub slot: U256,
    /// What is stored there.
    pub value: U256,
    /// Its entry, or the one before it if it has none.
    pub proof: EntryProof,
}

/// Entries of one state.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) root: B256,
    /// For each key what is stored there, and the entry that shows it.
    pub(crate) entries: Vec<(Option<Value>, EntryProof)>,
}

/// Proves for every key what is stored there, or that nothing is.
///
/// # Errors
/// If the store fails, or holds nothing at all.
pub(crate) async fn prove<E: Runtime>(databases: &Databases<E>, keys: &[Key]) -> Result<Proven, String> {
    let failed = |error: StoreError<mmr::Family>| error.to_string();
    let store = databases.read().await;
    let mut entries = Vec::with_capacity(keys.len());
    for key in keys {
        let value = store.get(key).await.map_err(failed)?;
        let entry = if let Some(value) = &value {
            let found = store.key_value_proof(*key).await.map_err(failed)?;
            entry(key, value, &found.next_key, found.proof)
        } else {
            match store.exclusion_proof(key).await.map_err(failed)? {
                ExclusionProof::KeyValue(proof, before) => {
                    entry(&before.key, &before.value, &before.next_key, proof)
                }
                ExclusionProof::Commit(..) => return Err("nothing is stored yet".to_owned()),
            }
        };
        entries.push((value, entry));
    }
    Ok(Proven { root: block::hash(&store.root()), entries })
}

fn entry(
    key: &Key,
    value: &Value,
    next_key: &Key,
    proof: OperationProof<mmr::Family, Digest, CHUNK_BYTES>,
) -> EntryProof {
    let range = proof.range_proof;
    EntryProof {
        key: block::hash(key),
        value: Bytes::copy_from_slice(value.as_ref()),
        next_key: block::hash(next_key),
        location: *proof.loc,
        leaves: *range.proof.leaves,
        inactive_peaks: range.proof.inactive_peaks as u64,
        chunk: proof.chunk,
        partial_chunk: range.partial_chunk_digest.as_ref().map(block::hash),
        log_root: block::hash(&range.ops_root),
        digests: range.proof.digests.iter().map(block::hash).collect(),
    }
}

/// What shows that the block at `number` is final; `None` if it is not.
pub(crate) async fn finality(marshal: &MarshalHandle, number: u64) -> Option<Finality> {
    let mut headers = Vec::new();
    for height in number..number.saturating_add(MAX_HEADERS) {
        let block = marshal.get_block(Identifier::Height(Height::new(height))).await?;
        headers.push(block.inner().header().clone());
        if let Some(finalisation) = marshal.get_finalization(Height::new(height)).await {
            return Some(Finality { headers, certificate: certificate(&finalisation) });
        }
    }
    None
}

fn certificate(finalisation: &Finalization<Scheme, Digest>) -> Certificate {
    let Finalization { proposal, certificate } = finalisation;
    let signatures = certificate.signers.iter().zip(&certificate.signatures).map(|(signer, signature)| {
        let signature = signature.encode().as_ref().try_into().expect("an ed25519 signature is 64 bytes");
        Vote { signer: signer.get(), signature: FixedBytes::new(signature) }
    });
    Certificate {
        epoch: proposal.round.epoch().get(),
        view: proposal.round.view().get(),
        parent_view: proposal.parent.get(),
        block: block::hash(&proposal.payload),
        signatures: signatures.collect(),
    }
}

#[cfg(test)]
mod tests;
