use super::*;
use crate::tests::fixtures::{CHAIN_ID, account, sign, transfer};
use alloy_consensus::{TxEip1559, transaction::SignerRecoverable};
use alloy_primitives::{Bytes, TxKind};

const TO: Address = Address::repeat_byte(9);
const GWEI: u128 = 1_000_000_000;

fn pool(per_account: usize, total: usize) -> Pool {
    Pool::new(PoolLimits { per_account, total, nonce_ahead: 8 }, 1_000_000_000)
}

fn rich() -> AccountState {
    AccountState { balance: U256::from(u128::MAX), ..AccountState::default() }
}

fn paying(number: u8, nonce: u64, tip_gwei: u128) -> Recovered<TxEnvelope> {
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10 * GWEI + tip_gwei * GWEI,
        max_priority_fee_per_gas: tip_gwei * GWEI,
        to: TxKind::Call(TO),
        ..TxEip1559::default()
    };
    sign(&account(number), transaction).try_into_recovered().unwrap()
}

fn order(pool: &Pool) -> Vec<(Address, u64)> {
    pool.candidates(1_000_000_000, usize::MAX).iter().map(|tx| (tx.signer(), tx.nonce())).collect()
}

#[test]
fn better_tips_come_first_but_nonces_stay_in_order() {
    let pool = pool(8, 8);
    for transaction in [paying(1, 0, 1), paying(1, 1, 9), paying(2, 0, 5), paying(3, 0, 5)] {
        pool.insert(transaction, rich()).unwrap();
    }
    let [one, two, three] = [1, 2, 3].map(|number| account(number).address());
    assert_eq!(order(&pool), [(two, 0), (three, 0), (one, 0), (one, 1)]);
}

#[test]
fn what_follows_a_gap_waits_until_the_gap_is_filled() {
    let pool = pool(8, 8);
    let one = account(1).address();
    pool.insert(paying(1, 1, 1), rich()).unwrap();
    assert!(order(&pool).is_empty());
    assert_eq!(pool.pending_nonce(one), Some(0));
    pool.insert(paying(1, 0, 1), rich()).unwrap();
    assert_eq!(order(&pool), [(one, 0), (one, 1)]);
    assert_eq!(pool.pending_nonce(one), Some(2));
}

#[test]
fn a_replacement_pays_a_tenth_more_in_both_fees() {
    let pool = pool(8, 8);
    let old = pool.insert(paying(1, 0, 10), rich()).unwrap();
    assert_eq!(pool.insert(paying(1, 0, 11), rich()), Err(PoolError::ReplacementUnderpriced));
    let new = pool.insert(paying(1, 0, 12), rich()).unwrap();
    assert!(pool.get(old).is_none() && pool.get(new).is_some());
    assert_eq!(pool.len(), 1);
}

#[test]
fn an_account_cannot_promise_more_than_it_has() {
    let pool = pool(8, 8);
    let cost = most_it_costs(&paying(1, 0, 1));
    let poor = AccountState { balance: cost, ..AccountState::default() };
    pool.insert(paying(1, 0, 1), poor).unwrap();
    assert_eq!(
        pool.insert(paying(1, 1, 1), poor),
        Err(PoolError::InsufficientFunds {
            sender: account(1).address(),
            have: cost,
            want: cost * U256::from(2)
        })
    );
}

#[test]
fn accounts_and_the_pool_have_bounds() {
    let pool = pool(2, 3);
    pool.insert(paying(1, 0, 1), rich()).unwrap();
    pool.insert(paying(1, 1, 1), rich()).unwrap();
    assert!(matches!(pool.insert(paying(1, 2, 1), rich()), Err(PoolError::AccountLimit { limit: 2, .. })));
    assert!(matches!(pool.insert(paying(2, 9, 1), rich()), Err(PoolError::NonceTooHigh { limit: 8, .. })));
    let gap = pool.insert(paying(2, 5, 1), rich()).unwrap();
    // Full: what cannot be proposed makes room, then nothing does.
    pool.insert(paying(3, 0, 1), rich()).unwrap();
    assert!(pool.get(gap).is_none());
    assert_eq!(pool.insert(paying(4, 0, 1), rich()), Err(PoolError::Full { limit: 3 }));
}

#[test]
fn what_a_block_holds_is_not_offered_again_and_comes_back_if_that_block_loses() {
    let pool = pool(8, 8);
    let first = pool.insert(paying(1, 0, 1), rich()).unwrap();
    pool.insert(paying(1, 1, 1), rich()).unwrap();
    pool.included(5, [first].into_iter());
    assert_eq!(order(&pool), [(account(1).address(), 1)]);
    let other = crate::tests::fixtures::empty_block(5);
    pool.finalised(&other, &[], 1_000_000_000);
    assert_eq!(order(&pool).len(), 2);
}

#[test]
fn who_cannot_pay_the_base_fee_waits() {
    let pool = pool(8, 8);
    pool.insert(paying(1, 0, 1), rich()).unwrap();
    assert!(pool.candidates(100_000_000_000, usize::MAX).is_empty());
    assert_eq!(order(&pool).len(), 1);
}

#[test]
fn bytes_of_a_block_are_bounded() {
    let pool = pool(8, 8);
    pool.insert(paying(1, 0, 1), rich()).unwrap();
    pool.insert(paying(2, 0, 1), rich()).unwrap();
    let one = pool.candidates(1_000_000_000, 200);
    assert_eq!(one.len(), 1);
}

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

#[test]
fn a_nonce_that_stays_used_is_given_up() {
    let pool = pool(8, 8);
    let hash = pool.insert(paying(1, 0, 1), rich()).unwrap();
    let used = [(hash, TxError::NonceTooLow { got: 0, expected: 1 })];
    pool.rejected(&used);
    assert!(pool.get(hash).is_some(), "the block that has it may not be final yet");
    for _ in 1..OUTDATED_LIMIT {
        pool.rejected(&used);
    }
    assert!(pool.get(hash).is_none());
}
