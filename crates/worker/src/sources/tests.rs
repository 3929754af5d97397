use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use openledger_model::{Model, Pool, Tokenizer};
use openledger_serve::Engine;
use openledger_types::abi::Use;
use openledger_types::receipt::{Message, Role};

use super::*;

fn passage(number: u64, text: &str) -> Passage {
    Passage {
        record: B256::from(U256::from(number + 1)),
        datanet: U256::from(2),
        version: 3,
        contributor: Address::with_last_byte(number as u8),
        name: format!("work-{number}"),
        text: text.to_owned(),
        contribution: U256::from(100 + number),
        place: 7,
        committed_at: 10,
        founder: U256::from(200 + number),
    }
}

fn library() -> Library {
    let texts = ["serde reads and writes", "rayon joins threads", "serde derives", "tokio waits"];
    Library::new((0..).zip(texts).map(|(number, text)| passage(number, text)).collect())
}

fn asked(question: &str) -> Vec<Message> {
    let message = |role, content: &str| Message { role, content: content.to_owned() };
    vec![
        message(Role::User, "rayon?"),
        message(Role::Assistant, "It joins."),
        message(Role::User, question),
        message(Role::System, "tokio"),
    ]
}

fn tiny() -> (Engine, Arc<Tokenizer>) {
    let (model, tokenizer) = Model::tiny(3);
    let tokenizer = Arc::new(tokenizer);
    (Engine::new(Arc::new(model), tokenizer.clone(), Pool::new(1).unwrap()), tokenizer)
}

fn found(library: &Library, question: &str, top_k: u32, permitted: &Permitted) -> Vec<u32> {
    let (engine, tokenizer) = tiny();
    let found = library.find(engine.pool(), &tokenizer, &asked(question), top_k, permitted).unwrap();
    found.retrieval.sources.iter().map(|source| source.cluster).collect()
}

#[test]
fn the_last_question_of_the_user_finds_records_by_its_words() {
    let (library, all) = (library(), Permitted::default());
    let best = found(&library, "What does serde derive, and what derives it?", 4, &all);
    assert_eq!(best[0], 2, "it shares two words");
    assert_eq!((best.len(), best[1]), (2, 0));
    assert_eq!(found(&library, "What does serde do?", 1, &all).len(), 1);
    assert_eq!(found(&library, "What is in 3?", 4, &all), [3], "works are found by their names");
    assert!(found(&library, "Zebras?", 4, &all).is_empty());
}

#[test]
fn the_prompt_has_each_source_as_a_numbered_system_message_before_the_conversation() {
    let ((engine, tokenizer), library) = (tiny(), library());
    let messages = asked("What does serde derives?");
    let found = library.find(engine.pool(), &tokenizer, &messages, 2, &Permitted::default()).unwrap();
    let told = |n: usize, text: &str| {
        openledger_model::Message::new(openledger_model::Role::System, format!("[{n}] {text}"))
    };
    let mut expected = vec![told(1, "serde derives"), told(2, "serde reads and writes")];
    expected.extend(messages.iter().map(crate::operator::in_the_models_words));
    assert_eq!(found.context.unwrap().prompt(), tokenizer.chat(&expected).unwrap());
    let source = &found.retrieval.sources[0];
    assert_eq!((source.datanet, source.version, source.cluster), (U256::from(2), 3, 2));
    assert_eq!(library.passage(source).unwrap().name, "work-2");
    let other = openledger_types::receipt::Source { record: B256::ZERO, ..source.clone() };
    assert_eq!(library.passage(&other), None);
    let none = library.find(engine.pool(), &tokenizer, &asked("Zebras?"), 2, &Permitted::default()).unwrap();
    assert_eq!((none.context, none.retrieval.sources.len()), (None, 0));
}

#[test]
fn what_was_withdrawn_or_denied_by_then_is_passed_over() {
    let library = library();
    let mut history = History::default();
    history.contributions.extend((100..104).map(U256::from));
    // The contribution of one, the founder of the other; a record's own terms; another record's.
    history.gone.insert(U256::from(102), 20);
    history.gone.insert(U256::from(200), 30);
    history.set_terms(U256::from(101), Some(7), 40, Use::Deny);
    history.set_terms(U256::from(101), None, 45, Use::Allow);
    history.set_terms(U256::from(101), Some(7), 50, Use::Limit);
    history.set_terms(U256::from(103), Some(8), 10, Use::Deny);
    let history = Arc::new(history);
    let at = |question: &str, block| found(&library, question, 4, &Permitted::at(block, history.clone()));
    assert_eq!(at("serde derives", 19), [2, 0]);
    assert_eq!(at("serde derives", 20), [0]);
    assert!(at("serde derives", 30).is_empty());
    for (block, expected) in [(39, vec![1]), (40, vec![]), (49, vec![]), (50, vec![1])] {
        assert_eq!(at("rayon", block), expected, "at {block}");
    }
    assert_eq!(at("tokio", 99), [3]);
    let mut denied = History::default();
    denied.denied.insert(U256::from(2));
    assert!(found(&library, "tokio", 4, &Permitted::at(1, Arc::new(denied))).is_empty());
}

#[test]
fn credit_is_divided_without_a_rest_and_its_work_is_in_no_document() {
    let ((engine, tokenizer), library) = (tiny(), library());
    let messages = asked("What does serde derive?");
    let found = library.find(engine.pool(), &tokenizer, &messages, 2, &Permitted::default()).unwrap();
    let context = found.context.unwrap();
    let answer = tokenizer.answer("serde derives reads").unwrap();
    let credited = credit(&engine, &context, &answer).unwrap();
    assert_eq!(credited, credit(&engine.on(Pool::new(3).unwrap()), &context, &answer).unwrap());
    assert!(credited.nanonats.iter().all(|nanonats| *nanonats != 0));
    let other = credit(&engine, &context, &answer[1..]).unwrap();
    assert_ne!(credited.work, other.work);
    let credits = library.credits(&found.retrieval, &credited.nanonats);
    let owners: Vec<Address> = credits.iter().map(|credit| credit.contributor).collect();
    let of = |cluster: u32| library.passages()[cluster as usize].contributor;
    assert_eq!(owners, found.retrieval.sources.iter().map(|source| of(source.cluster)).collect::<Vec<_>>());
}
