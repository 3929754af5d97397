use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use alloy_primitives::{Address, B256, U256};
use openledger_model::{Lora, LoraConfig, Model, Pool, Target, Tokenizer};
use openledger_train::{
    DatanetVersion, Optimiser, Options, Recipe, Run, State, Step, Template, TrainManifest, Trained,
    TrainingRecord, TrainingSet, Trajectory, Transcript, TranscriptWriter, train,
};

use super::*;

const RECORDS: usize = 12;
const WORDS: [&str; RECORDS] = [
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll",
    "larch",
];

fn recipe() -> Recipe {
    Recipe {
        template: Template::Describe,
        lora: LoraConfig {
            rank: 2,
            alpha: 4.0,
            first_layer: 2,
            targets: vec![Target::Q, Target::V, Target::Up, Target::Down],
        },
        optimiser: Optimiser {
            lr_ppb: 20_000_000,
            beta1_ppm: 900_000,
            beta2_ppm: 990_000,
            eps_root_atto: 10_000_000_000_000_000,
            warmup_steps: 3,
            floor_ppm: 100_000,
            weight_decay_ppm: 0,
        },
        steps: 12,
        records_per_step: 3,
        max_tokens: 160,
        dropout_ppm: 0,
        held_out_ppm: 0,
    }
}

/// With weight decay that takes an eighth of every parameter.
fn decaying() -> Recipe {
    let mut recipe = recipe();
    recipe.optimiser.weight_decay_ppm = 1_000_000;
    recipe
}

struct Fixture {
    run: Run,
    tokenizer: Tokenizer,
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new(threads: usize, recipe: Recipe) -> Self {
        let (model, tokenizer) = Model::tiny(1);
        let record = |i: usize| TrainingRecord {
            record: B256::repeat_byte(i as u8),
            cluster: i as u32,
            contributor: Address::repeat_byte(i as u8),
            name: WORDS[i].into(),
            text: format!("{0} speaks of {0} and {1}.", WORDS[i], WORDS[(i + 1) % RECORDS]),
        };
        let set = TrainingSet::new((0..RECORDS).map(record).collect()).unwrap();
        let datanet = DatanetVersion { datanet: U256::ONE, version: 1, manifest_hash: B256::repeat_byte(5) };
        let manifest = TrainManifest::new(B256::ZERO, vec![datanet], recipe).unwrap();
        let seed = openledger_train::training_seed(manifest.hash(), B256::repeat_byte(9));
        let pool = Pool::new(threads).unwrap();
        let run =
            Run::prepare(Arc::new(model), &tokenizer, pool, &manifest, seed, &set, &mut |_| ()).unwrap();
        Self { run, tokenizer, dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("transcript")
    }

    fn train(&self) -> Trained {
        let path = self.path();
        let options = Options { transcript: Some(&path), keep_gradients: true, ..Options::default() };
        train(&self.run, options, &mut |_| ()).unwrap()
    }

    fn retrain(&self, weights: &[f32]) -> Vec<f32> {
        let options = Options { weights: Some(weights), ..Options::default() };
        train(&self.run, options, &mut |_| ()).unwrap().state.theta
    }

    fn trajectory(&self) -> Trajectory<'_> {
        Trajectory::new(&self.run, Transcript::open(&self.path()).unwrap(), None).unwrap()
    }

    fn answer(&self, theta: &[f32], word: usize) -> AnswerGradient {
        let question = Template::Describe.question(WORDS[word]);
        let prompt = self
            .tokenizer
            .chat(&[openledger_model::Message::new(openledger_model::Role::User, question)])
            .unwrap();
        let text = format!("{0} and {0} speaks.", WORDS[word]);
        let answer = self.tokenizer.answer(&text).unwrap();
        let lora = Lora { config: self.run.lora(), theta };
        answer_gradient(self.run.model(), self.run.pool(), lora, &prompt, &answer).unwrap()
    }

    /// `F(θ)`: the log-probabilities of two answers, with weights.
    fn objective_at(&self, theta: &[f32]) -> f64 {
        self.answer(theta, 2).log_p + 0.5 * self.answer(theta, 7).log_p
    }

    fn objective(&self, theta: &[f32]) -> Objective {
        let mut objective = Objective::new(theta.len());
        objective.add(1_000_000_000, &self.answer(theta, 2).gradient).unwrap();
        objective.add(500_000_000, &self.answer(theta, 7).gradient).unwrap();
        objective
    }

    fn replay(&self, theta: &[f32]) -> Vec<f64> {
        replay(&mut self.trajectory(), &self.objective(theta), ReplayOptions::default(), &mut |_, _| ())
            .unwrap()
    }
}

fn error_of(got: &[f64], expected: &[f64]) -> f64 {
    let square = |x: f64| x * x;
    let off: f64 = got.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    (off / expected.iter().map(|x| square(*x)).sum::<f64>()).sqrt()
}

fn ranks(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| values.iter().filter(|w| *w < v).count() as f64).collect()
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let covariance: f64 = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum();
    let spread = |x: &[f64], m: f64| x.iter().map(|v| (v - m) * (v - m)).sum::<f64>();
    covariance / (spread(a, ma) * spread(b, mb)).sqrt()
}

#[test]
fn replay_is_the_derivative_of_retraining() {
    check_replay(decaying());
}

#[test]
fn replay_is_the_derivative_of_retraining_under_dropout() {
    check_replay(Recipe { dropout_ppm: 200_000, ..recipe() });
}

fn check_replay(recipe: Recipe) {
    let fixture = Fixture::new(2, recipe);
    let theta = fixture.train().state.theta;
    let exact = fixture.replay(&theta);
    // Central differences with a step of 0.1: their own error is of third order in the step, and rounding in f32 leaves some 1e-4.
    let difference = |i: usize| {
        let at = |w: f32| {
            let mut weights = [1.0; RECORDS];
            weights[i] = w;
            fixture.objective_at(&fixture.retrain(&weights))
        };
        (at(1.1) - at(0.9)) / 0.2
    };
    let measured: Vec<f64> = (0..RECORDS).map(difference).collect();
    let (error, correlation) = (error_of(&exact, &measured), pearson(&exact, &measured));
    println!(
        "replay {exact:?}\nmeasured {measured:?}\nrelative error {error:.2e}, correlation {correlation:.6}"
    );
    assert!(error < 0.01, "relative error {error}: {exact:?} against {measured:?}");
    assert!(correlation > 0.9999, "correlation {correlation}");
}

#[test]
fn replay_ranks_records_as_leaving_each_out_does() {
    let fixture = Fixture::new(2, recipe());
    let theta = fixture.train().state.theta;
    let exact = fixture.replay(&theta);
    let whole = fixture.objective_at(&theta);
    let left_out = |i: usize| {
        let mut weights = [1.0; RECORDS];
        weights[i] = 0.0;
        whole - fixture.objective_at(&fixture.retrain(&weights))
    };
    let truth: Vec<f64> = (0..RECORDS).map(left_out).collect();
    let spearman = pearson(&ranks(&exact), &ranks(&truth));
    println!("spearman {spearman:.3}, pearson {:.3}", pearson(&exact, &truth));
    assert!(spearman >= 0.9, "Spearman {spearman}: {exact:?} against {truth:?}");
}

#[test]
fn tangents_carried_forwards_say_what_replay_says_backwards() {
    let fixture = Fixture::new(2, decaying());
    let theta = fixture.train().state.theta;
    let by_record = fixture.replay(&theta);
    let group_of: Vec<usize> = (0..RECORDS).map(|i| i % 3).collect();
    let mut backwards = [0.0; 3];
    for (&group, credit) in group_of.iter().zip(&by_record) {
        backwards[group] += credit;
    }
    let tangents = tangents(&mut fixture.trajectory(), &group_of, 3, None, &mut |_, _| ()).unwrap();
    let forwards = tangents.scores(fixture.objective(&theta).gradient()).unwrap();
    let error = error_of(&forwards, &backwards);
    println!("relative error {error:.2e}");
    assert!(error < 1e-5, "relative error {error}: {forwards:?} against {backwards:?}");
}

#[test]
fn replay_gives_the_stated_bytes_for_any_number_of_threads() {
    for threads in [1, 2, 3] {
        let fixture = Fixture::new(threads, recipe());
        let theta = fixture.train().state.theta;
        let bytes: Vec<u8> = fixture.replay(&theta).iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(
            blake3::hash(&bytes).to_hex().as_str(),
            "5cabbdc23da835e47bd9b3512f2f1e41015b5aa9a2a90c0491645dfec872869e",
            "{threads} threads"
        );
    }
}

#[test]
fn objectives_that_share_a_replay_have_the_bits_of_each_alone() {
    let fixture = Fixture::new(2, recipe());
    let theta = fixture.train().state.theta;
    let objectives: Vec<Objective> = (0..super::dual_pass::TOGETHER + 1)
        .map(|w| Objective::single(&fixture.answer(&theta, w % 3).gradient))
        .collect();
    let each = super::replay_each(&mut fixture.trajectory(), &objectives, None, &mut |_, _| ()).unwrap();
    assert_eq!(each.len(), objectives.len());
    for (objective, credits) in objectives.iter().zip(each) {
        let alone =
            replay(&mut fixture.trajectory(), objective, ReplayOptions::default(), &mut |_, _| ()).unwrap();
        assert_eq!(credits, alone);
    }
}

#[test]
fn a_replay_of_a_weighted_run_differentiates_at_its_weights() {
    let fixture = Fixture::new(2, recipe());
    let mut weights = [1.0; RECORDS];
    (weights[1], weights[4], weights[6]) = (0.0, 0.5, 2.0);
    let path = fixture.dir.path().join("weighted");
    let options = Options { transcript: Some(&path), weights: Some(&weights), ..Options::default() };
    let theta = train(&fixture.run, options, &mut |_| ()).unwrap().state.theta;
    let transcript = Transcript::open(&path).unwrap();
    let mut trajectory = Trajectory::new(&fixture.run, transcript, Some(&weights)).unwrap();
    let objective = fixture.objective(&theta);
    let weighted = ReplayOptions { weights: Some(&weights), ..ReplayOptions::default() };
    let exact = replay(&mut trajectory, &objective, weighted, &mut |_, _| ()).unwrap();
    let difference = |i: usize| {
        let at = |by: f32| {
            let mut moved = weights;
            moved[i] += by;
            fixture.objective_at(&fixture.retrain(&moved))
        };
        (at(0.1) - at(0.0)) / 0.1
    };
    for i in [1, 4, 6] {
        // One-sided, as a weight does not go below 0: an error of first order in the step.
        assert!((exact[i] - difference(i)).abs() < 0.15 * exact[i].abs() + 1e-3, "record {i}");
    }
    let unweighted = replay(&mut trajectory, &objective, ReplayOptions::default(), &mut |_, _| ());
    assert!(matches!(unweighted, Err(Error::Train(openledger_train::Error::OtherRun { .. }))));
}

#[test]
fn an_interrupted_replay_goes_on_to_the_same_bytes() {
    let fixture = Fixture::new(2, recipe());
    let theta = fixture.train().state.theta;
    let expected = fixture.replay(&theta);
    let objective = fixture.objective(&theta);
    let file = fixture.dir.path().join("replay");
    let options = ReplayOptions { checkpoint: Some(&file), ..ReplayOptions::default() };
    let steps = |stop: usize| {
        let mut taken = 0;
        let result = catch_unwind(AssertUnwindSafe(|| {
            replay(&mut fixture.trajectory(), &objective, options, &mut |done, _| {
                taken += 1;
                assert!(done < stop, "killed");
            })
            .unwrap()
        }));
        (taken, result.ok())
    };
    assert_eq!(steps(6), (6, None));
    let (taken, credits) = steps(usize::MAX);
    assert_eq!(taken, recipe().steps as usize - CHECKPOINT_EVERY);
    assert_eq!(credits.unwrap(), expected);
    assert_eq!(steps(usize::MAX), (0, Some(expected.clone())));

    let kept = fs::read(&file).unwrap();
    for at in [0, 9, 45, 50, 60, 1_000, kept.len() - 1] {
        let mut damaged = kept.clone();
        damaged[at] ^= 1;
        fs::write(&file, &damaged).unwrap();
        assert_eq!(steps(usize::MAX), (12, Some(expected.clone())), "byte {at}");
    }
    let other = Objective::single(&fixture.answer(&theta, 3).gradient);
    let mut taken = 0;
    replay(&mut fixture.trajectory(), &other, options, &mut |_, _| taken += 1).unwrap();
    assert_eq!(taken, 12, "the state of another objective is not continued");
}

#[test]
fn a_replay_is_the_same_step_by_step_from_states_that_were_written_down() {
    let fixture = Fixture::new(2, recipe());
    let theta = fixture.train().state.theta;
    let (expected, objective) = (fixture.replay(&theta), fixture.objective(&theta));
    let file = fixture.dir.path().join("hashed");
    let options = ReplayOptions { checkpoint: Some(&file), ..ReplayOptions::default() };
    let mut killed = Vec::new();
    let stopped = catch_unwind(AssertUnwindSafe(|| {
        replay_hashed(&mut fixture.trajectory(), &objective, options, &mut killed, &mut |done, _| {
            assert!(done < 7, "killed");
        })
    }));
    assert!(stopped.is_err());
    let mut hashes = Vec::new();
    let credits =
        replay_hashed(&mut fixture.trajectory(), &objective, options, &mut hashes, &mut |_, _| ()).unwrap();
    assert_eq!((credits, hashes.len()), (expected.clone(), recipe().steps as usize));
    assert_eq!(killed, hashes[..7]);

    let (parameters, records) = (fixture.run.layout().len(), fixture.run.records());
    let mut trajectory = fixture.trajectory();
    let mut bytes = ReplayState::end_of(&fixture.run, &objective).encode();
    for hash in &hashes {
        let mut state = ReplayState::decode(&bytes, parameters, records).unwrap();
        replay_step(&mut trajectory, &mut state).unwrap();
        bytes = state.encode();
        assert_eq!((state.hash(), *blake3::hash(&bytes).as_bytes()), (*hash, hash.0));
    }
    let mut end = ReplayState::decode(&bytes, parameters, records).unwrap();
    assert_eq!((end.steps_left, &end.credits), (0, &expected));
    assert!(matches!(replay_step(&mut trajectory, &mut end), Err(Error::Length { got: 0, .. })));
    for damaged in [&bytes[1..], &[&[0], &bytes[1..]].concat(), &[&bytes[..], &[0]].concat()] {
        assert_eq!(ReplayState::decode(damaged, parameters, records), None);
    }
}

/// Writes a transcript whose hashes are right, with one gradient changed at `step` and everything after it trained honestly from there.
fn lie(fixture: &Fixture, step: usize, path: &Path, change: impl Fn(&mut Step)) {
    let run = &fixture.run;
    let mut writer = TranscriptWriter::open(path, run.header(None).unwrap(), |_, _| Ok(())).unwrap();
    let mut state = State::new(run.initial());
    for t in 0..run.steps() {
        let grads = run.gradients(&state.theta, run.batch(t)).unwrap();
        let mut honest = run.combine(t, grads.iter().map(|g| (1.0, g.loss, g.grad.as_slice())));
        if t == step {
            change(&mut honest);
        }
        writer.append(&honest).unwrap();
        state.advance(&run.coefficients(t), &honest.gradient);
    }
}

#[test]
fn a_step_that_was_not_trained_is_refused_and_named() {
    let fixture = Fixture::new(2, recipe());
    let theta = fixture.train().state.theta;
    let check = |step: usize, says: &str, change: &dyn Fn(&mut Step)| {
        let path = fixture.dir.path().join(format!("lie-{step}-{}", says.len()));
        lie(&fixture, step, &path, change);
        let mut trajectory = Trajectory::new(&fixture.run, Transcript::open(&path).unwrap(), None).unwrap();
        let options = ReplayOptions::default();
        let error = replay(&mut trajectory, &fixture.objective(&theta), options, &mut |_, _| ()).unwrap_err();
        let expected = format!("step {step} of the transcript is not what training computes: {says}");
        assert!(error.to_string().contains(&expected), "{error}");
        let groups = [0; RECORDS];
        let error = tangents(&mut trajectory, &groups, 1, None, &mut |_, _| ()).unwrap_err();
        assert!(error.to_string().contains(&expected), "{error}");
    };
    for step in [0, 5, 11] {
        check(step, "gradient entry 17", &|s| s.gradient[17] += 1e-6 + s.gradient[17].abs() * 1e-6);
    }
    check(3, "the loss", &|s| s.loss *= 1.0 + 1e-15);
    check(4, "gradient entry 0", &|s| s.gradient.iter_mut().for_each(|g| *g *= 2.0));
}

#[test]
fn a_transcript_with_a_changed_byte_is_refused_and_its_step_named() {
    let fixture = Fixture::new(1, recipe());
    fixture.train();
    let mut bytes = fs::read(fixture.path()).unwrap();
    let step = (bytes.len() - 168) / 12;
    bytes[168 + 7 * step + 100] ^= 1;
    fs::write(fixture.path(), &bytes).unwrap();
    let error = Transcript::open(&fixture.path()).unwrap_err().to_string();
    assert!(error.contains("step 7 hashes to"), "{error}");
}

#[test]
fn an_update_and_its_adjoint_agree_on_every_inner_product() {
    let optimiser = decaying().optimiser;
    let mut random = Random(3);
    let n = 200;
    let moment = openledger_train::Moment {
        before: State {
            theta: random.floats(n, 1.0),
            m: random.floats(n, 1e-2),
            v: random.floats(n, 1e-4).iter().map(|v| v.abs()).collect(),
        },
        step: Step { loss: 0.0, gradient: random.floats(n, 1e-2) },
    };
    let doubles = |v: Vec<f32>| v.into_iter().map(f64::from).collect::<Vec<_>>();
    for t in [0, 1, 7] {
        let c = optimiser.coefficients(t, 12);
        let (into_theta, into_m, into_v, into_g) = (
            doubles(random.floats(n, 1.0)),
            doubles(random.floats(n, 1e-2)),
            doubles(random.floats(n, 1e-4)),
            doubles(random.floats(n, 1e-2)),
        );
        let out = Adjoint {
            theta: doubles(random.floats(n, 1.0)),
            m: doubles(random.floats(n, 1.0)),
            v: doubles(random.floats(n, 1.0)),
        };
        let mut forward = Tangent { theta: into_theta.clone(), m: into_m.clone(), v: into_v.clone() };
        forward.through_update(&c, &moment, &into_g);
        let mut backward = out.clone();
        let u = doubles(backward.through_update(&c, &moment));
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let ahead =
            product(&out.theta, &forward.theta) + product(&out.m, &forward.m) + product(&out.v, &forward.v);
        let back = product(&backward.theta, &into_theta)
            + product(&backward.m, &into_m)
            + product(&backward.v, &into_v)
            + product(&u, &into_g);
        // The direction by the gradient is handed on in f32.
        assert!((ahead - back).abs() < 1e-6 * ahead.abs().max(1.0), "step {t}: {ahead} and {back}");
    }
}

#[test]
fn answers_explain_what_the_adapter_adds() {
    let fixture = Fixture::new(1, recipe());
    let theta = fixture.train().state.theta;
    let answer = fixture.answer(&theta, 2);
    assert!((answer.explained() - (answer.log_p - answer.log_p_base)).abs() < 1e-12);
    assert!(answer.explained() > 0.0, "training made its own kind of text likelier");
    assert_eq!(
        fixture.answer(&fixture.run.initial(), 2).explained_micronats(),
        0,
        "an adapter of zeros changes nothing"
    );
    let lora = Lora { config: fixture.run.lora(), theta: &theta };
    let (model, pool) = (fixture.run.model(), fixture.run.pool());
    assert!(matches!(answer_gradient(model, pool, lora, &[], &[1]), Err(Error::Length { .. })));
    assert!(matches!(answer_gradient(model, pool, lora, &[1], &[]), Err(Error::Length { .. })));
}

/// Reproducible numbers around zero.
struct Random(u64);

impl Random {
    fn floats(&mut self, n: usize, size: f32) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((self.0 >> 40) as f32 / 8_388_608.0 - 1.0) * size
        };
        (0..n).map(|_| next()).collect()
    }
}

mod estimates;
