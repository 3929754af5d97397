//! Datanets: owner, licence and terms; contributions; versions.
//!
//! A contribution is first *committed*, as a hash that binds it to the contributor, and *revealed* in a later block. The
//! block of the commitment is what decides who was first, network-wide: the earliest of a cluster of near-duplicates owns it.
//! A copier cannot reveal what another committed. Owner, curators or nobody decide over it by the Datanet's `policy`, and the
//! owner *publishes versions*: the content hash of a manifest and the root over its records. Datanets and contributions are
//! counted from 1 across the network, versions from 1 in a Datanet.
//!
//! - [`policy`]: who decides, and the bond.
//! - [`terms`]: terms of use of contributions and records.
//! - [`removal`]: withdrawal and takedown, which leave tombstones.
//! - [`curation`]: stake on a Datanet, its votes and its yield.
//! - [`rights`]: who has a contribution's income, as ERC-1155.
//!
//! # Invariants
//! The module's balance is the bonds of contributions that wait, those of open takedowns, curators' stakes with what they
//! still get, and what holders of rights have not claimed, of which a fraction of a wei per account waits.

pub mod curation;
mod dispatch;
mod licenses;
pub mod policy;
pub mod removal;
pub mod rights;
pub mod terms;
#[cfg(test)]
mod tests;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue;
use openledger_types::abi::{
    Acceptance, Contribution, ContributionStatus, Datanet, DatanetVersion, IDatanets, Modality, Policy,
    Terms, Use,
};
use openledger_types::addresses::DATANETS;

pub(crate) use dispatch::dispatch;
pub use licenses::{MAX_LICENSE, is_license};

use crate::dispatch::next_id;
use crate::error::{Result, overflow, revert};
use crate::layout::{Mapping, Slot, Text, place};
use crate::math::half;
use crate::storage::{Storage, emit};

/// Longest name, in bytes.
pub const MAX_NAME: usize = 128;
/// Longest reason of a rejection, in bytes.
pub const MAX_REASON: usize = 256;
/// Most records of a contribution or a version.
pub const MAX_RECORDS: u32 = 10_000_000;

place! {
    struct DatanetSlots {
        /// Owner, block of creation, versions so far.
        0: owner: Slot<(Address, u64, u32)>,
        1: terms: Slot<(Modality, Use, Use, Use)>,
        2: name: Text,
        3: license: Text,
        /// Who decides, seconds of the period (0 for the default), bond in wei.
        4: policy: Slot<(Acceptance, u64, u128)>,
    }
}

place! {
    struct ContributionSlots {
        0: datanet: Slot<U256>,
        /// Contributor, block of the commitment, status.
        1: contributor: Slot<(Address, u64, ContributionStatus)>,
        2: records_root: Slot<B256>,
        3: file_hash: Slot<B256>,
        /// Records, policy of the reveal, its unix seconds, when the period ends, records with terms of their own.
        4: records: Slot<(u32, Acceptance, u64, u64, u32)>,
        /// Wei that it waits with.
        5: bond: Slot<u128>,
        /// Curators' stake that votes to accept, and to reject.
        6: votes: Slot<(u128, u128)>,
        /// Curators' stake that votes for spam.
        7: spam: Slot<u128>,
        8: terms: Slot<terms::Packed>,
    }
}

place! {
    struct VersionSlots {
        0: manifest_hash: Slot<B256>,
        1: records_root: Slot<B256>,
        /// Records, clusters, block of publication.
        2: counts: Slot<(u32, u32, u64)>,
    }
}

const DATANET_COUNT: Slot<U256> = Slot::new(DATANETS, 0);
const ALL: Mapping<U256, DatanetSlots> = Mapping::new(DATANETS, 1);
const CONTRIBUTION_COUNT: Slot<U256> = Slot::new(DATANETS, 2);
const CONTRIBUTIONS: Mapping<U256, ContributionSlots> = Mapping::new(DATANETS, 3);
/// Block of a commitment that is not revealed.
const COMMITMENTS: Mapping<B256, Slot<u64>> = Mapping::new(DATANETS, 4);
/// By Datanet, then number.
const VERSIONS: Mapping<U256, Mapping<u32, VersionSlots>> = Mapping::new(DATANETS, 5);

/// What a contributor commits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reveal {
    /// The Datanet that it is for.
    pub datanet: U256,
    /// Merkle root over the salted record hashes.
    pub records_root: B256,
    /// Content hash of the contribution file.
    pub file_hash: B256,
    /// How many records.
    pub records: u32,
    /// What makes the commitment unguessable.
    pub salt: B256,
}

impl Reveal {
    /// `keccak256(abi.encode(contributor, datanet, recordsRoot, fileHash, records, salt))`.
    pub fn commitment(&self, contributor: Address) -> B256 {
        let Self { datanet, records_root, file_hash, records, salt } = *self;
        keccak256((contributor, datanet, records_root, file_hash, records, salt).abi_encode())
    }
}

/// Creates a Datanet.
///
/// # Errors
/// `InvalidName` if empty or too long, `InvalidLicense` if not an expression of listed licences.
pub fn create(
    storage: &mut dyn Storage,
    owner: Address,
    name: &str,
    license: &str,
    modality: Modality,
    terms: &Terms,
) -> Result<U256> {
    if name.is_empty() || name.len() > MAX_NAME {
        let (length, limit) = (U256::from(name.len()), U256::from(MAX_NAME));
        return Err(revert(IDatanets::InvalidName { length, limit }));
    }
    if !is_license(license) {
        return Err(revert(IDatanets::InvalidLicense { license: license.to_owned() }));
    }
    let datanet = next_id(DATANET_COUNT.get(storage)?)?;
    DATANET_COUNT.set(storage, datanet)?;
    let slots = ALL.at(datanet);
    let created_at = storage.block().number;
    slots.owner.set(storage, (owner, created_at, 0))?;
    slots.terms.set(storage, (modality, terms.train, terms.infer, terms.crawl))?;
    slots.name.init(storage, name)?;
    slots.license.init(storage, license)?;
    let (name, license) = (name.to_owned(), license.to_owned());
    emit(storage, DATANETS, &IDatanets::Created { datanet, owner, name, license })?;
    Ok(datanet)
}

/// Records a commitment with the number of the block.
///
/// # Errors
/// `UnknownDatanet`, `CommitmentExists`.
pub fn commit(
    storage: &mut dyn Storage,
    contributor: Address,
    datanet: U256,
    commitment: B256,
) -> Result<()> {
    owner_of(storage, datanet)?;
    if commitment_block(storage, commitment)? != 0 {
        return Err(revert(IDatanets::CommitmentExists { commitment }));
    }
    let now = storage.block().number;
    COMMITMENTS.at(commitment).set(storage, now)?;
    emit(storage, DATANETS, &IDatanets::Committed { datanet, contributor, commitment })
}

/// Opens a commitment into a contribution that waits, with a bond that the module has received.
///
/// # Errors
/// `UnknownDatanet`, `WrongBond`, `InvalidCount` for no records or too many, `UnknownCommitment` unless the caller's own,
/// `RevealTooEarly` in the block of the commitment.
pub fn reveal(storage: &mut dyn Storage, contributor: Address, bond: U256, reveal: &Reveal) -> Result<U256> {
    let Reveal { datanet, records_root, file_hash, records, .. } = *reveal;
    let Policy { acceptance, bond: needed, period } = policy::policy(storage, datanet)?;
    if bond != needed {
        return Err(revert(IDatanets::WrongBond { bond, needed }));
    }
    if records == 0 || records > MAX_RECORDS {
        return Err(revert(IDatanets::InvalidCount { count: records }));
    }
    let commitment = reveal.commitment(contributor);
    let committed_at = commitment_block(storage, commitment)?;
    if committed_at == 0 {
        return Err(revert(IDatanets::UnknownCommitment { commitment }));
    }
    if committed_at >= storage.block().number {
        return Err(revert(IDatanets::RevealTooEarly { committedAt: committed_at }));
    }
    COMMITMENTS.at(commitment).set(storage, 0)?;
    let contribution = next_id(CONTRIBUTION_COUNT.get(storage)?)?;
    CONTRIBUTION_COUNT.set(storage, contribution)?;
    let slots = CONTRIBUTIONS.at(contribution);
    slots.datanet.set(storage, datanet)?;
    slots.contributor.set(storage, (contributor, committed_at, ContributionStatus::Pending))?;
    slots.records_root.set(storage, records_root)?;
    slots.file_hash.set(storage, file_hash)?;
    let now = storage.block().timestamp;
    slots.records.set(storage, (records, acceptance, now, now.saturating_add(period), 0))?;
    slots.bond.set(storage, half(bond)?)?;
    emit(
        storage,
        DATANETS,
        &IDatanets::Revealed {
            datanet,
            contribution,
            contributor,
            recordsRoot: records_root,
            fileHash: file_hash,
            records,
        },
    )?;
    Ok(contribution)
}

/// Publishes the next version.
///
/// # Errors
/// `UnknownDatanet`, `NotOwner`, `InvalidCount` unless there are records, and clusters no more than records.
pub fn publish_version(
    storage: &mut dyn Storage,
    caller: Address,
    datanet: U256,
    version: &DatanetVersion,
) -> Result<u32> {
    need_owner(storage, caller, datanet)?;
    let DatanetVersion { manifestHash, recordsRoot, records, clusters, .. } = *version;
    if records == 0 || records > MAX_RECORDS {
        return Err(revert(IDatanets::InvalidCount { count: records }));
    }
    if clusters == 0 || clusters > records {
        return Err(revert(IDatanets::InvalidCount { count: clusters }));
    }
    let (owner, created_at, versions) = ALL.at(datanet).owner.get(storage)?;
    let number = versions.checked_add(1).ok_or_else(overflow)?;
    ALL.at(datanet).owner.set(storage, (owner, created_at, number))?;
    let slots = VERSIONS.at(datanet).at(number);
    let now = storage.block().number;
    slots.manifest_hash.set(storage, manifestHash)?;
    slots.records_root.set(storage, recordsRoot)?;
    slots.counts.set(storage, (records, clusters, now))?;
    emit(
        storage,
        DATANETS,
        &IDatanets::VersionPublished {
            datanet,
            version: number,
            manifestHash,
            recordsRoot,
            records,
            clusters,
        },
    )?;
    Ok(number)
}

/// Datanets so far.
///
/// # Errors
/// Those of the storage.
pub fn datanet_count(storage: &mut dyn Storage) -> Result<U256> {
    DATANET_COUNT.get(storage)
}

/// Contributions so far, to any Datanet.
///
/// # Errors
/// Those of the storage.
pub fn contribution_count(storage: &mut dyn Storage) -> Result<U256> {
    CONTRIBUTION_COUNT.get(storage)
}

/// A Datanet.
///
/// # Errors
/// `UnknownDatanet`.
pub fn datanet(storage: &mut dyn Storage, id: U256) -> Result<Datanet> {
    owner_of(storage, id)?;
    let slots = ALL.at(id);
    let (owner, created_at, versions) = slots.owner.get(storage)?;
    let (modality, train, infer, crawl) = slots.terms.get(storage)?;
    Ok(Datanet {
        owner,
        name: slots.name.get(storage)?,
        license: slots.license.get(storage)?,
        modality,
        terms: Terms { train, infer, crawl },
        versions,
        createdAt: created_at,
    })
}

/// A contribution.
///
/// # Errors
/// `UnknownContribution`.
pub fn contribution(storage: &mut dyn Storage, id: U256) -> Result<Contribution> {
    let (contributor, committed_at, status) = known(storage, id)?;
    let slots = CONTRIBUTIONS.at(id);
    Ok(Contribution {
        datanet: slots.datanet.get(storage)?,
        contributor,
        recordsRoot: slots.records_root.get(storage)?,
        fileHash: slots.file_hash.get(storage)?,
        records: slots.records.get(storage)?.0,
        status,
        committedAt: committed_at,
    })
}

/// A version of a Datanet.
///
/// # Errors
/// `UnknownDatanet`, `UnknownVersion`.
pub fn version(storage: &mut dyn Storage, datanet: U256, number: u32) -> Result<DatanetVersion> {
    owner_of(storage, datanet)?;
    let slots = VERSIONS.at(datanet).at(number);
    let (records, clusters, published_at) = slots.counts.get(storage)?;
    if records == 0 {
        return Err(revert(IDatanets::UnknownVersion { datanet, version: number }));
    }
    Ok(DatanetVersion {
        manifestHash: slots.manifest_hash.get(storage)?,
        recordsRoot: slots.records_root.get(storage)?,
        records,
        clusters,
        publishedAt: published_at,
    })
}

/// Block of a commitment, 0 if there is none or it has been revealed.
///
/// # Errors
/// Those of the storage.
pub fn commitment_block(storage: &mut dyn Storage, commitment: B256) -> Result<u64> {
    COMMITMENTS.at(commitment).get(storage)
}

/// Refuses a version that may not be trained on.
///
/// # Errors
/// `UnknownDatanet`, `UnknownVersion`, `TrainingDenied` by the terms.
pub(crate) fn check_trainable(storage: &mut dyn Storage, datanet: U256, number: u32) -> Result<()> {
    version(storage, datanet, number)?;
    let (_, train, _, _) = ALL.at(datanet).terms.get(storage)?;
    if train == Use::Deny { Err(revert(IDatanets::TrainingDenied { datanet })) } else { Ok(()) }
}

/// Contributor, block of the commitment and status of a contribution.
fn known(storage: &mut dyn Storage, contribution: U256) -> Result<(Address, u64, ContributionStatus)> {
    let found = CONTRIBUTIONS.at(contribution).contributor.get(storage)?;
    if found.2 == ContributionStatus::None {
        return Err(revert(IDatanets::UnknownContribution { contribution }));
    }
    Ok(found)
}

fn owner_of(storage: &mut dyn Storage, datanet: U256) -> Result<Address> {
    // A Datanet is created in a block, and no block in which modules run has the number 0.
    let (owner, created_at, _) = ALL.at(datanet).owner.get(storage)?;
    if created_at == 0 { Err(revert(IDatanets::UnknownDatanet { datanet })) } else { Ok(owner) }
}

fn need_owner(storage: &mut dyn Storage, caller: Address, datanet: U256) -> Result<()> {
    let owner = owner_of(storage, datanet)?;
    if caller == owner { Ok(()) } else { Err(revert(IDatanets::NotOwner { caller, owner })) }
}

/// Everything that the module owes to these accounts, wei scaled by 10¹⁸: its books, which tests hold its balance against.
#[cfg(any(test, feature = "test-util"))]
pub(crate) fn scaled_debts(storage: &mut dyn Storage, accounts: &[Address]) -> Result<U256> {
    use crate::math::{add, mul};
    const MILLIONTH: U256 = U256::from_limbs([1_000_000_000_000, 0, 0, 0]);
    let mut debts = U256::ZERO;
    let mut datanet = DATANET_COUNT.get(storage)?;
    while !datanet.is_zero() {
        debts = add(debts, curation::scaled_debts(storage, datanet, accounts)?)?;
        datanet = datanet.wrapping_sub(U256::ONE);
    }
    let mut contribution = CONTRIBUTION_COUNT.get(storage)?;
    while !contribution.is_zero() {
        let mut bonds = U256::from(CONTRIBUTIONS.at(contribution).bond.get(storage)?);
        let takedown = removal::takedown_of(storage, contribution)?;
        let sides = U256::from(
            u8::from(!takedown.claimant.is_zero()).wrapping_add(u8::from(!takedown.defender.is_zero())),
        );
        bonds = add(bonds, mul(takedown.bond, sides)?)?;
        debts = add(debts, mul(bonds, curation::SCALE)?)?;
        let owed = rights::millionths_owed(storage, contribution, accounts)?;
        debts = add(debts, mul(owed, MILLIONTH)?)?;
        contribution = contribution.wrapping_sub(U256::ONE);
    }
    Ok(debts)
}
