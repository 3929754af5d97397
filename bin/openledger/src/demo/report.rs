//! What the demo prints: sources, the split of the fees to the last unit, balances, and how to recompute it.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use anyhow::Result;
use openledger_client::Client;
use openledger_types::addresses::{BURN, STAKING, TREASURY};
use openledger_types::amount::format_open;
use openledger_types::batch::{BatchFile, PayoutKind};
use serde_json::{Value, json};

use super::Person;
use crate::home::Home;
use crate::show::{Show, table};

/// Spans of one answer that are shown.
const SHOWN_SPANS: usize = 3;

/// The estimate that came with an answer: who, and which words stand where.
pub(super) fn estimate(extra: &Value, people: &[Person], show: &Show) {
    let attribution = &extra["attribution"];
    let mut parts: Vec<String> = attribution["contributors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|share| share["share_ppm"].as_u64().unwrap_or(0) >= 10_000)
        .map(|share| {
            let percent = share["share_ppm"].as_f64().unwrap_or(0.0) / 10_000.0;
            format!("{} {percent:.0} %", name(people, share["account"].as_str().unwrap_or_default()))
        })
        .collect();
    let nobody = attribution["unattributed_ppm"].as_f64().unwrap_or(0.0) / 10_000.0;
    parts.push(format!("nobody {nobody:.0} %"));
    let nats = attribution["explained_micronats"].as_f64().unwrap_or(0.0) / 1e6;
    show.line(format!(
        "    pending influence ({}, {nats:.2} nats explained): {}",
        attribution["tier"].as_str().unwrap_or_default(),
        parts.join(", ")
    ));
    for span in attribution["spans"].as_array().into_iter().flatten().take(SHOWN_SPANS) {
        let whose = span["matches"][0]["contributor"].as_str().unwrap_or_default();
        let text = span["text"].as_str().unwrap_or_default().trim().replace('\n', " ");
        show.line(format!("    match: «{text}» stands in a record of {}", name(people, whose)));
    }
}

fn name(people: &[Person], account: &str) -> String {
    people
        .iter()
        .find(|person| person.wallet.address().to_string().eq_ignore_ascii_case(account))
        .map_or_else(|| account.to_owned(), |person| person.name.clone())
}

/// One line of where the fees went.
struct Paid {
    account: Address,
    role: &'static str,
    wei: U256,
}

pub(super) async fn print(
    home: &Home,
    client: &Client,
    people: &[Person],
    file: &BatchFile,
    batch: U256,
    before: &[(Address, U256)],
    show: &Show,
) -> Result<()> {
    let fees = file.answers.iter().fold(U256::ZERO, |sum, answer| sum + answer.receipt.fee);
    let paid = paid(file);
    let sum = paid.iter().fold(U256::ZERO, |sum, line| sum + line.wei);
    anyhow::ensure!(
        sum == fees,
        "the parts add up to {sum} wei and the fees to {fees}: this must not happen"
    );

    show.line(format!(
        "\nBatch {batch}, epoch {}: {} answers, {} OPEN",
        file.epoch,
        file.answers.len(),
        format_open(fees)
    ));
    show.line("\nWhere the fees went, to the last 10⁻¹⁸ OPEN");
    let mut rows = vec![["role", "account", "wei"].map(str::to_owned).to_vec()];
    for line in &paid {
        let account = line.account.to_string();
        rows.push(vec![line.role.to_owned(), name(people, &account), line.wei.to_string()]);
    }
    rows.push(vec!["sum".to_owned(), String::new(), sum.to_string()]);
    show.line(table(&rows));

    let mut influence: BTreeMap<Address, f64> = BTreeMap::new();
    let mut retrieved: BTreeMap<Address, U256> = BTreeMap::new();
    for credit in &file.credits {
        // For people's eyes only; payouts are integers.
        let wei = credit.influence_wei.to_string().parse::<f64>().unwrap_or(0.0);
        *influence.entry(credit.contributor).or_default() += wei / 1e18;
        *retrieved.entry(credit.contributor).or_default() += credit.retrieved_wei;
    }
    show.line("What each contributor has (influence is signed and netted over the answers)");
    let head = [
        "contributor",
        "influence, OPEN",
        "retrieval credit, OPEN",
        "before, OPEN",
        "after, OPEN",
        "earned, OPEN",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut balances = Vec::new();
    for person in people {
        let account = person.wallet.address();
        let before = before.iter().find(|(a, _)| *a == account).map_or(U256::ZERO, |(_, wei)| *wei);
        let after = client.balance(account).await?;
        rows.push(vec![
            person.name.clone(),
            format!("{:+.6}", influence.get(&account).copied().unwrap_or(0.0)),
            format_open(retrieved.get(&account).copied().unwrap_or_default()),
            format_open(before),
            format_open(after),
            format_open(after.saturating_sub(before)),
        ]);
        balances.push(json!({
            "name": person.name, "account": account, "before_wei": before.to_string(), "after_wei": after.to_string(),
        }));
    }
    show.line(table(&rows));

    show.line("Time by step");
    let mut rows = vec![["step", "seconds"].map(str::to_owned).to_vec()];
    let mut total = 0.0;
    for (step, took) in show.times() {
        total += took.as_secs_f64();
        rows.push(vec![step, format!("{:.1}", took.as_secs_f64())]);
    }
    rows.push(vec!["sum".to_owned(), format!("{total:.1}")]);
    show.line(table(&rows));

    let receipts: Vec<String> =
        file.answers.iter().map(|answer| answer.receipt.id(file.chain_id).to_string()).collect();
    show.line("Recompute a payout from chain and corpus alone:");
    if let Some(first) = receipts.first() {
        show.line(format!("  openledger --home {} verify {first}", home.root().display()));
    }
    show.line("Keep all of it running:");
    show.line(format!("  openledger --home {} up", home.root().display()));
    let paid: Vec<Value> = paid
        .iter()
        .map(|line| json!({ "account": line.account, "role": line.role, "wei": line.wei.to_string() }))
        .collect();
    show.result(&json!({
        "receipts": receipts,
        "fee_wei": fees.to_string(),
        "paid": paid,
        "verify": "equal",
        "batch": batch.to_string(),
        "balances": balances,
        "seconds": total,
    }));
    Ok(())
}

/// Everybody who is paid, with the parts that are nobody's claim and the rounding remainder by name.
fn paid(file: &BatchFile) -> Vec<Paid> {
    let mut paid: Vec<Paid> = file
        .payouts
        .iter()
        .map(|payout| Paid { account: payout.account, role: role(payout.role), wei: payout.amount })
        .collect();
    let parts = &file.parts;
    for (account, role, wei) in [
        (STAKING, "validators", parts.validators),
        (TREASURY, "treasury", parts.treasury - parts.rounding),
        (TREASURY, "rounding_remainder", parts.rounding),
        (BURN, "burn", parts.burn),
    ] {
        paid.push(Paid { account, role, wei });
    }
    paid
}

fn role(kind: PayoutKind) -> &'static str {
    match kind {
        PayoutKind::Contributor => "contributor",
        PayoutKind::Base => "base_pool",
        PayoutKind::Operator => "operator",
        PayoutKind::Developer => "developer",
    }
}
