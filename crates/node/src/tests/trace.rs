//! Traces over JSON-RPC, and how far back they reach.

use super::client::Bench;
use alloy_primitives::{Address, TxKind, hex};
use serde_json::json;

const TO: Address = Address::repeat_byte(0xaa);
const OPEN: &str = "0x4f50454e00000000000000000000000000000001";

#[test]
fn transactions_blocks_and_calls_are_traced() {
    let bench = Bench::new();
    let owner = bench.owner.address();
    let data = hex::decode(format!("a9059cbb{:0>64}{:0>64}", hex::encode(TO), "7")).unwrap();
    let receipt = bench.send(0, TxKind::Call(OPEN.parse().unwrap()), 0, data.into());
    let hash = &receipt["transactionHash"];
    let calls = json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } });
    let frame = bench.call("debug_traceTransaction", json!([hash, calls]));
    assert_eq!(frame["type"], "CALL");
    assert_eq!((&frame["gasUsed"], &frame["to"]), (&receipt["gasUsed"], &json!(OPEN)));
    assert_eq!(frame["logs"][0]["topics"], receipt["logs"][0]["topics"]);

    let prestate = bench.call("debug_traceTransaction", json!([hash, { "tracer": "prestateTracer" }]));
    assert!(prestate.get(format!("{owner:#x}")).is_some(), "{prestate}");
    let diff = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
    let diff = bench.call("debug_traceTransaction", json!([hash, diff]));
    assert_eq!(diff["post"][format!("{TO:#x}")]["balance"], "0x7");

    let block = bench.call("debug_traceBlockByHash", json!([receipt["blockHash"], calls]));
    assert_eq!(block, json!([{ "txHash": hash, "result": frame }]));
    let number = &receipt["blockNumber"];
    assert_eq!(bench.call("debug_traceBlockByNumber", json!([number, calls])), block);

    // Every opcode, with state put there for the call.
    let over = json!({ "stateOverrides": { TO.to_string(): { "code": "0x5f5ffd" } } });
    let steps = bench.call("debug_traceCall", json!([{ "to": TO }, "latest", over]));
    assert_eq!(steps["failed"], true);
    let ops: Vec<_> = steps["structLogs"].as_array().unwrap().iter().map(|step| &step["op"]).collect();
    assert_eq!(ops, ["PUSH0", "PUSH0", "REVERT"]);
}

#[test]
fn encoded_blocks_hash_to_what_the_chain_says() {
    let bench = Bench::new();
    let receipt = bench.transfer(0, TO, 1);
    let number = &receipt["blockNumber"];
    let header = bench.call("debug_getRawHeader", json!([number]));
    assert_eq!(bench.call("web3_sha3", json!([header])), receipt["blockHash"]);
    let raw = bench.call("debug_getRawTransaction", json!([receipt["transactionHash"]]));
    assert_eq!(bench.call("web3_sha3", json!([raw])), receipt["transactionHash"]);
    for method in ["eth_getRawTransactionByBlockNumberAndIndex", "eth_getRawTransactionByBlockHashAndIndex"] {
        let block = if method.contains("Hash") { &receipt["blockHash"] } else { number };
        assert_eq!(bench.call(method, json!([block, "0x0"])), raw);
    }
    let block = bench.call("debug_getRawBlock", json!([number]));
    assert!(block.as_str().unwrap().contains(raw.as_str().unwrap().trim_start_matches("0x")));
    assert_eq!(bench.call("debug_getRawReceipts", json!([number])).as_array().unwrap().len(), 1);
}

#[test]
fn a_block_whose_state_is_gone_is_not_traced_and_the_error_says_why() {
    let bench = Bench::new();
    let old = bench.transfer(0, TO, 1);
    // A node that starts may execute its newest blocks again, and then knows what they overwrote.
    for nonce in 1..=5 {
        bench.transfer(nonce, TO, 1);
    }
    // What blocks overwrote is kept in memory, for 128 of them and until the node stops.
    let bench = bench.restarted();
    let (code, message, _) = bench.error("debug_traceTransaction", json!([old["transactionHash"]]));
    assert_eq!(code, -32000);
    assert!(message.contains("is not available: only blocks"), "{message}");
}
