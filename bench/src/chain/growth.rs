//! What a block costs while the state grows.
//!
//! New accounts are made by paying a wei each, through Multicall3, in blocks that are about half full. At every size as many
//! blocks are timed: each holds one transaction that pays a wei to accounts drawn out of all that there are, so that its
//! reads and writes lie all over the state. Between two of them the network rests for longer than blocks are apart, so that
//! the next is proposed at once; its time is from sending the transaction until its block is shown, which is final.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256, address};
use alloy_sol_types::{SolCall, sol};
use anyhow::{Context, Result, ensure};
use openledger_client::Wallet;
use serde_json::json;

use super::load::{call, recipient, sign};
use super::rpc::Endpoint;
use super::system::{OpenLedger, System, included};
use super::{median, sorted};
use crate::report::{Report, note};
use crate::stats::SplitMix;

const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");
/// Accounts that one transaction makes: some 15 million gas, of the 16.7 million that a transaction may have.
const MADE_AT_ONCE: usize = 390;
/// Transactions that make accounts and wait at the same time: with two, blocks are half full and the base fee stands still.
const MADE_TOGETHER: u64 = 2;
/// Accounts that a timed block pays: as many as a transaction of 128 KiB can name.
const PAID: usize = 600;
/// Gas of a transaction, at most (EIP-7825).
const GAS: u64 = 16_000_000;
/// Rest between timed blocks; blocks are 50 ms apart.
const REST: Duration = Duration::from_millis(100);
const SEED: u64 = 3;

sol! {
    struct Call3Value {
        address target;
        bool allowFailure;
        uint256 value;
        bytes callData;
    }

    interface IMulticall3 {
        function aggregate3Value(Call3Value[] calldata calls) external payable;
    }
}

/// Measures at each of these sizes, which ascend.
pub(super) async fn measure(
    system: &OpenLedger,
    sizes: &[usize],
    blocks: usize,
    report: &mut Report,
) -> Result<()> {
    let mut payer = Payer::new(system).await?;
    let mut random = SplitMix(SEED);
    let (mut accounts, mut medians) = (0, Vec::new());
    for size in sizes {
        note(format!("state of {size} accounts"));
        payer.make(accounts..*size).await?;
        accounts = *size;
        let mut times = Vec::with_capacity(blocks);
        for _ in 0..blocks {
            let paid: Vec<usize> = (0..PAID).map(|_| random.below(accounts)).collect();
            times.push(payer.time_block(&paid).await?);
        }
        let times = sorted(times.into_iter());
        let middle = median(&times).context("at least one block")?;
        report.figure(format!("state_block_ms_{size}"), middle);
        report.figure(format!("state_block_ms_{size}_least"), times.first());
        report.figure(format!("state_block_ms_{size}_most"), times.last());
        report.figure(format!("state_disk_mib_{size}"), system.disk_bytes()? >> 20);
        report.figure(format!("state_memory_mib_{size}"), system.memory_bytes()? >> 20);
        report.table(&format!("state_block_ms_{size}"), &times);
        medians.push(middle);
    }
    let (first, last) = (medians.first().context("a size")?, medians.last().context("a size")?);
    report.figure("state_growth_ratio", last / first);
    report.seed("state_growth", SEED);
    Ok(())
}

/// Who pays everybody.
struct Payer {
    wallet: Wallet,
    endpoint: Endpoint,
    next: u64,
}

impl Payer {
    async fn new(system: &OpenLedger) -> Result<Self> {
        let (wallet, endpoint) = (system.community()?, Endpoint::new(&system.urls()[0])?);
        let next = endpoint.quantity("eth_getTransactionCount", json!([wallet.address(), "latest"])).await?;
        Ok(Self { wallet, endpoint, next })
    }

    /// A signed transaction that pays a wei to each.
    fn sign(&mut self, paid: impl Iterator<Item = usize>) -> String {
        let pay = |number| Call3Value {
            target: recipient(number),
            allowFailure: false,
            value: U256::ONE,
            callData: Default::default(),
        };
        let calls: Vec<_> = paid.map(pay).collect();
        let value = U256::from(calls.len());
        let input = IMulticall3::aggregate3ValueCall { calls }.abi_encode();
        let signed = sign(&self.wallet, call(self.next, MULTICALL3, value, input.into(), GAS));
        self.next += 1;
        signed
    }

    async fn send(&self, signed: &str) -> Result<()> {
        let refused = self.endpoint.send(&[signed]).await?;
        ensure!(refused.is_empty(), "the pool of a network with one client is full");
        Ok(())
    }

    /// Makes the accounts with these numbers.
    async fn make(&mut self, mut numbers: std::ops::Range<usize>) -> Result<()> {
        let last = numbers.end;
        while !numbers.is_empty() {
            let end = last.min(numbers.start + MADE_AT_ONCE);
            let signed = self.sign(numbers.start..end);
            numbers.start = end;
            self.send(&signed).await?;
            included(&self.endpoint, self.wallet.address(), self.next.saturating_sub(MADE_TOGETHER - 1))
                .await?;
        }
        included(&self.endpoint, self.wallet.address(), self.next).await?;
        for number in [0, last / 2, last - 1] {
            let balance =
                self.endpoint.quantity("eth_getBalance", json!([recipient(number), "latest"])).await?;
            ensure!(balance > 0, "account {number} of {last} was not made");
        }
        Ok(())
    }

    /// Milliseconds from sending a transaction that pays these accounts until its block is shown.
    async fn time_block(&mut self, paid: &[usize]) -> Result<f64> {
        let signed = self.sign(paid.iter().copied());
        tokio::time::sleep(REST).await;
        let start = Instant::now();
        self.send(&signed).await?;
        included(&self.endpoint, self.wallet.address(), self.next).await?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}
