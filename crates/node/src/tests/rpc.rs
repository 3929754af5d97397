use super::client::{Bench, ONE_OPEN};
use crate::RpcLimits;
use alloy_primitives::{Address, Bytes, TxHash, TxKind, hex};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

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
        ("eth_getUncleByBlockNumberAndIndex", json!(["latest", "0x0"])),
        ("eth_getUncleCountByBlockHash", json!([nothing])),
        ("eth_getBlockTransactionCountByHash", json!([nothing])),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["latest", "0xffff"])),
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
    assert_eq!(bench.call("eth_getRawTransactionByHash", json!([nothing])), "0x");
    assert_eq!(bench.call("eth_getUncleCountByBlockNumber", json!(["latest"])), "0x0");
    // A range that begins above the head is empty, not wrong: clients go on from the last block they saw.
    assert_eq!(bench.call("eth_getLogs", json!([{ "fromBlock": "0xffffff" }])), json!([]));
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
    // A position without a wish still wants a topic there: Transfer has three.
    assert_eq!(logs(json!({ "fromBlock": "earliest", "topics": [topic, null, null] })), all);
    assert_eq!(logs(json!({ "fromBlock": "earliest", "topics": [topic, null, null, null] })), json!([]));
    assert_eq!(logs(json!({ "fromBlock": "earliest", "topics": [[topic, null]] })), all);
}

#[test]
fn refusals_have_geths_codes() {
    let bench = Bench::new();
    let owner = bench.owner.address();
    for (method, params, code, text) in [
        ("eth_foo", json!([]), -32601, "the method eth_foo does not exist/is not available"),
        ("eth_subscribe", json!(["newHeads"]), -32601, "notifications not supported"),
        ("eth_getBalance", json!([]), -32602, "missing value for required argument 0"),
        ("eth_getBalance", json!([owner]), -32602, "missing value for required argument 1"),
        ("eth_getBalance", json!([null, "latest"]), -32602, "missing value for required argument 0"),
        ("eth_getBalance", json!([owner, "latest", 1]), -32602, "too many arguments, want at most 2"),
        ("eth_getBalance", json!({ "address": owner }), -32602, "non-array args"),
        ("eth_getBalance", json!(["0x12", "latest"]), -32602, "invalid argument 0: "),
        ("eth_getBalance", json!([owner, "newest"]), -32602, "invalid argument 1: "),
        ("eth_getBalance", json!([owner, TxHash::ZERO]), -32000, "header for hash not found"),
        ("eth_getBlockByNumber", json!(["latest"]), -32602, "missing value for required argument 1"),
        ("eth_chainId", json!([1]), -32602, "too many arguments, want at most 0"),
        (
            "eth_getStorageAt",
            json!([owner, "0xzz", "latest"]),
            -32602,
            "unable to decode storage key: hex string invalid",
        ),
        ("eth_sendRawTransaction", json!(["0x"]), -32000, "typed transaction too short"),
        ("eth_sendRawTransaction", json!(["0x05"]), -32000, "transaction type not supported"),
        ("eth_sendRawTransaction", json!(["0xc1"]), -32000, "rlp: "),
        (
            "eth_getLogs",
            json!([{ "fromBlock": "0x5", "toBlock": "0x1" }]),
            -32602,
            "invalid block range params",
        ),
        ("eth_getLogs", json!([{ "blockHash": TxHash::ZERO }]), -32000, "unknown block"),
        (
            "eth_getLogs",
            json!([{ "blockHash": TxHash::ZERO, "fromBlock": "0x1" }]),
            -32602,
            "invalid argument 0: cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other",
        ),
        ("eth_getLogs", json!([{ "fromBlock": "pending" }]), -32000, "pending logs are not supported"),
        (
            "eth_call",
            json!([{ "to": TO, "gasPrice": "0x1", "maxFeePerGas": "0x1" }]),
            -32000,
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
        ),
        (
            "eth_call",
            json!([{ "to": TO, "chainId": "0x1" }]),
            -32000,
            "chainId does not match node's (have=1, want=20260)",
        ),
        (
            "eth_call",
            json!([{ "from": owner, "to": TO, "maxFeePerGas": "0x1" }]),
            -32000,
            "err: max fee per gas less than block base fee: address",
        ),
        (
            "eth_call",
            json!([{ "from": owner, "to": TO, "maxFeePerGas": "0xffffffffff", "maxPriorityFeePerGas": "0xfffffffffff" }]),
            -32000,
            "err: max priority fee per gas higher than max fee per gas: address",
        ),
        (
            "eth_call",
            json!([{ "to": TO, "gas": "0x5" }]),
            -32000,
            "err: intrinsic gas too low: have 5, want 21000 (supplied gas 5)",
        ),
        (
            "eth_feeHistory",
            json!(["0x1", "latest", [5, 1]]),
            -32000,
            "invalid reward percentile: #0:5.000000 >= #1:1.000000",
        ),
        ("eth_feeHistory", json!(["0x1", "latest", [101]]), -32000, "invalid reward percentile: 101.000000"),
        ("debug_traceTransaction", json!([TxHash::ZERO]), -32000, "transaction not found"),
        ("debug_traceBlockByNumber", json!(["0x0"]), -32000, "genesis is not traceable"),
        ("debug_traceBlockByNumber", json!(["0xffffff"]), -32000, "block #16777215 not found"),
        (
            "debug_traceCall",
            json!([{ "to": TO }, "latest", { "tracer": "noSuchTracer" }]),
            -32000,
            "tracer not found",
        ),
        ("eth_getFilterChanges", json!(["0x1"]), -32000, "filter not found"),
        ("eth_getFilterLogs", json!(["0x1"]), -32000, "filter not found"),
    ] {
        let (got, message, _) = bench.error(method, params.clone());
        assert!(got == code && message.starts_with(text), "{method} {params}: {got} {message}");
    }
    bench.transfer(0, TO, 1);
    let again = bench.sign(0, TxKind::Call(TO), 2, Bytes::new(), 21_000);
    let (code, message, _) = bench.error("eth_sendRawTransaction", json!([again]));
    assert_eq!(code, -32000);
    assert!(message.starts_with("nonce too low"), "{message}");
    let rich = json!([{ "from": TO, "to": TO, "value": "0xde0b6b3a7640000" }]);
    let (code, message, _) = bench.error("eth_call", rich);
    assert_eq!(code, -32000);
    let text = format!("err: insufficient funds for gas * price + value: address {TO} have 1 want");
    assert!(message.starts_with(&text), "{message}");
    let (_, message, _) = bench.error("eth_estimateGas", json!([{ "from": TO, "to": TO, "value": "0x2" }]));
    assert!(message.starts_with("failed with ") && message.contains("insufficient funds"), "{message}");
}

#[test]
fn requests_and_batches_have_limits() {
    let bench = Bench::new();
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
    let answers: Value = serde_json::from_str(&bench.post(&format!("[{one},{one}]"))).unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 2);
    assert_eq!(answers[1]["result"], "0x4f24");
    let batch = format!("[{}]", vec![one; 1001].join(","));
    let refused = |body: &str| -> Value { serde_json::from_str(&bench.post(body)).unwrap() };
    let answer = refused(&batch);
    assert_eq!(answer["error"]["message"], "The batch request was too large", "{answer}");
    assert_eq!(
        (&answer["error"]["data"], &answer["id"]),
        (&json!("Exceeded max limit of 1000"), &Value::Null)
    );
    // The server need not read what it refuses by its length.
    let answer: Value = serde_json::from_str(&bench.post_as(one, 5 * 1024 * 1024 + 1)).unwrap();
    assert_eq!(answer["error"]["message"], "Request is too big", "{answer}");
    assert_eq!(answer["error"]["data"], "Exceeded max limit of 5242880");
    assert_eq!(refused("[]")["error"]["code"], -32600);
    assert_eq!(refused("{")["error"]["code"], -32700);
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":{}{}}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    assert_eq!(refused(&deep)["error"]["code"], -32602);
    // One of a batch that no method answers spoils no other.
    let unknown = r#"{"jsonrpc":"2.0","id":2,"method":"eth_foo","params":[]}"#;
    let answers = refused(&format!("[{one},{unknown}]"));
    assert_eq!(answers[0]["result"], "0x4f24");
    assert_eq!(answers[1]["error"]["message"], "the method eth_foo does not exist/is not available");
    // Addresses, topics and blocks of a query.
    let many = json!([{ "address": vec![TO; 1001] }]);
    assert_eq!(bench.error("eth_getLogs", many).1, "exceed max addresses: 1001 is over the limit of 1000");
    assert!(
        bench
            .error("eth_getLogs", json!([{ "topics": [null, null, null, null, null] }]))
            .1
            .starts_with("exceed max topics: 5")
    );
}

#[test]
fn time_and_connections_have_limits_and_each_refusal_says_which() {
    let limits = RpcLimits { time: Duration::from_secs(1), connections: 2, subscriptions: 1 };
    let bench = Bench::with(limits);
    // JUMPDEST PUSH0 JUMP runs until its own time of five seconds is over.
    let endless = json!([{ "to": TO }, "latest", { TO.to_string(): { "code": "0x5b5f56" } }]);
    let entry = json!({ "jsonrpc": "2.0", "id": 7, "method": "eth_call", "params": endless });
    let start = Instant::now();
    let answer: Value = serde_json::from_str(&bench.post(&json!([entry]).to_string())).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "the batch went on for {:?}", start.elapsed());
    let error = |message: &str| json!({ "code": -32002, "message": message });
    assert_eq!(answer["error"], error("request timed out: a batch may take 1 s"), "{answer}");
    assert_eq!(answer["id"], Value::Null);
    let answer = bench.request("eth_call", endless);
    assert_eq!(answer["error"], error("request timed out: a request may take 1 s"), "{answer}");

    // Two that stay open, and nothing that there is room for until one of them goes.
    let open = || {
        let mut stream = TcpStream::connect(bench.node.address()).unwrap();
        let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains(" 101 "), "{line}");
        stream
    };
    let (first, _second) = (open(), open());
    let one = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": [] }).to_string();
    assert_eq!(bench.post(&one), "Too many connections. Please try again later.");
    drop(first);
    let start = Instant::now();
    while !bench.post(&one).contains("0x4f24") {
        assert!(start.elapsed() < Duration::from_secs(20), "a connection that was closed still counts");
    }
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
    assert_eq!(bench.call("net_peerCount", json!([])), "0x0");
    let hash = "0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad";
    assert_eq!(bench.call("web3_sha3", json!(["0x68656c6c6f20776f726c64"])), hash);
    assert_eq!(bench.call("net_listening", json!([])), true);
    assert_eq!(bench.call("eth_syncing", json!([])), false);
    assert_eq!(bench.call("eth_accounts", json!([])), json!([]));
    assert!(bench.call("web3_clientVersion", json!([])).as_str().unwrap().starts_with("OpenLedger/"));
}

#[test]
fn a_revert_tells_the_reason_of_a_panic() {
    let bench = Bench::new();
    // PUSH4 Panic, then 0x11 in the word after the selector: arithmetic overflow.
    let data = format!("4e487b71{:0>64}", "11");
    let contract = bench.send(0, TxKind::Create, 0, reverting(&code(&data)))["contractAddress"].clone();
    let (code, message, _) = bench.error("eth_call", json!([{ "to": contract }]));
    assert_eq!((code, message.as_str()), (3, "execution reverted: arithmetic underflow or overflow"));
}

#[test]
fn operators_see_health_readiness_and_metrics() {
    let bench = Bench::new();
    assert_eq!(bench.get("/health"), (200, "ok\n".to_owned()));
    assert_eq!(bench.get("/ready"), (200, "ready\n".to_owned()));
    assert_eq!(bench.get("/").0, 405);
    bench.transfer(0, TO, 1);
    bench.error("eth_getBalance", json!([]));
    let gap = bench.sign(5, TxKind::Call(TO), 1, Bytes::new(), 21_000);
    bench.call("eth_sendRawTransaction", json!([gap]));
    let (status, metrics) = bench.get("/metrics");
    assert_eq!(status, 200);
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("no {name} in {metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("openledger_head_number") >= 1.0);
    assert!(value("openledger_head_timestamp_seconds") > 1.7e9);
    assert_eq!(value(r#"openledger_pool_transactions{list="queued"}"#), 1.0);
    assert_eq!(value(r#"openledger_rpc_requests_total{method="eth_getBalance",outcome="error"}"#), 1.0);
    assert_eq!(value(r#"openledger_rpc_requests_total{method="eth_sendRawTransaction",outcome="ok"}"#), 2.0);
    assert!(value("openledger_rpc_request_duration_seconds_count") >= 3.0);
    let chain = bench.node.chain().clone();
    chain.shutdown().unwrap();
    assert_eq!(bench.get("/ready").0, 503);
}
