//! Answers that ask for sources.

use openledger_types::receipt::{RetrievalMethod, Source};

use super::*;
use crate::sources::{Library, Lookup, MAX_TOKENS, Passage, Permissions, Permitted, Sources, credit};

const BLOCK: u64 = 77;
/// Eight records: all of them share a word with a question that names every crate.
const TEXTS: [&str; 8] = [
    "serde reads",
    "serde writes and derives",
    "rayon threads",
    "rayon joins",
    "tokio waits",
    "tokio wakes",
    "zebra stripes",
    "zebra herds",
];

/// A chain on which nothing was ever withdrawn.
struct Quiet;

impl Permissions for Quiet {
    fn now(&self) -> Lookup<'_> {
        Box::pin(async { Ok(Permitted::at(BLOCK, Arc::default())) })
    }
}

/// What the adapter of these tests can cite.
pub(super) fn shelf() -> Sources {
    let passage = |(number, text): (u8, &str)| Passage {
        record: B256::with_last_byte(number),
        datanet: U256::from(2),
        version: 1,
        contributor: Address::with_last_byte(100 + number / 2),
        name: format!("work-{number}"),
        text: text.to_owned(),
        contribution: U256::from(1),
        place: number.into(),
        committed_at: 1,
        founder: U256::from(1),
    };
    let library = Library::new((0..).zip(TEXTS).map(passage).collect());
    Sources { library, permissions: Arc::new(Quiet) }
}

fn sourced(question: &str, top_k: u32, max_tokens: u32) -> Ask {
    let messages = vec![Message { role: Role::User, content: question.to_owned() }];
    Ask { messages, top_k_sources: Some(top_k), ..ask(max_tokens) }
}

#[tokio::test]
async fn an_answer_with_sources_names_them_pays_for_their_tokens_and_credits_each() {
    let house = House::new();
    let question = "What does the Rust crate serde do, and what derives it?";
    let ask = sourced(question, 4, 24);
    let answer =
        house.operator.answer(house.key.reveal(), "tiny", ask, |_| {}).await.expect("it is paid for");
    let Answer { receipt, request, response, attribution, .. } = &answer;
    let retrieval = request.retrieval.as_ref().expect("sources were asked for");
    let library = shelf().library;
    assert_eq!((retrieval.method, retrieval.block, retrieval.top_k), (RetrievalMethod::Bm25, BLOCK, 4));
    assert_eq!(retrieval.records_root, library.records_root());
    let source = |cluster: u32| Source {
        record: B256::with_last_byte(cluster as u8),
        cluster,
        datanet: U256::from(2),
        version: 1,
    };
    assert_eq!(retrieval.sources, [source(1), source(0)]);
    assert_eq!(receipt.requestHash, document_hash(request), "the receipt names them");
    let begins = house.scheduler.engine().tokenizer().decode(&request.prompt_tokens);
    assert!(
        begins.starts_with("system\n[1] serde writes and derives\nsystem\n[2] serde reads\nuser"),
        "{begins}"
    );
    assert_eq!(receipt.promptTokens as usize, request.prompt_tokens.len());
    assert_eq!(receipt.fee, receipt.expected_fee().expect("a small fee"));

    let records: Vec<B256> = attribution.sources.iter().map(|source| source.record).collect();
    assert_eq!(records, [source(1).record, source(0).record]);
    assert!(attribution.sources.iter().all(|s| s.contributor == Address::with_last_byte(100)));
    let engine = house.scheduler.engine();
    let (pool, tokenizer) = (engine.pool(), engine.tokenizer());
    let permitted = Permitted::at(BLOCK, Arc::default());
    let found = library.find(pool, tokenizer, &request.messages, 4, &permitted).expect("short texts");
    let context = found.context.expect("two sources");
    assert_eq!(context.prompt(), request.prompt_tokens);
    let credited = credit(engine, &context, &response.tokens).expect("it fits");
    let nanonats: Vec<i64> = attribution.sources.iter().map(|source| source.nanonats).collect();
    assert_eq!(credited.nanonats, nanonats, "anybody credits them the same");
    let of_sources: u32 = attribution.sources.iter().map(|s| s.share_ppm).sum();
    let of_contributors: u32 = attribution.contributors.iter().map(|c| c.share_ppm).sum();
    assert_eq!(of_sources + of_contributors + attribution.unattributed_ppm, 1_000_000);
    let (by_adapter, by_sources) =
        (attribution.explained_micronats.max(0), attribution.retrieved_micronats().max(0));
    let expected = by_sources as f64 / (by_adapter + by_sources) as f64;
    assert!(
        (f64::from(of_sources) / 1e6 - expected).abs() < 1e-5,
        "{of_sources} ppm, {expected} as settlement has it"
    );
    assert!(attribution.sources.iter().all(|s| s.nanonats > 0 || s.share_ppm == 0));
}

#[tokio::test]
async fn a_stream_that_is_left_credits_what_was_delivered() {
    let house = House::new();
    let ask = sourced("serde", 2, 200);
    let accepted = house.operator.accept(house.key.reveal(), "tiny", ask).await.expect("it is paid for");
    let mut pieces = accepted.stream();
    for _ in 0..3 {
        pieces.recv().await.expect("a piece");
    }
    drop(pieces);
    let answer = loop {
        if let [only] = house.operator.unsettled_receipts(house.key.hash())[..] {
            break house.operator.receipt(only).expect("it is readable").expect("it is stored");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(answer.response.tokens.len() < 200);
    assert_eq!(answer.attribution.sources.len(), 2);
}

#[tokio::test]
async fn what_nothing_is_found_for_is_answered_without_sources() {
    let house = House::new();
    let ask = sourced("Colours?", 4, 8);
    let answer =
        house.operator.answer(house.key.reveal(), "tiny", ask, |_| {}).await.expect("it is paid for");
    assert_eq!(answer.request.retrieval.map(|retrieval| retrieval.sources.len()), Some(0));
    assert!(answer.attribution.sources.is_empty());
    let messages: Vec<_> = answer.request.messages.iter().map(in_the_models_words).collect();
    let plain = house.scheduler.engine().tokenizer().chat(&messages).expect("a short text");
    assert_eq!(answer.request.prompt_tokens, plain);
}

#[tokio::test]
async fn sources_that_cannot_be_had_are_refused_with_what_can() {
    let house = House::new();
    let message = async |model: &str, ask: Ask| match house.refusal(model, ask).await {
        ServeError::InvalidRequest { param: "retrieval", message } => message,
        other => panic!("{other:?}"),
    };
    for top_k in [0, 9] {
        let told = message("tiny", sourced("serde", top_k, 8)).await;
        assert_eq!(told, format!("retrieval.top_k is {top_k}; accepted is 1 to 8"));
    }
    let bare = ServedAdapter {
        id: U256::from(2),
        name: "bare".into(),
        sources: None,
        ..served(house.scheduler.engine())
    };
    house.operator.serve(bare).expect("the name is free");
    assert!(message("bare", sourced("serde", 4, 8)).await.contains("no Datanet to search"));

    let every = format!("serde rayon tokio zebra {}", "x".repeat(350));
    let told = message("tiny", sourced(&every, 8, 350)).await;
    assert!(told.contains("lower retrieval.top_k or max_tokens"), "{told}");
    let accepted = house.operator.accept(house.key.reveal(), "tiny", sourced(&every, 4, 350)).await;
    drop(accepted.expect("four cost a sixteenth"));
    let unlimited = Ask { max_tokens: None, ..sourced(&every, 8, 1) };
    let accepted = house.operator.accept(house.key.reveal(), "tiny", unlimited).await.expect("what fits");
    let context = accepted.context.as_ref().expect("eight sources");
    assert!(context.tokens_to_credit(accepted.request.sampling.max_tokens as usize) <= MAX_TOKENS);
    drop(accepted);

    let long = house.refusal("tiny", sourced(&format!("serde {}", "x".repeat(600)), 2, 590)).await;
    assert!(matches!(long, ServeError::ContextExceeded { limit: 1024, sources: 2, .. }), "{long:?}");
    assert!(long.to_string().contains("lower retrieval.top_k"), "{long}");
    assert_eq!(house.operator.held(house.key.hash()), U256::ZERO);
}
