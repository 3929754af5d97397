//! Payouts with their proofs.

use alloy_primitives::{Address, U256};
use openledger_client::{Client, Wallet};
use openledger_corpus::blob::Blobs;
use openledger_types::abi::{BatchStatus, ISettlement};
use openledger_types::batch::{BatchFile, Payout, payout_leaf, payout_tree};
use openledger_types::receipt::decode_document;

use crate::{Result, WorkerError};

/// Largest batch file: a million answers of some kilobytes each would not be fetched whole.
const MAX_BATCH_BYTES: u64 = 1 << 30;

/// The file behind a posted batch, checked against the hash on chain.
///
/// # Errors
/// [`WorkerError::Corpus`] if it is missing or damaged, [`WorkerError::Document`] if it is no batch file.
pub async fn load_batch(client: &Client, blobs: &Blobs, batch: U256) -> Result<BatchFile> {
    let hash = client.settlement().batch(batch).await?.fileHash;
    let bytes = blobs.get(hash, MAX_BATCH_BYTES)?;
    decode_document(&bytes).map_err(|source| WorkerError::Document { what: "batch file", hash, source })
}

/// Claims every payout of one finalised batch that `account` has left, or of everybody when it is `None`. Anyone may pay the
/// gas. Returns what was paid.
///
/// # Errors
/// [`WorkerError::Chain`] with the settlement module's reason.
pub async fn claim_batch(
    client: &Client,
    payer_of_gas: &Wallet,
    file: &BatchFile,
    batch: U256,
    account: Option<Address>,
) -> Result<Vec<Payout>> {
    let tree = payout_tree(&file.payouts);
    let mut claimed = Vec::new();
    for (index, payout) in file.payouts.iter().enumerate() {
        if account.is_some_and(|account| account != payout.account)
            || client.settlement().claimed(batch, index).await?
        {
            continue;
        }
        let proof = tree.proof(payout_leaf(index, payout)).expect("the tree was built over every payout");
        client.settlement().claim(payer_of_gas, batch, index, payout, proof).await?;
        claimed.push(*payout);
    }
    Ok(claimed)
}

/// Claims what `account` has left in all finalised batches, with the batch of each payout.
///
/// # Errors
/// As [`claim_batch`] and [`load_batch`].
pub async fn claim_all(
    client: &Client,
    blobs: &Blobs,
    payer_of_gas: &Wallet,
    account: Address,
) -> Result<Vec<(U256, Payout)>> {
    let count = client.settlement().call(&ISettlement::batchCountCall {}).await?;
    let mut claimed = Vec::new();
    let mut batch = U256::from(1);
    while batch <= count {
        if client.settlement().batch(batch).await?.status == BatchStatus::Finalised {
            let file = load_batch(client, blobs, batch).await?;
            let paid = claim_batch(client, payer_of_gas, &file, batch, Some(account)).await?;
            claimed.extend(paid.into_iter().map(|payout| (batch, payout)));
        }
        batch += U256::from(1);
    }
    Ok(claimed)
}
