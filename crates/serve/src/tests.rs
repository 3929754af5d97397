use std::{ops::ControlFlow, sync::Arc};

use alloy_primitives::B256;
use openledger_model::{
    Adapter, LoraConfig, LoraLayout, Message, Model, Pool, Role, Target, init, save_peft,
};
use openledger_types::receipt::{FinishReason, Sampling};
use proptest::prelude::*;

use crate::{Engine, Error, FirstDifference, Queue, TextStream, choose};

const GREEDY: Sampling = Sampling { temperature_milli: 0, top_p_milli: 1000, seed: 0, max_tokens: 24 };
const WARM: Sampling = Sampling { temperature_milli: 900, top_p_milli: 950, seed: 7, max_tokens: 24 };

fn engine(threads: usize) -> Engine {
    let (model, tokenizer) = Model::tiny(3);
    Engine::new(Arc::new(model), Arc::new(tokenizer), Pool::new(threads).expect("threads start"), 2)
}

fn adapter(engine: &Engine, seed: u8) -> Adapter {
    let config = LoraConfig { rank: 2, alpha: 16.0, first_layer: 1, targets: vec![Target::Q, Target::V] };
    let shape = engine.model().config();
    let layout = LoraLayout::new(shape, &config).expect("the adapter fits the tiny model");
    let mut theta = init(shape, &layout, [seed; 32]);
    // B starts at zero, where an adapter changes nothing; move every parameter.
    for (index, parameter) in theta.iter_mut().enumerate() {
        *parameter += ((index % 13) as f32 - 6.0) * 0.05;
    }
    Adapter::new(shape, config, theta).expect("the parameters fit the layout")
}

fn prompt(engine: &Engine) -> Vec<u32> {
    engine.tokenizer().chat(&[Message::new(Role::User, "What is a crate?")]).expect("a short text has tokens")
}

fn whole(engine: &Engine, adapter: Option<&Arc<Adapter>>, sampling: &Sampling) -> crate::Generation {
    engine
        .generate(adapter, &prompt(engine), sampling, |_| ControlFlow::Continue(()))
        .expect("the tiny model answers")
}

#[test]
fn greedy_takes_the_largest_logit_and_the_smallest_id_among_equals() {
    for (logits, token) in [
        (&[1.0f32, 3.0, 3.0, 2.0][..], 1),
        (&[0.0, -0.0], 0),
        (&[-0.0, 0.0], 0),
        (&[-5.0], 0),
        (&[1.0, 2.0, 4.0], 2),
    ] {
        assert_eq!(choose(&GREEDY, 0, logits).expect("finite logits"), token, "{logits:?}");
    }
}

#[test]
fn a_logit_that_is_no_number_is_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for sampling in [GREEDY, WARM] {
            assert!(matches!(choose(&sampling, 5, &[0.0, bad]), Err(Error::NotFinite { position: 5 })));
        }
    }
}

#[test]
fn draws_are_the_same_everywhere() {
    let logits: Vec<f32> = (0..200u32).map(|i| ((i * 7919) % 101) as f32 * 0.05).collect();
    let drawn: Vec<u32> = (0..12).map(|at| choose(&WARM, at, &logits).expect("finite logits")).collect();
    assert_eq!(drawn, [68, 197, 32, 64, 95, 123, 130, 145, 118, 76, 142, 172]);
}

#[test]
fn draws_follow_the_probabilities() {
    let logits = [0.0f32, (0.5f32).ln(), (0.25f32).ln(), -60.0];
    let mut counts = [0u32; 4];
    let sampling = Sampling { temperature_milli: 1000, top_p_milli: 1000, ..WARM };
    for at in 0..7000 {
        counts[choose(&sampling, at, &logits).expect("finite logits") as usize] += 1;
    }
    for (count, expected) in counts.into_iter().zip([4000u32, 2000, 1000, 0]) {
        assert!(count.abs_diff(expected) < 160, "{counts:?}");
    }
    let nucleus = Sampling { top_p_milli: 570, ..sampling };
    assert!(
        (0..200).all(|at| choose(&nucleus, at, &logits).expect("finite logits") == 0),
        "4/7 is above 0.57"
    );
    let wider = Sampling { top_p_milli: 572, ..sampling };
    assert!(
        (0..200).any(|at| choose(&wider, at, &logits).expect("finite logits") == 1),
        "4/7 is below 0.572"
    );
}

#[test]
fn an_answer_does_not_depend_on_the_number_of_threads() {
    let (one, two) = (engine(1), engine(2));
    for sampling in [GREEDY, WARM] {
        assert_eq!(whole(&one, None, &sampling), whole(&two, None, &sampling));
    }
}

#[test]
fn an_answer_is_the_same_in_every_build() {
    let engine = engine(2);
    let adapter = Arc::new(adapter(&engine, 1));
    let tokens = |sampling: Sampling| whole(&engine, Some(&adapter), &sampling).tokens;
    assert_eq!(tokens(Sampling { max_tokens: 8, ..GREEDY }), [137, 137, 137, 137, 137, 254, 93, 93]);
    assert_eq!(tokens(Sampling { max_tokens: 8, ..WARM }), [14, 137, 137, 137, 90, 138, 108, 5]);
}

#[test]
fn one_pass_verifies_what_was_decoded_token_by_token() {
    let engine = engine(2);
    let adapter = Arc::new(adapter(&engine, 1));
    for sampling in [GREEDY, WARM, Sampling { max_tokens: 1, ..WARM }] {
        let mut answers = vec![];
        for adapter in [None, Some(&adapter)] {
            let answer = whole(&engine, adapter, &sampling);
            let verdict = engine.verify_generation(adapter, &prompt(&engine), &sampling, &answer.tokens);
            assert_eq!(verdict.expect("it re-executes"), None);
            answers.push(answer.tokens);
        }
        if sampling.max_tokens > 1 {
            assert_ne!(answers[0], answers[1], "the adapter changes the answer");
            let other = engine.verify_generation(None, &prompt(&engine), &sampling, &answers[1]);
            assert!(other.expect("it re-executes").is_some(), "another adapter is found out");
        }
    }
}

#[test]
fn every_changed_token_is_found_where_it_is() {
    let engine = engine(2);
    let prompt = prompt(&engine);
    let answer = whole(&engine, None, &WARM).tokens;
    let check =
        |tokens: &[u32]| engine.verify_generation(None, &prompt, &WARM, tokens).expect("it re-executes");
    for position in 0..answer.len() {
        let mut changed = answer.clone();
        changed[position] = (changed[position] + 1) % 256;
        let found = check(&changed).expect("the change is found");
        assert_eq!(
            found,
            FirstDifference { position, expected: Some(answer[position]), got: Some(changed[position]) }
        );
        let cut = check(&answer[..position]).expect("the cut is found");
        assert_eq!(cut, FirstDifference { position, expected: Some(answer[position]), got: None });
    }
    let mut longer = answer.clone();
    longer.push(1);
    let found = check(&longer).expect("the addition is found");
    assert_eq!(found, FirstDifference { position: answer.len(), expected: None, got: Some(1) });
}

#[test]
fn a_refused_piece_ends_the_answer_before_it_and_what_is_left_verifies() {
    let engine = engine(1);
    let mut pieces = 0;
    let answer = engine
        .generate(None, &prompt(&engine), &WARM, |piece| {
            pieces += 1;
            if piece.position == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("the tiny model answers");
    assert!(answer.refused);
    assert_eq!((pieces, answer.tokens.len(), answer.finish_reason), (6, 5, FinishReason::Length));
    let shortened = Sampling { max_tokens: 5, ..WARM };
    assert_eq!(
        engine.verify_generation(None, &prompt(&engine), &shortened, &answer.tokens).expect("it re-executes"),
        None
    );
}

#[test]
fn the_pieces_put_together_are_the_answer() {
    let engine = engine(1);
    let mut text = String::new();
    let mut tokens = vec![];
    let hot = Sampling { temperature_milli: 2000, max_tokens: 60, ..WARM };
    let answer = engine
        .generate(None, &prompt(&engine), &hot, |piece| {
            text.push_str(piece.text);
            tokens.push(piece.token);
            ControlFlow::Continue(())
        })
        .expect("the tiny model answers");
    assert_eq!((text, tokens), (answer.text, answer.tokens));
}

#[test]
fn what_does_not_fit_is_refused_before_any_work() {
    let engine = engine(1);
    let context = engine.model().config().context;
    let most = u32::try_from(context).expect("a small context");
    assert!(matches!(engine.check(0, &GREEDY), Err(Error::EmptyPrompt)));
    engine.check(context - 24, &GREEDY).expect("it just fits");
    assert!(matches!(
        engine.check(context - 23, &GREEDY),
        Err(Error::Context { max_tokens: 24, limit, .. }) if limit == context
    ));
    for (what, bad) in [
        ("temperature", Sampling { temperature_milli: 2001, ..GREEDY }),
        ("top_p", Sampling { top_p_milli: 0, ..GREEDY }),
        ("top_p", Sampling { top_p_milli: 1001, ..GREEDY }),
        ("max_tokens", Sampling { max_tokens: 0, ..GREEDY }),
    ] {
        let Err(Error::Sampling { what: named, .. }) = engine.check(1, &bad) else {
            panic!("{bad:?} was accepted")
        };
        assert!(named.starts_with(what), "{named}");
    }
    assert!(matches!(engine.check(1, &Sampling { max_tokens: most, ..GREEDY }), Err(Error::Context { .. })));
}

#[test]
fn an_adapter_is_kept_under_the_hash_of_what_it_holds() {
    let engine = engine(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let saved = adapter(&engine, 2);
    let shape = engine.model().config();
    save_peft(folder.path(), shape, &saved, "tiny").expect("the adapter is written");
    let hash = B256::repeat_byte(2);
    let wrong = engine.adapters().load(folder.path(), shape, hash, |_| B256::repeat_byte(3));
    assert!(matches!(wrong, Err(Error::AdapterHash { .. })));
    assert!(engine.adapters().get(hash).is_none());
    let loaded = engine.adapters().load(folder.path(), shape, hash, |_| hash).expect("it is the right one");
    assert_eq!((loaded.config(), loaded.theta()), (saved.config(), saved.theta()));
    let again = engine.adapters().load(folder.path(), shape, hash, |_| panic!("it is in memory"));
    assert!(Arc::ptr_eq(&again.expect("it is loaded"), &loaded));
    assert!(engine.adapters().unload(hash));
    assert!(engine.adapters().get(hash).is_none());
    assert!(!engine.adapters().unload(hash));
}

#[tokio::test]
async fn turns_are_taken_in_order_and_the_queue_is_bounded() {
    let queue = Queue::new(2);
    let running = queue.join().expect("the first has a place").turn().await;
    let (second, third) = (queue.join().expect("one waits"), queue.join().expect("two wait"));
    assert!(matches!(queue.join(), Err(Error::Busy { waiting: 2, retry_after_s: 1.. })));
    let order = Arc::new(std::sync::Mutex::new(vec![]));
    let wait = |place: crate::Place, name: u32| {
        let order = order.clone();
        async move {
            let _turn = place.turn().await;
            order.lock().expect("nobody panicked").push(name);
        }
    };
    tokio::join!(wait(second, 2), wait(third, 3), async { drop(running) });
    assert_eq!(*order.lock().expect("nobody panicked"), [2, 3]);
    assert_eq!(queue.present(), 0);
    drop(queue.join().expect("there is a place again"));
    assert_eq!(queue.present(), 0);
}

proptest! {
    #[test]
    fn text_in_pieces_is_the_text_of_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..60), cut in 1usize..5) {
        let mut stream = TextStream::default();
        let mut text: String = bytes.chunks(cut).map(|piece| stream.push(piece)).collect();
        text.push_str(&stream.finish());
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes).into_owned());
    }

    #[test]
    fn characters_are_handed_out_whole(text in "\\PC{0,20}") {
        let mut stream = TextStream::default();
        let mut pieces = String::new();
        for byte in text.as_bytes() {
            let piece = stream.push(std::slice::from_ref(byte));
            prop_assert!(!piece.contains(char::REPLACEMENT_CHARACTER) || text.contains(char::REPLACEMENT_CHARACTER));
            pieces.push_str(&piece);
        }
        prop_assert_eq!(pieces, text);
    }
}
