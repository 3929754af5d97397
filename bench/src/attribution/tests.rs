use super::*;

fn measured(threads: usize) -> Report {
    let home = tempfile::tempdir().unwrap();
    let mut report = Report::default();
    let scenario = scenario::tiny(&Options::default()).unwrap();
    let lds = lds::Size { subsets: 8, drops: vec![5], queries: Some(12), new_seeds: 0 };
    let plan = Plan { tangents: true, lds, attackers: 1 };
    measure(&scenario, &Pool::new(threads).unwrap(), home.path(), plan, &mut report).unwrap();
    report
}

#[test]
fn the_metagradient_predicts_leaving_contributors_out_and_the_money_follows_it() {
    let report = measured(2);
    let number = |name: &str| report.number(name).unwrap();
    assert!(number("loco_spearman_replay") >= 0.9, "{}", number("loco_spearman_replay"));
    assert!(number("replay_vs_tangents_relative_difference") < 1e-4);
    assert!(number("lds_5pct_replay") >= 0.9, "{}", number("lds_5pct_replay"));
    assert!(number("lds_5pct_random").abs() < 0.4, "{}", number("lds_5pct_random"));
    // What is recognised as a copy gains nothing at all, and neither do further names.
    for attack in ["copy_own", "copy_other", "disguise", "noise_10", "reorder", "split"] {
        let gain = number(&format!("gain_{attack}"));
        assert!((gain - 1.0).abs() < 1e-9, "{attack}: {gain}");
    }
    assert!(number("gain_self_dealing") < 1.0);
    assert!(number("loco_spearman_random").abs() < 0.35);
    assert!(number("money_error_replay") < number("money_error_random"));
    // What training explains of unseen answers is there to be attributed at all.
    assert!(number("held_out_nats_adapter") < number("held_out_nats_base"));
}
