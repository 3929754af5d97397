use openledger_types::abi::Authorisation;

use super::*;

const OPERATOR: Address = Address::repeat_byte(3);

fn standing(payer: u8) -> Standing {
    let authorisation = Authorisation {
        payer: Address::repeat_byte(payer),
        operator: OPERATOR,
        cap: U256::from(1_000),
        spent: U256::ZERO,
        expiresAt: u64::MAX,
        revokedAt: 0,
    };
    Standing { authorisation: Some(authorisation), balance: U256::from(1_000) }
}

fn wanted(key: u8, amount: u64, risk: u64) -> Wanted {
    let (key, amount, risk) = (B256::repeat_byte(key), U256::from(amount), U256::from(risk));
    Wanted { operator: OPERATOR, key, amount, now: 1, risk }
}

#[test]
fn an_operator_risks_no_more_unpaid_work_of_all_payers_than_it_wants_to() {
    let mut ledger = Ledger::default();
    let first = ledger.reserve(0, &standing(1), wanted(1, 60, 100)).expect("within all limits");
    ledger.reserve(0, &standing(2), wanted(2, 40, 100)).expect("exactly the risk");
    assert_eq!(ledger.unpaid(), U256::from(100));
    let refused = ledger.reserve(0, &standing(3), wanted(3, 1, 100));
    assert_eq!(refused, Err(NotReserved::AtRisk { unpaid: U256::from(100) }));
    // Who lacks money hears of that, not of the operator's risk.
    let poor = ledger.reserve(0, &standing(3), wanted(3, 1_001, 100));
    assert!(matches!(poor, Err(NotReserved::Payment(_))));
    ledger.release(&first);
    assert_eq!(ledger.unpaid(), U256::from(40));
    ledger.reserve(0, &standing(3), wanted(3, 60, 100)).expect("what came back can be risked again");
}
