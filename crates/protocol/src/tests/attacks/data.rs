//! Contributions and training: who was first, and what was promised before the seed was known.

use alloy_primitives::{B256, U256};
use openledger_types::abi::{Acceptance, DatanetRef, IDatanets, IModels, Policy, Use};
use openledger_types::addresses::{DATANETS, MODELS};

use super::super::{DEVELOPER, OWNER, open, publish, typed};
use super::{World, account, hash};
use crate::datanets::Reveal;

const AUTHOR: u8 = 7;
const COPIER: u8 = 8;

fn work(datanet: U256) -> Reveal {
    Reveal { datanet, records_root: hash(0x51), file_hash: hash(0x52), records: 3, salt: hash(0x53) }
}

fn commit(world: &mut World, from: u8, datanet: U256, commitment: B256) {
    world.send(from, DATANETS, IDatanets::commitCall { datanet, commitment });
}

fn reveal(reveal: &Reveal) -> IDatanets::revealCall {
    let Reveal { datanet, records_root, file_hash, records, salt } = *reveal;
    IDatanets::revealCall { datanet, recordsRoot: records_root, fileHash: file_hash, records, salt }
}

#[test]
fn d04_who_copies_into_another_datanet_is_later_by_the_block_of_the_commitment() {
    let mut world = World::new();
    let [home, other] = [(); 2].map(|()| world.create_datanet(Use::Allow));
    let original = work(home);
    commit(&mut world, AUTHOR, home, original.commitment(account(AUTHOR)));
    world.advance(5);
    // The copier is quick and reveals first, in another Datanet.
    let copy = work(other);
    commit(&mut world, COPIER, other, copy.commitment(account(COPIER)));
    world.advance(1);
    let copied = world.send(COPIER, DATANETS, reveal(&copy));
    world.advance(100);
    let written = world.send(AUTHOR, DATANETS, reveal(&original));
    let [written, copied] =
        [written, copied].map(|id| world.view(DATANETS, IDatanets::contributionCall { id }));
    assert_eq!(written.recordsRoot, copied.recordsRoot);
    assert!(written.committedAt < copied.committedAt);
}

#[test]
fn d05_a_commitment_seen_in_the_mempool_is_worth_nothing_to_another() {
    let mut world = World::new();
    let datanet = world.create_datanet(Use::Allow);
    let original = work(datanet);
    // The copier sends the author's commitment first: it is still the author's.
    commit(&mut world, COPIER, datanet, original.commitment(account(AUTHOR)));
    let _: IDatanets::CommitmentExists = world.refused(
        AUTHOR,
        DATANETS,
        IDatanets::commitCall { datanet, commitment: original.commitment(account(AUTHOR)) },
    );
    world.advance(1);
    let _: IDatanets::UnknownCommitment = world.refused(COPIER, DATANETS, reveal(&original));
    // The copier sees the reveal, but what it would commit now is of a later block than the reveal needs.
    commit(&mut world, COPIER, datanet, original.commitment(account(COPIER)));
    let _: IDatanets::RevealTooEarly = world.refused(COPIER, DATANETS, reveal(&original));
    let id = world.send(AUTHOR, DATANETS, reveal(&original));
    let read = world.view(DATANETS, IDatanets::contributionCall { id });
    assert_eq!(read.contributor, account(AUTHOR));
}

#[test]
fn d11_an_adapter_is_published_from_the_manifest_that_was_committed_before_its_seed() {
    let mut world = World::new();
    let datanet = world.create_datanet(Use::Allow);
    let version = world.publish_version(datanet);
    let base = world.send(
        DEVELOPER,
        MODELS,
        IModels::registerBaseCall { name: "tiny".into(), license: "MIT".into(), fileHash: hash(3) },
    );
    let sets = vec![DatanetRef { datanet, version }];
    world.send(DEVELOPER, MODELS, IModels::commitTrainingCall { manifestHash: hash(4) });
    // Not in the block whose hash gives the seed, not with another manifest, not by another.
    let call = publish(base, hash(4), hash(5), sets.clone());
    let refused = |world: &mut World, from, call| world.try_pay(from, MODELS, open(1), call).unwrap_err();
    let _: IModels::TrainingNotCommitted = typed(&refused(&mut world, DEVELOPER, call.clone()));
    world.advance(1);
    let swapped = publish(base, hash(0x44), hash(5), sets);
    let _: IModels::TrainingNotCommitted = typed(&refused(&mut world, DEVELOPER, swapped));
    let _: IModels::NotDeveloper = typed(&refused(&mut world, COPIER, call.clone()));
    let _: IModels::TrainingExists =
        world.refused(COPIER, MODELS, IModels::commitTrainingCall { manifestHash: hash(4) });
    world.pay(DEVELOPER, MODELS, open(1), call);
}

#[test]
fn d02_every_duplicate_pays_its_own_bond_and_none_is_older_than_the_first() {
    let mut world = World::new();
    let datanet = world.create_datanet(Use::Allow);
    let policy = Policy { acceptance: Acceptance::Owner, bond: open(2), period: 86_400 };
    world.send(OWNER, DATANETS, IDatanets::setPolicyCall { datanet, policy });
    let copies = 7;
    let before = world.balance(account(COPIER));
    let mut blocks = Vec::new();
    for copy in 0..copies {
        // The same records under another salt; with the same one it is no second commitment.
        let duplicate = Reveal { salt: hash(0x60 + copy), ..work(datanet) };
        let commitment = duplicate.commitment(account(COPIER));
        commit(&mut world, COPIER, datanet, commitment);
        let _: IDatanets::CommitmentExists =
            world.refused(COPIER, DATANETS, IDatanets::commitCall { datanet, commitment });
        world.advance(1);
        let id = world.pay(COPIER, DATANETS, open(2), reveal(&duplicate));
        blocks.push(world.view(DATANETS, IDatanets::contributionCall { id }).committedAt);
        let reason = "a duplicate".to_owned();
        world.send(OWNER, DATANETS, IDatanets::rejectSpamCall { contribution: id, reason });
    }
    assert_eq!(before - world.balance(account(COPIER)), open(2) * U256::from(copies));
    assert!(blocks.is_sorted_by(|first, later| first < later), "{blocks:?}");
}

#[test]
fn d38_neither_slots_nor_logs_say_what_a_commitment_is_to_before_it_is_revealed() {
    let seen = |salt: B256| {
        let mut world = World::new();
        let datanet = world.create_datanet(Use::Allow);
        let work = Reveal { salt, ..work(datanet) };
        commit(&mut world, AUTHOR, datanet, work.commitment(account(AUTHOR)));
        let hashes = [work.records_root, work.file_hash].map(|hash| hash.to_vec());
        let mut words: Vec<Vec<u8>> =
            world.storage.slots.values().map(|word| word.to_be_bytes_vec()).collect();
        for (_, log) in &world.storage.logs {
            words.extend(log.topics().iter().map(|topic| topic.to_vec()));
            words.push(log.data.to_vec());
        }
        assert!(!words.iter().any(|word| hashes.iter().any(|hash| word == hash)));
        work.commitment(account(AUTHOR))
    };
    // Who guesses the records has to guess the salt as well: the same records are another commitment with another one.
    assert_ne!(seen(hash(0x53)), seen(hash(0x54)));
}

#[test]
fn d48_a_later_version_leaves_what_receipts_name_as_it_was() {
    let mut world = World::new();
    let datanet = world.create_datanet(Use::Allow);
    let number = world.publish_version(datanet);
    let read = |world: &mut World| world.view(DATANETS, IDatanets::versionCall { datanet, number });
    let before = read(&mut world);
    world.advance(9);
    let next = IDatanets::publishVersionCall {
        datanet,
        manifestHash: hash(0x71),
        recordsRoot: hash(0x72),
        records: 11,
        clusters: 9,
    };
    assert_eq!(world.send(OWNER, DATANETS, next), number + 1);
    assert_eq!(read(&mut world), before);
}
