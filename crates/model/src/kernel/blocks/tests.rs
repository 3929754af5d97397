use super::*;
use crate::{
    gguf::half,
    kernel::{Isa, choose},
    lora::Uniform,
};

fn numbers(seed: u8, n: usize) -> Vec<f32> {
    let mut uniform = Uniform::new([seed; 32]);
    (0..n).map(|_| uniform.next()).collect()
}

/// Weights with extremes among them, and their blocks as `(d, m, q - z)`.
fn weights(bits: Bits, inputs: usize, outputs: usize) -> (Part, Vec<(f32, f32, [i32; BLOCK])>) {
    let blocks = inputs.div_ceil(BLOCK);
    let mut part = Part::zeros(bits, inputs, outputs);
    let mut all = Vec::new();
    let drawn = numbers(4, outputs * blocks * (BLOCK + 2));
    for (i, drawn) in drawn.chunks_exact(BLOCK + 2).enumerate() {
        let half_of = |x: f32| crate::gguf::to_half(x);
        let (d, m) = (half_of(drawn[0] * 0.01), if bits == Bits::Four { half_of(drawn[1]) } else { 0 });
        let q: [u8; BLOCK] = std::array::from_fn(|k| {
            let x = (drawn[2 + k] + 1.0) / 2.0;
            match (i % 7, bits) {
                (0, Bits::Four) => 15,
                (0, Bits::Eight) => 0,
                (1, Bits::Eight) => 255,
                (_, Bits::Four) => (x * 15.99) as u8,
                (_, Bits::Eight) => (x * 255.99) as u8,
            }
        });
        let packed: Vec<u8> = match bits {
            Bits::Four => (0..16).map(|k| q[k] | q[k + 16] << 4).collect(),
            Bits::Eight => q.to_vec(),
        };
        part.put(i / blocks, i % blocks, d, m, &packed);
        let float = |x: u16| half(x.to_le_bytes()[0], x.to_le_bytes()[1]);
        let offset = if bits == Bits::Eight { 128 } else { 0 };
        all.push((float(d), float(m), q.map(|q| i32::from(q) - offset)));
    }
    (part, all)
}

/// The specification, in plain words.
fn stated(x: &[f32], bits: Bits, blocks: &[(f32, f32, [i32; BLOCK])], start: f32) -> f32 {
    let mut y = start;
    for (x, (d, m, w)) in x.chunks(BLOCK).zip(blocks) {
        let a = x.iter().fold(0f32, |a, x| a.max(x.abs()));
        let (e, inverse) = if a < 1e-30 { (0.0, 0.0) } else { (a / 127.0, 127.0 / a) };
        let t: Vec<i32> = x.iter().map(|x| (x * inverse).round_ties_even() as i32).collect();
        let s: i32 = t.iter().zip(w).map(|(t, w)| t * w).sum();
        y = d.mul_add(e * s as f32, y);
        if bits == Bits::Four {
            y = m.mul_add(e * t.iter().sum::<i32>() as f32, y);
        }
    }
    y
}

fn check(bits: Bits, rows: usize, inputs: usize, outputs: usize) {
    let (part, blocks) = weights(bits, inputs, outputs);
    let mut x = numbers(5, rows * inputs);
    // A block of the largest magnitudes, one of zeros, one of what is as good as zero.
    for (i, x) in x.iter_mut().enumerate() {
        match i / BLOCK % 9 {
            3 => *x = x.signum(),
            5 => *x = 0.0,
            7 => *x *= 1e-32,
            _ => {}
        }
    }
    let w = Blocks::new(inputs, vec![part]);
    let old = numbers(6, rows * (outputs + 3));
    let mut quantised = Quantised::default();
    quantised.resize(rows, inputs);
    for isa in [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|i| choose(*i)) {
        for (mut row, x) in quantised.rows_mut().zip(x.chunks_exact(inputs)) {
            row.fill(x);
        }
        for (accumulate, split) in [(false, 1), (true, 3)] {
            let mut y = old.clone();
            product(split, &quantised, &w, &mut y, outputs + 3, accumulate);
            for r in 0..rows {
                for o in 0..outputs + 3 {
                    let at = r * (outputs + 3) + o;
                    let expected = if o < outputs {
                        let own = &blocks[o * inputs.div_ceil(BLOCK)..][..inputs.div_ceil(BLOCK)];
                        let start = if accumulate { old[at] } else { 0.0 };
                        stated(&x[r * inputs..][..inputs], bits, own, start)
                    } else {
                        old[at]
                    };
                    assert_eq!(
                        y[at].to_bits(),
                        expected.to_bits(),
                        "{isa:?}, {bits:?}, row {r} of {rows}, output {o} of {outputs}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_kernel_computes_what_is_stated() {
    for bits in [Bits::Four, Bits::Eight] {
        for (rows, inputs, outputs) in
            [(1, 32, 16), (2, 64, 5), (3, 576, 33), (5, 96, 64), (13, 320, 17), (29, 64, 48)]
        {
            check(bits, rows, inputs, outputs);
        }
    }
    check(Bits::Eight, 3, 40, 20);
}

#[test]
fn floats_become_the_nearest_of_eight_bits() {
    let rows = numbers(7, 3 * 80);
    let part = Part::from_rows(&rows, 80);
    for (i, row) in rows.chunks_exact(80).enumerate() {
        let mut back = vec![0.0; 80];
        part.row(i, false, &mut back);
        for (own, back) in row.chunks(BLOCK).zip(back.chunks(BLOCK)) {
            let most = own.iter().fold(0f32, |a, x| a.max(x.abs()));
            for (x, y) in own.iter().zip(back) {
                assert!((x - y).abs() <= most / 127.0 * 0.57, "{x} became {y}");
            }
        }
    }
}

#[test]
fn what_is_not_finite_stays_so() {
    let (part, _) = weights(Bits::Four, 64, 16);
    let w = Blocks::new(64, vec![part]);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = numbers(5, 64);
        x[40] = bad;
        let mut quantised = Quantised::default();
        quantised.resize(1, 64);
        quantised.rows_mut().for_each(|mut row| row.fill(&x));
        let mut y = [0.0; 16];
        product(1, &quantised, &w, &mut y, 16, false);
        assert!(y.iter().all(|y| !y.is_finite()), "{bad}: {y:?}");
    }
}
