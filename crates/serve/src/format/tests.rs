use std::collections::BTreeSet;

use openledger_types::receipt::{FinishReason, ResponseFormat, Sampling};
use serde::Deserialize;

use super::MAX_SCHEMA_BYTES;
use crate::tests::{GREEDY, WARM, engine, prompt, whole};
use crate::{Error, FirstDifference};

const FORM: &str = r##"{
    "type": "object",
    "properties": {
        "name": { "enum": ["ant", "bee", "wasp"] },
        "count": { "type": "integer", "minimum": 0, "maximum": 99 },
        "flags": { "type": "array", "items": { "$ref": "#/$defs/flag" }, "minItems": 1, "maxItems": 3 }
    },
    "required": ["name", "count", "flags"],
    "additionalProperties": false,
    "$defs": { "flag": { "type": "boolean" } }
}"##;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: String,
    count: u8,
    flags: Vec<bool>,
}

fn in_schema(schema: &str, sampling: Sampling) -> Sampling {
    Sampling {
        response_format: ResponseFormat::JsonSchema { schema: schema.into() },
        max_tokens: 200,
        ..sampling
    }
}

fn hot(seed: u64) -> Sampling {
    Sampling { temperature_milli: 2000, top_p_milli: 1000, seed, ..WARM }
}

#[test]
fn every_answer_is_of_its_schema_and_verifies() {
    let engine = engine(1);
    let mut names = BTreeSet::new();
    for seed in 0..12 {
        let sampling = in_schema(FORM, hot(seed));
        let answer = whole(&engine, None, &sampling);
        assert_eq!(answer.finish_reason, FinishReason::Stop, "{}", answer.text);
        let form: Form = serde_json::from_str(&answer.text).expect(&answer.text);
        assert!(["ant", "bee", "wasp"].contains(&form.name.as_str()), "{}", answer.text);
        assert!(form.count < 100 && (1..=3).contains(&form.flags.len()), "{}", answer.text);
        names.insert(form.name);
        let verdict = engine.verify_generation(None, &prompt(&engine), &sampling, &answer.tokens);
        assert_eq!(verdict.expect("it re-executes"), None);
    }
    assert!(names.len() > 1, "the model chooses where the schema leaves a choice");
}

#[test]
fn an_object_is_json_as_far_as_it_goes() {
    let engine = engine(1);
    let sampling = Sampling { response_format: ResponseFormat::JsonObject, max_tokens: 40, ..hot(1) };
    let answer = whole(&engine, None, &sampling);
    assert!(answer.text.starts_with('{'), "{}", answer.text);
    match answer.finish_reason {
        FinishReason::Stop => {
            let value: serde_json::Value = serde_json::from_str(&answer.text).expect(&answer.text);
            assert!(value.is_object(), "{value}");
        }
        FinishReason::Length => {
            let error = serde_json::from_str::<serde_json::Value>(&answer.text).expect_err("it was cut");
            assert!(error.is_eof(), "cut short, and right until there: {error} in {}", answer.text);
        }
    }
}

#[test]
fn an_answer_outside_its_format_is_found() {
    let engine = engine(1);
    let sampling = in_schema(FORM, GREEDY);
    let answer = whole(&engine, None, &sampling).tokens;
    let verify = |sampling: &Sampling, tokens: &[u32]| -> Option<FirstDifference> {
        engine.verify_generation(None, &prompt(&engine), sampling, tokens).expect("it re-executes")
    };
    assert_eq!(verify(&sampling, &answer), None);
    for position in [0, 1, answer.len() / 2, answer.len() - 1] {
        let mut changed = answer.clone();
        changed[position] = (changed[position] + 1) % u32::try_from(engine.tokenizer().vocab_size()).unwrap();
        let first = verify(&sampling, &changed).expect("another token");
        assert_eq!((first.position, first.expected), (position, Some(answer[position])));
    }
    let short = verify(&sampling, &answer[..answer.len() - 1]).expect("it does not end there");
    assert_eq!((short.position, short.got), (answer.len() - 1, None));
    let free = Sampling { response_format: ResponseFormat::Text, ..sampling.clone() };
    assert!(verify(&free, &answer).is_some(), "the model alone would not say this");
    assert!(verify(&sampling, &whole(&engine, None, &free).tokens).is_some());
}

#[test]
fn properties_come_in_the_order_of_the_schema() {
    let engine = engine(1);
    let schema = r#"{"type":"object","properties":{"z":{"const":1},"a":{"const":2}},"required":["a","z"],"additionalProperties":false}"#;
    assert_eq!(whole(&engine, None, &in_schema(schema, GREEDY)).text, r#"{"z": 1, "a": 2}"#);
}

#[test]
fn schemas_that_cannot_be_kept_are_refused_with_the_reason() {
    let engine = engine(1);
    let long = format!(r#"{{"description":"{}"}}"#, "a".repeat(MAX_SCHEMA_BYTES));
    let deep = format!("{}1{}", r#"{"items":"#.repeat(200), "}".repeat(200));
    let wide = r#"{"type":"string","pattern":"^(([a-z]{1,900}){1,900}){1,900}$"}"#;
    for (schema, named) in [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        (r#"{"x-guidance":{}}"#, "x-guidance"),
        (&long, "bytes"),
        (&deep, "recursion"),
        (r#"{"type":"number","minimum":2,"maximum":1}"#, "Unsatisfiable"),
        (r#"{"$ref":"https://example.org/schema"}"#, "ref"),
        (r#"{"type":"object","propertyNames":{"pattern":"^a"}}"#, "propertyNames"),
        (wide, "too"),
    ] {
        let refused = engine.generate(None, &prompt(&engine), &in_schema(schema, GREEDY), |_| {});
        let Err(Error::ResponseFormat { problem }) = refused else {
            panic!("{schema:.80} was accepted: {refused:?}")
        };
        assert!(problem.contains(named), "{schema:.80}: {problem}");
        assert!(problem.len() < 400, "{problem}");
    }
}
