//! The seat of this folder's node in consensus.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

use alloy_primitives::{Address, B256, FixedBytes, U256};
use anyhow::{Context, Result, bail, ensure};
use openledger_client::{Client, TxReceipt};
use openledger_node::Home as NodeHome;
use openledger_types::abi::{IStaking, StakeRole};
use openledger_types::amount::{format_open, parse_open};
use serde_json::{Value, json};

use crate::args::ValidatorCommand;
use crate::connection::Connection;
use crate::home::Home;
use crate::local::Local;
use crate::show::Show;

/// Epochs from the one in which a key is registered to the first one that it can vote in.
const ELECTED_AHEAD: u64 = 2;

pub(crate) async fn run(home: &Home, command: ValidatorCommand, show: &Show) -> Result<()> {
    let local = Local::open(home)?;
    let Some(connection) = Connection::reach(home).await? else {
        let folder = home.root().display();
        bail!("no node answers for {folder}; name one that is level with the chain with --rpc URL");
    };
    let client = &connection.client;
    match command {
        ValidatorCommand::Register { from, stake, address } => {
            let stake = stake.map(|amount| parse_open(&amount)).transpose()?;
            register(home, &local, client, &from, stake, address, show).await?;
        }
        ValidatorCommand::Rotate { to, from, address } => {
            rotate(&local, client, &to, &from, address, show).await?;
        }
        ValidatorCommand::Deregister { from } => {
            let wallet = local.unlock(&from)?;
            let receipt = client.staking().transact(&wallet, &IStaking::deregisterKeyCall {}).await?;
            let until = voting(client, &receipt).await?;
            show.line(format!(
                "{} is no candidate any more; what it has been elected for ends before block {}, and its stake stays bonded",
                wallet.address(),
                until.block
            ));
            show.result(
                &json!({ "account": wallet.address(), "no_seat_from": until.json(), "tx": receipt.transaction_hash }),
            );
        }
        ValidatorCommand::Status { account } => {
            status(home, client, local.address(&account)?, show).await?;
        }
    }
    connection.close().await
}

async fn register(
    home: &Home,
    local: &Local,
    client: &Client,
    from: &str,
    stake: Option<U256>,
    address: Option<SocketAddr>,
    show: &Show,
) -> Result<()> {
    let node = node(home.root(), client)?;
    let wallet = local.unlock(from)?;
    let address = reachable(&node, address)?;
    let standing = client.staking().staker(wallet.address()).await?;
    let lacks = match stake {
        Some(amount) => amount,
        None => client.params().get("validator_stake").await?.saturating_sub(standing.stake),
    };
    if !lacks.is_zero() {
        client
            .staking()
            .stake(&wallet, StakeRole::Validator, lacks)
            .await
            .with_context(|| format!("staking {} OPEN of {}", format_open(lacks), wallet.address()))?;
    }
    let call = IStaking::registerKeyCall {
        key: node.key.public_bytes(),
        proof: node.key.prove(node.genesis.chain_id, wallet.address()),
        ip: bytes(address.ip()),
        port: address.port(),
    };
    let receipt = client.staking().transact(&wallet, &call).await?;
    let from = voting(client, &receipt).await?;
    let staked = client.staking().staker(wallet.address()).await?.stake;
    show.line(format!(
        "{} is a candidate with {} OPEN and the key {} at {address}\nif its stake is among the largest when epoch {} ends, \
         it votes from epoch {} on, which begins with block {}",
        wallet.address(),
        format_open(staked),
        node.key.public_hex(),
        from.epoch - ELECTED_AHEAD,
        from.epoch,
        from.block
    ));
    show.result(&json!({
        "account": wallet.address(), "stake_wei": staked.to_string(), "key": node.key.public_hex(), "address": address,
        "votes_from": from.json(), "tx": receipt.transaction_hash,
    }));
    Ok(())
}

async fn rotate(
    local: &Local,
    client: &Client,
    to: &Path,
    from: &str,
    address: Option<SocketAddr>,
    show: &Show,
) -> Result<()> {
    let node = node(to, client)?;
    let wallet = local.unlock(from)?;
    let address = reachable(&node, address)?;
    let call = IStaking::rotateKeyCall {
        key: node.key.public_bytes(),
        proof: node.key.prove(node.genesis.chain_id, wallet.address()),
    };
    let receipt = client.staking().transact(&wallet, &call).await?;
    let known = client.staking().call(&IStaking::consensusKeyCall { account: wallet.address() }).await?;
    if (known.ip, known.port) != (bytes(address.ip()), address.port()) {
        let call = IStaking::setNetworkAddressCall { ip: bytes(address.ip()), port: address.port() };
        client.staking().transact(&wallet, &call).await?;
    }
    let from = voting(client, &receipt).await?;
    show.line(format!(
        "the key {} of {} votes for {} from epoch {} on, which begins with block {}; run its node from now on, and stop the old \
         one after that block",
        node.key.public_hex(),
        to.display(),
        wallet.address(),
        from.epoch,
        from.block
    ));
    show.result(&json!({
        "account": wallet.address(), "key": node.key.public_hex(), "address": address, "votes_from": from.json(),
        "tx": receipt.transaction_hash,
    }));
    Ok(())
}

async fn status(home: &Home, client: &Client, account: Address, show: &Show) -> Result<()> {
    let staking = client.staking();
    let staker = staking.staker(account).await?;
    let active = staking.is_active(account, StakeRole::Validator).await?;
    let registered = staking.call(&IStaking::consensusKeyCall { account }).await?;
    let length = staking.call(&IStaking::epochBlocksCall {}).await?;
    // The epoch of the next block.
    let epoch = (client.block_number().await? + 1) / length;
    let own = NodeHome::open(home.root()).ok().map(|node| node.key.public_bytes());
    let whose = |key: B256| if Some(key) == own { ", that of this folder's node" } else { "" };

    show.line(format!("{account}\n  stake {} OPEN", format_open(staker.stake)));
    if staker.jailedUntil != 0 {
        show.line(format!("  jailed until {} (unix seconds)", staker.jailedUntil));
    }
    let has_key = !registered.key.is_zero();
    let address = SocketAddr::new(Ipv6Addr::from(registered.ip.0).to_canonical(), registered.port);
    if has_key {
        let place = if registered.port == 0 { String::new() } else { format!(" at {address}") };
        show.line(format!("  key {:x}{place}{}", registered.key, whose(registered.key)));
    } else {
        show.line("  no key; `openledger validator register` makes it a candidate");
    }
    let mut seats = Vec::new();
    for epoch in epoch..epoch + ELECTED_AHEAD {
        let set = staking.call(&IStaking::validatorSetCall { epoch }).await?;
        let seat = set.iter().find(|seat| seat.account == account);
        let (first, last) = (epoch * length, (epoch + 1) * length - 1);
        show.line(match seat {
            Some(seat) => format!(
                "  epoch {epoch}, blocks {first} to {last}: one of {} seats, key {:x}{}",
                set.len(),
                seat.key,
                whose(seat.key)
            ),
            None => format!("  epoch {epoch}, blocks {first} to {last}: none of {} seats", set.len()),
        });
        seats.push(json!({
            "epoch": epoch, "first_block": first, "last_block": last, "seats": set.len(), "key": seat.map(|seat| hex(seat.key)),
        }));
    }
    let candidate = (has_key && active).then(|| Voting::new(epoch + ELECTED_AHEAD, length));
    match &candidate {
        Some(next) => show.line(format!(
            "  epoch {}, from block {} on: a candidate, elected by stake after block {}",
            next.epoch,
            next.block,
            (epoch + 1) * length - 1
        )),
        None => show.line("  no candidate for the epochs after these"),
    }
    show.result(&json!({
        "account": account, "stake_wei": staker.stake.to_string(), "active": active, "jailed_until": staker.jailedUntil,
        "key": has_key.then(|| hex(registered.key)), "address": (registered.port != 0).then_some(address),
        "is_this_node": has_key && Some(registered.key) == own, "seats": seats,
        "candidate_for": candidate.map(|next| next.json()),
    }));
    Ok(())
}

/// The first epoch that an election after some block decides.
struct Voting {
    epoch: u64,
    block: u64,
}

impl Voting {
    fn new(epoch: u64, length: u64) -> Self {
        Self { epoch, block: epoch * length }
    }

    fn json(&self) -> Value {
        json!({ "epoch": self.epoch, "block": self.block })
    }
}

/// From when on a change of candidates counts that a transaction has made.
async fn voting(client: &Client, receipt: &TxReceipt) -> Result<Voting> {
    let length = client.staking().call(&IStaking::epochBlocksCall {}).await?;
    let block = receipt.block_number.context("a transaction that is final has a block")?;
    Ok(Voting::new(block / length + ELECTED_AHEAD, length))
}

/// The node of a folder, which has to be of the client's chain.
fn node(folder: &Path, client: &Client) -> Result<NodeHome> {
    let node = NodeHome::open(folder).with_context(|| {
        format!(
            "{} holds no node; set one up with: openledger --home {} node --genesis FILE --listen IP:PORT --peer KEY@IP:PORT",
            folder.display(),
            folder.display()
        )
    })?;
    ensure!(
        node.genesis.chain_id == client.chain_id(),
        "the node in {} is of chain {}, and {} answers for chain {}",
        folder.display(),
        node.genesis.chain_id,
        client.url(),
        client.chain_id()
    );
    Ok(node)
}

/// Where others reach a node.
fn reachable(node: &NodeHome, given: Option<SocketAddr>) -> Result<SocketAddr> {
    let address = given.or(node.network.as_ref().map(|network| network.listen));
    match address {
        Some(address) if address.port() != 0 && !address.ip().is_unspecified() => Ok(address),
        Some(address) => {
            bail!(
                "nobody can reach {address}; say where the other nodes reach this one with --address IP:PORT"
            )
        }
        None => bail!("the node listens for nobody; say where the others reach it with --address IP:PORT"),
    }
}

/// An address as the staking module takes it: IPv4 as `::ffff:a.b.c.d`.
fn bytes(ip: IpAddr) -> FixedBytes<16> {
    let ip = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    FixedBytes(ip.octets())
}

/// A key as the configuration of nodes writes it.
fn hex(key: B256) -> String {
    format!("{key:x}")
}
