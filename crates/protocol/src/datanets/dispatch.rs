//! Selectors of [`IDatanets`].

use alloy_primitives::Bytes;
use openledger_types::abi::DatanetVersion;
use openledger_types::abi::IDatanets::{self, IDatanetsCalls as Calls};

use super::{
    Reveal, accept, commit, commitment_block, contribution, contribution_count, create, datanet,
    datanet_count, publish_version, reject, reveal, version,
};
use crate::dispatch::{decode, nothing, returns};
use crate::error::Result;
use crate::storage::{Call, Storage};

pub(crate) fn dispatch(storage: &mut dyn Storage, call: &Call, data: &[u8]) -> Result<Bytes> {
    match decode(data)? {
        Calls::create(c) => {
            call.write()?;
            let id = create(storage, call.caller, &c.name, &c.license, c.modality, &c.terms)?;
            returns::<IDatanets::createCall>(&id)
        }
        Calls::commit(c) => {
            call.write()?;
            nothing(commit(storage, call.caller, c.datanet, c.commitment)?)
        }
        Calls::reveal(c) => {
            call.write()?;
            let opened = Reveal {
                datanet: c.datanet,
                records_root: c.recordsRoot,
                file_hash: c.fileHash,
                records: c.records,
                salt: c.salt,
            };
            returns::<IDatanets::revealCall>(&reveal(storage, call.caller, &opened)?)
        }
        Calls::accept(c) => {
            call.write()?;
            nothing(accept(storage, call.caller, c.contribution)?)
        }
        Calls::reject(c) => {
            call.write()?;
            nothing(reject(storage, call.caller, c.contribution, &c.reason)?)
        }
        Calls::publishVersion(c) => {
            call.write()?;
            let version = DatanetVersion {
                manifestHash: c.manifestHash,
                recordsRoot: c.recordsRoot,
                records: c.records,
                clusters: c.clusters,
                publishedAt: storage.block().number,
            };
            let number = publish_version(storage, call.caller, c.datanet, &version)?;
            returns::<IDatanets::publishVersionCall>(&number)
        }
        Calls::datanetCount(_) => {
            call.view()?;
            returns::<IDatanets::datanetCountCall>(&datanet_count(storage)?)
        }
        Calls::contributionCount(_) => {
            call.view()?;
            returns::<IDatanets::contributionCountCall>(&contribution_count(storage)?)
        }
        Calls::datanet(c) => {
            call.view()?;
            returns::<IDatanets::datanetCall>(&datanet(storage, c.id)?)
        }
        Calls::contribution(c) => {
            call.view()?;
            returns::<IDatanets::contributionCall>(&contribution(storage, c.id)?)
        }
        Calls::version(c) => {
            call.view()?;
            returns::<IDatanets::versionCall>(&version(storage, c.datanet, c.number)?)
        }
        Calls::commitmentBlock(c) => {
            call.view()?;
            returns::<IDatanets::commitmentBlockCall>(&commitment_block(storage, c.commitment)?)
        }
    }
}
