//! Contributions and training: who was first, and what was promised before the seed was known.

use alloy_primitives::{B256, U256};
use openledger_types::abi::{DatanetRef, IDatanets, IModels, Use};
use openledger_types::addresses::{DATANETS, MODELS};

use super::super::{DEVELOPER, open, publish, typed};
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
