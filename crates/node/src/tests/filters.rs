//! Filters, the pool and subscriptions.

use super::client::Bench;
use crate::rpc;
use alloy_primitives::{Address, Bytes, TxKind, hex};
use serde_json::{Value, json};
use std::time::Duration;

const TO: Address = Address::repeat_byte(0xaa);
const OPEN: &str = "0x4f50454e00000000000000000000000000000001";

/// A transfer by the ERC-20 face, which leaves a log.
fn token_transfer(bench: &Bench, nonce: u64) -> Value {
    let data = hex::decode(format!("a9059cbb{:0>64}{:0>64}", hex::encode(TO), "7")).unwrap();
    bench.send(nonce, TxKind::Call(OPEN.parse().unwrap()), 0, data.into())
}

#[test]
fn a_filter_gives_what_is_new_since_it_was_asked() {
    let bench = Bench::new();
    let before = token_transfer(&bench, 0);
    let logs = bench.call("eth_newFilter", json!([{ "address": OPEN, "fromBlock": "0x0" }]));
    let others = bench.call("eth_newFilter", json!([{ "address": TO }]));
    let blocks = bench.call("eth_newBlockFilter", json!([]));
    let waiting = bench.call("eth_newPendingTransactionFilter", json!([]));
    let changes = |id: &Value| bench.call("eth_getFilterChanges", json!([id]));
    assert_eq!(changes(&logs), json!([]));
    let after = token_transfer(&bench, 1);
    assert_eq!(changes(&logs), after["logs"]);
    assert_eq!(changes(&logs), json!([]));
    assert_eq!(changes(&others), json!([]));
    assert!(changes(&blocks).as_array().unwrap().contains(&after["blockHash"]));
    assert_eq!(changes(&waiting), json!([after["transactionHash"]]));
    assert_eq!(changes(&waiting), json!([]));
    // All of it, old and new, without being used up.
    let both = [&before["logs"][0], &after["logs"][0]];
    assert_eq!(bench.call("eth_getFilterLogs", json!([logs])), json!(both));
    assert_eq!(bench.error("eth_getFilterLogs", json!([blocks])).1, "filter not found");
    assert_eq!(bench.call("eth_uninstallFilter", json!([logs])), true);
    assert_eq!(bench.call("eth_uninstallFilter", json!([logs])), false);
    assert_eq!(bench.error("eth_getFilterChanges", json!([logs])).1, "filter not found");
    // What ends before it begins, or only in the past.
    for query in [json!({ "fromBlock": "0x5", "toBlock": "0x1" }), json!({ "toBlock": "0x1" })] {
        assert_eq!(bench.error("eth_newFilter", json!([query])).1, "invalid block range params");
    }
}

#[test]
fn filters_have_a_limit_and_say_so() {
    let bench = Bench::new();
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"eth_newBlockFilter","params":[]}"#;
    let answers = |count: usize| -> Vec<Value> {
        serde_json::from_str(&bench.post(&format!("[{}]", vec![one; count].join(",")))).unwrap()
    };
    let first = answers(1000);
    assert!(first.iter().all(|answer| answer.get("error").is_none()));
    let mut ids: Vec<_> = first.iter().map(|answer| answer["result"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| !id.starts_with("0x0")), "an id is a quantity");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
    let refused = answers(25).pop().unwrap();
    assert_eq!(refused["error"]["code"], -32005);
    assert!(refused["error"]["message"].as_str().unwrap().contains("1024"), "{refused}");
}

#[test]
fn the_pool_shows_what_can_be_included_and_what_waits_for_a_nonce() {
    let bench = Bench::new();
    let owner = bench.owner.address();
    let gap = bench.sign(5, TxKind::Call(TO), 9, Bytes::new(), 21_000);
    let hash = bench.call("eth_sendRawTransaction", json!([gap]));
    assert_eq!(bench.call("txpool_status", json!([])), json!({ "pending": "0x0", "queued": "0x1" }));
    let content = bench.call("txpool_content", json!([]));
    let transaction = &content["queued"][owner.to_string()]["5"];
    assert_eq!((&transaction["hash"], &transaction["blockHash"]), (&hash, &Value::Null));
    assert_eq!(bench.call("eth_getTransactionByHash", json!([hash])), *transaction);
    assert_eq!(bench.call("eth_getRawTransactionByHash", json!([hash])), gap);
    assert_eq!(bench.call("eth_getTransactionReceipt", json!([hash])), Value::Null);
    assert_eq!(bench.call("txpool_contentFrom", json!([owner]))["queued"]["5"], *transaction);
    assert_eq!(bench.call("txpool_contentFrom", json!([TO])), json!({ "pending": {}, "queued": {} }));
    let inspected = bench.call("txpool_inspect", json!([]));
    assert_eq!(
        inspected["queued"][owner.to_string()]["5"],
        format!("{TO}: 9 wei + 21000 gas × 5000000000 wei")
    );
    let again = bench.error("eth_sendRawTransaction", json!([gap]));
    assert_eq!((again.0, again.1.as_str()), (-32000, "already known"));
}

#[test]
fn subscribers_are_told_of_heads_logs_and_waiting_transactions() {
    let bench = Bench::new();
    let module = rpc::test_module(bench.node.chain().clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut heads = module.subscribe_unbounded("eth_subscribe", ["newHeads"]).await.unwrap();
        let query = (json!("logs"), json!({ "address": OPEN }));
        let mut logs = module.subscribe_unbounded("eth_subscribe", query).await.unwrap();
        let pending = ["newPendingTransactions"];
        let mut waiting = module.subscribe_unbounded("eth_subscribe", pending).await.unwrap();
        let whole = ("newPendingTransactions", true);
        let mut transactions = module.subscribe_unbounded("eth_subscribe", whole).await.unwrap();
        let receipt = token_transfer(&bench, 0);
        macro_rules! next {
            ($items:expr) => {
                tokio::time::timeout(Duration::from_secs(20), $items.next::<Value>())
                    .await
                    .unwrap()
                    .unwrap()
                    .unwrap()
                    .0
            };
        }
        assert_eq!(next!(waiting), receipt["transactionHash"]);
        assert_eq!(next!(transactions)["hash"], receipt["transactionHash"]);
        assert_eq!(next!(logs), receipt["logs"][0]);
        while next!(heads)["hash"] != receipt["blockHash"] {}

        let refused = module.subscribe_unbounded("eth_subscribe", ["nonsense"]).await.unwrap_err();
        assert!(
            refused.to_string().contains(r#"no \"nonsense\" subscription in eth namespace"#)
                || refused.to_string().contains(r#"no "nonsense" subscription in eth namespace"#),
            "{refused}"
        );
    });
}
