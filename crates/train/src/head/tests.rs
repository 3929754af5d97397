use super::{Curvature, Examples, HeadRecipe, fit};
use crate::Error;

const RECIPE: HeadRecipe = HeadRecipe { l2_ppb: 10_000_000 };
const CLASSES: usize = 4;
const WIDTH: usize = 7;

/// Points around one centre per class, a third of the features 0, one label in eleven wrong.
fn examples(count: usize) -> Examples {
    let mut state = 7_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let mut features = Vec::new();
    let mut labels = Vec::new();
    for row in 0..count {
        let class = row % CLASSES;
        features.extend((0..WIDTH).map(|f| match (row + f) % 3 {
            0 => 0.0,
            _ => next() * 1.5 + if f % CLASSES == class { 1.0 } else { 0.0 },
        }));
        labels.push(if row % 11 == 0 { (class + 1) % CLASSES } else { class } as u32);
    }
    Examples::new(WIDTH, CLASSES, &features, &labels).unwrap()
}

fn loss(examples: &Examples, head: &super::Head, row: usize) -> f64 {
    let mut features = vec![0.0_f32; WIDTH];
    examples.row(row).filter(|(c, _)| *c < WIDTH).for_each(|(c, x)| features[c] = x as f32);
    -head.log_probabilities(&features).unwrap()[examples.label(row) as usize]
}

#[test]
fn the_optimum_has_no_gradient_and_does_not_depend_on_the_start() {
    let examples = examples(60);
    let head = fit(&examples, RECIPE, None, None).unwrap();
    let n = examples.len() as f64;
    let mut gradient: Vec<f64> = head.theta.iter().map(|t| t * 0.01).collect();
    for row in 0..examples.len() {
        let of = examples.gradient(row, &head.theta);
        gradient.iter_mut().zip(of).for_each(|(g, x)| *g += x / n);
    }
    assert!(gradient.iter().all(|g| g.abs() < 1e-9), "{gradient:?}");
    let mut elsewhere = head.clone();
    elsewhere.theta.iter_mut().enumerate().for_each(|(i, t)| *t = (i % 5) as f64 - 2.0);
    let again = fit(&examples, RECIPE, None, Some(&elsewhere)).unwrap();
    let apart = again.theta.iter().zip(&head.theta).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
    assert!(apart < 1e-6, "{apart}");
}

#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    let examples = examples(12);
    let head = fit(&examples, RECIPE, None, None).unwrap();
    for row in [0, 5] {
        let gradient = examples.gradient(row, &head.theta);
        for at in [0, 3, WIDTH * CLASSES + 1] {
            let moved = |by: f64| {
                let mut head = head.clone();
                head.theta[at] += by;
                loss(&examples, &head, row)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - gradient[at]).abs() < 1e-8, "row {row}, {at}: {slope} and {}", gradient[at]);
        }
    }
}

#[test]
fn a_solution_in_the_hessian_is_one() {
    let examples = examples(60);
    let head = fit(&examples, RECIPE, None, None).unwrap();
    let curvature = Curvature::new(&examples, RECIPE, None, &head).unwrap();
    let b = examples.gradient(3, &head.theta);
    let back = curvature.product(&curvature.solve(&b).unwrap());
    let apart = back.iter().zip(&b).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
    assert!(apart < 1e-9, "{apart}");
}

#[test]
fn the_derivative_by_a_weight_is_what_refitting_does() {
    let examples = examples(60);
    let head = fit(&examples, RECIPE, None, None).unwrap();
    let curvature = Curvature::new(&examples, RECIPE, None, &head).unwrap();
    let query = 17;
    let solved = curvature.solve(&examples.gradient(query, &head.theta)).unwrap();
    let credit = examples.dots(&head.theta, &solved);
    for row in [0, 8, 17, 40] {
        let moved = |by: f64| {
            let mut weights = vec![1.0; examples.len()];
            weights[row] += by;
            -loss(&examples, &fit(&examples, RECIPE, Some(&weights), Some(&head)).unwrap(), query)
        };
        let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
        assert!(
            (slope - credit[row] / 60.0).abs() < 1e-6,
            "example {row}: {slope} and {}",
            credit[row] / 60.0
        );
    }
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let examples = examples(50);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fit(&examples, RECIPE, None, None)).unwrap()
    };
    let bits = |head: super::Head| head.theta.iter().map(|t| t.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(on(1)), bits(on(3)));
}

#[test]
fn an_example_without_weight_is_as_good_as_absent_but_for_the_denominator() {
    let all = examples(44);
    let mut weights = vec![1.0; 44];
    weights[43] = 0.0;
    let without = fit(&all, RECIPE, Some(&weights), None).unwrap();
    let other_recipe = HeadRecipe { l2_ppb: RECIPE.l2_ppb * 44 / 43 };
    let absent = fit(&examples(43), other_recipe, None, None).unwrap();
    let apart = without.theta.iter().zip(&absent.theta).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
    assert!(apart < 1e-5, "{apart}");
}

#[test]
fn what_cannot_be_fitted_is_refused_with_the_reason() {
    let refused = |width, classes, features: &[f32], labels: &[u32]| {
        Examples::new(width, classes, features, labels).unwrap_err().to_string()
    };
    assert_eq!(refused(2, 3, &[0.0; 4], &[0, 3]), "example 1 has label 3; labels are 0 to 2");
    assert_eq!(
        refused(2, 3, &[0.0, 1.0, f32::NAN, 0.0], &[0, 1]),
        "feature 0 of example 1 is NaN; features are finite numbers"
    );
    assert_eq!(refused(2, 3, &[0.0; 3], &[0, 1]), "features: got 3, expected 4");
    assert_eq!(refused(2, 1, &[0.0; 2], &[0]), "recipe: classes is 1, accepted is 2 to 4096");
    assert_eq!(refused(2, 2, &[], &[]), "0 training records, accepted is 1 to 4194304");
    let examples = examples(12);
    let zero = fit(&examples, HeadRecipe { l2_ppb: 0 }, None, None);
    assert!(matches!(zero, Err(Error::Recipe { got: 0, .. })));
    let weights = vec![-1.0; 12];
    assert!(matches!(fit(&examples, RECIPE, Some(&weights), None), Err(Error::Weight { record: 0, .. })));
}
