//! Appeals from drawn panels, and what verdicts are paid.

use alloy_primitives::U256;
use openledger_types::abi::{Appeal, BatchStatus, IEscrow, ISettlement, IStaking, StakeRole};
use openledger_types::addresses::{BURN, ESCROW, SETTLEMENT, STAKING};
use openledger_types::batch::{WITHHELD, verdict_commitment};

use super::{bond, fee, set, staker, status};
use crate::settlement::{bond_held, held, is_assigned};
use crate::tests::{OPERATOR, PAYER, TRACE, VALIDATOR, VERIFIER, World, account, batch, hash, open, typed};

/// The verifiers beside the one of the market, with 10,000 OPEN each.
const MANY: std::ops::Range<u8> = 0x70..0x7e;

/// A market of fifteen verifiers and a validator in which two are drawn, with half a validators' part for verdicts.
fn crowd() -> World {
    let mut world = World::with_market();
    for (name, value) in [("verifiers_per_batch", 2), ("appeal_window", 5), ("verifier_share", 500_000)] {
        set(&mut world, name, value);
    }
    for n in MANY {
        world.storage.balances.insert(account(n), open(20_000));
        let rest = world.balance(account(99)) - open(20_000);
        world.storage.balances.insert(account(99), rest);
        world.pay(n, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Verifier });
    }
    world.advance(1);
    world
}

fn appeal(world: &mut World, from: u8, batch: U256, bond: U256) -> u32 {
    world.pay(from, SETTLEMENT, bond, ISettlement::appealCall { batch })
}

fn appeal_of(world: &mut World, batch: U256, round: u32) -> Appeal {
    world.view(SETTLEMENT, ISettlement::appealOfCall { batch, round })
}

/// Draws, and has everybody who is assigned say what `agrees` has of them; leaves the windows behind. Returns who spoke.
fn speak(world: &mut World, batch: U256, agrees: impl Fn(u8) -> bool) -> Vec<u8> {
    world.advance(1);
    world.send(9, SETTLEMENT, ISettlement::drawCall { batch });
    let round = world.view(SETTLEMENT, ISettlement::batchCall { id: batch }).round;
    let appellant = appeal_of(world, batch, round).appellant;
    // The validator first: with the last verifier's commitment nobody else has to be waited for.
    let panel: Vec<u8> = [VALIDATOR, VERIFIER]
        .into_iter()
        .chain(MANY)
        .filter(|n| account(*n) != appellant)
        .filter(|n| is_assigned(&mut world.storage, batch, account(*n)).unwrap())
        .collect();
    for n in &panel {
        world.commit_verdict(*n, batch, agrees(*n));
    }
    world.advance(4);
    for n in &panel {
        world.reveal_verdict(*n, batch, agrees(*n));
    }
    world.advance(4);
    check_books(world);
    panel
}

/// What settlement has is what every batch and its challenge hold.
fn check_books(world: &mut World) {
    let count: u64 = world.view(SETTLEMENT, ISettlement::batchCountCall {}).to();
    let owed = (1..=count).map(U256::from).fold(U256::ZERO, |sum, id| {
        sum + held(&mut world.storage, id).unwrap() + bond_held(&mut world.storage, id).unwrap()
    });
    assert_eq!(world.balance(SETTLEMENT), owed);
}

fn finalise(world: &mut World, batch: U256) {
    world.send(9, SETTLEMENT, ISettlement::finaliseCall { batch });
    check_books(world);
}

/// Pays everybody who spoke; returns who got something.
fn pay_all(world: &mut World, batch: U256) -> Vec<(u8, U256)> {
    let mut paid = Vec::new();
    for n in [VALIDATOR, VERIFIER].into_iter().chain(MANY) {
        let call = ISettlement::claimVerdictCall { batch, verifier: account(n) };
        if let Ok(amount) = world.try_pay(9, SETTLEMENT, U256::ZERO, call) {
            paid.push((n, amount));
        }
    }
    check_books(world);
    paid
}

fn total(paid: &[(u8, U256)]) -> U256 {
    paid.iter().fold(U256::ZERO, |sum, (_, amount)| sum + amount)
}

/// A posted batch whose draw has reached somebody, which a panel of two does not always.
fn posted(world: &mut World) -> U256 {
    let next: u64 = world.view(SETTLEMENT, ISettlement::batchCountCall {}).to::<u64>() + 1;
    for epoch in next..next + 50 {
        let before = world.storage.clone();
        let (id, _) = world.post(epoch, fee());
        world.advance(1);
        world.send(9, SETTLEMENT, ISettlement::drawCall { batch: id });
        if MANY.filter(|n| is_assigned(&mut world.storage, id, account(*n)).unwrap()).count() >= 2 {
            return id;
        }
        world.storage = before;
        world.advance(1);
    }
    panic!("no draw of fifty reaches two of fourteen");
}

#[test]
fn a_larger_panel_overturns_a_refusal_and_its_appellant_has_the_bond_back_and_a_prize() {
    let mut world = crowd();
    let id = posted(&mut world);
    let wrong = speak(&mut world, id, |_| false);
    // Before the appeal somebody unbonded and somebody with another bond come.
    let call = ISettlement::appealCall { batch: id };
    let unbonded = world.try_pay(9, SETTLEMENT, open(100), call.clone()).unwrap_err();
    assert_eq!(typed::<ISettlement::NotBonded>(&unbonded).caller, account(9));
    let low = world.try_pay(OPERATOR, SETTLEMENT, open(99), call).unwrap_err();
    assert_eq!(typed::<ISettlement::WrongBond>(&low).needed, open(100));
    let early: ISettlement::WindowOpen =
        world.refused(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    assert!(early.until >= world.storage.block.number);
    let purse = world.balance(account(OPERATOR));
    assert_eq!(appeal(&mut world, OPERATOR, id, open(100)), 1);
    check_books(&mut world);
    let read = appeal_of(&mut world, id, 1);
    assert_eq!((read.appellant, read.bond, read.contestsPayment), (account(OPERATOR), open(100), false));
    let right = speak(&mut world, id, |_| true);
    assert!(right.len() > wrong.len(), "{right:?} after {wrong:?}");
    world.advance(5);
    finalise(&mut world, id);
    assert_eq!(status(&mut world, id), BatchStatus::Finalised);
    assert_eq!(world.balance(account(OPERATOR)), purse, "the bond is back");
    // What the overturned panel loses is the appellant's up to the bond, and burnt beyond it.
    let burnt = world.balance(BURN);
    for n in &wrong {
        let punish = ISettlement::punishCall { batch: id, verifier: account(*n) };
        world.send(9, SETTLEMENT, punish.clone());
        assert_eq!(staker(&mut world, *n).stake, open(9_900));
        let _: ISettlement::NothingToPunish = world.refused(9, SETTLEMENT, punish);
    }
    let slashed = open(100) * U256::from(wrong.len());
    assert_eq!(world.balance(account(OPERATOR)) - purse, open(100));
    assert_eq!(world.balance(BURN) - burnt, slashed - open(100));
    // Half of the validators' part is for the verdicts that were right, all of it.
    let pot = world.view(SETTLEMENT, ISettlement::batchCall { id }).pot;
    let paid = pay_all(&mut world, id);
    assert_eq!(total(&paid), pot);
    assert!(paid.iter().all(|(n, _)| right.contains(n)));
    assert_eq!(paid.len(), right.len());
    assert!(pay_all(&mut world, id).is_empty(), "once");
}

#[test]
fn an_appeal_in_vain_pays_the_verdicts_that_were_right_on_every_panel() {
    let mut world = crowd();
    let id = posted(&mut world);
    let first = speak(&mut world, id, |_| true);
    appeal(&mut world, VALIDATOR, id, open(100));
    let second = speak(&mut world, id, |_| true);
    world.advance(5);
    finalise(&mut world, id);
    let read = world.view(SETTLEMENT, ISettlement::batchCall { id });
    assert_eq!(read.pot, open(100) + read.totals.validators / U256::from(2));
    let paid = pay_all(&mut world, id);
    assert_eq!(total(&paid), read.pot);
    // Who was asked twice spoke twice and is paid for both.
    let twice = first.iter().find(|n| second.contains(n));
    let once = second.iter().find(|n| !first.contains(n)).unwrap();
    let of = |n: u8| paid.iter().find(|(who, _)| *who == n).unwrap().1;
    if let Some(twice) = twice {
        assert!(of(*twice) >= of(*once) * U256::from(2) - U256::from(2));
    }
    for n in MANY {
        let punish = ISettlement::punishCall { batch: id, verifier: account(n) };
        let _: ISettlement::NothingToPunish = world.refused(9, SETTLEMENT, punish);
    }
}

#[test]
fn an_appeal_that_nobody_answers_costs_nothing_and_leaves_the_decision() {
    let mut world = crowd();
    let id = posted(&mut world);
    speak(&mut world, id, |_| true);
    let purse = world.balance(account(OPERATOR));
    appeal(&mut world, OPERATOR, id, open(100));
    world.advance(9);
    let early: ISettlement::WindowOpen =
        world.refused(9, SETTLEMENT, ISettlement::finaliseCall { batch: id });
    world.storage.block.number = early.until + 1;
    finalise(&mut world, id);
    assert_eq!(status(&mut world, id), BatchStatus::Finalised);
    assert_eq!(world.balance(account(OPERATOR)), purse);
    // The appellant is no judge of its own appeal.
    let id = posted(&mut world);
    speak(&mut world, id, |_| true);
    appeal(&mut world, 0x70, id, open(100));
    world.advance(1);
    world.send(9, SETTLEMENT, ISettlement::drawCall { batch: id });
    let call = world.verdict_call(0x70, id, true);
    let _: ISettlement::NotVerifier = world.refused(0x70, SETTLEMENT, call);
}

#[test]
fn appeals_end_with_everybody_and_are_made_in_their_window() {
    let mut world = crowd();
    let id = posted(&mut world);
    speak(&mut world, id, |_| false);
    appeal(&mut world, OPERATOR, id, open(100));
    speak(&mut world, id, |_| true);
    // Four times the bond, and everybody who was bonded at the post.
    appeal(&mut world, VERIFIER, id, open(400));
    let all = speak(&mut world, id, |_| false).len();
    assert_eq!(all, MANY.len() + 2 - 1, "all but the appellant");
    let error: ISettlement::NoLargerPanel = {
        let call = ISettlement::appealCall { batch: id };
        typed(&world.try_pay(OPERATOR, SETTLEMENT, open(1_600), call).unwrap_err())
    };
    assert_eq!(error.batch, id);
    let [first, second] = [OPERATOR, VERIFIER].map(|n| world.balance(account(n)));
    finalise(&mut world, id);
    assert_eq!(status(&mut world, id), BatchStatus::Refused);
    assert_eq!(world.balance(account(OPERATOR)), first, "its appeal was in vain in the end");
    assert_eq!(world.balance(account(VERIFIER)), second + open(400));
    assert_eq!(staker(&mut world, OPERATOR).stake, open(9_000));
    let pot = world.view(SETTLEMENT, ISettlement::batchCall { id }).pot;
    assert_eq!(total(&pay_all(&mut world, id)), pot);

    // Where everybody was asked at once there is nobody to appeal to; and a window has an end.
    set(&mut world, "verifiers_per_batch", 100);
    let (id, _) = world.post(99, fee());
    speak(&mut world, id, |_| false);
    let call = ISettlement::appealCall { batch: id };
    let none = world.try_pay(VALIDATOR, SETTLEMENT, open(100), call).unwrap_err();
    assert_eq!(typed::<ISettlement::NoLargerPanel>(&none).batch, id);
    let mut world = crowd();
    let id = posted(&mut world);
    speak(&mut world, id, |_| false);
    world.advance(5);
    let call = ISettlement::appealCall { batch: id };
    let late = world.try_pay(OPERATOR, SETTLEMENT, open(100), call).unwrap_err();
    let _: ISettlement::WindowClosed = typed(&late);
    finalise(&mut world, id);
}

#[test]
fn a_challenge_that_refutes_the_batch_settles_the_appeals_on_it() {
    let mut world = crowd();
    let id = posted(&mut world);
    speak(&mut world, id, |_| true);
    appeal(&mut world, VERIFIER, id, open(100));
    world.pay(9, SETTLEMENT, bond(), ISettlement::challengeCall { batch: id });
    world.advance(5);
    let purse = world.balance(account(VERIFIER));
    world.send(8, SETTLEMENT, ISettlement::resolveCall { challenge: U256::ONE });
    check_books(&mut world);
    assert_eq!(status(&mut world, id), BatchStatus::Refused);
    assert_eq!(world.balance(account(VERIFIER)) - purse, open(100), "nobody had answered it");
    assert!(pay_all(&mut world, id).is_empty(), "nobody of the panels was right");
}

#[test]
fn who_refutes_is_paid_by_the_operator_and_a_withheld_file_is_its_failure() {
    let mut world = World::with_market();
    set(&mut world, "verifier_share", 500_000);
    let (id, _) = world.post(1, fee());
    let registered = staker(&mut world, VERIFIER).registeredAt;
    let commitment = verdict_commitment(account(VERIFIER), registered, id, WITHHELD, TRACE, hash(1));
    world.send(VERIFIER, SETTLEMENT, ISettlement::commitVerdictCall { batch: id, commitment });
    world.advance(1);
    let reveal = ISettlement::revealVerdictCall { batch: id, digest: WITHHELD, trace: TRACE, salt: hash(1) };
    world.send(VERIFIER, SETTLEMENT, reveal);
    let burnt = world.balance(BURN);
    finalise(&mut world, id);
    let part = world.view(SETTLEMENT, ISettlement::batchCall { id }).totals.validators / U256::from(2);
    assert!(part > U256::ZERO);
    assert_eq!(world.balance(BURN) - burnt, open(1_000) - part);
    let purse = world.balance(account(VERIFIER));
    assert_eq!(pay_all(&mut world, id), [(VERIFIER, part)]);
    assert_eq!(world.balance(account(VERIFIER)) - purse, part);
}

#[test]
fn odd_stakes_share_a_pot_to_the_wei_and_whoever_was_led_astray_has_none() {
    let mut world = World::with_market();
    set(&mut world, "verifier_share", 1_000_000);
    for (n, odd) in [(7, 1_u64), (8, 7), (9, 999)] {
        let stake = open(5_000) + U256::from(odd);
        world.pay(n, STAKING, stake, IStaking::stakeCall { role: StakeRole::Verifier });
    }
    world.advance(1);
    let (id, _) = world.post(1, fee());
    for n in [VERIFIER, 7, 8] {
        world.commit_verdict(n, id, true);
    }
    let digest = world.digest(id, true);
    let registered = staker(&mut world, 9).registeredAt;
    let commitment = verdict_commitment(account(9), registered, id, digest, hash(0xb1), hash(9));
    world.send(9, SETTLEMENT, ISettlement::commitVerdictCall { batch: id, commitment });
    world.advance(1);
    for n in [VERIFIER, 7, 8] {
        world.reveal_verdict(n, id, true);
    }
    let reveal = ISettlement::revealVerdictCall { batch: id, digest, trace: hash(0xb1), salt: hash(9) };
    world.send(9, SETTLEMENT, reveal);
    finalise(&mut world, id);
    let pot = world.view(SETTLEMENT, ISettlement::batchCall { id }).pot;
    assert_eq!(pot, world.view(SETTLEMENT, ISettlement::batchCall { id }).totals.validators);
    let claim = |world: &mut World, n: u8| {
        let call = ISettlement::claimVerdictCall { batch: id, verifier: account(n) };
        world.try_pay(1, SETTLEMENT, U256::ZERO, call)
    };
    let nothing = claim(&mut world, 9).unwrap_err();
    assert_eq!(typed::<ISettlement::NothingEarned>(&nothing).verifier, account(9));
    let paid = [8, VERIFIER, 7].map(|n| claim(&mut world, n).unwrap());
    assert_eq!(paid.iter().fold(U256::ZERO, |sum, amount| sum + amount), pot);
    check_books(&mut world);
    assert!(paid[1] > paid[2], "by stake");
}

#[test]
fn d23_luck_in_the_draw_gives_a_cabal_below_half_of_the_stake_no_decision_that_is_appealed() {
    let mut world = crowd();
    // Six of fourteen verifiers, of sixteen with as much stake each.
    let cabal = |n: u8| (0x70..0x76).contains(&n);
    let mut lucky = 0;
    for round in 0..12 {
        // It agrees with every other batch, which is false, and denies the right ones.
        let is_right = round % 2 == 0;
        world.send(
            PAYER,
            ESCROW,
            IEscrow::authoriseCall {
                key: hash(0x90 + round),
                operator: account(OPERATOR),
                cap: open(500),
                expiresAt: u64::MAX,
            },
        );
        let (mut post, _) = batch(1_000 + u64::from(round), fee());
        post.charges[0].key = hash(0x90 + round);
        let id = world.send(OPERATOR, SETTLEMENT, ISettlement::postCall { batch: post });
        speak(&mut world, id, |n| is_right != cabal(n));
        for bond in [open(100), open(400)] {
            let read = world.view(SETTLEMENT, ISettlement::batchCall { id });
            let would_pay = read.agreeStake > read.disagreeStake;
            if would_pay == is_right {
                break;
            }
            lucky += 1;
            appeal(&mut world, VALIDATOR, id, bond);
            speak(&mut world, id, |n| is_right != cabal(n));
        }
        world.advance(5);
        finalise(&mut world, id);
        let expected = if is_right { BatchStatus::Finalised } else { BatchStatus::Refused };
        assert_eq!(status(&mut world, id), expected, "batch {round}");
    }
    assert!(lucky > 0, "no draw of a panel of two went to the cabal");
}
