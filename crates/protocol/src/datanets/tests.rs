mod income;
mod policies;
mod removals;

use alloy_primitives::{B256, U256};
use openledger_types::abi::{ContributionStatus, IDatanets, Modality, Terms, Use};
use openledger_types::addresses::DATANETS;

use super::{MAX_NAME, Reveal, is_license};
use crate::tests::{OWNER, World, account, hash};

const CONTRIBUTOR: u8 = 8;

fn reveal() -> Reveal {
    Reveal { datanet: U256::ONE, records_root: hash(1), file_hash: hash(2), records: 12, salt: hash(3) }
}

fn call(reveal: &Reveal) -> IDatanets::revealCall {
    IDatanets::revealCall {
        datanet: reveal.datanet,
        recordsRoot: reveal.records_root,
        fileHash: reveal.file_hash,
        records: reveal.records,
        salt: reveal.salt,
    }
}

/// A Datanet, and a contribution that is committed.
fn committed() -> World {
    let mut world = World::new();
    world.create_datanet(Use::Allow);
    let commitment = reveal().commitment(account(CONTRIBUTOR));
    world.send(CONTRIBUTOR, DATANETS, IDatanets::commitCall { datanet: U256::ONE, commitment });
    world
}

fn revealed() -> World {
    let mut world = committed();
    world.advance(1);
    assert_eq!(world.send(CONTRIBUTOR, DATANETS, call(&reveal())), U256::ONE);
    world
}

#[test]
fn a_datanet_reads_back_as_it_was_created() {
    let mut world = World::new();
    assert_eq!(world.create_datanet(Use::Limit), U256::ONE);
    assert_eq!(world.create_datanet(Use::Deny), U256::from(2));
    let datanet = world.view(DATANETS, IDatanets::datanetCall { id: U256::ONE });
    assert_eq!((datanet.owner, datanet.createdAt, datanet.versions), (account(OWNER), 100, 0));
    assert_eq!((datanet.name.as_str(), datanet.license.as_str()), ("notes", "MIT OR Apache-2.0"));
    assert_eq!(datanet.terms, Terms { train: Use::Limit, infer: Use::Allow, crawl: Use::Deny });
    let error: IDatanets::UnknownDatanet =
        world.refused(1, DATANETS, IDatanets::datanetCall { id: U256::from(3) });
    assert_eq!(error.datanet, U256::from(3));
}

#[test]
fn names_and_licences_are_held_to_their_form() {
    let mut world = World::new();
    let create = |name: &str, license: &str| IDatanets::createCall {
        name: name.into(),
        license: license.into(),
        modality: Modality::Image,
        terms: Terms { train: Use::Allow, infer: Use::Allow, crawl: Use::Allow },
    };
    for length in [0, MAX_NAME + 1] {
        let error: IDatanets::InvalidName = world.refused(1, DATANETS, create(&"x".repeat(length), "MIT"));
        assert_eq!((error.length, error.limit), (U256::from(length), U256::from(MAX_NAME)));
    }
    let error: IDatanets::InvalidLicense = world.refused(1, DATANETS, create("notes", "Proprietary"));
    assert_eq!(error.license, "Proprietary");
    world.send(1, DATANETS, create(&"x".repeat(MAX_NAME), "MIT"));
}

#[test]
fn licence_expressions_follow_the_grammar_and_the_list() {
    for good in [
        "MIT",
        "MIT OR Apache-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR MIT",
        "Apache-2.0+",
        "GPL-2.0+",
        "((CC-BY-4.0))",
        "CDLA-Permissive-2.0",
        "Unlicense OR(MIT)",
    ] {
        assert!(is_license(good), "{good}");
    }
    for bad in [
        "",
        " ",
        "mit",
        "MIT/Apache-2.0",
        "MIT OR",
        "OR MIT",
        "MIT Apache-2.0",
        "MIT or Apache-2.0",
        "(MIT",
        "MIT)",
        "()",
        "MIT WITH",
        "MIT WITH MIT",
        "LLVM-exception",
        "AND",
        "MIT\nOR Apache-2.0",
        "LicenseRef-mine",
        "МIT",
        &"(".repeat(64),
        "MIT OR MIT OR MIT OR MIT OR MIT OR MIT OR MIT OR MIT OR MIT OR MIT",
    ] {
        assert!(!is_license(bad), "{bad}");
    }
}

#[test]
fn a_contribution_is_revealed_in_a_later_block_and_keeps_the_block_of_its_commitment() {
    let mut world = committed();
    let error: IDatanets::RevealTooEarly = world.refused(CONTRIBUTOR, DATANETS, call(&reveal()));
    assert_eq!(error.committedAt, 100);
    world.advance(5);
    world.send(CONTRIBUTOR, DATANETS, call(&reveal()));
    let contribution = world.view(DATANETS, IDatanets::contributionCall { id: U256::ONE });
    assert_eq!((contribution.contributor, contribution.committedAt), (account(CONTRIBUTOR), 100));
    assert_eq!((contribution.status, contribution.records), (ContributionStatus::Pending, 12));
    // It is opened once.
    let _: IDatanets::UnknownCommitment = world.refused(CONTRIBUTOR, DATANETS, call(&reveal()));
    let commitment = reveal().commitment(account(CONTRIBUTOR));
    assert_eq!(world.view(DATANETS, IDatanets::commitmentBlockCall { commitment }), 0);
}

#[test]
fn a_copier_cannot_reveal_what_another_committed() {
    let mut world = committed();
    world.advance(1);
    let error: IDatanets::UnknownCommitment = world.refused(9, DATANETS, call(&reveal()));
    assert_eq!(error.commitment, reveal().commitment(account(9)));
    for changed in [
        Reveal { records_root: hash(9), ..reveal() },
        Reveal { file_hash: hash(9), ..reveal() },
        Reveal { records: 13, ..reveal() },
        Reveal { salt: B256::ZERO, ..reveal() },
    ] {
        let _: IDatanets::UnknownCommitment = world.refused(CONTRIBUTOR, DATANETS, call(&changed));
    }
    let _: IDatanets::InvalidCount =
        world.refused(CONTRIBUTOR, DATANETS, call(&Reveal { records: 0, ..reveal() }));
    let _: IDatanets::UnknownDatanet =
        world.refused(CONTRIBUTOR, DATANETS, call(&Reveal { datanet: U256::from(2), ..reveal() }));
    // Whoever repeats the commitment gains nothing and takes nothing.
    let commitment = reveal().commitment(account(CONTRIBUTOR));
    let _: IDatanets::CommitmentExists =
        world.refused(9, DATANETS, IDatanets::commitCall { datanet: U256::ONE, commitment });
}

#[test]
fn only_the_owner_decides_and_only_once() {
    let mut world = revealed();
    let accept = IDatanets::acceptCall { contribution: U256::ONE };
    let reject = |reason: &str| IDatanets::rejectCall { contribution: U256::ONE, reason: reason.into() };
    let error: IDatanets::NotOwner = world.refused(9, DATANETS, accept.clone());
    assert_eq!((error.caller, error.owner), (account(9), account(OWNER)));
    let _: IDatanets::InvalidReason = world.refused(OWNER, DATANETS, reject(""));
    let _: IDatanets::InvalidReason = world.refused(OWNER, DATANETS, reject(&"x".repeat(257)));
    world.send(OWNER, DATANETS, reject("a duplicate of contribution 7"));
    let error: IDatanets::NotPending = world.refused(OWNER, DATANETS, accept);
    assert_eq!(error.status, ContributionStatus::Rejected);
    let unknown = IDatanets::acceptCall { contribution: U256::from(2) };
    let _: IDatanets::UnknownContribution = world.refused(OWNER, DATANETS, unknown);

    let mut world = revealed();
    world.send(OWNER, DATANETS, IDatanets::acceptCall { contribution: U256::ONE });
    let contribution = world.view(DATANETS, IDatanets::contributionCall { id: U256::ONE });
    assert_eq!(contribution.status, ContributionStatus::Accepted);
}

#[test]
fn versions_count_from_one_and_belong_to_the_owner() {
    let mut world = World::new();
    let datanet = world.create_datanet(Use::Allow);
    assert_eq!(world.publish_version(datanet), 1);
    world.advance(1);
    assert_eq!(world.publish_version(datanet), 2);
    let version = world.view(DATANETS, IDatanets::versionCall { datanet, number: 2 });
    assert_eq!((version.publishedAt, version.records, version.clusters), (101, 10, 8));
    assert_eq!(world.view(DATANETS, IDatanets::datanetCall { id: datanet }).versions, 2);
    let error: IDatanets::UnknownVersion =
        world.refused(1, DATANETS, IDatanets::versionCall { datanet, number: 3 });
    assert_eq!(error.version, 3);
    let publish = |records, clusters| IDatanets::publishVersionCall {
        datanet,
        manifestHash: hash(1),
        recordsRoot: hash(2),
        records,
        clusters,
    };
    let _: IDatanets::NotOwner = world.refused(9, DATANETS, publish(1, 1));
    for (records, clusters) in [(0, 0), (1, 0), (1, 2), (u32::MAX, 1)] {
        let _: IDatanets::InvalidCount = world.refused(OWNER, DATANETS, publish(records, clusters));
    }
}
