//! Linear systems in `f64`, in a stated order of plain additions and multiplications.

use super::Examples;

const MAX_ITERATIONS: usize = 2_000;

/// Preconditioned conjugate gradients for a symmetric positive definite `product`: `x` with `|b - product(x)| <= tolerance |b|`, or `None` where that is not reached.
pub(super) fn conjugate_gradients(
    product: impl Fn(&[f64]) -> Vec<f64>,
    precondition: impl Fn(&[f64]) -> Vec<f64>,
    b: &[f64],
    tolerance: f64,
) -> Option<Vec<f64>> {
    let goal = dot(b, b) * tolerance * tolerance;
    let mut x = vec![0.0; b.len()];
    let mut residual = b.to_vec();
    let mut z = precondition(&residual);
    let mut direction = z.clone();
    let mut size = dot(&residual, &z);
    for _ in 0..MAX_ITERATIONS {
        let left = dot(&residual, &residual);
        if left <= goal {
            return Some(x);
        }
        if !left.is_finite() {
            return None;
        }
        let image = product(&direction);
        let step = size / dot(&direction, &image);
        x.iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
        residual.iter_mut().zip(&image).for_each(|(r, i)| *r -= step * i);
        z = precondition(&residual);
        let next = dot(&residual, &z);
        let turn = next / size;
        size = next;
        direction.iter_mut().zip(&z).for_each(|(d, z)| *d = z + turn * *d);
    }
    None
}

/// Eight running sums, added up in order: a dot product that vectorises without leaving its order to the machine.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (heads, tails) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = heads.remainder().iter().zip(tails.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in heads.zip(tails) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (a, b))| *s += a * b);
    }
    sums.iter().sum::<f64>() + rest
}

/// The Cholesky factor of `Σ m_i x_i x_iᵀ + λ I`, row-major lower triangle in a full square.
#[derive(Debug)]
pub(super) struct Cholesky {
    size: usize,
    factor: Vec<f64>,
}

impl Cholesky {
    /// `None` where the matrix is not positive definite.
    pub(super) fn of_moments(examples: &Examples, mass: &[f64], l2: f64) -> Option<Self> {
        let size = examples.width() + 1;
        let mut a = vec![0.0; size * size];
        for (row, mass) in mass.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
            for (i, x) in examples.row(row) {
                let scaled = mass * x;
                for (j, y) in examples.row(row).take_while(|(j, _)| *j <= i) {
                    a[i * size + j] += scaled * y;
                }
            }
        }
        for i in 0..size {
            a[i * size + i] += l2;
        }
        for i in 0..size {
            for j in 0..=i {
                let (above, below) = a.split_at(i * size);
                let row_i = &below[..j];
                let row_j = if j == i { row_i } else { &above[j * size..j * size + j] };
                let rest = below[j] - dot(row_i, row_j);
                a[i * size + j] = match j == i {
                    true if rest > 0.0 => rest.sqrt(),
                    true => return None,
                    false => rest / a[j * size + j],
                };
            }
        }
        Some(Self { size, factor: a })
    }

    /// Solves for `columns` right-hand sides at once, stored row by row.
    pub(super) fn solve(&self, b: &[f64], columns: usize) -> Vec<f64> {
        let mut x = b.to_vec();
        for i in 0..self.size {
            let (done, rest) = x.split_at_mut(i * columns);
            let here = &mut rest[..columns];
            for (j, from) in done.chunks_exact(columns).enumerate() {
                let l = self.factor[i * self.size + j];
                here.iter_mut().zip(from).for_each(|(h, f)| *h -= l * f);
            }
            here.iter_mut().for_each(|h| *h /= self.factor[i * self.size + i]);
        }
        for i in (0..self.size).rev() {
            let (before, rest) = x.split_at_mut(i * columns);
            let here = &mut rest[..columns];
            here.iter_mut().for_each(|h| *h /= self.factor[i * self.size + i]);
            for (j, to) in before.chunks_exact_mut(columns).enumerate() {
                let l = self.factor[i * self.size + j];
                to.iter_mut().zip(&*here).for_each(|(t, h)| *t -= l * h);
            }
        }
        x
    }
}
