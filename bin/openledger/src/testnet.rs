//! A network of validators on this machine, each its own process.
//!
//! The processes are `openledger node` on folders below the home folder. They end with this one, however it ends: each
//! has a pipe from here as its standard input and stops when that closes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use openledger_node::{GenesisRole, GenesisStake, Member, init_network};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::args::TestnetArgs;
use crate::home::Home;
use crate::local::{COMMUNITY, Local, VALIDATOR_STAKE, open};
use crate::show::{Show, table};

/// From the port of a node's JSON-RPC to the one where it listens for the others; more than there are nodes.
const LISTEN_OFFSET: u16 = 100;

pub(crate) async fn run(home: &Home, args: &TestnetArgs, show: &Show) -> Result<()> {
    let members = lay_out(home, args)?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    // All are started before any is waited for, so that they find each other at once.
    let started: Vec<_> = members.iter().map(start).collect::<Result<_>>()?;
    let mut running = Vec::new();
    for validator in started {
        running.push(tokio::task::spawn_blocking(move || validator.ready()).await??);
    }
    describe(&running, &members, home, show);

    let (ended, mut endings) = mpsc::channel(running.len());
    let mut inputs = Vec::new();
    for validator in running {
        let Running { home, mut child, input, .. } = validator;
        inputs.push(input);
        let ended = ended.clone();
        std::thread::spawn(move || {
            let status = child.wait();
            // The receiver is there until all have ended.
            drop(ended.blocking_send((home, status)));
        });
    }
    drop(ended);
    let mut left = inputs.len();
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            Some((home, status)) = endings.recv() => {
                left -= 1;
                show.line(format!(
                    "the node in {} ended ({}), {left} go on; start it again with: openledger --home {} node",
                    home.display(), describe_status(status), home.display()
                ));
                if left == 0 {
                    bail!("no node runs any more; each says why in node.log of its folder");
                }
            }
        }
    }
    show.line("stopping");
    drop(inputs);
    let mut failed = Vec::new();
    while let Some((home, status)) = endings.recv().await {
        if !status.as_ref().is_ok_and(ExitStatus::success) {
            failed.push(format!("{} ({})", home.display(), describe_status(status)));
        }
    }
    if !failed.is_empty() {
        bail!("not stopped cleanly, see node.log there: {}", failed.join(", "));
    }
    Ok(())
}

/// The folders of the validators: made, or as an earlier run made them.
fn lay_out(home: &Home, args: &TestnetArgs) -> Result<Vec<Member>> {
    let folder = |role: &str, number: u16| home.root().join("testnet").join(format!("{role}-{number}"));
    if let Ok(first) = openledger_node::Home::open(&folder("validator", 1)) {
        let made = first.genesis.validators.len();
        if made != usize::from(args.validators) {
            bail!(
                "the network in {} was made with {made} validators, not {}; give --validators {made}, or another --home",
                home.root().display(),
                args.validators
            );
        }
    }
    let local = Local::open(home)?;
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut members = Vec::new();
    let place = |port: u16| (loopback(port), loopback(port + LISTEN_OFFSET));
    for number in 1..=args.validators {
        let (http, listen) = place(args.base_port + number - 1);
        let account = Some(local.wallet(&format!("validator-{number}"))?.address());
        members.push(Member { home: folder("validator", number), account, http, listen });
    }
    for number in 1..=args.followers {
        let (http, listen) = place(args.base_port + args.validators + number - 1);
        members.push(Member { home: folder("follower", number), account: None, http, listen });
    }
    let mut options = local.genesis()?;
    options.election.epoch_blocks = args.epoch_blocks;
    let stake = open(VALIDATOR_STAKE);
    let community = options.alloc.entry(local.wallet(COMMUNITY)?.address()).or_default();
    // One stake is in the local genesis already.
    *community -= stake * alloy_primitives::U256::from(args.validators - 1);
    let validators = members.iter().filter_map(|member| member.account);
    options.stakes = validators
        .map(|account| GenesisStake { account, role: GenesisRole::Validator, amount: stake })
        .collect();
    init_network(&members, &options)?;
    Ok(members)
}

/// A process that may not be ready yet.
struct Started {
    home: PathBuf,
    child: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

/// A validator that answers.
struct Running {
    home: PathBuf,
    child: Child,
    input: ChildStdin,
    /// What it said of itself.
    said: Value,
}

fn start(member: &Member) -> Result<Started> {
    let log = log_file(&member.home);
    let log = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let mut child = Command::new(program)
        .arg("--home")
        .arg(&member.home)
        .args(["--json", "node", "--with-parent"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        // Of its own, so that Ctrl-C reaches this process alone, which then stops the others in order.
        .process_group(0)
        .spawn()
        .context("cannot start a validator")?;
    let input = child.stdin.take().context("a validator has a standard input")?;
    let output = BufReader::new(child.stdout.take().context("a validator has a standard output")?);
    Ok(Started { home: member.home.clone(), child, input, output })
}

impl Started {
    /// Waits until the validator answers clients.
    fn ready(mut self) -> Result<Running> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("reading what a validator says")?;
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        if said.get("rpc").is_none() {
            let reason = said["error"].as_str().map_or_else(
                || format!("it ended without a word; see {}", log_file(&self.home).display()),
                str::to_owned,
            );
            bail!("the node in {} did not start: {reason}", self.home.display());
        }
        Ok(Running { home: self.home, child: self.child, input: self.input, said })
    }
}

fn describe(running: &[Running], members: &[Member], home: &Home, show: &Show) {
    let mut rows = vec![["JSON-RPC", "process", "folder"].map(str::to_owned).to_vec()];
    for validator in running {
        let text = |name: &str| {
            validator.said[name].as_str().map_or_else(|| validator.said[name].to_string(), str::to_owned)
        };
        let (rpc, pid) = (text("rpc"), text("pid"));
        rows.push(vec![rpc, pid, validator.home.display().to_string()]);
    }
    show.line(table(&rows));
    show.line(format!(
        "the key `{COMMUNITY}` in {} holds most of the OPEN; interrupt with Ctrl-C",
        home.keystore().display()
    ));
    let peers: Vec<String> = running
        .iter()
        .filter(|node| node.said["follow"] == false)
        .filter_map(|node| Some(format!("{}@{}", node.said["key"].as_str()?, node.said["listen"].as_str()?)))
        .collect();
    let genesis = members.first().map(|member| member.home.join("node").join("genesis.json"));
    if let (Some(last), Some(genesis)) = (members.last(), &genesis) {
        let next = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
        show.line(format!(
            "another node joins with: openledger --home DIR node --genesis {} --http {} --listen {} --peer {}",
            genesis.display(),
            next(last.http),
            next(last.listen),
            peers.join(" --peer ")
        ));
    }
    let list = |follow: bool| -> Vec<_> {
        let wanted = running.iter().filter(|node| node.said["follow"] == follow);
        wanted
            .map(|node| {
                let said = &node.said;
                json!({
                    "home": node.home, "rpc": said["rpc"], "key": said["key"], "listen": said["listen"], "pid": said["pid"],
                })
            })
            .collect()
    };
    let chain_id = running.first().map(|node| node.said["chain_id"].clone());
    show.result(&json!({
        "chain_id": chain_id, "validators": list(false), "followers": list(true), "genesis": genesis, "peers": peers,
    }));
}

/// Where a validator's messages go.
fn log_file(home: &Path) -> PathBuf {
    home.join("node.log")
}

fn describe_status(status: std::io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}
