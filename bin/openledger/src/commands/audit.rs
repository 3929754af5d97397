use std::process::ExitCode;

use alloy_primitives::{Address, U256};
use anyhow::Result;
use openledger_types::amount::format_open;
use openledger_worker::audit::{Finding, TOLERATED, audit};
use serde_json::json;

use crate::base::Base;
use crate::connection::Connection;
use crate::home::Home;
use crate::local::Local;
use crate::show::Show;

/// Exit code of a claim that leaving the contributor out refutes.
const REFUTED: u8 = 1;

pub(crate) async fn run(
    home: &Home,
    threads: usize,
    batch: U256,
    contributor: Option<Address>,
    show: &Show,
) -> Result<ExitCode> {
    let local = Local::open(home)?;
    let connection = Connection::open(home, &local).await?;
    let folders = home.worker();
    let machine = Base::of(home).load(home, threads, &show.progress()).await?;
    let progress = show.progress();
    let work = audit(&connection.client, &folders, &machine, batch, contributor, &progress);
    let found = show.step("training without one contributor", work).await?;
    connection.close().await?;
    let verdict = match found.finding {
        Finding::Stands => "the claim stands",
        Finding::Negligible => "both are too small to be judged",
        Finding::WrongSign => "refuted: the claim has the wrong sign",
        Finding::WrongSize => "refuted: the claim is off by more than three times",
    };
    show.line(format!(
        "batch {batch}, contributor {}: {} records left out",
        found.contributor, found.records
    ));
    show.line(format!("  claimed   {} OPEN", open(found.claimed)));
    show.line(format!(
        "  measured  {} OPEN, 95 % between {} and {}",
        open(found.measured),
        open(found.interval.0),
        open(found.interval.1)
    ));
    show.line(format!("  {verdict}"));
    show.result(&json!({
        "batch": batch.to_string(), "contributor": found.contributor, "records": found.records,
        "claimed_wei": found.claimed, "measured_wei": found.measured,
        "measured_wei_95": [found.interval.0, found.interval.1],
        "falls_nats": found.falls, "tolerated": TOLERATED, "finding": format!("{:?}", found.finding),
    }));
    let refuted = matches!(found.finding, Finding::WrongSign | Finding::WrongSize);
    Ok(if refuted { ExitCode::from(REFUTED) } else { ExitCode::SUCCESS })
}

/// Wei as OPEN with its sign, for people: what was measured is no integer.
fn open(wei: f64) -> String {
    let sign = if wei < 0.0 { "-" } else { "" };
    format!("{sign}{}", format_open(U256::from(wei.abs().round())))
}
