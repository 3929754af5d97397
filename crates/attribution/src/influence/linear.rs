//! Dot products, Gram matrices and a Cholesky factor in `f64`, in one stated order.
//!
//! A dot product runs over blocks of [`BLOCK`] entries; within a block in 8 lanes by index modulo 8, lanes added pairwise (0+4, 1+5, 2+6, 3+7,
//! then 0+2, 1+3, then 0+1); blocks are added in order.

use super::error::{Error, Result};

/// Two rows of a block stay in the first-level cache.
const BLOCK: usize = 2048;

pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "vectors of a dot product have one length");
    a.chunks(BLOCK).zip(b.chunks(BLOCK)).fold(0.0, |sum, (a, b)| sum + block_dot(a, b))
}

fn block_dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0_f64; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (a, b) in a8.iter().zip(b8) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f64::from(x) * f64::from(y);
        }
    }
    for ((lane, &x), &y) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += f64::from(x) * f64::from(y);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let (a, b, c, d) = (a + e, b + f, c + g, d + h);
    (a + c) + (b + d)
}

/// The lower triangle of a symmetric matrix, row after row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lower {
    n: usize,
    entries: Vec<f64>,
}

impl Lower {
    /// A triangle from its entries, if there are as many as it has.
    pub(super) fn new(n: usize, entries: Vec<f64>) -> Option<Self> {
        (entries.len() == n * (n + 1) / 2).then_some(Self { n, entries })
    }

    pub(super) fn len(&self) -> usize {
        self.n
    }

    pub(super) fn entries(&self) -> &[f64] {
        &self.entries
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.entries[i * (i + 1) / 2..][..=i]
    }

    /// Entry of the symmetric matrix.
    pub(super) fn get(&self, i: usize, j: usize) -> f64 {
        if j <= i { self.row(i)[j] } else { self.row(j)[i] }
    }

    pub(super) fn mean_diagonal(&self) -> f64 {
        (0..self.n).map(|i| self.get(i, i)).sum::<f64>() / self.n as f64
    }

    /// Product of the symmetric matrix with a vector.
    pub(super) fn times(&self, x: &[f64]) -> Vec<f64> {
        (0..self.n).map(|i| (0..self.n).map(|j| self.get(i, j) * x[j]).sum()).collect()
    }

    /// The Cholesky factor of the matrix with `damping` added to its diagonal.
    pub(super) fn cholesky(mut self, damping: f64) -> Result<Self> {
        for i in 0..self.n {
            let (above, rest) = self.entries.split_at_mut(i * (i + 1) / 2);
            let row = &mut rest[..=i];
            for j in 0..=i {
                let value = if j < i {
                    let other = &above[j * (j + 1) / 2..][..=j];
                    (row[j] - sum_products(&row[..j], &other[..j])) / other[j]
                } else {
                    let pivot = row[i] + damping - sum_products(&row[..i], &row[..i]);
                    if pivot.is_nan() || pivot <= 0.0 {
                        return Err(Error::NotPositive { records: self.n, row: i });
                    }
                    pivot.sqrt()
                };
                row[j] = value;
            }
        }
        Ok(self)
    }

    /// Solves `L Lᵀ x = b` for the factor `L`.
    pub(super) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        for i in 0..self.n {
            let row = self.row(i);
            x[i] = (x[i] - sum_products(&row[..i], &x[..i])) / row[i];
        }
        for i in (0..self.n).rev() {
            let row = self.row(i);
            x[i] /= row[i];
            let xi = x[i];
            for (other, &l) in x[..i].iter_mut().zip(row) {
                *other -= l * xi;
            }
        }
        x
    }
}

/// In four lanes by index modulo 4, then (0+2) + (1+3).
fn sum_products(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0_f64; 4];
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    for (a, b) in a4.iter().zip(b4) {
        for ((lane, x), y) in lanes.iter_mut().zip(a).zip(b) {
            *lane += x * y;
        }
    }
    for ((lane, x), y) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += x * y;
    }
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
}

/// All dot products of rows; each equals [`dot`] bit for bit.
pub(super) fn gram(rows: &[&[f32]]) -> Lower {
    let n = rows.len();
    let mut entries = vec![0.0; n * (n + 1) / 2];
    let length = rows.first().map_or(0, |r| r.len());
    let mut at = 0;
    // Blocks outside, pairs inside: every row of a block is read from cache, and sums still add blocks in order.
    while at < length {
        let to = (at + BLOCK).min(length);
        let mut entry = entries.iter_mut();
        for i in 0..n {
            for j in 0..=i {
                let sum = entry.next().expect("a triangle has an entry for each pair");
                *sum += block_dot(&rows[i][at..to], &rows[j][at..to]);
            }
        }
        at = to;
    }
    Lower { n, entries }
}
