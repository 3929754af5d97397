//! What an answer is, alone.

use std::sync::Arc;

use openledger_model::{Adapter, LoraConfig, LoraLayout, Message, Model, Pool, Role, Target, init};
use openledger_types::receipt::{FinishReason, ResponseFormat, Sampling};
use proptest::prelude::*;

use crate::sampling::choose;
use crate::stop::StopText;
use crate::{Engine, Error, FirstDifference, Generation, Logprobs, Outcome, TextStream};

pub(crate) const GREEDY: Sampling = Sampling::greedy(24);
pub(crate) const WARM: Sampling = Sampling {
    temperature_milli: 900,
    top_p_milli: 950,
    seed: 7,
    max_tokens: 24,
    top_k: 0,
    min_p_milli: 0,
    presence_penalty_milli: 0,
    frequency_penalty_milli: 0,
    repetition_penalty_milli: 1000,
    stop: Vec::new(),
    response_format: ResponseFormat::Text,
};

pub(crate) fn engine(threads: usize) -> Engine {
    let (model, tokenizer) = Model::tiny(3);
    Engine::new(Arc::new(model), Arc::new(tokenizer), Pool::new(threads).expect("threads start"))
}

pub(crate) fn adapter(engine: &Engine, seed: u8) -> Adapter {
    adapter_of(engine, seed, 2, 1, &[Target::Q, Target::V])
}

pub(crate) fn adapter_of(
    engine: &Engine,
    seed: u8,
    rank: usize,
    first_layer: usize,
    targets: &[Target],
) -> Adapter {
    let config = LoraConfig { rank, alpha: 16.0, first_layer, targets: targets.to_vec() };
    let shape = engine.model().config();
    let layout = LoraLayout::new(shape, &config).expect("the adapter fits the tiny model");
    let mut theta = init(shape, &layout, [seed; 32]);
    // B starts at zero, where an adapter changes nothing; move every parameter.
    for (index, parameter) in theta.iter_mut().enumerate() {
        *parameter += ((index % 13) as f32 - 6.0) * 0.05;
    }
    Adapter::new(shape, config, theta).expect("the parameters fit the layout")
}

pub(crate) fn prompt(engine: &Engine) -> Vec<u32> {
    engine.tokenizer().chat(&[Message::new(Role::User, "What is a crate?")]).expect("a short text has tokens")
}

pub(crate) fn whole(engine: &Engine, adapter: Option<&Arc<Adapter>>, sampling: &Sampling) -> Generation {
    engine.generate(adapter, &prompt(engine), sampling, |_| {}).expect("the tiny model answers")
}

fn drawn(sampling: &Sampling, position: u64, logits: &[f32]) -> Result<u32, Error> {
    choose(sampling, position, logits, |_token| true)
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
        assert_eq!(drawn(&GREEDY, 0, logits).expect("finite logits"), token, "{logits:?}");
    }
}

#[test]
fn a_logit_that_is_no_number_is_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for sampling in [GREEDY, WARM] {
            assert!(matches!(drawn(&sampling, 5, &[0.0, bad]), Err(Error::NotFinite { position: 5 })));
        }
    }
}

#[test]
fn draws_are_the_same_everywhere() {
    let logits: Vec<f32> = (0..200u32).map(|i| ((i * 7919) % 101) as f32 * 0.05).collect();
    let tokens: Vec<u32> = (0..12).map(|at| drawn(&WARM, at, &logits).expect("finite logits")).collect();
    assert_eq!(tokens, [68, 197, 32, 64, 95, 123, 130, 145, 118, 76, 142, 172]);
}

#[test]
fn draws_follow_the_probabilities() {
    let logits = [0.0f32, (0.5f32).ln(), (0.25f32).ln(), -60.0];
    let mut counts = [0u32; 4];
    let sampling = Sampling { temperature_milli: 1000, top_p_milli: 1000, ..WARM };
    for at in 0..7000 {
        counts[drawn(&sampling, at, &logits).expect("finite logits") as usize] += 1;
    }
    for (count, expected) in counts.into_iter().zip([4000u32, 2000, 1000, 0]) {
        assert!(count.abs_diff(expected) < 160, "{counts:?}");
    }
    let nucleus = Sampling { top_p_milli: 570, ..sampling.clone() };
    assert!(
        (0..200).all(|at| drawn(&nucleus, at, &logits).expect("finite logits") == 0),
        "4/7 is above 0.57"
    );
    let wider = Sampling { top_p_milli: 572, ..sampling };
    assert!((0..200).any(|at| drawn(&wider, at, &logits).expect("finite logits") == 1), "4/7 is below 0.572");
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
fn the_hash_of_the_logits_is_that_of_the_model_that_ran_on_any_number_of_threads() {
    let (one, three) = (engine(1), engine(3));
    let adapter = Arc::new(adapter(&one, 1));
    let answer = whole(&one, Some(&adapter), &WARM);
    let logits = |engine: &Engine, adapter: Option<&Arc<Adapter>>, tokens: &[u32]| {
        engine.reexecute(adapter, &prompt(engine), &WARM, tokens).expect("it re-executes").logits
    };
    let tokens = &answer.tokens;
    assert_eq!(logits(&one, Some(&adapter), tokens), logits(&three, Some(&adapter), tokens));
    assert_ne!(logits(&one, Some(&adapter), tokens), logits(&one, None, tokens));
    assert_ne!(logits(&one, Some(&adapter), tokens), logits(&one, Some(&adapter), &tokens[..5]));
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
fn an_answer_cut_short_verifies_as_one_of_fewer_tokens() {
    let engine = engine(1);
    let answer = whole(&engine, None, &WARM);
    let shortened = Sampling { max_tokens: 5, ..WARM };
    let verdict = engine.verify_generation(None, &prompt(&engine), &shortened, &answer.tokens[..5]);
    assert_eq!(verdict.expect("it re-executes"), None);
    let outcome = Outcome::of(engine.tokenizer(), &shortened, &answer.tokens);
    assert_eq!((outcome.tokens, outcome.finish_reason, outcome.ended), (5, FinishReason::Length, true));
    assert_eq!(outcome.text, engine.tokenizer().decode(&answer.tokens[..5]));
}

#[test]
fn the_pieces_put_together_are_the_answer() {
    let engine = engine(1);
    let mut text = String::new();
    let mut tokens = vec![];
    let hot = Sampling { temperature_milli: 2000, max_tokens: 60, ..WARM };
    let answer = engine
        .generate(None, &prompt(&engine), &hot, |piece| {
            text.push_str(&piece.text);
            tokens.push(piece.token);
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
        ("min_p", Sampling { min_p_milli: 1001, ..GREEDY }),
        ("presence_penalty", Sampling { presence_penalty_milli: 2001, ..GREEDY }),
        ("frequency_penalty", Sampling { frequency_penalty_milli: -2001, ..GREEDY }),
        ("repetition_penalty", Sampling { repetition_penalty_milli: 99, ..GREEDY }),
    ] {
        let Err(Error::Sampling { what: named, .. }) = engine.check(1, &bad) else {
            panic!("{bad:?} was accepted")
        };
        assert!(named.starts_with(what), "{named}");
    }
    assert!(matches!(engine.check(1, &Sampling { max_tokens: most, ..GREEDY }), Err(Error::Context { .. })));
}

#[test]
fn top_k_and_min_p_leave_the_likeliest() {
    let logits = [0.0f32, (0.5f32).ln(), (0.25f32).ln(), (0.24f32).ln(), -60.0];
    let all = Sampling { temperature_milli: 1000, top_p_milli: 1000, ..WARM };
    let check = |sampling: Sampling, expected: &[u32]| {
        let mut seen: Vec<u32> =
            (0..400).map(|at| drawn(&sampling, at, &logits).expect("finite logits")).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, expected, "{sampling:?}");
    };
    check(all.clone(), &[0, 1, 2, 3]);
    check(Sampling { top_k: 1, ..all.clone() }, &[0]);
    check(Sampling { top_k: 3, ..all.clone() }, &[0, 1, 2]);
    check(Sampling { top_k: 9, ..all.clone() }, &[0, 1, 2, 3]);
    check(Sampling { min_p_milli: 245, ..all.clone() }, &[0, 1, 2]);
    check(Sampling { min_p_milli: 1000, ..all.clone() }, &[0]);
    // The nucleus is of what the others leave: 2/3 of the first two.
    check(Sampling { top_k: 2, top_p_milli: 666, ..all.clone() }, &[0]);
    check(Sampling { top_k: 2, top_p_milli: 668, ..all }, &[0, 1]);
}

#[test]
fn penalties_follow_their_formula_and_verify() {
    let engine = engine(1);
    let plain = whole(&engine, None, &GREEDY);
    let repeats =
        |tokens: &[u32]| tokens.len() - tokens.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert!(repeats(&plain.tokens) > 3, "the tiny model repeats itself: {:?}", plain.tokens);
    for sampling in [
        Sampling { presence_penalty_milli: 2000, ..GREEDY },
        Sampling { frequency_penalty_milli: 2000, ..GREEDY },
        Sampling { repetition_penalty_milli: 10_000, ..GREEDY },
        Sampling { repetition_penalty_milli: 1300, frequency_penalty_milli: 500, ..WARM },
    ] {
        let answer = whole(&engine, None, &sampling);
        assert_ne!(answer.tokens, plain.tokens, "{sampling:?}");
        let verdict = engine.verify_generation(None, &prompt(&engine), &sampling, &answer.tokens);
        assert_eq!(verdict.expect("it re-executes"), None, "{sampling:?}");
        let other = Sampling { seed: sampling.seed, ..GREEDY };
        let verdict = engine.verify_generation(None, &prompt(&engine), &other, &answer.tokens);
        assert!(verdict.expect("it re-executes").is_some(), "without the penalty it is another answer");
    }
    let sampling = Sampling {
        presence_penalty_milli: 500,
        frequency_penalty_milli: 250,
        repetition_penalty_milli: 2000,
        ..GREEDY
    };
    let mut seen = crate::sampling::Seen::new(&sampling, &[0]).expect("something is penalised");
    seen.push(1);
    seen.push(1);
    assert_eq!(*seen.penalise(&sampling, &[4.0, -1.0, 4.0]), [2.0, -3.0, 4.0]);
}

#[test]
fn a_stop_sequence_ends_the_answer_before_it() {
    let engine = engine(1);
    let hot = Sampling { temperature_milli: 2000, max_tokens: 60, ..WARM };
    let free = whole(&engine, None, &hot);
    let letters: Vec<char> = free.text.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let stop = letters.get(letters.len() / 2).expect("hot text has letters").to_string();
    let sampling = Sampling { stop: vec!["never there".into(), stop.clone()], ..hot };
    let answer = whole(&engine, None, &sampling);
    assert_eq!(answer.finish_reason, FinishReason::Stop);
    assert_eq!(Some(answer.text.as_str()), free.text.split(&stop).next());
    assert_eq!(
        answer.tokens,
        free.tokens[..answer.tokens.len()],
        "the stop changes the end and nothing else"
    );
    let verify = |tokens: &[u32]| {
        engine.verify_generation(None, &prompt(&engine), &sampling, tokens).expect("it re-executes")
    };
    assert_eq!(verify(&answer.tokens), None);
    let longer = &free.tokens[..answer.tokens.len() + 1];
    assert_eq!(
        verify(longer).map(|first| (first.position, first.expected)),
        Some((answer.tokens.len(), None))
    );
    let outcome = Outcome::of(engine.tokenizer(), &sampling, &answer.tokens);
    assert_eq!((outcome.text, outcome.finish_reason), (answer.text, FinishReason::Stop));
}

#[test]
fn log_probabilities_are_those_of_the_logits() {
    let logits = [0.0f32, (0.5f32).ln(), (0.5f32).ln(), (0.25f32).ln()];
    let made = Logprobs::new(&logits, 3, 3);
    let expected = [(0, 1.0 / 2.25), (1, 0.5 / 2.25), (2, 0.5 / 2.25)];
    assert!((made.drawn - (0.25f64 / 2.25).ln()).abs() < 1e-6, "{made:?}");
    assert_eq!(made.top.len(), 3);
    for ((id, logprob), (expected_id, probability)) in made.top.iter().zip(expected) {
        assert!(*id == expected_id && (logprob - f64::ln(probability)).abs() < 1e-6, "{made:?}");
    }
    assert_eq!(Logprobs::new(&logits, 0, 0).top, []);
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

    #[test]
    fn text_up_to_a_stop_is_the_whole_text_cut_there(
        text in "[ab]{0,24}", stops in prop::collection::vec("[ab]{1,4}", 1..3), cut in 1usize..4,
    ) {
        let mut stream = StopText::new(&stops);
        let mut pieces = String::new();
        let mut taken = 0;
        for piece in text.as_bytes().chunks(cut) {
            pieces.push_str(&stream.push(piece));
            taken += piece.len();
            prop_assert!(text.starts_with(&pieces));
            if stream.stopped() {
                break;
            }
        }
        let first = stops.iter().filter_map(|stop| text[..taken].find(stop.as_str())).min();
        prop_assert_eq!(stream.stopped(), first.is_some());
        pieces.push_str(&stream.finish());
        prop_assert_eq!(&pieces, &text[..first.unwrap_or(text.len())]);
    }

    #[test]
    fn an_order_looked_at_in_part_is_the_whole_order(
        weights in prop::collection::vec(0u64..50, 0..300), keep in 0usize..400,
    ) {
        let weights: Vec<(u64, u32)> = weights.into_iter().zip(0..).collect();
        let mut sorted = weights.clone();
        sorted.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        sorted.truncate(keep);
        let mut order = crate::sampling::Order::new(weights);
        order.truncate(keep);
        let looked: Vec<(u64, u32)> = (0..).map_while(|at| order.get(at)).collect();
        prop_assert_eq!(looked, sorted);
    }
}
