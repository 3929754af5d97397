//! Models: base models, training commitments and adapters.
//!
//! A developer *commits* the hash of a training manifest. The seed of the run follows from that hash and the hash of the
//! block that holds the commitment, so nobody can choose a manifest by its seed, and an adapter is *published* in a
//! later block at the earliest. Who commits a manifest first is its developer. Publishing costs the deployment fee, which goes
//! to the treasury. Bases and adapters are counted from 1.
//!
//! - [`token`]: who owns an adapter, as ERC-721, and has the developer's income.
//! - [`lineage`]: adapters on top of adapters, which share it.

mod dispatch;
pub mod lineage;
#[cfg(test)]
mod tests;
pub mod token;

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::{Adapter, BaseModel, DatanetRef, IModels};
use openledger_types::addresses::{MODELS, TREASURY};
use openledger_types::amount::ONE_OPEN;

pub(crate) use dispatch::dispatch;

use crate::datanets::{self, MAX_NAME, is_license};
use crate::dispatch::next_id;
use crate::error::{Result, revert};
use crate::layout::{List, Mapping, Slot, Text, place};
use crate::math::half;
use crate::params;
use crate::since::Since;
use crate::storage::{Storage, emit};

/// Most Datanet versions of an adapter.
pub const MAX_DATANETS: usize = 32;
/// Highest price of a token, wei: one OPEN.
pub const MAX_PRICE: U256 = ONE_OPEN;

place! {
    struct BaseSlots {
        0: registrant: Slot<Address>,
        1: file_hash: Slot<B256>,
        2: name: Text,
        3: license: Text,
    }
}

place! {
    struct AdapterSlots {
        /// Developer, unix seconds of retirement or 0.
        0: developer: Slot<(Address, u64)>,
        1: base: Slot<U256>,
        2: manifest_hash: Slot<B256>,
        3: adapter_hash: Slot<B256>,
        4: transcript_hash: Slot<B256>,
        /// Wei per prompt token and per completion token.
        5: prices: Slot<(u128, u128)>,
        /// Number of the Datanet, then the version, for each.
        6: datanets: List<U256>,
        /// Nobody while nobody may move it but owner and operators.
        7: approved: Slot<Address>,
        /// Who owned it since when; the developer before.
        8: owners: Since,
        9: parent: Slot<U256>,
        /// What it shares with its parent, what those on top of it share at least, how many stand above it.
        10: shares: Slot<(u32, u32, u32)>,
    }
}

const BASE_COUNT: Slot<U256> = Slot::new(MODELS, 0);
const BASES: Mapping<U256, BaseSlots> = Mapping::new(MODELS, 1);
const BASE_BY_HASH: Mapping<B256, Slot<U256>> = Mapping::new(MODELS, 2);
/// Who committed a manifest, and in which block.
const TRAININGS: Mapping<B256, Slot<(Address, u64)>> = Mapping::new(MODELS, 3);
const ADAPTER_COUNT: Slot<U256> = Slot::new(MODELS, 4);
const ADAPTERS: Mapping<U256, AdapterSlots> = Mapping::new(MODELS, 5);
const ADAPTER_BY_HASH: Mapping<B256, Slot<U256>> = Mapping::new(MODELS, 6);

/// Registers a base model.
///
/// # Errors
/// `InvalidName` if empty or too long, `InvalidLicense`, `BaseExists` with this file hash.
pub fn register_base(
    storage: &mut dyn Storage,
    registrant: Address,
    name: &str,
    license: &str,
    file_hash: B256,
) -> Result<U256> {
    if name.is_empty() || name.len() > MAX_NAME {
        let (length, limit) = (U256::from(name.len()), U256::from(MAX_NAME));
        return Err(revert(IModels::InvalidName { length, limit }));
    }
    if !is_license(license) {
        return Err(revert(IModels::InvalidLicense { license: license.to_owned() }));
    }
    let existing = base_by_hash(storage, file_hash)?;
    if !existing.is_zero() {
        return Err(revert(IModels::BaseExists { base: existing }));
    }
    let base = next_id(BASE_COUNT.get(storage)?)?;
    BASE_COUNT.set(storage, base)?;
    BASE_BY_HASH.at(file_hash).set(storage, base)?;
    let slots = BASES.at(base);
    slots.registrant.set(storage, registrant)?;
    slots.file_hash.set(storage, file_hash)?;
    slots.name.init(storage, name)?;
    slots.license.init(storage, license)?;
    let name = name.to_owned();
    emit(storage, MODELS, &IModels::BaseRegistered { base, fileHash: file_hash, name })?;
    Ok(base)
}

/// Commits a training manifest.
///
/// # Errors
/// `TrainingExists`.
pub fn commit_training(storage: &mut dyn Storage, developer: Address, manifest_hash: B256) -> Result<()> {
    if training(storage, manifest_hash)?.1 != 0 {
        return Err(revert(IModels::TrainingExists { manifestHash: manifest_hash }));
    }
    let now = storage.block().number;
    TRAININGS.at(manifest_hash).set(storage, (developer, now))?;
    emit(storage, MODELS, &IModels::TrainingCommitted { manifestHash: manifest_hash, developer })
}

/// What an adapter was trained on top of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// A base model, by number.
    Base(U256),
    /// Another adapter, by number, with the part of the income that it gets.
    Adapter(U256, u32),
}

/// What an adapter is published with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAdapter {
    /// What it was trained on top of.
    pub parent: Parent,
    /// Content hash of the committed training manifest.
    pub manifest_hash: B256,
    /// Content hash of its parameters.
    pub adapter_hash: B256,
    /// Content hash of the training transcript.
    pub transcript_hash: B256,
    /// What it was trained on.
    pub datanets: Vec<DatanetRef>,
    /// Wei per prompt token.
    pub input_price: U256,
    /// Wei per completion token.
    pub output_price: U256,
}

/// Publishes an adapter, for a fee that the module has received.
///
/// # Errors
/// `UnknownBase`; `UnknownAdapter`, `ParentRetired`, `InvalidShare` and `TooDeep` of a parent; `WrongFee`,
/// `TrainingNotCommitted` in an earlier block, `NotDeveloper` unless by who committed the manifest,
/// `AdapterExists` with this hash, `NoDatanets`, `TooManyDatanets`, `UnknownDatanet`, `UnknownVersion`,
/// `TrainingDenied` by the terms of one, `PriceTooHigh`.
pub fn publish_adapter(
    storage: &mut dyn Storage,
    developer: Address,
    fee: U256,
    new: &NewAdapter,
) -> Result<U256> {
    let (base, parent, share, depth) = match new.parent {
        Parent::Base(base) => (base, U256::ZERO, 0, 0),
        Parent::Adapter(parent, share) => {
            let depth = lineage::check_parent(storage, parent, share)?;
            (ADAPTERS.at(parent).base.get(storage)?, parent, share, depth)
        }
    };
    if BASES.at(base).registrant.get(storage)?.is_zero() {
        return Err(revert(IModels::UnknownBase { base }));
    }
    let needed = params::get(storage, params::param_name("deployment_fee"))?;
    if fee != needed {
        return Err(revert(IModels::WrongFee { fee, needed }));
    }
    let (committer, committed_at) = training(storage, new.manifest_hash)?;
    if committed_at == 0 || committed_at >= storage.block().number {
        return Err(revert(IModels::TrainingNotCommitted { manifestHash: new.manifest_hash }));
    }
    if developer != committer {
        return Err(revert(IModels::NotDeveloper { caller: developer, developer: committer }));
    }
    let existing = adapter_by_hash(storage, new.adapter_hash)?;
    if !existing.is_zero() {
        return Err(revert(IModels::AdapterExists { adapter: existing }));
    }
    check_datanets(storage, &new.datanets)?;
    check_price(new.input_price)?;
    check_price(new.output_price)?;

    let adapter = next_id(ADAPTER_COUNT.get(storage)?)?;
    ADAPTER_COUNT.set(storage, adapter)?;
    ADAPTER_BY_HASH.at(new.adapter_hash).set(storage, adapter)?;
    let slots = ADAPTERS.at(adapter);
    slots.developer.set(storage, (developer, 0))?;
    slots.base.set(storage, base)?;
    slots.manifest_hash.set(storage, new.manifest_hash)?;
    slots.adapter_hash.set(storage, new.adapter_hash)?;
    slots.transcript_hash.set(storage, new.transcript_hash)?;
    slots.prices.set(storage, (half(new.input_price)?, half(new.output_price)?))?;
    let pairs = new.datanets.iter().flat_map(|used| [used.datanet, U256::from(used.version)]);
    slots.datanets.init(storage, pairs)?;
    if !parent.is_zero() {
        slots.parent.set(storage, parent)?;
        slots.shares.set(storage, (share, 0, depth))?;
    }
    storage.transfer(MODELS, TREASURY, fee)?;
    emit(
        storage,
        MODELS,
        &IModels::AdapterPublished {
            adapter,
            developer,
            adapterHash: new.adapter_hash,
            base,
            manifestHash: new.manifest_hash,
        },
    )?;
    if !parent.is_zero() {
        emit(storage, MODELS, &IModels::Derived { adapter, parent, sharePpm: share })?;
    }
    token::mint(storage, developer, adapter)?;
    emit_price(storage, adapter, new.input_price, new.output_price)?;
    Ok(adapter)
}

fn check_datanets(storage: &mut dyn Storage, datanets: &[DatanetRef]) -> Result<()> {
    if datanets.is_empty() {
        return Err(revert(IModels::NoDatanets {}));
    }
    if datanets.len() > MAX_DATANETS {
        let (count, limit) = (U256::from(datanets.len()), U256::from(MAX_DATANETS));
        return Err(revert(IModels::TooManyDatanets { count, limit }));
    }
    datanets.iter().try_for_each(|used| datanets::check_trainable(storage, used.datanet, used.version))
}

fn check_price(price: U256) -> Result<()> {
    if price > MAX_PRICE {
        return Err(revert(IModels::PriceTooHigh { price, limit: MAX_PRICE }));
    }
    Ok(())
}

/// Sets the price of an adapter's tokens.
///
/// # Errors
/// `UnknownAdapter`, `NotOwner`, `PriceTooHigh`.
pub fn set_price(
    storage: &mut dyn Storage,
    caller: Address,
    adapter: U256,
    input_price: U256,
    output_price: U256,
) -> Result<()> {
    need_owner(storage, caller, adapter)?;
    check_price(input_price)?;
    check_price(output_price)?;
    ADAPTERS.at(adapter).prices.set(storage, (half(input_price)?, half(output_price)?))?;
    emit_price(storage, adapter, input_price, output_price)
}

fn emit_price(storage: &mut dyn Storage, adapter: U256, input_price: U256, output_price: U256) -> Result<()> {
    let event = IModels::PriceSet { adapter, inputPrice: input_price, outputPrice: output_price };
    emit(storage, MODELS, &event)
}

/// Ends an adapter: nothing more is served with it, and what was served settles within `settle_grace` seconds. Retiring
/// it again changes nothing.
///
/// # Errors
/// `UnknownAdapter`, `NotOwner`.
pub fn retire(storage: &mut dyn Storage, caller: Address, adapter: U256) -> Result<()> {
    need_owner(storage, caller, adapter)?;
    let slots = ADAPTERS.at(adapter);
    let (developer, retired_at) = slots.developer.get(storage)?;
    if retired_at != 0 {
        return Ok(());
    }
    let now = storage.block().timestamp;
    slots.developer.set(storage, (developer, now))?;
    emit(storage, MODELS, &IModels::Retired { adapter })
}

/// Base models so far.
///
/// # Errors
/// Those of the storage.
pub fn base_count(storage: &mut dyn Storage) -> Result<U256> {
    BASE_COUNT.get(storage)
}

/// Adapters so far.
///
/// # Errors
/// Those of the storage.
pub fn adapter_count(storage: &mut dyn Storage) -> Result<U256> {
    ADAPTER_COUNT.get(storage)
}

/// A base model.
///
/// # Errors
/// `UnknownBase`.
pub fn base(storage: &mut dyn Storage, id: U256) -> Result<BaseModel> {
    let slots = BASES.at(id);
    let registrant = slots.registrant.get(storage)?;
    if registrant.is_zero() {
        return Err(revert(IModels::UnknownBase { base: id }));
    }
    Ok(BaseModel {
        name: slots.name.get(storage)?,
        license: slots.license.get(storage)?,
        fileHash: slots.file_hash.get(storage)?,
        registrant,
    })
}

/// An adapter.
///
/// # Errors
/// `UnknownAdapter`.
pub fn adapter(storage: &mut dyn Storage, id: U256) -> Result<Adapter> {
    let (developer, retired_at) = developer_of(storage, id)?;
    let slots = ADAPTERS.at(id);
    let (input_price, output_price) = slots.prices.get(storage)?;
    let mut words = slots.datanets.get(storage)?.into_iter();
    let mut datanets = Vec::new();
    while let (Some(datanet), Some(version)) = (words.next(), words.next()) {
        datanets.push(DatanetRef { datanet, version: version.wrapping_to() });
    }
    Ok(Adapter {
        base: slots.base.get(storage)?,
        manifestHash: slots.manifest_hash.get(storage)?,
        adapterHash: slots.adapter_hash.get(storage)?,
        transcriptHash: slots.transcript_hash.get(storage)?,
        datanets,
        inputPrice: U256::from(input_price),
        outputPrice: U256::from(output_price),
        developer,
        retired: retired_at != 0,
    })
}

/// The adapter with this hash, 0 if there is none.
///
/// # Errors
/// Those of the storage.
pub fn adapter_by_hash(storage: &mut dyn Storage, adapter_hash: B256) -> Result<U256> {
    ADAPTER_BY_HASH.at(adapter_hash).get(storage)
}

/// The base model with this file hash, 0 if there is none.
///
/// # Errors
/// Those of the storage.
pub fn base_by_hash(storage: &mut dyn Storage, file_hash: B256) -> Result<U256> {
    BASE_BY_HASH.at(file_hash).get(storage)
}

/// Who committed a manifest and in which block; zeros if nobody did.
///
/// # Errors
/// Those of the storage.
pub fn training(storage: &mut dyn Storage, manifest_hash: B256) -> Result<(Address, u64)> {
    TRAININGS.at(manifest_hash).get(storage)
}

/// Developer of an adapter, and unix seconds of its retirement or 0.
///
/// # Errors
/// `UnknownAdapter`.
pub(crate) fn developer_of(storage: &mut dyn Storage, adapter: U256) -> Result<(Address, u64)> {
    // Every adapter has a base, and bases count from 1.
    if ADAPTERS.at(adapter).base.get(storage)?.is_zero() {
        return Err(revert(IModels::UnknownAdapter { adapter }));
    }
    ADAPTERS.at(adapter).developer.get(storage)
}

fn need_owner(storage: &mut dyn Storage, caller: Address, adapter: U256) -> Result<()> {
    developer_of(storage, adapter)?;
    let owner = token::owner(storage, adapter)?;
    if caller == owner { Ok(()) } else { Err(revert(IModels::NotOwner { caller, owner })) }
}
