//! Keys, signatures, and what the client makes of a node that misbehaves. What it does with one that behaves is tested
//! where there is one, in the binary.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, address, b256, keccak256};
use alloy_sol_types::SolError;
use openledger_types::abi::{IDatanets, IEscrow, IParams};
use openledger_types::addresses::{DATANETS, ESCROW};
use openledger_types::receipt::Receipt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::api_key::ApiKeyError;
use openledger_types::batch::verdict_commitment;

use crate::modules::contribution_commitment;
use crate::receipts::SignatureError;
use crate::*;

fn receipt() -> Receipt {
    Receipt {
        operator: Address::repeat_byte(1),
        payer: Address::repeat_byte(2),
        key: B256::repeat_byte(3),
        epoch: 7,
        sequence: 0,
        adapter: U256::from(1),
        adapterHash: B256::repeat_byte(4),
        baseHash: B256::repeat_byte(5),
        datanetsRoot: B256::repeat_byte(6),
        requestHash: B256::repeat_byte(7),
        responseHash: B256::repeat_byte(8),
        attributionHash: B256::repeat_byte(9),
        promptTokens: 10,
        completionTokens: 20,
        inputPrice: U256::from(1),
        outputPrice: U256::from(2),
        fee: U256::from(50),
        issuedAt: 1_700_000_000,
    }
}

#[test]
fn a_receipt_is_signed_by_its_operator_and_any_change_shows() {
    let (wallet, receipt) = (Wallet::random(), receipt());
    let signature = sign_receipt(&wallet, &receipt, 20260);
    assert_eq!(recover_receipt_signer(&receipt, &signature, 20260), Ok(wallet.address()));
    assert_ne!(recover_receipt_signer(&receipt, &signature, 1), Ok(wallet.address()));
    let dearer = Receipt { fee: U256::from(51), ..receipt };
    assert_ne!(recover_receipt_signer(&dearer, &signature, 20260), Ok(wallet.address()));
    for length in [0, 64, 66] {
        let cut = vec![27; length];
        let error = recover_receipt_signer(&receipt, &cut, 20260);
        assert_eq!(error, Err(SignatureError::Length { got: length }));
    }
    assert_eq!(recover_receipt_signer(&receipt, &[0; 65], 20260), Err(SignatureError::Invalid));
}

#[test]
fn a_signature_has_one_form() {
    const ORDER: U256 =
        U256::from_limbs([0xBFD25E8CD0364141, 0xBAAEDCE6AF48A03B, 0xFFFFFFFFFFFFFFFE, u64::MAX]);
    let (wallet, receipt) = (Wallet::random(), receipt());
    let mut other = wallet.sign_hash(&receipt.id(20260));
    let s = U256::from_be_slice(&other[32..64]);
    other[32..64].copy_from_slice(&(ORDER - s).to_be_bytes::<32>());
    other[64] = if other[64] == 27 { 28 } else { 27 };
    assert_eq!(recover_receipt_signer(&receipt, &other, 20260), Err(SignatureError::UpperS));
}

#[test]
fn an_api_key_is_read_back_and_a_damaged_one_is_refused() {
    let key = ApiKey::generate();
    let text = key.reveal().to_owned();
    assert_eq!(text.len(), 46);
    assert_eq!(text.parse(), Ok(key.clone()));
    assert_eq!(key.hash(), keccak256(&text));
    assert_ne!(ApiKey::generate(), key);
    assert!(!format!("{key:?}").contains(&text[3..]), "a key is not printed by accident");
    for (text, error) in [
        (text[3..].to_owned(), ApiKeyError::Prefix),
        (text[..45].to_owned(), ApiKeyError::Length { got: 42 }),
        (format!("{text}A"), ApiKeyError::Length { got: 44 }),
        (format!("{text}\n"), ApiKeyError::Character { at: 47 }),
        (text.replacen("ol-", "ol-ä", 1), ApiKeyError::Character { at: 4 }),
    ] {
        assert_eq!(text.parse::<ApiKey>(), Err(error));
    }
}

#[test]
fn base64url_is_that_of_rfc_4648() {
    for (bytes, text) in
        [(&b""[..], ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"\xfb\xff\xfe", "-__-")]
    {
        assert_eq!(api_key::base64url(bytes), text);
    }
}

#[test]
fn commitments_are_those_that_solidity_encodes() {
    // Computed with ethers 6: keccak256(AbiCoder.defaultAbiCoder().encode(…)).
    let contributor = address!("00000000000000000000000000000000000000aa");
    let reveal = IDatanets::revealCall {
        datanet: U256::from(3),
        recordsRoot: B256::repeat_byte(1),
        fileHash: B256::repeat_byte(2),
        records: 77,
        salt: B256::repeat_byte(4),
    };
    assert_eq!(
        contribution_commitment(contributor, &reveal),
        b256!("63e121ee9fad57f48e70c321972613b427815720996527535ad92a09b415e323")
    );
    assert_eq!(
        verdict_commitment(
            contributor,
            12,
            U256::from(5),
            B256::repeat_byte(6),
            B256::repeat_byte(8),
            B256::repeat_byte(7)
        ),
        b256!("c413dc558798b7435c41a33ddeccb3b30b3e140f871002ff0e23e870b54ec17b")
    );
}

/// What a node under test answers to a JSON-RPC request: a body, or nothing at all.
type Answer = fn(&Value) -> Option<Value>;

/// Serves answers over HTTP.
async fn node(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = vec![0; 65_536];
                let mut filled = 0;
                loop {
                    let read = stream.read(&mut bytes[filled..]).await.unwrap_or(0);
                    if read == 0 {
                        return;
                    }
                    filled += read;
                    let text = String::from_utf8_lossy(&bytes[..filled]).into_owned();
                    let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
                    let Ok(request) = serde_json::from_str::<Value>(body) else { continue };
                    let Some(mut reply) = answer(&request) else { return };
                    if reply.is_object() {
                        reply["jsonrpc"] = "2.0".into();
                        reply["id"] = request["id"].clone();
                    }
                    let reply = reply.to_string();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                        reply.len()
                    );
                    stream.write_all(format!("{head}{reply}").as_bytes()).await.unwrap();
                    filled = 0;
                }
            });
        }
    });
    url
}

fn chain(request: &Value) -> Option<Value> {
    (request["method"] == "eth_chainId").then(|| json!({ "result": "0x4f24" }))
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_before_anything_is_sent() {
    for url in ["", "localhost", "127.0.0.1:8545", "https://127.0.0.1:8545", "ftp://x"] {
        let error = Client::connect(url).await.unwrap_err();
        assert!(matches!(error, ClientError::Url { .. }), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_node_that_is_not_there_is_named() {
    // Bound and dropped, so nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let error = Client::connect(&url).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { url: u, .. } if *u == url), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn a_node_that_hangs_up_or_keeps_silent_is_unreachable() {
    let hangs_up = Client::connect(&node(|_| None).await).await.unwrap_err();
    assert!(matches!(hangs_up, ClientError::Unreachable { .. }), "{hangs_up}");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ClientConfig { request_timeout: Duration::from_millis(200), ..ClientConfig::default() };
    let url = format!("http://{}", silent.local_addr().unwrap());
    let error = Client::connect_with(&url, config).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_no_json_rpc_is_malformed() {
    for answer in [(|_| Some(json!("hello"))) as Answer, |_| Some(json!({ "result": "many" }))] {
        let error = Client::connect(&node(answer).await).await.unwrap_err();
        assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_refused_call_is_the_modules_error_and_nothing_is_sent() {
    let url = node(|request| {
        let error = IEscrow::NoWithdrawal { payer: Address::repeat_byte(1) }.abi_encode();
        let refused = json!({ "error": {
            "code": 3, "message": "execution reverted", "data": Bytes::from(error),
        } });
        chain(request).or(Some(refused))
    })
    .await;
    let client = Client::connect(&url).await.unwrap();
    assert_eq!(client.chain_id(), 20260);
    let (wallet, call) = (Wallet::random(), IEscrow::withdrawCall {});
    for error in [
        client.escrow().call(&call).await.map(drop).unwrap_err(),
        client.escrow().transact(&wallet, &call).await.map(drop).unwrap_err(),
    ] {
        assert!(
            matches!(error, ClientError::Reverted { module: "escrow", name: "NoWithdrawal", .. }),
            "{error}"
        );
        assert_eq!(error.decode_revert(), Some(IEscrow::NoWithdrawal { payer: Address::repeat_byte(1) }));
    }
}

#[tokio::test]
async fn other_refusals_keep_the_nodes_words() {
    let url = node(|request| {
        chain(request).or_else(|| {
            Some(json!({ "error": { "code": -32601, "message": "the method is not available" } }))
        })
    })
    .await;
    let error = Client::connect(&url).await.unwrap().block_number().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the node refused eth_blockNumber: the method is not available (code -32601)"
    );
}

#[tokio::test]
async fn who_cannot_pay_learns_what_is_missing() {
    let url = node(|request| match request["method"].as_str().unwrap() {
        "eth_getBalance" => Some(json!({ "result": "0x5" })),
        "eth_estimateGas" => {
            let message = "insufficient funds for gas * price + value: balance 5, tx cost 9, overshot 4";
            Some(json!({ "error": { "code": -32000, "message": message } }))
        }
        _ => chain(request),
    })
    .await;
    let client = Client::connect(&url).await.unwrap();
    let wallet = Wallet::random();
    let error = client.send(&wallet, ESCROW, U256::from(9), Bytes::new()).await.unwrap_err();
    assert!(
        matches!(error, ClientError::InsufficientFunds { account, balance_wei, needed_wei }
            if account == wallet.address() && balance_wei == U256::from(5) && needed_wei == U256::from(9)),
        "{error}"
    );
}

#[tokio::test]
async fn a_transaction_in_no_block_is_waited_for_and_then_named() {
    let url = node(|request| chain(request).or_else(|| Some(json!({ "result": null })))).await;
    let client = Client::connect(&url).await.unwrap();
    let hash = B256::repeat_byte(9);
    let error = client.confirm(hash, Duration::from_millis(120)).await.unwrap_err();
    assert!(matches!(error, ClientError::NotConfirmed { hash: h, .. } if h == hash), "{error}");
}

#[tokio::test]
async fn a_page_with_too_many_logs_is_halved_until_it_fits() {
    let url = node(|request| {
        let block = |field: &str| {
            let text = request["params"][0][field].as_str().unwrap();
            u64::from_str_radix(&text[2..], 16).unwrap()
        };
        Some(match request["method"].as_str().unwrap() {
            "eth_getLogs" if block("toBlock") - block("fromBlock") >= 700 => {
                json!({ "error": { "code": -32005, "message": "query returned more than 10000 results" } })
            }
            "eth_getLogs" => json!({ "result": [log(block("fromBlock"), block("toBlock"))] }),
            _ => return chain(request),
        })
    })
    .await;
    let client = Client::connect(&url).await.unwrap();
    let pages = client.logs(&Filter::new(), 5, 30_000).await.unwrap();
    let mut next = 5;
    for page in &pages {
        assert_eq!(page.block_number, Some(next), "every block is asked for once, in order");
        next = page.log_index.unwrap() + 1;
    }
    assert_eq!(next, 30_001);
    let backwards = client.events::<IDatanets::Created>(DATANETS, Filter::new(), 5, 4).await.unwrap_err();
    assert!(matches!(backwards, ClientError::Range { from: 5, to: 4 }));
}

#[tokio::test]
async fn one_block_with_too_many_logs_is_an_error() {
    let url = node(|request| {
        let refused =
            json!({ "error": { "code": -32005, "message": "query returned more than 10000 results" } });
        chain(request).or(Some(refused))
    })
    .await;
    let error = Client::connect(&url).await.unwrap().logs(&Filter::new(), 0, 30_000).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { code: -32005, .. }), "{error}");
}

/// A log that carries the bounds of the page it was asked for in.
fn log(from: u64, to: u64) -> Value {
    json!({
        "address": DATANETS, "topics": [], "data": "0x", "blockHash": B256::ZERO, "transactionHash": B256::ZERO,
        "blockNumber": format!("{from:#x}"), "logIndex": format!("{to:#x}"), "transactionIndex": "0x0",
        "removed": false,
    })
}

#[tokio::test]
#[should_panic(expected = "get(bytes32) is not a call of")]
async fn a_call_of_another_module_is_a_mistake_of_the_program() {
    let client = Client::connect(&node(chain).await).await.unwrap();
    let answer = client.datanets().call(&IParams::getCall { name: B256::ZERO }).await;
    drop(answer);
}
