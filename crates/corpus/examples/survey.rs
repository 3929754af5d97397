//! Prints whose prose the crates of a cargo home offer: `survey [--lock Cargo.lock] [--contributors N] [--records N] [--samples N] CARGO_HOME`.
#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::{collections::BTreeMap, error::Error, fs, path::PathBuf, time::Instant};

use alloy_primitives::B256;
use openledger_corpus::{
    cluster::{ClusterItem, OrderKey, cluster},
    crates_source::{SurveyOptions, lock_packages, registry_sources, survey},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut flags = BTreeMap::from([("--contributors", 10), ("--records", 24), ("--samples", 2)]);
    let (mut lock, mut home) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if let Some(value) = flags.get_mut(argument.as_str()) {
            *value = arguments.next().ok_or("a number is missing")?.parse::<usize>()?;
        } else if argument == "--lock" {
            lock = Some(lock_packages(&fs::read_to_string(arguments.next().ok_or("a file is missing")?)?)?);
        } else {
            home = Some(PathBuf::from(argument));
        }
    }
    let home =
        home.ok_or("usage: survey [--lock FILE] [--contributors N] [--records N] [--samples N] CARGO_HOME")?;
    let start = Instant::now();
    let contributors = survey(&SurveyOptions {
        roots: registry_sources(&home)?,
        only: lock,
        contributors: flags["--contributors"],
        crates_each: 6,
        min_records_each: 6,
        records_each: flags["--records"],
        stock_each: 1,
        secret: B256::ZERO,
    })?;
    for contributor in &contributors {
        let bytes: usize = contributor.records.iter().map(|record| record.text.len()).sum();
        println!(
            "\n## {} ({}): {} records, {bytes} bytes",
            contributor.name,
            contributor.key_label,
            contributor.records.len()
        );
        for source in &contributor.crates {
            println!("   {} {} ({})", source.name, source.version, source.license);
        }
        let step = contributor.records.len().div_ceil(flags["--samples"].max(1)).max(1);
        for record in contributor.records.iter().step_by(step) {
            println!("   --- {} {}\n{}", record.source.name, record.source.path, record.text);
        }
    }
    let items: Vec<_> = contributors
        .iter()
        .zip(0..)
        .flat_map(|(contributor, contribution)| {
            contributor.records.iter().zip(0..).map(move |(record, index)| ClusterItem {
                text: &record.text,
                order: OrderKey { block: 0, contribution, record: index },
            })
        })
        .collect();
    let clusters = cluster(&items)?;
    println!("\n{} records in {} clusters, {:?}", items.len(), clusters.owner.len(), start.elapsed());
    for found in &clusters.evidence {
        println!("{:?}\n  {}\n  {}", found.matched, items[found.record].text, items[found.earlier].text);
    }
    Ok(())
}
