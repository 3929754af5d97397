use alloy_primitives::{B256, U256};
use openledger_types::abi::IParams;
use openledger_types::addresses::PARAMS as MODULE;
use openledger_types::split::FeeSplit;

use super::{PARAMS, ParamError, fee_split, init, param_name};
use crate::tests::{UNBONDING, World, account, typed};
use crate::{Block, MapStorage};

fn empty() -> MapStorage {
    MapStorage::new(Block { number: 0, timestamp: 0, chain_id: 7, randomness: B256::ZERO })
}

#[test]
fn the_defaults_are_within_their_ranges_and_split_fees_as_the_types_say() {
    for spec in PARAMS {
        assert!(spec.name.is_ascii() && spec.name.len() <= 32, "{}", spec.name);
        assert!(spec.least <= spec.default && spec.default <= spec.most, "{}", spec.name);
        assert!(spec.step > 0 && spec.step <= spec.most - spec.least, "{}", spec.name);
        assert_eq!(PARAMS.iter().filter(|other| other.name == spec.name).count(), 1);
    }
    let mut storage = empty();
    init(&mut storage, []).unwrap();
    assert_eq!(fee_split(&mut storage).unwrap(), FeeSplit::GENESIS);
}

#[test]
fn overrides_are_held_to_names_ranges_and_a_whole_split() {
    let check = |overrides: &[(&str, u64)]| {
        init(&mut empty(), overrides.iter().map(|(name, value)| (*name, U256::from(*value)))).err()
    };
    assert_eq!(check(&[("verify_window", 7)]), None);
    assert_eq!(check(&[("burn_ppm", 40_000), ("treasury_ppm", 50_000)]), None);
    assert_eq!(check(&[("tax_ppm", 7)]), Some(ParamError::Unknown("tax_ppm".into())));
    assert_eq!(check(&[("burn_ppm", 40_000)]), Some(ParamError::Split { got: U256::from(990_000) }));
    // Moves of a day each: a dispute of 3 · 44 of them.
    let check_moves = check(&[("move_window", 43_200)]);
    assert!(matches!(check_moves, Some(ParamError::UnbondingTooShort { .. })), "{check_moves:?}");
    let below = ParamError::Below { name: "withdrawal_delay", other: "settle_grace" };
    assert_eq!(check(&[("withdrawal_delay", 60)]), Some(below));
    assert!(matches!(check(&[("verify_window", 0)]), Some(ParamError::OutOfRange { least: 1, .. })));
}

#[test]
fn every_number_is_read_by_name_and_in_the_stated_order() {
    let mut world = World::new();
    let all = world.view(MODULE, IParams::allCall {});
    assert_eq!(all.names.len(), PARAMS.len());
    assert_eq!(all.names[6], param_name("verify_window"));
    assert_eq!(
        (all.values[6], all.least[6], all.most[6]),
        (U256::from(4), U256::from(1), U256::from(100_000))
    );
    for (name, value) in all.names.into_iter().zip(all.values) {
        assert_eq!(world.view(MODULE, IParams::getCall { name }), value);
    }
    let error: IParams::UnknownParam = world.refused(1, MODULE, IParams::getCall { name: B256::ZERO });
    assert_eq!(error.name, B256::ZERO);
}

#[test]
fn the_document_is_the_table() {
    let text = super::markdown();
    assert_eq!(include_str!("../../PARAMS.md"), text, "write this into PARAMS.md:\n{text}");
}

const GOVERNOR: u8 = 8;

fn governed() -> World {
    let mut world = World::new();
    super::init_governor(&mut world.storage, account(GOVERNOR)).unwrap();
    world
}

fn schedule(changes: &[(&str, u64)]) -> IParams::scheduleCall {
    IParams::scheduleCall {
        names: changes.iter().map(|(name, _)| param_name(name)).collect(),
        values: changes.iter().map(|(_, value)| U256::from(*value)).collect(),
    }
}

fn value(world: &mut World, name: &str) -> U256 {
    world.view(MODULE, IParams::getCall { name: param_name(name) })
}

#[test]
fn a_change_holds_from_the_next_epoch_on() {
    let mut world = governed();
    world.send(GOVERNOR, MODULE, schedule(&[("burn_ppm", 40_000), ("treasury_ppm", 50_000)]));
    assert_eq!(value(&mut world, "burn_ppm"), U256::from(50_000));
    // Second 1,000,000 lies in the epoch that ends with 1,036,800.
    let scheduled = world.view(MODULE, IParams::scheduledCall { name: param_name("burn_ppm") });
    assert_eq!((scheduled.value, scheduled.from), (U256::from(40_000), 1_036_800));
    world.later(36_799);
    assert_eq!(value(&mut world, "burn_ppm"), U256::from(50_000));
    world.later(1);
    assert_eq!(value(&mut world, "burn_ppm"), U256::from(40_000));
    assert_eq!(fee_split(&mut world.storage).unwrap().check(), Ok(()));
    // What held stays until the change after the change.
    world.send(GOVERNOR, MODULE, schedule(&[("burn_ppm", 20_000), ("treasury_ppm", 70_000)]));
    assert_eq!(value(&mut world, "burn_ppm"), U256::from(40_000));
    // A second schedule for the same epoch replaces the first, and its step counts from what holds.
    world.send(GOVERNOR, MODULE, schedule(&[("burn_ppm", 60_000), ("treasury_ppm", 30_000)]));
    world.later(86_400);
    assert_eq!(value(&mut world, "burn_ppm"), U256::from(60_000));
    assert_eq!(world.view(MODULE, IParams::stepsCall {})[5], U256::from(20_000));
}

#[test]
fn a_change_is_the_governors_within_range_and_step_and_keeps_the_whole() {
    let mut world = governed();
    let error: IParams::NotGovernor = world.refused(1, MODULE, schedule(&[("move_window", 5)]));
    assert_eq!(error.governor, account(GOVERNOR));
    let refused = |world: &mut World, changes: &[(&str, u64)]| {
        world.try_pay(GOVERNOR, MODULE, U256::ZERO, schedule(changes)).unwrap_err()
    };
    let error: IParams::OutOfRange = typed(&refused(&mut world, &[("move_window", 1)]));
    assert_eq!((error.least, error.most), (U256::from(2), U256::from(100_000)));
    let error: IParams::StepTooLarge = typed(&refused(&mut world, &[("move_window", 605)]));
    assert_eq!((error.current, error.step), (U256::from(4), U256::from(600)));
    let _: IParams::UnknownParam = typed(&refused(&mut world, &[("tax_ppm", 1)]));
    let error: IParams::SplitNotWhole = typed(&refused(&mut world, &[("burn_ppm", 40_000)]));
    assert_eq!(error.sum, U256::from(990_000));
    let error: IParams::BelowOther = typed(&refused(&mut world, &[("settle_grace", 61)]));
    assert_eq!((error.value, error.least), (U256::from(60), U256::from(61)));
    // 3 · (2 · 4 + 2 · 4 + 44 · 7) blocks of two seconds.
    let error: IParams::UnbondingTooShort = typed(&refused(&mut world, &[("move_window", 7)]));
    assert_eq!((error.value, error.dispute), (U256::from(UNBONDING), U256::from(1_944)));
    let _: IParams::UnbondingTooShort = typed(&refused(&mut world, &[("unbonding_seconds", 1_152)]));
    world.send(GOVERNOR, MODULE, schedule(&[("unbonding_seconds", 1_945), ("move_window", 7)]));
    let _: IParams::InvalidCount = typed(&refused(&mut world, &[]));
    let call = IParams::scheduleCall { names: vec![param_name("move_window")], values: Vec::new() };
    let error: IParams::InvalidCount = world.refused(GOVERNOR, MODULE, call);
    assert_eq!((error.names, error.values), (U256::from(1), U256::ZERO));
    world.send(GOVERNOR, MODULE, schedule(&[("settle_grace", 61), ("withdrawal_delay", 61)]));
    // Without a governor nobody changes anything.
    let _: IParams::NotGovernor = World::new().refused(0, MODULE, schedule(&[("move_window", 5)]));
}

#[test]
fn an_upgrade_is_the_governors_with_notice_one_at_a_time_and_can_be_taken_back() {
    let mut world = governed();
    let call = |name: &str, height| IParams::scheduleUpgradeCall { name: param_name(name), height };
    let _: IParams::NotGovernor = world.refused(1, MODULE, call("osaka", 1_000));
    let error: IParams::UpgradeTooSoon = world.refused(GOVERNOR, MODULE, call("osaka", 199));
    assert_eq!(error.least, 200);
    let _: IParams::InvalidUpgrade = world.refused(GOVERNOR, MODULE, call("", 1_000));
    world.send(GOVERNOR, MODULE, call("osaka", 200));
    let read = world.view(MODULE, IParams::upgradeCall {});
    assert_eq!((read.name, read.height), (param_name("osaka"), 200));
    let _: IParams::UpgradePending = world.refused(GOVERNOR, MODULE, call("lima", 1_000));
    let _: IParams::NotGovernor = world.refused(1, MODULE, IParams::cancelUpgradeCall {});
    world.send(GOVERNOR, MODULE, IParams::cancelUpgradeCall {});
    let height = IParams::upgradeHeightCall { name: param_name("osaka") };
    assert_eq!(world.view(MODULE, height.clone()), 0);
    world.send(GOVERNOR, MODULE, call("osaka", 300));
    world.advance(200);
    let _: IParams::NoUpgrade = world.refused(GOVERNOR, MODULE, IParams::cancelUpgradeCall {});
    let _: IParams::InvalidUpgrade = world.refused(GOVERNOR, MODULE, call("osaka", 1_000));
    world.send(GOVERNOR, MODULE, call("lima", 1_000));
    assert_eq!(world.view(MODULE, height), 300);
    let slot = |slot| world.storage.slots[&(MODULE, slot)];
    assert_eq!(slot(super::UPGRADE_HEIGHT), U256::from(1_000));
    assert_eq!(slot(super::UPGRADE_NAME), U256::from_be_bytes(param_name("lima").0));
}

/// Seconds of the longest dispute by the rules themselves: every panel commits, reveals and is appealed from, after each a challenge
/// halves the most steps there can be, and what is left is judged.
fn longest_dispute(value: &mut dyn FnMut(&str) -> u64) -> u64 {
    let mut steps = u64::from(crate::settlement::MAX_RECEIPTS + crate::settlement::MAX_STEPS);
    let (judging, mut challenge) = (value("verify_window") + value("reveal_window"), 0);
    while steps > 1 {
        steps = steps.div_ceil(2);
        challenge += 2 * value("move_window");
    }
    let panels = u64::from(crate::settlement::MAX_APPEALS) + 1;
    let blocks =
        panels * (judging + value("appeal_window") + challenge + judging) + value("challenge_window");
    2 * blocks
}

#[test]
fn stake_is_never_out_before_the_longest_dispute_is_over_whatever_is_scheduled() {
    const WINDOWS: [&str; 6] = [
        "verify_window",
        "reveal_window",
        "appeal_window",
        "move_window",
        "challenge_window",
        "unbonding_seconds",
    ];
    let (mut taken, mut too_short) = (0, 0);
    for seed in 0..40_u64 {
        let mut world = World { storage: empty() };
        init(&mut world.storage, []).unwrap();
        super::init_governor(&mut world.storage, account(GOVERNOR)).unwrap();
        let mut state = seed;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..60 {
            let mut changes = Vec::new();
            for name in WINDOWS {
                if draw(3) == 0 {
                    let spec = PARAMS.iter().find(|spec| spec.name == name).unwrap();
                    let step = u64::try_from(spec.step).unwrap();
                    let now = value(&mut world, name).to::<u64>();
                    // Windows grow, and the time to leave shrinks, more often than not.
                    let grows = (draw(4) != 0) == (name != "unbonding_seconds");
                    let to = if grows { now + draw(step + 1) } else { now.saturating_sub(draw(step + 1)) };
                    changes.push((
                        name,
                        to.clamp(u64::try_from(spec.least).unwrap(), u64::try_from(spec.most).unwrap()),
                    ));
                }
            }
            if changes.is_empty() {
                continue;
            }
            match world.try_pay(GOVERNOR, MODULE, U256::ZERO, schedule(&changes)) {
                Ok(_) => taken += 1,
                Err(error) => {
                    let _: IParams::UnbondingTooShort = typed(&error);
                    too_short += 1;
                }
            }
            world.later(86_400);
            let unbonding = value(&mut world, "unbonding_seconds").to::<u64>();
            let dispute = longest_dispute(&mut |name| value(&mut world, name).to());
            assert!(unbonding > dispute, "seed {seed}: {unbonding} seconds, a dispute of {dispute}");
        }
    }
    assert!(taken > 100 && too_short > 100, "{taken} changes taken, {too_short} refused");
}

#[test]
fn what_a_number_was_at_any_time_that_has_passed_stays_readable() {
    for seed in 0..20_u64 {
        let mut world = governed();
        let mut state = seed;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut seen = Vec::new();
        for _ in 0..60 {
            world.later(draw(50_000));
            if draw(2) == 0 {
                // A second schedule for the same epoch replaces the first.
                let share = 10_000 * draw(11);
                let now = value(&mut world, "verifier_share").to::<u64>();
                let to = now.saturating_sub(50_000) + share;
                world.send(GOVERNOR, MODULE, schedule(&[("verifier_share", to.min(1_000_000))]));
            }
            for name in ["verifier_share", "burn_ppm"] {
                seen.push((name, world.storage.block.timestamp, value(&mut world, name)));
            }
        }
        for (name, time, value) in &seen {
            let at = IParams::getAtCall { name: param_name(name), time: *time };
            assert_eq!(world.view(MODULE, at), *value, "{name} at {time}, seed {seed}");
        }
        assert!(seen.iter().any(|(_, _, value)| *value != seen[0].2 && *value != seen[1].2));
        let genesis = IParams::getAtCall { name: param_name("verifier_share"), time: 0 };
        assert_eq!(world.view(MODULE, genesis), U256::ZERO);
        let now = world.storage.block.timestamp;
        let next = IParams::getAtCall { name: param_name("verifier_share"), time: now + 1 };
        let error: IParams::FutureLookup = world.refused(1, MODULE, next);
        assert_eq!((error.time, error.now), (now + 1, now));
    }
    let unknown = IParams::getAtCall { name: B256::ZERO, time: 0 };
    let _: IParams::UnknownParam = World::new().refused(1, MODULE, unknown);
}
