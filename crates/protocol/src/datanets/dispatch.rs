//! Selectors of [`IDatanets`].

use alloy_primitives::Bytes;
use openledger_types::abi::DatanetVersion;
use openledger_types::abi::IDatanets::{self, IDatanetsCalls as Calls};

use super::{
    Reveal, commit, commitment_block, contribution, contribution_count, create, curation, datanet,
    datanet_count, policy, publish_version, removal, reveal, rights, terms, version,
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
            call.pay()?;
            let opened = Reveal {
                datanet: c.datanet,
                records_root: c.recordsRoot,
                file_hash: c.fileHash,
                records: c.records,
                salt: c.salt,
            };
            returns::<IDatanets::revealCall>(&reveal(storage, call.caller, call.value, &opened)?)
        }
        Calls::accept(c) => {
            call.write()?;
            nothing(policy::accept(storage, call.caller, c.contribution)?)
        }
        Calls::reject(c) => {
            call.write()?;
            nothing(policy::reject(storage, call.caller, c.contribution, &c.reason, false)?)
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
        Calls::rejectSpam(c) => {
            call.write()?;
            nothing(policy::reject(storage, call.caller, c.contribution, &c.reason, true)?)
        }
        Calls::setPolicy(c) => {
            call.write()?;
            nothing(policy::set_policy(storage, call.caller, c.datanet, &c.policy)?)
        }
        Calls::policy(c) => {
            call.view()?;
            returns::<IDatanets::policyCall>(&policy::policy(storage, c.datanet)?)
        }
        Calls::vote(c) => {
            call.write()?;
            nothing(policy::vote(storage, call.caller, c.contribution, c.ballot)?)
        }
        Calls::decide(c) => {
            call.write()?;
            nothing(policy::decide(storage, c.contribution)?)
        }
        Calls::decision(c) => {
            call.view()?;
            returns::<IDatanets::decisionCall>(&policy::decision(storage, c.contribution)?)
        }
        Calls::setTerms(c) => {
            call.write()?;
            nothing(terms::set_terms(storage, call.caller, c.contribution, &c.terms)?)
        }
        Calls::setRecordTerms(c) => {
            call.write()?;
            nothing(terms::set_record_terms(storage, call.caller, c.contribution, c.record, &c.terms)?)
        }
        Calls::termsOf(c) => {
            call.view()?;
            returns::<IDatanets::termsOfCall>(&terms::terms_of(storage, c.contribution, c.record)?)
        }
        Calls::recordTermsCount(c) => {
            call.view()?;
            returns::<IDatanets::recordTermsCountCall>(&terms::record_terms_count(storage, c.contribution)?)
        }
        Calls::withdraw(c) => {
            call.write()?;
            nothing(removal::withdraw(storage, call.caller, c.contribution)?)
        }
        Calls::takedown(c) => {
            call.pay()?;
            nothing(removal::takedown(storage, call.caller, c.contribution, call.value, &c.reason)?)
        }
        Calls::counterNotice(c) => {
            call.pay()?;
            nothing(removal::counter_notice(storage, call.caller, c.contribution, call.value, &c.statement)?)
        }
        Calls::upholdTakedown(c) => {
            call.write()?;
            nothing(removal::uphold_takedown(storage, call.caller, c.contribution)?)
        }
        Calls::resolveTakedown(c) => {
            call.write()?;
            nothing(removal::resolve_takedown(storage, c.contribution)?)
        }
        Calls::takedownOf(c) => {
            call.view()?;
            returns::<IDatanets::takedownOfCall>(&removal::takedown_of(storage, c.contribution)?)
        }
        Calls::curate(c) => {
            call.pay()?;
            nothing(curation::curate(storage, call.caller, c.datanet, call.value)?)
        }
        Calls::uncurate(c) => {
            call.write()?;
            nothing(curation::uncurate(storage, call.caller, c.datanet, c.amount)?)
        }
        Calls::withdrawCuration(c) => {
            call.write()?;
            let amount = curation::withdraw_curation(storage, call.caller, c.datanet)?;
            returns::<IDatanets::withdrawCurationCall>(&amount)
        }
        Calls::leaving(c) => {
            call.view()?;
            let (amount, until) = curation::leaving(storage, c.datanet, c.account)?;
            returns::<IDatanets::leavingCall>(&IDatanets::leavingReturn { amount, until })
        }
        Calls::slashCurator(c) => {
            call.write()?;
            let amount = policy::slash_curator(storage, c.contribution, c.curator)?;
            returns::<IDatanets::slashCuratorCall>(&amount)
        }
        Calls::claimCuration(c) => {
            call.write()?;
            let amount = curation::claim_curation(storage, call.caller, c.datanet)?;
            returns::<IDatanets::claimCurationCall>(&amount)
        }
        Calls::curation(c) => {
            call.view()?;
            returns::<IDatanets::curationCall>(&curation::curation(storage, c.datanet)?)
        }
        Calls::curator(c) => {
            call.view()?;
            let (stake, since, reward) = curation::curator(storage, c.datanet, c.account)?;
            returns::<IDatanets::curatorCall>(&IDatanets::curatorReturn { stake, since, reward })
        }
        Calls::payee(c) => {
            call.view()?;
            returns::<IDatanets::payeeCall>(&rights::payee(storage, c.contribution)?)
        }
        Calls::payeeAt(c) => {
            call.view()?;
            returns::<IDatanets::payeeAtCall>(&rights::payee_at(storage, c.contribution, c.time)?)
        }
        Calls::royaltyAccount(c) => {
            call.view()?;
            returns::<IDatanets::royaltyAccountCall>(&rights::royalty_account(c.contribution))
        }
        Calls::collect(c) => {
            call.write()?;
            returns::<IDatanets::collectCall>(&rights::collect(storage, c.contribution)?)
        }
        Calls::claimRoyalty(c) => {
            call.write()?;
            let amount = rights::claim_royalty(storage, c.contribution, c.account)?;
            returns::<IDatanets::claimRoyaltyCall>(&amount)
        }
        Calls::royalty(c) => {
            call.view()?;
            returns::<IDatanets::royaltyCall>(&rights::royalty(storage, c.contribution, c.account)?)
        }
        Calls::balanceOf(c) => {
            call.view()?;
            returns::<IDatanets::balanceOfCall>(&rights::units(storage, c.id, c.account)?)
        }
        Calls::balanceOfBatch(c) => {
            call.view()?;
            rights::same_length(c.ids.len(), c.accounts.len())?;
            let pairs = c.ids.into_iter().zip(c.accounts);
            let units: Result<Vec<_>> = pairs.map(|(id, who)| rights::units(storage, id, who)).collect();
            returns::<IDatanets::balanceOfBatchCall>(&units?)
        }
        Calls::setApprovalForAll(c) => {
            call.write()?;
            nothing(rights::set_approval_for_all(storage, call.caller, c.operator, c.approved)?)
        }
        Calls::isApprovedForAll(c) => {
            call.view()?;
            let approved = rights::is_approved_for_all(storage, c.account, c.operator)?;
            returns::<IDatanets::isApprovedForAllCall>(&approved)
        }
        Calls::safeTransferFrom(c) => {
            call.write()?;
            nothing(rights::transfer(storage, call.caller, c.from, c.to, c.id, c.value)?)
        }
        Calls::safeBatchTransferFrom(c) => {
            call.write()?;
            nothing(rights::transfer_batch(storage, call.caller, c.from, c.to, c.ids, c.values)?)
        }
        Calls::uri(c) => {
            call.view()?;
            returns::<IDatanets::uriCall>(&rights::uri(storage, c.id)?)
        }
        Calls::supportsInterface(c) => {
            call.view()?;
            returns::<IDatanets::supportsInterfaceCall>(&rights::supports_interface(c.interfaceId.0))
        }
    }
}
