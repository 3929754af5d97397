//! The EVM itself: transfers, fees, contracts, calls, estimates, and what is refused.

use alloy_consensus::{TxEip1559, TxEip2930, TxEip4844, TxEip4844Variant, TxEip7702, TxLegacy, TxReceipt};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{B256, Bloom, BloomInput, Bytes, TxKind, U256, hex};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use openledger_types::abi::IOpen;
use openledger_types::addresses::{BURN, OPEN};

use super::{GWEI, TestChain, account, genesis, open, sign};
use crate::{
    CallRequest, CallStatus, EstimateError, ExecutionError, GenesisError, TxError, build_block, call,
    estimate_gas, execute_block,
};

#[test]
fn a_transfer_pays_the_base_fee_to_burn_and_the_tip_to_the_beneficiary() {
    let mut chain = TestChain::new();
    let (succeeded, outcome) = chain.send(account(1), account(4), open(3), Bytes::new());
    assert!(succeeded);
    let fee = U256::from(21_000 * GWEI);
    assert_eq!(outcome.gas_used, 21_000);
    assert_eq!(outcome.transactions[0].effective_gas_price, u128::from(2 * GWEI));
    assert_eq!(chain.balance(account(4)), open(1_000_003));
    assert_eq!(chain.balance(account(1)), open(999_997) - fee - fee);
    assert_eq!(chain.balance(BURN), fee);
    assert_eq!(chain.balance(account(0xbe)), fee);
}

#[test]
fn legacy_and_access_list_transactions_run_and_blob_transactions_are_refused() {
    let mut chain = TestChain::new();
    let to = TxKind::Call(account(4));
    let price = u128::from(2 * GWEI);
    let legacy =
        TxLegacy { chain_id: Some(7), gas_price: price, gas_limit: 21_000, to, ..TxLegacy::default() };
    let listed =
        TxEip2930 { chain_id: 7, nonce: 1, gas_price: price, gas_limit: 21_000, to, ..TxEip2930::default() };
    let outcome = chain.block(&[sign(legacy, account(1)), sign(listed, account(1))]);
    let kinds: Vec<_> = outcome.receipts.iter().map(|receipt| receipt.tx_type() as u8).collect();
    assert_eq!(kinds, [0, 1]);
    assert_eq!(outcome.receipts[1].cumulative_gas_used(), 42_000);

    let blob: TxEip4844Variant =
        TxEip4844Variant::TxEip4844(TxEip4844 { chain_id: 7, nonce: 2, ..TxEip4844::default() });
    let error = execute_block(&chain.env, &[sign(blob, account(1))], &chain.state).unwrap_err();
    assert!(matches!(
        error,
        ExecutionError::InvalidTransaction { index: 0, reason: TxError::BlobsNotSupported, .. }
    ));
}

#[test]
fn a_proposer_leaves_out_what_makes_a_block_invalid() {
    let mut chain = TestChain::new();
    let good = chain.tx(account(1), account(4), open(1), Bytes::new());
    let gap = sign(TxEip1559 { chain_id: 7, nonce: 9, ..fee(21_000) }, account(1));
    let poor = sign(TxEip1559 { chain_id: 7, value: open(1), ..fee(21_000) }, account(0x77));
    let cheap =
        sign(TxEip1559 { max_fee_per_gas: 1, max_priority_fee_per_gas: 0, ..fee(21_000) }, account(2));
    let greedy = sign(fee(17_000_000), account(3));
    let foreign = sign(TxEip1559 { chain_id: 8, ..fee(21_000) }, account(4));
    let candidates = [gap, good.clone(), poor, cheap, greedy, foreign];
    let built = build_block(&chain.env, candidates.iter().cloned(), &chain.state).unwrap();
    assert_eq!(built.included, [good]);
    let reasons: Vec<_> = built.rejected.into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons[0], TxError::NonceTooHigh { got: 9, expected: 0 });
    assert!(matches!(reasons[1], TxError::InsufficientFunds { .. }));
    assert_eq!(reasons[2], TxError::FeeTooLow { base_fee: GWEI });
    assert_eq!(reasons[3], TxError::GasLimitTooHigh { got: 17_000_000, limit: 1 << 24 });
    assert!(matches!(reasons[4], TxError::Invalid(_)));
    // The refused ones left no trace: not even a warm account.
    assert_eq!(execute_block(&chain.env, &built.included, &chain.state).unwrap(), built.outcome);
    for candidate in &candidates {
        let alone = execute_block(&chain.env, std::slice::from_ref(candidate), &chain.state);
        assert_eq!(alone.is_ok(), built.included.contains(candidate));
    }
}

fn fee(gas_limit: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: 7,
        gas_limit,
        max_fee_per_gas: u128::from(2 * GWEI),
        max_priority_fee_per_gas: u128::from(GWEI),
        to: TxKind::Call(account(4)),
        ..TxEip1559::default()
    }
}

#[test]
fn a_block_takes_no_more_than_its_gas_limit() {
    let mut chain = TestChain::new();
    chain.env.gas_limit = 50_000;
    let txs: Vec<_> = (0..3).map(|nonce| sign(TxEip1559 { nonce, ..fee(21_000) }, account(1))).collect();
    let built = build_block(&chain.env, txs.iter().cloned(), &chain.state).unwrap();
    assert_eq!(built.included.len(), 2);
    assert_eq!(built.rejected, []);
    let error = execute_block(&chain.env, &txs, &chain.state).unwrap_err();
    assert!(matches!(
        error,
        ExecutionError::InvalidTransaction {
            index: 2,
            reason: TxError::BlockGasExceeded { got: 21_000, limit: 8_000 },
            ..
        }
    ));
}

#[test]
fn what_a_contract_destroys_with_itself_is_burnt_and_not_lost() {
    let mut chain = TestChain::new();
    // Init code: ADDRESS SELFDESTRUCT. The contract gives its balance to itself in its first transaction.
    let (succeeded, outcome) = chain.send(account(1), TxKind::Create, open(5), hex!("30ff"));
    assert!(succeeded);
    assert_eq!(chain.balance(BURN), open(5) + U256::from(outcome.gas_used * GWEI));
}

#[test]
fn a_contract_keeps_its_code_and_slots() {
    let mut chain = TestChain::new();
    // Runtime: SSTORE(0, CALLDATALOAD(0)), 6 bytes; init code returns them.
    let (succeeded, outcome) =
        chain.send(account(1), TxKind::Create, U256::ZERO, hex!("656000356000556000526006601af3"));
    assert!(succeeded);
    let contract = outcome.transactions[0].contract_address.unwrap();
    assert!(chain.send(account(1), contract, U256::ZERO, U256::from(42).to_be_bytes::<32>()).0);
    use crate::StateReader;
    assert_eq!(chain.state.storage(contract, U256::ZERO).unwrap(), U256::from(42));
    assert!(chain.send(account(1), contract, U256::ZERO, Bytes::new()).0);
    assert_eq!(chain.state.storage(contract, U256::ZERO).unwrap(), U256::ZERO);
}

#[test]
fn a_call_costs_nothing_and_changes_nothing_but_needs_its_value() {
    let chain = TestChain::new();
    let request =
        CallRequest { from: account(1), to: Some(account(4)), value: open(1), ..CallRequest::default() };
    let outcome = call(&chain.env, &request, &chain.state).unwrap();
    assert_eq!((outcome.status, outcome.gas_used), (CallStatus::Success, 21_000));
    let poor = CallRequest { from: account(0x77), ..request };
    assert!(matches!(
        call(&chain.env, &poor, &chain.state),
        Err(ExecutionError::InvalidCall(TxError::InsufficientFunds { .. }))
    ));
}

#[test]
fn an_estimate_suffices_and_is_at_most_a_64th_above_what_is_needed() {
    let chain = TestChain::new();
    let request = CallRequest { from: account(1), to: Some(account(4)), ..CallRequest::default() };
    assert_eq!(estimate_gas(&chain.env, &request, &chain.state), Ok(21_000));
    // Init code that stores 1, then returns nothing.
    let create = CallRequest { to: None, data: Bytes::from(hex!("6001600055")), ..request };
    let estimate = estimate_gas(&chain.env, &create, &chain.state).unwrap();
    let with = |gas| {
        let request = CallRequest { gas: Some(gas), ..create.clone() };
        call(&chain.env, &request, &chain.state).unwrap().status
    };
    assert_eq!(with(estimate), CallStatus::Success);
    assert_eq!(with(estimate - estimate / 50), CallStatus::Halt("out of gas".to_owned()));
    // PUSH0 PUSH0 REVERT
    let reverting = CallRequest { data: Bytes::from(hex!("5f5ffd")), ..create };
    assert_eq!(estimate_gas(&chain.env, &reverting, &chain.state), Err(EstimateError::Revert(Bytes::new())));
}

#[test]
fn a_genesis_must_allocate_the_whole_supply() {
    let mut genesis = genesis();
    genesis.alloc.insert(account(4), U256::ZERO);
    assert!(matches!(genesis.state_writes(), Err(GenesisError::Supply { .. })));
}

#[test]
fn a_genesis_reads_back_from_its_json() {
    let json = serde_json::to_string(&genesis()).unwrap();
    let read: crate::Genesis = serde_json::from_str(&json).unwrap();
    assert_eq!(read.hash(), genesis().hash());
}

#[test]
fn blockhash_answers_the_parent_from_the_header_and_earlier_ones_from_the_state() {
    let mut chain = TestChain::new();
    chain.env.number = 5;
    chain.state.set_block_hash(3, B256::repeat_byte(3));
    let hash_of = |back: u8| {
        // RETURN(BLOCKHASH(NUMBER - back))
        let data = [&[0x60, back][..], &hex!("4303405f5260205ff3")].concat().into();
        let request = CallRequest { from: account(1), data, ..CallRequest::default() };
        call(&chain.env, &request, &chain.state).map(|outcome| outcome.output)
    };
    assert_eq!(hash_of(1).unwrap(), Bytes::from(chain.env.parent_hash.0));
    assert_eq!(hash_of(2).unwrap(), Bytes::from([3; 32]));
    assert!(matches!(hash_of(3), Err(ExecutionError::State(_))));
}

#[test]
fn an_account_can_delegate_to_a_contract_but_never_becomes_a_module() {
    let mut chain = TestChain::new();
    let signer = PrivateKeySigner::from_slice(&[7; 32]).unwrap();
    chain.send(account(1), signer.address(), open(5), Bytes::new());
    // Runtime: RETURN(ADDRESS)
    let init = hex!("66305f5260205ff35f5260076019f3");
    let (_, outcome) = chain.send(account(1), TxKind::Create, U256::ZERO, init);
    let contract = outcome.transactions[0].contract_address.unwrap();
    for (nonce, target) in [contract, OPEN].into_iter().enumerate() {
        let nonce = nonce as u64;
        let authorization = Authorization { chain_id: U256::from(7), address: target, nonce };
        let signature = signer.sign_hash_sync(&authorization.signature_hash()).unwrap();
        let tx = TxEip7702 {
            chain_id: 7,
            nonce: 2 + nonce,
            gas_limit: 100_000,
            max_fee_per_gas: u128::from(2 * GWEI),
            max_priority_fee_per_gas: u128::from(GWEI),
            to: account(4),
            authorization_list: vec![authorization.into_signed(signature)],
            ..TxEip7702::default()
        };
        let outcome = chain.block(&[sign(tx, account(1))]);
        assert_eq!(outcome.receipts[0].tx_type() as u8, 4);
        let data = IOpen::transferCall { to: account(4), value: open(1) }.abi_encode().into();
        let request =
            CallRequest { from: account(1), to: Some(signer.address()), data, ..CallRequest::default() };
        let outcome = call(&chain.env, &request, &chain.state).unwrap();
        if target == contract {
            assert_eq!(outcome.output, Bytes::from(signer.address().into_word().0));
        } else {
            assert_eq!(outcome.logs, []);
            assert!(outcome.output.len() != 32, "no module answered: {:?}", outcome.output);
        }
    }
}

#[test]
fn an_access_list_costs_its_entries_and_warms_them() {
    let mut chain = TestChain::new();
    // Runtime: SLOAD(0).
    let (_, outcome) = chain.send(account(1), TxKind::Create, U256::ZERO, hex!("625f54506000526003601df3"));
    let contract = outcome.transactions[0].contract_address.unwrap();
    let gas_of = |chain: &mut TestChain, nonce, keys: Vec<B256>| {
        let storage_keys = keys;
        let tx = TxEip2930 {
            chain_id: 7,
            nonce,
            gas_price: u128::from(2 * GWEI),
            gas_limit: 100_000,
            to: TxKind::Call(contract),
            access_list: AccessList(vec![AccessListItem { address: contract, storage_keys }]),
            ..TxEip2930::default()
        };
        let outcome = chain.block(&[sign(tx, account(1))]);
        assert!(outcome.receipts[0].status());
        outcome.gas_used
    };
    let without = gas_of(&mut chain, 1, Vec::new());
    let with = gas_of(&mut chain, 2, vec![B256::ZERO]);
    assert_eq!(with, without + 1_900 - 2_000);
}

#[test]
fn cleared_slots_are_refunded_up_to_a_fifth() {
    let mut chain = TestChain::new();
    // Init code stores 1 in slots 0 to 9; runtime: SSTORE(0..10, 0).
    let stores: Vec<u8> = (0..10).flat_map(|slot| [0x60, 1, 0x60, slot, 0x55]).collect();
    let clears: Vec<u8> = (0..10).flat_map(|slot| [0x5f, 0x60, slot, 0x55]).collect();
    let (runtime, at) = (clears.len() as u8, (stores.len() + 10) as u8);
    let copy = [0x60, runtime, 0x60, at, 0x5f, 0x39, 0x60, runtime, 0x5f, 0xf3];
    let init = [stores, copy.to_vec(), clears].concat();
    let (succeeded, outcome) = chain.send(account(1), TxKind::Create, U256::ZERO, init);
    assert!(succeeded);
    let contract = outcome.transactions[0].contract_address.unwrap();
    let before = chain.balance(account(1));
    let (succeeded, outcome) = chain.send(account(1), contract, U256::ZERO, Bytes::new());
    assert!(succeeded);
    // 10 x (PUSH0 2 + PUSH1 3 + cold clear 5,000) + 21,000, less the most that EIP-3529 refunds.
    let spent: u64 = 21_000 + 10 * 5_005;
    assert_eq!(outcome.gas_used, spent - spent / 5);
    assert_eq!(before - chain.balance(account(1)), U256::from(outcome.gas_used * 2 * GWEI));
}

#[test]
fn the_bloom_of_a_block_has_every_emitter_and_topic_and_failed_logs_are_in_none() {
    let mut chain = TestChain::new();
    // Runtime: LOG1(0, 0, 0xbeef), then revert if called with data.
    let runtime = hex!("61beef5f5fa13615600e575f5ffd5b00");
    let length = runtime.len() as u8;
    let init = [&[0x60, length, 0x60, 0x0a, 0x5f, 0x39, 0x60, length, 0x5f, 0xf3][..], &runtime].concat();
    let (_, outcome) = chain.send(account(1), TxKind::Create, U256::ZERO, init);
    let contract = outcome.transactions[0].contract_address.unwrap();
    let good = chain.tx(account(1), contract, U256::ZERO, Bytes::new());
    let failing = chain.tx(account(1), contract, U256::ZERO, hex!("01"));
    let outcome = chain.block(&[good, failing]);
    let statuses: Vec<_> = outcome.receipts.iter().map(|receipt| receipt.status()).collect();
    assert_eq!(statuses, [true, false]);
    assert_eq!((outcome.receipts[0].logs().len(), outcome.receipts[1].logs().len()), (1, 0));
    assert_eq!(outcome.receipts[1].bloom(), Bloom::ZERO);
    assert_eq!(outcome.logs_bloom, outcome.receipts[0].bloom());
    for raw in [contract.as_slice(), B256::from(U256::from(0xbeef)).as_slice()] {
        assert!(outcome.logs_bloom.contains_input(BloomInput::Raw(raw)));
    }
    assert!(!outcome.logs_bloom.contains_input(BloomInput::Raw(account(1).as_slice())));
}
