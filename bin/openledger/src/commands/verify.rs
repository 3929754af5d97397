use std::process::ExitCode;

use alloy_primitives::{B256, U256};
use anyhow::{Context, Result};
use openledger_corpus::blob::Blobs;
use openledger_types::amount::format_open;
use openledger_types::batch::BatchFile;
use openledger_types::receipt::{Answer, Source, SourceCredit};
use openledger_worker::claim::load_batch;
use openledger_worker::sources::paid;
use openledger_worker::verify::{Verdict, check_statement, find_answer, verify_answer};
use serde_json::{Value, json};

use crate::base::Base;
use crate::connection::Connection;
use crate::home::Home;
use crate::local::Local;
use crate::show::Show;

/// Exit code of a receipt that is not what recomputation gives.
const DIFFERENT: u8 = 1;
/// Largest file that is read as an answer.
const MAX_FILE: u64 = 64 << 20;

pub(crate) async fn run(home: &Home, threads: usize, receipt: &str, show: &Show) -> Result<ExitCode> {
    let local = Local::open(home)?;
    let connection = Connection::open(home, &local).await?;
    let folders = home.worker();
    let answer = match receipt.parse::<B256>() {
        Ok(id) => find_answer(&connection.client, &folders, id).await?,
        Err(_not_an_id) => read(receipt)?,
    };
    let id = answer.receipt.id(connection.client.chain_id());
    show.line(format!("receipt {id}"));
    let verdict = match check_statement(&connection.client, &folders, &answer).await? {
        Some(difference) => Verdict::Different(difference),
        None => {
            show.line("  statement and chain agree; recomputing the answer and the payout of its batch");
            let machine = Base::of(home)?.load(home, threads, &show.progress()).await?;
            let progress = show.progress();
            let work = verify_answer(&connection.client, &folders, &machine, &answer, &progress);
            show.step("re-execution", work).await?
        }
    };
    let paid = match &verdict {
        Verdict::Equal { batch: Some(batch) } if answer.request.retrieval.is_some() => {
            let file = load_batch(&connection.client, &Blobs::open(folders.corpus())?, *batch).await?;
            sources(&answer, &file)
        }
        _ => Vec::new(),
    };
    connection.close().await?;
    let id = id.to_string();
    match verdict {
        Verdict::Equal { batch: Some(batch) } => {
            show.line(format!("equal: the answer, its attribution and the payouts of batch {batch}"));
            let sources: Vec<Value> = paid
                .iter()
                .map(|(line, value)| {
                    show.line(line);
                    value.clone()
                })
                .collect();
            show.result(&json!({
                "receipt": id, "verdict": "equal", "batch": batch.to_string(), "sources": sources,
            }));
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Equal { batch: None } => {
            show.line("equal: the answer and its attribution; its batch is not posted yet, so there is no payout to compare");
            show.result(&json!({ "receipt": id, "verdict": "equal", "batch": null }));
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Different(difference) => {
            show.line(format!(
                "refused, the first difference is\n  field     {}\n  expected  {}\n  got       {}",
                difference.field, difference.expected, difference.got
            ));
            show.result(&json!({
                "receipt": id, "verdict": "different", "field": difference.field,
                "expected": difference.expected, "got": difference.got,
            }));
            Ok(ExitCode::from(DIFFERENT))
        }
    }
}

/// What each source of an answer was paid by its batch, in words and for programs.
fn sources(answer: &Answer, file: &BatchFile) -> Vec<(String, Value)> {
    let (Some(retrieval), Some(weight)) =
        (&answer.request.retrieval, file.weights.get(answer.receipt.sequence as usize))
    else {
        return Vec::new();
    };
    let credits = &answer.attribution.sources;
    let line = |(number, ((source, credit), wei)): (u32, ((&Source, &SourceCredit), U256))| {
        let line = format!(
            "  [{number}] record {} of {}: {:+.3} nats, retrieval credit {} OPEN",
            source.record,
            credit.contributor,
            credit.nanonats as f64 / 1e9,
            format_open(wei)
        );
        let value = json!({
            "index": number, "record": source.record, "owner": credit.contributor, "nanonats": credit.nanonats,
            "retrieval_credit_wei": wei.to_string(),
        });
        (line, value)
    };
    (1..).zip(retrieval.sources.iter().zip(credits).zip(paid(answer, weight))).map(line).collect()
}

fn read(path: &str) -> Result<Answer> {
    let metadata = std::fs::metadata(path).with_context(|| {
        format!("'{path}' is neither a receipt id (0x and 64 hex digits) nor a file that can be read")
    })?;
    anyhow::ensure!(
        metadata.len() <= MAX_FILE,
        "{path} has {} bytes; an answer has at most {MAX_FILE}",
        metadata.len()
    );
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
    serde_json::from_slice(&bytes).with_context(|| {
        format!(
            "{path} is not an answer: expected the JSON that GET /v1/receipts/ID and the answers folder hold"
        )
    })
}
