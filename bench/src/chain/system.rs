//! What is measured: processes that answer JSON-RPC.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256};
use anyhow::{Context, Result, bail, ensure};
use openledger_client::{Keystore, Wallet};
use serde_json::{Value, json};

use super::load::{CHAIN_ID, transfer, wallet};
use super::rpc::Endpoint;
use super::token::Token;
use crate::process;

/// How long something may take that takes a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// What each account is given: 1,000 OPEN, more than its transactions can cost.
const FUNDS: u128 = 1_000_000_000_000_000_000_000;
/// How many transactions of one account a pool takes.
const PER_ACCOUNT: usize = 200;
/// `USER_HZ` of every Linux that people run.
const TICKS_A_SECOND: f64 = 100.0;
const ANVIL_PACKAGE: &str = "@foundry-rs/anvil-linux-amd64";
const ANVIL_VERSION: &str = "1.7.1";

/// A running system.
pub(super) trait System {
    /// Where clients connect.
    fn urls(&self) -> &[String];
    /// Its processes.
    fn pids(&self) -> &[u64];
    /// Gives every account what it needs to pay with.
    async fn pay(&self, accounts: &[Address]) -> Result<()>;

    /// Processor seconds of all processes so far.
    fn cpu_seconds(&self) -> Result<f64> {
        self.pids().iter().map(|pid| cpu_seconds(&format!("/proc/{pid}/stat"))).sum()
    }

    /// The same of the threads that run, by their names.
    fn cpu_by_thread(&self) -> Result<BTreeMap<String, f64>> {
        let mut seconds = BTreeMap::new();
        for pid in self.pids() {
            let threads = format!("/proc/{pid}/task");
            for thread in fs::read_dir(&threads).with_context(|| format!("reading {threads}"))? {
                let folder = thread?.path();
                // A thread may end meanwhile.
                let Ok(name) = fs::read_to_string(folder.join("comm")) else { continue };
                let Ok(spent) = cpu_seconds(&folder.join("stat").to_string_lossy()) else { continue };
                *seconds.entry(name.trim().to_owned()).or_default() += spent;
            }
        }
        Ok(seconds)
    }

    /// Gives the accounts what they need, and the token if there is one.
    async fn prepare(&self, accounts: &[Address], token: Option<&Token>) -> Result<()> {
        let others = [Some(finality_wallet()?.address()), token.map(Token::owner)];
        let paid: Vec<_> = accounts.iter().copied().chain(others.into_iter().flatten()).collect();
        self.pay(&paid).await?;
        let Some(token) = token else { return Ok(()) };
        let endpoint = Endpoint::new(&self.urls()[0])?;
        send_in_parts(&endpoint, token.owner(), 0, &token.deployment(accounts)).await
    }
}

/// Sends transactions of one account, whose nonces begin with `nonce`, as many at a time as a pool takes.
pub(super) async fn send_in_parts(
    endpoint: &Endpoint,
    from: Address,
    mut nonce: u64,
    signed: &[String],
) -> Result<()> {
    for part in signed.chunks(PER_ACCOUNT) {
        let refused = endpoint.send(&part.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        ensure!(refused.is_empty(), "the pool of a fresh system is full");
        nonce += part.len() as u64;
        included(endpoint, from, nonce).await?;
    }
    Ok(())
}

/// Waits until blocks hold all transactions of an account below `nonce`.
pub(super) async fn included(endpoint: &Endpoint, account: Address, nonce: u64) -> Result<()> {
    let start = Instant::now();
    while endpoint.quantity("eth_getTransactionCount", json!([account, "latest"])).await? < nonce {
        ensure!(
            start.elapsed() < PATIENCE,
            "the transactions of {account} are not included within {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Processor seconds that a `stat` file of `/proc` tells.
fn cpu_seconds(path: &str) -> Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    // The name in parentheses may hold anything; user and system time are the 12th and 13th field after it.
    let (_, fields) = text.rsplit_once(')').context("a process has a name")?;
    let times: Vec<f64> =
        fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    Ok(times.iter().sum::<f64>() / TICKS_A_SECOND)
}

/// `openledger testnet`.
pub(super) struct OpenLedger {
    child: Child,
    urls: Vec<String>,
    pids: Vec<u64>,
    home: PathBuf,
}

/// The binary, built from this source as this program was.
pub(crate) fn build() -> Result<PathBuf> {
    let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    command.args(["build", "--quiet", "--package", "openledger", "--message-format", "json"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()
        .context("building openledger; name the binary with --openledger FILE")?;
    ensure!(output.status.success(), "openledger does not build; name the binary with --openledger FILE");
    let messages = String::from_utf8(output.stdout)?;
    let executable =
        messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
            message["executable"]
                .as_str()
                .filter(|_| message["target"]["name"] == "openledger")
                .map(PathBuf::from)
        });
    executable.context("cargo does not say where openledger is; name the binary with --openledger FILE")
}

impl OpenLedger {
    /// Starts a fresh network.
    pub(super) fn start(program: &Path, folder: &Path, validators: u16) -> Result<Self> {
        let home = folder.join(format!("testnet-{validators}"));
        if home.exists() {
            fs::remove_dir_all(&home).with_context(|| format!("emptying {}", home.display()))?;
        }
        fs::create_dir_all(&home).with_context(|| format!("creating {}", home.display()))?;
        let mut child = Command::new(program)
            .arg("--home")
            .arg(&home)
            .args(["--json", "testnet", "--validators", &validators.to_string()])
            .args(["--base-port", &free_ports(validators)?.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let said = process::said(&mut child, "testnet")?;
        let listed = said["validators"].as_array().with_context(|| format!("testnet said {said}"))?;
        let urls =
            listed.iter().filter_map(|validator| Some(validator["rpc"].as_str()?.to_owned())).collect();
        let pids = listed.iter().filter_map(|validator| validator["pid"].as_u64()).collect();
        Ok(Self { child, urls, pids, home })
    }

    /// The key that holds most of the OPEN.
    pub(super) fn community(&self) -> Result<Wallet> {
        let password = fs::read_to_string(self.home.join("keystore-password"))?;
        Ok(Keystore::open(self.home.join("keystore"))?.unlock("community", password.trim())?)
    }

    /// Bytes of the validators' folders.
    pub(super) fn disk_bytes(&self) -> Result<u64> {
        folder_bytes(&self.home.join("testnet"))
    }

    /// Bytes of memory that the processes hold.
    pub(super) fn memory_bytes(&self) -> Result<u64> {
        self.pids.iter().map(|pid| process::memory_bytes(*pid)).sum()
    }

    /// Stops the network and removes its folder.
    pub(super) fn stop(mut self) -> Result<()> {
        let stopped = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status()?;
        ensure!(stopped.success(), "the network cannot be stopped");
        let status = self.child.wait()?;
        ensure!(status.success(), "the network ended with {status}");
        Ok(fs::remove_dir_all(&self.home)?)
    }
}

impl System for OpenLedger {
    fn urls(&self) -> &[String] {
        &self.urls
    }

    fn pids(&self) -> &[u64] {
        &self.pids
    }

    async fn pay(&self, accounts: &[Address]) -> Result<()> {
        let community = self.community()?;
        let signed: Vec<_> = (0..)
            .zip(accounts)
            .map(|(nonce, to)| transfer(&community, nonce, *to, U256::from(FUNDS)))
            .collect();
        send_in_parts(&Endpoint::new(&self.urls[0])?, community.address(), 0, &signed).await
    }
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

impl Drop for OpenLedger {
    fn drop(&mut self) {
        // After a failure; its processes end with it. Otherwise it has ended already.
        if let Err(error) = self.child.kill() {
            crate::report::note(format!("the network is left running: {error}"));
        }
    }
}

/// The account whose transfers are timed one by one.
pub(super) fn finality_wallet() -> Result<Wallet> {
    wallet("finality")
}

/// The first of a run of ports that are free, as far as one can tell.
fn free_ports(validators: u16) -> Result<u16> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut bases = (20_000..40_000).step_by(200);
    bases
        .find(|base| (0..validators).all(|number| free(base + number) && free(base + 100 + number)))
        .context("no free ports between 20000 and 40000")
}

/// Where `anvil` is.
pub(super) struct Anvil {
    program: PathBuf,
}

/// A running `anvil`.
pub(super) struct RunningAnvil {
    child: Child,
    urls: Vec<String>,
    pids: Vec<u64>,
}

impl Anvil {
    /// The binary given, that of npm's package below the home folder, or that of the PATH.
    pub(super) fn find(given: Option<&Path>, home: &Path) -> Option<Self> {
        let packaged = home.join("npm/node_modules").join(ANVIL_PACKAGE).join("bin/anvil");
        let candidates = match given {
            Some(given) => vec![given.to_owned()],
            None => vec![packaged, PathBuf::from("anvil")],
        };
        let answers = |program: &PathBuf| {
            let version =
                Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        };
        candidates.into_iter().find(answers).map(|program| Self { program })
    }

    /// What to do when it is not there.
    pub(super) fn how_to_get(home: &Path) -> String {
        format!(
            "anvil is missing, so nothing is compared with it; get it with: npm install --prefix {} {ANVIL_PACKAGE}@{ANVIL_VERSION}",
            home.join("npm").display()
        )
    }

    /// Starts a fresh one.
    pub(super) async fn start(&self) -> Result<RunningAnvil> {
        let port = free_ports(1)?;
        let child = Command::new(&self.program)
            .args([
                "--port",
                &port.to_string(),
                "--chain-id",
                &CHAIN_ID.to_string(),
                "--accounts",
                "1",
                "--silent",
            ])
            .args(["--block-time", "1", "--gas-limit", "2000000000", "--prune-history", "50"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        let anvil = RunningAnvil {
            pids: vec![u64::from(child.id())],
            child,
            urls: vec![format!("http://127.0.0.1:{port}")],
        };
        let endpoint = Endpoint::new(&anvil.urls[0])?;
        let start = Instant::now();
        while endpoint.quantity("eth_chainId", json!([])).await.is_err() {
            if start.elapsed() > PATIENCE {
                bail!("anvil does not answer");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(anvil)
    }
}

impl RunningAnvil {
    pub(super) fn stop(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl System for RunningAnvil {
    fn urls(&self) -> &[String] {
        &self.urls
    }

    fn pids(&self) -> &[u64] {
        &self.pids
    }

    async fn pay(&self, accounts: &[Address]) -> Result<()> {
        let endpoint = Endpoint::new(&self.urls[0])?;
        for account in accounts {
            endpoint.call("anvil_setBalance", json!([account, U256::from(FUNDS)])).await?;
        }
        Ok(())
    }
}

impl Drop for RunningAnvil {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill() {
            crate::report::note(format!("anvil is left running: {error}"));
        }
    }
}
