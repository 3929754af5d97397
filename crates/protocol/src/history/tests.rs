use std::collections::BTreeMap;

use super::{Cast, Tallies, operation_names, play};

/// Histories and calls of a run in every test; `openledger-bench protocol` makes a long one.
const HISTORIES: u64 = 12;
/// The first seed: from here on that many histories reach every operation; some are rare.
const FIRST: u64 = 0;
const CALLS: usize = 200;

#[test]
fn books_balance_after_every_call_of_any_history_and_every_operation_is_reached() {
    let cast = Cast::new();
    let mut all: Tallies = BTreeMap::new();
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in FIRST..FIRST + HISTORIES {
        for (name, tally) in play(&cast, seed, CALLS).unwrap_or_else(|violation| panic!("{violation}")) {
            let sum = all.entry(name).or_default();
            sum.succeeded += tally.succeeded;
            sum.refused += tally.refused;
            *reached.entry(name).or_default() += u64::from(tally.succeeded != 0);
        }
    }
    for (name, tally) in &all {
        println!("{name}: {} ok, {} refused, in {} histories", tally.succeeded, tally.refused, reached[name]);
    }
    for name in operation_names() {
        assert!(reached.get(name).is_some_and(|count| *count > 0), "no history has succeeded at {name}");
    }
}

#[test]
fn a_seed_is_one_history() {
    let cast = Cast::new();
    assert_eq!(play(&cast, 7, 100), play(&cast, 7, 100));
    assert_ne!(play(&cast, 7, 100), play(&cast, 8, 100));
}
