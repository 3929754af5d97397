use std::fs;

use alloy_primitives::{Address, B256, hex};

use super::{CommittedRecord, ContributionFile, DatanetManifest, ManifestDraft};
use crate::{
    CorpusError,
    blob::{Blobs, content_hash},
    cluster::OrderKey,
    merkle::{record_proof, records_root, verify_record},
    record::{Provenance, Record},
};

const TEXTS: [&str; 3] = [
    "A ledger remembers who was first, and a copy that comes later is still a copy when its commas move.",
    "Every answer names the adapter that wrote it, so that whoever pays can ask where the words came from.",
    "Blocks are ordered by votes of equal seats; what the votes finalise cannot be taken back by anyone.",
];

fn record(text: &str, license: &str) -> Record {
    let source = Provenance {
        name: "notes".into(),
        version: "1".into(),
        license: license.into(),
        authors: vec!["Ada".into()],
        path: String::new(),
    };
    Record { text: text.into(), source, salt: content_hash(text.as_bytes()) }
}

fn committed(text: &str, who: u8, block: u64) -> CommittedRecord {
    let order = OrderKey { block, contribution: u64::from(who), record: 0 };
    CommittedRecord { record: record(text, "MIT"), contributor: Address::repeat_byte(who), order }
}

fn draft(records: Vec<CommittedRecord>) -> ManifestDraft {
    ManifestDraft {
        datanet: 1,
        name: "Notes".into(),
        license: "MIT".into(),
        version: 1,
        previous: None,
        against: vec![],
        records,
    }
}

fn blobs() -> (tempfile::TempDir, Blobs) {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).unwrap();
    (dir, blobs)
}

fn copied() -> String {
    TEXTS[0].to_uppercase().replace(',', " -")
}

#[test]
fn a_manifest_verifies_from_its_blobs_alone_whatever_order_the_records_came_in() {
    let (_dir, blobs) = blobs();
    let mut records = vec![
        committed(TEXTS[0], 1, 5),
        committed(&copied(), 2, 9),
        committed(TEXTS[1], 2, 7),
        committed(TEXTS[2], 3, 6),
    ];
    let manifest = draft(records.clone()).build(&blobs).unwrap();
    records.reverse();
    assert_eq!(draft(records).build(&blobs).unwrap(), manifest);
    let loaded = DatanetManifest::load(&blobs, manifest.store(&blobs).unwrap()).unwrap();
    assert_eq!(loaded, manifest);
    let texts: Vec<_> = loaded.verify(&blobs).unwrap().into_iter().map(|record| record.text).collect();
    assert_eq!(texts, [TEXTS[0], TEXTS[2], TEXTS[1], &copied()]);
    let clusters: Vec<_> = loaded.entries.iter().map(|entry| (entry.cluster, entry.canonical)).collect();
    assert_eq!(clusters, [(0, true), (1, true), (2, true), (0, false)]);
    assert_eq!(
        loaded.owner(&loaded.entries[3]),
        Address::repeat_byte(1),
        "the copy pays the original's owner"
    );
    assert_eq!(loaded.canonical_entries().count(), loaded.clusters.len());
    let founders: Vec<_> = loaded.founders(&blobs).unwrap().into_iter().map(|order| order.block).collect();
    assert_eq!(founders, [5, 6, 7], "the original's contribution and not the copy's");
}

#[test]
fn a_cluster_founded_in_another_datanet_belongs_to_its_founder_there() {
    let (_dir, blobs) = blobs();
    let first = draft(vec![committed(TEXTS[0], 1, 5)]).build(&blobs).unwrap().store(&blobs).unwrap();
    let second = ManifestDraft {
        datanet: 2,
        against: vec![first],
        ..draft(vec![committed(&copied(), 2, 9), committed(TEXTS[1], 2, 10)])
    };
    let manifest = second.build(&blobs).unwrap();
    manifest.verify(&blobs).unwrap();
    assert_eq!(manifest.owner(&manifest.entries[0]), Address::repeat_byte(1));
    assert!(manifest.entries[0].canonical, "it is still what this Datanet trains on");
    assert_eq!(manifest.clusters[0].founder, record(TEXTS[0], "MIT").hash());
    let founders: Vec<_> = manifest.founders(&blobs).unwrap().into_iter().map(|o| o.contribution).collect();
    assert_eq!(founders, [1, 2]);
    assert_eq!(manifest.owner(&manifest.entries[1]), Address::repeat_byte(2));
}

#[test]
fn every_falsified_field_is_refused_by_name() {
    let (_dir, blobs) = blobs();
    let manifest = draft(vec![committed(TEXTS[0], 1, 5), committed(&copied(), 2, 9)]).build(&blobs).unwrap();
    let check = |what: &str, falsify: &dyn Fn(&mut DatanetManifest)| {
        let mut manifest = manifest.clone();
        falsify(&mut manifest);
        let error = manifest.verify(&blobs).unwrap_err();
        assert!(
            matches!(&error, CorpusError::ManifestMismatch { what: named, .. } if named == what),
            "{what}: {error}"
        );
    };
    check("records_root", &|m| m.records_root = B256::ZERO);
    check("entries[1].record", &|m| m.entries[1].record = B256::ZERO);
    check("entries[1].cluster", &|m| m.entries[1].cluster = 1);
    check("entries[1].canonical", &|m| m.entries[1].canonical = true);
    check("clusters[0].owner", &|m| m.clusters[0].owner = Address::repeat_byte(2));
    check("number of clusters", &|m| m.clusters.push(m.clusters[0]));
    check("entries[0].record", &|m| m.entries.swap(0, 1));
    check("clusters[0].founder", &|m| {
        m.entries[0].order.block = 5;
        m.clusters[0].founder = m.entries[1].record;
    });
}

#[test]
fn a_missing_or_damaged_record_is_refused() {
    let (_dir, blobs) = blobs();
    let manifest = draft(vec![committed(TEXTS[0], 1, 5)]).build(&blobs).unwrap();
    let path = blobs.path(manifest.entries[0].blob);
    fs::write(&path, b"damaged").unwrap();
    assert!(matches!(manifest.verify(&blobs), Err(CorpusError::BlobCorrupt { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(manifest.verify(&blobs), Err(CorpusError::BlobMissing { .. })));
}

#[test]
fn records_stricter_than_the_datanet_and_records_twice_are_refused() {
    let (_dir, blobs) = blobs();
    let mut strict = committed(TEXTS[0], 1, 5);
    strict.record = record(TEXTS[0], "GPL-3.0-only");
    assert!(matches!(draft(vec![strict.clone()]).build(&blobs), Err(CorpusError::LicenseNotAllowed { .. })));
    let copyleft =
        ManifestDraft { license: "GPL-3.0-only".into(), ..draft(vec![strict, committed(TEXTS[1], 1, 6)]) };
    copyleft.build(&blobs).unwrap();
    let twice = vec![committed(TEXTS[0], 1, 5), committed(TEXTS[0], 1, 6)];
    assert!(matches!(draft(twice).build(&blobs), Err(CorpusError::DuplicateRecord { .. })));
    let same_place = vec![committed(TEXTS[0], 1, 5), committed(TEXTS[1], 1, 5)];
    assert!(matches!(draft(same_place).build(&blobs), Err(CorpusError::DuplicateOrder { .. })));
}

#[test]
fn only_the_canonical_encoding_is_read() {
    let (_dir, blobs) = blobs();
    let hash = draft(vec![committed(TEXTS[0], 1, 5)]).build(&blobs).unwrap().store(&blobs).unwrap();
    let text = String::from_utf8(blobs.get(hash, 10_000).unwrap()).unwrap();
    for changed in [
        text.replacen(':', ": ", 1),
        format!("{text}\n"),
        text.replace("\"datanet\":1", "\"datanet\":1.0"),
        text.replace("datanet/1", "datanet/2"),
        text[..40].to_owned(),
    ] {
        let hash = blobs.put(changed.as_bytes()).unwrap();
        assert!(
            matches!(DatanetManifest::load(&blobs, hash), Err(CorpusError::Malformed { .. })),
            "{changed}"
        );
    }
}

#[test]
fn the_hashes_of_a_known_manifest_and_contribution_do_not_change() {
    let (_dir, blobs) = blobs();
    let manifest = draft(vec![committed(TEXTS[0], 1, 5), committed(TEXTS[1], 2, 6)]).build(&blobs).unwrap();
    let file = ContributionFile::new(1, Address::repeat_byte(1), vec![record(TEXTS[0], "MIT")]).unwrap();
    let hashes = [
        manifest.records_root,
        manifest.store(&blobs).unwrap(),
        file.records_root(),
        file.store(&blobs).unwrap(),
    ];
    assert_eq!(
        hashes.map(hex::encode),
        [
            "cd022a2ef5c54c9f5f01f73c459a24fa8af6f6d049371e1471446c4d81cee4ca",
            "2c98513687c796f805f2ac13240ca24a57b7ade7539c1af500f691ad0284d507",
            "0763d27d0bc523ab95b49a6ce54c959b0c15e4e564b2805dabb53b903491afa0",
            "58b7130ad5b3e172544fe56b1bec4550a595bf9e3f38f5b93503b656d54885da",
        ]
    );
}

#[test]
fn a_contribution_is_read_back_with_the_root_it_was_committed_with() {
    let (_dir, blobs) = blobs();
    let records: Vec<_> = TEXTS.iter().map(|text| record(text, "MIT")).collect();
    let file = ContributionFile::new(7, Address::repeat_byte(1), records.clone()).unwrap();
    let loaded = ContributionFile::load(&blobs, file.store(&blobs).unwrap()).unwrap();
    assert_eq!(loaded, file);
    assert!(records.iter().all(|record| blobs.exists(content_hash(&record.encode()))));
    let hashes = loaded.record_hashes();
    let proof = record_proof(&hashes, hashes[1]).unwrap();
    assert!(verify_record(loaded.records_root(), hashes[1], &proof));
    assert!(!verify_record(loaded.records_root(), B256::ZERO, &proof));
    assert!(record_proof(&hashes, B256::ZERO).is_none());
    assert_eq!(records_root(&[hashes[2], hashes[0], hashes[1]]), loaded.records_root());
    let twice = vec![records[0].clone(), records[0].clone()];
    assert!(matches!(
        ContributionFile::new(7, Address::ZERO, twice),
        Err(CorpusError::DuplicateRecord { .. })
    ));
    assert!(matches!(ContributionFile::new(7, Address::ZERO, vec![]), Err(CorpusError::EmptyText)));
}
