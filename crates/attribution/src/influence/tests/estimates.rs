//! The estimate and the baselines, against the formulas written out with dense matrices.

use super::*;
use crate::influence::linear::{dot, gram};

/// Solves a dense system by elimination with pivots.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        let p = (i..n).max_by(|&x, &y| a[x][i].abs().total_cmp(&a[y][i].abs())).unwrap();
        a.swap(i, p);
        b.swap(i, p);
        for j in i + 1..n {
            let f = a[j][i] / a[i][i];
            let pivot = a[i].clone();
            for (x, y) in a[j].iter_mut().zip(&pivot) {
                *x -= f * y;
            }
            b[j] -= f * b[i];
        }
    }
    for i in (0..n).rev() {
        for j in i + 1..n {
            b[i] -= a[i][j] * b[j];
        }
        b[i] /= a[i][i];
    }
    b
}

fn exact_dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

/// `(Σ gᵢ gᵢᵀ + λ D⁻¹) x = b` with `D = diag(metric²)`.
fn curvature_solve(rows: &[Vec<f32>], damping: f64, metric: &[f32], b: &[f32]) -> Vec<f64> {
    let p = b.len();
    let mut h = vec![vec![0.0; p]; p];
    for (i, row) in h.iter_mut().enumerate() {
        for (j, x) in row.iter_mut().enumerate() {
            *x = rows.iter().map(|g| f64::from(g[i]) * f64::from(g[j])).sum();
        }
        row[i] += damping / metric.get(i).map_or(1.0, |&d| f64::from(d) * f64::from(d));
    }
    solve(h, b.iter().map(|&x| x.into()).collect())
}

#[test]
fn dot_products_and_gram_matrices_have_one_value() {
    let mut random = Random(1);
    for n in [0, 1, 7, 8, 9, 2047, 2048, 2049, 5000] {
        let (a, b) = (random.floats(n, 1.0), random.floats(n, 1.0));
        assert!((dot(&a, &b) - exact_dot(&a, &b)).abs() < 1e-11 * (n as f64 + 1.0));
        let matrix = gram(&[&a, &b]);
        for (i, x) in [&a, &b].into_iter().enumerate() {
            for (j, y) in [&a, &b].into_iter().enumerate() {
                assert_eq!(matrix.get(i, j).to_bits(), dot(x, y).to_bits(), "{n} entries");
            }
        }
    }
}

fn check_index(metric: &[f32]) {
    let mut random = Random(5);
    let (n, p) = (6, 11);
    let rows: Vec<Vec<f32>> = (0..n).map(|_| random.floats(p, 1.0)).collect();
    let gradients: Vec<_> = rows.iter().cloned().map(Some).chain([None]).collect();
    let way = random.floats(p, 0.1);
    let query = random.floats(p, 1.0);
    let damping = 0.05;
    let inputs =
        IndexInputs { transcript: B256::ZERO, gradients: &gradients, displacement: &way, metric, damping };
    let index = Index::build(inputs).unwrap();
    let scaled = |g: &[f32]| -> Vec<f32> {
        if metric.is_empty() { g.to_vec() } else { g.iter().zip(metric).map(|(x, d)| x * d).collect() }
    };
    let diagonal = rows.iter().map(|g| exact_dot(&scaled(g), &scaled(g))).sum::<f64>() / n as f64;
    let pulls: Vec<Vec<f64>> = rows
        .iter()
        .map(|g| curvature_solve(&rows, damping * diagonal, metric, g).iter().map(|x| -x).collect())
        .collect();
    // The scale is the least-squares fit of all pulls to the way, in the metric's coordinates.
    let inverse = |i: usize| metric.get(i).map_or(1.0, |&d| 1.0 / f64::from(d));
    let (mut along, mut square) = (0.0, 0.0);
    for i in 0..p {
        let pull: f64 = pulls.iter().map(|x| x[i]).sum::<f64>() * inverse(i);
        along += f64::from(way[i]) * inverse(i) * pull;
        square += pull * pull;
    }
    let scale = (along / square).max(0.0);
    assert!((index.scale() - scale).abs() < 1e-5 * scale.abs() + 1e-12, "{} and {scale}", index.scale());
    let scores = index.scores(&query).unwrap();
    for (score, pull) in scores.iter().zip(&pulls) {
        let expected = scale * pull.iter().zip(&query).map(|(x, &q)| x * f64::from(q)).sum::<f64>();
        assert!((score - expected).abs() < 1e-5 * expected.abs() + 1e-8, "{score} and {expected}");
    }
    assert_eq!(scores[n], 0.0, "a record that was never taken");
}

#[test]
fn the_index_solves_the_curvature_it_states() {
    check_index(&[]);
    let mut metric = Random(8).floats(11, 0.4);
    metric.iter_mut().for_each(|d| *d += 1.0);
    check_index(&metric);
}

#[test]
fn an_index_reads_back_and_a_damaged_one_is_refused() {
    let fixture = Fixture::new(2, recipe());
    let trained = fixture.train();
    let index = Index::of_run(&fixture.run, &trained).unwrap();
    let path = fixture.dir.path().join("index");
    index.save(&path).unwrap();
    let read = Index::load(&path).unwrap();
    assert_eq!(read, index);
    assert_eq!(read.transcript(), trained.transcript.unwrap());
    let answer = fixture.answer(&trained.state.theta, 2);
    assert_eq!(read.scores(&answer.gradient).unwrap(), index.scores(&answer.gradient).unwrap());
    let bytes = fs::read(&path).unwrap();
    for at in [0, 8, 41, 90, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).unwrap();
        assert!(matches!(Index::load(&path), Err(Error::Index { .. })), "byte {at}");
    }
    for cut in [0, 7, 80, bytes.len() - 1] {
        fs::write(&path, &bytes[..cut]).unwrap();
        assert!(matches!(Index::load(&path), Err(Error::Index { .. })), "cut at {cut}");
    }
    // Hashed correctly, sizes that overflow.
    let mut hostile = bytes[..bytes.len() - 32].to_vec();
    hostile[40..64].fill(0xff);
    hostile.extend_from_slice(blake3::hash(&hostile).as_bytes());
    fs::write(&path, &hostile).unwrap();
    assert!(matches!(Index::load(&path), Err(Error::Index { .. })));
}

#[test]
fn the_estimate_has_the_right_order_and_size() {
    let fixture = Fixture::new(2, recipe());
    let trained = fixture.train();
    let answer = fixture.answer(&trained.state.theta, 2);
    let objective = Objective::single(&answer.gradient);
    let exact =
        replay(&mut fixture.trajectory(), &objective, ReplayOptions::default(), &mut |_, _| ()).unwrap();
    let estimate = Index::of_run(&fixture.run, &trained).unwrap().scores(&answer.gradient).unwrap();
    let spearman = pearson(&ranks(&exact), &ranks(&estimate));
    let ratio = estimate.iter().sum::<f64>() / exact.iter().sum::<f64>();
    println!("Spearman {spearman:.3}, sum {ratio:.3} of exact\nexact {exact:?}\nestimate {estimate:?}");
    assert!(spearman > 0.8, "Spearman {spearman}");
    assert!((0.5..2.0).contains(&ratio), "{ratio} times the exact sum");
}

#[test]
fn datainf_is_the_mean_of_inverses_of_its_paper() {
    let fixture = Fixture::new(1, recipe());
    let layout = fixture.run.layout();
    let mut random = Random(6);
    let n = 5;
    let gradients: Vec<_> = (0..n).map(|_| Some(random.floats(layout.len(), 1.0))).collect();
    let query = random.floats(layout.len(), 1.0);
    let scores = baselines::DataInf::new(layout, &gradients).unwrap().scores(&query).unwrap();
    for k in 0..n {
        let mut expected = 0.0;
        for range in layout.blocks().iter().flat_map(|b| [b.a.clone(), b.b.clone()]) {
            let g: Vec<&[f32]> = gradients.iter().flatten().map(|g| &g[range.clone()]).collect();
            let q = &query[range.clone()];
            let damping = 0.1 * g.iter().map(|g| exact_dot(g, g)).sum::<f64>() / (n * q.len()) as f64;
            // (1/n) Σᵢ (gᵢ gᵢᵀ + λ)⁻¹ gₖ by Sherman–Morrison, then with q.
            for gi in &g {
                let (with, own, square) = (exact_dot(gi, g[k]), exact_dot(g[k], q), exact_dot(gi, gi));
                let solved = (own - with * exact_dot(gi, q) / (damping + square)) / damping;
                expected -= solved / n as f64;
            }
        }
        assert!((scores[k] - expected).abs() < 1e-6 * expected.abs(), "{} and {expected}", scores[k]);
    }
}

#[test]
fn baselines_give_nothing_to_a_record_that_was_never_taken() {
    let fixture = Fixture::new(2, short());
    let theta = fixture.train().state.theta;
    let gradients = baselines::final_gradients(&fixture.run, &theta, &mut |_, _| ()).unwrap();
    let query = fixture.answer(&theta, 2).gradient;
    let all = [
        baselines::gradient_dot(&gradients, &query).unwrap(),
        baselines::gradient_cosine(&gradients, &query).unwrap(),
        baselines::empirical_fisher(&gradients, 0.01).unwrap().scores(&query).unwrap(),
        baselines::DataInf::new(fixture.run.layout(), &gradients).unwrap().scores(&query).unwrap(),
        fixture.replay(&theta),
    ];
    for (method, scores) in all.iter().enumerate() {
        for (record, visit) in fixture.run.last_visits().iter().enumerate() {
            assert_eq!(scores[record] != 0.0, visit.is_some(), "method {method}, record {record}");
        }
    }
    assert!(baselines::gradient_dot(&gradients, &query[1..]).is_err());
}

#[test]
fn damping_that_is_none_and_gradients_that_are_none_are_refused() {
    let inputs = |gradients, damping| IndexInputs {
        transcript: B256::ZERO,
        gradients,
        displacement: &[],
        metric: &[],
        damping,
    };
    let some = [Some(vec![1.0_f32])];
    assert!(matches!(Index::build(inputs(&some, 0.0)), Err(Error::Range { .. })));
    assert!(matches!(Index::build(inputs(&some, f64::NAN)), Err(Error::Range { .. })));
    assert!(matches!(Index::build(inputs(&[None], 1.0)), Err(Error::Length { .. })));
    assert!(matches!(Index::build(inputs(&[Some(vec![0.0])], 1.0)), Err(Error::NotPositive { .. })));
}

/// Two steps of three records out of twelve.
fn short() -> Recipe {
    let mut recipe = recipe();
    recipe.steps = 2;
    recipe.optimiser.warmup_steps = 1;
    recipe
}
