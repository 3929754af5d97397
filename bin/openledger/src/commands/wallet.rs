use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::Bytes;
use anyhow::{Context, Result};
use openledger_client::{ApiKey, Strength};
use openledger_types::amount::{format_open, parse_open};
use serde_json::json;

use crate::args::WalletCommand;
use crate::connection::Connection;
use crate::home::Home;
use crate::local::{Local, write_secret};
use crate::show::{Show, table};

/// Seconds of a day.
const DAY: u64 = 86_400;

pub(crate) async fn run(home: &Home, command: WalletCommand, show: &Show) -> Result<()> {
    let local = Local::open(home)?;
    match command {
        WalletCommand::Create { name } => {
            let wallet = local.keystore().create(&name, local.password(), Strength::Standard)?;
            show.line(format!("{name}  {}", wallet.address()));
            show.result(&json!({ "name": name, "address": wallet.address() }));
            Ok(())
        }
        WalletCommand::Import { name } => {
            let mut text = String::new();
            std::io::stdin()
                .read_line(&mut text)
                .context("cannot read the private key from standard input")?;
            let wallet = local.keystore().import(&name, text.trim(), local.password(), Strength::Standard)?;
            show.line(format!("{name}  {}", wallet.address()));
            show.result(&json!({ "name": name, "address": wallet.address() }));
            Ok(())
        }
        WalletCommand::List => list(home, &local, show).await,
        WalletCommand::Balance { account } => balance(home, &local, &account, show).await,
        WalletCommand::Send { from, to, amount } => {
            let (wallet, to, amount) = (local.unlock(&from)?, local.address(&to)?, parse_open(&amount)?);
            let connection = Connection::open(home, &local).await?;
            let receipt = connection.client.send_and_confirm(&wallet, to, amount, Bytes::new()).await?;
            show.line(format!("sent {} OPEN to {to} in {}", format_open(amount), receipt.transaction_hash));
            show.result(&json!({ "to": to, "wei": amount.to_string(), "tx": receipt.transaction_hash }));
            connection.close().await
        }
        WalletCommand::Deposit { from, amount } => {
            let (wallet, amount) = (local.unlock(&from)?, parse_open(&amount)?);
            let connection = Connection::open(home, &local).await?;
            connection.client.escrow().deposit(&wallet, amount).await?;
            let deposit = connection.client.escrow().balance(wallet.address()).await?;
            show.line(format!(
                "deposited {} OPEN; {} OPEN can be charged",
                format_open(amount),
                format_open(deposit)
            ));
            show.result(&json!({ "account": wallet.address(), "deposit_wei": deposit.to_string() }));
            connection.close().await
        }
        WalletCommand::ApiKey { from, cap, days, operator } => {
            let (wallet, cap, operator) =
                (local.unlock(&from)?, parse_open(&cap)?, local.address(&operator)?);
            let connection = Connection::open(home, &local).await?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let (key, expires_at) = (ApiKey::generate(), now + days * DAY);
            // Before the chain knows it, so that no authorised key is ever lost.
            write_secret(&home.api_key_file(), key.reveal())?;
            connection.client.escrow().authorise(&wallet, &key, operator, cap, expires_at).await?;
            show.line(format!(
                "{}\nlets {operator} charge at most {} OPEN for {days} days; kept in {}",
                key.reveal(),
                format_open(cap),
                home.api_key_file().display()
            ));
            show.result(&json!({
                "api_key": key.reveal(), "key_hash": key.hash(), "operator": operator, "cap_wei": cap.to_string(),
                "expires_at": expires_at,
            }));
            connection.close().await
        }
    }
}

async fn list(home: &Home, local: &Local, show: &Show) -> Result<()> {
    let connection = Connection::open(home, local).await?;
    let mut rows = vec![["name", "address", "OPEN"].map(str::to_owned).to_vec()];
    let mut keys = Vec::new();
    for account in local.keystore().list()? {
        let Some(address) = account.address else { continue };
        let balance = connection.client.balance(address).await?;
        rows.push(vec![account.name.clone(), address.to_string(), format_open(balance)]);
        keys.push(json!({ "name": account.name, "address": address, "wei": balance.to_string() }));
    }
    show.line(table(&rows));
    show.result(&json!({ "keys": keys }));
    connection.close().await
}

async fn balance(home: &Home, local: &Local, account: &str, show: &Show) -> Result<()> {
    let address = local.address(account)?;
    let connection = Connection::open(home, local).await?;
    let balance = connection.client.balance(address).await?;
    let deposit = connection.client.escrow().balance(address).await?;
    show.line(format!(
        "{address}\n  balance {} OPEN\n  deposit {} OPEN",
        format_open(balance),
        format_open(deposit)
    ));
    show.result(
        &json!({ "account": address, "wei": balance.to_string(), "deposit_wei": deposit.to_string() }),
    );
    connection.close().await
}
