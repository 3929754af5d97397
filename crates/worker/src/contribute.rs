//! Records into a Datanet, and versions out of it.
//!
//! Every function may be run again after a kill at any moment: it looks at the chain first and does what is left.

use alloy_primitives::{B256, U256, keccak256};
use openledger_client::{Client, Filter, Wallet};
use openledger_corpus::blob::Blobs;
use openledger_corpus::cluster::OrderKey;
use openledger_corpus::manifest::{CommittedRecord, ContributionFile, DatanetManifest, ManifestDraft};
use openledger_corpus::record::Record;
use openledger_types::abi::{ContributionStatus, DatanetVersion, IDatanets, Use};

use crate::{Result, WorkerError};

/// A secret of the wallet that only its key can make: what salts are derived from. RFC 6979 signatures are deterministic, so
/// it is the same each time.
pub fn contributor_secret(wallet: &Wallet) -> B256 {
    keccak256(wallet.sign_hash(&keccak256(b"openledger contributor secret 1")))
}

/// Contributes records: stores the file, commits, reveals. Returns the number of the contribution; records that the same
/// contributor has contributed before give the contribution that is there.
///
/// # Errors
/// [`WorkerError::Corpus`] for records that are refused, [`WorkerError::Chain`] with the module's reason.
pub async fn contribute(
    client: &Client,
    blobs: &Blobs,
    wallet: &Wallet,
    datanet: U256,
    records: Vec<Record>,
) -> Result<U256> {
    let file = ContributionFile::new(number(datanet)?, wallet.address(), records)?;
    let file_hash = file.store(blobs)?;
    let records_root = file.records_root();
    if let Some(known) = known_contribution(client, wallet, datanet, file_hash).await? {
        return Ok(known);
    }
    let reveal = IDatanets::revealCall {
        datanet,
        recordsRoot: records_root,
        fileHash: file_hash,
        records: u32::try_from(file.records.len()).expect("a contribution keeps the limit of records"),
        salt: keccak256([contributor_secret(wallet), file_hash].concat()),
    };
    match client.datanets().commit(wallet, &reveal).await {
        Ok(_) => {}
        // Committed before a kill; what is left is the reveal.
        Err(error) if error.decode_revert::<IDatanets::CommitmentExists>().is_some() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(client.datanets().reveal(wallet, &reveal).await?)
}

async fn known_contribution(
    client: &Client,
    wallet: &Wallet,
    datanet: U256,
    file_hash: B256,
) -> Result<Option<U256>> {
    let filter = Filter::new().topic1(B256::from(datanet)).topic3(wallet.address().into_word());
    let head = client.block_number().await?;
    let revealed = client.datanets().events::<IDatanets::Revealed>(filter, 0, head).await?;
    Ok(revealed
        .into_iter()
        .find(|event| event.data.fileHash == file_hash)
        .map(|event| event.data.contribution))
}

/// The contributions of a Datanet by number, with what the chain says of each.
///
/// # Errors
/// [`WorkerError::Chain`].
pub async fn contributions(
    client: &Client,
    datanet: U256,
) -> Result<Vec<(U256, openledger_types::abi::Contribution)>> {
    let head = client.block_number().await?;
    let filter = Filter::new().topic1(B256::from(datanet));
    let revealed = client.datanets().events::<IDatanets::Revealed>(filter, 0, head).await?;
    let mut all = Vec::with_capacity(revealed.len());
    for event in revealed {
        let id = event.data.contribution;
        all.push((id, client.datanets().contribution(id).await?));
    }
    Ok(all)
}

/// Accepts every pending contribution of a Datanet whose file is here and is what was committed. Returns their numbers.
///
/// # Errors
/// [`WorkerError::Corpus`] or [`WorkerError::Mismatch`] for a file that is not what was committed.
pub async fn accept_pending(
    client: &Client,
    blobs: &Blobs,
    owner: &Wallet,
    datanet: U256,
) -> Result<Vec<U256>> {
    let mut accepted = Vec::new();
    for (id, contribution) in contributions(client, datanet).await? {
        if contribution.status == ContributionStatus::Pending {
            checked_file(blobs, id, &contribution)?;
            client.datanets().accept(owner, id).await?;
            accepted.push(id);
        }
    }
    Ok(accepted)
}

/// The file of a contribution, checked against what the chain says of it.
fn checked_file(
    blobs: &Blobs,
    id: U256,
    contribution: &openledger_types::abi::Contribution,
) -> Result<ContributionFile> {
    let file = ContributionFile::load(blobs, contribution.fileHash)?;
    let root = file.records_root();
    if root != contribution.recordsRoot {
        return Err(WorkerError::mismatch(
            format!("records root of contribution {id}"),
            contribution.recordsRoot,
            root,
        ));
    }
    if file.contributor != contribution.contributor {
        let (expected, got) = (contribution.contributor, file.contributor);
        return Err(WorkerError::mismatch(format!("contributor of contribution {id}"), expected, got));
    }
    Ok(file)
}

/// A published version with its manifest.
#[derive(Debug, Clone)]
pub struct Published {
    /// Number of the version.
    pub number: u32,
    /// What the chain says of it.
    pub version: DatanetVersion,
    /// Its manifest.
    pub manifest: DatanetManifest,
}

/// The newest version of a Datanet.
///
/// # Errors
/// [`WorkerError::Chain`], [`WorkerError::Corpus`].
pub async fn newest_version(client: &Client, blobs: &Blobs, datanet: U256) -> Result<Option<Published>> {
    let number = client.datanets().datanet(datanet).await?.versions;
    if number == 0 {
        return Ok(None);
    }
    let version = client.datanets().version(datanet, number).await?;
    let manifest = DatanetManifest::load(blobs, version.manifestHash)?;
    Ok(Some(Published { number, version, manifest }))
}

/// Publishes a version with every accepted record that may be trained on; if the newest version holds just those already, gives that one.
/// Near-duplicates are looked for in the newest versions of all other Datanets too.
///
/// # Errors
/// [`WorkerError::NothingAccepted`], [`WorkerError::Corpus`] for a file that is missing or refused, [`WorkerError::Chain`].
pub async fn publish_version(
    client: &Client,
    blobs: &Blobs,
    owner: &Wallet,
    datanet: U256,
) -> Result<Published> {
    let on_chain = client.datanets().datanet(datanet).await?;
    let records = accepted_records(client, blobs, datanet).await?;
    if records.is_empty() {
        return Err(WorkerError::NothingAccepted(datanet));
    }
    let newest = newest_version(client, blobs, datanet).await?;
    let mut draft = ManifestDraft {
        datanet: number(datanet)?,
        name: on_chain.name,
        license: on_chain.license,
        version: on_chain.versions + 1,
        previous: newest.as_ref().map(|published| published.version.manifestHash),
        against: Vec::new(),
        records,
    };
    if let Some(newest) = newest {
        draft.against.clone_from(&newest.manifest.against);
        if draft.clone().build(blobs)?.entries == newest.manifest.entries {
            return Ok(newest);
        }
    }
    draft.against = other_manifests(client, datanet).await?;
    let manifest = draft.build(blobs)?;
    let call = IDatanets::publishVersionCall {
        datanet,
        manifestHash: manifest.store(blobs)?,
        recordsRoot: manifest.records_root,
        records: u32::try_from(manifest.entries.len()).expect("a manifest keeps the limit of records"),
        clusters: u32::try_from(manifest.clusters.len()).expect("a manifest keeps the limit of clusters"),
    };
    let number = client.datanets().publish_version(owner, &call).await?;
    let version = client.datanets().version(datanet, number).await?;
    Ok(Published { number, version, manifest })
}

async fn accepted_records(client: &Client, blobs: &Blobs, datanet: U256) -> Result<Vec<CommittedRecord>> {
    let mut records = Vec::new();
    for (id, contribution) in contributions(client, datanet).await? {
        if contribution.status != ContributionStatus::Accepted {
            continue;
        }
        let file = checked_file(blobs, id, &contribution)?;
        let own_terms =
            client.datanets().call(&IDatanets::recordTermsCountCall { contribution: id }).await? > 0;
        let mut terms =
            client.datanets().call(&IDatanets::termsOfCall { contribution: id, record: 0 }).await?;
        for (at, record) in (0..).zip(file.records) {
            if own_terms && at > 0 {
                let call = IDatanets::termsOfCall { contribution: id, record: at };
                terms = client.datanets().call(&call).await?;
            }
            // What may not be trained on is in no version.
            if terms.train == Use::Deny {
                continue;
            }
            let order =
                OrderKey { block: contribution.committedAt, contribution: self::number(id)?, record: at };
            records.push(CommittedRecord { record, contributor: contribution.contributor, order });
        }
    }
    Ok(records)
}

/// The newest manifests of all Datanets but this one.
async fn other_manifests(client: &Client, datanet: U256) -> Result<Vec<B256>> {
    let count = client.datanets().call(&IDatanets::datanetCountCall {}).await?;
    let mut manifests = Vec::new();
    let mut other = U256::from(1);
    while other <= count {
        if other != datanet {
            let versions = client.datanets().datanet(other).await?.versions;
            if versions > 0 {
                manifests.push(client.datanets().version(other, versions).await?.manifestHash);
            }
        }
        other += U256::from(1);
    }
    Ok(manifests)
}

/// Numbers on chain count from 1 and stay below 2⁶⁴.
fn number(id: U256) -> Result<u64> {
    u64::try_from(id)
        .map_err(|_size| WorkerError::mismatch("number of a Datanet or contribution", "below 2^64", id))
}
