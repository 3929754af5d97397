use super::*;

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a} is not {b}");
}

#[test]
fn ties_share_the_mean_of_their_ranks() {
    assert_eq!(ranks(&[10.0, 20.0, 10.0, 5.0]), [2.5, 4.0, 2.5, 1.0]);
}

#[test]
fn spearman_sees_order_only_and_pearson_sees_distance() {
    let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 100.0, 1000.0]);
    close(spearman(&a, &b), 1.0);
    assert!(pearson(&a, &b) < 0.9);
    close(pearson(&a, &[-2.0, -4.0, -6.0, -8.0]), -1.0);
    // By scipy.stats.spearmanr: ties on one side.
    close(spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 3.0, 2.0, 4.0]), 0.948_683_298_050_513_8);
}

#[test]
fn what_does_not_vary_correlates_with_nothing() {
    close(spearman(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), 0.0);
}

#[test]
fn money_error_is_the_part_that_goes_to_somebody_else() {
    close(total_variation(&positive_shares(&[3.0, 1.0, -5.0]), &positive_shares(&[1.0, 1.0, 0.0])), 0.25);
    assert_eq!(positive_shares(&[-1.0, -2.0]), [0.5, 0.5]);
}

#[test]
fn the_bootstrap_interval_has_about_the_width_of_the_normal_one() {
    let mut random = SplitMix(7);
    let values: Vec<f64> = (0..400).map(|_| random.signed()).collect();
    let interval = bootstrap(&values, 1);
    // Uniform in [-1, 1): standard deviation 0.577, of the mean of 400 0.0289; 95 % are ±0.0566.
    let half = (interval.high - interval.low) / 2.0;
    assert!((half - 0.0566).abs() < 0.006, "half width {half}");
    assert!(interval.low < interval.mean && interval.mean < interval.high);
    assert_eq!(bootstrap(&values, 1), interval);
}
