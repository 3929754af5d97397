use super::*;
use alloy_primitives::{Address, B256, U256};
use openledger_chain::simulate::{Alteration, Byzantine, Event, Link, Replayed, View, replay};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

/// Seeds that every test run judges.
const SEEDS: u64 = 50;
const THREADS: usize = 2;

#[test]
fn every_property_holds_for_fifty_seeds() {
    let next = AtomicU64::new(1);
    let work = || {
        let mut broken = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > SEEDS {
                return broken;
            }
            let scenario = draw::scenario(seed);
            if let Err(why) = judge(&scenario) {
                let what = report::describe(&scenario);
                broken.push(format!("{what}: {why}; again with: openledger-sim chain --seed {seed}"));
            }
        }
    };
    let broken: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_seed_gives_the_same_events_one_for_one_and_another_seed_gives_others() {
    let trace = |seed: u64| judge(&draw::scenario(seed)).unwrap().ended.trace;
    assert_eq!(trace(2), trace(2));
    assert_ne!(trace(2), trace(3));
}

fn broken(scenario: &Scenario) -> &'static str {
    judge(scenario).expect_err("this must break a property").property
}

/// Four members, and clients that are never done, so that the halves of twins have something to differ in.
fn busy(seed: u64) -> Scenario {
    let mut scenario = draw::quiet(seed, 4, 2);
    scenario.transactions = draw::transfers(2, 60, &[2, 3]);
    scenario.pace = Duration::from_millis(25);
    scenario
}

#[test]
fn two_of_four_with_a_double_break_agreement() {
    let mut scenario = busy(1);
    scenario.byzantine = [(0, Byzantine::Twins), (1, Byzantine::Twins)].into();
    // The honest two hear the doubles only, each of them its own half.
    scenario.events =
        [(0, 1), (2, 3)].into_iter().flat_map(|(one, other)| cut(Duration::ZERO, one, other)).collect();
    assert_eq!(broken(&scenario), "agreement");
}

fn cut(at: Duration, one: usize, other: usize) -> [(Duration, Event); 2] {
    [(one, other), (other, one)].map(|(from, to)| (at, Event::Link { from, to, link: Link::CUT }))
}

#[test]
fn one_of_four_with_a_double_breaks_nothing() {
    let mut scenario = busy(1);
    scenario.byzantine = [(0, Byzantine::Twins)].into();
    judge(&scenario).unwrap();
}

#[test]
fn a_block_that_breaks_a_rule_is_refused_by_all_and_the_reason_is_kept() {
    for (alteration, reason) in [
        (Alteration::StateRoot, "its stateRoot is"),
        (Alteration::ReceiptsRoot, "its receiptsRoot is"),
        (Alteration::FutureTime, "cannot follow its parent's"),
        (Alteration::Beneficiary, "its miner is"),
        (Alteration::GasUsed, "its gasUsed is"),
        (Alteration::DuplicateTransaction, "nonce"),
    ] {
        let mut scenario = busy(1);
        scenario.byzantine = [(0, Byzantine::Altering(alteration))].into();
        let views = judge(&scenario).unwrap().ended.views;
        assert_eq!(views.len(), 3, "{alteration:?}");
        for view in views {
            let kept = view.refused.iter().any(|block| block.reason.contains(reason));
            assert!(kept, "member {} on {alteration:?}: {:?}", view.member, view.refused);
        }
    }
}

#[test]
fn who_votes_twice_is_slashed_and_has_no_seat_in_later_epochs() {
    for kind in [Byzantine::Conflicting, Byzantine::Nullifying] {
        let mut scenario = draw::quiet(1, 5, 2);
        scenario.byzantine = [(4, kind)].into();
        scenario.blocks_after = 4 * scenario.genesis.election.epoch_blocks;
        let judged = judge(&scenario).unwrap();
        assert_eq!((judged.punished, judged.changed), (1, 1), "{kind:?}");
    }
}

#[test]
fn who_is_away_is_jailed_at_the_end_of_an_epoch_and_a_network_without_faults_jails_nobody() {
    for is_away in [true, false] {
        let mut scenario = draw::quiet(1, 5, 2);
        scenario.genesis.params.insert("downtime_views".into(), U256::from(2));
        scenario.genesis.election.epoch_blocks = 15;
        if is_away {
            // It starts and says nothing, which is all that the others know of who is away.
            scenario.byzantine = [(4, Byzantine::Silent)].into();
        }
        scenario.blocks_after = 4 * scenario.genesis.election.epoch_blocks;
        let judged = judge(&scenario).unwrap();
        let replayed = replay(&scenario.genesis, &judged.ended.views[0].blocks).unwrap();
        let account = scenario.genesis.validators[4].account;
        let staker = properties::staker(&scenario, &replayed, account).unwrap();
        let slashed = draw::stake(4) / U256::from(1_000);
        let expected = if is_away { draw::stake(4) - slashed } else { draw::stake(4) };
        assert_eq!((staker.jailedUntil != 0, staker.stake), (is_away, expected));
        assert_eq!((judged.punished, judged.changed), (0, u64::from(is_away)));
    }
}

#[test]
fn two_silent_of_four_break_liveness() {
    let mut scenario = busy(1);
    scenario.byzantine = [(0, Byzantine::Silent), (1, Byzantine::Silent)].into();
    scenario.patience = Duration::from_secs(5);
    assert_eq!(broken(&scenario), "liveness");
}

#[test]
fn a_member_that_stays_away_breaks_liveness() {
    let mut scenario = busy(1);
    scenario.events = vec![(Duration::from_millis(500), Event::Crash(3))];
    scenario.patience = Duration::from_secs(5);
    assert_eq!(broken(&scenario), "liveness");
}

#[test]
fn a_cut_that_nobody_heals_breaks_liveness() {
    let mut scenario = busy(1);
    let at = Duration::from_millis(500);
    scenario.events = (0..2).flat_map(|one| (2..4).flat_map(move |other| cut(at, one, other))).collect();
    scenario.patience = Duration::from_secs(5);
    assert_eq!(broken(&scenario), "liveness");
}

#[test]
fn members_that_all_believe_in_another_genesis_break_validity() {
    let mut scenario = busy(1);
    scenario.minted = Some((Address::repeat_byte(0x99), U256::from(7)));
    assert_eq!(broken(&scenario), "validity");
}

/// A run without faults, with what it gives when it is executed again.
fn good() -> (Scenario, Vec<View>, Replayed) {
    let mut scenario = draw::quiet(1, 4, 2);
    scenario.transactions = draw::transfers(2, 3, &[0, 1]);
    let views = judge(&scenario).unwrap().ended.views;
    let replayed = replay(&scenario.genesis, &views[0].blocks).unwrap();
    (scenario, views, replayed)
}

#[test]
fn every_property_notices_a_view_that_was_changed() {
    let (scenario, views, replayed) = good();
    let changed = |change: &dyn Fn(&mut View)| {
        let mut views = views.clone();
        change(&mut views[1]);
        views
    };
    assert_eq!(views.len(), 4);
    properties::check(&scenario, &views).unwrap();

    properties::agreement(&changed(&|view| view.blocks[2].header.hash = B256::ZERO)).unwrap_err();
    properties::finality(&changed(&|view| view.shown.extend([(1, B256::ZERO)]))).unwrap_err();
    properties::accountability(&scenario, &changed(&|view| view.faults = 1)).unwrap_err();
    let richer = |view: &mut View| view.state.accounts.values_mut().next().unwrap().balance += U256::ONE;
    properties::conservation(&replayed, &changed(&richer)).unwrap_err();
    let mut minted = replayed.clone();
    minted.totals[1] += U256::ONE;
    properties::conservation(&minted, &views).unwrap_err();

    let mut slashed = scenario.clone();
    // As if it had done nothing to be slashed for: the stakes of others are not its.
    slashed.genesis.validators.swap(0, 1);
    properties::slashing(&scenario, &replayed).unwrap();
    properties::slashing(&slashed, &replayed).unwrap_err();

    let own = &views[0];
    properties::state(&replayed, own).unwrap();
    let mut other = own.clone();
    other.state.root = B256::ZERO;
    properties::state(&replayed, &other).unwrap_err();
    let mut other = own.clone();
    other.state.accounts.values_mut().next().unwrap().nonce += 1;
    properties::state(&replayed, &other).unwrap_err();

    // A block that says what execution does not give.
    let invalid = |change: &dyn Fn(&mut openledger_chain::IndexedBlock)| {
        let mut blocks = own.blocks.clone();
        let last = blocks.last_mut().unwrap();
        change(last);
        last.header.hash = last.header.header.hash_slow();
        replay(&scenario.genesis, &blocks).unwrap_err()
    };
    invalid(&|block| block.header.header.state_root = B256::ZERO);
    invalid(&|block| block.header.header.receipts_root = B256::ZERO);
    invalid(&|block| block.header.header.gas_used += 1);
    invalid(&|block| block.header.header.timestamp = 0);
    invalid(&|block| block.header.header.beneficiary = Address::ZERO);
    let twice =
        own.blocks.iter().find(|block| !block.transactions.is_empty()).unwrap().transactions[0].clone();
    let reason = invalid(&|block| block.transactions.push(twice.clone()));
    assert!(reason.contains("is in a block before"), "{reason}");
}
