use std::io::BufReader;
use std::path::{Path, PathBuf};

use alloy_primitives::U256;
use anyhow::{Context, Result, bail};
use openledger_corpus::blob::Blobs;
use openledger_corpus::import::{Defaults, ImportLimits, jsonl, markdown, text};
use openledger_corpus::record::{Provenance, Record};
use openledger_types::abi::{IDatanets, Modality, Terms, Use};
use openledger_worker::WorkerError;
use openledger_worker::contribute::{
    contribute, contributions, contributor_secret, newest_version, publish_version,
};
use serde_json::json;

use super::search;
use crate::args::DatanetCommand;
use crate::connection::Connection;
use crate::home::Home;
use crate::local::Local;
use crate::show::{Show, table};

/// Largest file that is imported.
const MAX_FILE: u64 = 256 << 20;

/// Terms of a Datanet made here: training and inference allowed, crawling denied.
pub(crate) const TERMS: Terms = Terms { train: Use::Allow, infer: Use::Allow, crawl: Use::Deny };

pub(crate) async fn run(home: &Home, threads: usize, command: DatanetCommand, show: &Show) -> Result<()> {
    let local = Local::open(home)?;
    let connection = Connection::open(home, &local).await?;
    let (client, blobs) = (&connection.client, Blobs::open(home.worker().corpus())?);
    match command {
        DatanetCommand::Create { name, license, from } => {
            let wallet = local.funded(client, &from).await?;
            let id = client.datanets().create(&wallet, &name, &license, Modality::Text, TERMS).await?;
            show.line(format!("Datanet {id}: {name}, {license}, owner {}", wallet.address()));
            show.result(&json!({ "datanet": id.to_string(), "owner": wallet.address() }));
        }
        DatanetCommand::Contribute { datanet, files, from, license } => {
            let wallet = local.funded(client, &from).await?;
            let mut records = Vec::new();
            for file in &files {
                records.extend(import(file, &license, contributor_secret(&wallet), show)?);
            }
            let count = records.len();
            let id = contribute(client, &blobs, &wallet, U256::from(datanet), records).await?;
            show.line(format!(
                "contribution {id}: {count} records by {}, pending until the owner accepts",
                wallet.address()
            ));
            show.result(
                &json!({ "contribution": id.to_string(), "records": count, "contributor": wallet.address() }),
            );
        }
        DatanetCommand::Accept { contribution, from } => {
            let wallet = local.unlock(&from)?;
            client.datanets().accept(&wallet, U256::from(contribution)).await?;
            show.line(format!("contribution {contribution} accepted"));
            show.result(&json!({ "contribution": contribution.to_string(), "status": "accepted" }));
        }
        DatanetCommand::Reject { contribution, reason, from } => {
            let wallet = local.unlock(&from)?;
            let call = IDatanets::rejectCall { contribution: U256::from(contribution), reason };
            client.datanets().transact(&wallet, &call).await?;
            show.line(format!("contribution {contribution} rejected"));
            show.result(&json!({ "contribution": contribution.to_string(), "status": "rejected" }));
        }
        DatanetCommand::Publish { datanet, from } => {
            let wallet = local.unlock(&from)?;
            let published = publish_version(client, &blobs, &wallet, U256::from(datanet)).await?;
            let version = &published.version;
            show.line(format!(
                "Datanet {datanet} version {}: {} records in {} clusters, manifest {}",
                published.number, version.records, version.clusters, version.manifestHash
            ));
            show.result(&json!({
                "datanet": datanet.to_string(), "version": published.number, "records": version.records,
                "clusters": version.clusters, "manifest_hash": version.manifestHash,
            }));
        }
        DatanetCommand::List => {
            let count = client.datanets().call(&IDatanets::datanetCountCall {}).await?;
            let mut rows = vec![["id", "name", "licence", "versions", "owner"].map(str::to_owned).to_vec()];
            let mut list = Vec::new();
            let mut id = U256::from(1);
            while id <= count {
                let datanet = client.datanets().datanet(id).await?;
                rows.push(vec![
                    id.to_string(),
                    datanet.name.clone(),
                    datanet.license.clone(),
                    datanet.versions.to_string(),
                    datanet.owner.to_string(),
                ]);
                list.push(json!({
                    "datanet": id.to_string(), "name": datanet.name, "license": datanet.license,
                    "versions": datanet.versions, "owner": datanet.owner,
                }));
                id += U256::from(1);
            }
            show.line(table(&rows));
            show.result(&json!({ "datanets": list }));
        }
        DatanetCommand::Search { datanet, question, count, words } => {
            let newest = newest_version(client, &blobs, U256::from(datanet)).await?;
            let newest = newest.ok_or(WorkerError::NoVersion(U256::from(datanet)))?;
            let wanted = search::Wanted { question, count: count.into(), words, threads };
            search::run(home, blobs.clone(), newest, wanted, show).await?;
        }
        DatanetCommand::Show { datanet } => show_one(&connection, &blobs, datanet, show).await?,
        other => super::rights::run(&local, client, other, show).await?,
    }
    connection.close().await
}

async fn show_one(connection: &Connection, blobs: &Blobs, id: u64, show: &Show) -> Result<()> {
    let client = &connection.client;
    let datanet = client.datanets().datanet(U256::from(id)).await?;
    show.line(format!("Datanet {id}: {}, {}, owner {}", datanet.name, datanet.license, datanet.owner));
    let mut rows = vec![["contribution", "records", "status", "contributor"].map(str::to_owned).to_vec()];
    let mut list = Vec::new();
    for (number, contribution) in contributions(client, U256::from(id)).await? {
        let status = format!("{:?}", contribution.status).to_ascii_lowercase();
        rows.push(vec![
            number.to_string(),
            contribution.records.to_string(),
            status.clone(),
            contribution.contributor.to_string(),
        ]);
        list.push(json!({
            "contribution": number.to_string(), "records": contribution.records, "status": status,
            "contributor": contribution.contributor, "file_hash": contribution.fileHash,
        }));
    }
    show.line(table(&rows));
    let newest = newest_version(client, blobs, U256::from(id)).await?;
    if let Some(newest) = &newest {
        show.line(format!(
            "newest version {}: {} records in {} clusters",
            newest.number, newest.version.records, newest.version.clusters
        ));
    }
    show.result(&json!({
        "datanet": id.to_string(), "name": datanet.name, "license": datanet.license, "owner": datanet.owner,
        "contributions": list,
        "newest_version": newest.map(|newest| json!({
            "version": newest.number, "records": newest.version.records, "clusters": newest.version.clusters,
            "manifest_hash": newest.version.manifestHash,
        })),
    }));
    Ok(())
}

/// The records of one file, by its ending. Lines of JSONL that are refused are named; the others go on.
fn import(path: &Path, license: &str, secret: alloy_primitives::B256, show: &Show) -> Result<Vec<Record>> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let limits = ImportLimits::default();
    let source = Provenance {
        name: path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned(),
        version: String::new(),
        license: license.to_owned(),
        authors: Vec::new(),
        path: name,
    };
    let defaults = Defaults { source, secret };
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    anyhow::ensure!(size <= MAX_FILE, "{} has {size} bytes; the limit is {MAX_FILE}", path.display());
    let kind = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let failed = |error| anyhow::Error::new(error).context(format!("{}", PathBuf::from(path).display()));
    match kind {
        "jsonl" => {
            let import = jsonl(BufReader::new(bytes.as_slice()), &defaults, &limits).map_err(failed)?;
            for refusal in &import.refused {
                show.line(format!("{}:{}: refused: {}", path.display(), refusal.line, refusal.reason));
            }
            Ok(import.accepted)
        }
        "md" => markdown(&bytes, &defaults, &limits).map_err(failed),
        "txt" | "" => text(&bytes, &defaults, &limits).map_err(failed),
        other => bail!(
            "{}: files ending in .{other} are not read; accepted are .jsonl, .md and .txt",
            path.display()
        ),
    }
}
