//! The metagradient against PyTorch, which differentiates through all optimiser steps in double precision
//! (`reference/make.py` made the file).

use openledger_attribution::influence::{Objective, ReplayOptions, answer_gradient, replay};
use openledger_model::Lora;
use openledger_train::{Options, Trajectory, Transcript, train};
use serde::Deserialize;

mod case;

#[derive(Deserialize)]
struct Expected {
    losses: Vec<f64>,
    query_log_p: f64,
    influence: Vec<f64>,
}

#[test]
fn influences_agree_with_pytorch_through_all_optimiser_steps() {
    let expected: Expected = serde_json::from_str(include_str!("reference/expected.json")).unwrap();
    let case = case::Case::new();
    let (run, folder) = (&case.run, tempfile::tempdir().unwrap());
    let path = folder.path().join("transcript");
    let options = Options { transcript: Some(&path), weights: None, keep_gradients: false };
    let trained = train(run, options, &mut |_| ()).unwrap();
    for (step, (got, expected)) in trained.losses.iter().zip(&expected.losses).enumerate() {
        assert!((got / expected - 1.0).abs() < 1e-5, "loss of step {step}: {got}, PyTorch has {expected}");
    }

    let (prompt, answer) = case.query.tokens.split_at(case.query.targets.start);
    let lora = Lora { config: run.lora(), theta: &trained.state.theta };
    let gradient = answer_gradient(run.model(), run.pool(), lora, prompt, answer).unwrap();
    assert!((gradient.log_p / expected.query_log_p - 1.0).abs() < 1e-5, "log p {}", gradient.log_p);

    let objective = Objective::single(&gradient.gradient);
    let mut trajectory = Trajectory::new(run, Transcript::open(&path).unwrap(), None).unwrap();
    let got = replay(&mut trajectory, &objective, ReplayOptions::default(), &mut |_, _| ()).unwrap();
    assert_eq!(got.len(), expected.influence.len());
    let scale = expected.influence.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    for (record, (got, expected)) in got.iter().zip(&expected.influence).enumerate() {
        // Single precision through seven steps against double, relative to the largest influence.
        assert!((got - expected).abs() < 1e-4 * scale, "record {record}: {got}, PyTorch has {expected}");
    }
}
