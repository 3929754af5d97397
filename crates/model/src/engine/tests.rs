use sha2::{Digest, Sha256};

use super::{Pass, Sequence};
use crate::{
    Dropout, Dual, Lora, LoraConfig, LoraLayout, Model, Pool, Prefix, Record, Sample, Target, init,
    kernel::{Isa, choose},
    lora::Uniform,
};

/// A tiny model with an adapter that is not at its start, and a few samples.
struct Bench {
    model: Model,
    config: LoraConfig,
    theta: Vec<f32>,
    samples: Vec<Sample>,
    pool: Pool,
    /// Of every record, with its number as the key.
    dropout_ppm: Option<u32>,
}

impl Bench {
    fn new(targets: &[Target], threads: usize) -> Self {
        let (model, _) = Model::tiny(7);
        let config = LoraConfig { rank: 3, alpha: 6.0, first_layer: 2, targets: targets.to_vec() };
        let layout = LoraLayout::new(model.config(), &config).unwrap();
        let mut theta = init(model.config(), &layout, [5; 32]);
        let mut uniform = Uniform::new([6; 32]);
        for block in layout.blocks() {
            theta[block.b.clone()].fill_with(|| 0.3 * uniform.next());
        }
        let samples = [(70, 30..70), (9, 1..9), (131, 100..131), (2, 1..2)].map(|(n, targets)| Sample {
            tokens: (0..n).map(|_| ((uniform.next() + 1.0) * 129.9) as u32).collect(),
            targets,
        });
        Self {
            model,
            config,
            theta,
            samples: samples.to_vec(),
            pool: Pool::new(threads).unwrap(),
            dropout_ppm: None,
        }
    }

    fn records<'a>(&self, prefixes: &'a [Prefix], samples: &'a [Sample]) -> Vec<Record<'a>> {
        let mut records = records(prefixes, samples);
        for (key, record) in (0..).zip(&mut records) {
            record.dropout = self.dropout_ppm.map(|ppm| Dropout { ppm, key });
        }
        records
    }

    fn prefixes(&self, layer: usize) -> Vec<Prefix> {
        let tokens: Vec<&[u32]> = self.samples.iter().map(|s| &s.tokens[..]).collect();
        self.model.prefixes(&self.pool, layer, &tokens).unwrap()
    }

    fn direction(&self, seed: u8) -> Vec<f32> {
        let mut uniform = Uniform::new([seed; 32]);
        self.theta.iter().map(|_| uniform.next()).collect()
    }

    fn lora<'a>(&'a self, theta: &'a [f32]) -> Lora<'a> {
        Lora { config: &self.config, theta }
    }

    fn duals(&self, u: &[f32]) -> Vec<Dual> {
        let prefixes = self.prefixes(2);
        self.model
            .nll_grad_tangents_batch(
                &self.pool,
                self.lora(&self.theta),
                &[u],
                &self.records(&prefixes, &self.samples),
            )
            .unwrap()
    }

    fn moved(&self, u: &[f32], by: f32) -> Vec<f32> {
        self.theta.iter().zip(u).map(|(t, u)| t + by * u).collect()
    }
}

fn records<'a>(prefixes: &'a [Prefix], samples: &'a [Sample]) -> Vec<Record<'a>> {
    prefixes.iter().zip(samples).map(|(prefix, sample)| Record::new(prefix, sample)).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn close(got: f64, expected: f64, relative: f64, scale: f64) {
    assert!((got - expected).abs() <= relative * scale.max(expected.abs()), "got {got}, expected {expected}");
}

/// Directions have a length of about 45, so this moves the parameters by 0.1. The five-point formula then errs by about 1e-4, half of it rounding.
const STEP: f32 = 0.001_953_125;

/// `(8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h`.
fn difference(f: [f64; 4]) -> f64 {
    (8.0 * (f[0] - f[1]) - (f[2] - f[3])) / f64::from(12.0 * STEP)
}

fn check_derivatives(targets: &[Target]) {
    check_derivatives_under(targets, None);
}

fn check_derivatives_under(targets: &[Target], dropout_ppm: Option<u32>) {
    let bench = Bench { dropout_ppm, ..Bench::new(targets, 2) };
    let prefixes = bench.prefixes(2);
    let records = bench.records(&prefixes, &bench.samples);
    let base = bench.model.nll_grad_batch(&bench.pool, bench.lora(&bench.theta), &records).unwrap();
    for seed in [11, 12] {
        let u = bench.direction(seed);
        let around = [STEP, -STEP, 2.0 * STEP, -2.0 * STEP].map(|by| {
            let theta = bench.moved(&u, by);
            bench.model.nll_grad_batch(&bench.pool, bench.lora(&theta), &records).unwrap()
        });
        let duals = bench.duals(&u);
        for i in 0..records.len() {
            assert_eq!(
                (duals[i].loss, &duals[i].grad),
                (base[i].loss, &base[i].grad),
                "the first plane has the bits it has alone"
            );
            let scale = dot(&base[i].grad, &base[i].grad).sqrt();
            close(duals[i].loss_dots[0], dot(&base[i].grad, &u), 1e-4, scale);
            close(difference(around.each_ref().map(|g| g[i].loss)), duals[i].loss_dots[0], 2e-3, scale);
            let bend = |j: usize| difference(around.each_ref().map(|g| f64::from(g[i].grad[j]))) as f32;
            let bend: Vec<f32> = (0..u.len()).map(bend).collect();
            let off: Vec<f32> = bend.iter().zip(&duals[i].grad_dots[0]).map(|(a, b)| a - b).collect();
            let error = (dot(&off, &off) / dot(&bend, &bend)).sqrt();
            assert!(error < 2e-3, "record {i}: Hessian-vector product off by {error}");
        }
    }
}

#[test]
fn gradients_and_tangents_agree_with_differences_for_queries_and_values() {
    check_derivatives(&[Target::Q, Target::V]);
}

#[test]
fn gradients_and_tangents_agree_with_differences_for_every_target() {
    check_derivatives(&Target::ALL);
}

#[test]
fn gradients_and_tangents_agree_with_differences_for_the_feed_forward_alone() {
    check_derivatives(&[Target::Gate, Target::Down]);
}

#[test]
fn gradients_and_tangents_agree_with_differences_under_dropout() {
    check_derivatives_under(&Target::ALL, Some(300_000));
}

#[test]
fn dropout_drops_as_often_as_it_says_and_keeps_the_mean() {
    let bench = Bench::new(&[Target::Q, Target::V], 1);
    let prefixes = bench.prefixes(2);
    let loss = |ppm: u32, key: u64| {
        let record =
            Record { dropout: Some(Dropout { ppm, key }), ..Record::new(&prefixes[0], &bench.samples[0]) };
        bench.model.nll(&bench.pool, Some(bench.lora(&bench.theta)), record)
    };
    let plain = Record::new(&prefixes[0], &bench.samples[0]);
    let whole = bench.model.nll(&bench.pool, Some(bench.lora(&bench.theta)), plain).unwrap();
    assert_eq!(loss(0, 1).unwrap(), whole, "nothing is dropped");
    assert_ne!(loss(100_000, 1).unwrap(), whole);
    assert_eq!(loss(100_000, 1).unwrap(), loss(100_000, 1).unwrap());
    assert_ne!(loss(100_000, 1).unwrap(), loss(100_000, 2).unwrap());
    let refused = loss(Dropout::MAX_PPM + 1, 1).unwrap_err().to_string();
    assert!(refused.contains("dropout") && refused.contains("900000"), "{refused}");

    let mut ones = vec![1.0_f32; 64 * 1000];
    let pass = Pass {
        model: &bench.model,
        sequences: vec![Sequence {
            rows: 0..1000,
            lora: None,
            dropout: Some(Dropout { ppm: 250_000, key: 9 }),
        }],
        directions: &[],
        split: 1,
    };
    pass.drop_entries(1, Target::K, &mut ones);
    let dropped = ones.iter().filter(|x| **x == 0.0).count() as f64;
    // Five standard deviations of a binomial with n = 64000 and p = 1/4.
    assert!((dropped - 16_000.0).abs() < 550.0, "{dropped} of 64000");
    assert!(ones.iter().all(|x| *x == 0.0 || *x == 4.0 / 3.0));
    assert_eq!(hash(bits(&ones)), "c4c8f59d97501d1f");
}

#[test]
fn a_base_that_stays_quantised_gives_the_same_bits() {
    let u = Bench::new(&Target::ALL, 2).direction(31);
    let (unpacked, quantised) = (Bench::new(&Target::ALL, 2), Bench::new(&Target::ALL, 2));
    quantised.model.keep_quantised();
    assert_eq!(unpacked.duals(&u), quantised.duals(&u));
}

#[test]
fn the_hessian_is_symmetric() {
    let bench = Bench::new(&Target::ALL, 1);
    let (u, v) = (bench.direction(21), bench.direction(22));
    for (a, b) in bench.duals(&u).iter().zip(bench.duals(&v)) {
        let norm = (dot(&a.grad_dots[0], &a.grad_dots[0]) * dot(&v, &v)).sqrt();
        close(dot(&a.grad_dots[0], &v), dot(&b.grad_dots[0], &u), 1e-5, norm);
    }
}

#[test]
fn a_deeper_prefix_gives_the_same_bits() {
    let bench = Bench::new(&[Target::Q, Target::V], 1);
    let (deep, shallow) = (bench.prefixes(2), bench.prefixes(0));
    let run = |p: &[Prefix]| {
        bench
            .model
            .nll_grad_batch(&bench.pool, bench.lora(&bench.theta), &records(p, &bench.samples))
            .unwrap()
    };
    assert_eq!(run(&deep), run(&shallow));
}

#[test]
fn an_adapter_at_its_start_changes_nothing() {
    let bench = Bench::new(&Target::ALL, 1);
    let prefixes = bench.prefixes(1);
    let records = records(&prefixes, &bench.samples);
    let layout = LoraLayout::new(bench.model.config(), &bench.config).unwrap();
    let start = init(bench.model.config(), &layout, [1; 32]);
    let with = bench.model.nll_batch(&bench.pool, Some(bench.lora(&start)), &records).unwrap();
    assert_eq!(with, bench.model.nll_batch(&bench.pool, None, &records).unwrap());
}

fn hash(numbers: impl IntoIterator<Item = u64>) -> String {
    let mut hash = Sha256::new();
    numbers.into_iter().for_each(|x| hash.update(x.to_le_bytes()));
    hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
}

fn bits(x: &[f32]) -> impl Iterator<Item = u64> + '_ {
    x.iter().map(|x| u64::from(x.to_bits()))
}

/// Hashes of losses, gradients and tangents of the tiny model, in any build, on any machine.
fn fingerprint(threads: usize) -> [String; 3] {
    let bench = Bench::new(&Target::ALL, threads);
    let u = bench.direction(31);
    let duals = bench.duals(&u);
    [
        hash(duals.iter().flat_map(|d| [d.loss.to_bits(), d.loss_dots[0].to_bits()])),
        hash(duals.iter().flat_map(|d| bits(&d.grad))),
        hash(duals.iter().flat_map(|d| bits(&d.grad_dots[0]))),
    ]
}

/// Losses with their tangents, gradients, Hessian-vector products. They change only in a commit that says so.
const FINGERPRINT: [&str; 3] = ["6d968e8ac752153a", "09c89c10a81a02cb", "092d9fb7c6a06dcc"];

#[test]
fn results_are_the_same_bytes_for_any_threads_and_instruction_set() {
    // The last instruction set that the machine has stays chosen for the runs with more threads.
    for isa in [Isa::Portable, Isa::Avx2, Isa::Avx512] {
        if choose(isa) {
            assert_eq!(fingerprint(1), FINGERPRINT, "{isa:?}");
        }
    }
    for threads in 2..=3 {
        assert_eq!(fingerprint(threads), FINGERPRINT, "{threads} threads");
    }
}

#[test]
fn a_record_has_the_same_bits_alone_and_among_others() {
    let bench = Bench::new(&Target::ALL, 2);
    let u = bench.direction(41);
    let together = bench.duals(&u);
    let prefixes = bench.prefixes(2);
    for (record, dual) in records(&prefixes, &bench.samples).into_iter().zip(together) {
        assert_eq!(
            bench.model.nll_grad_tangent(&bench.pool, bench.lora(&bench.theta), &u, record).unwrap(),
            dual
        );
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let bench = Bench::new(&[Target::Q], 1);
    let prefixes = bench.prefixes(3);
    let all = records(&prefixes, &bench.samples);
    assert!(
        bench.model.nll_grad_batch(&bench.pool, bench.lora(&bench.theta), &all).is_err(),
        "prefix beyond the first adapted layer"
    );
    assert!(
        bench.model.nll_batch(&bench.pool, Some(bench.lora(&bench.theta[1..])), &[]).is_err(),
        "wrong number of parameters"
    );
    let first = Sample { targets: 0..2, ..bench.samples[0].clone() };
    assert!(
        bench.model.nll(&bench.pool, None, Record::new(&prefixes[0], &first)).is_err(),
        "the first token is not predicted"
    );
    assert!(bench.model.prefix(&bench.pool, 0, &[260]).is_err(), "token outside the vocabulary");
    assert!(bench.model.prefix(&bench.pool, 0, &[]).is_err(), "no tokens");
}

#[test]
fn directions_that_share_a_pass_have_the_bits_of_each_alone() {
    for targets in [&[Target::Q, Target::V][..], &Target::ALL] {
        let bench = Bench::new(targets, 2);
        let prefixes = bench.prefixes(2);
        let records = records(&prefixes, &bench.samples);
        let all: Vec<Vec<f32>> = [21, 22, 23].map(|seed| bench.direction(seed)).to_vec();
        let slices: Vec<&[f32]> = all.iter().map(Vec::as_slice).collect();
        let lora = bench.lora(&bench.theta);
        let together = bench.model.nll_grad_tangents_batch(&bench.pool, lora, &slices, &records).unwrap();
        for (k, u) in all.iter().enumerate() {
            for (many, one) in together.iter().zip(bench.duals(u)) {
                assert_eq!((many.loss, &many.grad), (one.loss, &one.grad));
                assert_eq!((many.loss_dots[k], &many.grad_dots[k]), (one.loss_dots[0], &one.grad_dots[0]));
            }
        }
    }
}
