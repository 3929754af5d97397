use alloy_primitives::{Address, B256, U256, address};
use alloy_sol_types::{PanicKind, SolError, SolInterface};
use openledger_types::abi::*;
use openledger_types::addresses::MODULES as ADDRESSES;

use super::*;

const CONTRACT: Address = address!("00000000000000000000000000000000000000c0");

fn explained(to: Address, raw: Vec<u8>) -> (&'static str, &'static str, String) {
    match explain(TxKind::Call(to), raw.into()) {
        ClientError::Reverted { module, name, message, .. } => (module, name, message),
        other => panic!("{other}"),
    }
}

/// Zero words decode as any error: zero numbers, empty texts.
fn check_every<E: SolInterface>(address: Address, names: &[&str]) {
    assert!(E::selectors().count() > 0);
    for selector in E::selectors() {
        let raw = [selector.as_slice(), &[0; 32 * 8]].concat();
        let (module, name, message) = explained(address, raw);
        assert_eq!(MODULES.iter().find(|m| m.address == address).map(|m| m.name), Some(module), "{name}");
        assert!(names.contains(&name), "{name}");
        assert!(message.len() > 10, "{message}");
    }
}

#[test]
fn every_error_of_every_module_is_a_sentence() {
    let [open, datanets, models, escrow, settlement, staking, params, channels] = ADDRESSES;
    check_every::<IChannels::IChannelsErrors>(channels, IChannels::IChannelsErrors::VARIANT_NAMES);
    check_every::<IOpen::IOpenErrors>(open, IOpen::IOpenErrors::VARIANT_NAMES);
    check_every::<IDatanets::IDatanetsErrors>(datanets, IDatanets::IDatanetsErrors::VARIANT_NAMES);
    check_every::<IModels::IModelsErrors>(models, IModels::IModelsErrors::VARIANT_NAMES);
    check_every::<IEscrow::IEscrowErrors>(escrow, IEscrow::IEscrowErrors::VARIANT_NAMES);
    check_every::<ISettlement::ISettlementErrors>(settlement, ISettlement::ISettlementErrors::VARIANT_NAMES);
    check_every::<IStaking::IStakingErrors>(staking, IStaking::IStakingErrors::VARIANT_NAMES);
    check_every::<IParams::IParamsErrors>(params, IParams::IParamsErrors::VARIANT_NAMES);
}

#[test]
fn a_refusal_says_what_is_wrong_and_what_to_do() {
    let payer = Address::repeat_byte(1);
    let missing = IEscrow::InsufficientDeposit { payer, balance: U256::from(5), needed: U256::from(7) };
    let (module, name, message) = explained(ESCROW, missing.abi_encode());
    assert_eq!((module, name), ("escrow", "InsufficientDeposit"));
    assert_eq!(
        message,
        "0x0101010101010101010101010101010101010101 has 0.000000000000000005 OPEN in escrow and 0.000000000000000007 OPEN are needed; deposit at least 0.000000000000000002 OPEN"
    );
    let revoked = IEscrow::KeyRevoked { key: B256::ZERO, revokedAt: 1_700_000_000 };
    assert!(explained(ESCROW, revoked.abi_encode()).2.ends_with("revoked at 2023-11-14 22:13:20 UTC"));
    let unknown = IParams::UnknownParam { name: B256::right_padding_from(b"verify_windw") };
    assert_eq!(explained(PARAMS, unknown.abi_encode()).2, "there is no parameter 'verify_windw'");
}

#[test]
fn an_error_that_two_modules_share_is_of_who_was_called() {
    let raw = IDatanets::InvalidName { length: U256::from(300), limit: U256::from(64) }.abi_encode();
    assert_eq!(explained(DATANETS, raw.clone()).0, "datanets");
    let (module, _, message) = explained(MODELS, raw);
    assert_eq!(
        (module, message.as_str()),
        ("models", "a base model's name has 1 to 64 bytes; this one has 300")
    );
}

#[test]
fn a_modules_error_is_known_through_other_modules_and_contracts() {
    let raw = IEscrow::UnknownKey { key: B256::ZERO }.abi_encode();
    for to in [SETTLEMENT, CONTRACT] {
        assert_eq!(explained(to, raw.clone()).0, "escrow");
    }
    let error = explain(TxKind::Call(SETTLEMENT), raw.into());
    assert_eq!(error.decode_revert(), Some(IEscrow::UnknownKey { key: B256::ZERO }));
    assert_eq!(error.decode_revert::<IEscrow::KeyExists>(), None);
}

#[test]
fn what_no_module_names_is_shown_as_it_is() {
    for (to, raw, expected) in [
        (CONTRACT, Revert::from("not today").abi_encode(), ("contract", "Error", "not today")),
        (DATANETS, Panic::from(PanicKind::UnderOverflow).abi_encode(), ("datanets", "Panic", "overflow")),
        (CONTRACT, vec![], ("contract", "unknown", "no reason was given")),
        (DATANETS, vec![1, 2, 3, 4, 5], ("datanets", "unknown", "0x0102030405")),
    ] {
        let (module, name, message) = explained(to, raw);
        assert_eq!((module, name), (expected.0, expected.1));
        assert!(message.contains(expected.2), "{message}");
    }
}

#[test]
fn dates_follow_the_calendar() {
    for (seconds, date) in [
        (0, "1970-01-01 00:00:00 UTC"),
        (951_782_399, "2000-02-28 23:59:59 UTC"),
        (951_782_400, "2000-02-29 00:00:00 UTC"),
        (4_107_542_400, "2100-03-01 00:00:00 UTC"),
    ] {
        assert_eq!(reasons::utc(seconds), date);
    }
    assert!(reasons::utc(u64::MAX).ends_with("UTC"));
}
