//! Selectors of [`IModels`].

use alloy_primitives::Bytes;
use openledger_types::abi::IModels::{self, IModelsCalls as Calls};

use super::{
    NewAdapter, adapter, adapter_by_hash, adapter_count, base, base_by_hash, base_count, commit_training,
    publish_adapter, register_base, retire, set_price, training,
};
use crate::dispatch::{decode, nothing, returns};
use crate::error::Result;
use crate::storage::{Call, Storage};

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
            call.write()?;
            let new = NewAdapter {
                base: c.base,
                manifest_hash: c.manifestHash,
                adapter_hash: c.adapterHash,
                transcript_hash: c.transcriptHash,
                datanets: c.datanets,
                input_price: c.inputPrice,
                output_price: c.outputPrice,
            };
            returns::<IModels::publishAdapterCall>(&publish_adapter(storage, call.caller, &new)?)
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
