use std::ops::Range;

use crate::{Error, Result};

use super::PARTS;

/// Most examples.
const MAX_EXAMPLES: usize = 1 << 22;
/// Most features: the second moments of so many take 128 MiB.
const MAX_WIDTH: usize = 4_095;
/// Most classes.
const MAX_CLASSES: usize = 4_096;
/// Most parameters: each of the `PARTS` partial sums takes as many `f64`.
const MAX_PARAMETERS: usize = 1 << 22;

/// Labelled feature vectors, kept without their zeros.
#[derive(Debug, Clone)]
pub struct Examples {
    width: usize,
    classes: usize,
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
    labels: Vec<u32>,
}

impl Examples {
    /// Takes `labels.len()` rows of `width` features each, and labels below `classes`.
    ///
    /// # Errors
    /// [`Error::Records`] for none or too many, [`Error::Recipe`] for a width or a number of classes out of range, [`Error::Length`] where rows and labels do not
    /// go together, [`Error::Label`], and [`Error::Feature`] for a feature that is no finite number.
    pub fn new(width: usize, classes: usize, features: &[f32], labels: &[u32]) -> Result<Self> {
        let within = |what, got: usize, low: u64, high: usize| match got as u64 {
            got if (low..=high as u64).contains(&got) => Ok(()),
            got => Err(Error::Recipe { what, got, low, high: high as u64 }),
        };
        within("features of an example", width, 1, MAX_WIDTH)?;
        within("classes", classes, 2, MAX_CLASSES)?;
        within("parameters of the head", (width + 1) * classes, 4, MAX_PARAMETERS)?;
        if labels.is_empty() || labels.len() > MAX_EXAMPLES {
            return Err(Error::Records { got: labels.len(), limit: MAX_EXAMPLES });
        }
        if features.len() != labels.len() * width {
            return Err(Error::Length {
                what: "features",
                got: features.len(),
                expected: labels.len() * width,
            });
        }
        if let Some(row) = labels.iter().position(|label| *label as usize >= classes) {
            return Err(Error::Label { row, got: labels[row], classes });
        }
        if let Some(at) = features.iter().position(|x| !x.is_finite()) {
            return Err(Error::Feature { row: at / width, column: at % width, got: features[at] });
        }
        let mut all = Self {
            width,
            classes,
            starts: vec![0],
            columns: Vec::new(),
            values: Vec::new(),
            labels: labels.to_vec(),
        };
        for row in features.chunks_exact(width) {
            for (column, x) in (0_u32..).zip(row).filter(|(_, x)| **x != 0.0) {
                all.columns.push(column);
                all.values.push(f64::from(*x));
            }
            all.columns.push(width as u32);
            all.values.push(1.0);
            all.starts.push(all.columns.len());
        }
        Ok(all)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never: an empty set is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Features of an example.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Numbers in a head, biases included.
    #[must_use]
    pub fn parameters(&self) -> usize {
        (self.width + 1) * self.classes
    }

    /// The label of an example.
    #[must_use]
    pub fn label(&self, row: usize) -> u32 {
        self.labels[row]
    }

    /// Columns and values of an example that are not 0, the constant last.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[row]..self.starts[row + 1];
        self.columns[range.clone()].iter().map(|c| *c as usize).zip(self.values[range].iter().copied())
    }

    /// The ranges that sums over examples are made of.
    pub(super) fn parts(&self) -> Vec<Range<usize>> {
        let size = self.len().div_ceil(PARTS);
        (0..PARTS).map(|p| (p * size).min(self.len())..((p + 1) * size).min(self.len())).collect()
    }

    /// `z = θᵀ x` of an example.
    pub(super) fn project(&self, row: usize, theta: &[f64], z: &mut [f64]) {
        z.fill(0.0);
        for (column, x) in self.row(row) {
            let at = column * self.classes;
            z.iter_mut().zip(&theta[at..at + self.classes]).for_each(|(z, t)| *z += x * t);
        }
    }

    /// `sum += x ⊗ r` of an example.
    pub(super) fn spread(&self, row: usize, r: &[f64], sum: &mut [f64]) {
        for (column, x) in self.row(row) {
            let at = column * self.classes;
            sum[at..at + self.classes].iter_mut().zip(r).for_each(|(s, r)| *s += x * r);
        }
    }

    /// `∇ℓ = x ⊗ (p - e_y)` of an example at `theta`.
    #[must_use]
    pub fn gradient(&self, row: usize, theta: &[f64]) -> Vec<f64> {
        let mut residual = vec![0.0; self.classes];
        self.residual(row, theta, &mut residual);
        let mut gradient = vec![0.0; self.parameters()];
        self.spread(row, &residual, &mut gradient);
        gradient
    }

    /// `p - e_y` of an example at `theta`; returns its loss.
    pub(super) fn residual(&self, row: usize, theta: &[f64], p: &mut [f64]) -> f64 {
        self.project(row, theta, p);
        let norm = log_sum_exp(p);
        let label = self.labels[row] as usize;
        let loss = norm - p[label];
        p.iter_mut().for_each(|z| *z = libm::exp(*z - norm));
        p[label] -= 1.0;
        loss
    }

    /// `∇ℓ_i · v` of every example at `theta`.
    #[must_use]
    pub fn dots(&self, theta: &[f64], v: &[f64]) -> Vec<f64> {
        let (mut p, mut u) = (vec![0.0; self.classes], vec![0.0; self.classes]);
        let one = |row| {
            self.residual(row, theta, &mut p);
            self.project(row, v, &mut u);
            p.iter().zip(&u).map(|(p, u)| p * u).sum::<f64>()
        };
        (0..self.len()).map(one).collect()
    }
}

/// `log Σ exp z`.
pub(super) fn log_sum_exp(z: &[f64]) -> f64 {
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + libm::log(z.iter().map(|z| libm::exp(z - top)).sum::<f64>())
}
