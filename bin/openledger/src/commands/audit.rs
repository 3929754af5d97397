use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use alloy_primitives::U256;
use anyhow::{Context, Result, bail, ensure};
use openledger_client::Client;
use openledger_corpus::blob::Blobs;
use openledger_types::abi::{BatchStatus, ChallengeStatus};
use openledger_types::amount::format_open;
use openledger_worker::audit::{Finding, TOLERATED, audit};
use openledger_worker::claim::load_batch;
use openledger_worker::dispute::{Case, Challenger};
use openledger_worker::{Folders, Machine};
use serde_json::{Value, json};

use crate::args::AuditArgs;
use crate::base::Base;
use crate::connection::Connection;
use crate::home::Home;
use crate::local::Local;
use crate::show::Show;

/// Exit code of a claim that leaving the contributor out refutes.
const REFUTED: u8 = 1;

pub(crate) async fn run(home: &Home, threads: usize, args: &AuditArgs, show: &Show) -> Result<ExitCode> {
    let batch = args.batch;
    let local = Local::open(home)?;
    let connection = Connection::open(home, &local).await?;
    let folders = home.worker();
    let machine = Base::of(home)?.load(home, threads, &show.progress()).await?;
    let progress = show.progress();
    let work = audit(&connection.client, &folders, &machine, batch, args.contributor, &progress);
    let found = show.step("training without one contributor", work).await?;
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
    let refuted = matches!(found.finding, Finding::WrongSign | Finding::WrongSize);
    let challenge = if refuted && args.challenge {
        challenge(home, &local, &connection.client, &folders, &machine, args, show).await?
    } else {
        Value::Null
    };
    connection.close().await?;
    show.result(&json!({
        "batch": batch.to_string(), "contributor": found.contributor, "records": found.records,
        "claimed_wei": found.claimed, "measured_wei": found.measured,
        "measured_wei_95": [found.interval.0, found.interval.1],
        "falls_nats": found.falls, "tolerated": TOLERATED, "finding": format!("{:?}", found.finding),
        "challenge": challenge,
    }));
    Ok(if refuted { ExitCode::from(REFUTED) } else { ExitCode::SUCCESS })
}

/// Challenges the batch and plays to the end, after saying what it costs and how it is likely to end.
async fn challenge(
    home: &Home,
    local: &Local,
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    args: &AuditArgs,
    show: &Show,
) -> Result<Value> {
    let batch = args.batch;
    let status = client.settlement().batch(batch).await?.status;
    ensure!(
        status == BatchStatus::Posted,
        "batch {batch} is decided ({status:?}); a batch can be challenged until its challenge window is over"
    );
    let progress = show.progress();
    let found = Case::find(client, folders, machine, batch, &progress);
    let case = match show.step("executing the batch again", found).await? {
        Some((case, difference)) => {
            show.line(format!("  step {} is false: {difference}", case.false_step));
            case
        }
        None => {
            show.line(
                "  it is what executing it again gives. Judges execute again and train without nobody: they will find for the \
                 operator, unless they find something else",
            );
            let file = load_batch(client, &Blobs::open(folders.corpus())?, batch).await?;
            Case::against_settlement(client, folders, machine, batch, &file, &progress).await?
        }
    };
    let bond = client.params().get("challenge_bond").await?;
    let wallet = local.wallet(&args.from)?;
    show.line(format!(
        "  a challenge takes a bond of {} OPEN from key '{}' ({}); the loser pays it to the winner",
        format_open(bond),
        args.from,
        wallet.address()
    ));
    if !args.yes && !agreed(show)? {
        show.line("  not challenged");
        return Ok(Value::Null);
    }
    local.fund(client, wallet.address(), bond + crate::local::open(1)).await.with_context(|| {
        format!("the key '{}' in {} cannot pay the bond", args.from, home.keystore().display())
    })?;
    let dispute = Challenger::open(client, folders, machine, &wallet, case).await?;
    let id = dispute.challenge();
    let end = show.step("the challenge, to its end", dispute.play(&progress)).await?;
    show.line(match end {
        ChallengeStatus::ChallengerWon => {
            format!("challenge {id}: won; the batch is refused, the bond is back with a prize")
        }
        ChallengeStatus::OperatorWon => format!("challenge {id}: lost; the bond is the operator's"),
        _ => format!("challenge {id}: nobody judged it; the bond is back"),
    });
    Ok(json!({ "challenge": id.to_string(), "bond_wei": bond.to_string(), "end": format!("{end:?}") }))
}

pub(super) fn agreed(show: &Show) -> Result<bool> {
    show.line("  pay it? [y/N]");
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked about the bond here: say --yes to pay it");
    }
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}

/// Wei as OPEN with its sign, for people: what was measured is no integer.
fn open(wei: f64) -> String {
    let sign = if wei < 0.0 { "-" } else { "" };
    format!("{sign}{}", format_open(U256::from(wei.abs().round())))
}
