use serde_json::json;

use super::{Difference, first_difference};

#[test]
fn the_first_difference_is_named_with_its_path() {
    let check = |a: serde_json::Value, b: serde_json::Value, expected: Option<(&str, &str, &str)>| {
        let expected = expected.map(|(field, a, b)| Difference::new(field, a, b));
        assert_eq!(first_difference("", &a, &b), expected, "{a} against {b}");
    };
    check(json!({"a": [1, 2]}), json!({"a": [1, 2]}), None);
    check(json!({"a": [1, 2]}), json!({"a": [1, 3]}), Some(("a[1]", "2", "3")));
    check(json!({"a": [1, 2]}), json!({"a": [1]}), Some(("a.length", "2", "1")));
    check(json!({"a": {"b": "x"}}), json!({"a": {"b": "y"}}), Some(("a.b", "\"x\"", "\"y\"")));
    check(json!({"a": 1}), json!({"a": 1, "b": 2}), Some(("b", "nothing", "2")));
    check(json!({"a": 1, "b": 2}), json!({"a": 1}), Some(("b", "2", "null")));
}

#[test]
fn a_difference_within_a_document_keeps_its_path() {
    let difference = Difference::new("fee", 1, 2).within("answers[3]");
    assert_eq!(difference.to_string(), "answers[3].fee: expected 1, got 2");
}
