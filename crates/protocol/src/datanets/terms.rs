//! Terms of use of a contribution and of single records: of Datanet, contribution and record the narrowest holds.

use alloy_primitives::{Address, U256};
use openledger_types::abi::{IDatanets, Terms, Use};
use openledger_types::addresses::DATANETS;

use super::{ALL, CONTRIBUTIONS, known};
use crate::error::{Result, overflow, revert};
use crate::layout::{Mapping, Slot};
use crate::storage::{Storage, emit};

/// Whether they are set, then train, infer, crawl.
pub(super) type Packed = (bool, Use, Use, Use);

/// By contribution, then record.
const RECORD_TERMS: Mapping<U256, Mapping<u32, Slot<Packed>>> = Mapping::new(DATANETS, 7);

/// Sets the terms of a contribution.
///
/// # Errors
/// `UnknownContribution`, `NotContributor`.
pub fn set_terms(
    storage: &mut dyn Storage,
    caller: Address,
    contribution: U256,
    terms: &Terms,
) -> Result<()> {
    need_contributor(storage, caller, contribution)?;
    let Terms { train, infer, crawl } = terms.clone();
    CONTRIBUTIONS.at(contribution).terms.set(storage, (true, train, infer, crawl))?;
    emit(storage, DATANETS, &IDatanets::TermsSet { contribution, terms: terms.clone() })
}

/// Sets the terms of one record.
///
/// # Errors
/// `UnknownContribution`, `NotContributor`, `UnknownRecord`.
pub fn set_record_terms(
    storage: &mut dyn Storage,
    caller: Address,
    contribution: U256,
    record: u32,
    terms: &Terms,
) -> Result<()> {
    need_contributor(storage, caller, contribution)?;
    need_record(storage, contribution, record)?;
    let place = RECORD_TERMS.at(contribution).at(record);
    if !place.get(storage)?.0 {
        let slots = CONTRIBUTIONS.at(contribution);
        let (records, acceptance, revealed_at, until, own) = slots.records.get(storage)?;
        let own = own.checked_add(1).ok_or_else(overflow)?;
        slots.records.set(storage, (records, acceptance, revealed_at, until, own))?;
    }
    let Terms { train, infer, crawl } = terms.clone();
    place.set(storage, (true, train, infer, crawl))?;
    emit(storage, DATANETS, &IDatanets::RecordTermsSet { contribution, record, terms: terms.clone() })
}

/// The terms that hold for a record.
///
/// # Errors
/// `UnknownContribution`, `UnknownRecord`.
pub fn terms_of(storage: &mut dyn Storage, contribution: U256, record: u32) -> Result<Terms> {
    known(storage, contribution)?;
    need_record(storage, contribution, record)?;
    let slots = CONTRIBUTIONS.at(contribution);
    let datanet = slots.datanet.get(storage)?;
    let (_, train, infer, crawl) = ALL.at(datanet).terms.get(storage)?;
    let own = slots.terms.get(storage)?;
    let of_record = RECORD_TERMS.at(contribution).at(record).get(storage)?;
    let mut terms = Terms { train, infer, crawl };
    for (set, train, infer, crawl) in [own, of_record] {
        if set {
            terms.train = narrower(terms.train, train);
            terms.infer = narrower(terms.infer, infer);
            terms.crawl = narrower(terms.crawl, crawl);
        }
    }
    Ok(terms)
}

/// How many records of a contribution have terms of their own.
///
/// # Errors
/// `UnknownContribution`.
pub fn record_terms_count(storage: &mut dyn Storage, contribution: U256) -> Result<u32> {
    known(storage, contribution)?;
    Ok(CONTRIBUTIONS.at(contribution).records.get(storage)?.4)
}

fn narrower(a: Use, b: Use) -> Use {
    if (a as u8) < (b as u8) { a } else { b }
}

fn need_record(storage: &mut dyn Storage, contribution: U256, record: u32) -> Result<()> {
    if record >= CONTRIBUTIONS.at(contribution).records.get(storage)?.0 {
        return Err(revert(IDatanets::UnknownRecord { contribution, record }));
    }
    Ok(())
}

fn need_contributor(storage: &mut dyn Storage, caller: Address, contribution: U256) -> Result<()> {
    let (contributor, _, _) = known(storage, contribution)?;
    if caller == contributor {
        Ok(())
    } else {
        Err(revert(IDatanets::NotContributor { caller, contributor }))
    }
}
