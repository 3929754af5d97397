use super::*;

#[test]
fn a_fact_stands_in_two_sources_and_in_no_other() {
    let mut random = SplitMix(3);
    for _ in 0..50 {
        let fact = facts::draw(&mut random, 4);
        assert_eq!(fact.sources.len(), 6);
        for (i, source) in fact.sources.iter().enumerate() {
            assert_eq!(source.contains(&fact.answer), fact.holds.contains(&i), "{source}");
        }
    }
}

#[test]
fn a_question_does_not_name_its_crate() {
    assert_eq!(passages::without("serde_json is a JSON file format", "serde-json"), "is a JSON file format");
    assert_eq!(passages::without("A\n  `tokio`-based pool of tasks", "tokio"), "A pool of tasks");
}
