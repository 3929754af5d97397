//! Prose from the crates that cargo downloaded: READMEs and documentation comments, by author.
//!
//! Every machine that built this program has such crates, written by many people under stated licences, about one subject: Rust libraries.
//! [`survey`] reads them, keeps readable prose only, and picks contributors that share no author, no e-mail address and no repository
//! owner.
//!
//! # Choice
//! A crate belongs to the first of its `authors`, or without authors to the owner of its repository. Its *identities* are the names and addresses of all its authors and that
//! owner. Contributors are chosen one after another: whoever has the most good records, counted up to the limits and
//! then beyond them, from crates that share no identity with those chosen before. Equal claims are settled by name. The choice is a function of
//! the files alone; with [`SurveyOptions::only`] set from the lock file, of that file's packages.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use alloy_primitives::B256;

use crate::{
    cluster::{ClusterItem, OrderKey, cluster},
    error::{CorpusError, IoContext, Result},
    record::{Record, RecordLimits, derive_salt},
};

mod package;
mod passages;

use package::Package;
use passages::{Passage, Passages};

/// Files above this size are generated, not written.
const MAX_FILE: u64 = 2 * 1024 * 1024;
/// More crates than any machine has.
const MAX_CRATES: usize = 50_000;

/// What to look for.
#[derive(Debug, Clone)]
pub struct SurveyOptions {
    /// Folders that hold one folder per crate (`registry_sources`).
    pub roots: Vec<PathBuf>,
    /// Only these packages, by name and version; those of [`lock_packages`], usually.
    pub only: Option<BTreeSet<(String, String)>>,
    /// How many contributors.
    pub contributors: usize,
    /// The most crates of one contributor.
    pub crates_each: usize,
    /// The fewest records of one contributor.
    pub min_records_each: usize,
    /// The most records of one contributor.
    pub records_each: usize,
    /// How many of those may be stock text, such as the paragraphs on licence and contribution that crates of all authors have in common. They are what
    /// near-duplicate clusters between contributors are made of in practice.
    pub stock_each: usize,
    /// What the contributors' salts are derived from.
    pub secret: B256,
}

/// A crate that a contributor's records come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceCrate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as an SPDX expression.
    pub license: String,
}

/// Somebody who wrote some of the crates.
#[derive(Debug, Clone)]
pub struct SourceContributor {
    /// As the crates name them, without address.
    pub name: String,
    /// A label for their key: lower-case letters, digits and `-`, different for each contributor.
    pub key_label: String,
    /// The crates their records come from, sorted by name.
    pub crates: Vec<SourceCrate>,
    /// Their records, by crate and in the order of the text.
    pub records: Vec<Record>,
}

/// Reads the crates and picks the contributors; see the module.
///
/// # Errors
/// [`CorpusError::TooFewContributors`], [`CorpusError::TooLarge`] for absurd folders, [`CorpusError::Io`] for folders that cannot be
/// listed. Crates that cannot be read or have no accepted licence are passed over.
pub fn survey(options: &SurveyOptions) -> Result<Vec<SourceContributor>> {
    let mut authors: BTreeMap<String, Vec<Work>> = BTreeMap::new();
    for package in packages(options)? {
        let Passages { good, stock } = passages::of(&package);
        if let (false, Some(author)) = (good.is_empty(), package.owner()) {
            authors.entry(author).or_default().push(Work { package, passages: good, stock });
        }
    }
    for works in authors.values_mut() {
        keep_distinct(works)?;
    }
    let mut taken = BTreeSet::new();
    let mut chosen: Vec<SourceContributor> = Vec::new();
    while chosen.len() < options.contributors {
        let best = authors
            .iter()
            .map(|(author, works)| (claim(works, &taken, options), author))
            .filter(|(claim, _)| claim.0 >= options.min_records_each)
            .max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(a.1)));
        let Some((_, author)) = best else {
            return Err(CorpusError::TooFewContributors {
                got: chosen.len(),
                expected: options.contributors,
            });
        };
        let author = author.clone();
        let works = authors.remove(&author).expect("the author was just found");
        let contributor = contributor(&works, &taken, options, &chosen)?;
        for work in works.iter().filter(|work| contributor.crates.iter().any(|c| c.name == work.package.name))
        {
            taken.extend(work.package.identities());
        }
        chosen.push(contributor);
    }
    Ok(chosen)
}

/// The folders of downloaded crates under a cargo home, sorted; empty if there are none.
///
/// # Errors
/// [`CorpusError::Io`].
pub fn registry_sources(cargo_home: &Path) -> Result<Vec<PathBuf>> {
    let sources = cargo_home.join("registry").join("src");
    if !sources.is_dir() {
        return Ok(Vec::new());
    }
    sorted_folders(&sources)
}

/// The packages that a `Cargo.lock` names and that come from a registry.
///
/// # Errors
/// [`CorpusError::Malformed`].
pub fn lock_packages(lock: &str) -> Result<BTreeSet<(String, String)>> {
    let malformed = |reason: String| CorpusError::Malformed { what: "lock file", reason };
    let table: toml::Table = lock.parse().map_err(|error: toml::de::Error| malformed(error.to_string()))?;
    let packages = table
        .get("package")
        .and_then(|list| list.as_array())
        .ok_or_else(|| malformed("it has no packages".into()))?;
    let text = |package: &toml::Value, key: &str| {
        package.get(key).and_then(|value| value.as_str()).map(str::to_owned)
    };
    Ok(packages
        .iter()
        .filter(|package| text(package, "source").is_some_and(|source| source.starts_with("registry+")))
        .filter_map(|package| Some((text(package, "name")?, text(package, "version")?)))
        .collect())
}

struct Work {
    package: Package,
    passages: Vec<Passage>,
    stock: Vec<Passage>,
}

/// What an author has to offer from crates without a taken identity: records up to the limits, then beyond them.
fn claim(works: &[Work], taken: &BTreeSet<String>, options: &SurveyOptions) -> (usize, usize) {
    let mut counts: Vec<usize> = free(works, taken).map(|work| work.passages.len()).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let all = counts.iter().sum();
    let usable: usize = counts.iter().take(options.crates_each).sum();
    (usable.min(options.records_each), all)
}

fn free<'a>(works: &'a [Work], taken: &'a BTreeSet<String>) -> impl Iterator<Item = &'a Work> {
    works.iter().filter(|work| work.package.identities().is_disjoint(taken))
}

fn contributor(
    works: &[Work],
    taken: &BTreeSet<String>,
    options: &SurveyOptions,
    others: &[SourceContributor],
) -> Result<SourceContributor> {
    let mut works: Vec<&Work> = free(works, taken).collect();
    works.sort_by(|a, b| {
        b.passages.len().cmp(&a.passages.len()).then_with(|| a.package.name.cmp(&b.package.name))
    });
    works.truncate(options.crates_each);
    works.sort_by(|a, b| a.package.name.cmp(&b.package.name));
    let name = works.first().map(|work| work.package.display_name()).unwrap_or_default();
    let key_label = unique_label(&name, others);
    let secret = derive_salt(options.secret, "contributor", &key_label);
    let record = |work: &Work, passage: &Passage| {
        let source = work.package.provenance(&passage.path);
        let salt = derive_salt(secret, &format!("{}:{}", source.name, source.path), &passage.text);
        Record::new(passage.text.clone(), source, salt, &RecordLimits::default())
    };
    let stock = works.iter().flat_map(|work| work.stock.iter().map(move |passage| (*work, passage)));
    let stock: Vec<_> = stock.take(options.stock_each.min(options.records_each)).collect();
    let counts: Vec<usize> = works.iter().map(|work| work.passages.len()).collect();
    let mut records = Vec::new();
    for (work, share) in works.iter().zip(shares(&counts, options.records_each - stock.len())) {
        for passage in evenly(&work.passages, share) {
            records.push(record(work, passage)?);
        }
    }
    for (work, passage) in stock {
        records.push(record(work, passage)?);
    }
    let used = |work: &&&Work| records.iter().any(|record| record.source.name == work.package.name);
    let crates = works.iter().filter(used).map(|work| work.package.source_crate()).collect();
    Ok(SourceContributor { name, key_label, crates, records })
}

/// How many records each crate gives so that all together give at most `limit`: as even as their `counts` allow.
fn shares(counts: &[usize], limit: usize) -> Vec<usize> {
    let mut shares = vec![0; counts.len()];
    let mut left = limit.min(counts.iter().sum());
    while left > 0 {
        for (share, count) in shares.iter_mut().zip(counts) {
            if *share < *count && left > 0 {
                *share += 1;
                left -= 1;
            }
        }
    }
    shares
}

/// At most `n` of `all`, spread over its length.
fn evenly(all: &[Passage], n: usize) -> impl Iterator<Item = &Passage> {
    let n = n.min(all.len());
    (0..n).map(move |at| &all[at * all.len() / n])
}

/// Drops near-duplicates: a README often repeats the documentation, and one crate's README its sibling's.
fn keep_distinct(works: &mut [Work]) -> Result<()> {
    let place = |work: u64, record: u32| OrderKey { block: 0, contribution: work, record };
    let items: Vec<_> = works
        .iter()
        .zip(0..)
        .flat_map(|(work, at)| {
            let passages = work.passages.iter().zip(0..);
            passages
                .map(move |(passage, record)| ClusterItem { text: &passage.text, order: place(at, record) })
        })
        .collect();
    let clusters = cluster(&items)?;
    let mut owners = (0..clusters.cluster.len()).map(|at| clusters.is_owner(at));
    for work in works {
        work.passages.retain(|_| owners.next().expect("there is one item per passage"));
    }
    Ok(())
}

fn unique_label(name: &str, others: &[SourceContributor]) -> String {
    let mut label = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            label.push(c.to_ascii_lowercase());
        } else if !label.ends_with('-') && !label.is_empty() {
            label.push('-');
        }
    }
    let label = label.trim_end_matches('-');
    let label = if label.is_empty() { "contributor" } else { label };
    let taken = |candidate: &str| others.iter().any(|other| other.key_label == candidate);
    if !taken(label) {
        return label.to_owned();
    }
    (2..).map(|n| format!("{label}-{n}")).find(|candidate| !taken(candidate)).expect("some number is free")
}

/// The packages under the roots, one version of each name (the highest), sorted by name.
fn packages(options: &SurveyOptions) -> Result<Vec<Package>> {
    let mut found: BTreeMap<String, Package> = BTreeMap::new();
    let mut count = 0;
    for root in &options.roots {
        for folder in sorted_folders(root)? {
            count += 1;
            crate::record::within("crates", count, MAX_CRATES)?;
            let Some(package) = Package::read(&folder) else { continue };
            let id = (package.name.clone(), package.version.clone());
            if options.only.as_ref().is_some_and(|only| !only.contains(&id)) {
                continue;
            }
            let newer =
                found.get(&package.name).is_none_or(|other| package.version_key() > other.version_key());
            if newer {
                found.insert(id.0, package);
            }
        }
    }
    Ok(found.into_values().collect())
}

fn sorted_folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(dir).at("list folder", dir)? {
        let path = entry.at("list folder", dir)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort_unstable();
    Ok(folders)
}

/// A file that was written by a person: UTF-8 and of reasonable size.
fn read_written(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    (meta.is_file() && meta.len() <= MAX_FILE).then(|| fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests;
