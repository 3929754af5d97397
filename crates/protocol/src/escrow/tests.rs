use alloy_primitives::U256;
use alloy_sol_types::SolEvent;
use openledger_types::abi::IEscrow;
use openledger_types::addresses::ESCROW;

use super::{charge, refund};
use crate::tests::{OPERATOR, PAYER, World, account, hash, open, typed};

fn world() -> World {
    let mut world = World::new();
    world.pay(PAYER, ESCROW, open(100), IEscrow::depositCall {});
    world.authorise(PAYER, hash(7), OPERATOR, open(60));
    world
}

fn take(world: &mut World, amount: U256) -> crate::Result<U256> {
    charge(&mut world.storage, account(OPERATOR), hash(7), amount, U256::ONE)
}

fn balance(world: &mut World) -> U256 {
    world.view(ESCROW, IEscrow::balanceOfCall { payer: account(PAYER) })
}

#[test]
fn anybody_can_deposit_for_a_payer_but_not_nothing() {
    let mut world = world();
    world.pay(1, ESCROW, open(5), IEscrow::depositForCall { payer: account(PAYER) });
    assert_eq!(balance(&mut world), open(105));
    let _: IEscrow::ZeroAmount = world.refused(1, ESCROW, IEscrow::depositCall {});
}

#[test]
fn a_withdrawal_waits_and_is_paid_once() {
    let mut world = world();
    let _: IEscrow::NoWithdrawal = world.refused(PAYER, ESCROW, IEscrow::withdrawCall {});
    let error: IEscrow::InsufficientDeposit =
        world.refused(PAYER, ESCROW, IEscrow::requestWithdrawalCall { amount: open(101) });
    assert_eq!(error.balance, open(100));
    world.send(PAYER, ESCROW, IEscrow::requestWithdrawalCall { amount: open(30) });
    assert_eq!(balance(&mut world), open(70));
    let error: IEscrow::WithdrawalPending = world.refused(PAYER, ESCROW, IEscrow::withdrawCall {});
    assert_eq!(error.availableAt, 1_000_060);
    world.later(30);
    // A second request adds to the first and starts the delay anew.
    world.send(PAYER, ESCROW, IEscrow::requestWithdrawalCall { amount: open(10) });
    world.later(59);
    let _: IEscrow::WithdrawalPending = world.refused(PAYER, ESCROW, IEscrow::withdrawCall {});
    world.later(1);
    world.send(PAYER, ESCROW, IEscrow::withdrawCall {});
    assert_eq!(world.balance(account(PAYER)), open(999_940));
    let _: IEscrow::NoWithdrawal = world.refused(PAYER, ESCROW, IEscrow::withdrawCall {});
}

#[test]
fn a_key_is_charged_by_its_operator_up_to_its_cap() {
    let mut world = world();
    let stranger = charge(&mut world.storage, account(9), hash(7), open(1), U256::ONE);
    let error: IEscrow::WrongOperator = typed(&stranger.unwrap_err());
    assert_eq!((error.operator, error.caller), (account(OPERATOR), account(9)));
    let unknown = charge(&mut world.storage, account(OPERATOR), hash(8), open(1), U256::ONE);
    let _: IEscrow::UnknownKey = typed(&unknown.unwrap_err());
    take(&mut world, open(40)).unwrap();
    let error: IEscrow::CapExceeded = typed(&take(&mut world, open(20) + U256::ONE).unwrap_err());
    assert_eq!((error.cap, error.spent), (open(60), open(40)));
    take(&mut world, open(20)).unwrap();
    assert_eq!(balance(&mut world), open(40));
    refund(&mut world.storage, hash(7), open(20), U256::ONE).unwrap();
    let key = world.view(ESCROW, IEscrow::authorisationCall { key: hash(7) });
    assert_eq!((key.spent, key.cap), (open(40), open(60)));
    assert_eq!(balance(&mut world), open(60));
}

#[test]
fn a_charge_needs_a_deposit_even_below_the_cap() {
    let mut world = World::new();
    world.pay(PAYER, ESCROW, open(5), IEscrow::depositCall {});
    world.authorise(PAYER, hash(7), OPERATOR, U256::MAX);
    let error: IEscrow::InsufficientDeposit = typed(&take(&mut world, open(6)).unwrap_err());
    assert_eq!((error.payer, error.balance, error.needed), (account(PAYER), open(5), open(6)));
}

#[test]
fn work_served_before_a_withdrawal_was_asked_for_is_still_paid() {
    let mut world = world();
    world.send(PAYER, ESCROW, IEscrow::requestWithdrawalCall { amount: open(90) });
    take(&mut world, open(40)).unwrap();
    assert_eq!(balance(&mut world), U256::ZERO);
    let aside = world.view(ESCROW, IEscrow::withdrawalCall { payer: account(PAYER) });
    assert_eq!((aside.amount, aside.availableAt), (open(60), 1_000_060));
    world.later(60);
    world.send(PAYER, ESCROW, IEscrow::withdrawCall {});
    assert_eq!(world.balance(account(PAYER)), open(999_960));
}

#[test]
fn an_ended_key_pays_within_the_grace_and_nothing_after() {
    let mut world = world();
    let _: IEscrow::NotPayer = world.refused(1, ESCROW, IEscrow::revokeCall { key: hash(7) });
    world.send(PAYER, ESCROW, IEscrow::revokeCall { key: hash(7) });
    let _: IEscrow::KeyRevoked = world.refused(PAYER, ESCROW, IEscrow::revokeCall { key: hash(7) });
    world.later(60);
    assert_eq!(take(&mut world, open(1)), Ok(open(1)));
    world.later(1);
    assert_eq!(take(&mut world, open(1)), Ok(U256::ZERO));
    let log = &world.storage.logs.last().unwrap().1;
    let uncollected = IEscrow::Uncollected::decode_log_data(log).unwrap();
    assert_eq!((uncollected.key, uncollected.amount), (hash(7), open(1)));
    assert_eq!(balance(&mut world), open(99));

    world.authorise(PAYER, hash(8), OPERATOR, open(60));
    let late = |world: &mut World| {
        charge(&mut world.storage, account(OPERATOR), hash(8), open(1), U256::ONE).unwrap()
    };
    world.later(1_000 + 60);
    assert_eq!(late(&mut world), open(1));
    world.later(1);
    assert_eq!(late(&mut world), U256::ZERO);
}

#[test]
fn a_free_answer_is_charged_nothing_and_still_needs_its_key() {
    let mut world = world();
    assert_eq!(take(&mut world, U256::ZERO), Ok(U256::ZERO));
    assert_eq!(balance(&mut world), open(100));
    let unknown = charge(&mut world.storage, account(OPERATOR), hash(8), U256::ZERO, U256::ONE);
    let _: IEscrow::UnknownKey = typed(&unknown.unwrap_err());
}

#[test]
fn a_key_is_authorised_once_and_into_the_future() {
    let mut world = world();
    let again = IEscrow::authoriseCall {
        key: hash(7),
        operator: account(OPERATOR),
        cap: open(1_000),
        expiresAt: u64::MAX,
    };
    let _: IEscrow::KeyExists = world.refused(PAYER, ESCROW, again.clone());
    let _: IEscrow::InvalidExpiry =
        world.refused(PAYER, ESCROW, IEscrow::authoriseCall { key: hash(9), expiresAt: 1_000_000, ..again });
}
