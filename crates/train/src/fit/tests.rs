use std::{fs, sync::Arc};

use alloy_primitives::{Address, B256, U256};
use openledger_model::{LoraConfig, Model, Pool, Target};

use super::*;
use crate::{
    DatanetVersion, HeldOut, Optimiser, Recipe, Template, TrainManifest, TrainingRecord, TrainingSet,
    Trajectory, Transcript, adapter_hash, sample,
};

const RECORDS: usize = 7;

fn recipe() -> Recipe {
    Recipe {
        template: Template::Describe,
        lora: LoraConfig {
            rank: 2,
            alpha: 4.0,
            first_layer: 2,
            targets: vec![Target::Q, Target::V, Target::Down],
        },
        optimiser: Optimiser {
            lr_ppb: 5_000_000,
            beta1_ppm: 900_000,
            beta2_ppm: 990_000,
            eps_root_atto: 1_000_000_000_000,
            warmup_steps: 2,
            floor_ppm: 100_000,
            weight_decay_ppm: 0,
        },
        steps: 6,
        records_per_step: 2,
        max_tokens: 160,
        dropout_ppm: 0,
        held_out_ppm: 0,
    }
}

fn set() -> TrainingSet {
    let words = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove"];
    let record = |i: usize| TrainingRecord {
        record: B256::repeat_byte(i as u8),
        cluster: i as u32,
        contributor: Address::repeat_byte(i as u8),
        name: words[i].into(),
        text: format!("{0} speaks of {0} and {1}.", words[i], words[(i + 1) % RECORDS]),
    };
    TrainingSet::new((0..RECORDS).map(record).collect()).unwrap()
}

fn run(threads: usize, recipe: Recipe) -> Run {
    let (model, tokenizer) = Model::tiny(1);
    let datanet = DatanetVersion { datanet: U256::ONE, version: 1, manifest_hash: B256::repeat_byte(5) };
    let manifest = TrainManifest::new(B256::ZERO, vec![datanet], recipe).unwrap();
    let seed = crate::training_seed(manifest.hash(), B256::repeat_byte(9));
    let pool = Pool::new(threads).unwrap();
    Run::prepare(Arc::new(model), &tokenizer, pool, &manifest, seed, &set(), &mut |_| ()).unwrap()
}

fn quiet(run: &Run, options: Options<'_>) -> Trained {
    train(run, options, &mut |_| ()).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn training_gives_the_stated_bytes_for_any_number_of_threads() {
    for threads in [1, 2, 3] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("transcript");
        let run = run(threads, recipe());
        let trained = quiet(&run, Options { transcript: Some(&path), ..Options::default() });
        assert_eq!(
            adapter_hash(run.lora(), &trained.state.theta).to_string(),
            "0x4bf41c4c13802db2b68f25be2204808b40ac681f3bbda670eeaf0e0e918d2a45",
            "{threads} threads"
        );
        assert_eq!(
            trained.transcript.unwrap().to_string(),
            "0x69e6c4e1d0fd20857ed287982a32e397b40c0b29e62c87268fbf56d73e45f396",
            "{threads} threads"
        );
    }
}

#[test]
fn training_lowers_the_loss_of_what_it_saw() {
    let run = run(2, Recipe { steps: 30, ..recipe() });
    let trained = quiet(&run, Options::default());
    let (model, tokenizer) = (run.model(), Model::tiny(1).1);
    let question = |r: &TrainingRecord| run.manifest().recipe.template.question(&r.name);
    let samples =
        set().records().iter().map(|r| sample(&tokenizer, &question(r), &r.text, 160).unwrap()).collect();
    let seen = HeldOut::new(Arc::clone(model), run.pool().clone(), 2, samples).unwrap();
    let lora = openledger_model::Lora { config: run.lora(), theta: &trained.state.theta };
    let (before, after) = (seen.mean_loss(None).unwrap(), seen.mean_loss(Some(lora)).unwrap());
    assert!(after < before - 0.1, "{before} nats a token before, {after} after");
}

#[test]
fn a_run_killed_at_any_step_goes_on_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("transcript");
    let run = run(2, recipe());
    let options = Options { transcript: Some(&path), keep_gradients: true, ..Options::default() };
    let whole = quiet(&run, options);
    let bytes = fs::read(&path).unwrap();
    let step = (bytes.len() - 168) / run.steps();
    for cut in [0, 100, 168, 168 + step, 168 + 2 * step + 50, 168 + 5 * step + step - 1, bytes.len()] {
        fs::write(&path, &bytes[..cut]).unwrap();
        assert_eq!(quiet(&run, options), whole, "cut at {cut}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "cut at {cut}");
    }
}

#[test]
fn a_trajectory_walks_in_both_directions_over_the_states_of_training() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("transcript");
    let run = run(2, recipe());
    let trained = quiet(&run, Options { transcript: Some(&path), ..Options::default() });
    let mut trajectory = Trajectory::new(&run, Transcript::open(&path).unwrap(), None).unwrap();
    assert_eq!(trajectory.last(), &trained.state);
    let mut state = State::new(run.initial());
    let mut states = Vec::new();
    for t in 0..run.steps() {
        states.push(state.clone());
        let moment = trajectory.moment(t).unwrap();
        assert_eq!(moment.before, state);
        assert_eq!(moment.step.loss, trained.losses[t]);
        state.advance(&run.coefficients(t), &moment.step.gradient);
    }
    for t in (0..run.steps()).rev() {
        assert_eq!(trajectory.moment(t).unwrap().before, states[t]);
    }
}

#[test]
fn a_record_of_weight_zero_is_left_out_but_its_tokens_still_count() {
    let run = run(2, recipe());
    let mut weights = vec![1.0; RECORDS];
    weights[run.batch(0)[1] as usize] = 0.0;
    let without = quiet(&run, Options { weights: Some(&weights), ..Options::default() });
    let first = run.batch(0)[0];
    let alone = run.gradients(&run.initial(), &[first]).unwrap().remove(0);
    let expected = alone.loss * f64::from(run.mean_factor(0));
    assert_eq!(without.losses[0], expected);
    assert_ne!(bits(&without.state.theta), bits(&quiet(&run, Options::default()).state.theta));
    let ones = quiet(&run, Options { weights: Some(&[1.0; RECORDS]), ..Options::default() });
    assert_eq!(ones, quiet(&run, Options::default()));
}

#[test]
fn gradients_are_kept_for_what_was_taken_and_only_that() {
    let run = run(2, Recipe { steps: 2, ..recipe() });
    let trained = quiet(&run, Options { keep_gradients: true, ..Options::default() });
    for (record, visit) in run.last_visits().iter().enumerate() {
        assert_eq!(trained.gradients[record].is_some(), visit.is_some(), "record {record}");
        assert_eq!(run.record(record).is_some(), visit.is_some(), "record {record}");
    }
}

#[test]
fn what_is_kept_adds_up_to_the_way_that_training_went() {
    let mut recipe = recipe();
    // An epsilon far above the squared gradients keeps the root nearly constant, as the first order assumes: the largest that
    // is accepted leaves the root within about a thousandth of its first value.
    recipe.optimiser.eps_root_atto = 1_000_000_000_000_000_000;
    let run = run(2, recipe);
    let trained = quiet(&run, Options { keep_gradients: true, ..Options::default() });
    let (mut off, mut way) = (0.0, 0.0);
    for (j, (end, start)) in trained.state.theta.iter().zip(run.initial()).enumerate() {
        let pulled: f32 = trained.gradients.iter().flatten().map(|g| g[j]).sum();
        off += f64::from(end - start + pulled).powi(2);
        way += f64::from(end - start).powi(2);
    }
    assert!((off / way).sqrt() < 2e-3, "{off} of {way}");
}

#[test]
fn a_batch_larger_than_what_is_held_at_once_adds_up_to_the_same_bits() {
    let run = run(2, Recipe { steps: 2, records_per_step: AT_ONCE as u32 + 5, ..recipe() });
    let trained = quiet(&run, Options::default());
    let mut state = State::new(run.initial());
    for at in 0..run.steps() {
        let grads = run.gradients(&state.theta, run.batch(at)).unwrap();
        let step = run.combine(at, grads.iter().map(|g| (1.0, g.loss, g.grad.as_slice())));
        state.advance(&run.coefficients(at), &step.gradient);
    }
    assert_eq!(trained.state, state);
}

#[test]
fn dropout_is_a_function_of_seed_step_and_record() {
    let dropping = Recipe { dropout_ppm: 200_000, ..recipe() };
    let (one, two) = (run(1, dropping.clone()), run(2, dropping));
    let trained = quiet(&one, Options::default());
    assert_eq!(bits(&trained.state.theta), bits(&quiet(&two, Options::default()).state.theta));
    assert_ne!(one.taken(0, one.batch(0)[0]).dropout, one.taken(1, one.batch(0)[0]).dropout);
    assert_ne!(one.taken(0, one.batch(0)[0]).dropout, one.taken(0, one.batch(0)[1]).dropout);
    let plain = quiet(&run(1, recipe()), Options::default());
    assert_ne!(bits(&trained.state.theta), bits(&plain.state.theta));
}

#[test]
fn held_out_records_are_never_taken_and_tell_what_was_learnt() {
    let run = run(2, Recipe { steps: 30, held_out_ppm: 300_000, ..recipe() });
    let held_out: Vec<u32> = (0..RECORDS as u32).filter(|&r| run.record(r as usize).is_none()).collect();
    assert_eq!(held_out.len(), 2, "three tenths of seven");
    assert!((0..run.steps()).all(|step| run.batch(step).iter().all(|r| !held_out.contains(r))));
    let trained = quiet(&run, Options::default());
    let lora = openledger_model::Lora { config: run.lora(), theta: &trained.state.theta };
    let metrics = run.held_out().unwrap().unwrap().compare(lora).unwrap();
    assert_eq!(metrics.records, 2);
    assert!(metrics.loss < metrics.base_loss, "{metrics:?}: records are of one kind");
}

#[test]
fn a_trial_stops_when_held_out_records_get_worse() {
    let recipe = Recipe { steps: 48, held_out_ppm: 300_000, ..recipe() };
    let trial_of = |recipe: Recipe, patience| trial(&run(2, recipe), patience, &mut |_| ());
    let whole = trial_of(recipe.clone(), 16).unwrap();
    assert_eq!(whole.losses.len(), 17);
    let least = whole.losses[1..].iter().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min);
    assert_eq!(whole.losses.iter().find(|(_, loss)| *loss == least).unwrap().0, whole.steps);
    // A learning rate with which nothing gets better after the first comparisons.
    let mut wild = recipe;
    wild.optimiser.lr_ppb = 1_000_000_000;
    let stopped = trial_of(wild.clone(), 2).unwrap();
    assert!(stopped.losses.len() < 17 && stopped.losses.last().unwrap().0 > stopped.steps, "{stopped:?}");
    assert!(
        trial_of(Recipe { held_out_ppm: 0, ..wild.clone() }, 2)
            .unwrap_err()
            .to_string()
            .contains("held-out records")
    );
    assert!(trial_of(wild, 0).unwrap_err().to_string().contains("patience"));
}

#[test]
fn weights_that_are_no_weights_are_refused() {
    let run = run(1, recipe());
    let refused = |weights: &[f32]| {
        train(&run, Options { weights: Some(weights), ..Options::default() }, &mut |_| ()).unwrap_err()
    };
    assert!(matches!(refused(&[1.0; 3]), Error::Length { got: 3, expected: RECORDS, .. }));
    for bad in [-1.0, f32::NAN, f32::INFINITY] {
        let mut weights = [1.0; RECORDS];
        weights[4] = bad;
        assert!(matches!(refused(&weights), Error::Weight { record: 4, .. }));
    }
}

#[test]
fn a_transcript_of_other_weights_is_not_continued() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("transcript");
    let run = run(1, Recipe { steps: 2, ..recipe() });
    quiet(&run, Options { transcript: Some(&path), ..Options::default() });
    let weights = [0.5; RECORDS];
    let options = Options { transcript: Some(&path), weights: Some(&weights), ..Options::default() };
    let error = train(&run, options, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("hash of weights"), "{error}");
}

#[test]
fn a_run_that_leaves_the_finite_numbers_stops_and_says_where() {
    let mut recipe = recipe();
    recipe.optimiser =
        Optimiser { lr_ppb: 1_000_000_000, eps_root_atto: 1, warmup_steps: 0, ..recipe.optimiser };
    recipe.lora.alpha = 1e28;
    let run = run(1, recipe);
    assert!(matches!(train(&run, Options::default(), &mut |_| ()), Err(Error::Diverged { .. })));
}

#[test]
fn a_question_that_fills_the_limit_is_refused_by_record() {
    let (model, tokenizer) = Model::tiny(1);
    let datanet = DatanetVersion { datanet: U256::ONE, version: 1, manifest_hash: B256::ZERO };
    let manifest =
        TrainManifest::new(B256::ZERO, vec![datanet], Recipe { max_tokens: 10, ..recipe() }).unwrap();
    let pool = Pool::new(1).unwrap();
    let refused = Run::prepare(Arc::new(model), &tokenizer, pool, &manifest, B256::ZERO, &set(), &mut |_| ())
        .unwrap_err();
    assert!(matches!(refused, Error::TooFewTokens { record: 0, limit: 10, .. }), "{refused}");
}
