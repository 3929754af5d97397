//! Losses, gradients and Hessian-vector products against PyTorch in double precision (`reference/make.py` made the file).

use openledger_model::{Lora, Model, Pool, Record};
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
        let record = Record { prefix: &prefix, sample };
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
