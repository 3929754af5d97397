//! Random histories on all cores.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use openledger_protocol::history::{Cast, Tallies, Tally, operation_names, play};
use serde_json::json;

use crate::report::{Report, note, progress};

#[derive(Default)]
struct Sum {
    tallies: Tallies,
    /// In how many histories an operation succeeded.
    reached: BTreeMap<&'static str, u64>,
    violations: Vec<String>,
    done: u64,
}

pub(super) fn measure(
    first: u64,
    histories: u64,
    calls: usize,
    threads: usize,
    report: &mut Report,
) -> Result<()> {
    ensure!(histories > 0 && calls > 0, "a run has at least one history of one call");
    note(format!("{histories} histories of {calls} calls ..."));
    let start = Instant::now();
    let (next, sum) = (AtomicU64::new(0), Mutex::new(Sum::default()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let cast = Cast::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= histories {
                        break;
                    }
                    let played = play(&cast, first + number, calls);
                    let mut sum = sum.lock().expect("no thread panics with the sum");
                    match played {
                        Ok(tallies) => add(&mut sum, tallies),
                        Err(violation) => sum.violations.push(violation.to_string()),
                    }
                    sum.done += 1;
                    progress("histories", sum.done as usize, histories as usize);
                }
            });
        }
    });
    let sum = sum.into_inner().expect("no thread panics with the sum");
    let all = sum.tallies.iter().filter(|(name, _)| !name.starts_with("event "));
    let (succeeded, refused) =
        all.fold((0, 0), |(a, b), (_, Tally { succeeded, refused })| (a + succeeded, b + refused));
    let share = |name| sum.reached.get(name).copied().unwrap_or_default() as f64 / histories as f64;
    let least = operation_names().map(|name| (share(name), name)).min_by(|a, b| a.0.total_cmp(&b.0));
    report.figure("histories", histories);
    report.figure("calls_of_a_history", calls);
    report.figure("calls_succeeded", succeeded);
    report.figure("calls_refused", refused);
    report.figure("operations", operation_names().count());
    report.figure("conservation_violations", sum.violations.len());
    let finalised = ["settlement.finalise", "settlement.claim", "settlement.revealStep", "event Slashed"];
    for name in finalised {
        let name_of_figure = name.replace(['.', ' '], "_");
        report.figure(format!("histories_with_{name_of_figure}"), share(name));
    }
    if let Some((share, name)) = least {
        report.figure("least_reached_operation", name);
        report.figure("least_reached_share", share);
    }
    report.figure("seconds_histories", start.elapsed().as_secs_f64());
    let table: Vec<_> = sum
        .tallies
        .iter()
        .map(|(name, tally)| {
            json!({ "operation": name, "succeeded": tally.succeeded, "refused": tally.refused, "histories": sum.reached[name] })
        })
        .collect();
    report.table("operations", table);
    report.table("violations", &sum.violations);
    for violation in sum.violations.iter().take(10) {
        note(violation);
    }
    ensure!(sum.violations.is_empty(), "{} histories broke a property", sum.violations.len());
    Ok(())
}

fn add(sum: &mut Sum, tallies: Tallies) {
    for (name, tally) in tallies {
        let all = sum.tallies.entry(name).or_default();
        all.succeeded += tally.succeeded;
        all.refused += tally.refused;
        *sum.reached.entry(name).or_default() += u64::from(tally.succeeded != 0);
    }
}
