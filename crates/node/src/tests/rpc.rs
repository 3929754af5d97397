use super::client::{Bench, ONE_OPEN};
use alloy_primitives::{Address, Bytes, TxKind, hex};
use serde_json::{Value, json};

const TO: Address = Address::repeat_byte(0xaa);
/// Init code of a contract that returns 42.
const ANSWER: &str = "600a600c600039600a6000f3602a60005260206000f3";

fn code(text: &str) -> Bytes {
    hex::decode(text).unwrap().into()
}

/// Init code of a contract that reverts with `data`.
fn reverting(data: &[u8]) -> Bytes {
    let length = format!("{:02x}", data.len());
    let runtime = format!("60{length}600c60003960{length}6000fd{}", hex::encode(data));
    let size = format!("{:02x}", runtime.len() / 2);
    code(&format!("60{size}600c60003960{size}6000f3{runtime}"))
}

#[test]
fn a_transfer_is_seen_the_same_by_every_method() {
    let bench = Bench::new();
    let receipt = bench.transfer(0, TO, ONE_OPEN);
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(receipt["gasUsed"], "0x5208");
    assert_eq!(receipt["type"], "0x2");
    assert_eq!(receipt["contractAddress"], Value::Null);
    for field in
        ["cumulativeGasUsed", "effectiveGasPrice", "logsBloom", "logs", "from", "to", "transactionIndex"]
    {
        assert!(receipt.get(field).is_some(), "{field} is missing");
    }
    assert_eq!(bench.call("eth_getBalance", json!([TO, "latest"])), "0xde0b6b3a7640000");
    let number = &receipt["blockNumber"];
    let block = bench.call("eth_getBlockByNumber", json!([number, true]));
    assert_eq!(block["hash"], receipt["blockHash"]);
    assert_eq!(block["transactions"][0]["hash"], receipt["transactionHash"]);
    assert_eq!(block, bench.call("eth_getBlockByHash", json!([block["hash"], true])));
    let transaction = bench.call("eth_getTransactionByHash", json!([receipt["transactionHash"]]));
    assert_eq!(transaction, block["transactions"][0]);
    assert_eq!(transaction, bench.call("eth_getTransactionByBlockNumberAndIndex", json!([number, "0x0"])));
    assert_eq!(bench.call("eth_getBlockReceipts", json!([number]))[0], receipt);
    assert_eq!(bench.call("eth_getBlockTransactionCountByNumber", json!([number])), "0x1");
    let owner = bench.owner.address();
    assert_eq!(bench.call("eth_getTransactionCount", json!([owner, "latest"])), "0x1");
    assert_eq!(bench.call("eth_getTransactionCount", json!([owner, "pending"])), "0x1");
    assert_eq!(bench.call("eth_getTransactionCount", json!([owner, "earliest"])), "0x0");
}

#[test]
fn what_does_not_exist_is_null() {
    let bench = Bench::new();
    let nothing = "0x00000000000000000000000000000000000000000000000000000000000000ff";
    for (method, params) in [
        ("eth_getBlockByNumber", json!(["0xffffff", false])),
        ("eth_getBlockByHash", json!([nothing, false])),
        ("eth_getTransactionByHash", json!([nothing])),
        ("eth_getTransactionReceipt", json!([nothing])),
        ("eth_getBlockReceipts", json!(["0xffffff"])),
    ] {
        assert_eq!(bench.call(method, params), Value::Null, "{method}");
    }
    assert_eq!(bench.call("eth_getBalance", json!([TO, "latest"])), "0x0");
    assert_eq!(bench.call("eth_getCode", json!([TO, "latest"])), "0x");
    assert_eq!(bench.error("eth_getBalance", json!([TO, "0xffffff"])).1, "header not found");
}

#[test]
fn contracts_are_deployed_called_and_estimated() {
    let bench = Bench::new();
    let receipt = bench.send(0, TxKind::Create, 0, code(ANSWER));
    let contract = &receipt["contractAddress"];
    assert_eq!(bench.call("eth_getCode", json!([contract, "latest"])), "0x602a60005260206000f3");
    let answer = bench.call("eth_call", json!([{ "to": contract }, "latest"]));
    assert!(answer.as_str().unwrap().ends_with("2a"));
    let owner = bench.owner.address();
    let request = json!([{ "from": owner, "to": TO, "value": "0x1", "maxFeePerGas": "0x12a05f200" }]);
    assert_eq!(bench.call("eth_estimateGas", request), "0x5208");
}

#[test]
fn reverts_carry_code_three_the_reason_and_the_data() {
    let bench = Bench::new();
    let mut reason = code("08c379a0").to_vec();
    reason.extend(code("0000000000000000000000000000000000000000000000000000000000000020"));
    reason.extend(code("0000000000000000000000000000000000000000000000000000000000000004"));
    reason.extend(code("6e6f706500000000000000000000000000000000000000000000000000000000"));
    for (nonce, data, text) in
        [(0, reason, "execution reverted: nope"), (1, code("deadbeef").to_vec(), "execution reverted")]
    {
        let contract = bench.send(nonce, TxKind::Create, 0, reverting(&data))["contractAddress"].clone();
        for method in ["eth_call", "eth_estimateGas"] {
            let (code, message, got) = bench.error(method, json!([{ "to": contract, "data": "0x01" }]));
            assert_eq!(
                (code, message.as_str(), got),
                (3, text, json!(hex::encode_prefixed(&data))),
                "{method}"
            );
        }
    }
}

#[test]
fn modules_are_called_and_their_events_found() {
    let bench = Bench::new();
    let open = "0x4f50454e00000000000000000000000000000001";
    let to = format!("{:0>64}", hex::encode(TO));
    let transfer = code(&format!("a9059cbb{to}{:0>64}", "7"));
    let receipt = bench.send(0, TxKind::Call(open.parse().unwrap()), 0, transfer);
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    let balance = bench.call("eth_call", json!([{ "to": open, "data": format!("0x70a08231{to}") }]));
    assert!(balance.as_str().unwrap().ends_with("07"));
    let logs = |filter: Value| bench.call("eth_getLogs", json!([filter]));
    let all = logs(json!({ "fromBlock": "earliest", "address": open }));
    assert_eq!(all, receipt["logs"]);
    let topic = &all[0]["topics"][0];
    assert_eq!(logs(json!({ "blockHash": receipt["blockHash"], "topics": [[topic]] })), all);
    assert_eq!(logs(json!({ "fromBlock": "earliest", "topics": [null, topic] })), json!([]));
    assert_eq!(logs(json!({ "fromBlock": "earliest", "address": TO })), json!([]));
}

#[test]
fn refusals_have_geths_codes() {
    let bench = Bench::new();
    assert_eq!(bench.error("eth_foo", json!([])).0, -32601);
    assert_eq!(bench.error("eth_getBalance", json!(["0x12"])).0, -32602);
    assert_eq!(bench.error("eth_sendRawTransaction", json!(["0x00"])).0, -32000);
    assert_eq!(bench.error("eth_getLogs", json!([{ "fromBlock": "0x5", "toBlock": "0x1" }])).0, -32602);
    bench.transfer(0, TO, 1);
    let again = bench.sign(0, TxKind::Call(TO), 2, Bytes::new(), 21_000);
    let (code, message, _) = bench.error("eth_sendRawTransaction", json!([again]));
    assert_eq!(code, -32000);
    assert!(message.starts_with("nonce too low"), "{message}");
    let rich = json!([{ "from": TO, "to": TO, "value": "0xde0b6b3a7640000" }]);
    let (code, message, _) = bench.error("eth_call", rich);
    assert_eq!(code, -32000);
    assert!(message.starts_with("insufficient funds for gas * price + value"), "{message}");
    let overrides = json!([{ "to": TO }, "latest", { TO.to_string(): { "balance": "0x1" } }]);
    assert_eq!(bench.error("eth_call", overrides).0, -32602);
}

#[test]
fn requests_and_batches_have_limits() {
    let bench = Bench::new();
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
    let answers: Value = serde_json::from_str(&bench.post(&format!("[{one},{one}]"))).unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 2);
    assert_eq!(answers[1]["result"], "0x4f24");
    let batch = format!("[{}]", vec![one; 1001].join(","));
    assert!(bench.post(&batch).contains("error"));
    let answer = bench.post(&" ".repeat(6 * 1024 * 1024));
    assert!(!answer.contains("result"), "{answer}");
}

#[test]
fn fees_are_suggested_and_their_history_told() {
    let bench = Bench::new();
    bench.transfer(0, TO, 1);
    let history = bench.call("eth_feeHistory", json!(["0x4", "latest", [25, 75]]));
    let blocks = history["gasUsedRatio"].as_array().unwrap().len();
    assert_eq!(history["baseFeePerGas"].as_array().unwrap().len(), blocks + 1);
    assert_eq!(history["reward"].as_array().unwrap().len(), blocks);
    for method in ["eth_gasPrice", "eth_maxPriorityFeePerGas"] {
        assert!(bench.call(method, json!([])).as_str().unwrap().starts_with("0x"));
    }
    assert_eq!(bench.error("eth_feeHistory", json!(["0x1", "0xffffff"])).0, -32000);
}

#[test]
fn a_client_finds_out_what_it_talks_to() {
    let bench = Bench::new();
    assert_eq!(bench.call("eth_chainId", json!([])), "0x4f24");
    assert_eq!(bench.call("net_version", json!([])), "20260");
    assert_eq!(bench.call("net_listening", json!([])), true);
    assert_eq!(bench.call("eth_syncing", json!([])), false);
    assert_eq!(bench.call("eth_accounts", json!([])), json!([]));
    assert!(bench.call("web3_clientVersion", json!([])).as_str().unwrap().starts_with("OpenLedger/"));
}
