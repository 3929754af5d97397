use super::{Size, area, data, measure};
use crate::report::Report;

#[test]
fn the_area_is_one_where_all_changed_lie_below_and_a_half_where_nothing_is_known() {
    let changed = [true, false, true, false, false];
    assert_eq!(area(&[-2.0, 1.0, -1.0, 2.0, 0.5], &changed), 1.0);
    assert_eq!(area(&[3.0, 1.0, 4.0, 2.0, 0.5], &changed), 0.0);
    assert_eq!(area(&[0.0; 5], &changed), 0.5);
}

#[test]
fn exact_influence_ranks_refitting_and_beats_what_it_is_compared_with() {
    let mut report = Report::default();
    measure(&data::made_up().unwrap(), &Size::new(true), None, &mut report).unwrap();
    let of = |name: &str| report.number(name).unwrap();
    assert!(of("lds_1pct_exact") > 0.97);
    assert!(of("lds_5pct_exact") > 0.96);
    assert!(of("loo_pearson_exact") > 0.98);
    assert!(of("lds_5pct_exact") > of("lds_5pct_fisher").max(of("lds_5pct_graddot")));
    assert!(of("lds_5pct_random").abs() < 0.3);
    assert!(of("qld_exact") > 0.0);
    assert!(of("mislabelled_auc_exact") > 0.7);
}
