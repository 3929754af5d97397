use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy_primitives::{Address, B256, U256};
use openledger_client::{ApiKey, Wallet, recover_receipt_signer};
use openledger_model::{Adapter, LoraConfig, LoraLayout, Model, Pool, Target, init};
use openledger_serve::{AdapterLimits, Adapters, Engine, Scheduler};
use openledger_types::abi::Authorisation;
use openledger_types::receipt::{Answer, Message, ResponseFormat, Role, decode_document};
use openledger_types::split::FeeSplit;
use openledger_worker::operator::{
    Ask, Estimate, Evidence, EvidenceSource, Limits, Lookup, Operator, Payments, ServedAdapter, Settings,
    Standing,
};
use openledger_worker::sources::{Library, Lookup as SourceLookup, Passage, Permissions, Permitted, Sources};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{ChatRequest, Gateway, ParameterError};

const CHAIN_ID: u64 = 20_260;
const WAITING: usize = 2;

/// The escrow module in memory: every key it knows can pay.
#[derive(Default)]
struct Escrow(Mutex<BTreeMap<B256, Authorisation>>);

impl Payments for Escrow {
    fn standing(&self, key: B256) -> Lookup<'_> {
        let authorisation = self.0.lock().expect("nobody panicked").get(&key).cloned();
        let balance = authorisation.as_ref().map_or(U256::ZERO, |a| a.cap);
        Box::pin(async move { Ok(Standing { authorisation, balance }) })
    }
}

struct House {
    _folder: TempDir,
    operator: Operator,
    gateway: Gateway,
    key: ApiKey,
}

/// What came back.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn error(&self) -> (u16, Value) {
        (self.status, self.json()["error"].clone())
    }

    fn events(&self) -> Vec<String> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(str::to_owned).collect()
    }
}

impl House {
    async fn new() -> Self {
        let (model, tokenizer) = Model::tiny(5);
        let pool = Pool::new(1).expect("a thread starts");
        let engine = Engine::new(Arc::new(model), Arc::new(tokenizer), pool.clone());
        let (rows, of_tenant) = (1, 1 + WAITING);
        let serving = openledger_serve::Settings { rows, waiting: WAITING, of_tenant, ..Default::default() };
        let shape = engine.model().config().clone();
        let registry =
            Adapters::start(shape, AdapterLimits::default(), |_| B256::ZERO).expect("a thread starts");
        let scheduler = Scheduler::start(engine, pool, serving).expect("a thread starts");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (wallet, key) = (Wallet::random(), ApiKey::generate());
        let authorisation = Authorisation {
            payer: Address::repeat_byte(7),
            operator: wallet.address(),
            cap: U256::from(1_000_000_000),
            spent: U256::ZERO,
            expiresAt: u64::MAX,
            revokedAt: 0,
        };
        let escrow = Escrow(Mutex::new(BTreeMap::from([(key.hash(), authorisation)])));
        let settings = Settings {
            chain_id: CHAIN_ID,
            split: FeeSplit::GENESIS,
            folder: folder.path().to_owned(),
            limits: Limits::default(),
        };
        let operator = Operator::open(settings, wallet, scheduler, registry, Arc::new(escrow))
            .expect("an empty folder opens");
        operator.serve(served(operator.engine())).expect("the name is free");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let gateway = Gateway::serve(operator.clone(), address).await.expect("a port is free");
        Self { _folder: folder, operator, gateway, key }
    }

    async fn send(&self, method: &str, path: &str, key: Option<&str>, body: &[u8]) -> Reply {
        let mut stream = self.begin(method, path, key, body).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("the gateway closes the connection");
        let text = String::from_utf8(bytes).expect("a response is UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head ends");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let chunked = head.contains("transfer-encoding: chunked");
        Reply { status, head: head.to_owned(), body: if chunked { unchunk(body) } else { body.to_owned() } }
    }

    async fn begin(&self, method: &str, path: &str, key: Option<&str>, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.gateway.address()).await.expect("the gateway listens");
        let key = key.map_or_else(String::new, |key| format!("authorization: Bearer {key}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: {}\r\n{key}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("the gateway reads");
        // A body over the limit is refused before it was read whole, which closes the connection under the writer.
        if let Err(error) = stream.write_all(body).await {
            assert!(body.len() > crate::body::MAX_BODY_BYTES, "{error}");
        }
        stream
    }

    async fn chat(&self, body: &Value) -> Reply {
        let body = body.to_string();
        self.send("POST", "/v1/chat/completions", Some(self.key.reveal()), body.as_bytes()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None, b"").await
    }
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk has a size");
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    whole
}

fn served(engine: &Engine) -> ServedAdapter {
    let lora = LoraConfig { rank: 2, alpha: 16.0, first_layer: 2, targets: vec![Target::Q, Target::V] };
    let shape = engine.model().config();
    let layout = LoraLayout::new(shape, &lora).expect("it fits the tiny model");
    let theta = init(shape, &layout, [3; 32]);
    ServedAdapter {
        id: U256::from(1),
        name: "rust/crates".into(),
        base_hash: B256::repeat_byte(1),
        adapter_hash: B256::repeat_byte(2),
        datanets_root: B256::repeat_byte(3),
        input_price: U256::from(1000),
        output_price: U256::from(3000),
        developer: Address::repeat_byte(4),
        created_at: 1_700_000_000,
        adapter: Some(Arc::new(Adapter::new(shape, lora, theta).expect("it fits the layout"))),
        evidence: EvidenceSource::held(Evidence { estimate: Estimate::None, spans: None }),
        sources: Some(shelf()),
    }
}

/// A chain on which nothing was ever withdrawn.
struct Quiet;

impl Permissions for Quiet {
    fn now(&self) -> SourceLookup<'_> {
        Box::pin(async { Ok(Permitted::default()) })
    }
}

/// Two records that can be cited.
fn shelf() -> Sources {
    let passage = |number: u8, text: &str| Passage {
        record: B256::with_last_byte(number),
        datanet: U256::from(2),
        version: 1,
        contributor: Address::with_last_byte(number),
        name: format!("work-{number}"),
        text: text.to_owned(),
        contribution: U256::from(1),
        place: number.into(),
        committed_at: 0,
        founder: U256::from(1),
    };
    let passages = vec![passage(0, "A crate is a package."), passage(1, "Colours")];
    Sources { library: Library::new(passages), permissions: Arc::new(Quiet) }
}

fn question() -> Value {
    json!({
        "model": "rust/crates",
        "messages": [{ "role": "user", "content": "What is a crate?" }],
        "max_tokens": 12,
        "seed": 4,
    })
}

fn with(mut request: Value, field: &str, value: Value) -> Value {
    request[field] = value;
    request
}

#[tokio::test]
async fn a_completion_carries_its_receipt_and_a_split_that_adds_up() {
    let house = House::new().await;
    let reply = house.chat(&question()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let completion = reply.json();
    let id = completion["openledger"]["receipt"].as_str().expect("a receipt");
    let whole = house.get(&format!("/v1/receipts/{id}")).await;
    let answer: Answer = decode_document(whole.body.as_bytes()).expect("the canonical encoding");
    assert_eq!(answer.receipt.id(CHAIN_ID).to_string(), id);
    assert_eq!(completion["choices"][0]["message"]["content"], answer.response.text);
    assert_eq!(completion["object"], "chat.completion");
    assert_eq!(completion["usage"]["completion_tokens"], answer.receipt.completionTokens);
    let extra = &completion["openledger"];
    let wei = |value: &Value| value.as_str().and_then(|text| text.parse::<U256>().ok()).expect("decimal wei");
    let roles = ["contributors", "operator", "developer", "validators", "treasury", "burn"];
    let sum = roles.iter().fold(U256::ZERO, |sum, role| sum + wei(&extra["split_wei"][role]));
    assert_eq!((sum, wei(&extra["fee_wei"])), (answer.receipt.fee, answer.receipt.fee));
    let signer = recover_receipt_signer(&answer.receipt, &answer.signature, CHAIN_ID);
    assert_eq!(signer.expect("it is signed"), house.operator.address());
    assert_eq!(extra["attribution"]["unattributed_ppm"], 1_000_000);
}

#[tokio::test]
async fn a_stream_is_the_same_answer_in_pieces() {
    let house = House::new().await;
    let whole = house.chat(&question()).await.json();
    for include_usage in [false, true] {
        let request = with(question(), "stream", json!(true));
        let request = with(request, "stream_options", json!({ "include_usage": include_usage }));
        let reply = house.chat(&request).await;
        assert!(reply.head.contains("content-type: text/event-stream"), "{}", reply.head);
        let events = reply.events();
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
        let chunks: Vec<Value> = events[..events.len() - 1]
            .iter()
            .map(|e| serde_json::from_str(e).expect("a chunk is JSON"))
            .collect();
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        assert!(chunks.iter().all(|c| c["id"] == chunks[0]["id"] && c["object"] == "chat.completion.chunk"));
        let text: String =
            chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, whole["choices"][0]["message"]["content"], "the seed is the same");
        let (last, earlier) = chunks.split_last().expect("there are chunks");
        assert!(last["openledger"]["receipt"].is_string());
        assert!(earlier.iter().all(|chunk| chunk.get("openledger").is_none()));
        let reasons: Vec<&Value> =
            chunks.iter().map(|c| &c["choices"][0]["finish_reason"]).filter(|r| !r.is_null()).collect();
        assert_eq!(reasons, [&whole["choices"][0]["finish_reason"]]);
        if include_usage {
            assert_eq!((&last["usage"], &last["choices"]), (&whole["usage"], &json!([])));
        }
    }
}

#[tokio::test]
async fn sources_are_cited_by_every_choice_and_by_the_end_of_a_stream() {
    let house = House::new().await;
    let plain = house.chat(&question()).await.json();
    assert!(plain["choices"][0].get("citations").is_none());
    let request = with(question(), "retrieval", json!({ "top_k": 2 }));
    let completion = house.chat(&request).await.json();
    let citations = &completion["choices"][0]["citations"];
    assert_eq!(citations.as_array().map(Vec::len), Some(1), "{completion}");
    let citation = &citations[0];
    let credit = &completion["openledger"]["attribution"]["sources"][0];
    assert_eq!((&citation["index"], &citation["title"]), (&json!(1), &json!("work-0")));
    assert_eq!((&citation["snippet"], &citation["datanet"]), (&json!("A crate is a package."), &json!("2")));
    for field in ["record", "share_ppm", "nanonats"] {
        assert_eq!(citation[field], credit[field], "{field}");
    }
    assert_eq!(citation["owner"], credit["contributor"]);
    let prompt = |completion: &Value| completion["usage"]["prompt_tokens"].as_u64().expect("a count");
    assert!(prompt(&completion) > prompt(&plain), "the tokens of sources are paid for");
    let several = house.chat(&with(request.clone(), "n", json!(2))).await.json();
    assert!((0..2).all(|choice| several["choices"][choice]["citations"][0]["record"] == citation["record"]));

    for include_usage in [false, true] {
        let request = with(request.clone(), "stream", json!(true));
        let request = with(request, "stream_options", json!({ "include_usage": include_usage }));
        let events = house.chat(&request).await.events();
        let chunks: Vec<Value> =
            events[..events.len() - 1].iter().map(|e| serde_json::from_str(e).expect("JSON")).collect();
        let cited: Vec<&Value> = chunks.iter().filter(|c| !c["choices"][0]["citations"].is_null()).collect();
        assert_eq!(cited.len(), 1);
        assert!(cited[0]["choices"][0]["finish_reason"].is_string(), "it is the choice's last");
        assert_eq!(&cited[0]["choices"][0]["citations"], citations);
    }
    let nothing = with(request, "messages", json!([{ "role": "user", "content": "Zebras?" }]));
    assert_eq!(house.chat(&nothing).await.json()["choices"][0]["citations"], json!([]));
}

#[tokio::test]
async fn wrong_requests_for_sources_are_refused_and_the_model_says_what_it_searches() {
    let house = House::new().await;
    for (retrieval, param) in [
        (json!(true), "retrieval"),
        (json!({ "top_k": 0 }), "retrieval.top_k"),
        (json!({ "top_k": 9 }), "retrieval.top_k"),
        (json!({ "top_k": "4" }), "retrieval.top_k"),
        (json!({ "topk": 4 }), "retrieval.topk"),
    ] {
        let (status, error) = house.chat(&with(question(), "retrieval", retrieval)).await.error();
        assert_eq!((status, error["param"].as_str()), (400, Some(param)), "{error}");
    }
    let long = with(question(), "retrieval", json!({}));
    let long =
        with(long, "messages", json!([{ "role": "user", "content": format!("crate {}", "x".repeat(990)) }]));
    let (status, error) = house.chat(&long).await.error();
    assert_eq!((status, error["code"].as_str()), (400, Some("context_length_exceeded")), "{error}");
    let model = house.get("/v1/models").await.json()["data"][0]["openledger"]["retrieval"].clone();
    assert_eq!((&model["method"], &model["records"]), (&json!("bm25/1"), &json!(2)));
    assert_eq!(model["datanets"], json!([{ "datanet": "2", "version": 1 }]));
    assert_eq!((&model["default_top_k"], &model["max_top_k"]), (&json!(4), &json!(8)));
}

#[tokio::test]
async fn several_choices_are_answers_of_their_own() {
    let house = House::new().await;
    let alone = house.chat(&question()).await.json();
    let request = with(question(), "n", json!(3));
    let completion = house.chat(&request).await.json();
    let choices = completion["choices"].as_array().expect("choices");
    assert_eq!(choices.len(), 3);
    assert_eq!(choices[0]["message"], alone["choices"][0]["message"], "the first has the request's seed");
    let mut receipts: Vec<&str> =
        choices.iter().filter_map(|choice| choice["openledger"]["receipt"].as_str()).collect();
    receipts.dedup();
    assert_eq!(receipts.len(), 3);
    let prompt = alone["usage"]["prompt_tokens"].as_u64().expect("a count");
    assert_eq!(completion["usage"]["prompt_tokens"], 3 * prompt);

    let request = with(request, "stream", json!(true));
    let request = with(request, "stream_options", json!({ "include_usage": true }));
    let reply = house.chat(&request).await;
    let events = reply.events();
    let (end, chunks) = events.split_last().expect("there are events");
    assert_eq!(end, "[DONE]");
    let chunks: Vec<Value> =
        chunks.iter().map(|e| serde_json::from_str(e).expect("a chunk is JSON")).collect();
    for (index, choice) in choices.iter().enumerate() {
        let text: String = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"].get(0).filter(|c| c["index"] == index))
            .filter_map(|c| c["delta"]["content"].as_str())
            .collect();
        assert_eq!(text, choice["message"]["content"], "choice {index}");
    }
    let last = chunks.last().expect("there are chunks");
    assert_eq!(last["usage"], completion["usage"]);
    assert_eq!(chunks.iter().filter(|chunk| chunk["openledger"]["receipt"].is_string()).count(), 3);
}

#[tokio::test]
async fn stops_and_probabilities_are_given_as_the_api_shapes_them() {
    let house = House::new().await;
    let request = with(with(question(), "logprobs", json!(true)), "top_logprobs", json!(2));
    let request = with(request, "max_tokens", json!(40));
    let whole = house.chat(&request).await.json();
    let choice = &whole["choices"][0];
    let content = choice["logprobs"]["content"].as_array().expect("log probabilities");
    let bytes: Vec<u8> = content
        .iter()
        .flat_map(|token| token["bytes"].as_array().expect("bytes"))
        .map(|byte| byte.as_u64().expect("a byte") as u8)
        .collect();
    let text = choice["message"]["content"].as_str().expect("a text");
    assert_eq!(String::from_utf8_lossy(&bytes), text);
    assert!(content.iter().all(|token| token["top_logprobs"].as_array().is_some_and(|top| top.len() == 2)));
    let stop: String = text.chars().filter(char::is_ascii).take(2).last().expect("some ASCII").into();
    let stopped =
        house.chat(&with(with(question(), "max_tokens", json!(40)), "stop", json!([stop]))).await.json();
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    assert_eq!(stopped["choices"][0]["message"]["content"].as_str(), text.split(&stop).next());
    let stream = with(request, "stream", json!(true));
    let events = house.chat(&stream).await.events();
    let named = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array().map(Vec::len))
        .sum::<usize>();
    assert_eq!(named, content.len());
}

#[tokio::test]
async fn figures_are_shown_for_prometheus() {
    let house = House::new().await;
    let tokens = house.chat(&question()).await.json()["usage"]["completion_tokens"].clone();
    let reply = house.get("/metrics").await;
    assert!(reply.head.contains("application/openmetrics-text"), "{}", reply.head);
    for line in [
        format!("openledger_completion_tokens_total {tokens}"),
        "openledger_requests_finished_total 1".into(),
        "openledger_adapters_registered 0".into(),
    ] {
        assert!(reply.body.lines().any(|l| l == line), "{line}: {}", reply.body);
    }
}

#[tokio::test]
async fn refusals_have_the_status_and_shape_of_the_api() {
    let house = House::new().await;
    let stranger = ApiKey::generate();
    let body = question().to_string();
    let path = "/v1/chat/completions";
    let check = |reply: Reply, status: u16, code: &str, param: Value| {
        let (got, error) = reply.error();
        assert_eq!(
            (got, error["code"].as_str(), &error["param"]),
            (status, Some(code), &param),
            "{}",
            reply.body
        );
        assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()) && error["type"].is_string());
        error
    };
    check(house.send("POST", path, None, body.as_bytes()).await, 401, "invalid_api_key", Value::Null);
    check(house.send("POST", path, Some("sk-1"), body.as_bytes()).await, 401, "invalid_api_key", Value::Null);
    let missing = house.send("POST", path, Some(stranger.reveal()), body.as_bytes()).await;
    let missing = check(missing, 402, "key_not_authorised", Value::Null);
    assert!(missing["openledger"]["needed_wei"].as_str().is_some_and(|wei| wei != "0"), "{missing}");
    assert_eq!(missing["openledger"]["available_wei"], "0");
    let unknown = with(question(), "model", json!("none"));
    check(house.chat(&unknown).await, 404, "model_not_found", json!("model"));
    let streamed = with(unknown, "stream", json!(true));
    check(house.chat(&streamed).await, 404, "model_not_found", json!("model"));
    let long = with(question(), "max_tokens", json!(1024));
    check(house.chat(&long).await, 400, "context_length_exceeded", json!("messages"));
    check(
        house.chat(&with(question(), "logit_bias", json!({ "5": 1 }))).await,
        400,
        "unsupported_parameter",
        json!("logit_bias"),
    );
    check(house.chat(&with(question(), "stop", json!(""))).await, 400, "invalid_value", json!("stop"));
    let key = Some(house.key.reveal());
    check(house.send("POST", path, key, b"{").await, 400, "invalid_json", json!("body"));
    let large = vec![b' '; (1 << 20) + 1];
    check(house.send("POST", path, key, &large).await, 413, "request_too_large", Value::Null);
    check(house.get("/v1/nothing").await, 404, "unknown_url", Value::Null);
    check(house.get(path).await, 405, "method_not_allowed", Value::Null);
    check(house.get("/v1/receipts/0x12").await, 400, "invalid_receipt_id", json!("id"));
    let nobody = format!("/v1/receipts/{}", B256::ZERO);
    check(house.get(&nobody).await, 404, "receipt_not_found", json!("id"));
    assert_eq!(house.operator.pending(), vec![], "nothing of this was charged");
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let house = House::new().await;
    let ask = || Ask {
        messages: vec![Message { role: Role::User, content: "hello".into() }],
        temperature_milli: 0,
        max_tokens: Some(2),
        ..Ask::default()
    };
    let mut places = vec![];
    for _ in 0..=WAITING {
        places.push(house.operator.accept(house.key.reveal(), "1", ask()).await.expect("there is a place"));
    }
    let reply = house.chat(&question()).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert!(reply.head.contains("retry-after: "), "{}", reply.head);
    drop(places);
    assert_eq!(house.chat(&question()).await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_machine() {
    let house = House::new().await;
    for stream in [false, true] {
        let request = with(with(question(), "max_tokens", json!(900)), "stream", json!(stream)).to_string();
        let mut connection =
            house.begin("POST", "/v1/chat/completions", Some(house.key.reveal()), request.as_bytes()).await;
        if stream {
            let mut some = [0; 600];
            connection.read_exact(&mut some).await.expect("the stream begins");
        } else {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        drop(connection);
        for _ in 0..2_000 {
            if house.operator.scheduler().present() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(house.operator.scheduler().present(), 0, "stream: {stream}");
    }
}

#[tokio::test]
async fn models_and_pending_receipts_are_listed() {
    let house = House::new().await;
    let list = house.get("/v1/models").await.json();
    assert_eq!(list["data"][0]["id"], "rust/crates");
    assert_eq!(list["data"][0]["openledger"]["output_price_wei"], "3000");
    assert_eq!(house.get("/v1/models/rust%2Fcrates").await.json(), list["data"][0]);
    assert_eq!(house.get("/v1/models/1").await.json(), list["data"][0]);
    assert_eq!(house.get("/v1/models/none").await.status, 404);
    assert_eq!((house.get("/health").await.status, house.get("/ready").await.status), (200, 200));
    let completion = house.chat(&question()).await.json();
    let mine = house.send("GET", "/v1/receipts", Some(house.key.reveal()), b"").await.json();
    assert_eq!(mine["data"][0]["id"], completion["openledger"]["receipt"]);
    house.operator.retire(U256::from(1));
    assert_eq!(house.get("/ready").await.status, 503);
}

#[tokio::test]
async fn d19_nothing_between_may_keep_what_was_paid_for() {
    let house = House::new().await;
    let streamed = json!({ "model": "rust/crates", "stream": true, "max_tokens": 2, "messages": question()["messages"] });
    let mut replies =
        vec![house.chat(&question()).await, house.chat(&streamed).await, house.chat(&json!({})).await];
    replies.push(house.send("GET", "/v1/receipts", Some(house.key.reveal()), b"").await);
    for reply in replies {
        assert!(reply.head.contains("cache-control: no-store, private"), "{}", reply.head);
    }
}

#[tokio::test]
async fn pages_of_any_origin_may_ask() {
    let house = House::new().await;
    let mut stream = TcpStream::connect(house.gateway.address()).await.expect("the gateway listens");
    let preflight = "OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\norigin: http://page\r\n\
         access-control-request-method: POST\r\nconnection: close\r\n\r\n";
    stream.write_all(preflight.as_bytes()).await.expect("the gateway reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("the gateway answers");
    assert!(reply.starts_with("HTTP/1.1 204"), "{reply}");
    assert!(reply.contains("access-control-allow-headers: authorization"), "{reply}");
    let refused = house.chat(&json!({})).await;
    assert!(
        refused.head.contains("access-control-allow-origin: *"),
        "an error can be read too: {}",
        refused.head
    );
}

#[tokio::test]
async fn shutting_down_waits_for_what_is_under_way() {
    let house = House::new().await;
    let House { gateway, key, .. } = &house;
    let body = question().to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        key.reveal(),
        body.len()
    );
    let mut stream = TcpStream::connect(gateway.address()).await.expect("the gateway listens");
    stream.write_all(head.as_bytes()).await.expect("the gateway reads");
    for _ in 0..2_000 {
        if house.operator.scheduler().present() > 0 || !house.operator.pending().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let address = house.gateway.address();
    house.gateway.shutdown(Duration::from_secs(20)).await.expect("it ends well");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("the answer arrives whole");
    assert!(reply.contains("\"openledger\""), "{reply}");
    TcpStream::connect(address).await.expect_err("nobody listens any more");
}

#[test]
fn requests_are_read_strictly() {
    let parse = |body: Value| ChatRequest::parse(body.to_string().as_bytes());
    let plain = parse(question()).expect("a plain question");
    assert_eq!((plain.ask.temperature_milli, plain.ask.top_p_milli, plain.ask.seed), (1000, 1000, Some(4)));

    let read = |field: &str, value: Value| parse(with(question(), field, value)).expect(field).ask;
    assert_eq!(read("temperature", json!(0.7)).temperature_milli, 700);
    assert_eq!(read("temperature", json!(0)).temperature_milli, 0);
    assert_eq!(read("top_p", json!(0)).top_p_milli, 1);
    assert_eq!(read("max_tokens", Value::Null).max_tokens, None);
    assert_eq!(read("max_completion_tokens", json!(12)).max_tokens, Some(12));
    let parts = json!([{ "role": "developer", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] }]);
    assert_eq!(read("messages", parts).messages, [Message { role: Role::System, content: "ab".into() }]);
    let echoed = json!([{ "role": "assistant", "content": "a", "refusal": null, "annotations": [], "tool_calls": null }]);
    assert_eq!(read("messages", echoed).messages[0].role, Role::Assistant);
    for (field, value) in [
        ("user", json!("u")),
        ("n", json!(8)),
        ("stop", json!([])),
        ("top_k", json!(40)),
        ("presence_penalty", json!(0)),
        ("response_format", json!({ "type": "text" })),
        ("tools", json!([])),
        ("logprobs", json!(false)),
        ("stream_options", Value::Null),
    ] {
        read(field, value);
    }

    let asked = read("stop", json!("x"));
    assert_eq!(
        (asked.stop, asked.logprobs, asked.repetition_penalty_milli),
        (vec!["x".to_owned()], None, 1000)
    );
    assert_eq!(read("frequency_penalty", json!(-1.5)).frequency_penalty_milli, -1500);
    let schema =
        json!({ "type": "json_schema", "json_schema": { "name": "a", "schema": { "type": "object" } } });
    let kept = ResponseFormat::JsonSchema { schema: r#"{"type":"object"}"#.into() };
    assert_eq!(read("response_format", schema).response_format, kept);
    let named = with(with(question(), "logprobs", json!(true)), "top_logprobs", json!(3));
    assert_eq!(parse(named).expect("both are there").ask.logprobs, Some(3));

    let refused = |field: &str, value: Value| parse(with(question(), field, value)).expect_err(field);
    for (field, value) in [
        ("tools", json!([{ "type": "function" }])),
        ("logit_bias", json!({ "5": 1 })),
        ("reasoning_effort", json!("low")),
    ] {
        let error = refused(field, value);
        assert!(matches!(&error, ParameterError::Unsupported { param, .. } if param == field), "{error}");
    }
    for (field, value) in [
        ("temperature", json!(2.1)),
        ("temperature", json!("hot")),
        ("top_p", json!(-0.1)),
        ("max_tokens", json!(0)),
        ("max_tokens", json!(1.5)),
        ("seed", json!(-1)),
        ("model", json!(7)),
        ("messages", json!("hi")),
        ("stream", json!("yes")),
        ("n", json!(9)),
        ("stop", json!(5)),
        ("frequency_penalty", json!(2.5)),
        ("presence_penalty", json!("much")),
        ("repetition_penalty", json!(0)),
        ("min_p", json!(2)),
        ("logprobs", json!(1)),
        ("top_logprobs", json!(21)),
        ("top_logprobs", json!(2)),
        ("stream_options", json!({ "include_usage": true })),
    ] {
        let error = refused(field, value);
        assert!(matches!(&error, ParameterError::Invalid { param, .. } if param == field), "{error}");
    }
    let both = with(question(), "max_completion_tokens", json!(5));
    assert_eq!(parse(both).expect_err("they differ").param(), "max_tokens");
    assert!(
        matches!(refused("temprature", json!(1)), ParameterError::Unknown { param } if param == "temprature")
    );
    for (message, named) in [
        (json!({ "role": "tool", "content": "x" }), "messages[0].role"),
        (json!({ "role": "user" }), "messages[0].content"),
        (json!({ "role": "user", "content": 5 }), "messages[0].content"),
        (json!({ "role": "user", "content": "x", "tool_calls": [1] }), "messages[0].tool_calls"),
        (json!({ "role": "user", "content": [{ "type": "image_url" }] }), "messages[0].content[0].type"),
    ] {
        assert_eq!(refused("messages", json!([message])).param(), named);
    }
    assert!(
        matches!(parse(json!({ "model": "m" })), Err(ParameterError::Missing { param }) if param == "messages")
    );
    assert!(matches!(ChatRequest::parse(b"[]"), Err(ParameterError::Body { .. })));
}
