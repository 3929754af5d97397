use super::*;

fn optimiser() -> Optimiser {
    Optimiser {
        lr_ppb: 1_000_000,
        beta1_ppm: 900_000,
        beta2_ppm: 990_000,
        eps_root_atto: 1_000_000_000_000,
        warmup_steps: 4,
        floor_ppm: 100_000,
        weight_decay_ppm: 0,
    }
}

#[test]
fn the_rate_warms_up_and_falls_to_its_floor() {
    let rates: Vec<f32> = (0..10).map(|t| optimiser().coefficients(t, 10).lr).collect();
    let expected = [0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 0.85e-3, 0.7e-3, 0.55e-3, 0.4e-3, 0.25e-3, 0.1e-3];
    for (got, expected) in rates.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-9, "{rates:?}");
    }
    let flat = Optimiser { warmup_steps: 0, ..optimiser() };
    assert_eq!(flat.coefficients(0, 1).lr, 1e-3);
    assert_eq!(flat.coefficients(0, 3).lr, 1e-3);
    assert_eq!(flat.coefficients(2, 3).lr, 1e-4);
}

#[test]
fn the_first_step_moves_by_the_corrected_gradient() {
    let c = optimiser().coefficients(0, 10);
    let mut state = State::new(vec![1.0, 1.0]);
    state.advance(&c, &[0.5, 0.0]);
    // m̂ = g and v̂ = g² at the first step, whatever the betas.
    let expected = 1.0 - 0.25e-3 * 0.5 / (0.25_f64 + 1e-6).sqrt();
    assert!((f64::from(state.theta[0]) - expected).abs() < 1e-7);
    assert_eq!(state.theta[1], 1.0);
}

/// The bits are those of a second implementation in Python, which rounds every operation through `struct.pack`.
#[test]
fn a_trajectory_has_the_stated_bits() {
    let mut state = State::new(vec![0.25, -0.5, 1.5]);
    for t in 0..10 {
        let x = t as f32;
        state.advance(&optimiser().coefficients(t, 10), &[0.1 * x - 0.3, 1.0 / (1.0 + x), 1e-3 * x]);
    }
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&state.theta), [1_048_646_292, 3_204_519_592, 1_069_514_011]);
    assert_eq!(bits(&state.m), [1_042_085_363, 1_042_051_591, 996_442_761]);
    assert_eq!(bits(&state.v), [1_009_282_672, 1_013_584_579, 909_881_105]);
}

#[test]
fn weight_decay_takes_its_part_of_the_parameter_and_nothing_of_the_moments() {
    let decaying = Optimiser { weight_decay_ppm: 500_000, lr_ppb: 400_000_000, ..optimiser() };
    let (mut plain, mut decayed) = (State::new(vec![0.25, -0.5]), State::new(vec![0.25, -0.5]));
    let still = Optimiser { weight_decay_ppm: 0, ..decaying };
    plain.advance(&still.coefficients(0, 10), &[0.1, 0.0]);
    decayed.advance(&decaying.coefficients(0, 10), &[0.1, 0.0]);
    // A quarter of the peak rate at the first step of the warm-up: 0.1 · 0.5.
    for (at, before) in [0.25f32, -0.5].into_iter().enumerate() {
        let taken = plain.theta[at] - decayed.theta[at];
        assert!((taken - 0.05 * before).abs() < 1e-7, "{taken}");
    }
    assert_eq!((plain.m, plain.v), (decayed.m, decayed.v));
}

#[test]
fn a_power_by_squaring_is_the_product() {
    for n in 0..40 {
        let expected = (0..n).fold(1.0_f64, |x, _| x * 0.97);
        assert!((power(0.97, n) - expected).abs() < 1e-14);
    }
}

#[test]
fn the_reach_of_a_gradient_is_what_it_moves_in_all_later_steps() {
    for weight_decay_ppm in [0, 900_000] {
        reaches_what_it_moves(&Optimiser {
            lr_ppb: 100_000_000,
            eps_root_atto: 1_000_000_000_000_000_000,
            weight_decay_ppm,
            ..optimiser()
        });
    }
}

fn reaches_what_it_moves(optimiser: &Optimiser) {
    let moved = |at: Option<usize>| {
        let mut state = State::new(vec![0.0]);
        for t in 0..10 {
            // So small that the root is 1 but for rounding.
            state.advance(&optimiser.coefficients(t, 10), &[if at == Some(t) { 1e-6 } else { 0.0 }]);
        }
        -f64::from(state.theta[0]) / 1e-6
    };
    for (t, reach) in optimiser.reach(10).into_iter().enumerate() {
        assert!((moved(Some(t)) - reach).abs() < 1e-5 * reach, "step {t}: {} and {reach}", moved(Some(t)));
    }
}
