use std::process::ExitCode;

use alloy_primitives::B256;
use anyhow::{Context, Result};
use openledger_types::receipt::Answer;
use openledger_worker::verify::{Verdict, check_statement, find_answer, verify_answer};
use serde_json::json;

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
    connection.close().await?;
    let id = id.to_string();
    match verdict {
        Verdict::Equal { batch: Some(batch) } => {
            show.line(format!("equal: the answer, its attribution and the payouts of batch {batch}"));
            show.result(&json!({ "receipt": id, "verdict": "equal", "batch": batch.to_string() }));
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
