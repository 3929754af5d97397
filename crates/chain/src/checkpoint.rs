//! A recent final block that a new node starts from, instead of executing the chain from its first block.
//!
//! Who starts from a checkpoint trusts the hash of its block, as it trusts the genesis file, and has it from somebody it
//! believes. All else is checked against that hash: the block, its state and the blocks before it carry or give it, the
//! validators have to be those that the state names, and the certificate has to be theirs.
//!
//! ```text
//! hash ─► block ─► root of the state log ─► operations from peers ─► state ─► stateRoot, validators ─► later blocks
//!           └────► parentHash … ─► headers of the 256 blocks before, for BLOCKHASH
//! ```
//!
//! Such a node has the blocks after the checkpoint and no earlier ones.

use crate::{
    Block, ChainError,
    block::{digest, hash},
    engine::MarshalHandle,
    epochs::{Schemes, most_seats, public},
    executor,
    index::{Base, IndexedHeader},
    ledger::{self, Ledger},
    runtime::Runtime,
    state::Databases,
};
use alloy_primitives::{B256, Bytes};
use commonware_codec::{Copying, Decode as _};
use commonware_consensus::{
    Epochable,
    marshal::core::CommitmentFallback,
    simplex::{scheme::ed25519::Scheme, types::Finalization},
    types::{Epocher, FixedEpocher, Height},
};
use commonware_cryptography::{
    certificate::{Provider as _, Verifier as _},
    ed25519::PublicKey,
    keccak256::Digest,
};
use commonware_parallel::Sequential;
use openledger_execution::{Genesis, validator_set};
use std::{collections::BTreeSet, sync::Arc};

/// Blocks whose hashes a contract can ask for.
const HASHES: u64 = 256;
/// Longest certificate that is read: a hundred signatures are below 8 KiB.
const MAX_CERTIFICATE_BYTES: usize = 64 * 1024;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Height of the block.
    pub number: u64,
    /// Its hash, which is trusted.
    pub hash: B256,
    /// What made it final, as the engine encodes it.
    pub certificate: Bytes,
    /// The keys with a seat in its epoch.
    pub validators: Vec<B256>,
}

/// A checkpoint whose parts belong together.
pub(crate) struct Checked {
    pub(crate) finalization: Finalization<Scheme, Digest>,
    pub(crate) keys: Vec<PublicKey>,
}

impl Checkpoint {
    /// Checks that the certificate is of this block and these validators. Whether they are the validators, only the state says.
    ///
    /// # Errors
    /// What does not belong together.
    pub(crate) fn check(
        &self,
        genesis: &Genesis,
        epocher: &FixedEpocher,
        schemes: &Schemes,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Checked, String> {
        let (seats, most) = (self.validators.len(), most_seats(genesis) as usize);
        if seats == 0 || seats > most {
            return Err(format!("it names {seats} validators, and an epoch has 1 to {most}"));
        }
        if self.certificate.len() > MAX_CERTIFICATE_BYTES {
            let length = self.certificate.len();
            return Err(format!("its certificate has {length} bytes, the limit is {MAX_CERTIFICATE_BYTES}"));
        }
        let finalization = Finalization::<Scheme, Digest>::decode_cfg(
            Copying(&self.certificate),
            &Scheme::certificate_codec_config_unbounded(),
        )
        .map_err(|error| format!("its certificate is malformed: {error}"))?;
        let certified = hash(&finalization.proposal.payload);
        if certified != self.hash {
            return Err(format!("its certificate is of the block {certified}, not {}", self.hash));
        }
        let epoch =
            epocher.containing(Height::new(self.number)).ok_or("its number is above the last block")?.epoch();
        if finalization.epoch() != epoch {
            return Err(format!("block {} is not of epoch {}", self.number, finalization.epoch()));
        }
        let keys = self.validators.iter().map(|key| public(*key)).collect::<Result<Vec<_>, _>>()?;
        schemes.learn(epoch, &keys)?;
        let scheme = schemes.scheme(epoch).ok_or("its epoch is long past")?;
        if !finalization.verify(rng, scheme.as_ref(), &Sequential) {
            return Err("its certificate is not of the validators that it names".to_owned());
        }
        Ok(Checked { finalization, keys })
    }
}

/// Makes the block of a checkpoint, whose state has been fetched, the first that this node knows.
///
/// # Errors
/// What the state or the blocks contradict.
pub(crate) async fn adopt<E: Runtime>(
    ledger: &Arc<Ledger>,
    marshal: &MarshalHandle,
    databases: &Databases<E>,
    epocher: &FixedEpocher,
    base: Base,
) -> Result<(), String> {
    let Base { number, .. } = base;
    let headers = ancestors(ledger, marshal, base).await?;
    let head = headers.last().ok_or("a checkpoint has a block")?.clone();
    let root = hash(&databases.read().await.root());
    if root != head.header.state_root {
        return Err(format!(
            "the state of block {number} has the root {root}, its header {}",
            head.header.state_root
        ));
    }
    let epoch = epocher.containing(Height::new(number)).ok_or("it is above the last block")?.epoch().get();
    let set = executor::query(databases, ledger.codes.clone(), move |state| validator_set(state, epoch));
    let seated: BTreeSet<B256> =
        set.await.map_err(|error| error.to_string())?.into_iter().map(|seat| seat.key).collect();
    let named = ledger.index.validators(epoch).map_err(|error| error.to_string())?.unwrap_or_default();
    if seated != named.into_iter().collect() {
        return Err(format!(
            "the checkpoint names other validators of epoch {epoch} than the state of its block"
        ));
    }
    let failed = |error: ChainError| error.to_string();
    ledger.index.put_headers(&headers).map_err(failed)?;
    ledger.accounts.advance(number, &Default::default());
    ledger.set_head(head);
    Ok(())
}

/// The headers of the block and of those before it that a contract can ask for, from the oldest on, by their hashes.
async fn ancestors(
    ledger: &Ledger,
    marshal: &MarshalHandle,
    base: Base,
) -> Result<Vec<IndexedHeader>, String> {
    let mut headers = Vec::new();
    let mut wanted = base.hash;
    for number in (base.number.saturating_sub(HASHES)..=base.number).rev() {
        if number == 0 {
            if wanted != ledger.genesis_block.hash() {
                return Err("it does not descend from the genesis".to_owned());
            }
            break;
        }
        // Kept by the height above the checkpoint, below which nothing is fetched.
        let fallback = CommitmentFallback::FetchByCommitment { height: Height::new(base.number + 1) };
        let found = marshal.subscribe_by_commitment(digest(wanted), fallback).await;
        let found = found.map_err(|_closed| format!("block {number} could not be fetched"))?;
        let block: &Block = found.inner();
        if block.number() != number {
            return Err(format!("the block {wanted} is number {}, not {number}", block.number()));
        }
        wanted = block.header().parent_hash;
        headers.push(ledger::indexed(block));
    }
    headers.reverse();
    Ok(headers)
}
