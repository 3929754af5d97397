use std::sync::Arc;

use openledger_model::{Message, Model, Pages, Pool, Role};
use proptest::prelude::*;

use super::*;

fn ranked(retriever: &Retriever, question: &str, count: usize) -> Vec<usize> {
    let hits = retriever.search(&Pool::new(1).unwrap(), question, count).unwrap();
    hits.iter().map(|hit| hit.passage).collect()
}

#[test]
fn the_best_passage_of_each_cluster_comes_first_by_rank() {
    let texts =
        ["a parser of numbers", "a lexer", "parser parser of numbers", "the parser of dates", "colours"];
    let retriever = Retriever::new(&Pool::new(1).unwrap(), None, &texts, vec![7, 1, 7, 2, 3]).unwrap();
    let found = ranked(&retriever, "Parser of numbers?", 4);
    // Two and nought are copies of each other; nothing is found for the rest.
    assert_eq!(found.len(), 2, "{found:?}");
    assert!([0, 2].contains(&found[0]) && found[1] == 3, "{found:?}");
    assert_eq!(ranked(&retriever, "parser of numbers", 1), found[..1]);
    assert_eq!(ranked(&retriever, "zebra", 4), [0; 0]);
    let refused = Retriever::new(&Pool::new(1).unwrap(), None, &texts, vec![1]).unwrap_err();
    assert_eq!(refused.to_string(), "clusters: got 1, expected 5");
}

#[test]
fn a_fused_score_is_the_sum_of_reciprocal_ranks() {
    let texts = ["rust rust", "rust", "go"];
    let retriever = Retriever::new(&Pool::new(1).unwrap(), None, &texts, vec![0, 1, 2]).unwrap();
    let hits = retriever.search(&Pool::new(1).unwrap(), "rust", 3).unwrap();
    let expected = |passage, rank: u32| Hit {
        passage,
        score: 1_000_000_000_000 / (60 + u64::from(rank)),
        lexical_rank: Some(rank),
        semantic_rank: None,
    };
    assert_eq!(hits, [expected(0, 1), expected(1, 2)]);
}

/// Shapley's value as it is defined: the mean over all orders.
fn over_all_orders(values: &[f64]) -> Vec<f64> {
    fn walk(values: &[f64], set: usize, order: &mut Vec<usize>, sums: &mut [f64], count: &mut f64) {
        let players = sums.len();
        if order.len() == players {
            let mut set = 0;
            for player in order.iter() {
                sums[*player] += values[set | 1 << player] - values[set];
                set |= 1 << player;
            }
            *count += 1.0;
            return;
        }
        for player in 0..players {
            if set >> player & 1 == 0 {
                order.push(player);
                walk(values, set | 1 << player, order, sums, count);
                order.pop();
            }
        }
    }
    let players = values.len().ilog2() as usize;
    let (mut sums, mut count) = (vec![0.0; players], 0.0);
    walk(values, 0, &mut Vec::new(), &mut sums, &mut count);
    sums.iter().map(|sum| sum / count).collect()
}

fn games() -> impl Strategy<Value = Vec<f64>> {
    (1usize..=5).prop_flat_map(|players| prop::collection::vec(-10.0..10.0f64, 1 << players))
}

proptest! {
    #[test]
    fn shapleys_value_is_the_mean_over_all_orders_and_divides_everything(values in games()) {
        let got = shapley::exact(&values).unwrap();
        for (got, expected) in got.iter().zip(over_all_orders(&values)) {
            prop_assert!((got - expected).abs() < 1e-9, "{got} and {expected}");
        }
        let all = values[values.len() - 1] - values[0];
        prop_assert!((got.iter().sum::<f64>() - all).abs() < 1e-9);
    }

    #[test]
    fn drawn_orders_divide_everything_and_come_near(values in games(), seed in any::<[u8; 32]>()) {
        let players = values.len().ilog2() as usize;
        let value = |set: u64| Ok::<_, Error>(values[set as usize]);
        let drawn = shapley::sampled(players, 200, seed, value).unwrap();
        let all = values[values.len() - 1] - values[0];
        prop_assert!((drawn.values.iter().sum::<f64>() - all).abs() < 1e-9);
        let exact = shapley::exact(&values).unwrap();
        for ((got, error), expected) in drawn.values.iter().zip(&drawn.errors).zip(exact) {
            // Six standard errors, and what rounding leaves where the draws never differ.
            prop_assert!((got - expected).abs() <= 6.0 * error + 1e-9, "{got} ± {error}, exactly {expected}");
        }
    }
}

#[test]
fn games_that_are_none_are_refused() {
    assert_eq!(shapley::exact(&[0.0; 3]).unwrap_err().to_string(), "values of coalitions: got 3, expected 2");
    assert_eq!(shapley::exact(&[0.0]).unwrap_err().to_string(), "players: got 0, accepted is 1 to 16");
    let refused = shapley::sampled(65, 2, [0; 32], |_| Ok::<_, Error>(0.0)).unwrap_err();
    assert_eq!(refused.to_string(), "players: got 65, accepted is 1 to 64");
}

/// `log p` of the answer computed from its first token, apart from everything else.
fn apart(model: &Arc<Model>, pages: &Pages, prompt: &[u32], answer: &[u32]) -> f64 {
    let pool = Pool::new(1).unwrap();
    let mut session = openledger_model::Session::new(model.clone(), None, pool, pages.clone()).unwrap();
    let mut logits = session.feed(prompt).unwrap();
    let mut sum = 0.0;
    for (i, token) in answer.iter().enumerate() {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let partition: f64 = logits.iter().map(|x| f64::from(x - largest).exp()).sum();
        sum += f64::from(logits[*token as usize] - largest) - partition.ln();
        if i + 1 < answer.len() {
            logits = session.feed(&[*token]).unwrap();
        }
    }
    sum
}

#[test]
fn what_sources_did_is_divided_over_subsets_that_share_their_beginnings() {
    let (model, tokenizer) = Model::tiny(3);
    let model = Arc::new(model);
    let pages = Pages::new(model.config(), 64 << 20).unwrap();
    let sources = ["crates have names", "versions 12", "users"];
    let conversation = [Message::new(Role::User, "What have crates?")];
    let answer = tokenizer.answer("names and versions").unwrap();
    let context = Context::new(&tokenizer, &sources, &conversation).unwrap();
    let given = |threads| {
        credit(&model, None, &Pool::new(threads).unwrap(), &pages, (&context, &answer), [1; 32]).unwrap()
    };
    let credited = given(1);
    assert_eq!(credited, given(3), "the number of threads changes nothing");
    assert_eq!(pages.used(), 0, "every page is given back");

    let values: Vec<f64> = (0..8usize)
        .map(|subset| {
            let mut messages = Vec::new();
            for (i, source) in sources.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1) {
                messages.push(Message::new(Role::System, format!("[{}] {source}", i + 1)));
            }
            messages.extend(conversation.clone());
            // The template's own system message is not in a context, sources or not.
            let mut prompt: Vec<u32> =
                messages.iter().flat_map(|m| tokenizer.turn(m.role, &m.content).unwrap()).collect();
            prompt.extend(tokenizer.turn_of_assistant().unwrap());
            if subset == 7 {
                assert_eq!(prompt, context.prompt());
                assert_eq!(prompt, tokenizer.chat(&messages).unwrap());
            }
            apart(&model, &pages, &prompt, &answer)
        })
        .collect();
    for (got, expected) in credited.nats.iter().zip(over_all_orders(&values)) {
        assert!((got - expected).abs() < 1e-4, "{got} and {expected}");
    }
    assert!((credited.with_all - values[7]).abs() < 1e-4 && (credited.with_none - values[0]).abs() < 1e-4);
    assert!(credited.nats.iter().any(|nats| nats.abs() > 1e-3), "sources change something: {credited:?}");
    assert_eq!((credited.subsets, credited.errors.len()), (8, 0));
    assert!(credited.tokens_computed < credited.tokens_apart);
    assert_eq!(credited.tokens_computed, context.tokens_to_credit(answer.len()));
    let longest = context.longest_answer(5_000);
    assert!(context.tokens_to_credit(longest) <= 5_000 && context.tokens_to_credit(longest + 1) > 5_000);
    assert_eq!(context.longest_answer(7), 0);
}

#[test]
fn many_sources_are_credited_from_drawn_orders_that_follow_from_the_seed() {
    let (model, tokenizer) = Model::tiny(3);
    let model = Arc::new(model);
    let pages = Pages::new(model.config(), 64 << 20).unwrap();
    let sources = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let conversation = [Message::new(Role::User, "Count.")];
    let answer = tokenizer.answer("one two").unwrap();
    let context = Context::new(&tokenizer, &sources, &conversation).unwrap();
    let pool = Pool::new(2).unwrap();
    let credited = credit(&model, None, &pool, &pages, (&context, &answer), [1; 32]).unwrap();
    assert_eq!(credited, credit(&model, None, &pool, &pages, (&context, &answer), [1; 32]).unwrap());
    assert_ne!(
        credited.nats,
        credit(&model, None, &pool, &pages, (&context, &answer), [2; 32]).unwrap().nats
    );
    let whole = credited.with_all - credited.with_none;
    assert!((credited.nats.iter().sum::<f64>() - whole).abs() < 1e-9);
    assert_eq!(credited.errors.len(), 9);
    assert!(credited.subsets < 1 << 9);
}

#[test]
fn a_context_has_sources_and_an_answer() {
    let (model, tokenizer) = Model::tiny(3);
    let none = Context::new(&tokenizer, &[], &[]).unwrap_err();
    assert_eq!(none.to_string(), "sources: got 0, accepted is 1 to 32");
    let pages = Pages::new(model.config(), 64 << 20).unwrap();
    let context = Context::new(&tokenizer, &["a"], &[]).unwrap();
    let pool = Pool::new(1).unwrap();
    let silent = credit(&Arc::new(model), None, &pool, &pages, (&context, &[]), [0; 32]).unwrap_err();
    assert_eq!(silent.to_string(), "tokens of the answer, at least: got 0, expected 1");
}

#[test]
fn a_passage_that_is_left_out_gives_its_place_to_the_next() {
    let texts: Vec<String> = (0..150).map(|n| format!("parser {}", "of ".repeat(n))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let pool = Pool::new(1).unwrap();
    let retriever = Retriever::new(&pool, None, &texts, (0..150).collect()).unwrap();
    let among = |passage: usize| passage >= 120;
    let found: Vec<usize> =
        retriever.search_among(&pool, "parser", 2, among).unwrap().iter().map(|hit| hit.passage).collect();
    assert_eq!(found, [120, 121], "however many stand before them");
}
