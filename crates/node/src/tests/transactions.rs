//! Transactions of every type, sent and read back.

use super::client::Bench;
use alloy_consensus::{SignableTransaction, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy_eips::{
    eip2718::Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};

const TO: Address = Address::repeat_byte(0xaa);
const CHAIN: u64 = crate::DEFAULT_CHAIN_ID;
const PRICE: u128 = 5_000_000_000;

/// What every method says of a transaction that was included.
fn read_back(bench: &Bench, raw: &str, kind: &str) -> (Value, Value) {
    let receipt = bench.send_raw(raw);
    assert_eq!((&receipt["status"], &receipt["type"]), (&json!("0x1"), &json!(kind)));
    let hash = &receipt["transactionHash"];
    let transaction = bench.call("eth_getTransactionByHash", json!([hash]));
    assert_eq!((&transaction["type"], &transaction["hash"]), (&json!(kind), hash));
    assert_eq!(transaction["from"], receipt["from"]);
    assert_eq!(bench.call("eth_getRawTransactionByHash", json!([hash])), raw);
    let number = &receipt["blockNumber"];
    let index = &receipt["transactionIndex"];
    let found = bench.call("eth_getTransactionByBlockNumberAndIndex", json!([number, index]));
    assert_eq!(found, transaction);
    (transaction, receipt)
}

#[test]
fn legacy_and_access_list_transactions_are_read_back() {
    let bench = Bench::new();
    let to = TxKind::Call(TO);
    let legacy =
        TxLegacy { chain_id: Some(CHAIN), gas_price: PRICE, gas_limit: 21_000, to, ..TxLegacy::default() };
    let (transaction, receipt) = read_back(&bench, &bench.encode(legacy.clone()), "0x0");
    assert_eq!(
        (&transaction["gasPrice"], &receipt["effectiveGasPrice"]),
        (&json!("0x12a05f200"), &json!("0x12a05f200"))
    );

    let key = B256::repeat_byte(1);
    let access_list = AccessList(vec![AccessListItem { address: TO, storage_keys: vec![key] }]);
    let listed = TxEip2930 {
        chain_id: CHAIN,
        nonce: 1,
        gas_price: PRICE,
        gas_limit: 30_000,
        to,
        access_list,
        ..TxEip2930::default()
    };
    let (transaction, receipt) = read_back(&bench, &bench.encode(listed), "0x1");
    assert_eq!(transaction["accessList"], json!([{ "address": TO, "storageKeys": [key] }]));
    assert_eq!(receipt["gasUsed"], format!("{:#x}", 21_000 + 2_400 + 1_900));

    // Without a chain id it could be replayed on another chain.
    let anywhere = TxLegacy { chain_id: None, nonce: 2, ..legacy.clone() };
    let (_, message, _) = bench.error("eth_sendRawTransaction", json!([bench.encode(anywhere)]));
    assert_eq!(message, "only replay-protected (EIP-155) transactions allowed over RPC");
    let elsewhere = TxLegacy { chain_id: Some(1), nonce: 2, ..legacy };
    let (_, message, _) = bench.error("eth_sendRawTransaction", json!([bench.encode(elsewhere)]));
    assert_eq!(message, "invalid chain id for signer: have 1 want 20260");
}

#[test]
fn a_delegation_is_read_back_and_runs_the_code_it_names() {
    let bench = Bench::new();
    // Runtime: RETURN(ADDRESS)
    let init: Bytes = "0x66305f5260205ff35f5260076019f3".parse().unwrap();
    let contract = bench.send(0, TxKind::Create, 0, init)["contractAddress"].clone();
    let contract: Address = contract.as_str().unwrap().parse().unwrap();
    let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
    let authorization = Authorization { chain_id: U256::from(CHAIN), address: contract, nonce: 0 };
    let signature = signer.sign_hash_sync(&authorization.signature_hash()).unwrap();
    let delegating = TxEip7702 {
        chain_id: CHAIN,
        nonce: 1,
        gas_limit: 100_000,
        max_fee_per_gas: PRICE,
        max_priority_fee_per_gas: 1,
        to: signer.address(),
        authorization_list: vec![authorization.into_signed(signature)],
        ..TxEip7702::default()
    };
    let (transaction, _) = read_back(&bench, &bench.encode(delegating), "0x4");
    assert_eq!(transaction["authorizationList"][0]["address"], json!(contract));
    let code = bench.call("eth_getCode", json!([signer.address(), "latest"]));
    assert_eq!(code, format!("0xef0100{}", alloy_primitives::hex::encode(contract)));
    let answer = bench.call("eth_call", json!([{ "to": signer.address() }, "latest"]));
    assert_eq!(answer, json!(signer.address().into_word()));
}

#[test]
fn a_transaction_that_cannot_stand_is_refused_in_geths_words() {
    let bench = Bench::new();
    let refused = |raw: String| {
        let (code, message, _) = bench.error("eth_sendRawTransaction", json!([raw]));
        assert_eq!(code, -32000, "{message}");
        message
    };
    let legacy = |gas_limit: u64, input: Bytes| {
        let fields = TxLegacy {
            chain_id: Some(CHAIN),
            gas_price: PRICE,
            gas_limit,
            to: TxKind::Call(TO),
            input,
            ..TxLegacy::default()
        };
        bench.encode(fields)
    };
    // EIP-7825 bounds one transaction below the block.
    assert_eq!(refused(legacy(40_000_000, Bytes::new())), "exceeds block gas limit: 40000000 > 16777216");
    assert_eq!(refused(legacy(20_999, Bytes::new())), "intrinsic gas too low: have 20999, want 21000");
    let large = refused(legacy(16_000_000, Bytes::from(vec![0; 131_072])));
    assert!(
        large.starts_with("oversized data: transaction size 131") && large.ends_with("limit 131072"),
        "{large}"
    );

    let poor = PrivateKeySigner::from_bytes(&B256::repeat_byte(9)).unwrap();
    let transfer = TxLegacy {
        chain_id: Some(CHAIN),
        gas_price: PRICE,
        gas_limit: 21_000,
        to: TxKind::Call(TO),
        value: U256::from(1),
        ..TxLegacy::default()
    };
    let signature = poor.sign_hash_sync(&transfer.signature_hash()).unwrap();
    let send = |signature| {
        let envelope = TxEnvelope::from(transfer.clone().into_signed(signature));
        refused(hex::encode_prefixed(envelope.encoded_2718()))
    };
    let want = 21_000 * PRICE + 1;
    let text =
        format!("insufficient funds for gas * price + value: address {} have 0 want {want}", poor.address());
    assert_eq!(send(signature), text);
    // No point of the curve has this coordinate, and a signature in the upper half could be made twice.
    assert_eq!(send(Signature::new(U256::ZERO, signature.s(), false)), "invalid sender");
    assert_eq!(send(Signature::new(signature.r(), U256::MAX, false)), "invalid sender");
    let order =
        U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).unwrap();
    assert_eq!(send(Signature::new(signature.r(), order - signature.s(), !signature.v())), "invalid sender");

    let raw = legacy(21_000, Bytes::new());
    assert!(refused(raw[..raw.len() - 2].to_owned()).starts_with("rlp: "));
    assert_eq!(refused(format!("{raw}00")), "rlp: input contains more than one value");
}
