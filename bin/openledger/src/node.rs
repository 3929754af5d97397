//! The validator or follower of a home folder, alone.

use std::io::Read;
use std::num::NonZeroUsize;

use alloy_primitives::B256;
use anyhow::{Context, Result, ensure};
use openledger_client::Client;
use openledger_node::{Checkpoint, DEFAULT_HTTP, Network, Node, NodeConfig};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::args::NodeArgs;
use crate::home::Home;
use crate::show::Show;

pub(crate) async fn run(home: &Home, args: NodeArgs, show: &Show) -> Result<()> {
    if let (Some(genesis), Some(listen)) = (&args.genesis, args.listen) {
        let network = Network {
            http: args.http.unwrap_or(DEFAULT_HTTP),
            listen,
            peers: args.peers.iter().cloned().collect(),
            followers: Default::default(),
            follow: false,
        };
        openledger_node::join(home.root(), genesis, &network)?;
    }
    let mut config = NodeConfig::open(home.root())?;
    config.http = args.http.unwrap_or(config.http);
    config.listen = args.listen.unwrap_or(config.listen);
    config.peers.extend(args.peers);
    config.cache = NonZeroUsize::new((args.cache as usize) << 20).unwrap_or(config.cache);
    if let Some((number, hash)) = args.sync_from {
        config.checkpoint = Some(checkpoint(home, number, hash).await?);
    }
    let (listen, follow) = (config.listen, config.follow);
    let key = openledger_node::Home::open(home.root())?.key.public_hex();
    let node = tokio::task::spawn_blocking(move || Node::start(config))
        .await
        .context("the node ended while it started")??;
    let head = node.chain().head();
    show.line(format!(
        "chain {} at {}, block {}; interrupt with Ctrl-C",
        node.chain().genesis().chain_id,
        node.rpc_url(),
        head.header.number
    ));
    show.result(&json!({
        "rpc": node.rpc_url(), "listen": listen, "key": key, "follow": follow, "chain_id": node.chain().genesis().chain_id,
        "pid": std::process::id(), "block": head.header.number,
    }));

    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let chain = node.chain().clone();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        () = end_of_input(args.with_parent) => {}
        // Joined below, which says why.
        () = chain.stopped() => {}
    }
    show.line("stopping");
    drop(chain);
    tokio::task::spawn_blocking(move || node.shutdown()).await.context("the node ended unexpectedly")??;
    Ok(())
}

/// The checkpoint of a block whose hash is trusted, from a node that need not be.
async fn checkpoint(home: &Home, number: u64, hash: B256) -> Result<Checkpoint> {
    let url = home
        .rpc()
        .context("--sync-from takes the block's certificate from a node: name one with --rpc URL")?;
    let client = Client::connect(url).await?;
    let found = client.checkpoint(number).await?;
    let found =
        found.with_context(|| format!("{url} knows no certificate for block {number} or shortly before"))?;
    ensure!(
        (found.number.to::<u64>(), found.hash) == (number, hash),
        "{url} has {}:{} and not {number}:{hash}; compare that with somebody you trust",
        found.number,
        found.hash
    );
    Ok(Checkpoint { number, hash, certificate: found.certificate, validators: found.validators })
}

/// Ends when standard input does; never if that is not asked for.
async fn end_of_input(asked: bool) {
    let (ended, end) = oneshot::channel::<()>();
    if !asked {
        return std::future::pending().await;
    }
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        // Whatever comes is of no interest.
        while matches!(input.read(&mut [0; 64]), Ok(1..)) {}
        drop(ended);
    });
    // The sender is only ever dropped.
    drop(end.await);
}
