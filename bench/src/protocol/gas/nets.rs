//! Gas of policies, rights, curation, removal and tokens of Datanets and adapters.

use alloy_primitives::{Address, U256};
use anyhow::Result;
use openledger_protocol::datanets::Reveal;
use openledger_types::abi::{Acceptance, Ballot, DatanetRef, IDatanets, IModels, Policy, Terms, Use};
use openledger_types::addresses::{DATANETS, MODELS};

use super::Meter;
use crate::protocol::chain::{Chain, DEVELOPER, account, hash, open};

const CURATOR: u8 = 8;
pub(super) const AUTHOR: u8 = 6;

/// The two calls that contribute ten records of the author to Datanet 1.
pub(super) fn contribution(salt: u64) -> (IDatanets::commitCall, IDatanets::revealCall) {
    let reveal = Reveal {
        datanet: U256::ONE,
        records_root: hash(20),
        file_hash: hash(21),
        records: 10,
        salt: hash(salt),
    };
    let commitment = reveal.commitment(account(AUTHOR));
    let Reveal { datanet, records_root, file_hash, records, salt } = reveal;
    (
        IDatanets::commitCall { datanet, commitment },
        IDatanets::revealCall { datanet, recordsRoot: records_root, fileHash: file_hash, records, salt },
    )
}

/// Contributes with this bond; returns the contribution's number.
fn contribute(meter: &mut Meter, salt: u64, bond: U256) -> Result<U256> {
    let (commit, reveal) = contribution(salt);
    let chain = &mut meter.chain;
    chain.send(account(AUTHOR), DATANETS, U256::ZERO, &commit)?;
    chain.send(account(AUTHOR), DATANETS, bond, &reveal)?;
    count(chain)
}

fn set_policy(meter: &mut Meter, acceptance: Acceptance) -> Result<()> {
    let policy = Policy { acceptance, bond: open(1), period: 86_400 };
    let call = IDatanets::setPolicyCall { datanet: U256::ONE, policy };
    meter.op("datanets_setPolicy", DEVELOPER, DATANETS, U256::ZERO, call)
}

fn count(chain: &Chain) -> Result<U256> {
    super::view(chain, DATANETS, &IDatanets::contributionCountCall {})
}

pub(super) fn datanets(meter: &mut Meter) -> Result<()> {
    let (zero, datanet) = (U256::ZERO, U256::ONE);
    for _ in 0..2 {
        meter.op("datanets_curate", CURATOR, DATANETS, open(100), IDatanets::curateCall { datanet })?;
    }
    set_policy(meter, Acceptance::Curators)?;
    // A curator's stake counts over what is revealed after its second.
    meter.chain.pass(2);
    let contribution = contribute(meter, 50, open(1))?;
    let vote = IDatanets::voteCall { contribution, ballot: Ballot::Accept };
    meter.op("datanets_vote", CURATOR, DATANETS, zero, vote)?;
    meter.op("datanets_decide", 9, DATANETS, zero, IDatanets::decideCall { contribution })?;
    set_policy(meter, Acceptance::Owner)?;
    let spam = contribute(meter, 51, open(1))?;
    let reject = IDatanets::rejectSpamCall { contribution: spam, reason: "spam".into() };
    meter.op("datanets_rejectSpam", DEVELOPER, DATANETS, zero, reject)?;
    let terms = Terms { train: Use::Allow, infer: Use::Limit, crawl: Use::Deny };
    let call = IDatanets::setTermsCall { contribution, terms: terms.clone() };
    meter.op("datanets_setTerms", AUTHOR, DATANETS, zero, call)?;
    let call = IDatanets::setRecordTermsCall { contribution, record: 3, terms };
    meter.op("datanets_setRecordTerms", AUTHOR, DATANETS, zero, call)?;
    rights(meter, contribution)?;
    let claim = IDatanets::claimCurationCall { datanet };
    meter.op("datanets_claimCuration", CURATOR, DATANETS, zero, claim)?;
    removal(meter, contribution)?;
    let call = IDatanets::slashCuratorCall { contribution, curator: account(CURATOR) };
    meter.op("datanets_slashCurator", 9, DATANETS, zero, call)?;
    let call = IDatanets::uncurateCall { datanet, amount: open(1) };
    meter.op("datanets_uncurate", CURATOR, DATANETS, zero, call)?;
    meter.chain.jump(openledger_protocol::datanets::curation::LEAVING_SECONDS);
    let call = IDatanets::withdrawCurationCall { datanet };
    meter.op("datanets_withdrawCuration", CURATOR, DATANETS, zero, call)
}

fn rights(meter: &mut Meter, id: U256) -> Result<()> {
    let (zero, from, to) = (U256::ZERO, account(AUTHOR), account(7));
    let approve = IDatanets::setApprovalForAllCall { operator: account(9), approved: true };
    meter.op("datanets_setApprovalForAll", AUTHOR, DATANETS, zero, approve)?;
    for _ in 0..2 {
        let value = U256::from(1_000);
        let call = IDatanets::safeTransferFromCall { from, to, id, value, data: Default::default() };
        meter.op("datanets_safeTransferFrom", 9, DATANETS, zero, call)?;
        let call = IDatanets::safeBatchTransferFromCall {
            from,
            to,
            ids: vec![id],
            values: vec![value],
            data: Default::default(),
        };
        meter.op("datanets_safeBatchTransferFrom", AUTHOR, DATANETS, zero, call)?;
        let royalty =
            super::view(&meter.chain, DATANETS, &IDatanets::royaltyAccountCall { contribution: id })?;
        pay(meter, royalty)?;
        meter.op("datanets_collect", 9, DATANETS, zero, IDatanets::collectCall { contribution: id })?;
        meter.chain.pass(5);
        let claim = IDatanets::claimRoyaltyCall { contribution: id, account: from };
        meter.op("datanets_claimRoyalty", 9, DATANETS, zero, claim)?;
    }
    Ok(())
}

/// What a settled batch pays onto a royalty account.
fn pay(meter: &mut Meter, to: Address) -> Result<()> {
    let call = openledger_types::abi::IOpen::transferCall { to, value: open(3) };
    meter.chain.send(account(9), openledger_types::addresses::OPEN, U256::ZERO, &call)?;
    Ok(())
}

/// Withdrawal, and claims: one is countered; of what curators voted in, and of another, none is.
fn removal(meter: &mut Meter, voted_in: U256) -> Result<()> {
    let zero = U256::ZERO;
    let mut accepted = Vec::new();
    for salt in 60..63 {
        let contribution = contribute(meter, salt, open(1))?;
        let accept = IDatanets::acceptCall { contribution };
        meter.chain.send(account(DEVELOPER), DATANETS, zero, &accept)?;
        accepted.push(contribution);
    }
    accepted.push(voted_in);
    let withdraw = IDatanets::withdrawCall { contribution: accepted[0] };
    meter.op("datanets_withdraw", AUTHOR, DATANETS, zero, withdraw)?;
    for contribution in accepted.iter().skip(1) {
        let call = IDatanets::takedownCall { contribution: *contribution, reason: "not theirs".into() };
        meter.op("datanets_takedown", 9, DATANETS, open(10), call)?;
    }
    let call = IDatanets::counterNoticeCall { contribution: accepted[1], statement: "it is".into() };
    meter.op("datanets_counterNotice", AUTHOR, DATANETS, open(10), call)?;
    // Fourteen days and a second.
    meter.chain.jump(14 * 86_400 + 1);
    for (name, contribution) in [
        ("datanets_resolveTakedown_stays", accepted[1]),
        ("datanets_resolveTakedown_goes", voted_in),
        ("datanets_resolveTakedown_goes", accepted[2]),
    ] {
        meter.op(name, 9, DATANETS, zero, IDatanets::resolveTakedownCall { contribution })?;
    }
    Ok(())
}

pub(super) fn models(meter: &mut Meter) -> Result<()> {
    let (zero, parent) = (U256::ZERO, U256::ONE);
    let call = IModels::setRoyaltyCall { adapter: parent, ppm: 100_000 };
    meter.op("models_setRoyalty", DEVELOPER, MODELS, zero, call)?;
    let commit = IModels::commitTrainingCall { manifestHash: hash(70) };
    meter.chain.send(account(DEVELOPER), MODELS, zero, &commit)?;
    let call = IModels::publishDerivedCall {
        parent,
        sharePpm: 100_000,
        manifestHash: hash(70),
        adapterHash: hash(71),
        transcriptHash: hash(72),
        datanets: vec![DatanetRef { datanet: U256::ONE, version: 1 }],
        inputPrice: U256::ONE,
        outputPrice: U256::ONE,
    };
    meter.op("models_publishDerived", DEVELOPER, MODELS, open(1), call)?;
    let (from, to) = (account(DEVELOPER), account(9));
    let token = super::view(&meter.chain, MODELS, &IModels::adapterCountCall {})?;
    meter.op("models_approve", DEVELOPER, MODELS, zero, IModels::approveCall { to, tokenId: token })?;
    let call = IModels::transferFromCall { from, to, tokenId: token };
    meter.op("models_transferFrom", 9, MODELS, zero, call)?;
    let call = IModels::setApprovalForAllCall { operator: from, approved: true };
    meter.op("models_setApprovalForAll", 9, MODELS, zero, call)?;
    let call = IModels::safeTransferFrom_0Call { from: to, to: from, tokenId: token };
    meter.op("models_safeTransferFrom", DEVELOPER, MODELS, zero, call)
}
