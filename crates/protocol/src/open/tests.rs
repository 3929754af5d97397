use alloy_primitives::{Address, U256};
use alloy_sol_types::SolEvent;
use openledger_types::abi::IOpen;
use openledger_types::addresses::{BURN, ESCROW, OPEN};
use openledger_types::amount::SUPPLY;

use crate::tests::{World, account, open};

#[test]
fn a_transfer_moves_the_balance_and_leaves_a_log() {
    let mut world = World::new();
    assert!(world.send(1, OPEN, IOpen::transferCall { to: account(2), value: open(5) }));
    assert_eq!(world.balance(account(2)), open(1_000_005));
    let (module, log) = world.storage.logs.last().unwrap();
    let transfer = IOpen::Transfer::decode_log_data(log).unwrap();
    assert_eq!(*module, OPEN);
    assert_eq!((transfer.from, transfer.to, transfer.value), (account(1), account(2), open(5)));
}

#[test]
fn a_transfer_needs_the_balance_and_a_receiver_who_can_have_it() {
    let mut world = World::new();
    let error: IOpen::ERC20InsufficientBalance =
        world.refused(1, OPEN, IOpen::transferCall { to: account(2), value: SUPPLY });
    assert_eq!((error.balance, error.needed), (open(1_000_000), SUPPLY));
    for to in [Address::ZERO, ESCROW] {
        let error: IOpen::ERC20InvalidReceiver =
            world.refused(1, OPEN, IOpen::transferCall { to, value: U256::ONE });
        assert_eq!(error.receiver, to);
    }
}

#[test]
fn an_allowance_is_used_up_unless_it_has_no_limit() {
    let mut world = World::new();
    let take = |value| IOpen::transferFromCall { from: account(1), to: account(3), value };
    let allowance = IOpen::allowanceCall { owner: account(1), spender: account(2) };
    world.send(1, OPEN, IOpen::approveCall { spender: account(2), value: open(5) });
    world.send(2, OPEN, take(open(3)));
    assert_eq!(world.view(OPEN, allowance.clone()), open(2));
    let error: IOpen::ERC20InsufficientAllowance = world.refused(2, OPEN, take(open(3)));
    assert_eq!((error.spender, error.allowance, error.needed), (account(2), open(2), open(3)));
    world.send(1, OPEN, IOpen::approveCall { spender: account(2), value: U256::MAX });
    world.send(2, OPEN, take(open(3)));
    assert_eq!(world.view(OPEN, allowance), U256::MAX);
    assert_eq!(world.balance(account(3)), open(1_000_006));
    let approve = IOpen::approveCall { spender: Address::ZERO, value: U256::ONE };
    let _: IOpen::ERC20InvalidSpender = world.refused(1, OPEN, approve);
}

#[test]
fn what_is_burnt_leaves_the_supply_and_stays_in_sight() {
    let mut world = World::new();
    world.send(1, OPEN, IOpen::burnCall { value: open(7) });
    assert_eq!(world.balance(BURN), open(7));
    assert_eq!(world.view(OPEN, IOpen::totalSupplyCall {}), SUPPLY - open(7));
    assert_eq!(world.storage.total_balance(), SUPPLY);
}

#[test]
fn wallets_read_its_name_symbol_and_decimals() {
    let mut world = World::new();
    assert_eq!(world.view(OPEN, IOpen::nameCall {}), "OpenLedger");
    assert_eq!(world.view(OPEN, IOpen::symbolCall {}), "OPEN");
    assert_eq!(world.view(OPEN, IOpen::decimalsCall {}), 18);
}
