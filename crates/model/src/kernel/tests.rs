use super::{vector::exp, *};
use crate::lora::Uniform;

const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

fn numbers(seed: u8, n: usize) -> Vec<f32> {
    let mut uniform = Uniform::new([seed; 32]);
    (0..n).map(|_| uniform.next()).collect()
}

fn chain((m, n, k): (usize, usize, usize), a: &[f32], b: &[f32], start: &[f32]) -> Vec<u32> {
    let mut out = Vec::new();
    for i in 0..m {
        for j in 0..n {
            out.push(
                (0..k).fold(start[i * n + j], |acc, t| a[i * k + t].mul_add(b[t * n + j], acc)).to_bits(),
            );
        }
    }
    out
}

fn check_product(size: (usize, usize, usize)) {
    let (m, n, k) = size;
    let (a, b, old, zero) = (numbers(1, m * k), numbers(2, k * n), numbers(3, m * n), vec![0.0; m * n]);
    let panels = Panels::from_columns(&b, k, n);
    let turned: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
    for accumulate in [false, true] {
        let expected = chain(size, &a, &b, if accumulate { &old } else { &zero });
        for isa in ALL.into_iter().filter(|i| choose(*i)) {
            for left in [Left::rows(&a, k), Left::columns(&turned, m)] {
                for right in [Right::rows(&b, n), Right::from(&panels)] {
                    for split in [1, 3] {
                        let mut c = old.clone();
                        gemm(split, size, left, right, &mut c, n, accumulate);
                        let got: Vec<u32> = c.iter().map(|x| x.to_bits()).collect();
                        assert!(
                            got == expected,
                            "{size:?} with {isa:?}, accumulate {accumulate}, split {split}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn every_kernel_computes_the_stated_chain_on_odd_shapes() {
    for size in [
        (1, 1, 1),
        (1, 200, 33),
        (2, 129, 70),
        (3, 160, 5),
        (5, 96, 64),
        (6, 31, 9),
        (13, 65, 600),
        (15, 33, 577),
        (29, 64, 2),
        (260, 40, 31),
    ] {
        check_product(size);
    }
}

#[test]
fn a_product_without_inner_steps_is_zero() {
    let mut c = vec![1.0; 6];
    gemm(1, (2, 3, 0), Left::rows(&[], 0), Right::rows(&[], 3), &mut c, 3, false);
    assert_eq!(c, [0.0; 6]);
}

#[test]
fn exp_stays_within_its_stated_error() {
    let mut worst = 0f64;
    for i in -870_000..=880_000 {
        let x = i as f32 * 1e-4;
        let exact = libm::exp(f64::from(x));
        worst = worst.max((f64::from(exp(x)) - exact).abs() / exact);
    }
    assert!(worst < 1.8e-7, "relative error {worst:e}");
    assert_eq!(exp(0.0), 1.0);
    assert!(exp(-1e30) > 0.0 && exp(1e30).is_finite());
}

#[test]
fn rows_have_the_same_bits_with_every_instruction_set() {
    let n = 77;
    let (x, w, y, z) = (numbers(4, n), numbers(5, n), numbers(6, n), numbers(7, 2 * n));
    let run = || {
        let mut out: Vec<f32> = Vec::new();
        let mut a = x.clone();
        norm(&x, &w, 1e-5, &mut a);
        out.extend(&a);
        norm_tangent(&x, &y, &w, 1e-5, &mut a);
        out.extend(&a);
        let (mut g, mut d) = (y.clone(), x.clone());
        norm_backward(&x, &w, 1e-5, &mut g, &mut d);
        out.extend(&d);
        let mut gt = w.clone();
        norm_backward_tangent(&x, &y, &w, 1e-5, &g, &mut gt, &mut d);
        out.extend(&d);
        let mut p = x.clone();
        softmax(&mut p, 3.0);
        out.extend(&p);
        let mut t = y.clone();
        softmax_tangent(&p, &mut t, 3.0);
        out.extend(&t);
        let mut ds = w.clone();
        softmax_backward_tangent(&p, &t, &y, &mut ds, 0.5);
        out.extend(&ds);
        softmax_backward(&p, &mut ds, 0.5);
        out.extend(&ds);
        swiglu(&x, &y, &mut a);
        out.extend(&a);
        swiglu_tangent(&x, &y, &w, &p, &mut a);
        out.extend(&a);
        let mut b = a.clone();
        swiglu_backward(&x, &y, &w, &mut a, &mut b);
        out.extend(a.iter().chain(&b));
        let mut dgut = vec![0.0; 2 * n];
        let other = numbers(8, 2 * n);
        swiglu_backward_tangent(&z, &other, &x, &y, &mut dgut);
        out.extend(&dgut);
        let mut r = z[..76].to_vec();
        rotate(&mut r, &x[..19], &y[..19], 1.0);
        out.extend(&r);
        out.push(cross_entropy(&mut r, 5) as f32);
        out.push(partition_tangent(&r, &mut a[..76]));
        out.extend(&a);
        out.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    choose(Isa::Portable);
    let expected = run();
    for isa in ALL.into_iter().filter(|i| choose(*i)) {
        assert!(run() == expected, "{isa:?}");
    }
}

#[test]
fn transposing_panels_twice_gives_them_back() {
    let source = numbers(9, 70 * 45);
    let panels = Panels::from_rows(&source, 45, 70);
    let turned = panels.transposed();
    assert_eq!(turned.k(), 70);
    assert_eq!(Panels::from_columns(&source, 70, 45).data(), turned.data());
    assert_eq!(turned.transposed().data(), panels.data());
}
