use std::{collections::BTreeSet, path::Path, path::PathBuf, str::FromStr};

use super::{SourceCrate, read_written};
use crate::{
    license::{License, TrainingUse},
    record::Provenance,
};

/// A downloaded crate whose licence lets it be trained on.
pub(super) struct Package {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) readme: Option<String>,
    license: String,
    authors: Vec<String>,
    repository_owner: Option<String>,
}

impl Package {
    /// Reads the manifest in `folder`; `None` if there is none, or none that is usable.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let manifest: toml::Table = read_written(&folder.join("Cargo.toml"))?.parse().ok()?;
        let package = manifest.get("package")?;
        let text = |key: &str| package.get(key).and_then(|value| value.as_str());
        let license = License::from_str(text("license")?).ok()?;
        if license.training_use() != TrainingUse::Allowed {
            return None;
        }
        let authors = package.get("authors").and_then(|list| list.as_array());
        let authors = authors.into_iter().flatten().filter_map(|author| author.as_str());
        Some(Self {
            folder: folder.to_owned(),
            name: text("name")?.to_owned(),
            version: text("version")?.to_owned(),
            readme: text("readme").map(str::to_owned),
            license: license.to_string(),
            authors: authors
                .take(32)
                .map(|author| author.trim().to_owned())
                .filter(|a| !a.is_empty())
                .collect(),
            repository_owner: text("repository").and_then(repository_owner),
        })
    }

    /// Whom the crate belongs to: its first author, or the owner of its repository.
    pub(super) fn owner(&self) -> Option<String> {
        match self.authors.first() {
            Some(author) => Some(normal_name(author)),
            None => self.repository_owner.clone(),
        }
        .filter(|owner| !owner.is_empty())
    }

    /// The owner as the crate writes it.
    pub(super) fn display_name(&self) -> String {
        match self.authors.first() {
            Some(author) => without_address(author),
            None => self.repository_owner.clone().unwrap_or_default(),
        }
    }

    /// Everything that tells who is behind the crate: two crates that share any of it are by the same people, at least in part.
    pub(super) fn identities(&self) -> BTreeSet<String> {
        let names = self.authors.iter().map(|author| normal_name(author));
        let addresses = self.authors.iter().filter_map(|author| address(author));
        // An owner's name and an author's may be one handle; they share one name space.
        names
            .chain(addresses)
            .chain(self.repository_owner.clone())
            .filter(|identity| !identity.is_empty())
            .collect()
    }

    pub(super) fn provenance(&self, path: &str) -> Provenance {
        let owner = || self.repository_owner.clone().into_iter().collect();
        Provenance {
            name: self.name.clone(),
            version: self.version.clone(),
            license: self.license.clone(),
            // Names are what attribution needs; addresses are personal and stay where they were published.
            authors: if self.authors.is_empty() {
                owner()
            } else {
                self.authors.iter().map(|author| without_address(author)).collect()
            },
            path: path.to_owned(),
        }
    }

    pub(super) fn source_crate(&self) -> SourceCrate {
        SourceCrate { name: self.name.clone(), version: self.version.clone(), license: self.license.clone() }
    }

    /// Orders versions of one crate; a pre-release comes before its release.
    pub(super) fn version_key(&self) -> (Vec<u64>, bool, &str) {
        let core = self.version.split('+').next().unwrap_or_default();
        let (numbers, pre) = core.split_once('-').map_or((core, None), |(numbers, pre)| (numbers, Some(pre)));
        let numbers = numbers.split('.').map(|number| number.parse().unwrap_or(0)).collect();
        (numbers, pre.is_none(), pre.unwrap_or_default())
    }
}

/// The name alone, with single spaces.
fn without_address(author: &str) -> String {
    let name = author.split(['<', '(']).next().unwrap_or_default().trim().trim_matches('"');
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn address(author: &str) -> Option<String> {
    let (_, rest) = author.split_once('<')?;
    let address = rest.split('>').next()?.trim().to_lowercase();
    address.contains('@').then_some(address)
}

/// A name in lower case, or the address of somebody who gives nothing else.
fn normal_name(author: &str) -> String {
    let name = without_address(author).to_lowercase();
    if name.is_empty() { address(author).unwrap_or_default() } else { name }
}

/// The first path segment of a repository address: `host/OWNER/name`.
fn repository_owner(repository: &str) -> Option<String> {
    let (_, rest) = repository.split_once("://")?;
    let owner = rest.split('/').nth(1)?.trim().to_lowercase();
    (!owner.is_empty()).then_some(owner)
}
