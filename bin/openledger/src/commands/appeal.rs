use anyhow::{Result, ensure};
use openledger_types::abi::BatchStatus;
use openledger_types::amount::format_open;
use openledger_worker::appeal::{Standing, appeal, bond};
use openledger_worker::verify::{Opinion, Verdict};
use serde_json::json;

use super::audit::agreed;
use crate::args::AppealArgs;
use crate::base::Base;
use crate::connection::Connection;
use crate::home::Home;
use crate::local::{Local, open};
use crate::show::Show;

pub(crate) async fn run(home: &Home, threads: usize, args: &AppealArgs, show: &Show) -> Result<()> {
    let batch = args.batch;
    let local = Local::open(home)?;
    let connection = Connection::open(home, &local).await?;
    let client = &connection.client;
    let posted = client.settlement().batch(batch).await?;
    ensure!(
        posted.status == BatchStatus::Posted,
        "batch {batch} is decided ({:?}); what a panel says can be appealed until its appeal window is over",
        posted.status
    );
    let standing = Standing::load(client, batch, &posted).await?;
    let would = if standing.pays { "paid" } else { "refused" };
    show.line(format!(
        "batch {batch}: as panel {} and those before it say, it would be {would}",
        posted.round
    ));
    let machine = Base::of(home)?.load(home, threads, &show.progress()).await?;
    let (folders, progress) = (home.worker(), show.progress());
    let opinion = Opinion::form(client, &folders, &machine, batch, None, &progress);
    let opinion = show.step("executing the batch again", Box::pin(opinion)).await?;
    match &opinion.verdict {
        Verdict::Equal { .. } => show.line("  it is what it says"),
        Verdict::Different(difference) => show.line(format!("  it is false: {difference}")),
    }
    if opinion.is_right() == standing.pays {
        show.line("  that is what was decided: an appeal would most likely lose its bond");
    }
    let bond = bond(client, posted.round).await?;
    let wallet = local.wallet(&args.from)?;
    show.line(format!(
        "  an appeal takes a bond of {} OPEN from key '{}' ({}), which has to have something staked",
        format_open(bond),
        args.from,
        wallet.address()
    ));
    if !args.yes && !agreed(show)? {
        show.line("  not appealed");
        show.result(&json!({ "batch": batch.to_string(), "right": opinion.is_right(), "round": null }));
        return connection.close().await;
    }
    local.fund(client, wallet.address(), bond + open(1)).await?;
    let round = appeal(client, &wallet, batch, bond).await?;
    show.line(format!("  panel {round} is asked"));
    show.result(&json!({
        "batch": batch.to_string(), "right": opinion.is_right(), "round": round, "bond_wei": bond.to_string(),
    }));
    connection.close().await
}
