//! One command each.

mod adapter;
mod appeal;
mod audit;
mod chain;
mod chat;
mod datanet;
mod model;
mod rights;
mod search;
mod serve;
mod train;
mod validator;
mod verifier;
mod verify;
mod wallet;

use std::process::ExitCode;

use alloy_primitives::U256;
use anyhow::Result;
use openledger_corpus::blob::Blobs;
use openledger_types::amount::format_open;
use openledger_worker::claim::claim_all;
use openledger_worker::operator::Limits;
use serde_json::json;

use crate::args::{Cli, Command};
use crate::base::Base;
use crate::connection::Connection;
use crate::home::Home;
use crate::local::Local;
use crate::show::{Show, table};
use crate::stack::Stack;
use crate::{demo, node, testnet, up};
pub(crate) use chat::{Question, ask, cited};
pub(crate) use datanet::TERMS;

pub(crate) async fn run(cli: Cli, show: &Show) -> Result<ExitCode> {
    let home = Home::open(cli.home.as_deref())?.with_rpc(cli.rpc);
    let threads = match cli.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    match cli.command {
        Command::Demo(args) => demo::run(&home, threads, &args, show).await?,
        Command::Up(args) => up::run(&home, threads, &args, show).await?,
        Command::Testnet(args) => testnet::run(&home, &args, show).await?,
        Command::Node(args) => node::run(&home, args, show).await?,
        Command::Validator(command) => validator::run(&home, command, show).await?,
        Command::Verify { receipt } => return verify::run(&home, threads, &receipt, show).await,
        Command::Audit(args) => return audit::run(&home, threads, &args, show).await,
        Command::Verifier { from, appeal_bonds } => {
            verifier::run(&home, threads, &from, appeal_bonds, show).await?;
        }
        Command::Appeal(args) => appeal::run(&home, threads, &args, show).await?,
        Command::Chain(command) => chain::run(&home, command, show).await?,
        Command::Serve(args) => serve::run(&home, threads, args, show).await?,
        Command::Chat(args) => chat::run(&home, threads, &args, show).await?,
        Command::Datanet(command) => datanet::run(&home, threads, command, show).await?,
        Command::Model(command) => model::run(&home, threads, command, show).await?,
        Command::Adapter(command) => adapter::run(&home, threads, command, show).await?,
        Command::Wallet(command) => wallet::run(&home, command, show).await?,
        Command::Settle => settle(&home, threads, show).await?,
        Command::Claim { account } => claim(&home, &account, show).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn settle(home: &Home, threads: usize, show: &Show) -> Result<()> {
    let local = Local::open(home)?;
    let connection = Connection::open(home, &local).await?;
    anyhow::ensure!(
        connection.is_embedded(),
        "`openledger up` runs on this home folder and settles its own answers; stop it or wait for its epoch"
    );
    let machine =
        show.step("loading the base model", Base::of(home)?.load(home, threads, &show.progress())).await?;
    let stack =
        Stack::open(home, &local, &connection.client, machine, Limits::default(), show.progress()).await?;
    let settled = show.step("settling", stack.settle()).await?;
    if settled.is_empty() {
        show.line("nothing to settle");
    }
    let mut batches = Vec::new();
    for batch in settled {
        let fees = batch.file.answers.iter().fold(U256::ZERO, |sum, answer| sum + answer.receipt.fee);
        let claimed = batch.claimed.iter().fold(U256::ZERO, |sum, payout| sum + payout.amount);
        show.line(format!(
            "batch {}: {} answers, {} OPEN of fees, {:?}, {} OPEN claimed",
            batch.id,
            batch.file.answers.len(),
            format_open(fees),
            batch.verdict,
            format_open(claimed)
        ));
        batches.push(json!({
            "batch": batch.id.to_string(), "fee_wei": fees.to_string(), "claimed_wei": claimed.to_string(),
            "verdict": format!("{:?}", batch.verdict),
        }));
    }
    show.result(&json!({ "batches": batches }));
    connection.close().await
}

async fn claim(home: &Home, account: &str, show: &Show) -> Result<()> {
    let local = Local::open(home)?;
    let address = local.address(account)?;
    let connection = Connection::open(home, &local).await?;
    let blobs = Blobs::open(home.worker().corpus())?;
    let payer_of_gas = local.funded(&connection.client, "operator").await?;
    let claimed = claim_all(&connection.client, &blobs, &payer_of_gas, address).await?;
    if claimed.is_empty() {
        show.line(format!("{address} has nothing to claim"));
    } else {
        let mut rows = vec![["batch", "role", "OPEN"].map(str::to_owned).to_vec()];
        for (batch, payout) in &claimed {
            rows.push(vec![batch.to_string(), format!("{:?}", payout.role), format_open(payout.amount)]);
        }
        show.line(table(&rows));
    }
    let list: Vec<_> = claimed
        .iter()
        .map(|(batch, payout)| json!({ "batch": batch.to_string(), "role": payout.role, "wei": payout.amount.to_string() }))
        .collect();
    show.result(&json!({ "account": address, "claimed": list }));
    connection.close().await
}
