//! Losses, gradients and Hessian-vector products against PyTorch in double precision (`reference/make.py` made the file), and checkpoints as safetensors against
//! transformers (`reference/transformers_check.py`).

use std::sync::Arc;

use openledger_model::{Feed, Logits, Lora, Message, Model, Pages, Pool, Record, Session};
use serde_json::Value;

mod case;

/// Distance of two vectors relative to the length of the expected one.
fn distance(got: &[f32], expected: &Value) -> f64 {
    let expected: Vec<f64> =
        expected.as_array().expect("an array").iter().map(|x| x.as_f64().expect("numbers")).collect();
    assert_eq!(got.len(), expected.len());
    let square = |x: f64| x * x;
    let off: f64 = got.iter().zip(&expected).map(|(g, e)| square(f64::from(*g) - e)).sum();
    (off / expected.iter().map(|e| square(*e)).sum::<f64>()).sqrt()
}

#[test]
fn losses_gradients_and_tangents_agree_with_pytorch_in_double_precision() {
    let expected: Value = serde_json::from_str(include_str!("reference/expected.json")).unwrap();
    let (model, _) = Model::tiny(case::SEED);
    let case = case::Case::new(&model).unwrap();
    let pool = Pool::new(1).unwrap();
    let lora = Lora { config: &case.config, theta: &case.theta };
    for (sample, expected) in case.samples.iter().zip(expected.as_array().unwrap()) {
        let prefix = model.prefix(&pool, 1, &sample.tokens).unwrap();
        let record = Record::new(&prefix, sample);
        let dual = model.nll_grad_tangent(&pool, lora, &case.direction, record).unwrap();
        let number = |key: &str| expected[key].as_f64().unwrap();
        let base = model.nll(&pool, None, record).unwrap();
        let errors = [
            (base / number("base_loss") - 1.0).abs(),
            (dual.loss / number("loss") - 1.0).abs(),
            (dual.loss_dots[0] / number("loss_dot") - 1.0).abs(),
            distance(&dual.grad, &expected["grad"]),
            distance(&dual.grad_dots[0], &expected["grad_dot"]),
        ];
        // Single precision against double: a few hundred roundings of 6e-8.
        for (error, limit) in errors.into_iter().zip([1e-6, 1e-6, 5e-6, 5e-6, 5e-6]) {
            assert!(error < limit, "relative errors {errors:?}, the limit is {limit:e}");
        }
    }
}

#[test]
fn checkpoints_say_here_what_they_say_in_transformers() {
    let expected: Value = serde_json::from_str(include_str!("reference/transformers.json")).unwrap();
    let (model, tokenizer) = Model::tiny(case::SEED);
    let case = case::Case::new(&model).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lora = Lora { config: &case.config, theta: &case.theta };
    model.save_safetensors(&tokenizer, Some(lora), &dir.path().join("merged")).unwrap();
    model.save_safetensors(&tokenizer, None, &dir.path().join("base")).unwrap();
    let pool = Pool::new(1).unwrap();
    for which in ["base", "merged"] {
        let (read, words) = Model::load(&dir.path().join(which)).unwrap();
        for (sample, expected) in case.samples.iter().zip(expected[which].as_array().unwrap()) {
            let prefix = read.prefix(&pool, 0, &sample.tokens).unwrap();
            let got = read.nll(&pool, None, Record::new(&prefix, sample)).unwrap();
            let expected = expected.as_f64().unwrap();
            assert!((got / expected - 1.0).abs() < 1e-6, "{which}: {got}, transformers has {expected}");
        }
        for text in expected["texts"].as_array().unwrap() {
            let tokens = words.encode(text["text"].as_str().unwrap()).unwrap();
            assert_eq!(serde_json::json!(tokens), text["tokens"], "{}", text["text"]);
        }
        let chat: Vec<Message> = serde_json::from_value(expected["chat"]["messages"].clone()).unwrap();
        assert_eq!(serde_json::json!(words.chat(&chat).unwrap()), expected["chat"]["tokens"]);
    }
}

#[test]
fn sessions_compute_what_transformers_does_with_weights_and_inputs_of_eight_bits() {
    let expected: Value = serde_json::from_str(include_str!("reference/transformers.json")).unwrap();
    let (model, _) = Model::tiny(case::SEED);
    let model = Arc::new(model);
    let case = case::Case::new(&model).unwrap();
    let pool = Pool::new(1).unwrap();
    let pages = Pages::new(model.config(), 1 << 20).unwrap();
    for (sample, expected) in case.samples.iter().zip(expected["served"].as_array().unwrap()) {
        let mut session = Session::new(Arc::clone(&model), None, pool.clone(), pages.clone()).unwrap();
        let (tokens, from) = (&sample.tokens, sample.targets.start - 1);
        let known = &tokens[..sample.targets.end - 1];
        let mut feeds = [Feed { session: &mut session, tokens: known, logits: Logits::From(from) }];
        let got = Session::run(&mut feeds, |row| {
            let next = tokens[row.index + 1];
            -row.log_p(next)
        });
        let got = got.unwrap();
        let expected = expected.as_array().unwrap();
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            let expected = expected.as_f64().unwrap();
            assert!((got - expected).abs() < SERVED, "{got}, transformers has {expected}");
        }
    }
}

/// Nats of a token, between `f32` and `f64`; what eight bits change is up to 0.16 here.
const SERVED: f64 = 1e-5;
