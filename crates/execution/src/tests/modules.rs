//! Modules called by transactions, by contracts and by `eth_call`.

use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, hex, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{Revert, SolCall, SolError, SolEvent, SolStruct};
use openledger_types::abi::{
    BatchPost, Charge, DatanetRef, IDatanets, IEscrow, IModels, IOpen, IParams, ISettlement, IStaking,
    Modality, StakeRole, Terms, Use,
};
use openledger_types::addresses::{
    BURN, DATANETS, ESCROW, MODELS, MODULES, OPEN, PARAMS, SETTLEMENT, STAKING,
};
use openledger_types::amount::SUPPLY;
use openledger_types::authorization::{TransferWithAuthorization, open_domain};
use openledger_types::split::FeeSplit;

use super::{GWEI, TestChain, account, genesis, open};
use crate::{
    AccountState, BlockOutcome, CallOutcome, CallRequest, CallStatus, EstimateError, ExecutionError,
    GenesisError, GenesisVesting, MAX_TRANSACTION_GAS, MapState, StateError, StateKey, StateReader,
    build_block, call, estimate_gas, execute_block,
};

fn view(chain: &TestChain, to: Address, data: impl SolCall) -> CallOutcome {
    let request = CallRequest {
        from: account(1),
        to: Some(to),
        data: data.abi_encode().into(),
        ..CallRequest::default()
    };
    call(&chain.env, &request, &chain.state).unwrap()
}

/// Deploys a contract that hands its call data to `target` with the given opcode and returns or reverts as it does.
fn deploy_proxy(chain: &mut TestChain, target: Address, opcode: u8) -> Address {
    // CALLDATACOPY(0, 0, CALLDATASIZE)
    let mut code = hex!("365f5f37").to_vec();
    // retSize retOff argsSize argsOff [value] address gas
    code.extend(hex!("5f5f365f"));
    if opcode == CALL || opcode == CALLCODE {
        code.push(0x34); // CALLVALUE
    }
    code.push(0x73); // PUSH20
    code.extend(target.as_slice());
    code.extend([0x5a, opcode]);
    // RETURNDATACOPY(0, 0, RETURNDATASIZE); jump to the return if the call succeeded
    code.extend(hex!("3d5f5f3e"));
    let destination = u8::try_from(code.len() + 6).unwrap();
    code.extend([0x60, destination, 0x57]); // PUSH1 destination JUMPI
    code.extend(hex!("3d5ffd")); // REVERT(0, RETURNDATASIZE)
    code.extend(hex!("5b3d5ff3")); // JUMPDEST RETURN(0, RETURNDATASIZE)
    // Init code: CODECOPY(0, 11, size) RETURN(0, size)
    let size = u8::try_from(code.len()).unwrap();
    let mut init = vec![0x60, size, 0x80, 0x60, 11, 0x5f, 0x39, 0x5f, 0xf3];
    init.resize(11, 0);
    init.extend(code);
    let (succeeded, outcome) = chain.send(account(1), TxKind::Create, U256::ZERO, init);
    assert!(succeeded);
    outcome.transactions[0].contract_address.unwrap()
}

const CALL: u8 = 0xf1;
const CALLCODE: u8 = 0xf2;
const DELEGATECALL: u8 = 0xf4;
const STATICCALL: u8 = 0xfa;

fn logs(outcome: &BlockOutcome) -> &[Log] {
    outcome.receipts[0].logs()
}

fn create_datanet() -> IDatanets::createCall {
    IDatanets::createCall {
        name: "field notes".into(),
        license: "CC-BY-4.0".into(),
        modality: Modality::Text,
        terms: Terms { train: Use::Allow, infer: Use::Limit, crawl: Use::Deny },
    }
}

#[test]
fn a_transaction_to_a_module_leaves_logs_a_receipt_and_slots() {
    let mut chain = TestChain::new();
    let (succeeded, outcome) = chain.send(account(1), DATANETS, U256::ZERO, create_datanet().abi_encode());
    assert!(succeeded);
    let log = &logs(&outcome)[0];
    let created = IDatanets::Created::decode_log(log).unwrap();
    assert_eq!(log.address, DATANETS);
    assert_eq!((created.datanet, created.owner), (U256::ONE, account(1)));
    assert!(outcome.logs_bloom.contains_raw_log(DATANETS, log.data.topics()));
    // The count of Datanets is the first slot, as anybody can read it.
    assert_eq!(chain.state.storage(DATANETS, U256::ZERO).unwrap(), U256::ONE);
    let outcome = view(&chain, DATANETS, IDatanets::datanetCall { id: U256::ONE });
    let datanet = IDatanets::datanetCall::abi_decode_returns(&outcome.output).unwrap();
    assert_eq!((datanet.name.as_str(), datanet.license.as_str()), ("field notes", "CC-BY-4.0"));
    assert_eq!(
        (datanet.terms.train, datanet.terms.infer, datanet.terms.crawl),
        (Use::Allow, Use::Limit, Use::Deny)
    );
}

#[test]
fn a_contract_calls_a_module_with_value_and_sees_its_answer() {
    let mut chain = TestChain::new();
    let proxy = deploy_proxy(&mut chain, ESCROW, CALL);
    let (succeeded, outcome) = chain.send(account(1), proxy, open(5), IEscrow::depositCall {}.abi_encode());
    assert!(succeeded);
    let deposited = IEscrow::Deposited::decode_log(&logs(&outcome)[0]).unwrap();
    assert_eq!((deposited.payer, deposited.amount), (proxy, open(5)));
    assert_eq!(chain.balance(ESCROW), open(5));

    let reader = deploy_proxy(&mut chain, ESCROW, STATICCALL);
    let outcome = view(&chain, reader, IEscrow::balanceOfCall { payer: proxy });
    assert_eq!(outcome.status, CallStatus::Success);
    assert_eq!(IEscrow::balanceOfCall::abi_decode_returns(&outcome.output).unwrap(), open(5));
}

#[test]
fn what_a_module_wrote_is_undone_when_the_contract_above_it_reverts() {
    let mut chain = TestChain::new();
    let proxy = deploy_proxy(&mut chain, ESCROW, CALL);
    // The proxy succeeds, but the transaction above it runs out of gas: init code that calls it, then INVALID.
    let mut init = hex!("63").to_vec();
    init.extend(IEscrow::depositCall::SELECTOR);
    init.extend(hex!("60e01b5f52")); // selector at memory 0
    init.extend(hex!("5f5f60045f34")); // ret 0 0, args 4 0, value CALLVALUE
    init.push(0x73);
    init.extend(proxy.as_slice());
    init.extend([0x5a, CALL, 0xfe]);
    let (succeeded, outcome) = chain.send(account(1), TxKind::Create, open(5), init);
    assert!(!succeeded);
    assert_eq!(logs(&outcome), []);
    assert_eq!(chain.balance(ESCROW), U256::ZERO);
    let outcome = view(&chain, ESCROW, IEscrow::balanceOfCall { payer: proxy });
    assert_eq!(IEscrow::balanceOfCall::abi_decode_returns(&outcome.output).unwrap(), U256::ZERO);
}

#[test]
fn delegated_calls_of_modules_are_refused() {
    let mut chain = TestChain::new();
    for opcode in [DELEGATECALL, CALLCODE] {
        let proxy = deploy_proxy(&mut chain, OPEN, opcode);
        let outcome = view(&chain, proxy, IOpen::totalSupplyCall {});
        assert_eq!(outcome.status, CallStatus::Revert);
        let reason = Revert::abi_decode(&outcome.output).unwrap().reason;
        assert_eq!(reason, "a module cannot be called by DELEGATECALL or CALLCODE");
    }
}

#[test]
fn writes_in_a_static_call_are_refused() {
    let mut chain = TestChain::new();
    let proxy = deploy_proxy(&mut chain, DATANETS, STATICCALL);
    let outcome = view(&chain, proxy, create_datanet());
    assert_eq!(outcome.status, CallStatus::Revert);
    assert!(Revert::abi_decode(&outcome.output).is_ok());
}

#[test]
fn a_revert_of_a_module_is_a_typed_error_and_costs_what_was_used() {
    let mut chain = TestChain::new();
    let data = IOpen::transferCall { to: account(2), value: SUPPLY }.abi_encode();
    let request =
        CallRequest { from: account(1), to: Some(OPEN), data: data.clone().into(), ..CallRequest::default() };
    let outcome = call(&chain.env, &request, &chain.state).unwrap();
    assert_eq!(outcome.status, CallStatus::Revert);
    let error = IOpen::ERC20InsufficientBalance::abi_decode(&outcome.output).unwrap();
    assert_eq!((error.sender, error.needed), (account(1), SUPPLY));
    assert_eq!(estimate_gas(&chain.env, &request, &chain.state), Err(EstimateError::Revert(outcome.output)));
    let (succeeded, outcome) = chain.send(account(1), OPEN, U256::ZERO, data);
    assert!(!succeeded);
    assert!(outcome.gas_used < 30_000, "a revert keeps the rest of the gas: {}", outcome.gas_used);
}

#[test]
fn the_erc20_face_and_plain_transfers_move_one_balance() {
    let mut chain = TestChain::new();
    let data = IOpen::transferCall { to: account(0x40), value: open(2) }.abi_encode();
    let (succeeded, outcome) = chain.send(account(1), OPEN, U256::ZERO, data);
    assert!(succeeded);
    let moved = IOpen::Transfer::decode_log(&logs(&outcome)[0]).unwrap();
    assert_eq!((moved.from, moved.to, moved.value), (account(1), account(0x40), open(2)));
    chain.send(account(1), account(0x40), open(1), Bytes::new());
    assert_eq!(chain.balance(account(0x40)), open(3));
    let outcome = view(&chain, OPEN, IOpen::balanceOfCall { account: account(0x40) });
    assert_eq!(IOpen::balanceOfCall::abi_decode_returns(&outcome.output).unwrap(), open(3));
    let supply = view(&chain, OPEN, IOpen::totalSupplyCall {}).output;
    let supply = IOpen::totalSupplyCall::abi_decode_returns(&supply).unwrap();
    assert_eq!(supply, SUPPLY - chain.balance(BURN));
}

#[test]
fn a_module_pays_for_slots_logs_and_call_data_as_a_contract_does() {
    let mut chain = TestChain::new();
    let approve = |value| IOpen::approveCall { spender: account(2), value: U256::from(value) }.abi_encode();
    let mut gas = |value: u64| {
        let data = approve(value);
        let zeros = data.iter().filter(|byte| **byte == 0).count() as u64;
        let intrinsic = 21_000 + 4 * zeros + 16 * (data.len() as u64 - zeros);
        let used = chain.send(account(1), OPEN, U256::ZERO, data).1.gas_used;
        used - intrinsic
    };
    // Three words of call data, one log of three topics and one word.
    let beside_the_slot = 3 * 6 + 375 + 3 * 375 + 32 * 8;
    assert_eq!(gas(5) - beside_the_slot, 22_100, "a cold slot from zero");
    assert_eq!(gas(6) - beside_the_slot, 5_000, "a cold slot that holds something");
    assert_eq!(gas(6) - beside_the_slot, 2_200, "a cold slot that stays");
    // Clearing gives 4,800 back.
    assert_eq!(gas(0) + 4_800 - beside_the_slot, 5_000);
}

#[test]
fn a_module_runs_out_of_gas_like_a_contract() {
    let chain = TestChain::new();
    let request = CallRequest {
        from: account(1),
        to: Some(DATANETS),
        data: create_datanet().abi_encode().into(),
        ..CallRequest::default()
    };
    let needed = estimate_gas(&chain.env, &request, &chain.state).unwrap();
    let with = |gas| {
        let request = CallRequest { gas: Some(gas), ..request.clone() };
        call(&chain.env, &request, &chain.state).unwrap().status
    };
    assert_eq!(with(needed), CallStatus::Success);
    for gas in (needed / 2..needed - needed / 50).step_by(997) {
        assert_eq!(with(gas), CallStatus::Halt("out of gas".to_owned()));
    }
}

#[test]
fn modules_have_an_account_that_solidity_takes_for_a_contract() {
    let chain = TestChain::new();
    for module in MODULES {
        let held = chain.state.account(module).unwrap().unwrap();
        assert_eq!((held.nonce, held.code_hash), (1, keccak256([0xef])));
    }
}

#[test]
fn value_sent_to_a_module_without_a_payable_function_comes_back() {
    let mut chain = TestChain::new();
    for (module, data) in [
        (ESCROW, Bytes::new()),
        (OPEN, IOpen::totalSupplyCall {}.abi_encode().into()),
        (DATANETS, create_datanet().abi_encode().into()),
    ] {
        assert!(!chain.send(account(1), module, open(1), data).0);
        assert_eq!(chain.balance(module), U256::ZERO);
    }
}

#[test]
fn a_genesis_sets_params_and_bonds_stakes() {
    let mut chain = TestChain::new();
    let name = B256::right_padding_from(b"operator_ppm");
    let outcome = view(&chain, PARAMS, IParams::getCall { name });
    assert_eq!(IParams::getCall::abi_decode_returns(&outcome.output).unwrap(), U256::from(300_000));
    let active = IStaking::isActiveCall { account: account(2), role: StakeRole::Operator };
    let outcome = view(&chain, STAKING, active);
    assert!(IStaking::isActiveCall::abi_decode_returns(&outcome.output).unwrap());
    assert_eq!(chain.balance(STAKING), open(300_000));
    let unbond = IStaking::startUnbondingCall {}.abi_encode();
    assert!(chain.send(account(2), STAKING, U256::ZERO, unbond).0);

    let mut bad = genesis();
    bad.params.insert("operator_ppm".into(), U256::from(900_000));
    assert!(matches!(bad.state_writes(), Err(GenesisError::Param(_))));
    let mut bad = genesis();
    bad.stakes[0].amount -= open(99_999);
    bad.alloc.entry(account(9)).and_modify(|amount| *amount += open(99_999));
    assert!(matches!(bad.state_writes(), Err(GenesisError::Stake { .. })));
}

#[test]
fn a_genesis_holds_vesting_schedules_that_are_released_with_time() {
    let mut spec = genesis();
    let vesting = GenesisVesting { account: account(0x40), amount: open(9), start: 10, cliff: 20, end: 40 };
    spec.alloc.entry(account(9)).and_modify(|amount| *amount -= open(9));
    spec.vesting.push(vesting);
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<crate::Genesis>(&json).unwrap(), spec);
    assert!(!serde_json::to_string(&genesis()).unwrap().contains("vesting"), "old hashes stay");
    let mut chain = TestChain::new();
    chain.state = MapState::new(spec.state_writes().unwrap());
    assert_eq!(chain.balance(OPEN), open(9));
    chain.env.timestamp = 30;
    let release = IOpen::releaseCall { vesting: U256::ONE }.abi_encode();
    assert!(chain.send(account(1), OPEN, U256::ZERO, release).0);
    assert_eq!((chain.balance(account(0x40)), chain.balance(OPEN)), (open(6), open(3)));

    spec.vesting[0].end = 10;
    assert!(matches!(spec.state_writes(), Err(GenesisError::Vesting(_))));
    spec.vesting.clear();
    assert!(matches!(spec.state_writes(), Err(GenesisError::Supply { .. })));
}

#[test]
fn a_signed_transfer_pays_for_its_recovery_and_is_bound_to_the_chain() {
    let mut chain = TestChain::new();
    let holder = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
    assert!(chain.send(account(1), holder.address(), open(2), Bytes::new()).0);
    let message = TransferWithAuthorization {
        from: holder.address(),
        to: account(0x40),
        value: open(2),
        validAfter: U256::ZERO,
        validBefore: U256::MAX,
        nonce: B256::repeat_byte(1),
    };
    let data = |chain_id| {
        let digest = message.eip712_signing_hash(&open_domain(chain_id));
        let TransferWithAuthorization { from, to, value, validAfter, validBefore, nonce } = message.clone();
        let signature = holder.sign_hash_sync(&digest).unwrap().as_bytes().to_vec().into();
        IOpen::transferWithAuthorization_1Call { from, to, value, validAfter, validBefore, nonce, signature }
            .abi_encode()
    };
    assert!(!chain.send(account(2), OPEN, U256::ZERO, data(8)).0);
    let (succeeded, outcome) = chain.send(account(2), OPEN, U256::ZERO, data(7));
    assert!(succeeded);
    assert_eq!(chain.balance(account(0x40)), open(2));
    // 21,000 and call data, 3,000 for the recovery, a new slot and a new account.
    assert!(outcome.gas_used > 75_000 && outcome.gas_used < 110_000, "{}", outcome.gas_used);
}

#[test]
fn the_price_of_a_transaction_never_depends_on_what_the_proposer_refused() {
    let mut chain = TestChain::new();
    let refused = {
        let mut tx = chain.tx(account(0x66), account(4), open(1), Bytes::new());
        tx = super::sign(
            alloy_consensus::TxEip1559 {
                chain_id: 7,
                gas_limit: 100_000,
                max_fee_per_gas: u128::from(10 * GWEI),
                to: TxKind::Call(OPEN),
                ..Default::default()
            },
            tx.signer(),
        );
        tx
    };
    let good = chain.tx(
        account(1),
        OPEN,
        U256::ZERO,
        IOpen::transferCall { to: account(0x66), value: U256::ONE }.abi_encode(),
    );
    let built = build_block(&chain.env, [refused, good.clone()].into_iter(), &chain.state).unwrap();
    assert_eq!((built.included.len(), built.rejected.len()), (1, 1));
    assert_eq!(execute_block(&chain.env, &[good], &chain.state).unwrap(), built.outcome);
}

/// The largest batch that may be posted, with keys that were never charged, and its refusal.
#[test]
fn the_largest_batch_fits_the_gas_of_a_transaction() {
    let mut chain = TestChain::new();
    let send = |chain: &mut TestChain, from, to, value, data: Vec<u8>| {
        let (succeeded, outcome) = chain.send_with_gas(from, to, value, data, MAX_TRANSACTION_GAS);
        assert!(succeeded);
        outcome.gas_used
    };
    publish_adapter(&mut chain);
    let keys: Vec<B256> = (0..256_u64).map(|n| keccak256(n.to_be_bytes())).collect();
    let charges: Vec<Charge> = keys.iter().map(|key| Charge { key: *key, amount: open(1) }).collect();
    for (n, key) in keys.iter().enumerate() {
        // Every key has a payer of its own: the dearest case.
        let payer = Address::left_padding_from(&(0x10_0000 + n).to_be_bytes());
        send(&mut chain, account(1), payer, open(10), Vec::new());
        send(&mut chain, payer, ESCROW, open(2), IEscrow::depositCall {}.abi_encode());
        let authorise =
            IEscrow::authoriseCall { key: *key, operator: account(2), cap: open(5), expiresAt: u64::MAX };
        send(&mut chain, payer, ESCROW, U256::ZERO, authorise.abi_encode());
    }
    let fees = open(256);
    let batch = BatchPost {
        epoch: 1,
        adapter: U256::ONE,
        receiptsRoot: B256::repeat_byte(1),
        receipts: 1_000_000,
        steps: 1_000_121,
        fees,
        totals: FeeSplit::GENESIS.split(fees).totals(U256::ZERO),
        payoutsRoot: B256::repeat_byte(2),
        payouts: 100_000,
        fileHash: B256::repeat_byte(3),
        settledAt: chain.env.timestamp,
        charges,
    };
    let post = ISettlement::postCall { batch }.abi_encode();
    let used = send(&mut chain, account(2), SETTLEMENT, U256::ZERO, post);
    assert!(used < MAX_TRANSACTION_GAS / 10 * 9, "a post of 256 charges used {used}");
    assert_eq!(chain.balance(SETTLEMENT), fees);
    // Past the windows of verdicts, which nobody used.
    chain.env.number += 10_000;
    let finalise = ISettlement::finaliseCall { batch: U256::ONE }.abi_encode();
    let used = send(&mut chain, account(2), SETTLEMENT, U256::ZERO, finalise);
    assert!(used < MAX_TRANSACTION_GAS / 2, "refunding 256 charges used {used}");
    assert_eq!(chain.balance(ESCROW), open(512));
}

fn publish_adapter(chain: &mut TestChain) {
    let developer = account(4);
    let version = IDatanets::publishVersionCall {
        datanet: U256::ONE,
        manifestHash: B256::repeat_byte(1),
        recordsRoot: B256::repeat_byte(2),
        records: 2,
        clusters: 1,
    };
    let base = IModels::registerBaseCall {
        name: "tiny".into(),
        license: "MIT".into(),
        fileHash: B256::repeat_byte(3),
    };
    let training = IModels::commitTrainingCall { manifestHash: B256::repeat_byte(4) };
    let adapter = IModels::publishAdapterCall {
        base: U256::ONE,
        manifestHash: B256::repeat_byte(4),
        adapterHash: B256::repeat_byte(5),
        transcriptHash: B256::repeat_byte(6),
        datanets: vec![DatanetRef { datanet: U256::ONE, version: 1 }],
        inputPrice: U256::ONE,
        outputPrice: U256::ONE,
    };
    let fee = open(1);
    for (module, value, data) in [
        (DATANETS, U256::ZERO, create_datanet().abi_encode()),
        (DATANETS, U256::ZERO, version.abi_encode()),
        (MODELS, U256::ZERO, base.abi_encode()),
        (MODELS, U256::ZERO, training.abi_encode()),
        (MODELS, fee, adapter.abi_encode()),
    ] {
        assert!(chain.send(developer, module, value, data).0);
    }
}

/// A state of which the storage of one account is not loaded.
struct Unloaded {
    state: MapState,
    account: Address,
}

impl StateReader for Unloaded {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        self.state.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        if address == self.account {
            return Err(StateError::Missing(StateKey::Storage(address, slot)));
        }
        self.state.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        self.state.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.state.block_hash(number)
    }
}

#[test]
fn a_slot_that_is_not_loaded_is_named_and_says_nothing_about_the_block() {
    let mut chain = TestChain::new();
    let tx = chain.tx(account(1), DATANETS, U256::ZERO, create_datanet().abi_encode());
    let state = Unloaded { state: chain.state.clone(), account: DATANETS };
    let missing = ExecutionError::State(StateError::Missing(StateKey::Storage(DATANETS, U256::ZERO)));
    assert_eq!(execute_block(&chain.env, std::slice::from_ref(&tx), &state).unwrap_err(), missing);
    assert_eq!(build_block(&chain.env, [tx].into_iter(), &state).unwrap_err(), missing);
    let data = IDatanets::datanetCountCall {}.abi_encode().into();
    let request = CallRequest { from: account(1), to: Some(DATANETS), data, ..CallRequest::default() };
    assert_eq!(call(&chain.env, &request, &state).unwrap_err(), missing);
}
