//! Calls over JSON-RPC: overrides, access lists, typed calls.

use super::client::Bench;
use alloy_primitives::{Address, Bytes, TxKind};
use serde_json::{Value, json};

const AT: Address = Address::repeat_byte(0x55);
/// SLOAD(1) returned as a word.
const SLOT_ONE: &str = "0x6001545f5260205ff3";

fn word(value: u64) -> String {
    format!("{value:#066x}")
}

#[test]
fn state_and_block_overrides_last_for_one_call() {
    let bench = Bench::new();
    let call = |over: Value, block: Value| {
        bench.call("eth_call", json!([{ "to": AT }, "latest", { AT.to_string(): over }, block]))
    };
    let diff = json!({ "code": SLOT_ONE, "stateDiff": { word(1): word(7) } });
    assert_eq!(call(diff, Value::Null), word(7));
    let replaced = json!({ "code": SLOT_ONE, "state": { word(2): word(7) } });
    assert_eq!(call(replaced, Value::Null), word(0));
    let number = json!({ "code": "0x435f5260205ff3" });
    assert_eq!(call(number, json!({ "number": "0x384" })), word(900));
    assert_eq!(bench.call("eth_call", json!([{ "to": AT }, "latest"])), "0x");

    let both = json!({ AT.to_string(): { "state": {}, "stateDiff": {} } });
    let (_, message, _) = bench.error("eth_call", json!([{ "to": AT }, "latest", both]));
    assert_eq!(message, format!("account {AT} has both 'state' and 'stateDiff'"));
    let moved = json!({ AT.to_string(): { "movePrecompileToAddress": Address::ZERO } });
    let (_, message, _) = bench.error("eth_call", json!([{ "to": AT }, "latest", moved]));
    assert_eq!(message, format!("account {AT} is not a precompile"));
    let (code, message, _) =
        bench.error("eth_call", json!([{ "to": AT }, "latest", { AT.to_string(): { "nonsense": 1 } }]));
    assert!(code == -32602 && message.starts_with("invalid argument 2"), "{message}");

    // An estimate sees them too.
    let plain = bench.call("eth_estimateGas", json!([{ "to": AT }]));
    assert_eq!(plain, "0x5208");
    let over = json!({ AT.to_string(): { "code": SLOT_ONE } });
    let estimate = bench.call("eth_estimateGas", json!([{ "to": AT }, "latest", over]));
    assert!(estimate.as_str() > plain.as_str());
}

#[test]
fn an_access_list_is_made_and_taken() {
    let bench = Bench::new();
    // Runtime: SSTORE(1, 5), 5 bytes.
    let init: Bytes = "0x6460056001555f526005601bf3".parse().unwrap();
    let contract = bench.send(0, TxKind::Create, 0, init)["contractAddress"].clone();
    let owner = bench.owner.address();
    let made = bench.call("eth_createAccessList", json!([{ "from": owner, "to": contract }, "latest"]));
    assert_eq!(made["accessList"], json!([{ "address": contract, "storageKeys": [word(1)] }]));
    assert!(made.get("error").is_none(), "{made}");
    // A call with a list is of type 1, or of type 2 if it states both fees.
    for fees in [json!({}), json!({ "maxFeePerGas": "0x12a05f200", "maxPriorityFeePerGas": "0x1" })] {
        let mut request = json!({ "from": owner, "to": contract, "accessList": made["accessList"] });
        request.as_object_mut().unwrap().extend(fees.as_object().unwrap().clone());
        assert_eq!(bench.call("eth_call", json!([request])), "0x");
        let estimate = bench.call("eth_estimateGas", json!([request]));
        let (estimate, used) = (quantity(&estimate), quantity(&made["gasUsed"]));
        assert!(estimate >= used && estimate < used + used / 30, "{estimate} {used}");
    }
    let reverting = json!({ "code": "0x5f545f5ffd" });
    let made =
        bench.call("eth_createAccessList", json!([{ "to": AT }, "latest", { AT.to_string(): reverting }]));
    assert_eq!(
        (&made["error"], made["accessList"].as_array().unwrap().len()),
        (&json!("execution reverted"), 1)
    );
}

fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}
