use super::*;
use crate::tests::fixtures::{CHAIN_ID, account, sign, transfer};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Bytes, TxKind};

const TO: Address = Address::repeat_byte(9);

#[test]
fn what_can_be_told_without_the_state_is_told_at_once() {
    let rules = AdmissionRules { chain_id: CHAIN_ID, block_gas_limit: 30_000_000 };
    let base = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: 10,
        to: TxKind::Call(TO),
        ..TxEip1559::default()
    };
    let refused = |transaction: TxEip1559| check(&sign(&account(1), transaction), &rules).unwrap_err();
    assert!(check(&transfer(&account(1), 0, TO, 1), &rules).is_ok());
    assert_eq!(
        refused(TxEip1559 { chain_id: 1, ..base.clone() }),
        PoolError::InvalidChainId { got: 1, expected: CHAIN_ID }
    );
    assert_eq!(
        refused(TxEip1559 { gas_limit: 40_000_000, ..base.clone() }),
        PoolError::ExceedsBlockGasLimit { got: 40_000_000, limit: MAX_TRANSACTION_GAS }
    );
    assert_eq!(
        refused(TxEip1559 { gas_limit: 20_999, ..base.clone() }),
        PoolError::IntrinsicGas { got: 20_999, want: 21_000 }
    );
    assert_eq!(
        refused(TxEip1559 { max_priority_fee_per_gas: 11, ..base.clone() }),
        PoolError::TipAboveMax { tip: 11, max: 10 }
    );
    let oversized = TxEip1559 { input: Bytes::from(vec![1; MAX_TRANSACTION_BYTES]), ..base };
    assert!(matches!(refused(oversized), PoolError::Oversized { .. }));
}
