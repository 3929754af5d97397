//! Calls that are no transactions: overrides, access lists, typed calls and what they see of the block.

use std::collections::BTreeMap;

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, B256, Bytes, U256, address, hex};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use openledger_types::abi::IOpen;
use openledger_types::addresses::OPEN;

use super::{GWEI, TestChain, account, open};
use crate::{
    AccountOverride, CallOutcome, CallRequest, CallStatus, EstimateError, ExecutionError, OverrideError,
    Overrides, TxError, call, create_access_list, estimate_gas,
};

/// Runtime that returns one word: the code given leaves it on the stack.
fn returning(code: &[u8]) -> Bytes {
    [code, &hex!("5f5260205ff3")].concat().into()
}

fn with_code(at: Address, code: Bytes) -> BTreeMap<Address, AccountOverride> {
    BTreeMap::from([(at, AccountOverride { code: Some(code), ..AccountOverride::default() })])
}

fn word(outcome: &CallOutcome) -> U256 {
    assert_eq!(outcome.status, CallStatus::Success);
    U256::from_be_slice(&outcome.output)
}

#[test]
fn overridden_accounts_stand_in_for_those_of_the_state() {
    let chain = TestChain::new();
    let at = account(0x55);
    // RETURN(SLOAD(1) + SELFBALANCE)
    let code = returning(&hex!("6001544701"));
    let mut request = CallRequest { from: account(1), to: Some(at), ..CallRequest::default() };
    request.overrides.accounts = with_code(at, code);
    let over = request.overrides.accounts.get_mut(&at).unwrap();
    over.balance = Some(U256::from(5));
    over.storage = BTreeMap::from([(U256::from(1), U256::from(7))]);
    assert_eq!(word(&call(&chain.env, &request, &chain.state).unwrap()), U256::from(12));
    // Without the override nothing is there.
    let plain = CallRequest { overrides: Overrides::default(), ..request.clone() };
    assert_eq!(call(&chain.env, &plain, &chain.state).unwrap().output, Bytes::new());
    // The estimate sees it as well, and it is more than a transfer to an account without code.
    assert!(estimate_gas(&chain.env, &request, &chain.state).unwrap() > 21_000);
    assert_eq!(estimate_gas(&chain.env, &plain, &chain.state), Ok(21_000));
}

#[test]
fn a_replaced_storage_hides_the_slots_it_does_not_name_and_a_diff_does_not() {
    let mut chain = TestChain::new();
    // Runtime: SSTORE(0, CALLDATALOAD(0)).
    let init = hex!("656000356000556000526006601af3");
    let (_, outcome) = chain.send(account(1), alloy_primitives::TxKind::Create, U256::ZERO, init);
    let at = outcome.transactions[0].contract_address.unwrap();
    assert!(chain.send(account(1), at, U256::ZERO, U256::from(42).to_be_bytes::<32>()).0);
    let mut request = CallRequest { from: account(1), to: Some(at), ..CallRequest::default() };
    request.overrides.accounts = with_code(at, returning(&hex!("5f54")));
    assert_eq!(word(&call(&chain.env, &request, &chain.state).unwrap()), U256::from(42));
    request.overrides.accounts.get_mut(&at).unwrap().only_these_slots = true;
    assert_eq!(word(&call(&chain.env, &request, &chain.state).unwrap()), U256::ZERO);
}

#[test]
fn an_overridden_balance_pays_for_value_that_the_account_does_not_have() {
    let chain = TestChain::new();
    let poor = account(0x77);
    let mut request =
        CallRequest { from: poor, to: Some(account(4)), value: open(1), ..CallRequest::default() };
    assert!(matches!(
        call(&chain.env, &request, &chain.state),
        Err(ExecutionError::InvalidCall(TxError::InsufficientFunds { .. }))
    ));
    let rich = AccountOverride { balance: Some(open(1)), ..AccountOverride::default() };
    request.overrides.accounts.insert(poor, rich);
    assert_eq!(call(&chain.env, &request, &chain.state).unwrap().status, CallStatus::Success);
    // With a price something must be left for gas.
    request.gas_price = Some(u128::from(GWEI));
    assert_eq!(
        estimate_gas(&chain.env, &request, &chain.state),
        Err(EstimateError::InsufficientFundsForTransfer)
    );
}

#[test]
fn modules_and_precompiles_can_be_moved_and_replaced() {
    let chain = TestChain::new();
    let data: Bytes = IOpen::balanceOfCall { account: account(1) }.abi_encode().into();
    let mut request = CallRequest { from: account(1), to: Some(OPEN), data, ..CallRequest::default() };
    assert_eq!(word(&call(&chain.env, &request, &chain.state).unwrap()), open(1_000_000));
    request.overrides.accounts = with_code(OPEN, returning(&hex!("6009")));
    assert_eq!(word(&call(&chain.env, &request, &chain.state).unwrap()), U256::from(9));

    let identity = address!("0000000000000000000000000000000000000004");
    let target = account(0x66);
    let moved = AccountOverride { move_precompile_to: Some(target), ..AccountOverride::default() };
    let mut request = CallRequest {
        from: account(1),
        to: Some(target),
        data: hex!("c0ffee").into(),
        ..CallRequest::default()
    };
    request.overrides.accounts.insert(identity, moved.clone());
    assert_eq!(call(&chain.env, &request, &chain.state).unwrap().output, request.data);
    let there = CallRequest { to: Some(identity), ..request.clone() };
    assert_eq!(call(&chain.env, &there, &chain.state).unwrap().output, Bytes::new());

    request.overrides.accounts.insert(target, AccountOverride::default());
    assert_eq!(
        call(&chain.env, &request, &chain.state),
        Err(ExecutionError::InvalidOverride(OverrideError::AlreadyOverridden(target)))
    );
    request.overrides.accounts = BTreeMap::from([(account(3), moved)]);
    assert_eq!(
        call(&chain.env, &request, &chain.state),
        Err(ExecutionError::InvalidOverride(OverrideError::NotAPrecompile(account(3))))
    );
}

#[test]
fn an_overridden_block_is_what_the_call_sees() {
    let mut chain = TestChain::new();
    chain.env.number = 5;
    let at = account(0x55);
    let see = |code: &[u8], change: &dyn Fn(&mut CallRequest)| {
        let mut request = CallRequest { from: account(1), to: Some(at), ..CallRequest::default() };
        request.overrides.accounts = with_code(at, returning(code));
        change(&mut request);
        word(&call(&chain.env, &request, &chain.state).unwrap())
    };
    assert_eq!(see(&hex!("43"), &|_| {}), U256::from(5));
    assert_eq!(see(&hex!("43"), &|request| request.overrides.block.number = Some(900)), U256::from(900));
    assert_eq!(see(&hex!("42"), &|request| request.overrides.block.timestamp = Some(3)), U256::from(3));
    assert_eq!(see(&hex!("45"), &|request| request.overrides.block.gas_limit = Some(7)), U256::from(7));
    let coinbase = U256::from_be_bytes(account(8).into_word().0);
    assert_eq!(see(&hex!("41"), &|request| request.overrides.block.beneficiary = Some(account(8))), coinbase);
    let random = B256::repeat_byte(9);
    assert_eq!(
        see(&hex!("44"), &|request| request.overrides.block.prevrandao = Some(random)),
        U256::from_be_bytes(random.0)
    );
    assert_eq!(see(&hex!("4a"), &|request| request.overrides.block.blob_base_fee = Some(6)), U256::from(6));
    // BLOCKHASH(NUMBER - 1): the parent's, none for a block that does not exist yet, or what is put there.
    let parent = hex!("6001430340");
    assert_eq!(see(&parent, &|_| {}), U256::from_be_bytes(chain.env.parent_hash.0));
    assert_eq!(see(&parent, &|request| request.overrides.block.number = Some(90)), U256::ZERO);
    let put = |request: &mut CallRequest| {
        request.overrides.block.block_hashes.insert(4, random);
    };
    assert_eq!(see(&parent, &put), U256::from_be_bytes(random.0));
}

#[test]
fn a_call_without_a_price_sees_no_base_fee_and_one_with_a_price_is_held_to_it() {
    let chain = TestChain::new();
    let at = account(0x55);
    let mut request = CallRequest { from: account(1), to: Some(at), ..CallRequest::default() };
    request.overrides.accounts = with_code(at, returning(&hex!("48")));
    assert_eq!(word(&call(&chain.env, &request, &chain.state).unwrap()), U256::ZERO);
    request.max_fee_per_gas = Some(u128::from(2 * GWEI));
    assert_eq!(word(&call(&chain.env, &request, &chain.state).unwrap()), U256::from(GWEI));
    request.max_fee_per_gas = Some(1);
    assert_eq!(
        call(&chain.env, &request, &chain.state),
        Err(ExecutionError::InvalidCall(TxError::FeeTooLow { base_fee: GWEI }))
    );
    request.max_priority_fee_per_gas = Some(2);
    assert_eq!(
        call(&chain.env, &request, &chain.state),
        Err(ExecutionError::InvalidCall(TxError::TipAboveMax))
    );
}

#[test]
fn calls_with_an_access_list_or_a_delegation_carry_the_chain_id() {
    let chain = TestChain::new();
    let at = account(0x55);
    let slot = B256::ZERO;
    let mut request = CallRequest { from: account(1), to: Some(at), ..CallRequest::default() };
    request.overrides.accounts = with_code(at, returning(&hex!("5f54")));
    let cold = call(&chain.env, &request, &chain.state).unwrap();
    request.access_list = AccessList(vec![AccessListItem { address: at, storage_keys: vec![slot] }]);
    let warm = call(&chain.env, &request, &chain.state).unwrap();
    assert_eq!(warm.status, CallStatus::Success);
    // EIP-2930: 2,400 and 1,900 for the list, 2,000 less for the slot.
    assert_eq!(warm.gas_used, cold.gas_used + 2_400 + 1_900 - 2_000);

    let signer = PrivateKeySigner::from_slice(&[7; 32]).unwrap();
    let authorization = Authorization { chain_id: U256::from(7), address: at, nonce: 0 };
    let signature = signer.sign_hash_sync(&authorization.signature_hash()).unwrap();
    request.access_list = AccessList::default();
    request.to = Some(signer.address());
    request.authorization_list = vec![authorization.into_signed(signature)];
    request.overrides.accounts = with_code(at, returning(&hex!("30")));
    let outcome = call(&chain.env, &request, &chain.state).unwrap();
    assert_eq!(outcome.output, Bytes::from(signer.address().into_word().0));
    let estimate = estimate_gas(&chain.env, &request, &chain.state).unwrap();
    assert!(estimate >= 21_000 + 25_000, "{estimate}");
}

#[test]
fn an_access_list_names_what_the_call_uses_and_nothing_that_is_warm_anyway() {
    let chain = TestChain::new();
    let (at, other) = (account(0x55), account(0x66));
    // SLOAD(3), BALANCE(other), BALANCE(caller)
    let code = [&hex!("600354")[..], &[0x73], other.as_slice(), &hex!("3133315000")].concat();
    let mut request = CallRequest { from: account(1), to: Some(at), ..CallRequest::default() };
    request.overrides.accounts = with_code(at, code.into());
    let (list, outcome) = create_access_list(&chain.env, &request, &chain.state).unwrap();
    assert_eq!(outcome.status, CallStatus::Success);
    let slot = B256::from(U256::from(3));
    let wanted = [(at, vec![slot]), (other, Vec::new())];
    let got: Vec<_> = list.0.iter().map(|item| (item.address, item.storage_keys.clone())).collect();
    assert_eq!(got, wanted);
    // What is told is what the call uses with that list.
    request.access_list = list;
    assert_eq!(call(&chain.env, &request, &chain.state).unwrap().gas_used, outcome.gas_used);

    // A call that reverts has a list as well, and says that it reverted.
    request.access_list = AccessList::default();
    request.overrides.accounts = with_code(at, hex!("5f545f5ffd").into());
    let (list, outcome) = create_access_list(&chain.env, &request, &chain.state).unwrap();
    assert_eq!((list.0.len(), outcome.status), (1, CallStatus::Revert));
}
