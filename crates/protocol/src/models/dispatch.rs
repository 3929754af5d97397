//! Selectors of [`IModels`].

use alloy_primitives::Bytes;
use openledger_types::abi::IModels::{self, IModelsCalls as Calls};

use super::{
    NewAdapter, Parent, adapter, adapter_by_hash, adapter_count, base, base_by_hash, base_count,
    commit_training, lineage, publish_adapter, register_base, retire, set_price, token, training,
};
use crate::dispatch::{decode, nothing, returns};
use crate::error::Result;
use crate::storage::{Call, Storage};

/// The adapter that a call publishes on top of a parent.
macro_rules! new_adapter {
    ($call:ident, $parent:expr) => {
        NewAdapter {
            parent: $parent,
            manifest_hash: $call.manifestHash,
            adapter_hash: $call.adapterHash,
            transcript_hash: $call.transcriptHash,
            datanets: $call.datanets,
            input_price: $call.inputPrice,
            output_price: $call.outputPrice,
        }
    };
}

pub(crate) fn dispatch(storage: &mut dyn Storage, call: &Call, data: &[u8]) -> Result<Bytes> {
    match decode(data)? {
        Calls::registerBase(c) => {
            call.write()?;
            let id = register_base(storage, call.caller, &c.name, &c.license, c.fileHash)?;
            returns::<IModels::registerBaseCall>(&id)
        }
        Calls::commitTraining(c) => {
            call.write()?;
            nothing(commit_training(storage, call.caller, c.manifestHash)?)
        }
        Calls::publishAdapter(c) => {
            call.pay()?;
            let new = new_adapter!(c, Parent::Base(c.base));
            let adapter = publish_adapter(storage, call.caller, call.value, &new)?;
            returns::<IModels::publishAdapterCall>(&adapter)
        }
        Calls::publishDerived(c) => {
            call.pay()?;
            let new = new_adapter!(c, Parent::Adapter(c.parent, c.sharePpm));
            let adapter = publish_adapter(storage, call.caller, call.value, &new)?;
            returns::<IModels::publishDerivedCall>(&adapter)
        }
        Calls::setRoyalty(c) => {
            call.write()?;
            nothing(lineage::set_royalty(storage, call.caller, c.adapter, c.ppm)?)
        }
        Calls::lineage(c) => {
            call.view()?;
            returns::<IModels::lineageCall>(&lineage::lineage(storage, c.adapter)?)
        }
        Calls::incomeAt(c) => {
            call.view()?;
            let (accounts, parts) = lineage::income_at(storage, c.adapter, c.time)?.into_iter().unzip();
            returns::<IModels::incomeAtCall>(&IModels::incomeAtReturn { accounts, parts })
        }
        Calls::name(_) => {
            call.view()?;
            returns::<IModels::nameCall>(&"OpenLedger Adapters".to_owned())
        }
        Calls::symbol(_) => {
            call.view()?;
            returns::<IModels::symbolCall>(&"OLA".to_owned())
        }
        Calls::tokenURI(c) => {
            call.view()?;
            returns::<IModels::tokenURICall>(&token::token_uri(storage, c.tokenId)?)
        }
        Calls::balanceOf(c) => {
            call.view()?;
            returns::<IModels::balanceOfCall>(&token::balance_of(storage, c.owner)?)
        }
        Calls::ownerOf(c) => {
            call.view()?;
            returns::<IModels::ownerOfCall>(&token::owner_of(storage, c.tokenId)?)
        }
        Calls::approve(c) => {
            call.write()?;
            nothing(token::approve(storage, call.caller, c.to, c.tokenId)?)
        }
        Calls::getApproved(c) => {
            call.view()?;
            returns::<IModels::getApprovedCall>(&token::approved(storage, c.tokenId)?)
        }
        Calls::setApprovalForAll(c) => {
            call.write()?;
            nothing(token::set_approval_for_all(storage, call.caller, c.operator, c.approved)?)
        }
        Calls::isApprovedForAll(c) => {
            call.view()?;
            let approved = token::is_approved_for_all(storage, c.owner, c.operator)?;
            returns::<IModels::isApprovedForAllCall>(&approved)
        }
        Calls::transferFrom(c) => {
            call.write()?;
            nothing(token::transfer(storage, call.caller, c.from, c.to, c.tokenId)?)
        }
        Calls::safeTransferFrom_0(c) => {
            call.write()?;
            nothing(token::transfer(storage, call.caller, c.from, c.to, c.tokenId)?)
        }
        Calls::safeTransferFrom_1(c) => {
            call.write()?;
            nothing(token::transfer(storage, call.caller, c.from, c.to, c.tokenId)?)
        }
        Calls::supportsInterface(c) => {
            call.view()?;
            returns::<IModels::supportsInterfaceCall>(&token::supports_interface(c.interfaceId.0))
        }
        Calls::setPrice(c) => {
            call.write()?;
            nothing(set_price(storage, call.caller, c.adapter, c.inputPrice, c.outputPrice)?)
        }
        Calls::retire(c) => {
            call.write()?;
            nothing(retire(storage, call.caller, c.adapter)?)
        }
        Calls::baseCount(_) => {
            call.view()?;
            returns::<IModels::baseCountCall>(&base_count(storage)?)
        }
        Calls::adapterCount(_) => {
            call.view()?;
            returns::<IModels::adapterCountCall>(&adapter_count(storage)?)
        }
        Calls::base(c) => {
            call.view()?;
            returns::<IModels::baseCall>(&base(storage, c.id)?)
        }
        Calls::adapter(c) => {
            call.view()?;
            returns::<IModels::adapterCall>(&adapter(storage, c.id)?)
        }
        Calls::adapterByHash(c) => {
            call.view()?;
            returns::<IModels::adapterByHashCall>(&adapter_by_hash(storage, c.adapterHash)?)
        }
        Calls::baseByHash(c) => {
            call.view()?;
            returns::<IModels::baseByHashCall>(&base_by_hash(storage, c.fileHash)?)
        }
        Calls::training(c) => {
            call.view()?;
            let (developer, committed_at) = training(storage, c.manifestHash)?;
            returns::<IModels::trainingCall>(&IModels::trainingReturn {
                developer,
                committedAt: committed_at,
            })
        }
    }
}
