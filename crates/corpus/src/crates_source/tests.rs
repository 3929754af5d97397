use std::{collections::BTreeSet, fs, path::Path};

use alloy_primitives::B256;

use super::{SurveyOptions, lock_packages, registry_sources, survey};
use crate::CorpusError;

const VERBS: [&str; 6] = ["parses", "returns", "stores", "checks", "copies", "shares"];
const NOUNS: [&str; 7] = ["buffer", "stream", "value", "handle", "parser", "window", "thread"];

/// A readable paragraph, different for each `seed`.
fn paragraph(seed: usize) -> String {
    let sentence = |n: usize| {
        let (verb, noun) = (VERBS[(seed + n) % 6], NOUNS[(seed * 3 + n) % 7]);
        let other = NOUNS[(seed / 5 + n * 2 + 1) % 7];
        let tag = ["alpha", "gamma", "delta", "omega"][(seed + n / 2) % 4].repeat(1 + seed % 3);
        format!(
            "The {noun} of the {tag} {verb} a {other} for you when it is not in the {noun} that was {verb} by an {tag}."
        )
    };
    (0..5).map(sentence).collect::<Vec<_>>().join(" ")
}

fn write_crate(root: &Path, name: &str, version: &str, package: &str, paragraphs: std::ops::Range<usize>) {
    let folder = root.join(format!("{name}-{version}"));
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(
        folder.join("Cargo.toml"),
        format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n{package}\n"),
    )
    .unwrap();
    let readme: Vec<_> = paragraphs.clone().map(paragraph).collect();
    fs::write(
        folder.join("README.md"),
        format!("# {name}\n\n{}\n\n# License\n\n{}", readme.join("\n\n"), paragraph(900)),
    )
    .unwrap();
    fs::write(folder.join("src/lib.rs"), format!("//! {}\n", paragraph(paragraphs.start))).unwrap();
}

fn sources() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("registry/src/index");
    let mit = "license = \"MIT\"";
    write_crate(&root, "one", "1.0.0", &format!("{mit}\nauthors = [\"Ada  Lovelace <ada@x.org>\"]"), 0..4);
    write_crate(&root, "one", "0.9.0", &format!("{mit}\nauthors = [\"Ada Lovelace\"]"), 0..4);
    write_crate(&root, "two", "1.0.0", &format!("{mit}\nauthors = [\"Countess <ada@x.org>\"]"), 10..13);
    write_crate(&root, "three", "1.0.0", &format!("{mit}\nrepository = \"https://host/Org/three\""), 20..23);
    write_crate(&root, "four", "1.0.0", &format!("{mit}\nauthors = [\"Bob\", \"ada lovelace\"]"), 30..33);
    write_crate(&root, "five", "1.0.0", "license = \"GPL-3.0-only\"\nauthors = [\"Eve\"]", 40..44);
    write_crate(&root, "six", "1.0.0", "license-file = \"LICENSE\"\nauthors = [\"Mallory\"]", 50..54);
    fs::create_dir_all(root.join("broken-1.0.0")).unwrap();
    fs::write(root.join("broken-1.0.0/Cargo.toml"), "[package\n\0").unwrap();
    home
}

fn options(home: &Path, contributors: usize) -> SurveyOptions {
    SurveyOptions {
        roots: registry_sources(home).unwrap(),
        only: None,
        contributors,
        crates_each: 4,
        min_records_each: 1,
        records_each: 3,
        stock_each: 0,
        secret: B256::repeat_byte(5),
    }
}

#[test]
fn contributors_share_no_name_address_or_owner_and_licences_are_accepted() {
    let home = sources();
    let found = survey(&options(home.path(), 2)).unwrap();
    let names: Vec<_> = found.iter().map(|contributor| contributor.name.as_str()).collect();
    assert_eq!(names, ["Ada Lovelace", "org"], "Countess and Bob share an address or a name with Ada");
    assert_eq!(found[0].key_label, "ada-lovelace");
    assert_eq!(found[0].crates[0].version, "1.0.0");
    let error = survey(&options(home.path(), 3)).unwrap_err();
    assert!(matches!(error, CorpusError::TooFewContributors { got: 2, expected: 3 }));
}

#[test]
fn records_are_bounded_readable_and_without_addresses_or_boilerplate() {
    let home = sources();
    for contributor in survey(&options(home.path(), 2)).unwrap() {
        assert!((1..=3).contains(&contributor.records.len()));
        for record in &contributor.records {
            assert!((350..=800).contains(&record.text.len()));
            assert!(!record.text.contains(&paragraph(900)[..60]), "the licence section is left out");
            assert!(record.source.authors.iter().all(|author| !author.contains('@')));
        }
    }
}

#[test]
fn the_same_folders_give_the_same_hashes_and_the_lock_restricts_them() {
    let home = sources();
    let hashes = |options: &SurveyOptions| -> Vec<B256> {
        survey(options)
            .unwrap()
            .iter()
            .flat_map(|c| c.records.iter().map(crate::record::Record::hash))
            .collect()
    };
    assert_eq!(hashes(&options(home.path(), 2)), hashes(&options(home.path(), 2)));
    let only = Some(BTreeSet::from([("three".to_owned(), "1.0.0".to_owned())]));
    let found = survey(&SurveyOptions { only, ..options(home.path(), 1) }).unwrap();
    assert_eq!(found[0].name, "org");
}

#[test]
fn a_lock_file_names_its_registry_packages() {
    let lock = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry+index\"\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n";
    assert_eq!(lock_packages(lock).unwrap(), BTreeSet::from([("a".to_owned(), "1.0.0".to_owned())]));
    assert!(matches!(lock_packages("x = "), Err(CorpusError::Malformed { .. })));
    assert!(matches!(lock_packages("x = 1"), Err(CorpusError::Malformed { .. })));
}

#[test]
fn a_home_without_downloads_has_no_sources() {
    let empty = tempfile::tempdir().unwrap();
    assert!(registry_sources(empty.path()).unwrap().is_empty());
}
