use super::*;
use crate::tests::fixtures::{CHAIN_ID, account, sign};
use alloy_consensus::{TxEip1559, transaction::SignerRecoverable};
use alloy_primitives::TxKind;

const TO: Address = Address::repeat_byte(9);
const GWEI: u128 = 1_000_000_000;

fn pool(per_account: usize, total: usize) -> Pool {
    let limits = PoolLimits { per_account, total, nonce_ahead: 8, ..PoolLimits::default() };
    Pool::new(limits, 1_000_000_000)
}

/// Takes a client's transaction in, and returns its hash.
fn insert(pool: &Pool, transaction: Recovered<TxEnvelope>, account: AccountState) -> Result<B256, PoolError> {
    pool.insert(transaction, account, Origin::Client).map(|waiting| *waiting.tx_hash())
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
        insert(&pool, transaction, rich()).unwrap();
    }
    let [one, two, three] = [1, 2, 3].map(|number| account(number).address());
    assert_eq!(order(&pool), [(two, 0), (three, 0), (one, 0), (one, 1)]);
}

#[test]
fn what_follows_a_gap_waits_until_the_gap_is_filled() {
    let pool = pool(8, 8);
    let one = account(1).address();
    insert(&pool, paying(1, 1, 1), rich()).unwrap();
    assert!(order(&pool).is_empty());
    assert_eq!(pool.pending_nonce(one), Some(0));
    insert(&pool, paying(1, 0, 1), rich()).unwrap();
    assert_eq!(order(&pool), [(one, 0), (one, 1)]);
    assert_eq!(pool.pending_nonce(one), Some(2));
}

#[test]
fn a_replacement_pays_a_tenth_more_in_both_fees() {
    let pool = pool(8, 8);
    let old = insert(&pool, paying(1, 0, 10), rich()).unwrap();
    assert_eq!(insert(&pool, paying(1, 0, 11), rich()), Err(PoolError::ReplacementUnderpriced));
    let new = insert(&pool, paying(1, 0, 12), rich()).unwrap();
    assert!(pool.get(old).is_none() && pool.get(new).is_some());
    assert_eq!(pool.len(), 1);
}

#[test]
fn an_account_cannot_promise_more_than_it_has() {
    let pool = pool(8, 8);
    let cost = most_it_costs(&paying(1, 0, 1));
    let poor = AccountState { balance: cost, ..AccountState::default() };
    insert(&pool, paying(1, 0, 1), poor).unwrap();
    assert_eq!(
        insert(&pool, paying(1, 1, 1), poor),
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
    insert(&pool, paying(1, 0, 1), rich()).unwrap();
    insert(&pool, paying(1, 1, 1), rich()).unwrap();
    assert!(matches!(insert(&pool, paying(1, 2, 1), rich()), Err(PoolError::AccountLimit { limit: 2, .. })));
    assert!(matches!(insert(&pool, paying(2, 9, 1), rich()), Err(PoolError::NonceTooHigh { limit: 8, .. })));
    let gap = insert(&pool, paying(2, 5, 1), rich()).unwrap();
    // Full: what cannot be proposed makes room, then nothing does.
    insert(&pool, paying(3, 0, 1), rich()).unwrap();
    assert!(pool.get(gap).is_none());
    assert_eq!(insert(&pool, paying(4, 0, 1), rich()), Err(PoolError::Full { limit: 3 }));
}

#[test]
fn what_a_block_holds_is_not_offered_again_and_comes_back_if_that_block_loses() {
    let pool = pool(8, 8);
    let first = insert(&pool, paying(1, 0, 1), rich()).unwrap();
    insert(&pool, paying(1, 1, 1), rich()).unwrap();
    pool.included(5, [first].into_iter());
    assert_eq!(order(&pool), [(account(1).address(), 1)]);
    let other = crate::tests::fixtures::empty_block(5);
    pool.finalised(&other, &[], 1_000_000_000);
    assert_eq!(order(&pool).len(), 2);
}

#[test]
fn who_cannot_pay_the_base_fee_waits() {
    let pool = pool(8, 8);
    insert(&pool, paying(1, 0, 1), rich()).unwrap();
    assert!(pool.candidates(100_000_000_000, usize::MAX).is_empty());
    assert_eq!(order(&pool).len(), 1);
}

#[test]
fn bytes_of_a_block_are_bounded() {
    let pool = pool(8, 8);
    insert(&pool, paying(1, 0, 1), rich()).unwrap();
    insert(&pool, paying(2, 0, 1), rich()).unwrap();
    let one = pool.candidates(1_000_000_000, 200);
    assert_eq!(one.len(), 1);
}

#[test]
fn a_nonce_that_stays_used_is_given_up() {
    let pool = pool(8, 8);
    let hash = insert(&pool, paying(1, 0, 1), rich()).unwrap();
    let used = [(hash, TxError::NonceTooLow { got: 0, expected: 1 })];
    pool.rejected(&used);
    assert!(pool.get(hash).is_some(), "the block that has it may not be final yet");
    for _ in 1..OUTDATED_LIMIT {
        pool.rejected(&used);
    }
    assert!(pool.get(hash).is_none());
}

#[test]
fn a_full_pool_keeps_who_pays_more_and_opens_no_gap() {
    let pool = pool(8, 4);
    let cheap: Vec<_> = [paying(1, 0, 5), paying(1, 1, 2), paying(1, 2, 9)]
        .map(|transaction| insert(&pool, transaction, rich()).unwrap())
        .into();
    insert(&pool, paying(2, 0, 4), rich()).unwrap();
    // Nobody pays less than 2.
    assert_eq!(insert(&pool, paying(3, 0, 2), rich()), Err(PoolError::Full { limit: 4 }));
    assert_eq!(insert(&pool, paying(3, 0, 1), rich()), Err(PoolError::Full { limit: 4 }));
    // The account with the cheapest loses its last, whatever that pays.
    insert(&pool, paying(3, 0, 3), rich()).unwrap();
    assert!(pool.get(cheap[2]).is_none() && pool.get(cheap[1]).is_some());
    insert(&pool, paying(4, 0, 3), rich()).unwrap();
    assert!(pool.get(cheap[1]).is_none() && pool.get(cheap[0]).is_some());
    // Nor does a newcomer that no block could take push anybody out.
    assert_eq!(insert(&pool, paying(5, 3, 50), rich()), Err(PoolError::Full { limit: 4 }));
    assert_eq!(pool.len(), 4);
}

#[test]
fn nobody_is_pushed_out_of_a_block_that_is_not_final_yet() {
    let pool = pool(8, 2);
    let held = insert(&pool, paying(1, 0, 1), rich()).unwrap();
    pool.included(5, [held].into_iter());
    let left_out = insert(&pool, paying(1, 1, 2), rich()).unwrap();
    insert(&pool, paying(2, 0, 3), rich()).unwrap();
    assert!(pool.get(held).is_some() && pool.get(left_out).is_none());
    assert_eq!(insert(&pool, paying(3, 0, 3), rich()), Err(PoolError::Full { limit: 2 }));
}

#[test]
fn the_bytes_that_wait_are_bounded() {
    let size = paying(1, 0, 1).encode_2718_len();
    let limits = PoolLimits { bytes: 2 * size + size / 2, ..PoolLimits::default() };
    let pool = Pool::new(limits, 1_000_000_000);
    insert(&pool, paying(1, 0, 1), rich()).unwrap();
    let second = insert(&pool, paying(2, 0, 1), rich()).unwrap();
    assert!(matches!(insert(&pool, paying(3, 0, 1), rich()), Err(PoolError::Full { .. })));
    pool.rejected(&[(second, TxError::FeeTooLow { base_fee: 1 })]);
    insert(&pool, paying(3, 0, 1), rich()).unwrap();
}

#[test]
fn only_clients_transactions_are_told_again() {
    let pool = pool(8, 8);
    let own = insert(&pool, paying(1, 0, 1), rich()).unwrap();
    pool.insert(paying(2, 0, 1), rich(), Origin::Peer).unwrap();
    let so_far = pool.arrivals();
    insert(&pool, paying(1, 1, 1), rich()).unwrap();
    let told: Vec<_> = pool.own_left_out(so_far).iter().map(|waiting| *waiting.tx_hash()).collect();
    assert_eq!(told, [own]);
    pool.included(5, [own].into_iter());
    assert!(pool.own_left_out(so_far).is_empty());
    assert_eq!(pool.own().len(), 2);
}
