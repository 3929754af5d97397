//! Traces against what a block did.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_rpc_types_trace::geth::{
    CallConfig, CallFrame, GethDebugBuiltInTracerType, GethDebugTracingOptions, GethTrace, PreStateConfig,
    PreStateFrame,
};
use alloy_sol_types::SolCall;
use openledger_types::abi::IOpen;
use openledger_types::addresses::OPEN;

use super::{TestChain, account, open};
use crate::{CallRequest, MAX_TRACE_BYTES, MapState, TraceError, trace_call, trace_transactions};

fn tracer(kind: GethDebugBuiltInTracerType) -> GethDebugTracingOptions {
    GethDebugTracingOptions::default().with_tracer(kind.into())
}

fn call_frames(with_log: bool) -> GethDebugTracingOptions {
    let config = CallConfig { with_log: Some(with_log), ..CallConfig::default() };
    tracer(GethDebugBuiltInTracerType::CallTracer).with_call_config(config)
}

/// Init code of a contract with this runtime.
fn deploying(runtime: &[u8]) -> Bytes {
    let length = u8::try_from(runtime.len()).unwrap();
    [&[0x60, length, 0x60, 0x0b, 0x5f, 0x39, 0x60, length, 0x5f, 0xf3, 0x00][..], runtime].concat().into()
}

/// Two transactions: a plain transfer, then a call of a contract that transfers 7 wei with the OPEN module, stores 1
/// and calls a contract that reverts.
struct Scene {
    chain: TestChain,
    before: MapState,
    contract: Address,
    reverting: Address,
    transactions: Vec<alloy_consensus::transaction::Recovered<alloy_consensus::TxEnvelope>>,
    gas_used: u64,
}

fn scene() -> Scene {
    let mut chain = TestChain::new();
    let (_, outcome) = chain.send(account(1), TxKind::Create, U256::ZERO, deploying(&hex!("5f5ffd")));
    let reverting = outcome.transactions[0].contract_address.unwrap();
    // CALLDATACOPY(0, 0, CALLDATASIZE) CALL(gas, OPEN, 0, 0, CALLDATASIZE, 0, 0) SSTORE(0, 1) CALL(reverting)
    let code = [
        &hex!("365f5f375f5f365f5f73")[..],
        OPEN.as_slice(),
        &hex!("5af15060015f555f5f5f5f5f73"),
        reverting.as_slice(),
        &hex!("5af15000"),
    ]
    .concat();
    let (_, outcome) = chain.send(account(1), TxKind::Create, U256::from(0), deploying(&code));
    let contract = outcome.transactions[0].contract_address.unwrap();
    chain.send(account(1), contract, open(1), Bytes::new());
    let data = IOpen::transferCall { to: account(0x44), value: U256::from(7) }.abi_encode();
    let transactions = vec![
        chain.tx(account(2), account(4), open(1), Bytes::new()),
        chain.tx(account(1), contract, U256::ZERO, data),
    ];
    let before = chain.state.clone();
    let env = chain.env;
    let outcome = chain.block(&transactions);
    assert!(outcome.receipts[1].status());
    chain.env = env;
    Scene { chain, before, contract, reverting, transactions, gas_used: outcome.transactions[1].gas_used }
}

impl Scene {
    fn trace(&self, first: usize, options: &GethDebugTracingOptions) -> Vec<GethTrace> {
        let hash = B256::repeat_byte(1);
        trace_transactions(&self.chain.env, &self.transactions, first, hash, options, &self.before).unwrap()
    }
}

#[test]
fn the_call_tracer_shows_every_call_with_its_outcome() {
    let scene = scene();
    let traces = scene.trace(0, &call_frames(true));
    assert_eq!(traces.len(), 2);
    let GethTrace::CallTracer(frame) = &traces[1] else { panic!("{traces:?}") };
    assert_eq!((frame.from, frame.to), (account(1), Some(scene.contract)));
    assert_eq!(frame.gas_used, U256::from(scene.gas_used));
    let [module, failing] = frame.calls.as_slice() else { panic!("{frame:?}") };
    assert_eq!((module.to, module.typ.as_str(), module.error.as_deref()), (Some(OPEN), "CALL", None));
    assert_eq!(module.logs.len(), 1);
    assert_eq!(failing.to, Some(scene.reverting));
    assert_eq!(failing.error.as_deref(), Some("execution reverted"));
    // The second alone is the same: what came before it was executed first.
    assert_eq!(scene.trace(1, &call_frames(true))[0], traces[1]);
}

#[test]
fn the_prestate_tracer_shows_what_was_read_and_what_became_of_it() {
    let scene = scene();
    let traces = scene.trace(1, &tracer(GethDebugBuiltInTracerType::PreStateTracer));
    let GethTrace::PreStateTracer(PreStateFrame::Default(accounts)) = &traces[0] else {
        panic!("{traces:?}")
    };
    let contract = &accounts.0[&scene.contract];
    assert_eq!(contract.balance, Some(open(1)));
    assert!(contract.code.as_ref().is_some_and(|code| !code.is_empty()));
    let sender = accounts.0[&account(1)].balance.unwrap();

    let diff = PreStateConfig { diff_mode: Some(true), ..PreStateConfig::default() };
    let options = tracer(GethDebugBuiltInTracerType::PreStateTracer).with_prestate_config(diff);
    let traces = scene.trace(1, &options);
    let GethTrace::PreStateTracer(PreStateFrame::Diff(diff)) = &traces[0] else { panic!("{traces:?}") };
    assert_eq!(diff.post[&account(0x44)].balance, Some(U256::from(7)));
    assert_eq!(diff.post[&scene.contract].balance, Some(open(1) - U256::from(7)));
    assert!(diff.post[&account(1)].balance.unwrap() < sender);
}

#[test]
fn the_default_tracer_lists_every_opcode_and_stops_where_told() {
    let scene = scene();
    let traces = scene.trace(1, &GethDebugTracingOptions::default());
    let GethTrace::Default(frame) = &traces[0] else { panic!("{traces:?}") };
    assert_eq!((frame.failed, frame.gas), (false, scene.gas_used));
    assert_eq!(frame.struct_logs[0].op, "CALLDATASIZE");
    assert!(frame.struct_logs.iter().any(|step| step.op == "REVERT" && step.depth == 2));
    assert_eq!(frame.struct_logs.last().unwrap().op, "STOP");

    let mut options = GethDebugTracingOptions::default();
    options.config.limit = Some(3);
    let traces = scene.trace(1, &options);
    let GethTrace::Default(frame) = &traces[0] else { panic!("{traces:?}") };
    assert_eq!((frame.struct_logs.len(), frame.gas), (3, scene.gas_used));
}

#[test]
fn a_traced_call_does_what_the_call_does() {
    let scene = scene();
    let request = CallRequest {
        from: account(1),
        to: Some(scene.reverting),
        gas: Some(100_000),
        ..CallRequest::default()
    };
    let trace = trace_call(&scene.chain.env, &request, &call_frames(false), &scene.before).unwrap();
    let GethTrace::CallTracer(CallFrame { error, gas, gas_used, .. }) = trace else { panic!("{trace:?}") };
    assert_eq!(error.as_deref(), Some("execution reverted"));
    let outcome = crate::call(&scene.chain.env, &request, &scene.before).unwrap();
    assert_eq!((gas, gas_used), (U256::from(100_000), U256::from(outcome.gas_used)));
}

#[test]
fn a_trace_that_grows_too_large_is_refused_with_the_limit() {
    let mut chain = TestChain::new();
    // JUMPDEST PUSH0 JUMP, until the gas is gone.
    let (_, outcome) = chain.send(account(1), TxKind::Create, U256::ZERO, deploying(&hex!("5b5f56")));
    let at = outcome.transactions[0].contract_address;
    let request = CallRequest { from: account(1), to: at, ..CallRequest::default() };
    let error = trace_call(&chain.env, &request, &GethDebugTracingOptions::default(), &chain.state);
    assert_eq!(error.unwrap_err(), TraceError::TooLarge { limit: MAX_TRACE_BYTES });
    // The same call is small for a tracer that keeps calls alone.
    assert!(trace_call(&chain.env, &request, &call_frames(false), &chain.state).is_ok());
    // Data is bounded too: CALL(gas, account, 0, 0, 1 MiB, 0, 0) again and again.
    let (_, outcome) = chain.send(
        account(1),
        TxKind::Create,
        U256::ZERO,
        deploying(&hex!("5b5f5f621000005f5f60ff5af1505f56")),
    );
    let request = CallRequest { to: outcome.transactions[0].contract_address, ..request };
    let error = trace_call(&chain.env, &request, &call_frames(false), &chain.state);
    assert_eq!(error.unwrap_err(), TraceError::TooLarge { limit: MAX_TRACE_BYTES });
}

#[test]
fn a_tracer_that_there_is_not_is_named() {
    let chain = TestChain::new();
    let options: GethDebugTracingOptions =
        serde_json::from_str(r#"{"tracer": "{step: function() {}}"}"#).unwrap();
    let error = trace_call(&chain.env, &CallRequest::default(), &options, &chain.state).unwrap_err();
    assert!(error.to_string().starts_with("tracer not found"), "{error}");
}
