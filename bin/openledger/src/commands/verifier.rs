use alloy_primitives::U256;
use anyhow::{Context, Result};
use openledger_client::Client;
use openledger_types::abi::StakeRole;
use openledger_types::amount::format_open;
use openledger_worker::verify::{Act, Verdict, Verifier};
use serde_json::{Value, json};

use crate::base::Base;
use crate::connection::Connection;
use crate::home::Home;
use crate::local::Local;
use crate::show::Show;

pub(crate) async fn run(
    home: &Home,
    threads: usize,
    from: &str,
    appeal_bonds: U256,
    show: &Show,
) -> Result<()> {
    let local = Local::open(home)?;
    let connection = Connection::open(home, &local).await?;
    let client = &connection.client;
    let wallet = local.staked(client, from, StakeRole::Verifier, "verifier_stake").await?;
    let machine = Base::of(home)?.load(home, threads, &show.progress()).await?;
    show.line(format!("verifying as {}; interrupt with Ctrl-C", wallet.address()));
    let since = oldest_open(client).await?;
    let progress = show.progress();
    let role = Verifier::new(client.clone(), home.worker(), machine, wallet, progress, since);
    let mut role = role.appealing(appeal_bonds);
    let mut signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("cannot listen for signals")?;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = signal.recv() => break,
            acts = role.next() => match acts {
                Ok(acts) => for act in acts {
                    let (line, value) = said(&act);
                    show.line(line);
                    show.result(&value);
                },
                // The next block tries again.
                Err(error) => {
                    show.error(&error.into());
                    tokio::time::sleep(client.config().poll_interval).await;
                }
            },
        }
    }
    connection.close().await
}

/// How many panels can be asked about a batch, each with windows of its own.
const PANELS: u64 = 1 + openledger_types::batch::MAX_APPEALS as u64;

/// A block before which no batch is open, as long as none was disputed again and again.
async fn oldest_open(client: &Client) -> Result<u64> {
    let mut since = client.block_number().await?;
    for window in ["verify_window", "reveal_window", "appeal_window", "challenge_window"] {
        let blocks = u64::try_from(client.params().get(window).await?).unwrap_or(u64::MAX);
        since = since.saturating_sub(blocks.saturating_mul(PANELS));
    }
    Ok(since)
}

fn said(act: &Act) -> (String, Value) {
    match act {
        Act::Drew(batch) => {
            (format!("batch {batch}: drawn"), json!({ "batch": batch.to_string(), "act": "drew" }))
        }
        Act::Committed(batch, Verdict::Equal { .. }) => (
            format!("batch {batch}: it is what it says; committed"),
            json!({ "batch": batch.to_string(), "act": "committed", "verdict": "equal" }),
        ),
        Act::Committed(batch, Verdict::Different(difference)) => (
            format!("batch {batch}: false, {difference}; committed"),
            json!({
                "batch": batch.to_string(), "act": "committed", "verdict": "different", "field": difference.field,
                "expected": difference.expected, "got": difference.got,
            }),
        ),
        Act::Revealed(batch) => {
            (format!("batch {batch}: revealed"), json!({ "batch": batch.to_string(), "act": "revealed" }))
        }
        Act::Finalised(batch, status) => (
            format!("batch {batch}: {status:?}"),
            json!({ "batch": batch.to_string(), "act": "finalised", "status": format!("{status:?}") }),
        ),
        Act::Punished(batch, verifier, wei) => (
            format!("batch {batch}: {verifier} slashed"),
            json!({ "batch": batch.to_string(), "act": "punished", "verifier": verifier, "wei": wei.to_string() }),
        ),
        Act::Paid(batch, wei) => (
            format!("batch {batch}: paid {} OPEN", format_open(*wei)),
            json!({ "batch": batch.to_string(), "act": "paid", "wei": wei.to_string() }),
        ),
        Act::StepCommitted(challenge, upheld) => (
            format!(
                "challenge {challenge}: the step is {}; committed",
                if *upheld { "right" } else { "false" }
            ),
            json!({ "challenge": challenge.to_string(), "act": "step committed", "upheld": upheld }),
        ),
        Act::StepPaid(challenge, wei) => (
            format!("challenge {challenge}: paid {} OPEN", format_open(*wei)),
            json!({ "challenge": challenge.to_string(), "act": "step paid", "wei": wei.to_string() }),
        ),
        Act::StepPunished(challenge, judge, wei) => (
            format!("challenge {challenge}: {judge} slashed"),
            json!({ "challenge": challenge.to_string(), "act": "step punished", "verifier": judge, "wei": wei.to_string() }),
        ),
        Act::Appealed(batch, round) => (
            format!("batch {batch}: a panel decided otherwise; appealed to panel {round}"),
            json!({ "batch": batch.to_string(), "act": "appealed", "round": round }),
        ),
        Act::StepRevealed(challenge) => (
            format!("challenge {challenge}: revealed"),
            json!({ "challenge": challenge.to_string(), "act": "step revealed" }),
        ),
    }
}
